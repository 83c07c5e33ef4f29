"""Turns hits into findings: one a root cause, verified three times on new cards, and minimised."""

from collections.abc import Callable, Sequence
from typing import Final

from bsim.fuzz.emulated_rig import Wrap
from bsim.fuzz.engine import Candidate
from bsim.fuzz.finding import EMULATED, Finding, make
from bsim.fuzz.grammar import Grammar
from bsim.fuzz.minimise import MOST, Minimiser
from bsim.fuzz.oracles import Hit, Judge
from bsim.fuzz.replay import Answered, Replayer, untold
from bsim.fuzz.steps import Step

_TIMES: Final = 3
_PATIENCE: Final = 5
"""Hits of one key that could not be repeated, before the key itself becomes a finding about stability."""


class Finder:
    """Takes candidates, and keeps a finding for each key. `on_finding` is told of new ones."""

    def __init__(
        self, grammar: Grammar, judge: Judge, wrap: Wrap | None, *, seed: int, engine: str, shrink: bool = True
    ) -> None:
        self._grammar: Final = grammar
        self._judge: Final = judge
        self.replayer: Final = Replayer(grammar, judge, wrap)
        self._seed, self._engine, self._shrink = seed, engine, shrink
        self.findings: dict[str, Finding] = {}
        self.known: set[str] = set()
        """Keys that are findings already, in this run or an earlier one."""
        self._flaky: dict[str, int] = {}
        self.on_finding: Callable[[Finding], None] = lambda _: None
        self.on_raw: Callable[[Finding], None] = lambda _: None
        """Is told of a finding before it is minimised, which takes a while: whatever ends the run, it is not lost."""

    def __call__(self, candidate: Candidate) -> None:
        """Verify and keep a hit, if its root cause is a new one."""
        key = candidate.hit.key
        if key in self.known or self._flaky.get(key, 0) > _PATIENCE:
            return
        with self.replayer.ready():
            hit = self._verified(candidate)
            if hit is None:
                self._flaky[key] = self._flaky.get(key, 0) + 1
                return
            self.findings[key] = self._raw(candidate, hit)
            self.on_raw(self.findings[key])
            small = Minimiser(self.replayer, candidate.root, candidate.steps, key, MOST if self._shrink else 0)
            small.run()
            found = self._made(candidate, hit, small.root, small.steps)
        self.known.add(key)
        self.findings[key] = found
        self.on_finding(found)

    @property
    def unverified(self) -> dict[str, int]:
        """Keys that were hit and could not be repeated, with how often: a bug of the fuzzer or of the card."""
        return {key: count for key, count in self._flaky.items() if key not in self.known}

    def _raw(self, candidate: Candidate, hit: Hit) -> Finding:
        """A hit as it was met. It is not replayed for its answers: the minimiser's replays are those it always was."""
        named = [untold(self._grammar, step) for step in candidate.steps]
        return self._made(candidate, hit, candidate.root, candidate.steps, named)

    def _made(
        self,
        candidate: Candidate,
        hit: Hit,
        root: str,
        steps: Sequence[Step],
        told: Sequence[Answered] | None = None,
    ) -> Finding:
        return make(
            hit,
            root,
            steps,
            self.replayer.trace(root, steps) if told is None else told,
            seed=self._seed,
            engine=self._engine,
            target=EMULATED,
            apdus=candidate.apdus,
        )

    def _verified(self, candidate: Candidate) -> Hit | None:
        hit = None
        for _ in range(_TIMES if not candidate.hit.key.startswith("hang/") else 1):
            self.replayer.fresh()
            hit, _ = self.replayer.run(candidate.root, candidate.steps, candidate.hit.key)
            if hit is None or hit.key != candidate.hit.key:
                return None
        return hit
