"""Fuzzing in slices: what a worker does in one, what it hands over, and what is made of many. Knows no processes.

Processes of this machine (`parallel`) and actors of a cluster (`cluster`) are two ways to call the same worker.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeAlias

from bsim import __version__
from bsim.fuzz import cards
from bsim.fuzz.campaign import Campaign, Options, Progress
from bsim.fuzz.engine import Kind
from bsim.fuzz.files import Folder, Seed
from bsim.fuzz.finding import Finding, spec_hash
from bsim.fuzz.grammar import grammar
from bsim.fuzz.heap import collected_seldom
from bsim.fuzz.result import Exit, RunReport, coverage

SLICE: Final = 1.0
_STEP: Final = 500
_LOWEST: Final = "lowest_tries"


@dataclass(frozen=True, slots=True)
class SliceResult:
    """What one slice came to: counts since the worker began, what is new since its last slice."""

    apdus: int
    sequences: int
    states: int
    replayed: int
    unstable: int
    pairs: tuple[tuple[int, int], ...]
    findings: tuple[Finding, ...]
    seeds: tuple[Seed, ...]
    stopped: str = ""
    """Why this worker does not go on; and on a reader what was done to the card."""
    safety: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()
    """What else is to be known of what was done to a card in a reader."""
    done: bool = False
    """Whether the worker has done all it was made for, and has no use for another slice."""


class Slicer(Protocol):
    """A worker of any kind."""

    def slice(self, seconds: float, seeds: Iterable[Seed], known: Iterable[str]) -> SliceResult:
        """Go on for so long, beginning with what others found."""
        ...

    def close(self) -> SliceResult | None:
        """Let go of what it holds; answers what it came to, if that tells more than its last slice."""
        ...


Make: TypeAlias = Callable[[Options, int], Slicer]
"""Makes the worker of an index."""


class Worker:
    """One worker, long-lived: `slice` goes on for a while, beginning with what others found."""

    def __init__(self, options: Options, index: int) -> None:
        digest = hashlib.sha256(f"{options.seed}/{index}".encode()).digest()
        self._campaign: Final = Campaign(replace(options, seed=int.from_bytes(digest[:6], "big"), folder=None))
        self._told: set[str] = set()
        self._handed = 0
        self._prepared = index > 0  # the phases before exploring are one worker's

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def slice(self, seconds: float = SLICE, seeds: Iterable[Seed] = (), known: Iterable[str] = ()) -> SliceResult:
        """Go on for so long. `known` are keys of findings that others have made."""
        campaign, explorer = self._campaign, self._campaign.explorer
        campaign.finder.known |= set(known)
        end = time.monotonic() + seconds
        with cards.quick_backups(), collected_seldom():
            if not self._prepared:
                self._prepared = True
                campaign.prepare()
            campaign.sow(seeds)
            while time.monotonic() < end and "explore" in campaign.phases:
                campaign.step(_STEP)
        found = [one for key, one in campaign.finder.findings.items() if key not in self._told]
        self._told |= {one.key for one in found}
        fresh, self._handed = explorer.firsts[self._handed :], len(explorer.firsts)
        return SliceResult(
            explorer.apdus,
            explorer.sequences,
            len(explorer.states),
            explorer.replayed,
            explorer.unstable,
            tuple(explorer.pairs),
            tuple(found),
            tuple(Seed(*first) for first in fresh),
            done="explore" not in campaign.phases,
        )


class Coordinator:
    """Puts together what workers hand over. Everything it keeps is in the folder too, so a run goes on without it."""

    def __init__(self, options: Options, target: str = "ram") -> None:
        self._target: Final = target
        self._options: Final = options
        self._grammar: Final = grammar()
        self._last: dict[int, SliceResult] = {}
        self._pairs: dict[tuple[int, int], int] = {}
        self._folder: Final = None if options.folder is None else Folder(options.folder)
        self._began: Final = time.monotonic()
        self._states = 0
        self._seeds: list[Seed] = list(options.seeds)
        self.findings: dict[str, Finding] = {one.key: one for one in options.standing}
        self.lost = 0
        """Workers that are gone."""
        self.abandoned = ""
        """What was asked for and is not done, as whoever was to do it is gone."""

    def absorb(self, index: int, result: SliceResult) -> tuple[list[Finding], list[Seed]]:
        """Take a worker's slice; answers findings and seeds that are new to all, to be told to the other workers."""
        self._last[index] = result
        findings = [one for one in result.findings if one.key not in self.findings]
        self.findings |= {one.key: one for one in findings}
        seeds = [seed for seed in result.seeds if self._is_new(seed)]
        self._seeds += seeds
        self._pairs |= dict.fromkeys(result.pairs, 1)
        if self._folder is not None:
            for finding in findings:
                self._folder.save_finding(finding)
            for seed in seeds:
                self._folder.save_seed(seed)
        return findings, seeds

    @property
    def prepares(self) -> bool:
        """Whether phases before exploring are asked for, which are one worker's."""
        return self._options.engine is Kind.STATE and bool({"smoke", "boundary"} & {*self._options.phases})

    def corpus(self) -> list[Seed]:
        """Answer what a worker begins with: the seeds of the run, and those that were found since."""
        return list(self._seeds)

    def over(self) -> bool:
        """Whether a budget is spent."""
        options = self._options
        return (
            (options.max_failures is not None and len(self.findings) - len(options.standing) >= options.max_failures)
            or (options.max_apdus is not None and self._sum("apdus") >= options.max_apdus)
            or (options.max_time is not None and self._seconds() >= options.max_time)
        )

    def progress(self) -> Progress:
        """Answer where the run is."""
        states = max((one.states for one in self._last.values()), default=0)
        new, self._states = states - self._states, states
        return Progress(
            self._seconds(),
            self._sum("apdus"),
            states,
            new,
            coverage(self._grammar, self._pairs),
            self._stability(),
            len(self.findings),
        )

    def report(self, *, interrupted: bool = False, notes: Sequence[str] = ()) -> RunReport:
        """Answer what the run came to, and write it."""
        options = self._options
        found = tuple(self.findings.values())
        report = RunReport(
            seed=options.seed,
            engine=options.engine,
            target=self._target,
            spec=spec_hash(),
            version=__version__,
            checks=tuple(sorted(options.checks)),
            seconds=self._seconds(),
            apdus=self._sum("apdus"),
            sequences=self._sum("sequences"),
            states=max((one.states for one in self._last.values()), default=0),
            stability=self._stability(),
            coverage=coverage(self._grammar, self._pairs),
            findings=found,
            exit=self._exit(found, interrupted=interrupted),
            workers=max(len(self._last), 1),
            notes=(*notes, *self._stopped(), *self._gone(), *self._noted()),
            safety=self._safety(),
        )
        if self._folder is not None:
            self._folder.save_report(report)
        return report

    def _exit(self, found: Sequence[Finding], *, interrupted: bool) -> Exit:
        if interrupted:
            return Exit.INTERRUPTED
        if self._stopped():
            return Exit.SAFETY
        # Less was done than was asked for: to call that clean would be to vouch for what nobody looked at.
        return Exit.INTERRUPTED if self.abandoned else Exit.FINDINGS if found else Exit.CLEAN

    def _gone(self) -> list[str]:
        return [*([f"{self.lost} workers were lost"] if self.lost else []), *filter(None, [self.abandoned])]

    def _stopped(self) -> list[str]:
        return [one.stopped for one in self._last.values() if one.stopped]

    def _noted(self) -> list[str]:
        return [note for one in self._last.values() for note in one.notes]

    def _safety(self) -> dict[str, int] | None:
        """What was done to all cards in readers together; of the tries the lowest that were left on any."""
        told: dict[str, int] = {}
        for one in self._last.values():
            for name, value in one.safety:
                told[name] = min(told.get(name, value), value) if name == _LOWEST else told.get(name, 0) + value
        return told or None

    def _is_new(self, seed: Seed) -> bool:
        name, _, sw = seed.why.rpartition(" ")
        entry = self._grammar.by_name.get(name)
        return entry is not None and (entry.index, int(sw, 16)) not in self._pairs

    def _stability(self) -> float:
        replayed = self._sum("replayed")
        return 1.0 - self._sum("unstable") / replayed if replayed else 1.0

    def _sum(self, name: str) -> int:
        return sum(int(getattr(one, name)) for one in self._last.values())

    def _seconds(self) -> float:
        return time.monotonic() - self._began
