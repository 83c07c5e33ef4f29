"""`bsim diff`: the same script to two cards, and where they differ."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bsim.cli.common import UsageError, keyring, note, parse_hex, print_json, reader_options
from bsim.cli.examine import SAFETY, add_safety, permit, scenarios, writable, write

if TYPE_CHECKING:
    from bsim.lab.cases import Case
    from bsim.lab.diff import Difference, Pair
    from bsim.lab.subject import Subject
    from bsim.lab.transcript import Transcript

EXAMPLES = f"""\
examples:
  bsim diff --on reader:0 --on ram                    a real card and the test card
  bsim diff --on reader:0 --on card.bsim --time
  bsim diff --on reader:0 --on ram --learn profile.toml --rounds 5
  bsim diff --on one.bsim --on other.bsim --only --scenario session.txt
  bsim diff --on reader:0 --on reader:1 --apdu 00A4040C07A0000001510000 --apdu 80CA001100

{SAFETY}
What must differ from card to card is left out: keys, signatures, challenges, cipher texts, the
ICCID's digits.
Exit codes: 0 equal, 1 different, 2 no such card, or it is gone.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--on", metavar="TARGET", action="append", required=True, help="a card; twice")
    parser.add_argument("--apdu", metavar="HEX", action="append", default=[], help="send these, and nothing else")
    parser.add_argument("--time", action="store_true", help="compare how long commands take, too")
    parser.add_argument("--rounds", metavar="N", type=int, default=1, help="run the script N times (default: 1)")
    parser.add_argument("--learn", metavar="FILE", type=Path, help="write the first card's likeness for --like")
    add_safety(parser)


def run(args: argparse.Namespace) -> int:
    """Compare them, and report."""
    from bsim.lab import diff, learn
    from bsim.lab.likeness import write as as_toml
    from bsim.lab.subject import subject

    if len(args.on) != 2 or args.rounds < 1:
        raise UsageError("two cards are compared: --on A --on B, and --rounds is 1 or more")
    writable(args.learn)
    given = [*scenarios(args), *_apdus(args.apdu)]
    twins: list[Subject] = []
    try:
        twins.extend(subject(target, permit(args), keyring(args), reader_options(args)) for target in args.on)
        cases = diff.script(twins, given, only=args.only or bool(args.apdu))
        _tell(cases, twins)
        if args.dry_run:
            return 0
        pairs = [pair for _ in range(args.rounds) for pair in diff.meet(cases, twins, args.bpin)]
    finally:
        for twin in twins:
            twin.close()
    found = diff.differences(pairs)
    if args.time:
        found += diff.timing(pairs)
    if args.learn:
        write(args.learn, as_toml(learn.learn(args.on[0], pairs)))
    _report(args, found, pairs)
    return 1 if found else 0


def _tell(cases: "list[Case]", twins: "list[Subject]") -> None:
    from bsim.lab.conform import plan

    for twin in twins:
        for line in plan(cases, twin):
            note(line)


def _report(args: argparse.Namespace, found: "list[Difference]", pairs: "list[Pair]") -> None:
    from bsim.lab.diff import left_out

    left = left_out(pairs)
    compared = len(pairs) - left.total()
    if args.json:
        differing = [asdict(one) for one in found]
        print_json(
            {"cards": args.on, "equal": not found, "compared": compared, "not_compared": left, "differences": differing}
        )
        return
    for one in found:
        print(f"{one.what}: {one.command}: {one.title}")
        if one.sent:
            print(f"    > {one.sent}")
        print(f"    < {args.on[0]}: {one.first or 'no data'}\n    < {args.on[1]}: {one.second or 'no data'}")
    cases = f"{compared} case{'s' * (compared != 1)}" + (f" of {args.rounds} rounds" if args.rounds > 1 else "")
    print(f"{len(found)} difference{'s' * (len(found) > 1)} in {cases}" if found else f"equal in {cases}")
    for words, count in left.most_common():
        print(f"  not compared, {count}: {words}")


def _apdus(given: list[str]) -> "list[Transcript]":
    from bsim.lab.transcript import Step, Transcript

    if not given:
        return []
    steps = tuple(Step(number, parse_hex(text, "--apdu").hex().upper()) for number, text in enumerate(given, 1))
    return [Transcript("apdus", "the APDUs given", "any", "none", steps)]
