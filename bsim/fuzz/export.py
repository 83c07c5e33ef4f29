"""A finding in other tools' forms: a pytest that fails while it stands, and a shell script for OpenSC."""

from collections.abc import Callable, Sequence
from typing import Final

from bsim.fuzz.finding import Finding
from bsim.fuzz.steps import RESET, SECURES, Step, cut_of, text

FORMATS = ("text", "json", "pytest", "opensc")


def pytest(finding: Finding) -> str:
    """Write a test module: it fails as long as the finding stands."""
    quotes = '"""'
    return (
        f"{quotes}{finding.key}: {finding.words}.{quotes}\n\n"
        "from bsim.fuzz.regress import check\n\n"
        f"FINDING = {quotes}\\\n{finding.text()}{quotes}\n\n\n"
        f"def test_{finding.id.lower()}() -> None:\n"
        "    check(FINDING)\n"
    )


def opensc(finding: Finding) -> str:
    """Write a shell script that sends the commands with opensc-tool."""
    return opensc_script(f"{finding.key}: {finding.words}", finding.names, finding.steps)


def opensc_script(title: str, names: Sequence[str], steps: Sequence[Step]) -> str:
    """Write commands for opensc-tool in a shell; what it cannot do stands there as a comment."""
    lines = ["#!/bin/sh", f"# {title}", "# Secrets in it are those of the test cards.", "set -e"]
    batch: list[str] = []
    for name, step in zip(names, steps, strict=True):
        if step[0] == RESET:
            lines += [*_sent(batch), "opensc-tool --reset"]
            batch = []
        elif not _is_sent_as_it_stands(step):
            lines += [*_sent(batch), f"# not with a reader: {name} {text(step)}"]
            batch = []
        else:
            batch.append(step[1].hex().upper())
    return "\n".join((*lines, *_sent(batch))) + "\n"


def pysim_script(title: str, names: Sequence[str], steps: Sequence[Step]) -> str:
    """Write commands for pySim-shell (`--script`); what it cannot do stands there as a comment."""
    lines = [f"# {title}"]
    for name, step in zip(names, steps, strict=True):
        if step[0] == RESET:
            lines.append("reset")
        elif not _is_sent_as_it_stands(step):
            lines.append(f"# not with a reader: {name} {text(step)}")
        else:
            lines.append(f"apdu {step[1].hex().upper()}")
    return "\n".join(lines) + "\n"


def _is_sent_as_it_stands(step: Step) -> bool:
    return cut_of(step[0]) is None and bool(step[1]) and step[2] != SECURES


def _sent(batch: list[str]) -> list[str]:
    """One call for all: between two calls the card may be reset."""
    return ["opensc-tool " + " \\\n  ".join(f"-s {one}" for one in batch)] if batch else []


SCRIPTS: Final[dict[str, tuple[Callable[[str, Sequence[str], Sequence[Step]], str], str]]] = {
    "opensc": (opensc_script, ".sh"),
    "pysim": (pysim_script, ".script"),
}
"""What makes a script for each tool, and its file's suffix."""
