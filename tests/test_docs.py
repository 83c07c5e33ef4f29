"""Generated pages are up to date."""

import runpy
import sys
from pathlib import Path

import pytest
from helpers import SPEC

from bsim.spec.render import markdown

TOOL = Path(__file__).parents[1] / "tools" / "gen_docs.py"
PAGE = Path(__file__).parents[1] / "docs" / "commands.md"


def run(monkeypatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gen_docs.py", *words])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(TOOL), run_name="__main__")
    assert isinstance(end.value.code, int)
    return end.value.code


def test_the_command_reference_is_up_to_date(monkeypatch):
    assert PAGE.read_text(encoding="utf-8") == markdown(SPEC), "run: make docs"
    assert run(monkeypatch, "--check") == 0


def test_an_old_page_is_found_and_written_anew(monkeypatch, tmp_path, capsys):
    tool = tmp_path / "tools" / "gen_docs.py"
    tool.parent.mkdir()
    tool.write_text(TOOL.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr("test_docs.TOOL", tool)
    assert run(monkeypatch, "--check") == 1
    assert "make docs" in capsys.readouterr().err
    assert run(monkeypatch) == 0
    assert run(monkeypatch, "--check") == 0
