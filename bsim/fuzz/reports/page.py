"""A report as one HTML page that needs nothing beside it: no scripts, no fonts, no network; light and dark."""

from collections.abc import Iterator
from html import escape
from typing import Final

from bsim.fuzz.finding import Finding
from bsim.fuzz.oracles import CHECKS
from bsim.fuzz.reports import source, view
from bsim.fuzz.result import RunReport
from bsim.lab.report_html import STYLE

_OWN: Final = """
.error { color: var(--differs); font-weight: 600; } .warning, .note { color: var(--none); }
th[scope=row] { width: 12rem; font-weight: normal; opacity: .75; }
article { border: 1px solid var(--line); border-radius: .5rem; padding: .2rem 1rem .8rem; margin: 1rem 0; }
code { font-size: .95em; } meter { width: 12rem; vertical-align: middle; }
"""


def page(report: RunReport) -> str:
    """Write the whole page."""
    return "\n".join(_page(report)) + "\n"


def _page(report: RunReport) -> Iterator[str]:
    title = escape(view.title(report))
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title>\n<style>{STYLE}{_OWN}</style>\n</head>\n<body>\n<h1>{title}</h1>"
    yield from (f"<p><strong>{escape(note)}</strong></p>" for note in report.notes)
    yield from _overview(report)
    yield from (line for finding in report.findings for line in _finding(finding))
    yield from _run(report)
    yield "</body>\n</html>"


def _overview(report: RunReport) -> Iterator[str]:
    yield "<h2>Checks</h2>\n<table>\n<thead><tr><th>check</th><th>what is found</th><th>CWE</th>"
    yield '<th class="number">findings</th></tr></thead>\n<tbody>'
    for name, check in CHECKS.items():
        found = [one for one in report.findings if one.oracle == name]
        links = " ".join(f'<a href="#{one.id}">{one.id}</a>' for one in found)
        told = f'<span class="{check.level}">{links}</span>' if found else "0" if name in report.checks else "off"
        yield f"<tr><td>{name}</td><td>{escape(check.title)}</td>"
        yield f'<td>{check.cwe}</td><td class="number {"pass" if told == "0" else ""}">{told}</td></tr>'
    yield "</tbody>\n</table>"


def _finding(finding: Finding) -> Iterator[str]:
    place, declared = source.home(finding.command, finding.rule), source.entry(finding.command)
    level = view.level(finding)
    yield f'<article id="{finding.id}">\n<h2>{finding.id} <span class="{level}">{finding.oracle}</span></h2>'
    yield f"<p>{escape(finding.words)}.</p>"
    yield f"<pre>{escape(chr(10).join(view.lines(finding)))}</pre>"
    yield f"<p>CWE-{view.cwe(finding)} · card <code>{escape(finding.root)}</code>"
    yield f" · answered in <code>{place.path}:{place.line}</code>"
    yield f" · declared in <code>{declared.path}:{declared.line}</code>" if declared else ""
    yield f" · met after {finding.apdus:,} APDUs</p>"
    test = f"pytest findings/test_{finding.id.lower()}.py" if not finding.in_reader else ""
    again = f"bsim fuzz replay findings/{finding.id}.txt {finding.where}".rstrip()
    yield f"<pre>{escape(f'{again}{chr(10)}{test}'.rstrip())}</pre>"
    yield "</article>"


def _run(report: RunReport) -> Iterator[str]:
    yield "<h2>The run</h2>\n<table>\n<tbody>"
    for name, value in view.facts(report):
        yield f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
    covered = report.coverage
    yield '<tr><th scope="row">covered</th><td>'
    yield f'<meter min="0" max="100" value="{covered.percent:.0f}">{covered.percent:.0f} %</meter></td></tr>'
    yield "</tbody>\n</table>"
    if covered.missing:
        yield f"<details><summary>{len(covered.missing)} declared status words were not seen</summary><ul>"
        yield from (f"<li><code>{escape(one)}</code></li>" for one in covered.missing)
        yield "</ul></details>"
