"""Libraries of the field with the card as their remote signer, over real HTTP."""

import os
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from web_client import DERIVE, SELECT, Client

from bsim.links.web import WebServer

pytest.importorskip("wsproto")
NODE = Path(__file__).parent / "node"


def prepared(server: WebServer) -> str:
    """The first card, with a key of Ethereum and one of Conflux; answers its path."""
    with closing(Client(server.url)) as client:
        card = client.card(handset="right")
        for command in (SELECT, DERIVE, "80A8000205000001F701"):
            client.apdu(card, command)
        return card


def test_ethers_viem_and_js_conflux_sdk() -> None:
    node = shutil.which("node")
    if node is None or not (NODE / "node_modules" / "viem").exists():
        if os.environ.get("CI") == "true":
            pytest.fail("node or its packages are missing: make test installs them")
        pytest.skip("node or its packages are missing")
    with WebServer() as server:
        prepared(server)
        ran = subprocess.run(
            [node, "rpc.mjs", server.url], cwd=NODE, capture_output=True, text=True, timeout=60, check=False
        )
    assert (ran.stdout, ran.returncode) == ("ok\n", 0), ran.stderr
