"""A card that cannot be looked into, on the bench: what it answers is all that is known of it."""

from dataclasses import dataclass, field
from typing import Final

from bsim.fuzz import cards
from bsim.fuzz.grammar import Grammar, ended_well
from bsim.fuzz.rig import Rig
from bsim.fuzz.shadow import Shadow
from bsim.fuzz.steps import RESET, Step
from bsim.ports import Card

_SELECT: Final = 0xA4


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a card's secrets, hidden as a card's own states hide theirs: no answer may show any of it."""

    bpin: bytes = field(repr=False)
    test_key: bytes = field(default=cards.OPENING_KEY, repr=False)


class CardRig(Rig):
    """Any card, from outside.

    Its state is what it carried out since it was reset or something was selected: headers, each once.
    """

    __slots__ = ("_bpin", "_done")

    def __init__(self, grammar: Grammar, card: Card, bpin: str) -> None:
        self._bpin: Final = bpin
        self._done: frozenset[tuple[int, int, int]] = frozenset()
        shadow = Shadow(grammar, lambda _: None, self.pin, self.is_pin, cards.OPENING_KEY)
        super().__init__(grammar, cards.CARD, card, shadow, over_t0=True, inside=False)
        self.states = (_Known(self.pin()),)

    def do(self, step: Step) -> None:
        """Carry out one step; power is not cut, as a reader's card is not to be torn."""
        kind, raw, link = step
        self.steps += 1
        self.rights, self.prompt = self.shadow.rights, self.shadow.prompt
        if kind == RESET:
            self.reset_card()
            self._done = frozenset()
            return
        self.send(self.shadow.resolve(raw, link) if link else raw)
        if len(self.raw) >= 4 and ended_well(self.sw):
            if self.raw[1] == _SELECT:
                self._done = frozenset(one for one in self._done if one[0] != self.channel)
            self._done |= {(self.channel, self.raw[1], self.raw[2] if self.raw[1] == _SELECT else 0)}

    def state(self) -> int:
        """Answer a number for what is known of the card."""
        shadow = self.shadow
        known = frozenset(shadow.selected.items()), shadow.rights, shadow.terminal, bool(shadow.fetched)
        return hash((self._done, known, bool(shadow.waiting), shadow.prompt))

    def pin(self) -> bytes:
        """Answer the BPIN that was given."""
        return self._bpin.encode()

    def is_pin(self, _text: str) -> bool:
        """Whatever was typed may be it."""
        return True
