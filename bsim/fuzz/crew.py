"""Leads workers, wherever they are: hands each its next slice, puts together what comes back, replaces who is lost."""

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from typing import Final, Protocol

from bsim.fuzz.campaign import Progress
from bsim.fuzz.files import Seed
from bsim.fuzz.finding import Finding
from bsim.fuzz.result import RunReport
from bsim.fuzz.workers import Coordinator, SliceResult

_EACH: Final = 3
"""How many workers may be lost in a place before nobody is sent there any more."""
_LAST: Final = 3.0
"""Seconds that the slices under way have to come in when the run is interrupted; who is later loses its slice."""


class Crew(Protocol):
    """Workers of one kind: processes of this machine, or actors of a cluster. A worker is known by its index."""

    def start(self, index: int) -> None:
        """Have a worker begin; it does nothing before it is asked."""
        ...

    def ask(self, index: int, seeds: list[Seed], known: list[str]) -> None:
        """Have a worker do its next slice, beginning with what others found."""
        ...

    def wait(self, seconds: float | None = None) -> list[tuple[int, SliceResult | None]]:
        """Wait for slices that are done, at most so long; None for a worker that is lost."""
        ...

    def stop(self) -> list[tuple[int, SliceResult]]:
        """End all workers, each after it has let go of what it holds; answers what they say of that."""
        ...


def lead(
    crew: Crew,
    jobs: int,
    coordinator: Coordinator,
    progress: Callable[[Progress], None] = lambda _: None,
    on_finding: Callable[[Finding], None] = lambda _: None,
    *,
    replace: bool = True,
) -> RunReport:
    """Fuzz with so many workers until a budget is spent; one that is lost costs its slice, and another comes for it.

    Every slice that was asked for is heard, however soon the budget is spent: what keeps one from working has to be
    told, and what it found. Ctrl-C leaves them a few seconds; a second one, none.
    Where `replace` is off, none comes: whoever is in a reader's place is there for its card.
    """
    roster = _Roster(crew, coordinator, jobs, progress, on_finding=on_finding, replace=replace)
    interrupted = False
    try:
        for index in range(jobs):
            roster.begin(index)
        while roster.asked:
            roster.hear()
        roster.close()
    except KeyboardInterrupt:
        interrupted = True
        with suppress(KeyboardInterrupt):
            roster.hear_the_last(_LAST)
    finally:
        with ExitStack() as last:
            for index, result in reversed(crew.stop()):
                last.callback(roster.take, index, result)  # of all, also where what one found cannot be written
    return coordinator.report(interrupted=interrupted)


class _Roster:
    """Who works, and what each has yet to be told."""

    def __init__(
        self,
        crew: Crew,
        coordinator: Coordinator,
        jobs: int,
        progress: Callable[[Progress], None],
        *,
        on_finding: Callable[[Finding], None],
        replace: bool,
    ) -> None:
        self._progress: Final = progress
        self._on_finding: Final = on_finding
        self._crew: Final = crew
        self._coordinator: Final = coordinator
        self._jobs: Final = jobs
        self._replace: Final = replace
        self._untold: dict[int, list[Seed]] = {}
        self._silent: set[int] = set()
        """Workers that nothing was heard of yet."""
        self._done = self._ends = False
        self.asked: set[int] = set()
        """Workers whose slice is under way."""

    def begin(self, index: int) -> None:
        """Have a new worker do its first slice."""
        self._crew.start(index)
        self._untold[index] = []
        self._silent.add(index)
        self.asked.add(index)
        self._crew.ask(index, self._coordinator.corpus(), list(self._coordinator.findings))

    def hear(self, seconds: float | None = None) -> None:
        """Wait, at most so long, for slices that are done, and have their workers go on."""
        for index, result in self._crew.wait(seconds):
            self.asked.discard(index)
            if result is None:
                self._lose(index)
                continue
            seeds = self.take(index, result)
            self._progress(self._coordinator.progress())
            self._go_on(index, seeds, stays=not result.stopped and not result.done)

    def take(self, index: int, result: SliceResult) -> list[Seed]:
        """Keep what a worker hands over, and tell what it found; answers the seeds that are new to all."""
        known = set(self._coordinator.findings)
        try:
            return self._coordinator.absorb(index, result)[1]
        finally:  # all the more where it cannot be written
            for key, finding in self._coordinator.findings.items():
                if key not in known:
                    self._on_finding(finding)

    def hear_the_last(self, seconds: float) -> None:
        """Wait, at most so long, for the slices that are under way; nobody goes on after it."""
        self._ends = True
        end = time.monotonic() + seconds
        while self.asked and (left := end - time.monotonic()) > 0:
            self.hear(left)

    def _lose(self, index: int) -> None:
        """Have another come for a worker that is lost, unless too many were."""
        if self._untold.pop(index, None) is None:  # it had nothing to do any more
            return
        coordinator = self._coordinator
        coordinator.lost += 1
        if index == 0 and index in self._silent and self._replace and coordinator.prepares:
            coordinator.abandoned = "smoke and boundary were not gone through: the worker that did is lost"
        if not self._replace:
            coordinator.abandoned = "nobody comes for a lost worker of a reader: how its card was left is not known"
        elif not self._ends and not coordinator.over() and coordinator.lost <= _EACH * self._jobs:
            # A new number: the same one would go the same way again.
            self.begin(self._jobs - 1 + coordinator.lost)

    def _go_on(self, index: int, seeds: Iterable[Seed], *, stays: bool) -> None:
        """Tell the others what a worker found, and hand it its next slice, unless it does not stay."""
        for other in self._untold.keys() - {index}:
            self._untold[other] += seeds
        self._silent.discard(index)
        if not stays:
            del self._untold[index]
            self._done = True
            return
        if self._ends or self._coordinator.over():
            return
        self.asked.add(index)
        self._crew.ask(index, self._untold[index], list(self._coordinator.findings))
        self._untold[index] = []

    def close(self) -> None:
        """Tell the coordinator if the run ends because nobody is left."""
        if not self._untold and not self._done:
            self._coordinator.abandoned = self._coordinator.abandoned or "nobody is left to go on"
