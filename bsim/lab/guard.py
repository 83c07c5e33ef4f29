"""What may be sent to a card that somebody needs again. The rule: what is not known to be harmless is not sent.

The declaration says of each command the worst it may do (`danger`); the guard stands before a real card and lets
through what the user permitted, and never the last two tries of a PIN.
"""

from dataclasses import dataclass
from typing import Final

from bsim import tlv
from bsim.apdu import CLAS, body
from bsim.ports import Card
from bsim.spec import Command, Danger, spec
from bsim.sw import OK, SwError

ORDER: Final = (Danger.SAFE, Danger.CONSUMES_TRY, Danger.WRITES, Danger.IRREVERSIBLE)
FLOOR: Final = 2  # tries of a PIN that are never spent
# Instructions that only read: ISO/IEC 7816-4 table 4 (GET CHALLENGE, SELECT, READ BINARY and RECORD, GET RESPONSE, GET
# DATA); ETSI TS 102 221 table 10.5 (STATUS). And one no standard has, which is sent to see it refused.
UNUSED_INS: Final = 0x02
_READING: Final = frozenset((0x84, 0xA4, 0xB0, 0xB1, 0xB2, 0xB3, 0xC0, 0xCA, 0xCB, 0xF2, UNUSED_INS))
_TEXT_STRING: Final = 0x0D  # ETSI TS 102 223 8.15
_PIN_RIGHT: Final = "bpin"
_ANSWER: Final = "TERMINAL_RESPONSE"


class Unsafe(Exception):  # noqa: N818 - a decision, told to people
    """A command that was not sent; the message says why."""


@dataclass(frozen=True, slots=True)
class Permit:
    """What may be done to a card: nothing that stays, unless said otherwise. `tries` are those its PIN has left.

    `extended` says that the card has what this project adds to the real card's commands, and may be sent it.
    """

    writes: bool = False
    irreversible: bool = False
    tries: int | None = None
    extended: bool = False

    def refusal(self, danger: Danger) -> str:
        """Why commands of a danger are not sent; nothing if they are."""
        if danger is Danger.CONSUMES_TRY and (self.tries is None or self.tries <= FLOOR):
            known = "how many are left is not known (--tries-left)" if self.tries is None else f"{self.tries} are left"
            return f"may spend a try of the PIN, and {known}"
        if danger is Danger.WRITES and not self.writes:
            return "changes what the card keeps (--allow-writes)"
        if danger is Danger.IRREVERSIBLE and not self.irreversible:
            return "changes what nothing brings back (--allow-irreversible)"
        return ""


EVERYTHING: Final = Permit(writes=True, irreversible=True, tries=255, extended=True)


class Guard:
    """A card that is sent nothing that is not permitted; itself a card. `sent` counts what went through."""

    def __init__(self, card: Card, permit: Permit) -> None:
        self._card: Final = card
        self._permit: Final = permit
        self._tries = permit.tries
        self.sent = 0

    def reset(self) -> bytes:
        """Power-cycle the card; answers the ATR."""
        return self._card.reset()

    def transmit(self, command: bytes) -> bytes:
        """Carry one APDU; Unsafe if it is not permitted."""
        if refusal := self._permit.refusal(danger_of(command, extended=self._permit.extended)):
            raise Unsafe(f"{command[:4].hex().upper()} was not sent: it {refusal}")
        typed = _types_text(command)
        if typed:
            self._spend()
        self.sent += 1
        response = self._card.transmit(command)
        if response[-2:] == OK and _proves_pin(command):
            # What was typed was right, and the card has given all tries back. A 9000 after typing does not say so.
            self._tries = self._permit.tries
        return response

    def _spend(self) -> None:
        """Take note of a try before it is spent; Unsafe if it is one of the last two, or could be."""
        if self._tries is None or self._tries <= FLOOR:
            raise Unsafe("nothing was typed: it could spend one of the last tries of the PIN")
        self._tries -= 1


def danger_of(command: bytes, *, extended: bool = True) -> Danger:
    """Answer the worst a command APDU may do, whatever applet is selected.

    What a card without `extended` commands does at their instructions nobody knows.
    """
    if len(command) < 4:
        return Danger.SAFE
    found = [entry for entry in declared(command) if extended or not entry.extension]
    if any(entry.name == _ANSWER for entry in found) and not _types_text(command):
        return Danger.SAFE
    if found:
        return max((entry.danger for entry in found), key=ORDER.index)
    return Danger.SAFE if command[1] in _READING else Danger.IRREVERSIBLE


def declared(command: bytes) -> list[Command]:
    """Answer the declarations an APDU may be meant for: by instruction and class, or by the instruction alone.

    Those that P1 and P2 fit come first, and of these and the others the card's own.
    """
    every = [c for applet in spec().applets.values() for c in applet.commands.values() if c.ins == command[1]]
    # A card that does not look at the class would carry it out all the same; but our own instructions mean something
    # else in the classes of ISO/IEC 7816-4, where D6 is UPDATE BINARY.
    found = [c for c in every if CLAS[command[0]].base in c.cla] or [c for c in every if not c.extension]
    return sorted(found, key=lambda c: (not c.takes(command), c.applet != "uicc"))


def _proves_pin(command: bytes) -> bool:
    """Whether a card carries this out only after the right PIN."""
    return any(_PIN_RIGHT in entry.needs for entry in declared(command)) if len(command) >= 4 else False


def _types_text(command: bytes) -> bool:
    """Whether this is a TERMINAL RESPONSE with something that was typed."""
    terminal_response = spec().applets["uicc"].commands[_ANSWER]
    if len(command) < 4 or command[1] != terminal_response.ins:
        return False
    try:
        start, end, _ = body(command)
        return any(part.tag == _TEXT_STRING for part in tlv.parse_comprehension(command[start:end]))
    except SwError:
        # It cannot be read here, and a card may read it otherwise: with that tag anywhere, with or without its bit.
        return any(byte & 0x7F == _TEXT_STRING for byte in command[4:])
