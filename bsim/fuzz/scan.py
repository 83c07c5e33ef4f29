"""Which classes and instructions a card answers, application by application, whatever is declared of it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from bsim.apdu import CLAS
from bsim.fuzz.grammar import Grammar, ended_well
from bsim.lab.guard import UNUSED_INS, Unsafe
from bsim.ports import Card
from bsim.sw import SW

_NOT_THERE: Final = frozenset({SW.INS_NOT_SUPPORTED, SW.CLA_NOT_SUPPORTED})
_NO_CLASS: Final = frozenset({SW.CLA_NOT_SUPPORTED, SW.CHANNEL_NOT_SUPPORTED, SW.SECURE_MESSAGING_NOT_SUPPORTED})
# One class for each way to be coded, on the basic channel. ISO/IEC 7816-4 5.4.1.
CLASSES: Final = tuple(cla for cla in range(255) if CLAS[cla].base == cla and CLAS[cla].valid and not CLAS[cla].channel)
# ISO/IEC 7816-3 10.3.3: 6x and 9x are no instructions; with T=0 they would be taken for procedure bytes.
INSTRUCTIONS: Final = tuple(ins for ins in range(256) if ins >> 4 not in {6, 9})


@dataclass(frozen=True, slots=True)
class Seen:
    """An instruction that is there: what a bare header was answered, and its name if it is declared."""

    application: str
    cla: int
    ins: int
    sw: int
    name: str


@dataclass(slots=True)
class Scan:
    """What a scan came to; `refused` were not sent, as they might have changed the card."""

    seen: list[Seen]
    classes: dict[str, list[int]]
    sent: int = 0
    refused: int = 0


def scan(
    card: Card,
    applications: Iterable[tuple[str, Callable[[], None]]],
    grammar: Grammar,
    instructions: Iterable[int] = INSTRUCTIONS,
) -> Scan:
    """Send bare headers to each application; its function selects it, or brings the card back to where it is."""
    told = Scan([], {})
    tried = tuple(instructions)
    for name, enter in applications:
        enter()
        applet = name if name in grammar.spec.applets else ""
        classes = told.classes[name] = list(_classes(card, told))
        for cla in classes:
            for ins in tried:
                sw = _sent(card, told, cla, ins)
                if sw is None or sw in _NOT_THERE:
                    continue
                entry = grammar.find(applet, bytes((cla, ins, 0, 0)))
                told.seen.append(Seen(name, cla, ins, sw, entry.name if entry is not None else ""))
                if ended_well(sw):
                    enter()  # it may have selected something else
    return told


def undeclared(told: Scan) -> list[Seen]:
    """Answer what is there and nobody declared."""
    return [one for one in told.seen if not one.name]


def _classes(card: Card, told: Scan) -> Iterator[int]:
    for cla in CLASSES:
        sw = _sent(card, told, cla, UNUSED_INS)
        if sw is not None and sw not in _NO_CLASS:
            yield cla


def _sent(card: Card, told: Scan, cla: int, ins: int) -> int | None:
    """The status word of a bare header; None if it was not permitted."""
    try:
        response = card.transmit(bytes((cla, ins, 0, 0)))
    except Unsafe:
        told.refused += 1
        return None
    told.sent += 1
    return int.from_bytes(response[-2:], "big")
