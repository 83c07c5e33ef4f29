"""One run from start to end in one process: phases, budgets, findings, the folder, the report."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bsim import __version__
from bsim.fuzz import cards, phases
from bsim.fuzz.emulated_rig import Wrap
from bsim.fuzz.engine import Explorer, Kind
from bsim.fuzz.files import Folder, Seed
from bsim.fuzz.finder import Finder
from bsim.fuzz.finding import Finding, spec_hash
from bsim.fuzz.grammar import grammar
from bsim.fuzz.heap import collected_seldom
from bsim.fuzz.oracles import CHECKS, Judge
from bsim.fuzz.result import Coverage, Exit, RunReport, coverage

_SLICE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is asked to do. Times in seconds; None is without bound."""

    seed: int
    engine: Kind = Kind.STATE
    checks: frozenset[str] = frozenset(CHECKS)
    roots: Sequence[str] = tuple(cards.ROOTS)
    phases: Sequence[str] = phases.PHASES
    commands: Sequence[str] | None = None
    max_time: float | None = None
    max_apdus: int | None = None
    max_failures: int | None = None
    shrink: bool = True
    folder: Path | None = None
    wrap: Wrap | None = None
    seeds: Sequence[Seed] = ()
    standing: Sequence[Finding] = ()
    """Findings of earlier runs that still stand: they are reported, and not looked for again."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is: what the live line shows."""

    seconds: float
    apdus: int
    states: int
    new_states: int
    coverage: Coverage
    stability: float
    findings: int
    safety: str = ""


class Campaign:
    """A run; `step` goes on for a slice, `report` tells what it came to."""

    def __init__(
        self,
        options: Options,
        on_finding: Callable[[Finding], None] = lambda _: None,
        on_raw: Callable[[Finding], object] = lambda _: None,
    ) -> None:
        """`on_raw` is told of each finding as soon as it is verified, before it is minimised."""
        self._options: Final = options
        self._grammar: Final = grammar()
        judge = Judge(options.checks)
        self.explorer: Final = Explorer(
            self._grammar,
            judge,
            options.seed,
            kind=options.engine,
            roots=options.roots,
            wrap=options.wrap,
            commands=None if options.commands is None else [self._grammar.by_name[name] for name in options.commands],
        )
        self.finder: Final = Finder(
            self._grammar,
            Judge(options.checks),
            options.wrap,
            seed=options.seed,
            engine=options.engine,
            shrink=options.shrink,
        )
        self.finder.known |= {one.key for one in options.standing}
        self.finder.on_finding, self.finder.on_raw = self._found, self._met
        self.explorer.on_hit = self.finder
        self._folder: Final = None if options.folder is None else Folder(options.folder)
        self._on_finding: Final = on_finding
        self._on_raw: Final = on_raw
        self._began: Final = time.monotonic()
        self._states = 0
        self._saved = self._saved_at = 0
        self.interrupted = False

    def run(self, progress: Callable[[Progress], None] = lambda _: None) -> RunReport:
        """Go through the phases until a budget is spent; Ctrl-C ends the run, and the report is made all the same."""
        with cards.quick_backups(), collected_seldom():
            try:
                self.sow(self._options.seeds)
                self.prepare()
                while "explore" in self._options.phases and not self._over():
                    self.step(_SLICE)
                    self._save()
                    progress(self.progress())
            except KeyboardInterrupt:
                self.interrupted = True
        return self.report()

    def step(self, apdus: int) -> None:
        """Explore for about so many commands."""
        self.explorer.explore(apdus)

    def progress(self) -> Progress:
        """Answer where the run is."""
        explorer = self.explorer
        states = len(explorer.states)
        new, self._states = states - self._states, states
        return Progress(
            time.monotonic() - self._began,
            explorer.apdus,
            states,
            new,
            coverage(self._grammar, explorer.pairs),
            self._stability(),
            len(self.finder.findings),
        )

    def report(self) -> RunReport:
        """Answer what the run came to, and write it to the folder."""
        explorer, options = self.explorer, self._options
        notes = [
            f"{key} was hit {count} times and could not be repeated" for key, count in self.finder.unverified.items()
        ]
        found = (*options.standing, *self.finder.findings.values())
        report = RunReport(
            seed=options.seed,
            engine=options.engine,
            target="ram",
            spec=spec_hash(),
            version=__version__,
            checks=tuple(sorted(options.checks)),
            seconds=time.monotonic() - self._began,
            apdus=explorer.apdus,
            sequences=explorer.sequences,
            states=len(explorer.states),
            stability=self._stability(),
            coverage=coverage(self._grammar, explorer.pairs),
            findings=found,
            exit=Exit.INTERRUPTED if self.interrupted else Exit.FINDINGS if found else Exit.CLEAN,
            notes=tuple(notes),
        )
        if self._folder is not None:
            self._save()
            self._folder.save_report(report)
        return report

    @property
    def phases(self) -> Sequence[str]:
        """The phases that are asked for."""
        return self._options.phases

    def sow(self, seeds: Iterable[Seed]) -> None:
        """Run sequences that were worth keeping before, or elsewhere."""
        for seed in seeds:
            if seed.root in self._options.roots:
                with self.explorer.sequence(seed.root) as do:
                    for step in seed.steps:
                        do(step)

    def prepare(self) -> None:
        """Smoke and boundary."""
        for name, phase in (("smoke", phases.smoke), ("boundary", phases.boundary)):
            if name in self._options.phases and self._options.engine is Kind.STATE and not self._over():
                phase(self.explorer, self._grammar, self._paused)

    def _paused(self) -> bool:
        """Save what a slice of a phase found; answers whether the run is over."""
        if self.explorer.apdus - self._saved_at >= _SLICE:
            self._save()
        return self._over()

    def _save(self) -> None:
        """Write what is new of the corpus: a run that is killed loses no more than a slice."""
        firsts, self._saved_at = self.explorer.firsts, self.explorer.apdus
        if self._folder is not None:
            for root, steps, why in firsts[self._saved :]:
                self._folder.save_seed(Seed(root, steps, why))
        self._saved = len(firsts)

    def _over(self) -> bool:
        options = self._options
        if options.max_failures is not None and len(self.finder.findings) >= options.max_failures:
            return True
        if options.max_apdus is not None and self.explorer.apdus >= options.max_apdus:
            return True
        return options.max_time is not None and time.monotonic() - self._began >= options.max_time

    def _stability(self) -> float:
        explorer = self.explorer
        return 1.0 - explorer.unstable / explorer.replayed if explorer.replayed else 1.0

    def _met(self, finding: Finding) -> None:
        self._keep(finding, self._on_raw)

    def _found(self, finding: Finding) -> None:
        self._keep(finding, self._on_finding)

    def _keep(self, finding: Finding, tell: Callable[[Finding], object]) -> None:
        """Write a finding, and tell of it: all the more where it cannot be written."""
        try:
            if self._folder is not None:
                self._folder.save_finding(finding)
        finally:
            tell(finding)
