"""A report as Markdown: for a job's summary, an issue, a mail."""

from collections.abc import Iterator

from bsim.applets.confirm import visible
from bsim.fuzz.finding import Finding
from bsim.fuzz.reports import source, view
from bsim.fuzz.result import RunReport


def markdown(report: RunReport) -> str:
    """Write the page."""
    return visible("\n".join(_lines(report))) + "\n"


def _lines(report: RunReport) -> Iterator[str]:
    yield f"# {view.title(report)}\n"
    yield "| | |\n|---|---|"
    yield from (f"| {name} | {value} |" for name, value in view.facts(report))
    yield from (f"\n> {note}" for note in report.notes)
    for finding in report.findings:
        yield from _finding(finding)
    if report.coverage.missing:
        yield "\n## Declared and not seen\n"
        yield ", ".join(f"`{one}`" for one in report.coverage.missing)


def _finding(finding: Finding) -> Iterator[str]:
    place, declared = source.home(finding.command, finding.rule), source.entry(finding.command)
    yield f"\n## {finding.id} {finding.oracle}: {finding.rule}\n"
    words = " ".join(finding.words.split())
    yield f"{words}. {view.level(finding).capitalize()}, CWE-{view.cwe(finding)}, on the card `{finding.root}`."
    yield f"Answered in `{place.path}:{place.line}`" + (
        f", declared in `{declared.path}:{declared.line}`." if declared else "."
    )
    yield "\n```text"
    yield from view.lines(finding)
    yield "```"
