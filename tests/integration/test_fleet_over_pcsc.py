"""A fleet in a reader: `bsim serve --cards`, seen by PC/SC clients in processes of their own."""

import json
import os
import subprocess
import sys

import pytest
from helpers import running

from bsim.fleet import Fleet
from bsim.fleet.accounts import accounts

pytestmark = pytest.mark.pcsc
SEED = "a fleet for tests"


def seen(command, environment):
    """What a command prints once pcscd has seen the card, which it looks for every 0.4 s."""
    for _ in range(50):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return json.loads(done.stdout)
    pytest.fail(done.stderr)


def test_each_slot_holds_the_next_card_of_the_fleet(pcscd):
    environment = os.environ | pcscd.environment
    serve = ["serve", "--cards", "2", "--fleet-seed", SEED, "--vpcd", f"127.0.0.1:{pcscd.ports[0]}", "--json"]
    with running("-m", "bsim", *serve, stderr=subprocess.DEVNULL) as served:
        assert json.loads(served.stdout.readline())["ready"] is True
        show = [sys.executable, "-m", "bsim", "wallet", "accounts", "--json", "--on"]
        found = [seen([*show, f"reader:{reader}"], environment) for reader in pcscd.readers]
        served.terminate()
        assert served.wait(30) == 0
    from bsim.links.slot import Slot

    for reader in pcscd.readers:  # the next test must not meet these cards
        slot = Slot(reader)
        slot.wait(present=False)
        slot.close()
    with Fleet(SEED, 2) as fleet:
        wanted = [row.address for row in accounts(fleet)]
    assert [[account["address"] for account in rows] for rows in found] == [[address] for address in wanted]
