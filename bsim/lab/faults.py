"""Faults on command: a wrapper that makes any card misbehave by rules, which may change while it runs.

What happens is decided by the rules, the commands and the seed alone: the same three give the same faults.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from threading import Lock, RLock
from typing import TYPE_CHECKING, Final, NamedTuple

from bsim.ports import Card, CardLost
from bsim.spec.late_decoder import LateDecoder

if TYPE_CHECKING:
    from bsim.lab.fault_rules import Rule
    from bsim.lab.misdeeds import ArmedRule, Misdeeds
    from bsim.spec.decode import Decoded

_log: Final = logging.getLogger(__name__)
# SELECT and MANAGE CHANNEL: what commands mean after them, and so which rules they fit.
_SELECTING: Final = frozenset({b"\xa4", b"\x70"})
SEEDS: Final = 1 << 32
"""Seeds of faults are below this."""


class ActiveRule(NamedTuple):
    """A rule as `Faults.list` tells it: its number, its text, how many commands it fitted and how often it fired."""

    number: int
    text: str
    fitted: int
    fired: int


class Faults:
    """A card that misbehaves by rules; itself a card. `add`, `remove` and `list` may be called from any thread.

    A card that was removed or made mute by a rule raises CardRemoved or CardMute until it is reset.
    """

    def __init__(
        self,
        card: Card,
        rules: "Iterable[Rule | str]" = (),
        *,
        seed: int | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.card: Final = card
        self.seed: Final = secrets.randbelow(SEEDS) if seed is None else seed
        self._sleep: Final = sleep
        self._decoder: Final = LateDecoder()
        self._talking: Final = RLock()  # one command at a time, delays and all
        self._lock: Final = Lock()  # the rules; never held while something takes time
        self._rules: dict[int, ArmedRule] = {}
        self._last = 0
        self._passed = 0
        self._lost: CardLost | None = None
        for rule in rules:
            self.add(rule)

    @cached_property
    def _misdeeds(self) -> "Misdeeds":
        from bsim.lab.misdeeds import Misdeeds  # noqa: PLC0415 - for cards with rules: most have none

        # Two threads may make one each, which are alike; the decoder is made by whoever talks to the card.
        return Misdeeds(self.card, self._decoder, self._sleep, self._lose)

    def add(self, rule: "Rule | str") -> int:
        """Add a rule after the others; answers its number. FaultError if it cannot be read, or is one for a link."""
        misdeeds = self._misdeeds
        rule = misdeeds.read(rule)
        with self._lock:
            self._last += 1
            self._rules[self._last] = misdeeds.armed(self._last, rule, self.seed)
            return self._last

    def _lose(self, loss: CardLost) -> None:
        self._lost = loss

    def remove(self, number: int) -> None:
        """Take a rule away; KeyError if there is none of this number."""
        with self._lock:
            del self._rules[number]

    def list(self) -> list[ActiveRule]:
        """The rules there are, in their order."""
        with self._lock:
            return [ActiveRule(one.number, one.rule.text, one.fitted, one.fired) for one in self._rules.values()]

    @property
    def quiet(self) -> bool:
        """Whether nothing can happen: there is no rule, and the card was not lost by one."""
        return not self._rules and self._lost is None

    def reset(self) -> bytes:
        """Power-cycle the card; one that was removed is put in again."""
        with self._talking:
            self._lost = None
            self._decoder.reset()
            return self.card.reset()

    def transmit(self, command: bytes) -> bytes:
        """Carry one APDU, as far as the rules let it."""
        with self._talking:
            if self._lost is not None:
                raise type(self._lost)(str(self._lost))
            if not self._rules and command[1:2] not in _SELECTING:
                self._passed += 1  # nothing can happen, and nothing that rules of later would have to know
                return self.card.transmit(command)
            decoded = self._decoder.command(command)
            due = self._due(decoded, command)
            if not due:
                response = self.card.transmit(command)
                self._decoder.response(decoded, response)
                return response
            return self._misdeeds.misbehave(due, decoded, command)

    def _due(self, decoded: "Decoded", command: bytes) -> "Sequence[ArmedRule]":
        with self._lock:
            self._passed += 1
            due = [one for one in self._rules.values() if one.due(decoded, command)]
        for one in due:
            words = "fault %d fired at command %d (%s): %s"
            _log.log(one.level, words, one.number, self._passed, decoded.name, one.rule.text)
        return due
