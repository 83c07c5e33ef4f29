"""Carries out a saved sequence on the card in a reader, within the rules of safe mode."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from bsim.fuzz.card_rig import CardRig
from bsim.fuzz.grammar import Grammar
from bsim.fuzz.oracles import Hit, Judge
from bsim.fuzz.oracles.crash import unanswered
from bsim.fuzz.replay import Answered, untold
from bsim.fuzz.safe import SafeCard
from bsim.fuzz.steps import POWER_CYCLE, RESET, Step
from bsim.lab.guard import Unsafe
from bsim.ports import CardLost


class CardReplayer:
    """Carries out sequences on the card in the reader; it is reset before each."""

    def __init__(self, grammar: Grammar, judge: Judge, rig: CardRig, card: SafeCard) -> None:
        self.grammar: Final = grammar
        self._judge: Final = judge
        self._rig: Final = rig
        self._card: Final = card
        self._heard: dict[tuple[Step, ...], list[Answered]] = {}
        self.replays = 0
        self.refused = ""
        """Why the last sequence was not carried out to its end or to a hit; empty if it was."""
        self.refusals, self.reason = 0, ""
        """How many were not, and why the last of them was not."""
        self.gone = False
        """Whether the card is to be sent nothing more."""

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Listen to the card's log."""
        with self._judge.log:
            yield

    def run(self, root: str, steps: Sequence[Step], key: str = "") -> tuple[Hit | None, int]:  # noqa: ARG002
        """Run a sequence until something is hit; what must not be sent ends it, and `refused` says so."""
        self.replays += 1
        self.refused = ""
        told: list[Answered] = []
        wrong = self._spent()
        try:
            self._rig.do(POWER_CYCLE)
            for at, step in enumerate(steps, 1):
                hit = self._carried_out(step, told)
                if hit is not None:
                    self._heard[tuple(steps[:at])] = told
                    return hit, at
                if self._spent() != wrong and at < len(steps):
                    raise Unsafe("a wrong BPIN was typed, and the right one after it, which is none of the steps")
        except (Unsafe, CardLost) as fault:
            self.refused = self.reason = str(fault)
            self.refusals += 1
        self._heard.setdefault(tuple(steps), told)
        return None, len(steps)

    def trace(self, root: str, steps: Sequence[Step]) -> list[Answered]:
        """Answer what each step was answered when this was run, which is done if it was not; nothing if not sent."""
        if tuple(steps) not in self._heard and not self.gone:
            self.run(root, steps)
        told = self._heard.get(tuple(steps), [])
        return [*told, *(untold(self.grammar, step) for step in steps[len(told) :])]

    def _carried_out(self, step: Step, told: list[Answered]) -> Hit | None:
        rig = self._rig
        try:
            rig.do(step)
        except CardLost:
            if step[0] == RESET or "crash" not in self._judge.checks:
                raise
            told.append(untold(self.grammar, step))
            return unanswered(rig)
        name, _, _ = untold(self.grammar, step)
        told.append((name if rig.entry is None else rig.entry.name, rig.data, rig.sw))
        return self._judge.outside(rig)

    def _spent(self) -> int:
        """How many tries of the BPIN were spent so far."""
        return self._card.account.tries.wrong
