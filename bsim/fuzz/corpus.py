"""States worth going back to, each with a snapshot and the way there; those that were chosen least come first."""

import random
from typing import Final

from bsim.card.freeze import Snapshot
from bsim.fuzz.rig import Rig
from bsim.fuzz.steps import Step

_OFTEN: Final = 2


class Node:
    """A card in a state: how to get it back at once, and how to get there from power-on.

    A snapshot costs some dozen commands, so only every other generation has one from birth; its children are reached
    by their few steps until they are chosen again.
    """

    __slots__ = ("fruit", "parent", "picks", "rig", "snapshot", "state", "steps", "tried")

    def __init__(self, rig: Rig, state: int, parent: "Node | None", steps: tuple[Step, ...]) -> None:
        self.rig: Final = rig
        self.state: Final = state
        self.parent: Final = parent
        self.steps: Final = steps
        self.snapshot: Snapshot | None = None if parent is not None and parent.snapshot is not None else rig.snapshot()
        self.picks = 0
        self.tried = 0
        self.fruit = 0

    def restore(self) -> None:
        """Bring the card into this state."""
        if self.snapshot is not None:
            self.snapshot.restore()
            return
        if self.parent is not None:
            self.parent.restore()
        for step in self.steps:
            self.rig.do(step)
        if self.picks >= _OFTEN:
            self.snapshot = self.rig.snapshot()

    def path(self) -> list[Step]:
        """Answer every step from power-on to here."""
        parts, node = [], self
        while True:
            parts.append(node.steps)
            if node.parent is None:
                break
            node = node.parent
        return [step for part in reversed(parts) for step in part]

    @property
    def depth(self) -> int:
        """Answer how many steps lead here."""
        return len(self.path())


class Corpus:
    """All nodes, in buckets by how often they were chosen; a node that bore fruit counts as chosen less often."""

    def __init__(self, rng: random.Random) -> None:
        self._rng: Final = rng
        self.nodes: list[Node] = []
        self._buckets: list[list[Node]] = [[]]
        self._least = 0

    def add(self, node: Node) -> None:
        """Take a node in."""
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
        # Energy falls with picks, and more slowly where new states were found from here.
        step = 1 if node.fruit * 4 > node.picks else 2
        while len(self._buckets) <= self._least + step:
            self._buckets.append([])
        self._buckets[self._least + step].append(node)
        return node
