"""States worth going back to, each with a snapshot and the way there; those that were chosen least come first."""

import random
from typing import Final

from bsim.card.freeze import Snapshot
from bsim.fuzz.emulated_rig import EmulatedRig
from bsim.fuzz.steps import Step

MOST: Final = 1_500
"""Nodes a corpus has at most: a long run forgets those that were chosen often and bore no fruit."""


class Node:
    """A card in a state: how to get it back at once, and how to get there from power-on.

    `fruit` and `edges` count new states, and new edges between states, that were found from here.
    """

    __slots__ = ("edges", "fruit", "parent", "picks", "rig", "snapshot", "state", "steps", "tried")

    def __init__(self, rig: EmulatedRig, state: int, parent: "Node | None", steps: tuple[Step, ...]) -> None:
        self.rig: Final = rig
        self.state: Final = state
        self.parent: Final = parent
        self.steps: Final = steps
        self.snapshot: Snapshot | None = rig.snapshot()
        self.picks = 0
        self.tried = 0
        self.fruit = 0
        self.edges = 0

    def restore(self) -> None:
        """Bring the card into this state; what was forgotten is reached by its steps once more."""
        ancestors, node = [], self
        while node.snapshot is None and node.parent is not None:
            ancestors.append(node)
            node = node.parent
        if node.snapshot is None:
            raise ValueError("a node that nothing leads to")
        node.snapshot.restore()
        for one in reversed(ancestors):
            for step in one.steps:
                self.rig.do(step)
        if ancestors:
            self.snapshot = self.rig.snapshot()

    def path(self) -> list[Step]:
        """Answer every step from power-on to here."""
        parts, node = [], self
        while node.parent is not None:
            parts.append(node.steps)
            node = node.parent
        return [step for part in reversed(parts) for step in part]


class Corpus:
    """All nodes of one card, in buckets by how often they were chosen; what bears fruit counts as chosen less often."""

    def __init__(self, rng: random.Random) -> None:
        self._rng: Final = rng
        self.nodes: list[Node] = []
        self._buckets: list[list[Node]] = [[]]
        self._least = 0

    def add(self, node: Node) -> None:
        """Take a node in."""
        if len(self.nodes) >= MOST:
            self._forget()
        self.nodes.append(node)
        self._buckets[0].append(node)
        self._least = 0

    def pick(self) -> Node:
        """Choose one: seven times of ten among those chosen least, else any."""
        rng = self._rng
        if rng.random() < 0.3:
            node = self.nodes[int(rng.random() * len(self.nodes))]
            node.picks += 1
            return node
        while not self._buckets[self._least]:
            self._least += 1
            if self._least == len(self._buckets):
                self._buckets.append([])
        bucket = self._buckets[self._least]
        at = int(rng.random() * len(bucket))
        node = bucket[at]
        bucket[at] = bucket[-1]
        bucket.pop()
        node.picks += 1
        # Energy falls with picks, and more slowly where something new was found from here.
        step = 1 if node.fruit * 4 + node.edges > 2 * node.picks else 2
        while len(self._buckets) <= self._least + step:
            self._buckets.append([])
        self._buckets[self._least + step].append(node)
        return node

    def _forget(self) -> None:
        """Keep the half that was chosen least for what it bore; ways through forgotten nodes stay."""
        ranked = sorted(self.nodes, key=lambda node: (node.parent is not None, node.picks / (node.fruit + 1)))
        kept, gone = ranked[: MOST // 2], ranked[MOST // 2 :]
        for node in gone:
            node.snapshot = None
        self.nodes = kept
        self._buckets = [kept[:]]
        self._least = 0
