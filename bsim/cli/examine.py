"""What `bsim conform` and `bsim diff` share: what they may do to a real card, and the scenarios they are given."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from bsim.cli.common import DEFAULT_BPIN, UsageError, add_json, add_keys, add_reader, check_bpin
from bsim.lab.guard import Permit

if TYPE_CHECKING:
    from bsim.lab.transcript import Transcript

SAFETY = """\
A card in a reader is safe by default: only commands that change nothing are sent, and no BPIN is
typed. --allow-writes lets slots be filled and keys be written, --allow-irreversible what nothing
brings back (RESTORE SEED, SET BPIN, ...), and --tries-left N says how many BPIN tries the card has,
of which the last two are never spent. Card files are copied into memory and never written.
"""


def add_safety(parser: argparse.ArgumentParser) -> None:
    """`--allow-writes` and its like, `--scenario`, `--only`, `--dry-run` and `--json`."""
    parser.add_argument(
        "--scenario", metavar="FILE", type=Path, action="append", default=[], help="a transcript to run too"
    )
    parser.add_argument("--only", action="store_true", help="run the scenarios, and nothing else")
    parser.add_argument("--dry-run", action="store_true", help="print what would be sent, and stop")
    parser.add_argument("--allow-writes", action="store_true", help="fill slots and write keys on a real card")
    parser.add_argument("--allow-irreversible", action="store_true", help="do what nothing brings back, too")
    parser.add_argument(
        "--extended", action="store_true", help="a card in a reader has bsim's own commands (INS D0-DF): send them too"
    )
    parser.add_argument("--tries-left", metavar="N", type=int, help="the BPIN tries a real card has left")
    parser.add_argument("--bpin", default=DEFAULT_BPIN, help="the six digits that are typed (default: 123456)")
    add_keys(parser)
    add_reader(parser)
    add_json(parser)


def permit(args: argparse.Namespace) -> Permit:
    """What may be done to a real card."""
    check_bpin(args)
    return Permit(args.allow_writes, args.allow_irreversible, args.tries_left, args.extended)


def scenarios(args: argparse.Namespace) -> "list[Transcript]":
    """The scenario files; UsageError if one cannot be read, or none is there to be run only."""
    from bsim.lab.transcript import TranscriptError, read

    if args.only and not args.scenario and not vars(args).get("apdu"):
        raise UsageError("--only runs the scenarios, and none is given: --scenario FILE")
    try:
        return [read(path) for path in args.scenario]
    except TranscriptError as fault:
        raise UsageError(f"--scenario {fault}") from fault


def writable(*paths: Path | None) -> None:
    """Say before anything is sent that a report could not be written."""
    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise UsageError(f"{path}: this is a folder")
        if not path.parent.is_dir():
            raise UsageError(f"{path}: there is no folder {path.parent}")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise UsageError(f"{path}: this may not be written")


def write(path: Path | None, text: str) -> None:
    """Write a report, if it is asked for."""
    if path is None:
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise UsageError(f"{path}: {fault.strerror}") from fault
