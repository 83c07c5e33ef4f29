"""`bsim fuzz report`, and the options `--report` and `--report-dir` of whatever runs."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bsim.cli.common import UsageError, note
from bsim.cli.fuzz_part import Parts, part

if TYPE_CHECKING:
    from collections.abc import Callable

    from bsim.fuzz.finding import Finding
    from bsim.fuzz.reports import Lines
    from bsim.fuzz.result import RunReport

_REPORT: Final = """\
examples:
  bsim fuzz report night                       all of them, into night
  bsim fuzz report night --report sarif --report-dir out
"""
DEFAULT: Final = Path("bsim-fuzz")
"""Where what is found goes, if nothing was said."""
STREAMED: Final = "ndjson"
_NAMES: Final = "html, junit, markdown, ndjson, sarif"


def add(parts: Parts) -> None:
    """Declare it."""
    one = part(parts, "report", "write a run's reports again, from its folder", _REPORT, execute)
    one.add_argument("dir", metavar="RUN", type=Path, help="the run's folder")
    add_report_options(one)


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Which reports, and where to."""
    parser.add_argument("--report", metavar="FORMATS", help=f"with commas between: {_NAMES}; or all")
    parser.add_argument("--report-dir", metavar="DIR", type=Path, help="default: the run's folder, or bsim-fuzz")


def execute(args: argparse.Namespace) -> int:
    """Read the folder, write the reports."""
    from bsim.fuzz.reports.load import load

    args.report = args.report or "all"
    formats = formats_of(args)
    for path in written(load(args.dir), folder_of(args), formats):
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


def folder_of(args: argparse.Namespace) -> Path:
    """Where reports go."""
    folder: Path = args.report_dir or args.dir or DEFAULT
    return folder


def written(report: "RunReport", folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write the reports that were asked for."""
    from bsim.fuzz import reports

    with _writing(folder):
        return reports.write(report, folder, formats)


class Stream:
    """The report that is written while the run goes on. Where it cannot be written any more, the run still goes on."""

    def __init__(self, folder: Path, seed: int, target: str) -> None:
        self._folder, self._seed, self._target = folder, seed, target
        self._lines: Lines | None = None

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self._do(lambda lines: lines.close())

    def begin(self) -> None:
        """Write how the run began. Until then, what an earlier one left is as it was."""
        from bsim.fuzz import reports

        with _writing(self._folder):
            self._lines = reports.Lines(self._folder, self._seed, self._target)

    def found(self, finding: "Finding") -> None:
        """Write a finding."""
        self._do(lambda lines: lines.found(finding))

    def end(self, report: "RunReport") -> None:
        """Write how the run ended, and say where it is written."""
        self._do(lambda lines: lines.end(report))
        if self._lines is not None:
            tell([self._lines.path])

    def _do(self, what: "Callable[[Lines], None]") -> None:
        if (lines := self._lines) is None:
            return
        try:
            what(lines)
        except OSError as fault:
            self._lines = None
            note(f"{lines.path}: the rest of this report cannot be written ({fault.strerror})")
            with suppress(OSError):  # it tries again to write what could not be written, as has just been told
                lines.close()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise UsageError(f"{folder}: the reports cannot be written ({fault.strerror})") from fault


def tell(paths: list[Path]) -> None:
    """Say where they are."""
    for path in paths:
        note(f"report {path}")
