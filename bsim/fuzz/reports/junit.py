"""A report as JUnit's XML, as CI servers read it: a suite a check; in it a test a root cause, or one that passed.

A run that was stopped has one suite more, with an error: what was not looked at did not pass.
"""

from typing import Final
from xml.etree import ElementTree

from bsim.fuzz.finding import Finding
from bsim.fuzz.oracles import CHECKS
from bsim.fuzz.reports import source, view
from bsim.fuzz.result import Exit, RunReport
from bsim.lab.report import printable

_STOPPED: Final = {
    Exit.SAFETY: "a safety rule stopped the run",
    Exit.INTERRUPTED: "the run was interrupted",
}


def junit(report: RunReport) -> str:
    """Write the file."""
    checks = [name for name in CHECKS if name in report.checks]
    stopped = report.exit in _STOPPED
    counted = _counts(len(report.findings) + _clean(report, checks) + stopped, len(report.findings), stopped)
    root = ElementTree.Element(
        "testsuites", {"name": f"bsim fuzz {report.target}", **counted, "time": f"{report.seconds:.3f}"}
    )
    for name in checks:
        found = [one for one in report.findings if one.oracle == name]
        suite = ElementTree.SubElement(
            root, "testsuite", {"name": name, **_counts(max(len(found), 1), len(found)), "skipped": "0"}
        )
        properties = ElementTree.SubElement(suite, "properties")
        for key, value in view.facts(report):
            ElementTree.SubElement(properties, "property", name=key, value=value)
        if not found:
            ElementTree.SubElement(suite, "testcase", classname=name, name=CHECKS[name].title, time="0")
        for finding in found:
            _case(suite, finding)
    if stopped:
        _error(root, report)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, finding: Finding) -> None:
    place = source.home(finding.command, finding.rule)
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=finding.oracle,
        name=printable(f"{finding.id} {finding.rule}"),
        file=place.path,
        line=str(place.line),
        time="0",
    )
    failure = ElementTree.SubElement(case, "failure", type=finding.oracle, message=printable(finding.words))
    failure.text = printable("\n".join(view.lines(finding)))


def _error(root: ElementTree.Element, report: RunReport) -> None:
    suite = ElementTree.SubElement(root, "testsuite", {"name": "run", **_counts(1, 0, 1), "skipped": "0"})
    case = ElementTree.SubElement(suite, "testcase", classname="run", name="carried out to its end", time="0")
    words = printable("; ".join((_STOPPED[report.exit], *report.notes)))
    ElementTree.SubElement(case, "error", type=report.exit.name.lower(), message=words)


def _clean(report: RunReport, checks: list[str]) -> int:
    return len(set(checks) - {one.oracle for one in report.findings})


def _counts(tests: int, failures: int, errors: int = 0) -> dict[str, str]:
    return {"tests": str(tests), "failures": str(failures), "errors": str(int(errors))}
