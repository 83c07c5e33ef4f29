"""The engine for a card in a reader: states by what it answered, reset and replay for snapshots, a guard before it.

What the twin in memory says would hurt is not sent at all.
"""

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from bsim.applets.issuer import IssuerState
from bsim.applets.pins import PinsState
from bsim.applets.wallet_state import WalletState
from bsim.fuzz.card_rig import CardRig
from bsim.fuzz.emulated_rig import EmulatedRig
from bsim.fuzz.engine import Candidate
from bsim.fuzz.generate import Generator
from bsim.fuzz.grammar import Entry, Grammar, counted, ended_well
from bsim.fuzz.oracles import Hit, Judge
from bsim.fuzz.oracles.crash import unanswered
from bsim.fuzz.policy import CardDied
from bsim.fuzz.rules import ASKS, never
from bsim.fuzz.safe import SafeCard
from bsim.fuzz.steps import POWER_CYCLE, RESET, SEND, Step
from bsim.lab.guard import Unsafe
from bsim.ports import CardLost
from bsim.spec import Danger

_MOST_PATHS: Final = 2_000
_LONGEST: Final = 12
_STAY: Final = 0.8  # how often a sequence goes on from where the last one ended


class CardExplorer:
    """Fuzzes one card. Deterministic by its seed as far as the card is."""

    def __init__(
        self,
        grammar: Grammar,
        judge: Judge,
        card: SafeCard,
        bpin: str,
        seed: int,
        *,
        pretest: bool = True,
        commands: Sequence[str] | None = None,
    ) -> None:
        """`commands` are the names of those to be used (default: all that may be sent)."""
        self._card: Final = card
        self._judge: Final = judge
        self._rng: Final = random.Random(f"bsim fuzz card {seed}")  # noqa: S311 - to be repeated, not to be secret
        self.rig: Final = CardRig(grammar, card, bpin)
        self.generator: Final = Generator(grammar, self._rng, sendable(grammar, commands))
        self._twin: Final = EmulatedRig(grammar, "operational") if pretest else None
        self._twin_start: Final = self._twin.snapshot() if self._twin is not None else None
        self._paths: list[tuple[Step, ...]] = [()]
        self._path: list[Step] = []
        self.states: set[int] = set()
        self.pairs: dict[tuple[int, int], int] = {}
        self.sequences = self.dropped = self.unstable = self.replayed = 0
        self.on_hit: Callable[[Candidate], None] = lambda _: None
        self.on_death: Callable[[Candidate], None] = lambda _: None
        """What is hit by a command that the card did not come back from."""
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

    def follow(self, steps: Sequence[Step]) -> None:
        """Go through a sequence that was worth keeping elsewhere, as far as it may be sent. SafetyStop ends the run."""
        # Where the card is lost the guard has waited for it, and counted that: only the sequence is at its end.
        with self._judge.log, suppress(CardLost):
            self._restore(())
            for step in steps:
                move = _as_sent(step)
                if self._permitted([move]) and self._do(move):
                    break
        self._fresh = True

    def _burst(self) -> None:
        rng = self._rng
        if self._fresh or len(self._path) >= _LONGEST or rng.random() > _STAY:
            self._restore(self._paths[int(rng.random() * len(self._paths))])
        for _ in range(1 + int(rng.random() * 4)):
            moves = self.generator.enabled(self.rig) if rng.random() < 0.85 else self.generator.anything(self.rig)
            moves = [_as_sent(step) for step in moves]
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
        """Carry out a step; answers whether the sequence is at its end."""
        rig, wrong = self.rig, self._card.account.tries.wrong
        if step == POWER_CYCLE:
            self._path = []
        try:
            hit = self._hit(step)
        except Unsafe:
            return False
        if step != POWER_CYCLE:
            self._path.append(_sent(rig, step))
        if hit is not None:
            self.on_hit(Candidate(rig.root, tuple(self._path), hit, self.apdus))
            return True
        self._learn()
        if self._card.account.tries.wrong != wrong:
            # The guard has typed the right BPIN since, which the rig knows nothing of: the path is not what was sent.
            return True
        state = rig.state()
        if state not in self.states:
            self.states.add(state)
            if len(self._path) <= _LONGEST and len(self._paths) < _MOST_PATHS:
                self._paths.append(tuple(self._path))
        return False

    def _hit(self, step: Step) -> Hit | None:
        """Carry out a step, and have it judged. A card that is lost at a command was killed by it, until it is seen not
        to be: readers tell a card that was taken out and one that died alike."""
        rig, fatal = self.rig, step != POWER_CYCLE and "crash" in self._judge.checks
        try:
            rig.do(step)
        except CardDied:
            if fatal:
                self.on_death(Candidate(rig.root, (*self._path, _sent(rig, step)), unanswered(rig), self.apdus))
            raise
        except CardLost:
            if not fatal:
                raise
            return unanswered(rig)
        return self._judge.outside(rig)

    def _learn(self) -> None:
        """Take note of a command and its status word, and of what it answered."""
        rig = self.rig
        if rig.entry is not None and rig.response:
            pair = rig.entry.index, counted(rig.sw)
            self.pairs[pair] = self.pairs.get(pair, 0) + 1
            if ended_well(rig.sw):
                self.generator.pool.learn(rig)

    def _permitted(self, moves: Sequence[Step]) -> bool:
        """Whether the twin comes through the path and the moves with all that must stay."""
        twin, start = self._twin, self._twin_start
        if twin is None or start is None:
            return True
        start.restore()
        before = _lasting(twin)
        for step in (*self._path, *moves):
            twin.do(step)
        return _lasting(twin) == before


def _lasting(twin: EmulatedRig) -> list[object]:
    """What of a card must be as it was: the guard goes by the declaration, which may be wrong about a command.

    The BPIN's own tries are the guard's, which gives them back.
    """
    found: list[object] = []
    for state in twin.uicc.states:
        match state:
            case PinsState():
                found.append(state)
            case IssuerState():
                found += [state.card_state, state.key_sets]
            case WalletState():
                found += [state.entropy, state.seed, state.bpin, state.opening_key, state.opened, state.terminated]
    return found


def _sent(rig: CardRig, step: Step) -> Step:
    """The step with what was put in anew when it was sent."""
    return (SEND, rig.raw, step[2]) if step[2] else step


def _as_sent(step: Step) -> Step:
    """Power is not cut: a reader's card is not to be torn."""
    kind, raw, link = step
    return kind if kind == RESET else SEND, raw, link


def sendable(grammar: Grammar, names: Sequence[str] | None = None) -> tuple[Entry, ...]:
    """Answer the commands, or those of them with these names, that may be sent to a card that somebody needs again."""
    return tuple(
        entry
        for entry in grammar.entries
        if (names is None or entry.name in names)
        and ((entry.command.danger in {Danger.SAFE, Danger.WRITES} and not never(entry.command)) or entry.name in ASKS)
    )
