"""A finding as reports show it. What a real card was told, and told, is masked; the emulated one has canaries."""

from bsim.fuzz.finding import Finding
from bsim.fuzz.oracles import CHECKS
from bsim.fuzz.result import RunReport


def title(report: RunReport) -> str:
    """One line: what was fuzzed, and what came of it."""
    count = len(report.findings)
    return f"bsim fuzz {report.target}: {'nothing found' if not count else f'{count} finding' + 's' * (count > 1)}"


def facts(report: RunReport) -> list[tuple[str, str]]:
    """What a reader wants to know of a run, by name."""
    covered = report.coverage
    told = [
        ("seed", str(report.seed)),
        ("engine", report.engine),
        ("checks", ", ".join(report.checks)),
        ("APDUs", f"{report.apdus:,} in {report.seconds:.1f} s, {report.sequences:,} sequences"),
        ("states", f"{report.states:,}, stability {100 * report.stability:.0f} %"),
        ("workers", str(report.workers)),
        ("commands", f"{covered.commands_seen} of {covered.commands}"),
        ("status words", f"{covered.pairs_seen} of {covered.pairs} ({covered.percent:.0f} %)"),
        ("declaration", report.spec),
        ("bsim", report.version),
        ("exit", f"{report.exit:d} ({report.exit.name.lower()})"),
    ]
    safety = "" if report.safety is None else ", ".join(f"{name} {value}" for name, value in report.safety.items())
    return [*told, ("safety", safety)] if safety else told


def lines(finding: Finding) -> list[str]:
    """The steps of a finding with what each was answered, a line each; a run may have it from an earlier one."""
    return finding.lines()


def level(finding: Finding) -> str:
    """How bad it is: error, warning or note."""
    return CHECKS[finding.oracle].level


def cwe(finding: Finding) -> int:
    """Its number in MITRE's list of weaknesses."""
    return CHECKS[finding.oracle].cwe
