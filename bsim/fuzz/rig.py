"""A card on the bench: carries out steps, follows the conversation, and keeps what the oracles judge by.

One object a card, its attributes overwritten by each step: nothing is allocated that the step itself does not need.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from bsim.apdu import CLAS
from bsim.crypto.scp import Channel, WrongMacError
from bsim.fuzz.grammar import Entry, Grammar
from bsim.fuzz.shadow import Shadow
from bsim.fuzz.steps import Step
from bsim.ports import Card
from bsim.sw import OK, SwError

_NOTHING: Final = b""
_WAITS: Final = 0x91
_GET_RESPONSE: Final = b"\xc0\0\0"


class Rig(ABC):
    """Any card, and the host that talks to it. `raw` to `rights` are about the last step."""

    __slots__ = (
        "busy",
        "card",
        "channel",
        "data",
        "entry",
        "forged",
        "grammar",
        "inside",
        "over_t0",
        "prompt",
        "raised",
        "raw",
        "response",
        "rights",
        "root",
        "secured",
        "shadow",
        "states",
        "steps",
        "sw",
        "whole",
    )

    def __init__(self, grammar: Grammar, root: str, card: Card, shadow: Shadow, *, over_t0: bool, inside: bool) -> None:
        """Take a card that was just powered on; `inside` says whether it can be looked into."""
        self.grammar, self.root, self.card, self.shadow, self.over_t0 = grammar, root, card, shadow, over_t0
        self.inside = inside  # what is selected is known, and not followed from outside
        self.busy = False
        self.secured: Channel | None = None  # the secure channel in which the last command was sent
        self.forged = False  # whether the host could not open the answer
        self.steps = 0
        self.raw, self.response, self.sw = _NOTHING, _NOTHING, 0
        self.whole: bytes | None = None
        self.entry: Entry | None = None
        self.channel = 0
        self.data = _NOTHING
        self.prompt = ""
        self.raised: Exception | None = None  # what came out of the card instead of an answer
        self.states: Sequence[object] = ()  # what the card kept before the step, as far as it can be seen
        self.rights: frozenset[tuple[int, str]] = frozenset()

    @abstractmethod
    def do(self, step: Step) -> None:
        """Carry out one step."""

    @abstractmethod
    def state(self) -> int:
        """Answer a number for the card's state, as far as it is known."""

    @abstractmethod
    def pin(self) -> bytes:
        """Answer the BPIN that a user types who knows it."""

    def secure_channel(self, channel: int) -> Channel | None:  # noqa: ARG002 - for cards whose keys are known
        """Answer the secure channel in which commands on a channel must be sent now; None where none is known."""
        return None

    def reset_card(self) -> None:
        """Power-cycle the card."""
        self.raw = self.response = self.data = _NOTHING
        self.sw, self.entry, self.whole = 0, None, None
        self.secured, self.forged = None, False
        self.busy = True
        self.card.reset()
        self.busy = False
        self.shadow.reset()

    def send(self, raw: bytes) -> None:
        """Send one command, and follow the conversation."""
        shadow = self.shadow
        self.raw = raw
        if len(raw) >= 4:
            self.channel = channel = CLAS[raw[0]].channel
            entry = self.grammar.find(shadow.selected.get(channel, ""), raw)
            if entry is None and self.over_t0 and raw[1:4] == _GET_RESPONSE:
                entry = self.grammar.by_name["GET_RESPONSE"]  # served in any class, by the T=0 layer
            self.entry = entry
            self.whole = raw if not shadow.chains and not raw[0] & 0x10 else shadow.whole(raw, channel)
        else:
            channel, entry = 0, None
            self.channel, self.entry, self.whole = channel, entry, raw
        self.busy = True
        # Beyond this line everything is as the host has it: what is secured is told and judged in the clear.
        sent = raw if self.secured is None else self._as_host(self.secured, raw)
        response = self.card.transmit(sent)
        if self.secured is not None and response:
            response = self._opened(self.secured, response)
        self.busy = False
        self.response = response
        if response and len(response) > 1:
            self.sw = response[-2] << 8 | response[-1]
            self.data = response[:-2]
            if len(raw) >= 4:
                shadow.note(raw, entry, channel, response)
        else:
            self.response, self.sw, self.data = response or _NOTHING, 0, _NOTHING

    def _as_host(self, channel: Channel, raw: bytes) -> bytes:
        """Secure a command; what is none, or would be too long, is sent as it is."""
        try:
            return channel.secured(raw)
        except SwError:
            self.secured = None
            return raw

    def _opened(self, channel: Channel, response: bytes) -> bytes:
        data, sw = response[:-2], response[-2:]
        try:
            self.forged = False
            # That a proactive command waits is the card's word, and not in the applet's MAC: terminals make it 9000.
            return channel.opened(data + (OK if sw[0] == _WAITS else sw))[:-2] + sw
        except WrongMacError:
            self.forged = True
            return response
