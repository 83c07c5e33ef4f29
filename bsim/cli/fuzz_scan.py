"""`bsim fuzz scan`: which classes and instructions a card answers, declared or not."""

import argparse
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from bsim.cli.common import UsageError, add_json, note, parse_hex, print_json
from bsim.cli.fuzz_part import Parts, no_recording, part

if TYPE_CHECKING:
    from bsim.fuzz.scan import Scan, Seen
    from bsim.ports import Card

_SCAN: Final = """\
examples:
  bsim fuzz scan                               everything the emulated card answers
  bsim fuzz scan --on reader:0 --allow-card ICCID      only instructions that read are sent
  bsim fuzz scan --aid A0000000871002 --json   another application too
"""
_LONGEST_AID: Final = 16  # ISO/IEC 7816-4 8.2.1.2
_NONE: Final = "none"

Applications = list[tuple[str, Callable[[], None]]]


def add(parts: Parts) -> None:
    """Declare it."""
    from bsim.cli.fuzz_reader import add_reader_options

    one = part(parts, "scan", "find the classes and instructions a card answers", _SCAN, execute)
    one.add_argument("--on", metavar="TARGET", default="ram", help="ram, or reader:NAME")
    one.add_argument("--aid", metavar="HEX", action="append", default=[], help="an application that is not declared")
    add_json(one)
    add_reader_options(one)


def execute(args: argparse.Namespace) -> int:
    """Scan; 0 whatever is found."""
    from bsim.fuzz.grammar import grammar
    from bsim.fuzz.scan import scan, undeclared

    no_recording(args.on)
    aids = {digits.upper(): _aid(digits) for digits in args.aid}
    with _card(args, aids) as (card, applications):
        told = scan(card, applications, grammar())
    if args.json:
        rows = [{**_header(one), "sw": f"{one.sw:04X}", "command": one.name or None} for one in told.seen]
        print_json({"sent": told.sent, "refused": told.refused, "seen": rows})
        return 0
    for name, classes in told.classes.items():
        print("\n".join(_section(told, name, classes)))
    odd = undeclared(told)
    print(f"{told.sent:,} headers sent, {len(told.seen)} answered, {len(odd)} of them not declared", end="")
    print(f"; {told.refused:,} not sent, as they might change the card" if told.refused else "")
    return 0


def _section(told: "Scan", name: str, classes: list[int]) -> Iterator[str]:
    yield f"{name or 'nothing'} selected, classes {' '.join(f'{cla:02X}' for cla in classes)}"
    for one in told.seen:
        if one.application == name:
            yield f"  {one.cla:02X} {one.ins:02X}  {one.sw:04X}  {one.name or '(not declared)'}"


def _header(one: "Seen") -> dict[str, object]:
    return {"application": one.application or None, "cla": f"{one.cla:02X}", "ins": f"{one.ins:02X}"}


@contextmanager
def _card(args: argparse.Namespace, aids: dict[str, bytes]) -> "Iterator[tuple[Card, Applications]]":
    """The card, and its applications by name, each with what brings the card into it."""
    from bsim.spec import spec

    selected = {name: applet.aids[0] for name, applet in spec().applets.items() if applet.aids} | aids
    if args.on == "ram":
        from bsim.fuzz import cards

        with cards.quick_backups():
            uicc, store = cards.make("operational")
            applications: Applications = []
            for name, aid in {"": b"", **selected}.items():
                uicc.reset()
                if not name or _there(uicc, name, aid, aids):
                    applications.append((name, uicc.snapshot(store).restore))
            yield uicc, applications
        return
    from bsim.cli.fuzz_reader import safe_card
    from bsim.lab.guard import EVERYTHING, Guard, Permit

    with safe_card(args, typed=False) as safe:
        there = [name for name, aid in selected.items() if _there(safe, name, aid, aids)]
        guard = Guard(safe, EVERYTHING if args.unsafe else Permit())
        yield guard, [("", _entering(safe)), *((name, _entering(safe, selected[name])) for name in there)]


def _entering(card: "Card", aid: bytes = b"") -> Callable[[], None]:
    """What resets a card, and selects an application."""

    def enter() -> None:
        card.reset()
        if aid:
            _select(card, aid)

    return enter


def _aid(digits: str) -> bytes:
    """An AID as it was typed; UsageError for what SELECT has no room for, or would take for no AID."""
    aid = parse_hex(digits, "--aid")
    if not 1 <= len(aid) <= _LONGEST_AID:
        raise UsageError(f"--aid has 1 to {_LONGEST_AID} bytes")
    return aid


def _there(card: "Card", name: str, aid: bytes, asked: Collection[str]) -> bool:
    """Whether the card has an application; of one that was asked for it is told that it has not."""
    sw = _select(card, aid)
    there = sw >> 8 in {0x90, 0x91, 0x61}
    if name in asked and not there:
        note(f"--aid {name}: it cannot be selected, the card answers {sw:04X}")
    return there


def _select(card: "Card", aid: bytes) -> int:
    """Select an application, no answer wanted; the status word."""
    from bsim.spec import encode, spec

    command = spec().applets["uicc"].commands["SELECT"]
    answer = card.transmit(encode(command, {"method": 4, "control": 12, "identifier": aid}).encode())
    return int.from_bytes(answer[-2:], "big")
