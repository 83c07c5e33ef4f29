"""A card that cannot be looked into, on the bench: what it answers is all that is known of it."""

from collections.abc import Hashable
from typing import Final

from bsim.card.freeze import Snapshot
from bsim.fuzz import cards
from bsim.fuzz.grammar import Grammar, ended_well
from bsim.fuzz.rig import Rig
from bsim.fuzz.shadow import Shadow
from bsim.fuzz.steps import RESET, SEND, Step
from bsim.ports import Card

_SELECT: Final = 0xA4


class CardRig(Rig):
    """Any card. Its state is what it carried out since it was reset or something was selected: headers, each once."""

    __slots__ = ("_bpin", "_done")

    def __init__(self, grammar: Grammar, card: Card, bpin: str) -> None:
        self._bpin: Final = bpin
        self._done: frozenset[Hashable] = frozenset()
        self.attach(grammar, "card", card, Shadow(grammar, lambda _: None, self.pin, self.is_pin, cards.OPENING_KEY))
        self.over_t0 = True
        self.asks_le = self.inside = False

    def do(self, step: Step) -> None:
        """Carry out one step; power is not cut, as a reader's card is not to be torn."""
        kind, raw, link = step
        self.steps += 1
        self.rights, self.prompt = self.shadow.rights, self.shadow.prompt
        self.kind = RESET if kind == RESET else SEND
        if kind == RESET:
            self.reset_card()
            self._done = frozenset()
            return
        self.send(SEND, self.shadow.resolve(raw, link) if link else raw)
        if len(self.raw) >= 4 and ended_well(self.sw):
            if self.raw[1] == _SELECT:
                self._done = frozenset(one for one in self._done if one[0] != self.channel)  # type: ignore[index]
            self._done |= {(self.channel, self.raw[1], self.raw[2] if self.raw[1] == _SELECT else 0)}

    def secure_channel(self, _channel: int) -> None:
        """No key of a real card is known here, so no secure channel is opened."""

    def _look_again(self) -> None:
        """A reader sends the command again by itself."""

    def snapshot(self) -> Snapshot:
        """There is none of a real card."""
        raise NotImplementedError("a real card has no snapshots")

    def state(self) -> int:
        """Answer a number for what is known of the card."""
        shadow = self.shadow
        known = frozenset(shadow.selected.items()), shadow.rights, shadow.terminal, bool(shadow.fetched)
        return hash((self._done, known, bool(shadow.waiting), shadow.prompt))

    def count_tries(self) -> tuple[int, ...]:
        """They cannot be seen."""
        return ()

    def pin(self) -> bytes:
        """Answer the BPIN that was given."""
        return self._bpin.encode()

    def is_pin(self, _text: str) -> bool:
        """Whatever was typed may be it."""
        return True
