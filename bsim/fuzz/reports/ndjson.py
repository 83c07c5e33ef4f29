"""A report as newline-delimited JSON: a line for the run, one for each finding, one for how it ended."""

import json

from bsim.fuzz.reports import source, view
from bsim.fuzz.result import RunReport


def ndjson(report: RunReport) -> str:
    """Write the lines; each has `type`: run, finding or end."""
    whole = report.as_json()
    ends = {key: whole.pop(key) for key in ("coverage", "notes", "safety", "exit")}
    del whole["findings"]
    rows: list[dict[str, object]] = [{"type": "run"} | whole]
    for finding in report.findings:
        place = source.home(finding.command, finding.rule)
        told = finding.as_json() | {"steps": view.lines(report, finding), "source": f"{place.path}:{place.line}"}
        rows.append({"type": "finding"} | told)
    rows.append({"type": "end"} | ends)
    return "".join(json.dumps(row) + "\n" for row in rows)
