"""Reads a run's folder back into the value reports are made from; a run that was killed has its findings still."""

import json
from pathlib import Path
from typing import Final

from bsim.fuzz import files
from bsim.fuzz.finding import EMULATED, SUFFIX, Finding, FindingError, check_answer, spec_hash
from bsim.fuzz.grammar import grammar
from bsim.fuzz.oracles import CHECKS
from bsim.fuzz.reports.fields import Fields
from bsim.fuzz.result import FORMAT, Exit, RunReport, coverage
from bsim.fuzz.result import Coverage as Covered
from bsim.fuzz.steps import parse
from bsim.spec.decode import MASK

_CUT_OFF: Final = "the run was cut off before its report was written: only what it found is known"


def load(folder: Path) -> RunReport:
    """Read a run's folder; FindingError says what is wrong with it."""
    path = folder / files.REPORT
    try:
        if not path.exists():
            return _from_findings(folder)
        return _report(json.loads(path.read_text(encoding="utf-8")), folder)
    except (OSError, ValueError) as fault:
        raise FindingError(f"{path}: no report of a run: {fault}") from fault


def _report(told: object, folder: Path) -> RunReport:
    whole = Fields(told, "")
    if (known := whole.number("format")) != FORMAT:
        raise ValueError(f"format {known:g}, not {FORMAT}")
    covered = Fields(whole.get("coverage"), "coverage: ")
    safety = whole.get("safety")
    return RunReport(
        seed=whole.integer("seed"),
        engine=whole.text("engine"),
        target=whole.text("target"),
        spec=whole.text("spec"),
        version=whole.text("version"),
        checks=whole.texts("checks"),
        seconds=whole.number("seconds"),
        apdus=whole.integer("apdus"),
        sequences=whole.integer("sequences"),
        states=whole.integer("states"),
        stability=whole.number("stability_percent") / 100,
        coverage=Covered(
            covered.integer("commands"),
            covered.integer("commands_seen"),
            covered.integer("pairs"),
            covered.integer("pairs_seen"),
            covered.texts("missing"),
        ),
        findings=tuple(_finding(Fields(one, "findings: "), folder) for one in whole.items("findings")),
        exit=Exit(whole.integer("exit")),
        workers=whole.integer("workers"),
        notes=whole.texts("notes"),
        safety=None if safety is None else Fields(safety, "safety: ").integers(),
    )


def _finding(told: Fields, folder: Path) -> Finding:
    """A finding of a report. Where that is masked, the finding's own file is whole; zeros stand there without it."""
    key, target = told.text("key"), told.text("target")
    whole = folder / files.FINDINGS / f"{told.text('id')}{SUFFIX}"
    if target != EMULATED and whole.exists() and (known := files.read_finding(whole)).key == key:
        return known
    oracle, _, rule = key.partition("/")
    if oracle not in CHECKS:
        raise ValueError(f"findings: key: no check {oracle!r}")
    steps = [Fields(one, "findings: steps: ") for one in told.items("steps")]
    answers = tuple(step.text("answer").replace(MASK, "00") for step in steps)
    for one in answers:
        check_answer(one)
    return Finding(
        oracle,
        rule,
        told.text("what"),
        told.text("card"),
        tuple(parse(step.text("step").replace(MASK, "00")) for step in steps),
        tuple(step.text("command") for step in steps),
        answers,
        told.integer("seed"),
        told.text("engine"),
        target,
        told.text("spec"),
        told.text("version"),
        told.integer("apdus"),
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
