"""A report as newline-delimited JSON: a line for the run, one for each finding, one for how it ended.

What the first line holds is known when a run begins, so that whoever watches the file is told as things happen.
"""

import json
from pathlib import Path
from typing import Final

from bsim import __version__
from bsim.fuzz.finding import Finding, spec_hash
from bsim.fuzz.reports import source, view
from bsim.fuzz.result import FORMAT, RunReport

FILE: Final = "report.ndjson"
_BEGINNING: Final = ("format", "seed", "target", "spec", "version")


def ndjson(report: RunReport) -> str:
    """Write the lines; each has `type`: run, finding or end."""
    whole = report.as_json()
    lines = [_line("run", {key: whole[key] for key in _BEGINNING}), *map(_finding, report.findings), _end(report)]
    return "".join(lines)


class Lines:
    """The same while a run goes on: the file has each line as soon as there is something to tell."""

    def __init__(self, folder: Path, seed: int, target: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path: Final = folder / FILE
        self._file: Final = self.path.open("w", encoding="utf-8", buffering=1)
        self._told: set[str] = set()
        beginning = {"format": FORMAT, "seed": seed, "target": target, "spec": spec_hash(), "version": __version__}
        self._file.write(_line("run", beginning))

    def found(self, finding: Finding) -> None:
        """Tell of a finding."""
        self._told.add(finding.key)
        self._file.write(_finding(finding))

    def end(self, report: RunReport) -> None:
        """Tell how the run ended; and before, what it has from earlier ones, which nobody found in this."""
        for finding in report.findings:
            if finding.key not in self._told:
                self.found(finding)
        self._file.write(_end(report))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _finding(finding: Finding) -> str:
    place = source.home(finding.command, finding.rule)
    told = finding.as_json() | {"steps": view.lines(finding), "source": f"{place.path}:{place.line}"}
    return _line("finding", told)


def _end(report: RunReport) -> str:
    known = {*_BEGINNING, "findings"}
    return _line("end", {key: value for key, value in report.as_json().items() if key not in known})


def _line(kind: str, told: dict[str, object]) -> str:
    return json.dumps({"type": kind} | told) + "\n"
