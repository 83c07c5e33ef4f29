"""The engine for a card in a reader: states by what it answered, reset and replay for snapshots, a guard before it.

What the twin in memory says would hurt is not sent at all.
"""

import random
from collections.abc import Callable, Sequence
from typing import Final

from bsim.fuzz.card_rig import CardRig
from bsim.fuzz.emulated_rig import EmulatedRig
from bsim.fuzz.engine import Candidate
from bsim.fuzz.generate import Generator
from bsim.fuzz.grammar import Entry, Grammar, ended_well
from bsim.fuzz.oracles import Hit, Judge
from bsim.fuzz.replay import Replayer
from bsim.fuzz.rules import never
from bsim.fuzz.safe import SafeCard
from bsim.fuzz.steps import POWER_CYCLE, SEND, Step
from bsim.lab.guard import Unsafe
from bsim.ports import CardLost
from bsim.spec import Danger

_MOST_PATHS: Final = 2_000
_LONGEST: Final = 12
_STAY: Final = 0.8  # how often a sequence goes on from where the last one ended


class CardExplorer:
    """Fuzzes one card. Deterministic by its seed as far as the card is."""

    def __init__(self, grammar: Grammar, judge: Judge, card: SafeCard, bpin: str, seed: int, *, pretest: bool = True):
        self._judge: Final = judge
        self._rng: Final = random.Random(f"bsim fuzz card {seed}")  # noqa: S311 - to be repeated, not to be secret
        self.rig: Final = CardRig(grammar, card, bpin)
        self.generator: Final = Generator(grammar, self._rng, sendable(grammar))
        self._twin: Final = EmulatedRig(grammar, "operational") if pretest else None
        self._twin_start: Final = self._twin.snapshot() if self._twin is not None else None
        self._paths: list[tuple[Step, ...]] = [()]
        self._path: list[Step] = []
        self.states: set[int] = set()
        self.pairs: dict[tuple[int, int], int] = {}
        self.sequences = self.dropped = self.unstable = self.replayed = 0
        self.on_hit: Callable[[Candidate], None] = lambda _: None
        self._fresh = True

    @property
    def apdus(self) -> int:
        """Answer how many steps were carried out."""
        return self.rig.steps

    def explore(self, apdus: int) -> None:
        """Go on for about so many commands. SafetyStop ends the run."""
        end = self.apdus + apdus
        with self._judge.log:
            while self.apdus < end:
                self.sequences += 1
                try:
                    self._burst()
                except CardLost:
                    self._fresh = True

    def _burst(self) -> None:
        rng = self._rng
        if self._fresh or len(self._path) >= _LONGEST or rng.random() > _STAY:
            self._restore(self._paths[int(rng.random() * len(self._paths))])
        for _ in range(1 + int(rng.random() * 4)):
            moves = self.generator.enabled(self.rig) if rng.random() < 0.85 else self.generator.anything(self.rig)
            moves = [(min(kind, POWER_CYCLE[0]) if kind <= 1 else SEND, raw, link) for kind, raw, link in moves]
            if not self._permitted(moves):
                self.dropped += 1
                continue
            for step in moves:
                if self._do(step):
                    self._fresh = True
                    return

    def _restore(self, path: Sequence[Step]) -> None:
        self._fresh = False
        self.rig.do(POWER_CYCLE)
        self._path = []
        for step in path:
            try:
                self.rig.do(step)
            except Unsafe:
                break
            self._path.append(step)

    def _do(self, step: Step) -> bool:
        rig = self.rig
        if step == POWER_CYCLE:
            self._path = []
        try:
            rig.do(step)
        except Unsafe:
            return False
        if step != POWER_CYCLE:
            self._path.append((SEND, rig.raw, step[2]) if step[2] else step)
        hit = self._judge.outside(rig)
        if hit is not None:
            self.on_hit(Candidate(rig.root, tuple(self._path), hit, self.apdus))
            return True
        if rig.entry is not None and rig.response:
            sw = rig.sw & 0xFF00 if rig.sw >> 8 in {0x61, 0x6C, 0x91} else rig.sw
            self.pairs[rig.entry.index, sw] = self.pairs.get((rig.entry.index, sw), 0) + 1
            if ended_well(rig.sw):
                self.generator.pool.learn(rig)
        state = rig.state()
        if state not in self.states:
            self.states.add(state)
            if len(self._path) <= _LONGEST and len(self._paths) < _MOST_PATHS:
                self._paths.append(tuple(self._path))
        return False

    def _permitted(self, moves: Sequence[Step]) -> bool:
        """Whether the twin comes through the path and the moves with all that must stay."""
        twin, start = self._twin, self._twin_start
        if twin is None or start is None:
            return True
        start.restore()
        tries = twin.count_tries()
        for step in (*self._path, *moves):
            twin.do(step)
        # The BPIN's own tries are the guard's, which gives them back; everything else must be as it was.
        return twin.count_tries()[1:] == tries[1:]


class CardReplayer(Replayer):
    """Carries out sequences on the card in the reader; it is reset before each."""

    def __init__(self, grammar: Grammar, judge: Judge, rig: CardRig) -> None:
        super().__init__(grammar, judge)
        self._rig: Final = rig

    def rig(self, root: str) -> CardRig:  # noqa: ARG002 - there is one card
        """Answer the card."""
        return self._rig

    def fresh(self) -> None:
        """There is no other card."""

    def run(self, root: str, steps: Sequence[Step], key: str = "") -> tuple[Hit | None, int]:  # noqa: ARG002
        """Run a sequence until something is hit; what must not be sent ends it."""
        self.replays += 1
        try:
            self._rig.do(POWER_CYCLE)
            for at, step in enumerate(steps, 1):
                self._rig.do(step)
                hit = self._judge.outside(self._rig)
                if hit is not None:
                    return hit, at
        except (Unsafe, CardLost):
            return None, len(steps)
        return None, len(steps)

    def trace(self, root: str, steps: Sequence[Step]) -> list[tuple[str, bytes, int]]:  # noqa: ARG002
        """Answer what each step is answered."""
        told = []
        self._rig.do(POWER_CYCLE)
        for step in steps:
            self._rig.do(step)
            entry = self._rig.entry
            name = "RESET" if step == POWER_CYCLE else entry.name if entry is not None else "?"
            told.append((name, self._rig.data, self._rig.sw))
        return told


def sendable(grammar: Grammar) -> tuple[Entry, ...]:
    """Answer the commands that may be sent to a card that somebody needs again."""
    return tuple(
        entry
        for entry in grammar.entries
        if (entry.command.danger in {Danger.SAFE, Danger.WRITES} and not never(entry.command))
        or entry.name in {"TERMINAL_RESPONSE", "VERIFY_BPIN"}
    )
