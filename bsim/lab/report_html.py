"""The conformance report as one HTML page that needs nothing beside it: no scripts, no fonts, no network."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from bsim.lab.conform import Result, Status, rows
from bsim.lab.report import summary

STYLE: Final = """
:root { color-scheme: light dark; --pass: #2a7d3f; --differs: #b3261e; --none: #7a5f00; --line: #8884; }
@media (prefers-color-scheme: dark) { :root { --pass: #6fcf8f; --differs: #ff8a80; --none: #e0b84a; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem; text-align: left; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.pass { color: var(--pass); } .differs { color: var(--differs); font-weight: 600; }
.not-supported, .skipped { color: var(--none); }
details { margin: .25rem 0; } summary { cursor: pointer; }
pre { overflow-x: auto; border-left: 3px solid var(--line); padding: .3rem .8rem; margin: .3rem 0; }
"""


def page(target: str, results: Sequence[Result], version: str) -> str:
    """The whole page."""
    return "\n".join(_page(target, results, version)) + "\n"


def _page(target: str, results: Sequence[Result], version: str) -> Iterator[str]:
    title = f"Conformance of {escape(target)}"
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>"
    yield f"<p>{escape(summary(results))}. bsim {escape(version)}.</p>"
    yield "<table>\n<thead><tr><th>command</th>"
    yield "".join(f'<th class="number">{status}</th>' for status in Status) + "</tr></thead>\n<tbody>"
    for name, counts in rows(results).items():
        cells = "".join(_cell(status, counts[status]) for status in Status)
        yield f'<tr><td><a href="#{escape(name)}">{escape(name)}</a></td>{cells}</tr>'
    yield "</tbody>\n</table>"
    for name in rows(results):
        yield f'<h2 id="{escape(name)}">{escape(name)}</h2>'
        yield from (_details(result) for result in results if result.command == name)
    yield "</body>\n</html>"


def _cell(status: Status, count: int) -> str:
    return f'<td class="number {_class(status) if count else ""}">{count or "-"}</td>'


def _details(result: Result) -> str:
    said = "\n".join(f"> {command}\n< {answer}" for command, answer in result.exchanges)
    words = f": {escape(result.words)}" if result.words else ""
    opened = " open" if result.status is Status.DIFFERS else ""
    body = f"<pre>{escape(said)}</pre>" if said else ""
    return (
        f'<details{opened}><summary><span class="{_class(result.status)}">{result.status}</span> '
        f"{escape(result.case.title)}{words}</summary>{body}</details>"
    )


def _class(status: Status) -> str:
    return status.replace(" ", "-")
