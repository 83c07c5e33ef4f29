"""Two cards side by side: the same sequences to both, and the first answer of each in which they differ."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bsim.fuzz.files import read_seeds
from bsim.fuzz.generate import Generator
from bsim.fuzz.grammar import grammar
from bsim.fuzz.oracles.differential import carried
from bsim.fuzz.rig import Rig
from bsim.fuzz.steps import SEND, Step
from bsim.ports import Card

Make = Callable[[], Card]
_LENGTH: Final = 12
_COUNTED: Final = frozenset({0x61, 0x6C, 0x91})


@dataclass(frozen=True, slots=True)
class Difference:
    """A command that two cards answered differently, and after how many steps; one for each command and answers."""

    command: str
    raw: bytes
    first: bytes
    second: bytes
    step: int

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "command": self.command,
            "apdu": self.raw.hex().upper(),
            "first": self.first.hex().upper(),
            "second": self.second.hex().upper(),
            "step": self.step,
        }


def given(folder: Path) -> Iterator[Sequence[Step]]:
    """Answer the sequences of a corpus."""
    return (seed.steps for seed in read_seeds(folder))


def made(seed: int, count: int) -> Iterator[Sequence[Step]]:
    """Make sequences up, on a card of our own that shows what makes sense next."""
    rng = random.Random(f"bsim fuzz diff {seed}")  # noqa: S311 - to be repeated, not to be secret
    generator, rig = Generator(grammar(), rng), Rig(grammar(), "personalised")
    start = rig.snapshot()
    for _ in range(count):
        start.restore()
        steps: list[Step] = []
        while len(steps) < _LENGTH:
            for step in generator.enabled(rig):
                rig.do(step)
                steps.append((SEND, rig.raw, step[2]))
        yield steps


def differences(make: Sequence[Make], sequences: Iterable[Sequence[Step]]) -> list[Difference]:
    """Send each sequence to two new cards; what T=0 cannot carry, and what differs by nonces, is left out."""
    found: dict[tuple[str, int, int], Difference] = {}
    for steps in sequences:
        one, other = make[0](), make[1]()
        for at, (_, raw, _) in enumerate(steps, 1):
            if not carried(raw):
                continue
            first, second = one.transmit(raw), other.transmit(raw)
            if _alike(first) == _alike(second):
                continue
            name = grammar().name(raw)
            key = name, _alike(first)[1], _alike(second)[1]
            found.setdefault(key, Difference(name, raw, first, second, at))
            break
    return list(found.values())


def _alike(response: bytes) -> tuple[int, int]:
    """What must be equal on two cards that hold different secrets: status word and length of the data."""
    sw = response[-2] << 8 | response[-1]
    return len(response) if sw >> 8 not in _COUNTED else 0, sw & 0xFF00 if sw >> 8 in _COUNTED else sw
