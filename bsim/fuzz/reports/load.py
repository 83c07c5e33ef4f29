"""Reads a run's folder back into the value reports are made from; a run that was killed has its findings still."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bsim.fuzz import files
from bsim.fuzz.finding import EMULATED, SUFFIX, Finding, FindingError, spec_hash
from bsim.fuzz.grammar import grammar
from bsim.fuzz.result import FORMAT, Exit, RunReport, coverage
from bsim.fuzz.result import Coverage as Covered
from bsim.fuzz.steps import StepError, parse
from bsim.spec.decode import MASK

_CUT_OFF: Final = "the run was cut off before its report was written: only what it found is known"


def load(folder: Path) -> RunReport:
    """Read a run's folder; FindingError says what is wrong with it."""
    path = folder / files.REPORT
    try:
        if not path.exists():
            return _from_findings(folder)
        return _report(json.loads(path.read_text(encoding="utf-8")), folder)
    except (OSError, KeyError, TypeError, ValueError, StepError) as fault:
        raise FindingError(f"{path}: no report of a run: {fault}") from fault


def _report(told: Mapping[str, Any], folder: Path) -> RunReport:
    if told["format"] != FORMAT:
        raise ValueError(f"format {told['format']}, not {FORMAT}")
    covered = told["coverage"]
    return RunReport(
        seed=told["seed"],
        engine=told["engine"],
        target=told["target"],
        spec=told["spec"],
        version=told["version"],
        checks=tuple(told["checks"]),
        seconds=told["seconds"],
        apdus=told["apdus"],
        sequences=told["sequences"],
        states=told["states"],
        stability=told["stability_percent"] / 100,
        coverage=Covered(
            covered["commands"],
            covered["commands_seen"],
            covered["pairs"],
            covered["pairs_seen"],
            tuple(covered["missing"]),
        ),
        findings=tuple(_finding(one, folder) for one in told["findings"]),
        exit=Exit(told["exit"]),
        workers=told["workers"],
        notes=tuple(told["notes"]),
        safety=told["safety"],
    )


def _finding(told: Mapping[str, Any], folder: Path) -> Finding:
    """A finding of a report. Where that is masked, the finding's own file is whole; zeros stand there without it."""
    whole = folder / files.FINDINGS / f"{told['id']}{SUFFIX}"
    if told["target"] != EMULATED and whole.exists() and (known := files.read_finding(whole)).key == told["key"]:
        return known
    oracle, _, rule = told["key"].partition("/")
    steps = told["steps"]
    return Finding(
        oracle,
        rule,
        told["what"],
        told["card"],
        tuple(parse(step["step"].replace(MASK, "00")) for step in steps),
        tuple(step["command"] for step in steps),
        tuple(step["answer"].replace(MASK, "00") for step in steps),
        told["seed"],
        told["engine"],
        told["target"],
        told["spec"],
        told["version"],
        told["apdus"],
    )


def _from_findings(folder: Path) -> RunReport:
    """What is left of a run that ended before it wrote its report."""
    if not any((folder / name).is_dir() for name in (files.FINDINGS, files.CORPUS)):
        raise FileNotFoundError("there is no run in this folder")
    found = tuple(files.Folder(folder).findings())
    first = found[0] if found else None
    return RunReport(
        seed=first.seed if first else 0,
        engine=first.engine if first else "",
        target=first.target if first else "ram",
        spec=first.spec if first else spec_hash(),
        version=first.version if first else "",
        checks=tuple(sorted({one.oracle for one in found})),
        seconds=0.0,
        apdus=max((one.apdus for one in found), default=0),
        sequences=0,
        states=0,
        stability=1.0,
        coverage=coverage(grammar(), {}),
        findings=found,
        exit=Exit.INTERRUPTED,
        notes=(_CUT_OFF,),
    )
