#!/usr/bin/env python3
"""Writes what is made of the declarations: docs/commands.md, applet_spec/compiled.json. With --check, are they so?"""

import argparse
import sys
from pathlib import Path

from bsim.spec import folder
from bsim.spec.compiled import NAME, Declared, compile_text
from bsim.spec.load import load
from bsim.spec.load_files import load_files
from bsim.spec.render import markdown

ROOT = Path(__file__).parents[1]


def texts() -> dict[Path, str]:
    """What is generated, by file; read from the declarations themselves."""
    declared = Declared(load(folder()), load_files(folder()))
    return {
        ROOT / "docs" / "commands.md": markdown(declared.spec),
        ROOT / "applet_spec" / NAME: compile_text(declared, folder()),
    }


def main() -> int:
    """Write or check the files; answers the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a file is out of date")
    check = parser.parse_args().check
    stale = {file: text for file, text in texts().items() if not _holds(file, text)}
    for file, text in stale.items():
        if check:
            print(f"{file.relative_to(ROOT)} is out of date; run: make docs", file=sys.stderr)
        else:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return 1 if check and stale else 0


def _holds(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    raise SystemExit(main())
