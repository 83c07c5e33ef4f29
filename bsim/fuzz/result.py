"""What a run comes to: one value, and its JSON form, from which every report is made. docs/fuzzing.md describes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bsim.fuzz.finding import Finding
from bsim.fuzz.grammar import Grammar
from bsim.spec import sw_matches

FORMAT: Final = 1


class Exit(IntEnum):
    """How a run ends, as the process does."""

    CLEAN = 0
    FINDINGS = 1
    USAGE = 2
    SAFETY = 3
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Coverage:
    """Declared commands that were sent, and pairs of command and declared status word that were seen."""

    commands: int
    commands_seen: int
    pairs: int
    pairs_seen: int
    missing: tuple[str, ...]

    @property
    def percent(self) -> float:
        """Pairs seen of a hundred."""
        return 100.0 * self.pairs_seen / self.pairs if self.pairs else 100.0


@dataclass(frozen=True, slots=True)
class RunReport:
    """A whole run. `stability` is the share of sequences that led to the same state again."""

    seed: int
    engine: str
    target: str
    spec: str
    version: str
    checks: tuple[str, ...]
    seconds: float
    apdus: int
    sequences: int
    states: int
    stability: float
    coverage: Coverage
    findings: tuple[Finding, ...]
    exit: Exit
    workers: int = 1
    notes: tuple[str, ...] = ()
    safety: Mapping[str, int] | None = None

    def as_json(self) -> dict[str, object]:
        """The JSON form, `format` 1."""
        seconds = round(self.seconds, 3)  # before the division: who reads it back gets the same figures
        return {
            "format": FORMAT,
            "seed": self.seed,
            "engine": self.engine,
            "target": self.target,
            "spec": self.spec,
            "version": self.version,
            "checks": list(self.checks),
            "seconds": seconds,
            "apdus": self.apdus,
            "apdus_per_second": round(self.apdus / seconds) if seconds else 0,
            "sequences": self.sequences,
            "states": self.states,
            "stability_percent": round(100 * self.stability, 2),
            "workers": self.workers,
            "coverage": {
                "commands": self.coverage.commands,
                "commands_seen": self.coverage.commands_seen,
                "pairs": self.coverage.pairs,
                "pairs_seen": self.coverage.pairs_seen,
                "percent": round(self.coverage.percent, 1),
                "missing": list(self.coverage.missing),
            },
            "findings": [finding.as_json() for finding in self.findings],
            "notes": list(self.notes),
            "safety": None if self.safety is None else dict(self.safety),
            "exit": int(self.exit),
        }


def coverage(grammar: Grammar, pairs: Mapping[tuple[int, int], int]) -> Coverage:
    """Compare what was seen (index of a command and status word) with what is declared."""
    missing, seen, total, commands = [], 0, 0, 0
    for entry in grammar.entries:
        answered = [sw for index, sw in pairs if index == entry.index]
        commands += bool(answered)
        for pattern in entry.command.sw:
            total += 1
            if any(sw_matches(pattern, sw) for sw in answered):
                seen += 1
            else:
                missing.append(f"{entry.name} {pattern}")
    return Coverage(len(grammar.entries), commands, total, seen, tuple(missing))


def merged(reports: Sequence[Mapping[tuple[int, int], int]]) -> dict[tuple[int, int], int]:
    """Add up what several workers saw."""
    total: dict[tuple[int, int], int] = {}
    for one in reports:
        for pair, count in one.items():
            total[pair] = total.get(pair, 0) + count
    return total
