"""A report as SARIF 2.1.0 (OASIS): rules are our checks with their CWE, results point at our code and declaration."""

import json
from typing import Final

from bsim.fuzz.finding import Finding
from bsim.fuzz.oracles import CHECKS, Check
from bsim.fuzz.reports import source, view
from bsim.fuzz.reports.source import Place
from bsim.fuzz.result import Exit, RunReport

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_CWE: Final = "CWE"

Json = dict[str, object]


def sarif(report: RunReport) -> str:
    """Write the log: one run."""
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [_run(report)]}
    return json.dumps(log, indent=1) + "\n"


def _run(report: RunReport) -> Json:
    driver: Json = {
        "name": "bsim fuzz",
        "semanticVersion": report.version or "0.0.0",
        "rules": [_rule(check) for check in CHECKS.values()],
        "supportedTaxonomies": [{"name": _CWE}],
    }
    properties = {name: value for name, value in report.as_json().items() if name != "findings"}
    return {
        "tool": {"driver": driver},
        "taxonomies": [_taxonomy()],
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The root of the bsim repository."}}},
        "invocations": [_invocation(report)],
        "results": [_result(finding) for finding in report.findings],
        "properties": properties,
    }


def _rule(check: Check) -> Json:
    return {
        "id": check.name,
        "shortDescription": {"text": check.title},
        "fullDescription": {"text": check.title + "."},
        "helpUri": _cwe_page(check.cwe),
        "defaultConfiguration": {"level": check.level},
        "properties": {"tags": ["security", f"external/cwe/cwe-{check.cwe}"], "problem.severity": check.level},
        "relationships": [
            {"target": {"id": str(check.cwe), "toolComponent": {"name": _CWE}}, "kinds": ["superset"]},
        ],
    }


def _taxonomy() -> Json:
    numbers = sorted({check.cwe for check in CHECKS.values()})
    return {
        "name": _CWE,
        "organization": "MITRE",
        "shortDescription": {"text": "The MITRE Common Weakness Enumeration."},
        "taxa": [{"id": str(number), "helpUri": _cwe_page(number)} for number in numbers],
    }


def _invocation(report: RunReport) -> Json:
    done = report.exit in {Exit.CLEAN, Exit.FINDINGS}
    notes = [{"level": "note", "message": {"text": note}} for note in report.notes]
    return {"executionSuccessful": done, "exitCode": int(report.exit), "toolExecutionNotifications": notes}


def _result(finding: Finding) -> Json:
    declared = source.entry(finding.command)
    told: Json = {
        "ruleId": finding.oracle,
        "ruleIndex": list(CHECKS).index(finding.oracle),
        "level": view.level(finding),
        "message": {"text": finding.words},
        "locations": [_location(source.home(finding.command, finding.rule))],
        "partialFingerprints": {"rootCause/v1": finding.key},
        "codeFlows": [{"threadFlows": [{"locations": _flow(finding)}]}],
        "properties": {"id": finding.id, "card": finding.root, "seed": finding.seed, "apdus": finding.apdus},
    }
    if declared is not None:
        told["relatedLocations"] = [_location(declared, "the declaration of the command", 1)]
    return told


def _flow(finding: Finding) -> list[Json]:
    """The steps, each at its command's declaration."""
    places = (source.entry(name) or source.home(name) for name in finding.names)
    return [{"location": _location(place, said)} for place, said in zip(places, view.lines(finding), strict=True)]


def _location(place: Place, words: str = "", number: int | None = None) -> Json:
    told: Json = {
        "physicalLocation": {
            "artifactLocation": {"uri": place.path, "uriBaseId": "SRCROOT"},
            "region": {"startLine": place.line},
        }
    }
    if words:
        told["message"] = {"text": words}
    return told if number is None else told | {"id": number}


def _cwe_page(number: int) -> str:
    return f"https://cwe.mitre.org/data/definitions/{number}.html"
