"""The wheel by itself: built, installed into an empty environment, used from elsewhere."""

import os
import subprocess
import sys
import venv
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
print(bsim.__file__)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A new environment with the wheel and what it needs in it, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("bsim-*.whl")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", *CONSTRAINTS, wheel], check=True)
    return python.parent


def run(command, folder):
    done = subprocess.run(
        command, cwd=folder, env={"PATH": os.defpath, "HOME": str(folder)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_card_works_from_the_wheel(installed, tmp_path):
    assert str(installed.parent) in run([installed / "python", "-c", USE], tmp_path)


def test_the_command_line_works_from_the_wheel(installed, tmp_path):
    assert "RFC 6979" in run([installed / "bsim", "spec", "SIGN"], tmp_path)
    run([installed / "bsim", "new", "card.bsim"], tmp_path)
    assert "60" in run([installed / "bsim", "wallet", "derive", "ethereum", "--on", "card.bsim"], tmp_path)
    assert "0x02" in run([installed / "bsim", "demo"], tmp_path)
