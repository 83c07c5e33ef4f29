"""How each part of `bsim fuzz` declares itself, and reads a corpus it was given."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bsim.cli.common import UsageError

if TYPE_CHECKING:
    from bsim.fuzz.files import Seed

Parts: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Do: TypeAlias = Callable[[argparse.Namespace], int]


def part(parts: Parts, name: str, summary: str, examples: str, do: Do) -> argparse.ArgumentParser:
    """Add one thing there is to do; `do` does it and answers the exit code."""
    parser = parts.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(do=do)
    return parser


def writable(folder: Path, *inner: str) -> None:
    """Make a folder, and see that it, and those in it that are there, can be written to; UsageError otherwise.

    To be asked before the work is done, not after it.
    """
    from tempfile import TemporaryFile

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in (folder, *(folder / name for name in inner)):
            if one.exists():
                with TemporaryFile(dir=one):
                    pass
    except OSError as fault:
        raise UsageError(f"{folder}: nothing can be written there ({fault.strerror})") from fault


def no_recording(*targets: str) -> None:
    """UsageError for a recorded card: it answers what it was asked once, and knows nothing else."""
    from bsim.lab.targets import is_recording

    for target in targets:
        if any(is_recording(one.strip()) for one in target.split(",")):
            raise UsageError(f"--on {target}: a recording answers what it was asked, and nothing else")


def names_of(text: str) -> list[str]:
    """Read names with commas between, and blanks if there are any."""
    return [name for one in text.split(",") if (name := one.strip())]


def corpus(folder: Path) -> "list[Seed]":
    """Read a corpus; UsageError where there is none: what is done with nothing would seem to go well."""
    from bsim.fuzz.files import read_seeds

    if not (seeds := list(read_seeds(folder))):
        raise UsageError(f"{folder}: no corpus here")
    return seeds
