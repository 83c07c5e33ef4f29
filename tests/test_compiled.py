"""The compiled declarations say what the declarations say, and only of those they were made from."""

import ast
import json
import shutil
from pathlib import Path

import pytest

import bsim
from bsim import spec
from bsim.spec import folder
from bsim.spec.compiled import _READERS, NAME, Declared, compile_text, read_compiled
from bsim.spec.load import load
from bsim.spec.load_files import load_files


@pytest.fixture
def copied(tmp_path):
    """A folder of declarations of one's own."""
    there = tmp_path / "applet_spec"
    shutil.copytree(folder(), there)
    return there


def test_what_is_compiled_is_what_is_declared(copied):
    kept = read_compiled(copied)
    assert kept == Declared(load(copied), load_files(copied))
    assert list(kept.spec.applets["wallet"].commands) == list(load(copied).applets["wallet"].commands)


def test_it_is_compiled_as_it_was(copied):
    assert compile_text(Declared(load(copied), load_files(copied)), copied) == (copied / NAME).read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("file", ["wallet.toml", "files.toml"])
def test_a_changed_declaration_is_read_itself(copied, file):
    (copied / file).write_text((copied / file).read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    assert read_compiled(copied) is None


def test_one_more_declaration_is_read_itself(copied):
    (copied / "another.toml").write_text("", encoding="utf-8")
    assert read_compiled(copied) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", json.dumps({"of": "0"})])
def test_a_damaged_one_is_passed_over(copied, text):
    (copied / NAME).write_text(text, encoding="utf-8")
    assert read_compiled(copied) is None


def test_without_one_the_declarations_are_read(copied):
    (copied / NAME).unlink()
    assert read_compiled(copied) is None


def test_without_one_the_same_is_answered(copied, monkeypatch):
    """Past the caches, which others' tables are from."""
    (copied / NAME).unlink()
    monkeypatch.setattr(spec, "folder", lambda: copied)
    monkeypatch.setattr(spec, "_compiled", spec._compiled.__wrapped__)
    for declared in (spec.spec, spec.file_system):
        anew, compiled = declared.__wrapped__(), declared()
        assert anew == compiled
        assert anew is not compiled


def test_it_is_of_all_that_makes_tables():
    """What reads the declarations uses nothing of ours beside, but the names of faults."""
    package = Path(bsim.__file__).parent
    used = {module for name in _READERS for module in imported(package / name)}
    readers = {f"bsim.{name.removesuffix('.py').replace('/', '.')}" for name in _READERS}
    assert used - readers == {"bsim.spec.declared", "bsim.sw"}


def imported(file):
    """The modules of ours that a file imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("bsim"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from names if node.module in {"bsim", "bsim.spec"} else [node.module]
