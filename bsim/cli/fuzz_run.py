"""`bsim fuzz run` and `bsim fuzz campaign`: bounded for CI, or until Ctrl-C."""

import argparse
import secrets
import sys
import time
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Final, TextIO

from bsim.cli.common import DEFAULT_BPIN, UsageError, note, print_json
from bsim.cli.fuzz_part import Parts, corpus, names_of, part, writable
from bsim.cli.fuzz_plant import add_plant
from bsim.cli.fuzz_reader import add_reader_options, given_for_reader
from bsim.cli.fuzz_report import DEFAULT, STREAMED, Stream, add_report_options, folder_of, formats_of, tell, written

if TYPE_CHECKING:
    from collections.abc import Callable

    from bsim.fuzz.campaign import Options, Progress
    from bsim.fuzz.files import Folder
    from bsim.fuzz.finding import Finding
    from bsim.fuzz.result import RunReport

_RUN: Final = """\
examples:
  bsim fuzz run                                30 seconds, a new seed, which is printed
  bsim fuzz run --seed 42 --max-apdus 100000
  bsim fuzz run --include 'SIGN|DERIVE' --exclude-checks differential
  bsim fuzz run -j 2 --max-time 60 --dir out --json
  bsim fuzz run --dir out --report junit,sarif,html
"""
_CAMPAIGN: Final = """\
examples:
  bsim fuzz campaign --dir night
  bsim fuzz campaign --dir night -j 2 --max-time 3600     goes on from what is in the folder
"""
_REDRAWN: Final = 1.0
_TOLD: Final = 60.0  # where lines stay, as in the log of a CI run
_NAMED: Final = 12
_TIME: Final = 30.0
_HEALED: Final = {"still": "still stands", "hidden": "not to be told, another is met before it", "fixed": "fixed"}


def add(parts: Parts) -> None:
    """Declare both."""
    run = part(parts, "run", "bounded, for CI: every command, every bound, then explore", _RUN, execute)
    add_run_options(run)
    add_reader_options(run)
    add_report_options(run)
    run.set_defaults(resume=False)
    campaign = part(parts, "campaign", "until --max-time or Ctrl-C, to be gone on with", _CAMPAIGN, execute)
    add_run_options(campaign)
    add_reader_options(campaign)
    add_report_options(campaign)
    campaign.set_defaults(resume=True)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Budgets, choice of commands and checks, engine, seed, folder."""
    parser.add_argument(
        "--on",
        metavar="TARGET",
        default="ram",
        help="ram (all kinds of cards), reader:NAME, or several, with commas between",
    )
    parser.add_argument("--seed", type=int, help="the same seed makes the same run (default: a new one, printed)")
    parser.add_argument("--engine", choices=["state", "model", "uniform", "random", "atheris"], default="state")
    parser.add_argument("--max-time", metavar="SECONDS", type=float, help="default for run: 30")
    parser.add_argument("--max-apdus", metavar="N", type=int)
    parser.add_argument("--max-failures", metavar="N", type=int, help="stop after so many findings")
    parser.add_argument("--include", metavar="REGEX", help="only commands whose names match")
    parser.add_argument("--exclude", metavar="REGEX", help="no commands whose names match")
    parser.add_argument("--checks", metavar="NAMES", help="only these oracles, with commas between (default: all)")
    parser.add_argument("--exclude-checks", metavar="NAMES", help="not these")
    phases = "with commas between, or none: the seeds alone (default: all three)"
    parser.add_argument("--phases", metavar="NAMES", default="smoke,boundary,explore", help=phases)
    parser.add_argument("--seeds", metavar="DIR", type=Path, help="a corpus to begin with")
    parser.add_argument(
        "--dir",
        metavar="DIR",
        type=Path,
        help="where findings, corpus and report are written (default: bsim-fuzz, if anything is found)",
    )
    parser.add_argument("--keep", action="store_true", help="keep findings that are fixed (default: they go)")
    parser.add_argument("--no-shrink", action="store_true", help="do not minimise")
    parser.add_argument("-j", "--jobs", metavar="N", default="1", help="processes, or auto")
    parser.add_argument("--cluster", metavar="ray://HOST:PORT|local", help="-j actors of a Ray cluster, or of one here")
    add_plant(parser)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="no live line")


def execute(args: argparse.Namespace) -> int:
    """Run; answers the exit code."""
    if args.engine == "atheris":
        return parsers(args)
    formats = formats_of(args)
    if args.on != "ram":
        _refuse_for_readers(args)
    options = options_of(args)
    note(f"seed {options.seed}")
    reports = folder_of(args)
    if formats:
        writable(reports)
    try:
        with LiveLine(sys.stderr, quiet=args.quiet) as line:
            if args.dir is None:
                line.keep = _kept_at_once
            report = (_streamed if STREAMED in formats else _run)(args, options, line)
    except OSError as fault:
        if fault.filename is None:  # nothing of ours
            raise
        raise UsageError(f"{fault.filename}: {fault.strerror}; what was written until then is there") from fault
    if report.findings and args.dir is None:
        args.dir = _kept(report)
    if args.json:
        print_json(report.as_json())
    else:
        print("\n".join(summary(report, args.dir, again_of(args))))
    tell(written(report, reports, [name for name in formats if name != STREAMED]))  # last: it may not go well
    return int(report.exit)


def _streamed(args: argparse.Namespace, options: "Options", line: "LiveLine") -> "RunReport":
    """Run, and write what is found as it is found."""
    with Stream(folder_of(args), options.seed, args.on) as stream:
        line.begin, line.also = stream.begin, stream.found
        report = _run(args, options, line)
        stream.end(report)
    return report


def _run(args: argparse.Namespace, options: "Options", line: "LiveLine") -> "RunReport":
    from bsim.fuzz import parallel
    from bsim.fuzz.campaign import Campaign

    if args.on != "ram":
        from bsim.cli.fuzz_reader import run_on_reader, run_on_readers

        return (run_on_readers if "," in args.on else run_on_reader)(args, options, line)
    given = given_for_reader(args)
    if given:
        note(f"{', '.join(given)}: for a card in a reader; this one is emulated, and nothing is forbidden")
    if args.cluster is not None:
        from bsim.fuzz import cluster

        jobs = None if args.jobs == "auto" else _jobs(args.jobs)
        return cluster.run(options, args.cluster, jobs, line.show, line.found, begin=line.begin)
    jobs = _jobs(args.jobs)
    line.begin()
    if jobs > 1:
        return parallel.run(options, jobs, line.show, line.found)
    return Campaign(options, line.found, line.keep).run(line.show)


_NOT_ON_READERS: Final = ("engine", "phases", "jobs")
_NOT_ON_ONE: Final = ("cluster",)
_NOT_ON_SEVERAL: Final = ("seeds",)


def _refuse_for_readers(args: argparse.Namespace) -> None:
    """UsageError names what was asked for and would not be done with cards in readers."""
    from bsim.fuzz.card_engine import sendable
    from bsim.fuzz.grammar import grammar

    parser = argparse.ArgumentParser()
    add_run_options(parser)
    usual = vars(parser.parse_args([]))
    several = "," in args.on
    names = (*_NOT_ON_READERS, *(_NOT_ON_SEVERAL if several else _NOT_ON_ONE))
    if given := [f"--{name}" for name in names if vars(args)[name] != usual[name]]:
        raise UsageError(
            f"{', '.join(given)}: not with {'cards in several readers' if several else 'a card in a reader'}"
        )
    commands = commands_of(args.include, args.exclude)
    if not sendable(grammar(), commands):
        raise UsageError("no command is left that may be sent to a card in a reader")


def parsers(args: argparse.Namespace) -> int:
    """Fuzz the parsers with atheris; 1 if one breaks."""
    from bsim.fuzz import parsers as parsing

    check_bounds(args)
    seed = args.seed if args.seed is not None else secrets.randbelow(1 << 31)
    note(f"seed {seed}")
    try:
        broken = parsing.fuzz(seed, args.max_time or _TIME)
    except ImportError as fault:
        raise UsageError('--engine atheris wants atheris: pip install "bsim[fuzz]"') from fault
    if args.json:
        print_json([{"parser": one.parser, "what": one.what, "data": one.data.hex()} for one in broken])
    else:
        for one in broken:
            print(f"{one.parser}: {one.what}\n  {one.data.hex()}")
        print("nothing found" if not broken else f"{len(broken)} finding")
    return 1 if broken else 0


def options_of(args: argparse.Namespace) -> "Options":
    """What the command line asks for; UsageError where that cannot be."""
    from bsim.fuzz.campaign import Options
    from bsim.fuzz.engine import Kind
    from bsim.fuzz.files import CORPUS, FINDINGS, Folder

    check_bounds(args)
    _jobs(args.jobs)
    checks, phases = checks_of(args.checks, args.exclude_checks, args.on), phases_of(args.phases, args.engine)
    commands = commands_of(args.include, args.exclude)
    seeds = corpus(args.seeds) if args.seeds is not None else []
    standing: tuple[Finding, ...] = ()
    if args.dir is not None:
        writable(args.dir, FINDINGS, CORPUS)
        folder = Folder(args.dir)
        standing = _healed(folder, keep=args.keep)
        seeds += folder.seeds() if args.resume else []
    bounded = args.max_time is not None or args.max_apdus is not None or args.resume
    return Options(
        seed=args.seed if args.seed is not None else secrets.randbelow(1 << 32),
        engine=Kind(args.engine),
        checks=checks,
        phases=phases,
        commands=commands,
        max_time=args.max_time if bounded else _TIME,
        max_apdus=args.max_apdus,
        max_failures=args.max_failures,
        shrink=not args.no_shrink,
        folder=args.dir,
        seeds=seeds,
        standing=standing,
    )


def check_bounds(args: argparse.Namespace) -> None:
    """UsageError where a budget is none: a run that ends before it begins would seem to go well."""
    for name in ("max_time", "max_apdus", "max_failures"):
        value = vars(args)[name]
        if value is not None and not 0 < value < float("inf"):  # what is not a number is not between them either
            raise UsageError(f"--{name.replace('_', '-')} is more than 0")


def phases_of(text: str, engine: str) -> tuple[str, ...]:
    """Read `--phases`; UsageError names those there are, and refuses what leaves nothing to do."""
    from bsim.fuzz.phases import PHASES

    names = names_of(text)
    if names == ["none"]:
        return ()
    if unknown := [name for name in names if name not in PHASES]:
        raise UsageError(f"no phase {', '.join(unknown)}; there is {', '.join(PHASES)}, or none")
    if not names:
        raise UsageError(f"--phases wants {', '.join(PHASES)}, or none")
    if engine != "state" and "explore" not in names:
        raise UsageError(f"--engine {engine} only explores")
    return tuple(names)


def checks_of(only: str | None, without: str | None, target: str = "ram") -> frozenset[str]:
    """Read `--checks` and `--exclude-checks`; UsageError names the oracles there are, or if none is left."""
    from bsim.fuzz.oracles import CHECKS, OUTSIDE

    chosen = set(names_of(only)) if only is not None else set(CHECKS)
    left_out = set(names_of(without)) if without is not None else set()
    unknown = (chosen | left_out) - set(CHECKS)
    if unknown:
        raise UsageError(f"no check {', '.join(sorted(unknown))}; there is {', '.join(CHECKS)}")
    if not chosen - left_out:
        raise UsageError(f"no check is left; there is {', '.join(CHECKS)}")
    if target != "ram" and not (chosen - left_out) & OUTSIDE:
        raise UsageError(f"none of these can be told of a card in a reader; there is {', '.join(sorted(OUTSIDE))}")
    return frozenset(chosen - left_out)


def commands_of(include: str | None, exclude: str | None) -> tuple[str, ...] | None:
    """Read `--include` and `--exclude`; UsageError if nothing is left."""
    import re

    from bsim.fuzz.grammar import grammar

    if include is None and exclude is None:
        return None
    try:
        wanted, unwanted = re.compile(include or ""), re.compile(exclude) if exclude else None
    except re.error as fault:
        raise UsageError(f"no regular expression: {fault}") from fault
    found = tuple(
        entry.name
        for entry in grammar().entries
        if wanted.search(entry.name) and not (unwanted and unwanted.search(entry.name))
    )
    if not found:
        raise UsageError("no command is left; `bsim spec` lists them")
    return found


def _healed(folder: "Folder", *, keep: bool) -> "tuple[Finding, ...]":
    """Replay what the folder holds: answers what still stands; what is fixed goes."""
    from bsim.fuzz import cards
    from bsim.fuzz.grammar import grammar
    from bsim.fuzz.oracles import Judge
    from bsim.fuzz.replay import Replayer

    with cards.quick_backups():
        told = folder.heal(Replayer(grammar(), Judge()), keep=keep)
    for finding, state in told:
        kept = f"kept: replay it with --on {finding.target}" if finding.in_reader else _HEALED[state]
        note(f"{finding.id} {finding.key}: {kept}")
    return tuple(finding for finding, state in told if state != "fixed")


def _kept_at_once(finding: "Finding") -> None:
    """Write a finding of a run without a folder when it is found. That it cannot be is told once, at the end."""
    from bsim.fuzz.files import Folder

    with suppress(OSError):
        Folder(DEFAULT).save_finding(finding)


def _kept(report: "RunReport") -> Path | None:
    """Write the findings of a run without a folder: they are not to be lost. None where they cannot be written."""
    from bsim.fuzz.files import Folder

    folder = Folder(DEFAULT)
    try:
        for finding in report.findings:
            folder.save_finding(finding)
        folder.save_report(report)
    except OSError as fault:
        note(f"{DEFAULT}: {fault.strerror}; what was found is told here only")
        return None
    return folder.path


def _jobs(text: str) -> int:
    import os

    if text == "auto":
        return os.cpu_count() or 1
    if not text.isdecimal() or int(text) == 0:
        raise UsageError("-j is a number of processes, or auto")
    return int(text)


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

    def found(self, finding: "Finding") -> None:
        """Tell of a finding."""
        self.keep(finding)
        end = "\n" if self._width else ""
        print(f"{end}found {finding.id} {finding.key}: {finding.words}", file=self._stream, flush=True)
        self.also(finding)
