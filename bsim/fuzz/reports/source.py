"""Where in this project a finding is at home: the line of the code that answers a command, and its declaration's."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from bsim.spec import folder

_PACKAGE: Final = Path(__file__).parents[2]
_HANDLES: Final = re.compile(r'^@\w+\.handles\("(\w+)"\)')
_NAME: Final = re.compile(r'^name = "(\w+)"')
_CRASH: Final = re.compile(r" in (\w+)\.(\w+)$")


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, its path as in the repository."""

    path: str
    line: int


def home(command: str, rule: str = "") -> Place:
    """Answer the line a finding points at: where it crashed, or else where its command is carried out."""
    crashed = _CRASH.search(rule)
    known = _function(crashed[1], crashed[2]) if crashed else None
    return known or handlers().get(command) or Place("bsim/card/uicc.py", 1)


def entry(command: str) -> Place | None:
    """Answer the line of a command's declaration; None where none is."""
    return entries().get(command)


@cache
def handlers() -> dict[str, Place]:
    """Answer where each command is carried out: its handler's first line."""
    return {
        found[1]: Place(_path(file), number)
        for file in sorted(_PACKAGE.rglob("*.py"))
        for number, line in _lines(file)
        if (found := _HANDLES.match(line))
    }


@cache
def entries() -> dict[str, Place]:
    """Answer where each command is declared: the line of its name in applet_spec/*.toml."""
    return {
        found[1]: Place(f"applet_spec/{file.name}", number)
        for file in folder().iterdir()
        if file.name.endswith(".toml")
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if (found := _NAME.match(line))
    }


@cache
def _function(module: str, name: str) -> Place | None:
    for file in sorted(_PACKAGE.rglob(f"{module}.py")):
        for number, line in _lines(file):
            if re.match(rf"\s*def {name}\(", line):
                return Place(_path(file), number)
    return None


def _lines(file: Path) -> list[tuple[int, str]]:
    return list(enumerate(file.read_text(encoding="utf-8").splitlines(), 1))


def _path(file: Path) -> str:
    return f"bsim/{file.relative_to(_PACKAGE).as_posix()}"
