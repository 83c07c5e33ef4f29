"""The phone: sends TERMINAL PROFILE, fetches proactive commands, shows them to a user and carries back the answer.

It stands between an app and a card as a modem does: the app sees 9000 where the card said 91xx.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import RLock
from typing import Final, Protocol

from bsim import tlv
from bsim.applets.proactive import CommandType, ProactiveCommand, Result, TerminalResponse
from bsim.ports import Card, Clock
from bsim.spec import Command, encode, spec
from bsim.sw import OK
from bsim.tlv import TlvError

_UICC: Final = spec().applets["uicc"].commands
_PENDING: Final = 0x91
# ETSI TS 102 223 5.2: profile download; DISPLAY TEXT, GET INKEY, GET INPUT.
TERMINAL_PROFILE: Final = bytes((0x01, 0x00, 0x07))
# The same, with menu selection, SELECT ITEM and SET UP MENU; no event.
_WITH_MENU: Final = bytes((0x09, 0x00, 0x07, 0x21, 0x00))
_MENU_SELECTION: Final = 0xD3
_KEYPAD_TO_UICC: Final = bytes.fromhex("82020181")  # ETSI TS 102 223 8.7
_ITEM_IDENTIFIER: Final = 0x90


@dataclass(frozen=True, slots=True)
class Reply:
    """What a user does with a dialogue. `text` is never shown by `repr`; it may be a PIN."""

    result: int
    text: str | None = field(default=None, repr=False)
    item: int | None = None


Respond = Callable[[Reply, float], None]
"""Answers a dialogue, so many seconds from now; from any thread, and without effect once the dialogue is over."""


class User(Protocol):
    """Who holds the phone."""

    def asked(self, command: ProactiveCommand, respond: Respond) -> None:
        """See a dialogue, and respond at once, later, or never."""
        ...


class Handset:
    """A phone. `insert` puts a card in it, and answers the card as apps on this phone see it.

    One with a `menu` shows the card's own, of which items are chosen with `CardInHandset.choose`.
    """

    def __init__(self, user: User, *, clock: Clock = time.monotonic, menu: bool = False) -> None:
        self.user: Final = user
        self.clock: Final = clock
        self.profile: Final = _WITH_MENU if menu else TERMINAL_PROFILE

    def insert(self, card: Card) -> "CardInHandset":
        """Put a card in and power it on."""
        return CardInHandset(card, self)


class CardInHandset:
    """A card as apps on the phone see it; itself a card. Safe for several threads."""

    def __init__(self, card: Card, handset: Handset) -> None:
        self.card: Final = card
        self._handset: Final = handset
        self._lock: Final = RLock()
        self._dialogue: ProactiveCommand | None = None
        self._reply: Reply | None = None
        self._due = 0.0
        self.menu: ProactiveCommand | None = None
        """The card's menu, once it has set one up."""
        self.reset()

    @property
    def profile(self) -> bytes:
        """What the phone tells the card it can do (TERMINAL PROFILE)."""
        return self._handset.profile

    def reset(self) -> bytes:
        """Power-cycle the card; an open dialogue is gone from the screen."""
        with self._lock:
            self._dialogue = self._reply = self.menu = None
            atr = self.card.reset()
            self._serve(self._send(_UICC["TERMINAL_PROFILE"], profile=self._handset.profile))
            return atr

    def choose(self, item: int) -> bytes:
        """Choose an item of the card's menu by its identifier (1-255); answers the status word."""
        chosen = _KEYPAD_TO_UICC + tlv.encode(_ITEM_IDENTIFIER, bytes((item,)))
        return self.envelope(tlv.encode(_MENU_SELECTION, chosen))

    def envelope(self, envelope: bytes) -> bytes:
        """Tell the card of an event, and serve what it asks for then; answers its response."""
        with self._lock:
            response = self._send(_UICC["ENVELOPE"], envelope=envelope)
            self._serve(response)
            return response[:-2] + OK if response[-2] == _PENDING else response

    def transmit(self, command: bytes) -> bytes:
        """Carry one APDU; before it the user's answer, if its time has come, and after it what the card asks."""
        with self._lock:
            if self._reply is not None:
                self._deliver()
            response = self.card.transmit(command)
            if response[-2] != _PENDING:
                return response
            self._serve(response)
            return response[:-2] + OK

    def _serve(self, response: bytes) -> None:
        """Fetch and show what the card asks, until nothing waits or the user takes time."""
        while response[-2] == _PENDING:
            self._show(self._send(_UICC["FETCH"], le=response[-1] or 256))
            if self._reply is None or self._due > self._handset.clock():
                return
            response = self._respond()

    def _deliver(self) -> None:
        if self._due <= self._handset.clock():
            self._serve(self._respond())

    def _show(self, fetched: bytes) -> None:
        try:
            command = ProactiveCommand.parse(fetched[:-2])
        except TlvError:
            return  # nothing was fetched that could be answered; the card is left to its own time-out
        self._dialogue, self._reply = command, None

        def respond(reply: Reply, after: float = 0.0) -> None:
            with self._lock:
                if self._dialogue is not command:
                    return
                self._reply, self._due = reply, self._handset.clock() + after
                if not showing:
                    self._deliver()

        showing = True
        if command.items and self._handset.profile is not _WITH_MENU:
            respond(Reply(Result.BEYOND_CAPABILITIES))
        elif command.type == CommandType.SET_UP_MENU:
            self.menu = command
            respond(Reply(Result.PERFORMED))
        elif command.type in set(CommandType):
            self._handset.user.asked(command, respond)
        else:
            respond(Reply(Result.BEYOND_CAPABILITIES))
        showing = False

    def _respond(self) -> bytes:
        command, reply = self._dialogue, self._reply
        self._dialogue = self._reply = None
        if command is None or reply is None:
            return OK
        told = (reply.result, reply.text, reply.item)
        response = TerminalResponse(command.number, command.type, command.qualifier, *told)
        return self._send(_UICC["TERMINAL_RESPONSE"], response=response.encode())

    def _send(self, command: Command, **values: int | bytes) -> bytes:
        return self.card.transmit(encode(command, values).encode())
