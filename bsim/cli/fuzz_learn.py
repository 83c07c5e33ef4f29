"""`bsim fuzz learn`: what a card does, learned from its answers, and where the declaration has it otherwise."""

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bsim.cli.common import UsageError, add_json, note, print_json
from bsim.cli.fuzz_part import Parts, no_recording, part

if TYPE_CHECKING:
    from bsim.fuzz.learn.alphabet import Alphabet
    from bsim.fuzz.learn.learner import Learned
    from bsim.fuzz.learn.machine import Difference, Mealy
    from bsim.fuzz.rig import Rig

_LEARN: Final = """\
examples:
  bsim fuzz learn                              the emulated card against the declaration; 1: differs
  bsim fuzz learn --svg card.svg               a picture of it; needs Graphviz
  bsim fuzz learn --kind locked --dot locked.dot --save locked.json
  bsim fuzz learn --symbols > few.txt          to be cut down, for --alphabet few.txt
  bsim fuzz learn --on reader:0 --allow-card ICCID --words 200 --against emulated.json
"""
_KINDS: Final = ("operational", "personalised", "factory", "recovery", "locked", "terminated")


def add(parts: Parts) -> None:
    """Declare it."""
    from bsim.cli.fuzz_reader import add_reader_options

    one = part(parts, "learn", "learn what a card does, and compare it with the declaration", _LEARN, execute)
    one.add_argument("--on", metavar="TARGET", default="ram", help="ram, or reader:NAME")
    one.add_argument("--kind", choices=_KINDS, help="the kind of card (default: operational; on a reader: not known)")
    one.add_argument("--alphabet", metavar="FILE", type=Path, help="symbols: a name and bytes a line, as in a finding")
    one.add_argument("--symbols", action="store_true", help="print the alphabet, and do nothing")
    one.add_argument("--seed", type=int, default=1, help="of the words that test the model (default: 1)")
    one.add_argument("--words", metavar="N", type=int, default=4000, help="how many of them (default: 4000)")
    one.add_argument("--max-apdus", metavar="N", type=int, default=50_000, help="default: 50000")
    one.add_argument("--dot", metavar="FILE", type=Path, help="write it in Graphviz's language")
    one.add_argument("--svg", metavar="FILE", type=Path, help="have Graphviz draw it (Debian's package: graphviz)")
    one.add_argument("--save", metavar="FILE", type=Path, help="keep it as JSON")
    one.add_argument("--against", metavar="FILE", type=Path, help="compare with a kept one instead of the declaration")
    add_json(one)
    add_reader_options(one)


def execute(args: argparse.Namespace) -> int:
    """Learn and compare; 1 where they differ."""
    from bsim.fuzz.learn.draw import find_graphviz
    from bsim.fuzz.learn.machine import differences

    no_recording(args.on)
    if args.words < 1:
        raise UsageError("--words is 1 or more: without any the model would not be tested")
    life = args.kind or ("operational" if args.on == "ram" else None)
    symbols = _symbols(args, life)
    if args.symbols:
        from bsim.fuzz.finding import line

        print("\n".join(line(name, step, "").removesuffix("  ->").rstrip() for name, step in symbols.items()))
        return 0
    other = _other(args, symbols, life)
    graphviz = find_graphviz() if args.svg is not None else ""  # before the card is asked, which may take long
    learned = _learned(args, symbols, other, life)
    found = differences(learned.machine, other)
    _keep(args, learned.machine, graphviz)
    if args.json:
        print_json(_as_json(learned, found))
    else:
        print("\n".join(_told(learned, found, "the kept one" if args.against else "the declaration")))
    return 1 if found else 0


def _symbols(args: argparse.Namespace, life: str | None) -> "Alphabet":
    from bsim.fuzz import cards
    from bsim.fuzz.learn import alphabet

    bpin = cards.BPIN if args.on == "ram" or args.symbols else args.bpin  # nobody's PIN is printed
    if args.alphabet is not None:
        return alphabet.read(args.alphabet, bpin)
    symbols = alphabet.default(alphabet.LIFE.get(life or ""), bpin)
    if args.on == "ram":
        return symbols
    from bsim.fuzz.grammar import grammar
    from bsim.fuzz.rules import never

    commands = {entry.name: entry.command for entry in grammar().entries}
    return {name: step for name, step in symbols.items() if name not in commands or not never(commands[name])}


def _other(args: argparse.Namespace, symbols: "Alphabet", life: str | None) -> "Mealy":
    """What the card is compared with."""
    from bsim.fuzz.learn.alphabet import LIFE
    from bsim.fuzz.learn.declared import Declared
    from bsim.fuzz.learn.machine import MachineError, from_json

    if args.against is None:
        return Declared(symbols, LIFE.get(life or ""), prepared=args.on == "ram").machine()
    try:
        return from_json(json.loads(args.against.read_text(encoding="utf-8")))
    except OSError as fault:
        raise MachineError(f"{args.against}: cannot be read ({fault.strerror})") from fault
    except ValueError as fault:
        raise MachineError(f"{args.against}: {fault}") from fault


def _learned(args: argparse.Namespace, symbols: "Alphabet", other: "Mealy", life: str | None) -> "Learned":
    from bsim.fuzz.learn.machine import differences

    try:
        from bsim.fuzz.learn.learner import TooLong, learn
    except ImportError as fault:
        raise UsageError("AALpy is not installed: pip install 'bsim[fuzz]'") from fault
    with _card(args, life) as (rig, reset):
        try:
            return learn(
                rig,
                symbols,
                reset,
                seed=args.seed,
                words=args.words,
                budget=args.max_apdus,
                hints=lambda model: [one.word for one in differences(model, other)],
            )
        except TooLong as fault:
            raise UsageError(str(fault)) from fault


@contextmanager
def _card(args: argparse.Namespace, kind: str | None) -> "Iterator[tuple[Rig, Callable[[], None]]]":
    """The card that is asked, and what brings it back to where it begins."""
    from bsim.fuzz import cards
    from bsim.fuzz.grammar import grammar
    from bsim.fuzz.learn.emulated import prepared
    from bsim.fuzz.steps import POWER_CYCLE

    if args.on == "ram":
        with cards.quick_backups():
            yield prepared(kind or "operational")
        return
    from bsim.cli.fuzz_reader import safe_card
    from bsim.fuzz.card_rig import CardRig

    with safe_card(args) as safe:
        rig = CardRig(grammar(), safe, args.bpin)
        yield rig, lambda: rig.do(POWER_CYCLE)


def _keep(args: argparse.Namespace, machine: "Mealy", graphviz: str) -> None:
    from bsim.fuzz.learn import draw

    drawn = draw.dot(machine, f"bsim fuzz learn --on {args.on}")
    if args.dot is not None:
        _write(args.dot, drawn)
    if args.svg is not None:
        _write(args.svg, draw.svg(graphviz, drawn))
    if args.save is not None:
        _write(args.save, json.dumps(machine.as_json(), indent=1) + "\n")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise UsageError(f"{path}: {fault.strerror}") from fault
    note(f"written {path}")


def _as_json(learned: "Learned", found: "list[Difference]") -> dict[str, object]:
    return {
        "machine": learned.machine.as_json(),
        "apdus": learned.apdus,
        "equivalence": {
            "words": learned.tested,
            "beyond_each_state": learned.depth,
            "apdus": learned.tested_apdus,
        },
        "differences": [{"word": list(one.word), "card": one.first, "other": one.second} for one in found],
    }


def _told(learned: "Learned", found: "list[Difference]", other: str) -> Iterator[str]:
    model = learned.machine
    yield f"{model.states} states, {len(model.alphabet)} symbols, {learned.apdus:,} APDUs in {learned.words:,} words"
    yield (
        f"equivalence: {learned.tested:,} words of up to {learned.depth} symbols beyond each state"
        f" ({learned.tested_apdus:,} APDUs) found nothing more"
    )
    for one in found:
        yield f"differs: {', '.join(one.word)}: the card {one.first}, {other} {one.second}"
    yield f"as {other} has it" if not found else f"{len(found)} difference{'s' * (len(found) > 1)} from {other}"
