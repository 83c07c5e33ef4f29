"""A report as JUnit's XML, as CI servers read it: a suite a check; in it a test a root cause, or one that passed."""

from xml.etree import ElementTree

from bsim.fuzz.finding import Finding
from bsim.fuzz.oracles import CHECKS
from bsim.fuzz.reports import source, view
from bsim.fuzz.result import RunReport
from bsim.lab.report import printable


def junit(report: RunReport) -> str:
    """Write the file."""
    checks = [name for name in CHECKS if name in report.checks]
    counted = _counts(len(report.findings) + _clean(report, checks), len(report.findings))
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


def _clean(report: RunReport, checks: list[str]) -> int:
    return len(set(checks) - {one.oracle for one in report.findings})


def _counts(tests: int, failures: int) -> dict[str, str]:
    return {"tests": str(tests), "failures": str(failures), "errors": "0"}
