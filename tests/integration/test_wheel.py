"""The wheel by itself: built, installed into an empty environment, used from elsewhere."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ["--constraint", str(ROOT / "constraints.txt")]
USE = """
import bsim
card = bsim.new_card()
wallet = bsim.Wallet(card)
account = wallet.derive(60)
wallet.verify_bpin()
assert wallet.sign(60, account.slot, bytes(32))[0] == 0x30
from bsim.profiles import default_engine
print(bsim.__file__, default_engine().means, sep="; ")
"""
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def build(folder, **environment):
    """Build the wheel into a folder."""
    command = [*PIP, "wheel", "--no-deps", "--wheel-dir", folder, ROOT]
    subprocess.run(command, check=True, env=os.environ | environment)
    (wheel,) = folder.glob("bsim-*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A new environment with the wheel and what it needs in it, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    wheel = build(folder)
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    subprocess.run([*PIP, "--python", python, "install", *CONSTRAINTS, wheel], check=True)
    return python.parent


def run(command, folder, **environment):
    environment = {"PATH": os.defpath, "HOME": str(folder), **environment}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_card_works_from_the_wheel(installed, tmp_path):
    assert str(installed.parent) in run([installed / "python", "-c", USE], tmp_path)


def test_the_command_line_works_from_the_wheel(installed, tmp_path):
    assert "RFC 6979" in run([installed / "bsim", "spec", "SIGN"], tmp_path)
    run([installed / "bsim", "new", "card.bsim"], tmp_path)
    assert "60" in run([installed / "bsim", "wallet", "derive", "ethereum", "--on", "card.bsim"], tmp_path)
    assert "0x02" in run([installed / "bsim", "demo"], tmp_path)


def test_the_wheel_signs_through_the_extension_where_it_could_be_built(installed, tmp_path):
    (wheel,) = installed.parents[1].glob("bsim-*.whl")
    means = run([installed / "python", "-c", USE], tmp_path).strip().split("; ")[1]
    if means == "cffi" and os.environ.get("CI") != "true":
        assert wheel.name.endswith("-py3-none-any.whl")
        pytest.skip("there is no compiler here, or no headers of Python's")
    assert means.startswith("the C extension")
    # The stable ABI: one wheel for every Python from 3.11 on.
    assert "-cp311-abi3-" in wheel.name


def test_without_a_compiler_the_wheel_is_pure_python_and_signs(installed, tmp_path):
    wheel = build(tmp_path, CC=str(tmp_path / "no-such-compiler"), BSIM_NATIVE="")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "pure")
    assert not [*(tmp_path / "pure").rglob("*.so")]
    said = run([installed / "python", "-c", USE], tmp_path, PYTHONPATH=str(tmp_path / "pure"))
    assert said.startswith(str(tmp_path / "pure"))
    assert said.strip().endswith("; cffi")
