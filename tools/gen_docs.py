#!/usr/bin/env python3
"""Writes docs/commands.md from the declarations; with --check, says whether it is up to date."""

import argparse
import sys
from pathlib import Path

from bsim.spec import spec
from bsim.spec.render import markdown

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"


def main() -> int:
    """Write or check the page; answers the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the page is out of date")
    check = parser.parse_args().check
    text = markdown(spec())
    if check:
        if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        print(f"{PAGE.relative_to(PAGE.parents[1])} is out of date; run: make docs", file=sys.stderr)
        return 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
