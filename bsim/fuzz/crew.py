"""Leads workers, wherever they are: hands each its next slice, puts together what comes back, replaces who is lost."""

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from bsim.fuzz.campaign import Progress
from bsim.fuzz.files import Seed
from bsim.fuzz.finding import Finding
from bsim.fuzz.result import RunReport
from bsim.fuzz.workers import Coordinator, SliceResult

_EACH: Final = 3
"""How many workers may be lost in a place before nobody is sent there any more."""


class Crew(Protocol):
    """Workers of one kind: processes of this machine, or actors of a cluster. A worker is known by its index."""

    def start(self, index: int) -> None:
        """Have a worker begin; it does nothing before it is asked."""
        ...

    def ask(self, index: int, seeds: list[Seed], known: list[str]) -> None:
        """Have a worker do its next slice, beginning with what others found."""
        ...

    def wait(self) -> list[tuple[int, SliceResult | None]]:
        """Wait for slices that are done; None for a worker that is lost."""
        ...

    def stop(self) -> None:
        """End all workers, each after it has let go of what it holds."""
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

    Each is heard once, however soon the others are done: what keeps one from working has to be told.
    Where `replace` is off, none comes: whoever is in a reader's place is there for its card.
    """
    roster = _Roster(crew, coordinator, jobs, replace=replace)
    interrupted = False
    try:
        for index in range(jobs):
            roster.begin(index)
        while roster.works and (roster.awaited or not coordinator.over()):
            for index, result in crew.wait():
                if result is None:
                    roster.lose(index)
                    continue
                findings, seeds = coordinator.absorb(index, result)
                for finding in findings:
                    on_finding(finding)
                progress(coordinator.progress())
                roster.go_on(index, seeds, stopped=bool(result.stopped))
    except KeyboardInterrupt:
        interrupted = True
    finally:
        crew.stop()
    return coordinator.report(interrupted=interrupted)


class _Roster:
    """Who works, and what each has yet to be told."""

    def __init__(self, crew: Crew, coordinator: Coordinator, jobs: int, *, replace: bool) -> None:
        self._crew: Final = crew
        self._coordinator: Final = coordinator
        self._jobs: Final = jobs
        self._replace: Final = replace
        self._untold: dict[int, list[Seed]] = {}
        self.awaited: set[int] = set()
        """Workers that nothing was heard of yet."""

    @property
    def works(self) -> bool:
        """Whether anybody is left."""
        return bool(self._untold)

    def begin(self, index: int) -> None:
        """Have a new worker do its first slice."""
        self._crew.start(index)
        self._untold[index] = []
        self.awaited.add(index)
        self._crew.ask(index, self._coordinator.corpus(), list(self._coordinator.findings))

    def lose(self, index: int) -> None:
        """Have another come for a worker that is lost, unless too many were."""
        del self._untold[index]
        self.awaited.discard(index)
        self._coordinator.lost += 1
        if self._replace and self._coordinator.lost <= _EACH * self._jobs:
            # A new number: the same one would go the same way again.
            self.begin(self._jobs - 1 + self._coordinator.lost)

    def go_on(self, index: int, seeds: Iterable[Seed], *, stopped: bool) -> None:
        """Tell the others what a worker found, and hand it its next slice, unless it stopped for good."""
        for other in self._untold.keys() - {index}:
            self._untold[other] += seeds
        self.awaited.discard(index)
        if stopped:
            del self._untold[index]
            return
        if self._coordinator.over():
            return
        self._crew.ask(index, self._untold[index], list(self._coordinator.findings))
        self._untold[index] = []
