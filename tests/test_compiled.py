"""The compiled declarations say what the declarations say, and only of those they were made from."""

import json
import shutil

import pytest

from bsim.spec import folder
from bsim.spec.compiled import NAME, Declared, compile_text, read_compiled
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
