"""A finding in other tools' forms: a pytest that fails while it stands, and a shell script for OpenSC.

A file may be anybody's: none of its words becomes code, and what would go wrong when it is sent as it stands is not.
"""

from collections.abc import Callable, Sequence
from typing import Final

from bsim.fuzz.finding import Finding
from bsim.fuzz.steps import PLAIN, RESET, Step, cut_of, text
from bsim.lab.guard import danger_of
from bsim.spec import Danger

FORMATS = ("text", "json", "pytest", "opensc")
_HARMLESS: Final = frozenset({Danger.SAFE, Danger.WRITES})


def pytest(finding: Finding) -> str:
    """Write a test module: it fails as long as the finding stands."""
    lines = "".join(f"    {one!r}\n" for one in finding.text().splitlines(keepends=True))
    return (
        f'"""Finding {finding.id} must not be met any more."""\n\n'
        "from bsim.fuzz.regress import check\n\n"
        f"FINDING = (\n{lines})\n\n\n"
        f"def test_{finding.id.lower()}() -> None:\n"
        "    check(FINDING)\n"
    )


def opensc(finding: Finding) -> str:
    """Write a shell script that sends the commands with opensc-tool. To a card in a reader it spends no try."""
    title = f"{finding.key}: {finding.words}"
    return opensc_script(title, finding.names, finding.steps, guarded=finding.in_reader)


def opensc_script(title: str, names: Sequence[str], steps: Sequence[Step], *, guarded: bool = False) -> str:
    """Write commands for opensc-tool in a shell; what it cannot do, or (`guarded`) must not, is a comment there."""
    secrets = "may be those of the card it was found on" if guarded else "are those of the test cards"
    lines = ["#!/bin/sh", f"# {_one_line(title)}", f"# Secrets in it {secrets}.", "set -e"]
    batch: list[str] = []
    for name, step in zip(names, steps, strict=True):
        if step[0] == RESET:
            lines += [*_sent(batch), "opensc-tool --reset"]
            batch = []
        elif left_out := _left_out(name, step, guarded=guarded):
            lines.append(left_out)  # above the others: between two calls the card may be reset
        else:
            batch.append(step[1].hex().upper())
    return "\n".join((*lines, *_sent(batch))) + "\n"


def pysim_script(title: str, names: Sequence[str], steps: Sequence[Step]) -> str:
    """Write commands for pySim-shell (`--script`); what it cannot do stands there as a comment."""
    lines = [f"# {_one_line(title)}"]
    for name, step in zip(names, steps, strict=True):
        if step[0] == RESET:
            lines.append("reset")
        else:
            lines.append(_left_out(name, step) or f"apdu {step[1].hex().upper()}")
    return "\n".join(lines) + "\n"


def _left_out(name: str, step: Step, *, guarded: bool = False) -> str:
    """The comment that stands for a step which is not sent as it stands; empty for one that is.

    What follows from earlier answers is out of date in a script: a stale cryptogram is a wrong try of a key.
    """
    if guarded and step[1] and danger_of(step[1]) not in _HARMLESS:
        return f"# left out, as it may spend a try or change what stays: {_one_line(name)} {step[1][:4].hex().upper()}"
    if cut_of(step[0]) is not None or not step[1] or step[2] != PLAIN:
        return f"# not with a reader: {_one_line(name)} {text(step)}"
    return ""


def _one_line(words: str) -> str:
    return " ".join(words.split())


def _sent(batch: list[str]) -> list[str]:
    """One call for all: between two calls the card may be reset."""
    return ["opensc-tool " + " \\\n  ".join(f"-s {one}" for one in batch)] if batch else []


SCRIPTS: Final[dict[str, tuple[Callable[[str, Sequence[str], Sequence[Step]], str], str]]] = {
    "opensc": (opensc_script, ".sh"),
    "pysim": (pysim_script, ".script"),
}
"""What makes a script for each tool, and its file's suffix."""
