"""`bsim fuzz report`, and the options `--report` and `--report-dir` of whatever runs."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bsim.cli.common import UsageError, note
from bsim.cli.fuzz_part import Parts, part

if TYPE_CHECKING:
    from bsim.fuzz.result import RunReport

_REPORT: Final = """\
examples:
  bsim fuzz report night                       all of them, into night
  bsim fuzz report night --report sarif --report-dir out
"""
_NAMES: Final = "html, junit, markdown, ndjson, sarif"


def add(parts: Parts) -> None:
    """Declare it."""
    one = part(parts, "report", "write a run's reports again, from its folder", _REPORT, execute)
    one.add_argument("dir", metavar="RUN", type=Path, help="the run's folder")
    add_report_options(one)


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Which reports, and where to."""
    parser.add_argument("--report", metavar="FORMATS", help=f"with commas between: {_NAMES}; or all")
    parser.add_argument("--report-dir", metavar="DIR", type=Path, help="default: the run's folder, or this one")


def execute(args: argparse.Namespace) -> int:
    """Read the folder, write the reports."""
    from bsim.fuzz.reports.load import load

    args.report = args.report or "all"
    formats = formats_of(args)
    for path in written(args, load(args.dir), formats):
        print(path)
    return 0


def formats_of(args: argparse.Namespace) -> tuple[str, ...]:
    """Read `--report`; UsageError names the formats there are. To be asked before a run, not after it."""
    from bsim.fuzz.reports import FORMATS

    if not args.report:
        if args.report_dir is not None:
            raise UsageError(f"--report-dir needs --report: {_NAMES}, or all")
        return ()
    names = tuple(FORMATS) if args.report == "all" else tuple(args.report.split(","))
    if unknown := [name for name in names if name not in FORMATS]:
        raise UsageError(f"no report {', '.join(unknown)}; there is {', '.join(FORMATS)}")
    return names


def written(args: argparse.Namespace, report: "RunReport", formats: tuple[str, ...]) -> list[Path]:
    """Write the reports that were asked for."""
    from bsim.fuzz import reports

    folder = args.report_dir or args.dir or Path()
    try:
        return reports.write(report, folder, formats)
    except OSError as fault:
        raise UsageError(f"{folder}: the reports cannot be written ({fault.strerror})") from fault


def tell(paths: list[Path]) -> None:
    """Say where they are."""
    for path in paths:
        note(f"report {path}")
