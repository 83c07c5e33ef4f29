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

    Where `replace` is off, none comes: whoever is in a reader's place is there for its card.
    """
    told: dict[int, list[Seed]] = {}
    interrupted = False

    def begin(index: int) -> None:
        crew.start(index)
        told[index] = []
        crew.ask(index, coordinator.corpus(), list(coordinator.findings))

    try:
        for index in range(jobs):
            begin(index)
        while told and not coordinator.over():
            for index, result in crew.wait():
                if result is None:
                    del told[index]
                    coordinator.lost += 1
                    if replace and coordinator.lost <= _EACH * jobs:
                        # A new number: the same one would go the same way again.
                        begin(jobs - 1 + coordinator.lost)
                    continue
                findings, seeds = coordinator.absorb(index, result)
                for finding in findings:
                    on_finding(finding)
                progress(coordinator.progress())
                _go_on(crew, coordinator, told, index, seeds, stopped=bool(result.stopped))
    except KeyboardInterrupt:
        interrupted = True
    finally:
        crew.stop()
    return coordinator.report(interrupted=interrupted)


def _go_on(
    crew: Crew,
    coordinator: Coordinator,
    told: dict[int, list[Seed]],
    index: int,
    seeds: Iterable[Seed],
    *,
    stopped: bool,
) -> None:
    """Tell the others what a worker found, and hand it its next slice, unless it stopped for good."""
    for other in told.keys() - {index}:
        told[other] += seeds
    if stopped:
        del told[index]
        return
    crew.ask(index, told[index], list(coordinator.findings))
    told[index] = []
