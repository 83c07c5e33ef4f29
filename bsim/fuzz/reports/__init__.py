"""A run's report in the forms that others read. Every one is made from the run's value, so from its folder as well."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from bsim.fuzz.reports.junit import junit
from bsim.fuzz.reports.markdown import markdown
from bsim.fuzz.reports.ndjson import FILE, Lines, ndjson
from bsim.fuzz.reports.page import page
from bsim.fuzz.reports.sarif import sarif
from bsim.fuzz.result import RunReport

__all__ = ["FORMATS", "Lines", "write"]

FORMATS: Final[dict[str, tuple[str, Callable[[RunReport], str]]]] = {
    "html": ("report.html", page),
    "junit": ("junit.xml", junit),
    "markdown": ("report.md", markdown),
    "ndjson": (FILE, ndjson),
    "sarif": ("report.sarif", sarif),
}
"""Each format's file, and what makes its text."""


def write(report: RunReport, folder: Path, formats: Iterable[str]) -> list[Path]:
    """Write a report in each of the formats; answers the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in formats:
        file, make = FORMATS[name]
        part = folder / f"{file}.part"
        part.write_text(make(report), encoding="utf-8")
        written.append(part.replace(folder / file))  # who reads while it is written sees the old one, whole
    return written
