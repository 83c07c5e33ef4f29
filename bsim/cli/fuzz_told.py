"""What `bsim fuzz run` tells people, while it runs and at the end."""

import argparse
import time
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Final, TextIO

from bsim.cli.common import DEFAULT_BPIN
from bsim.cli.fuzz_reader import given_for_reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from bsim.fuzz.campaign import Progress
    from bsim.fuzz.finding import Finding
    from bsim.fuzz.result import RunReport

_REDRAWN: Final = 1.0
_TOLD: Final = 60.0  # where lines stay, as in the log of a CI run
_NAMED: Final = 12


def summary(report: "RunReport", folder: Path | None, again: str = "") -> list[str]:
    """Answer the report for people; `again` are the options that findings are replayed with."""
    covered = report.coverage
    lines = [
        f"{report.apdus:,} APDUs in {report.seconds:.1f} s, seed {report.seed}, engine {report.engine}",
        f"commands {covered.commands_seen}/{covered.commands}, status words {covered.pairs_seen}/{covered.pairs}"
        f" ({covered.percent:.0f} %), states {report.states:,}, stability {100 * report.stability:.0f} %",
    ]
    if covered.missing:
        more = len(covered.missing) - _NAMED
        others = f" and {more} more, which --json names" if more > 0 else ""
        lines.append(f"not seen: {', '.join(covered.missing[:_NAMED])}{others}")
    for finding in report.findings:
        lines += told(finding, folder, again)
    lines += [f"note: {text}" for text in report.notes]
    count = len(report.findings)
    lines.append("nothing found" if not count else f"{count} finding{'s' if count > 1 else ''}")
    return lines


def told(finding: "Finding", folder: Path | None, again: str = "") -> list[str]:
    """Answer a finding for people; the last two lines are to be copied. No test stands for a card in a reader."""
    lines = ["", f"{finding.id}  {finding.key}", f"  {finding.words}"]
    lines += [f"  {one}" for one in finding.lines()]
    if folder is not None:
        files = folder / "findings"
        replay = f"bsim fuzz replay {quote(str(files / finding.id))}.txt"
        if finding.in_reader:
            here = f"--on {quote(finding.target)} {again}"
            return [*lines, f"{replay} {here if '--allow-card' in again else finding.where}"]
        lines.append(f"{replay} {again}".rstrip() if "--allow-card" not in again else replay)
        lines.append(f"pytest {quote(str(files / f'test_{finding.id.lower()}.py'))}")
    return lines


def again_of(args: argparse.Namespace) -> str:
    """The options of a run that its findings are to be replayed with. The BPIN is not printed."""
    from bsim.fuzz.finding import BPIN_HERE

    if args.on == "ram":
        return f"--plant {args.plant}" if args.plant else ""
    cards = [*args.allow_card, *([args.i_own_this_card] if args.i_own_this_card else [])]
    words = [word for card in cards for word in ("--allow-card", card.replace(" ", ""))]
    words += ["--bpin", BPIN_HERE] if args.bpin != DEFAULT_BPIN else []
    for name in ("tries_left", "pin_floor", "ledger", "protocol"):
        option = f"--{name.replace('_', '-')}"
        words += [option, str(vars(args)[name])] if option in given_for_reader(args) else []
    return " ".join(quote(word) for word in words)


class LiveLine:
    """One line on a terminal, drawn anew each second; elsewhere a line a minute, and what is found."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream: Final = stream
        self.begin: Callable[[], None] = lambda: None
        """To be called when the target is known to be there, before the run sends it anything."""
        self.keep: Callable[[Finding], None] = lambda _: None
        """Where findings go at once, whatever ends the run."""
        self.met: Final[dict[str, Finding]] = {}
        """What was found, by its key."""
        self.also: Callable[[Finding], None] = lambda _: None
        """Who else is told of findings."""
        self._quiet: Final = quiet
        self._live: Final = stream.isatty()
        self._drawn = 0.0 if self._live else time.monotonic()
        self._width = 0

    def __enter__(self) -> "LiveLine":
        return self

    def __exit__(self, *_: object) -> None:
        if self._width:
            print(file=self._stream)

    def show(self, now: "Progress") -> None:
        """Draw the line, if it is time to."""
        if self._quiet or time.monotonic() - self._drawn < (_REDRAWN if self._live else _TOLD):
            return
        self._drawn = time.monotonic()
        minutes, seconds = divmod(int(now.seconds), 60)
        text = (
            f"{minutes:02}:{seconds:02}  {now.apdus:,} APDU  {now.apdus / max(now.seconds, 0.001) / 1000:.1f}k/s"
            f"  states {now.states:,} (+{now.new_states})  SW pairs {now.coverage.pairs_seen}/{now.coverage.pairs}"
            f"  stab {100 * now.stability:.0f} %  findings {now.findings}{now.safety}"
        )
        if not self._live:
            print(text, file=self._stream, flush=True)
            return
        print(f"\r{text:<{self._width}}", end="", file=self._stream, flush=True)
        self._width = len(text)

    def raw(self, finding: "Finding") -> None:
        """Have a finding kept that is not minimised yet."""
        self.met[finding.key] = finding
        self.keep(finding)

    def found(self, finding: "Finding") -> None:
        """Tell of a finding."""
        self.raw(finding)
        end = "\n" if self._width else ""
        print(f"{end}found {finding.id} {finding.key}: {finding.words}", file=self._stream, flush=True)
        self.also(finding)
