"""Faults on command: a wrapper that makes any card misbehave by rules, which may change while it runs.

What happens is decided by the rules, the commands and the seed alone: the same three give the same faults.
"""

import logging
import random
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Lock, RLock
from typing import Final

from bsim.lab.fault_rules import ANY, Action, FaultError, Kind, Rule, parse
from bsim.ports import Card, CardLost, CardMute, CardRemoved
from bsim.spec import spec
from bsim.spec.decode import Decoded, Decoder

_log: Final = logging.getLogger(__name__)
# SELECT and MANAGE CHANNEL: what commands mean after them, and so which rules they fit.
_SELECTING: Final = frozenset({b"\xa4", b"\x70"})
SEEDS: Final = 1 << 32
"""Seeds of faults are below this."""


@dataclass(frozen=True, slots=True)
class ActiveRule:
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
        rules: Iterable[Rule | str] = (),
        *,
        seed: int | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.card: Final = card
        self.seed: Final = secrets.randbelow(SEEDS) if seed is None else seed
        self._sleep: Final = sleep
        self._decoder: Final = Decoder(spec())
        self._talking: Final = RLock()  # one command at a time, delays and all
        self._lock: Final = Lock()  # the rules; never held while something takes time
        self._rules: dict[int, ArmedRule] = {}
        self._last = 0
        self._passed = 0
        self._lost: CardLost | None = None
        for rule in rules:
            self.add(rule)

    def add(self, rule: Rule | str) -> int:
        """Add a rule after the others; answers its number. FaultError if it cannot be read, or is one for a link."""
        rule = parse(rule) if isinstance(rule, str) else rule
        if rule.on_link:
            raise FaultError(
                f"{rule.actions[0].kind} is done by a link with frames, as `bsim serve --ble` has\n  {rule.text}"
            )
        with self._lock:
            self._last += 1
            self._rules[self._last] = ArmedRule(self._last, rule, self.seed)
            return self._last

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
            return self._misbehave(due, decoded, command)

    def _due(self, decoded: Decoded, command: bytes) -> "Sequence[ArmedRule]":
        with self._lock:
            self._passed += 1
            due = [one for one in self._rules.values() if one.due(decoded, command)]
        for one in due:
            _log.info("fault %d fired at command %d (%s): %s", one.number, self._passed, decoded.name, one.rule.text)
        return due

    def _misbehave(self, due: "Sequence[ArmedRule]", decoded: Decoded, command: bytes) -> bytes:
        # In the order of the rules; the first answer counts, and what is lost stays so.
        steps = [(one, action) for one in due for action in one.rule.actions]
        answer: bytes | None = None
        for one, action in steps:
            if not action.late and answer is None:
                command, answer = self._before(one, action, command)
        if answer is None:
            answer = self.card.transmit(command)
            self._decoder.response(decoded, answer)
        for one, action in steps:
            if action.late:
                answer = self._behind(one, action, answer)
        return answer

    def _before(self, one: "ArmedRule", action: Action, command: bytes) -> tuple[bytes, bytes | None]:
        """What happens before the card gets the command: the command it gets, or the answer in its place."""
        if action.kind is Kind.ANSWER:
            return command, action.data
        if action.kind is Kind.SET:
            return _set(command, action.position, action.data), None
        self._either(one, action)
        return command, None

    def _behind(self, one: "ArmedRule", action: Action, answer: bytes) -> bytes:
        """What happens after the card answered: the answer the app gets."""
        if action.kind is Kind.ANSWER:
            return action.data
        if action.kind is Kind.SET:
            return _set(answer, action.position, action.data)
        if action.kind is Kind.CORRUPT:
            return one.corrupt(answer, action.position)
        self._either(one, action)
        return answer

    def _either(self, one: "ArmedRule", action: Action) -> None:
        """What may happen before or after."""
        if action.kind is Kind.DELAY:
            self._sleep(max(0.0, action.seconds + action.spread * one.numbers.uniform(-1, 1)))
        elif action.kind is Kind.RESET:
            self.card.reset()
            self._decoder.reset()
        elif action.kind is Kind.INJECT:
            injected = self._decoder.command(action.data)
            self._decoder.response(injected, self.card.transmit(action.data))
        else:
            removed = action.kind is Kind.REMOVE
            words = "the card was taken out of its reader" if removed else "the card does not answer"
            self._lost = (CardRemoved if removed else CardMute)(f"{words} (fault {one.number}: {one.rule.text})")
            raise self._lost


class ArmedRule:
    """A rule at work, and what it remembers."""

    __slots__ = ("fired", "fitted", "number", "numbers", "rule", "seen")

    def __init__(self, number: int, rule: Rule, seed: int) -> None:
        self.number: Final = number
        self.rule: Final = rule
        # Each rule draws from numbers of its own: one more rule does not change what the others do.
        self.numbers: Final = random.Random(f"{seed}:{number}")  # noqa: S311 - faults, no secrets
        self.seen = 0
        self.fitted = 0
        self.fired = 0

    def due(self, decoded: Decoded, command: bytes) -> bool:
        """Take note of a command; whether the rule fires at it."""
        rule = self.rule
        self.seen += 1
        if self.seen <= rule.after or not self._fits(decoded, command):
            return False
        self.fitted += 1
        if (rule.nth and self.fitted != rule.nth) or (rule.every and self.fitted % rule.every):
            return False
        if rule.probability is not None and self.numbers.random() >= rule.probability:
            return False
        if rule.times is not None and self.fired >= rule.times:
            return False
        self.fired += 1
        return True

    def corrupt(self, answer: bytes, position: int) -> bytes:
        """Change one byte of the response data into another; a response that is too short stays as it is."""
        size = len(answer) - 2
        at = self.numbers.randrange(size) + 1 if position == ANY and size > 0 else position
        flip = self.numbers.randrange(1, 256)
        return _set(answer, at, bytes((answer[at - 1] ^ flip,))) if 0 < at <= size else answer

    def _fits(self, decoded: Decoded, command: bytes) -> bool:
        rule = self.rule
        if rule.commands and decoded.name not in rule.commands:
            return False
        if rule.channel is not None and decoded.channel != rule.channel:
            return False
        wanted = ((rule.p1, command[2:3]), (rule.p2, command[3:4]))
        return all(value is None or have == bytes((value,)) for value, have in wanted)


def _set(raw: bytes, position: int, value: bytes) -> bytes:
    """Put another byte in a place, counted from 1; bytes without such a place stay as they are."""
    return raw[: position - 1] + value + raw[position:] if position <= len(raw) else raw
