"""What takes long: Schemathesis on the whole document, web3.py, and ten thousand connections at once."""

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from helpers import running
from web_client import DERIVE, SELECT, Client, serving

from bsim.links.web import WebServer

pytest.importorskip("wsproto")
pytestmark = pytest.mark.soak
TOOLS = ("schemathesis", "openapi-spec-validator", "web3")


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of their own: what they need is more than all the rest of the tests do."""
    folder = tmp_path_factory.mktemp("tools")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", *TOOLS], check=True)
    return folder / "bin"


def _document(server: WebServer) -> bytes:
    with closing(Client(server.url)) as client:
        return client.raw("GET", "/v1/openapi.json")[2]


def test_schemathesis_finds_nothing(tools: Path, tmp_path: Path) -> None:
    with WebServer() as server:
        server.rack.make(handset="right")
        document = f"{server.url}/v1/openapi.json"
        (tmp_path / "openapi.json").write_bytes(_document(server))
        subprocess.run([tools / "openapi-spec-validator", tmp_path / "openapi.json"], check=True)
        run = [tools / "schemathesis", "run", document, "--max-examples", "50", "--continue-on-failure"]
        found = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout


def test_web3_signs_with_the_card(tools: Path) -> None:
    with serving() as (server, client):
        card = client.card(handset="right")
        client.apdu(card, SELECT)
        client.apdu(card, DERIVE)
        script = Path(__file__).parent / "integration" / "web3_signer.py"
        subprocess.run([tools / "python", script, server.url], check=True)


def test_ten_thousand_connections() -> None:
    """All of them silent, from another process, as descriptors are counted by process; one client works meanwhile."""
    count = 10_000
    code = (
        "import resource, socket, sys\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))\n"
        "kept = [socket.create_connection(('127.0.0.1', int(sys.argv[1])), 30) for _ in range(int(sys.argv[2]))]\n"
        "print(len(kept), flush=True); sys.stdin.read()\n"
    )
    with serving() as (server, client):
        card = client.card()
        with running("-c", code, str(server.port), str(count), stdin=subprocess.PIPE) as crowd:
            assert crowd.stdout is not None
            assert crowd.stdin is not None
            assert crowd.stdout.readline() == f"{count}\n"
            with closing(Client(server.url)) as other:
                assert other.apdu(card, SELECT).endswith("9000")
            assert len(os.listdir("/proc/self/fd")) < server.site.limits.connections + 200
            crowd.stdin.close()
        with closing(socket.create_connection(("127.0.0.1", server.port))), closing(Client(server.url)) as last:
            assert last.get("/healthz")[0] == 200
