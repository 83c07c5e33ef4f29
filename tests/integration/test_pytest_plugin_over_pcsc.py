"""The plugin's PC/SC reader: in this run, which has a pcscd of its own, and for programs in other processes."""

import os
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.pcsc


def test_the_card_is_in_a_real_reader(pcscd, bsim_reader, bsim_card):
    select = bytes.fromhex("00A4040010A000000533C000FF860000000000054D")
    data, sw1, _ = bsim_reader.connection.transmit(list(select))
    assert (data, sw1) == ([], 0x61)
    assert "SELECT" in bsim_card.tape.lines()[-3]


def test_other_programs_see_it(pcscd, bsim_reader):
    bsim_reader.connection.disconnect()
    tool = shutil.which("opensc-tool")
    assert tool, "opensc-tool is missing: run tools/setup-system"
    said = subprocess.run(
        [tool, "--reader", bsim_reader.reader, "--atr"],
        env=os.environ | pcscd.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "3b:" in said.stdout
