"""What a run of `bsim fuzz` is asked to do: its options, read and judged before anything is sent."""

import argparse
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bsim.cli.common import UsageError, note
from bsim.cli.fuzz_part import corpus, names_of, no_recording, writable
from bsim.cli.fuzz_plant import add_plant

if TYPE_CHECKING:
    from bsim.fuzz.campaign import Options
    from bsim.fuzz.files import Folder
    from bsim.fuzz.finding import Finding

TIME: Final = 30.0
"""Seconds that `run` takes where no budget is given."""
_DIGITS: Final = 10
_HEALED: Final = {"still": "still stands", "hidden": "not to be told, another is met before it", "fixed": "fixed"}
_NOT_ON_READERS: Final = ("engine", "phases", "jobs")
_NOT_ON_ONE: Final = ("cluster",)
_NOT_ON_SEVERAL: Final = ("seeds",)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Budgets, choice of commands and checks, engine, seed, folder."""
    parser.add_argument(
        "--on",
        metavar="TARGET",
        default="ram",
        help="ram (all kinds of cards), FILE.bsim (a copy of it), reader:NAME, or several, with commas between",
    )
    parser.add_argument("--seed", type=int, help="the same seed makes the same run (default: a new one, printed)")
    parser.add_argument("--engine", choices=["state", "model", "uniform", "random", "atheris"], default="state")
    parser.add_argument(
        "--max-time", metavar="SECONDS", type=float, help="default: 30 for run; a campaign goes on until Ctrl-C"
    )
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


def options_of(args: argparse.Namespace) -> "Options":
    """What the command line asks for; UsageError where that cannot be."""
    from bsim.fuzz.campaign import Options
    from bsim.fuzz.engine import Kind
    from bsim.fuzz.files import CORPUS, FINDINGS, Folder

    check_bounds(args)
    jobs_of(args.jobs, most=most_jobs() if args.cluster is None else None)
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
        max_time=args.max_time if bounded else TIME,
        max_apdus=args.max_apdus,
        max_failures=args.max_failures,
        shrink=not args.no_shrink,
        folder=args.dir,
        seeds=seeds,
        standing=standing,
    )


def refuse_for_readers(args: argparse.Namespace) -> None:
    """UsageError names what was asked for and would not be done with cards in readers."""
    no_recording(args.on)
    from bsim.fuzz.card_engine import sendable
    from bsim.fuzz.grammar import grammar

    parser = argparse.ArgumentParser()
    add_run_options(parser)
    usual = vars(parser.parse_args([]))
    several = "," in args.on
    names = (*_NOT_ON_READERS, *(_NOT_ON_SEVERAL if several else _NOT_ON_ONE))
    if given := [f"--{name}" for name in names if vars(args)[name] != usual[name]]:
        raise UsageError(f"{', '.join(given)}: not with {'cards in several readers' if several else 'one card'}")
    commands = commands_of(args.include, args.exclude)
    if not sendable(grammar(), commands):
        raise UsageError("no command is left that may be sent to a card in a reader")


def check_bounds(args: argparse.Namespace) -> None:
    """UsageError where a budget is none: a run that ends before it begins would seem to go well."""
    for name in ("max_time", "max_apdus", "max_failures"):
        value = vars(args)[name]
        if value == float("inf"):
            raise UsageError("--max-time is a number of seconds; `bsim fuzz campaign` without it goes on until Ctrl-C")
        if value is not None and not value > 0:  # what is not a number is not more either
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


def jobs_of(text: str, most: int | None = None) -> int:
    """Read `-j`; UsageError if it is no number of processes, or more than are allowed."""
    if text == "auto":
        return os.cpu_count() or 1
    jobs = int(text) if text.isdecimal() and len(text) < _DIGITS else 0
    if not jobs:
        raise UsageError("-j is a number of processes, or auto")
    if most is not None and jobs > most:
        raise UsageError(f"-j {jobs}: {most} processes at most on this machine")
    return jobs


def most_jobs() -> int:
    """How many processes a run may have here: what is more was mistyped, and would bring the machine down."""
    return max(64, 4 * (os.cpu_count() or 1))


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
