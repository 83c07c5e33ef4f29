"""A finding in other tools' forms: a pytest that fails while it stands, and a shell script for OpenSC."""

from bsim.fuzz.finding import Finding
from bsim.fuzz.steps import RESET, cut_of, text

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
    """Write a shell script that sends the commands with opensc-tool; what it cannot do stands there as a comment."""
    lines = ["#!/bin/sh", f"# {finding.key}: {finding.words}", "# Secrets in it are those of the test cards.", "set -e"]
    batch: list[str] = []
    for name, step in zip(finding.names, finding.steps, strict=True):
        if step[0] == RESET:
            lines += [*_sent(batch), "opensc-tool --reset"]
            batch = []
        elif cut_of(step[0]) is not None or not step[1]:
            lines += [*_sent(batch), f"# not with a reader: {name} {text(step)}"]
            batch = []
        else:
            batch.append(step[1].hex().upper())
    return "\n".join((*lines, *_sent(batch))) + "\n"


def _sent(batch: list[str]) -> list[str]:
    """One call for all: between two calls the card may be reset."""
    return ["opensc-tool " + " \\\n  ".join(f"-s {one}" for one in batch)] if batch else []
