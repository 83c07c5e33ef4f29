"""How each part of `bsim fuzz` declares itself."""

import argparse
from collections.abc import Callable
from typing import TypeAlias

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
