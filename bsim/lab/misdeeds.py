"""Rules at work on a card: when each is due, and what it does. bsim.lab.faults keeps them."""

import logging
import random
from collections.abc import Callable, Sequence
from typing import Final

from bsim.lab.fault_rules import ANY, Action, FaultError, Kind, Rule, parse
from bsim.ports import Card, CardLost, CardMute, CardRemoved
from bsim.spec.decode import Decoded
from bsim.spec.late_decoder import LateDecoder


class Misdeeds:
    """Does to one card what rules say."""

    def __init__(
        self, card: Card, decoder: LateDecoder, sleep: Callable[[float], None], lose: Callable[[CardLost], None]
    ) -> None:
        """`lose` is told where a rule takes the card away."""
        self._card: Final = card
        self._decoder: Final = decoder
        self._sleep: Final = sleep
        self._lose: Final = lose

    @staticmethod
    def read(rule: Rule | str) -> Rule:
        """Read a rule; FaultError if it cannot be read, or is one for a link."""
        rule = parse(rule) if isinstance(rule, str) else rule
        if rule.on_link:
            raise FaultError(
                f"{rule.actions[0].kind} is done by a link with frames, as `bsim serve --ble` has\n  {rule.text}"
            )
        return rule

    @staticmethod
    def armed(number: int, rule: Rule, seed: int) -> "ArmedRule":
        """Make a rule ready."""
        return ArmedRule(number, rule, seed)

    def misbehave(self, due: "Sequence[ArmedRule]", decoded: Decoded, command: bytes) -> bytes:
        """Carry one APDU that rules are due for: the answer the app gets, or the loss."""
        # In the order of the rules; the first answer counts, and what is lost stays so.
        steps = [(one, action) for one in due for action in one.rule.actions]
        answer: bytes | None = None
        for one, action in steps:
            if not action.late and answer is None:
                command, answer = self._before(one, action, command)
        if answer is None:
            answer = self._card.transmit(command)
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
            self._card.reset()
            self._decoder.reset()
        elif action.kind is Kind.INJECT:
            injected = self._decoder.command(action.data)
            self._decoder.response(injected, self._card.transmit(action.data))
        else:
            removed = action.kind is Kind.REMOVE
            words = "the card was taken out of its reader" if removed else "the card does not answer"
            lost = (CardRemoved if removed else CardMute)(f"{words} (fault {one.number}: {one.rule.text})")
            self._lose(lost)
            raise lost


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

    @property
    def level(self) -> int:
        """How loudly its last firing is logged: one that fires at every command is told once, not line after line."""
        return logging.INFO if self.fired == 1 else logging.DEBUG

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
