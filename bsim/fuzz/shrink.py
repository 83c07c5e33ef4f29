"""Minimises a corpus: the fewest steps that together reach every state and every answer all of it reaches."""

from collections.abc import Sequence

from bsim.fuzz.files import Seed
from bsim.fuzz.replay import Replayer


def reach(replayer: Replayer, seed: Seed) -> frozenset[tuple[object, ...]]:
    """Answer what an entry reaches: states, and pairs of command and status word."""
    rig = replayer.rig(seed.root)
    replayer.run(seed.root, ())
    found: set[tuple[object, ...]] = set()
    for step in seed.steps:
        rig.do(step)
        found.add(("state", rig.state()))
        if rig.entry is not None and rig.response:
            found.add((rig.entry.name, rig.sw))
    return frozenset(found)


def smallest_cover(replayer: Replayer, seeds: Sequence[Seed]) -> list[Seed]:
    """Choose greedily, what adds most for its length first; what adds nothing goes."""
    left = {seed: reach(replayer, seed) for seed in seeds}
    kept: list[Seed] = []
    covered: set[tuple[object, ...]] = set()
    while left:
        best = max(left, key=lambda seed: (len(left[seed] - covered) / (len(seed.steps) + 1), -len(seed.steps)))
        gain = left.pop(best) - covered
        if not gain:
            return kept
        covered |= gain
        kept.append(best)
    return kept
