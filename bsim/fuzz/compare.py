"""Two cards side by side: the same sequences to both, and the first answer of each in which they differ.

One of them may be in a reader. Then what is sent is what safe mode permits, and what it refuses neither is sent.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bsim.fuzz.card_rig import CardRig
from bsim.fuzz.emulated_rig import EmulatedRig
from bsim.fuzz.generate import Generator
from bsim.fuzz.grammar import Entry, grammar
from bsim.fuzz.oracles.differential import carried
from bsim.fuzz.safe import SafeCard
from bsim.fuzz.steps import POWER_CYCLE, RESET, SEND, Step
from bsim.lab.guard import Unsafe
from bsim.lab.shape import equal_length

Make = Callable[[], CardRig]
"""Answers a card as it is after a reset: a new one for each sequence, or always the same."""
_LENGTH: Final = 12
_COUNTED: Final = frozenset({0x61, 0x6C, 0x91})


@dataclass(frozen=True, slots=True)
class Difference:
    """A command that two cards answered differently, and after how many steps; one for each command and answers."""

    command: str
    raw: bytes
    first: str
    second: str
    step: int

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "command": self.command,
            "apdu": self.raw.hex().upper(),
            "first": self.first,
            "second": self.second,
            "step": self.step,
        }


def made(seed: int, count: int, root: str, commands: Sequence[Entry] | None = None) -> Iterator[Sequence[Step]]:
    """Make sequences up of commands (default: of all), on a card of our own that shows what makes sense next."""
    rng = random.Random(f"bsim fuzz diff {seed}")  # noqa: S311 - to be repeated, not to be secret
    generator, rig = Generator(grammar(), rng, commands), EmulatedRig(grammar(), root)
    start = rig.snapshot()
    for _ in range(count):
        start.restore()
        steps: list[Step] = []
        while len(steps) < _LENGTH:
            for step in generator.enabled(rig):
                rig.do(step)
                steps.append((SEND, rig.raw, step[2]))
        yield steps


def harmless(sequences: Iterable[Sequence[Step]], root: str) -> Iterator[Sequence[Step]]:
    """Cut sequences off where a card of our own loses a try: the BPIN's are the guard's business, no other is spent."""
    twin = EmulatedRig(grammar(), root)
    start, tries = twin.snapshot(), twin.count_tries()[1:]
    for steps in sequences:
        start.restore()
        kept: list[Step] = []
        for kind, raw, link in steps:
            step = POWER_CYCLE if kind == RESET else (SEND, raw, link)
            twin.do(step)
            if twin.count_tries()[1:] != tries:
                break
            kept.append(step)
        yield kept


def differences(make: Sequence[Make], sequences: Iterable[Sequence[Step]]) -> Iterator[Difference]:
    """Send each sequence to two cards; what T=0 cannot carry, and what differs by nonces, is left out.

    Each is told when it is found: CardLost or SafetyStop may end the comparison.
    """
    known: set[tuple[str, int, int]] = set()
    for steps in sequences:
        one, other = make[0](), make[1]()
        asked = sorted((one, other), key=_guarded, reverse=True)
        for at, step in enumerate(steps, 1):
            if step[0] != RESET and not carried(step[1]):
                continue
            try:
                for rig in asked:
                    rig.do(step)
            except Unsafe:  # said before anything was sent: neither card is sent it
                continue
            if step[0] == RESET or _alike(one, other):
                continue
            hidden = any(map(_guarded, asked))
            name = one.entry.name if one.entry is not None else grammar().name(step[1])
            if (key := (name, _sw(one), _sw(other))) not in known:
                known.add(key)
                yield Difference(name, step[1], _told(one, hidden), _told(other, hidden), at)
            break


def _guarded(rig: CardRig) -> bool:
    return isinstance(rig.card, SafeCard)


def _alike(one: CardRig, other: CardRig) -> bool:
    """Whether that is equal which must be on two cards with different secrets: status word, length of the data."""
    if _sw(one) != _sw(other):
        return False
    entry = one.entry or other.entry
    return one.sw >> 8 in _COUNTED or equal_length(entry.command if entry else None, one.data, other.data)


def _sw(rig: CardRig) -> int:
    return rig.sw & 0xFF00 if rig.sw >> 8 in _COUNTED else rig.sw


def _told(rig: CardRig, hidden: bool) -> str:
    """A response; of a card in a reader, and its twin's beside it, no data."""
    return f"{rig.sw:04X}, {len(rig.data)} bytes" if hidden else rig.response.hex().upper()
