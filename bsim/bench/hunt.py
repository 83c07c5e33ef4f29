"""How fast planted faults are found, how often one is told, how small its reproducer is; and engines side by side."""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bsim.bench import coverage_guided
from bsim.bench.plant import Fault
from bsim.bench.planted import FAULTS
from bsim.fuzz import cards
from bsim.fuzz.campaign import Campaign, Options
from bsim.fuzz.engine import Kind
from bsim.fuzz.heap import collected_seldom

LIMIT: Final = 60.0
"""Seconds of processor time in which a fault must be found."""
AFTER: Final = 1_500
"""Commands that are sent after that, to see whether the same fault is told again as another."""
DEEP: Final = "crash"
"""The fault engines are compared by: PROFILE, SELECT, VERIFY BPIN, FETCH, TERMINAL RESPONSE, then EXPORT SEED."""
CAPS: Final = {"state": 200_000, "model": 200_000, "uniform": 250_000, "random": 250_000, "atheris": 100_000}
_STEP: Final = 500


@dataclass(frozen=True, slots=True)
class Caught:
    """What came of one fault with one seed. `minimal` says that no known way to it is shorter."""

    fault: str
    oracle: str
    seed: int
    found: bool
    seconds: float
    apdus: int
    reports: int
    steps: int
    minimal: bool


def hunt(fault: Fault, seed: int, limit: float = LIMIT, after: int = AFTER) -> Caught:
    """Plant a fault, and look for it as `bsim fuzz run` does."""
    began = time.process_time()
    met: list[tuple[float, int]] = []
    with fault.plant(), cards.quick_backups(), collected_seldom():
        campaign = Campaign(Options(seed=seed), lambda _: met.append((_spent(began), campaign.explorer.apdus)))
        campaign.prepare()
        while not met and _spent(began) < limit:
            campaign.step(_STEP)
        end = campaign.explorer.apdus + after
        while met and campaign.explorer.apdus < end:
            campaign.step(_STEP)
    found = list(campaign.finder.findings.values())
    right = [one for one in found if one.oracle == fault.oracle]
    seconds, apdus = met[0] if met else (_spent(began), campaign.explorer.apdus)
    steps = len(right[0].steps) if right else 0
    minimal = steps in fault.steps
    return Caught(fault.name, fault.oracle, seed, bool(right), seconds, apdus, len(found), steps, minimal)


def hunts(names: Sequence[str], seeds: Sequence[int]) -> Iterator[Caught]:
    """Hunt each fault with each seed."""
    for name in names:
        for seed in seeds:
            yield hunt(FAULTS[name], seed)


@dataclass(frozen=True, slots=True)
class Race:
    """One engine: commands until the deep fault was met, seed by seed; None where its cap was reached first."""

    engine: str
    apdus: tuple[int | None, ...]
    cap: int

    @property
    def median(self) -> float:
        """The median, what was not found counting as infinite."""
        return statistics.median(float("inf") if one is None else one for one in self.apdus)


def race(engine: str, seeds: Sequence[int], fault: Fault) -> Race:
    """Count the commands an engine needs, on the one kind of card the fault is about, exploring alone."""
    run = _by_atheris if engine == "atheris" else _by_explorer
    return Race(engine, tuple(run(engine, seed, fault) for seed in seeds), CAPS[engine])


def _by_explorer(engine: str, seed: int, fault: Fault) -> int | None:
    options = Options(
        seed=seed,
        engine=Kind(engine),
        phases=("explore",),
        roots=("operational",),
        shrink=False,
        max_failures=1,
        max_apdus=CAPS[engine],
    )
    with fault.plant():
        report = Campaign(options).run()
    return report.findings[0].apdus if report.findings else None


def _by_atheris(_engine: str, seed: int, fault: Fault) -> int | None:
    return coverage_guided.hunt(fault.name, seed, CAPS["atheris"])


def summary(caught: Sequence[Caught]) -> dict[str, object]:
    """What all hunts come to."""
    found = [one for one in caught if one.found]
    return {
        "faults": len({one.fault for one in caught}),
        "hunts": len(caught),
        "found": len(found),
        "slowest_seconds": round(max((one.seconds for one in found), default=0.0), 2),
        "reports_a_fault": round(statistics.fmean(one.reports for one in found), 3) if found else 0.0,
        "minimal_percent": round(100 * statistics.fmean(one.minimal for one in found), 1) if found else 0.0,
    }


def table(caught: Sequence[Caught]) -> Iterator[str]:
    """A row a fault, over its seeds."""
    yield "| fault | check | found | median APDUs | slowest | reports | minimal |"
    yield "|---|---|---|---|---|---|---|"
    for name in dict.fromkeys(one.fault for one in caught):
        own = [one for one in caught if one.fault == name]
        apdus = statistics.median(one.apdus for one in own)
        yield (
            f"| {FAULTS[name].title} | `{own[0].oracle}` | {sum(one.found for one in own)}/{len(own)} | {apdus:,.0f}"
            f" | {max(one.seconds for one in own):.1f} s | {statistics.fmean(one.reports for one in own):.1f}"
            f" | {sum(one.minimal for one in own)}/{len(own)} |"
        )


def race_table(races: Sequence[Race]) -> Iterator[str]:
    """A row an engine; how many times the state engine's commands it needs."""
    base = next((one.median for one in races if one.engine == "state"), 0.0)
    yield "| engine | found | median APDUs | times `state` |"
    yield "|---|---|---|---|"
    for one in races:
        found = sum(count is not None for count in one.apdus)
        median = f"{one.median:,.0f}" if one.median < float("inf") else f"> {one.cap:,}"
        times = min(one.median, one.cap) / base if base else 0.0
        more = "> " if one.median == float("inf") else ""
        yield f"| `{one.engine}` | {found}/{len(one.apdus)} | {median} | {more}{times:,.0f} |"


def _spent(began: float) -> float:
    return time.process_time() - began
