"""Carries out a saved sequence from power-on and has it judged: the same steps, the same verdict, every time."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Protocol, TypeAlias

from bsim.fuzz.corpus import Node
from bsim.fuzz.emulated_rig import EmulatedRig, Wrap
from bsim.fuzz.grammar import Grammar
from bsim.fuzz.oracles import Hit, Judge
from bsim.fuzz.oracles.atomic import tear
from bsim.fuzz.oracles.differential import Roads
from bsim.fuzz.oracles.hit import hung_in
from bsim.fuzz.oracles.metamorphic import FORMS, forms
from bsim.fuzz.rig import Rig
from bsim.fuzz.steps import RESET, Step, cut_of
from bsim.fuzz.watch import Hang, watching

Answered: TypeAlias = tuple[str, bytes, int]
"""A step's command by name, its response data, and its status word (0 where there is none)."""

_PATIENCE: Final = 0.4  # seconds of processor time for a command that was seen to hang


def untold(grammar: Grammar, step: Step) -> Answered:
    """A step by name, and nothing it was answered."""
    return "RESET" if step[0] == RESET else grammar.name(step[1]), b"", 0


class Replays(Protocol):
    """Carries out sequences from power-on, wherever the card is."""

    @property
    def grammar(self) -> Grammar:
        """What the sequences are made of."""
        ...

    def ready(self) -> AbstractContextManager[None]:
        """Be ready for sequences inside."""
        ...

    def run(self, root: str, steps: Sequence[Step], key: str = "") -> tuple[Hit | None, int]:
        """Run a sequence until something is hit: what, and after how many steps. `key` is what is looked for."""
        ...

    def trace(self, root: str, steps: Sequence[Step]) -> list[Answered]:
        """Answer what each step was answered."""
        ...


class Replayer:
    """Cards of each kind, made when they are asked for, and brought back to power-on for each sequence."""

    def __init__(self, grammar: Grammar, judge: Judge, wrap: Wrap | None = None) -> None:
        self.grammar: Final = grammar
        self._judge: Final = judge
        self._wrap: Final = wrap
        self._starts: dict[str, Node] = {}
        self._roads = Roads(grammar, wrap)
        self._watched: list[Rig] = []
        self.replays = 0

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Listen to the card's log, and watch for commands that do not end, while sequences are run inside."""
        self._watched[:] = [self.rig("operational")]
        with self._judge.log, watching(self._watched, _PATIENCE):
            yield

    def rig(self, root: str) -> Rig:
        """Answer the card of a kind that sequences are run on."""
        return self._start(root).rig

    def fresh(self) -> None:
        """Forget all cards: the next sequences are run on new ones."""
        self._starts.clear()
        self._roads = Roads(self.grammar, self._wrap)

    def run(self, root: str, steps: Sequence[Step], key: str = "") -> tuple[Hit | None, int]:
        """Run a sequence until something is hit: what, and after how many steps. `key` is what is looked for."""
        self.replays += 1
        start = self._start(root)
        start.restore()
        rig = start.rig
        self._watched[:] = [rig]
        for at, step in enumerate(steps, 1):
            hit = self._step(rig, step, key if at == len(steps) else "")
            if hit is not None:
                return hit, at
        return self._whole(rig, steps, key), len(steps)

    def trace(self, root: str, steps: Sequence[Step]) -> list[Answered]:
        """Answer what each step was answered."""
        start = self._start(root)
        start.restore()
        rig = start.rig
        told: list[Answered] = []
        self._watched[:] = [rig]
        for step in steps:
            try:
                rig.do(step)
            except Hang:
                told.append((rig.entry.name if rig.entry is not None else "?", b"", 0))
                break
            name = "RESET" if step[0] == RESET else (rig.entry.name if rig.entry is not None else "?")
            told.append((name, rig.data, rig.sw))
        return told

    def _step(self, rig: EmulatedRig, step: Step, key: str) -> Hit | None:
        tears, other_forms = cut_of(step[0]) is not None, key.endswith(FORMS)
        before = rig.snapshot() if tears or other_forms else None
        self._judge.log.clear()
        try:
            rig.do(step)
            hit = self._judge(rig)
            if hit is None and before is not None:
                hit = tear(rig, step, before.restore) if tears else forms(rig, step, before)
        except Hang as hang:
            return hung_in(hang)
        return hit

    def _whole(self, rig: EmulatedRig, steps: Sequence[Step], key: str) -> Hit | None:
        """What only a whole sequence shows."""
        if key.startswith("differential/"):
            return self._roads.differ(steps, rig.root)
        if key.startswith("stability/"):
            first = rig.state()
            self._start(rig.root).restore()
            for step in steps:
                rig.do(step)
            return None if rig.state() == first else Hit("stability", "state", "the same commands led to another state")
        return None

    def _start(self, root: str) -> Node:
        if root not in self._starts:
            rig = EmulatedRig(self.grammar, root, self._wrap)
            self._starts[root] = Node(rig, rig.state(), None, ())
        return self._starts[root]
