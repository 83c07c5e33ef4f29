"""`bsim fuzz diff`: the same sequences to two cards, and where they differ."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bsim.cli.common import UsageError, add_json, note, print_json
from bsim.cli.fuzz_part import Parts, part

if TYPE_CHECKING:
    from collections.abc import Callable

    from bsim.ports import Card

_DIFF: Final = """\
examples:
  bsim fuzz diff --on ram --on t0 --seed 7          the card as it is, and over T=0
  bsim fuzz diff --on card.bsim --on ram --corpus night/corpus

Card files are copied into memory and never written. Cards in readers are compared with `bsim diff`, which
knows what may be sent to them. Exit codes: 0 alike, 1 they differ.
"""


def add(parts: Parts) -> None:
    """Declare it."""
    parser = part(parts, "diff", "the same sequences to two cards, and where they differ", _DIFF, execute)
    parser.add_argument("--on", metavar="TARGET", action="append", default=[], help="twice: ram, t0 or FILE.bsim")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    parser.add_argument("--sequences", metavar="N", type=int, default=500, help="default: 500")
    parser.add_argument("--corpus", metavar="DIR", type=Path, help="these sequences, and none made up")
    add_json(parser)


def execute(args: argparse.Namespace) -> int:
    """Compare; 1 if they differ."""
    from bsim.fuzz import cards, compare

    if len(args.on) != 2:
        raise UsageError("--on is given twice, once for each card")
    with cards.quick_backups():
        sequences = compare.given(args.corpus) if args.corpus else compare.made(args.seed, args.sequences)
        found = compare.differences([_maker(target) for target in args.on], sequences)
    if args.json:
        print_json([one.as_json() for one in found])
    else:
        for one in found:
            print(f"{one.command}  {one.raw.hex().upper()}")
            print(f"  {args.on[0]:<16} {one.first.hex().upper()}")
            print(f"  {args.on[1]:<16} {one.second.hex().upper()}  after {one.step} steps")
        note(f"seed {args.seed}: {len(found)} differences")
    return 1 if found else 0


def _maker(target: str) -> "Callable[[], Card]":
    from bsim.fuzz import cards
    from bsim.lab.subject import OverT0
    from bsim.lab.targets import open_file
    from bsim.profiles import power_on
    from bsim.store import RamStore

    if target in {"ram", "t0"}:

        def made() -> "Card":
            card, _ = cards.make("personalised")
            return OverT0(card) if target == "t0" else card

        return made
    store = open_file(target)
    try:
        records = dict(store.read())
    finally:
        store.close()
    return lambda: power_on(RamStore(records), cards.CounterRng())
