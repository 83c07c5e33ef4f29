"""Faults between app and card: what a link with frames loses, repeats, swaps and adds, by the rules of the lab.

The link asks what is due for each command it got whole, and does it to the frames.
"""

import logging
import secrets
from collections.abc import Iterable, Sequence
from typing import Final

from bsim.lab.fault_rules import Action, FaultError, Kind, Rule, parse
from bsim.lab.faults import SEEDS
from bsim.lab.misdeeds import ArmedRule
from bsim.spec import spec
from bsim.spec.decode import Decoded, Decoder

_log: Final = logging.getLogger(__name__)


class LinkFaults:
    """The rules a link misbehaves by. One conversation at a time: `due`, then `answered`, in turn."""

    def __init__(self, rules: Iterable[Rule | str] = (), *, seed: int | None = None) -> None:
        """FaultError if a rule cannot be read, or is one for the card."""
        self.seed: Final = secrets.randbelow(SEEDS) if seed is None else seed
        parsed = [parse(rule) if isinstance(rule, str) else rule for rule in rules]
        for rule in parsed:
            if not rule.on_link:
                raise FaultError(f"{rule.actions[0].kind} is done to a card, and not by a link\n  {rule.text}")
        self._rules: Final = [ArmedRule(number, rule, self.seed) for number, rule in enumerate(parsed, 1)]
        self._decoder: Final = Decoder(spec())
        self._decoded: Decoded | None = None

    def reset(self) -> None:
        """The card was power-cycled."""
        self._decoder.reset()

    def due(self, command: bytes) -> tuple[Action, ...]:
        """Take note of a command APDU; answers what is to be done, in the order of the rules."""
        self._decoded = decoded = self._decoder.command(command)
        due = [one for one in self._rules if one.due(decoded, command)]
        for one in due:
            words = "link fault %d fired at %s: %s"
            _log.log(one.level, words, one.number, decoded.name or "a command", one.rule.text)
        return tuple(action for one in due for action in one.rule.actions)

    def answered(self, response: bytes) -> None:
        """Take note of the card's answer to the last command."""
        if self._decoded is not None:
            self._decoder.response(self._decoded, response)


def altered(frames: Sequence[bytes], actions: Iterable[Action]) -> tuple[bytes, ...]:
    """Do to a message's frames what the actions say: lose, repeat, or swap one with the next; others do nothing.

    Frames that are not there stay so.
    """
    left = list(frames)
    for action in actions:
        at = action.position - 1
        if not 0 <= at < len(left):
            continue
        if action.kind is Kind.LOSE_FRAME:
            del left[at]
        elif action.kind is Kind.REPEAT_FRAME:
            left.insert(at, left[at])
        elif action.kind is Kind.SWAP_FRAME:
            left[at : at + 2] = reversed(left[at : at + 2])
    return tuple(left)
