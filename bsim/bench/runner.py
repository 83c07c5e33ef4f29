"""How things are measured: in turns and in thin slices, so that what slows the machine slows all of them alike."""

import gc
import os
import statistics
import sys
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter_ns
from typing import Any, Final, TypeVar

Contestant = Callable[[], float]
"""Runs one slice; answers the microseconds one operation took."""
Samples = Mapping[str, Sequence[float]]
"""Of each contestant, the lower quartile of its slices in each round."""
T = TypeVar("T")

ROUNDS: Final = 9
MICROSECONDS: Final = "us"


class BenchError(Exception):
    """What cannot be measured here; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where peers are looked for: a Python, a folder with node_modules, and what could not be installed, and why."""

    python: Path = field(default_factory=lambda: Path(sys.executable))
    node: Path | None = None
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure. A slice is so many seconds, except of what takes longer once."""

    rounds: int = ROUNDS
    slices: int = 12
    seconds: float = 0.002
    full: bool = False
    engine: str | None = None
    home: Home = field(default_factory=Home)


@dataclass(frozen=True, slots=True)
class Ratio:
    """The median of the rounds' ratios, and the lowest and highest of them: the noise."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a result: a median in its unit, its ratio to the floor where it has one, and whether it is a peer."""

    name: str
    value: float
    unit: str
    ratio: Ratio | None = None
    peer: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio and what it has to be."""

    name: str
    ratio: Ratio
    target: str
    met: bool


@dataclass
class Result:
    """What a bench found. `missing` names the contestants that could not be had, and why."""

    bench: str
    title: str
    floor: str
    rounds: int
    rows: list[Row] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, samples: Samples, peers: Container[str] = ()) -> None:
        """Take a row for each contestant, and its ratio to the floor; `peers` are other people's."""
        for name, times in samples.items():
            to_floor = ratio(samples, name, self.floor)
            self.rows.append(Row(name, statistics.median(times), MICROSECONDS, to_floor, name in peers))

    def at_most(self, samples: Samples, over: str, under: str, limit: float) -> None:
        """Judge a ratio that is to be small."""
        found = ratio(samples, over, under)
        self.targets.append(Target(f"{over} / {under}", found, f"<= {limit:g}", found.median <= limit))

    def at_least(self, samples: Samples, over: str, under: str, limit: float) -> None:
        """Judge a ratio that is to be large."""
        found = ratio(samples, over, under)
        self.targets.append(Target(f"{over} / {under}", found, f">= {limit:g}", found.median >= limit))


def ratio(samples: Samples, over: str, under: str) -> Ratio:
    """Compare two contestants round by round: what slows a whole round down cancels out."""
    ratios = [a / b for a, b in zip(samples[over], samples[under], strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


class Loop:
    """An operation on one input after another, as often as fills a slice."""

    def __init__(self, plan: Plan, operation: Callable[[T], object], inputs: Sequence[T]) -> None:
        def run(inputs: Sequence[T]) -> float:
            begin = perf_counter_ns()
            for value in inputs:
                operation(value)
            return (perf_counter_ns() - begin) / 1000 / len(inputs)

        # What the first calls find cold would make the slices too thin.
        once = min(run(inputs[:count]) for count in (1, 1, 4, 16))
        self._inputs: Final[Sequence[object]] = list(islice(cycle(inputs), _count(plan, once)))
        self._first: Final = self._inputs[: len(self._inputs) // 8]
        self._run: Final[Callable[[Any], float]] = run

    def __call__(self) -> float:
        """Run one slice."""
        if self._first:
            self._run(self._first)  # untimed: whoever was on before has filled the core's caches
        return self._run(self._inputs)


class Fresh:
    """An operation that wants something newly made each time; the making is not timed."""

    def __init__(self, plan: Plan, make: Callable[[], T], operation: Callable[[T], object]) -> None:
        def run(count: int) -> float:
            total = 0
            for _ in range(count):
                thing = make()
                begin = perf_counter_ns()
                operation(thing)
                total += perf_counter_ns() - begin
            return total / 1000 / count

        self._count: Final = _count(plan, min(run(1), run(1)))
        self._run: Final[Callable[[int], float]] = run

    def __call__(self) -> float:
        """Run one slice."""
        return self._run(self._count)


def _count(plan: Plan, microseconds: float) -> int:
    return max(1, round(plan.seconds * 1e6 / microseconds))


def interleave(contestants: Mapping[str, Contestant], plan: Plan) -> Samples:
    """Run a slice of each contestant in turn, every other turn in the opposite order."""
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    with _no_garbage_collection():
        for number in range(plan.rounds):
            gc.collect()
            slices: dict[str, list[float]] = {name: [] for name in contestants}
            for turn in range(plan.slices):
                for name in list(contestants)[:: -1 if (number + turn) % 2 else 1]:
                    slices[name].append(contestants[name]())
            for name, times in slices.items():
                # Other programs only ever add: the lower quartile does not see the slices in which one took the core.
                samples[name].append(sorted(times)[len(times) // 4])
    return samples


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, and what it starts, on one core: moving between cores is the largest noise there is."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
