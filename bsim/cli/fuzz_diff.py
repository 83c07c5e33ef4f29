"""`bsim fuzz diff`: the same sequences to two cards, and where they differ."""

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bsim.cli.common import UsageError, add_json, note, print_json
from bsim.cli.fuzz_part import Parts, corpus, no_recording, part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bsim.card import Uicc
    from bsim.fuzz.card_rig import CardRig
    from bsim.fuzz.compare import Difference, Make
    from bsim.fuzz.steps import Step

_DIFF: Final = """\
examples:
  bsim fuzz diff --on ram --on t0 --seed 7          the card as it is, and over T=0
  bsim fuzz diff --on card.bsim --on ram --corpus night/corpus
  bsim fuzz diff --on ram --on reader:0 --allow-card 8986030000000000072 --bpin 123456

Card files are copied into memory and never written. A card in a reader is sent what `bsim fuzz run` may send it, and no
wrong BPIN; what it is not sent the other is not sent either. Both then are one card from start to end, so the other
should be in the state the one in the reader is in.

Exit codes: 0 alike, 1 they differ, 2 wrong usage or no such card, 3 a safety rule or a lost card ended the comparison
(what was found until then is told), 130 interrupted (as well).
"""
_NEW: Final = "personalised"
_USED: Final = "operational"


def add(parts: Parts) -> None:
    """Declare it."""
    from bsim.cli.fuzz_reader import add_reader_options

    parser = part(parts, "diff", "the same sequences to two cards, and where they differ", _DIFF, execute)
    parser.add_argument(
        "--on", metavar="TARGET", action="append", default=[], help="twice: ram, t0, FILE.bsim; one may be reader:NAME"
    )
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    parser.add_argument("--sequences", metavar="N", type=int, default=500, help="default: 500")
    parser.add_argument("--corpus", metavar="DIR", type=Path, help="these sequences, and none made up")
    add_json(parser)
    add_reader_options(parser)


def execute(args: argparse.Namespace) -> int:
    """Compare; 1 if they differ. Whatever ends it, what was found is told."""
    from bsim.cli.fuzz_reader import given_for_reader
    from bsim.fuzz.policy import SafetyStop

    if len(args.on) != 2:
        raise UsageError("--on is given twice, once for each card")
    no_recording(*args.on)
    if not _real(args) and (idle := given_for_reader(args)):
        raise UsageError(f"{', '.join(idle)}: for a card in a reader, and none is")
    if args.sequences < 1:
        raise UsageError("--sequences is 1 or more")
    found: list[Difference] = []
    try:
        for one in _differences(args):
            found.append(one)
    except (SafetyStop, KeyboardInterrupt):
        _tell(args, found)
        raise
    _tell(args, found)
    return 1 if found else 0


def _differences(args: argparse.Namespace) -> "Iterator[Difference]":
    from bsim.fuzz import cards, compare

    with cards.quick_backups(), ExitStack() as opened:
        makers = [_maker(args, target, opened) for target in args.on]
        yield from compare.differences(makers, _sequences(args))


def _tell(args: argparse.Namespace, found: "Sequence[Difference]") -> None:
    if args.json:
        print_json([one.as_json() for one in found])
    else:
        for one in found:
            print(f"{one.command}  {one.raw.hex().upper()}")
            print(f"  {args.on[0]:<16} {one.first}")
            print(f"  {args.on[1]:<16} {one.second}  after {one.step} steps")
        note(f"seed {args.seed}: {len(found)} difference{'s' * (len(found) != 1)}")


def _real(args: argparse.Namespace) -> list[str]:
    from bsim.lab.targets import is_real

    return [target for target in args.on if is_real(target)]


def _sequences(args: argparse.Namespace) -> "Iterable[Sequence[Step]]":
    from bsim.fuzz import compare
    from bsim.fuzz.card_engine import sendable
    from bsim.fuzz.grammar import grammar

    real = bool(_real(args))
    root, commands = (_USED, sendable(grammar())) if real else (_NEW, None)
    steps: Iterable[Sequence[Step]]
    if args.corpus:
        steps = [seed.steps for seed in corpus(args.corpus)]
    else:
        steps = compare.made(args.seed, args.sequences, root, commands)
    return compare.harmless(steps, root) if real else steps


def _maker(args: argparse.Namespace, target: str, opened: ExitStack) -> "Make":
    """What answers a target's card after a reset. Beside one in a reader, which stays, the other stays as well."""
    from bsim.fuzz.steps import POWER_CYCLE

    real = _real(args)
    if not real:
        return _emulated(target, _NEW)
    rig = _in_reader(args, opened) if target in real else _emulated(target, _USED)()

    def again() -> "CardRig":
        rig.do(POWER_CYCLE)
        return rig

    return again


def _in_reader(args: argparse.Namespace, opened: ExitStack) -> "CardRig":
    """The card in a reader, within the rules of safe mode. No try is spent: only one of the cards would get it back."""
    from bsim.cli.fuzz_reader import safe_card
    from bsim.fuzz.card_rig import CardRig
    from bsim.fuzz.grammar import grammar

    real = _real(args)
    if len(real) > 1:
        raise UsageError("one card may be in a reader; `bsim diff` compares two that are")
    if args.unsafe:
        raise UsageError("cards are compared within the rules: no --unsafe")
    safe = opened.enter_context(safe_card(argparse.Namespace(**vars(args) | {"on": real[0]}), wrong=False))
    return CardRig(grammar(), safe, args.bpin)


def _emulated(target: str, kind: str) -> "Make":
    """What makes an emulated card anew; `ram` and `t0` are of a kind, a file's card is copied."""
    from bsim.applets.wallet_state import WalletState
    from bsim.fuzz.card_rig import CardRig
    from bsim.fuzz.grammar import grammar
    from bsim.lab.subject import OverT0

    power = _power(target, kind)

    def made() -> CardRig:
        uicc = power()
        bpin = next(state.bpin for state in uicc.states if isinstance(state, WalletState))
        return CardRig(grammar(), OverT0(uicc) if target == "t0" else uicc, bpin.decode())

    return made


def _power(target: str, kind: str) -> "Callable[[], Uicc]":
    from bsim.fuzz import cards
    from bsim.lab.targets import records_of
    from bsim.profiles import power_on
    from bsim.store import RamStore

    if target in {"ram", "t0"}:
        return lambda: cards.make(kind)[0]
    records = records_of(target)
    return lambda: power_on(RamStore(records), cards.CounterRng())
