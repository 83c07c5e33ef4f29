"""The engines: the loop that chooses a state, makes moves, has them judged, and keeps what is new.

`state` goes back to states it has seen; `model` walks from power-on and does what the card's state allows; `uniform`
sends legal commands with no regard to it; `random` sends bytes. Each is the one before with something taken away.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bsim.card.freeze import Snapshot
from bsim.fuzz import generate
from bsim.fuzz.corpus import Corpus, Node
from bsim.fuzz.coverage import Lines
from bsim.fuzz.emulated_rig import EmulatedRig, Wrap
from bsim.fuzz.grammar import Entry, Grammar, counted, ended_well
from bsim.fuzz.looks import Looks
from bsim.fuzz.oracles import Hit, Judge
from bsim.fuzz.oracles.atomic import tear
from bsim.fuzz.oracles.differential import Roads
from bsim.fuzz.oracles.hit import hung_in
from bsim.fuzz.oracles.leak import codes
from bsim.fuzz.oracles.metamorphic import forms
from bsim.fuzz.steps import SEND, Step, cut_of
from bsim.fuzz.watch import Hang, watching

_MOST_EDGES: Final = 2_000_000
_WALK: Final = 24  # moves of a walk from power-on, for engines that do not come back to a state
_FORMS_ONE_IN: Final = 48
_DIFFERENTIAL_ONE_IN: Final = 48
_STABLE_ONE_IN: Final = 128
_TRACED_ONE_IN: Final = 8
_IN_A_ROW: Final = 32  # sequences with one kind of card: what it is made of stays in the processor's caches
_SWARM: Final = 2_000  # sequences after which other commands are switched off


class Kind(StrEnum):
    """Which engine."""

    STATE = "state"
    MODEL = "model"
    UNIFORM = "uniform"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A hit as it was met: the kind of card, every step from power-on, and what the oracle said."""

    root: str
    steps: tuple[Step, ...]
    hit: Hit
    apdus: int


class Explorer:
    """One fuzzing process: cards of all kinds, a corpus, a generator, a judge. Deterministic by its seed."""

    def __init__(
        self,
        grammar: Grammar,
        judge: Judge,
        seed: int,
        *,
        kind: Kind = Kind.STATE,
        roots: Sequence[str],
        wrap: Wrap | None = None,
        commands: Sequence[Entry] | None = None,
    ) -> None:
        self._grammar: Final = grammar
        self._judge: Final = judge
        self._kind: Final = kind
        self._roads: Final = Roads(grammar, wrap)
        self._rng: Final = random.Random(f"bsim fuzz {seed}")  # noqa: S311 - to be repeated, not to be secret
        self.generator: Final = generate.Generator(grammar, self._rng, commands)
        self.rigs: Final = [EmulatedRig(grammar, root, wrap) for root in roots]
        self.corpora: Final = {rig: Corpus(self._rng) for rig in self.rigs}
        self.starts: Final = [Node(rig, rig.state(), None, ()) for rig in self.rigs]
        self.states: set[int] = set()
        self.pairs: dict[tuple[int, int], int] = {}
        self.firsts: list[tuple[str, tuple[Step, ...], str]] = []
        """The first sequence to each pair of command and status word: a corpus worth keeping."""
        self.edges: set[int] = set()
        self._looks: Final[dict[tuple[int, int], Looks]] = {}
        self._looked: Final = Looks()
        self.lines: Final = Lines()
        self.sequences = 0
        self.replayed = self.unstable = 0
        self.on_hit: Callable[[Candidate], None] = lambda _: None
        self.generator.pool.know(code for rig in self.rigs for state in rig.uicc.states for code in codes(state))
        self._rig = self.rigs[0]
        self._watched: list[EmulatedRig] = [self._rig]
        self._state = 0
        self._hung: frozenset[int] = frozenset()
        self._hung_ins: frozenset[bytes] = frozenset()
        for node in self.starts:
            self.states.update(node.rig.facets())
            self.corpora[node.rig].add(node)

    @property
    def apdus(self) -> int:
        """Answer how many steps the cards carried out, those to get back to a state included."""
        return sum([rig.steps for rig in self.rigs])

    def explore(self, apdus: int) -> None:
        """Go on for about so many commands; what is hit is told to `on_hit`."""
        end = self.apdus + apdus
        with self._judge.log, watching(self._watched):
            while self.apdus < end:
                if self._kind is Kind.STATE:
                    self._burst()
                else:
                    self._walk()
                self.sequences += 1
                if self.sequences % _SWARM == 0:
                    self._swarm()

    @contextmanager
    def sequence(self, root: str) -> Iterator["Sequel"]:
        """Carry out given steps from a card's power-on."""
        start = next(node for node in self.starts if node.rig.root == root)
        with self._judge.log, watching(self._watched):
            self._begin(start)
            yield Sequel(self, start)

    def follow(self, node: Node, done: list[Step], step: Step) -> tuple[bool, Node]:
        """Carry out one step after those that are done; whether it was a hit, and the state that was kept last."""
        if self._do(node, done, step, first=False):
            return True, node
        if self._is_new(node):
            node, done[:] = self._keep(node, done), []
        return False, node

    def restored(self, state: int) -> None:
        """The card of a sequence was brought back into a state."""
        self._state = state

    def _burst(self) -> None:
        """From a state seen before, one to four moves."""
        rng, generator = self._rng, self.generator
        # Each kind of card gets its share, however many states it has.
        if self.sequences % _IN_A_ROW == 0:
            self._rig = self.rigs[int(rng.random() * len(self.rigs))]
        node = self.corpora[self._rig].pick()
        self._begin(node)
        start, done = node, []  # type: tuple[Node, list[Step]]
        for _ in range(1 + int(rng.random() * 4)):
            roll, rig = rng.random(), node.rig
            moves = generator.enabled(rig, start.tried) if roll < 0.8 else generator.anything(rig)
            for step in moves:
                if self._do(start, done, step, first=not done):
                    return
                if self._is_new(start):
                    start = self._keep(start, done)
                    done = []

    def _walk(self) -> None:
        """From power-on, without coming back."""
        rng, generator, kind = self._rng, self.generator, self._kind
        node = self.starts[int(rng.random() * len(self.starts))]
        self._begin(node)
        done: list[Step] = []
        for _ in range(_WALK):
            if kind is Kind.MODEL:
                moves = generator.enabled(node.rig) if rng.random() < 0.85 else generator.anything(node.rig)
            else:
                moves = (
                    generate.uniform(generator, node.rig) if kind is Kind.UNIFORM else generate.random_bytes(generator)
                )
            for step in moves:
                if self._do(node, done, step, first=False):
                    return

    def _begin(self, node: Node) -> None:
        node.restore()
        self._watched[0] = node.rig
        self._state = node.state
        node.rig.sw = 0

    def _do(self, node: Node, done: list[Step], step: Step, *, first: bool) -> bool:
        """Carry out and judge one step; whether it was a hit. What was done is added to `done`."""
        rig = node.rig
        if self._hung and step[1][1:2] in self._hung_ins:
            return False
        tears = cut_of(step[0]) is not None
        before = rig.snapshot() if first and step[0] == SEND and self._rng.random() * _FORMS_ONE_IN < 1 else None
        self._judge.log.clear()
        try:
            rig.do(step)
            hit = self._judge(rig)
        except Hang as hang:
            hit = hung_in(hang)
        # What followed from earlier answers is kept as it was sent.
        done.append((step[0], rig.raw, step[2]) if step[2] else step)
        entry = rig.entry
        if entry is not None and rig.response:
            pair = entry.index, counted(rig.sw)
            count = self.pairs[pair] = self.pairs.get(pair, 0) + 1
            if count == 1:
                self.firsts.append((rig.root, (*node.path(), *done), f"{entry.name} {pair[1]:04X}"))
            if first:
                node.tried |= 1 << entry.index
            if ended_well(rig.sw):
                self.generator.pool.learn(rig)
        if hit is None and (tears or before is not None):
            try:
                if before is not None:
                    hit = self._forms(rig, step, before)
                else:
                    hit = tear(rig, step, lambda: _again(node, done[:-1]))
            except Hang as hang:
                hit = hung_in(hang)
        if hit is None:
            return False
        if hit.oracle == "hang" and entry is not None:
            self._leave_out(entry, rig.raw)
        self.on_hit(Candidate(rig.root, (*node.path(), *done), hit, self.apdus))
        return True

    def _leave_out(self, entry: Entry, raw: bytes) -> None:
        """Send a command no more that hung: once is enough, each time costs what ten thousand others do."""
        self._hung |= {entry.index}
        self._hung_ins |= {raw[1:2]}
        self.generator.off |= self._hung

    def _forms(self, rig: EmulatedRig, step: Step, before: Snapshot) -> Hit | None:
        return forms(rig, step, before) if "metamorphic" in self._judge.checks else None

    def _is_new(self, node: Node) -> bool:
        if self._kind is not Kind.STATE:
            return False
        rig = node.rig
        command = -1 if rig.entry is None else rig.entry.index
        if rig.entry is not None and len(self.edges) < _MOST_EDGES:
            edge = hash((self._state, command, rig.sw))
            if edge not in self.edges:
                self.edges.add(edge)
                node.edges += 1
        looks = self._looks.get((command, rig.sw))
        if looks is None:
            looks = self._looks[command, rig.sw] = Looks()
        if not looks.due(self._looked):
            return False
        facets = rig.facets()
        self._state = hash(facets)
        seen = len(self.states)
        self.states.update(facets)
        new = len(self.states) > seen
        looks.note(new)
        self._looked.note(new)
        return new

    def _keep(self, parent: Node, done: list[Step]) -> Node:
        node = Node(parent.rig, self._state, parent, tuple(done))
        parent.fruit += 1
        self.corpora[node.rig].add(node)
        roll = self._rng.random()
        if roll * _STABLE_ONE_IN < 1:
            if roll * _STABLE_ONE_IN * _TRACED_ONE_IN < 1:
                # What runs code that nothing ran before is worth coming back to.
                node.fruit += self.lines.follow(lambda: self._check_stable(node))
            else:
                self._check_stable(node)
        elif (1 - roll) * _DIFFERENTIAL_ONE_IN < 1 and "differential" in self._judge.checks:
            hit = self._roads.differ(node.path(), node.rig.root)
            if hit is not None:
                self.on_hit(Candidate(node.rig.root, tuple(node.path()), hit, self.apdus))
        return node

    def _check_stable(self, node: Node) -> None:
        """Replay the way to a state from power-on: the card must get to the same."""
        start = next(one for one in self.starts if one.rig is node.rig)
        start.restore()
        path, hung = node.path(), False
        try:
            for step in path:
                node.rig.do(step)
        except Hang:
            hung = True
        self.replayed += 1
        if hung or node.rig.state() != node.state:
            self.unstable += 1
            hit = Hit("stability", "state", "the same commands led to another state")
            if "stability" in self._judge.checks:
                self.on_hit(Candidate(node.rig.root, tuple(path), hit, self.apdus))
        node.restore()

    def _swarm(self) -> None:
        """Switch off a few commands for a while: some states are reached only where others are not sent."""
        rng = self._rng
        if rng.random() < 0.5:
            self.generator.off = self._hung
            return
        indexes = [entry.index for entry in self._grammar.entries if entry.name not in _ALWAYS]
        self.generator.off = self._hung | {index for index in indexes if rng.random() < 0.25}


def _again(node: Node, steps: Sequence[Step]) -> None:
    node.restore()
    for step in steps:
        node.rig.do(step)


class Sequel:
    """Steps of one card, one after the other; each answers the card, or None once something was hit."""

    def __init__(self, explorer: Explorer, start: Node) -> None:
        self._explorer: Final = explorer
        self._at = start
        self._done: list[Step] = []
        self._over = False

    def __call__(self, step: Step) -> EmulatedRig | None:
        """Carry out a step; after a hit it does nothing."""
        if not self._over:
            self._over, self._at = self._explorer.follow(self._at, self._done, step)
        return None if self._over else self._at.rig

    @property
    def rig(self) -> EmulatedRig:
        """The card."""
        return self._at.rig

    def here(self) -> Callable[[], None]:
        """Answer what brings the card back to where it is now, as often as it is called."""
        rig, at, done, over = self._at.rig, self._at, tuple(self._done), self._over
        snapshot, state, sw, raw = rig.snapshot(), rig.state(), rig.sw, rig.raw

        def back() -> None:
            snapshot.restore()
            rig.sw, rig.raw = sw, raw
            self._at, self._done, self._over = at, list(done), over
            self._explorer.restored(state)

        return back


_ALWAYS: Final = frozenset({"SELECT", "TERMINAL_PROFILE"})
