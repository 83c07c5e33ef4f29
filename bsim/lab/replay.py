"""Replay: a card that answers from a trace, strictly in its order or tolerant of another."""

import logging
from collections import deque
from collections.abc import Collection
from pathlib import Path
from typing import Final

from bsim.lab.trace import Exchange, Reset, Start, Trace, fits, read, unmasked
from bsim.ports import CardMute, CardRemoved
from bsim.spec import spec
from bsim.spec.decode import MASK, Decoded, Decoder
from bsim.sw import SW

_log: Final = logging.getLogger(__name__)

# What is new in each session by its nature: a client that asks again answers another challenge.
NONCES: Final = frozenset({"challenge", "cryptogram"})
_LOST: Final = {"CardRemoved": CardRemoved, "CardMute": CardMute}
_Key = tuple[str, tuple[tuple[str, str], ...]]


class ReplayError(Exception):
    """The app said something the trace has no answer to; `line` is where in the trace that was found (0: nowhere)."""

    def __init__(self, words: str, line: int = 0) -> None:
        super().__init__(words)
        self.line = line


class ReplayCard:
    """A card that answers as one did when a trace was recorded; itself a card.

    Strict: the same commands in the same order, byte for byte; redacted bytes are any. Resets in a row count as one,
    and a reset at the end begins the trace anew. Tolerant: any order; commands are told apart by their fields, of which
    redacted ones and `nonces` may have any value. What was asked several times is answered in its order, and
    asked once more, as it was last. Redacted bytes of a response are answered as zeros.
    """

    def __init__(
        self,
        trace: Trace | Path | str,
        *,
        tolerant: bool = False,
        nonces: Collection[str] = NONCES,
        refuse: bool = False,
    ) -> None:
        """`refuse` answers 6F00 and logs what is wrong, for links, where ReplayError would end the card."""
        self._refuse: Final = refuse
        self.refused = 0
        self.trace: Final = trace if isinstance(trace, Trace) else read(trace)
        self.tolerant: Final = tolerant
        self._events: Final = [event for event in self.trace.events if isinstance(event, Reset | Exchange | Start)]
        self._decoder: Final = Decoder(spec(), hide=self.trace.hidden | set(nonces))
        self._answers: Final = self._sorted() if tolerant else {}
        self._next = 0
        self._used = 0
        self._fresh = True
        first = next((event.atr for event in self._events if isinstance(event, Reset)), "3B00")
        self._atr = bytes.fromhex(first)

    @property
    def left(self) -> int:
        """How many of the trace's exchanges were not asked for (yet)."""
        if self.tolerant:
            return len(self.trace.exchanges) - self._used
        return sum(isinstance(event, Exchange) for event in self._events[self._next :])

    def reset(self) -> bytes:
        """Answer the ATR that was recorded."""
        self._decoder.reset()
        try:
            if not self.tolerant:
                self._pass_reset()
        except ReplayError as fault:
            self._tell(fault)
        self._fresh = True
        return self._atr

    def transmit(self, command: bytes) -> bytes:
        """Answer what the card answered; ReplayError if it was not asked this, or not now."""
        decoded = self._decoder.command(command)
        try:
            exchange = self._find(decoded, command) if self.tolerant else self._take(decoded, command)
        except ReplayError as fault:
            self._tell(fault)
            return SW.NO_PRECISE_DIAGNOSIS.encoded
        self._fresh = False
        if exchange.lost:
            raise _LOST.get(exchange.lost, CardRemoved)(f"the card was lost here: {self._where(exchange.line)}")
        response = unmasked(exchange.response, 0)
        self._decoder.response(decoded, response)
        return response

    def close(self) -> None:
        """There is nothing to let go of."""

    def _tell(self, fault: ReplayError) -> None:
        if not self._refuse:
            raise fault
        self.refused += 1
        _log.error("%s", fault)

    def _pass_reset(self) -> None:
        """Go past the resets that come next in the trace."""
        if self._next == len(self._events) and not self._fresh:
            self._next = 0
        passed = False
        while self._next < len(self._events) and not isinstance(event := self._events[self._next], Exchange):
            self._atr = bytes.fromhex(event.atr) if isinstance(event, Reset) else self._atr
            self._next, passed = self._next + 1, True
        if not passed and not self._fresh:
            due = self._events[self._next]
            raise ReplayError(f"a reset, where {self._where(due.line)} has another command", due.line)

    def _take(self, decoded: Decoded, command: bytes) -> Exchange:
        """The next exchange, if the command is its."""
        if self._fresh:  # a card that comes powered is not always reset first
            self._pass_reset()
        if self._next == len(self._events):
            raise ReplayError(f"the trace is at its end, and the app goes on: {decoded.shown}")
        event = self._events[self._next]
        if isinstance(event, Exchange) and fits(event.command, command):
            self._next += 1
            return event
        wanted = f"{event.name} {event.command}".strip() if isinstance(event, Exchange) else "a reset"
        raise ReplayError(f"{self._where(event.line)} has {wanted}; the app sent {decoded.shown}", event.line)

    def _find(self, decoded: Decoded, command: bytes) -> Exchange:
        """The first exchange like this that was not used yet, or the last that was."""
        waiting = self._answers.get(_key(decoded, command))
        if not waiting:
            raise ReplayError(f"{self.trace.path} has no answer to {decoded.name} {decoded.shown}".replace("  ", " "))
        if len(waiting) > 1:
            self._used += 1
            return waiting.popleft()
        if waiting[0].line not in self._last:
            self._last.add(waiting[0].line)
            self._used += 1
        return waiting[0]

    def _sorted(self) -> dict[_Key, deque[Exchange]]:
        """The exchanges by what they ask."""
        self._last: set[int] = set()
        found: dict[_Key, deque[Exchange]] = {}
        for event in self._events:
            if not isinstance(event, Exchange):
                self._decoder.reset()
                continue
            raw = unmasked(event.command)
            decoded = self._decoder.command(raw)
            found.setdefault(_key(decoded, raw), deque()).append(event)
            if not event.lost:
                self._decoder.response(decoded, unmasked(event.response))
        self._decoder.reset()
        return found

    def _where(self, line: int) -> str:
        return f"{self.trace.path}:{line}"


def _key(decoded: Decoded, raw: bytes) -> _Key:
    """What tells commands apart: the header (and so the channel), and the fields that are not hidden."""
    fields = tuple((part.name, MASK if MASK in part.hex else part.hex) for part in decoded.fields)
    return raw[:4].hex() if decoded.name else decoded.shown, fields
