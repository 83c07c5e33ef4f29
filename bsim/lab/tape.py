"""A tape: everything that went between a test and its cards, kept as bytes and decoded, masked, only when it is read.

A test that passes pays next to nothing for it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from bsim.applets.proactive import ProactiveCommand, Result
from bsim.handset import Reply, User
from bsim.handset.phone import Respond
from bsim.ports import Card
from bsim.spec import spec
from bsim.spec.decode import Decoder

_LONGEST: Final = 120  # digits of a value
_MOST_LINES: Final = 400
_MOST_KEPT: Final = 100_000


@dataclass(slots=True)
class _Event:
    """What happened: `one` is a command or a text, `other` a response, an ATR or how a dialogue ended."""

    kind: str
    one: bytes = field(default=b"", repr=False)
    other: bytes = field(default=b"", repr=False)


class Tape:
    """What went between a test and its cards: exchanges, power cycles and dialogues, in their order."""

    def __init__(self, most: int = _MOST_KEPT) -> None:
        self._most: Final = most
        self._events: list[_Event] = []

    def __repr__(self) -> str:
        return f"Tape({len(self._events)} events)"

    def around(self, card: Card) -> Card:
        """The card, with all that goes on this tape; itself a card."""
        return _Taped(card, self._note)

    def watch(self, user: User) -> User:
        """The same user, whose dialogues go on this tape: what was shown and how it ended, not what was typed."""
        return _TapedUser(user, self._note)

    def lines(self, most: int = _MOST_LINES) -> list[str]:
        """The trace as people read it, secrets masked; of a long one the end."""
        lines = list(self._lines())
        left = len(lines) - most
        return lines if left <= 0 else [f"({left} lines before are left out)", *lines[-most:]]

    def _note(self, kind: str, one: bytes = b"") -> _Event:
        event = _Event(kind, one)
        if len(self._events) < self._most:
            self._events.append(event)
        return event

    def _lines(self) -> Iterator[str]:
        decoder = Decoder(spec())
        for event in self._events:
            if event.kind == "phone":
                yield f"[phone] {event.one.decode()}" + (f": {event.other.decode()}" if event.other else "")
            elif event.kind == "reset":
                decoder.reset()
                yield f"RESET  < {event.other.hex().upper()}"
            else:
                yield from _exchange(decoder, event.one, event.other)


class _Taped:
    """Puts a card's exchanges on a tape: each where it began, before what the phone showed meanwhile."""

    def __init__(self, card: Card, note: Callable[..., _Event]) -> None:
        self._card: Final = card
        self._note: Final = note

    def reset(self) -> bytes:
        event = self._note("reset")
        event.other = self._card.reset()
        return event.other

    def transmit(self, command: bytes) -> bytes:
        event = self._note("apdu", bytes(command))
        event.other = self._card.transmit(command)
        return event.other


class _TapedUser:
    """Puts what the phone shows on a tape."""

    def __init__(self, user: User, note: Callable[..., _Event]) -> None:
        self._user: Final = user
        self._note: Final = note

    def asked(self, command: ProactiveCommand, respond: Respond) -> None:
        event = self._note("phone", command.text.encode())

        def noted(reply: Reply, after: float = 0.0) -> None:
            event.other = _result(reply.result).encode()
            respond(reply, after)

        self._user.asked(command, noted)


def _exchange(decoder: Decoder, command: bytes, response: bytes) -> Iterator[str]:
    decoded = decoder.command(command)
    yield f"{decoded.name or '?'}  {decoded.title}" + (f"  (channel {decoded.channel})" if decoded.channel else "")
    values = ", ".join(f"{part.name} {part.meaning or _cut(part.hex)}" for part in decoded.fields)
    yield f"  > {_cut(decoded.shown)}" + (f"  {values}" if values else "")
    if not response:
        yield "  < no answer: the card is lost"
        return
    answer = decoder.response(decoded, response)
    yield f"  < {_cut(answer.shown)}  {answer.meaning}"


def _cut(digits: str) -> str:
    return digits if len(digits) <= _LONGEST else f"{digits[:_LONGEST]}… ({len(digits.replace(' ', '')) // 2} bytes)"


def _result(result: int) -> str:
    return Result(result).name if result in set(Result) else f"{result:02X}"
