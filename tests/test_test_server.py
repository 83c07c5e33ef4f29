"""`bsim test-server`: ready in one line, a card for each worker, and gone with the test run that started it."""

import json
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from helpers import running

from bsim.cli import main
from tests.web_client import Client


@contextmanager
def started(*words: str):
    """The process, its ready line, and a client."""
    with running("-m", "bsim", "test-server", *words, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        ready = json.loads(process.stdout.readline())
        client = Client(ready["http"])
        yield process, ready, client
        client.close()


def test_it_is_ready_and_ends_with_its_parent():
    with started("--cards", "2", "--until-eof", "--state", "one-try-left", "--handset", "web") as (
        process,
        ready,
        client,
    ):
        assert ready == {"ready": True, "http": ready["http"], "cards": ["1", "2"], "pid": process.pid}
        for number in ready["cards"]:
            path = f"/v1/cards/{number}"
            client.apdu(path, "00A4040010A000000533C000FF860000000000054D")
            assert client.apdu(path, "80C8000000")[:4] == "C247"
            assert client.apdu(path, "807C000000") == "9000"
            assert len(client.get(f"{path}/dialogues")[1]["dialogues"]) == 1
        assert client.card()  # a worker may make one of its own, too
        client.close()
        process.stdin.close()
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_by_signals(number):
    with started("--fault", "on GET_VERSION answer 6985") as (process, _, client):
        client.apdu("/v1/cards/1", "00A4040010A000000533C000FF860000000000054D")
        assert client.apdu("/v1/cards/1", "00CA000002") == "6985"
        client.close()
        process.send_signal(number)
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--state", "lost"], "no state 'lost'"),
        (["--cards", "0"], "1 or more"),
        (["--port", "99999"], "--port 99999"),
        (["--fault", "explode"], "here stands a condition"),
        (["--handset", "left"], "handset script"),
        (["--bpin", "1"], "six digits"),
        (["--profile", "x"], "no profile"),
    ],
)
def test_what_cannot_be_is_told(words, reason, capsys):
    assert main(["test-server", *words]) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("words", [["test-server"], ["serve", "--on", "ram", "--http", "127.0.0.1:0"]])
def test_without_its_library_it_says_what_to_install(words, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "h11", None)
    assert main(words) == 2
    told = capsys.readouterr()
    assert "pip install 'bsim[web]'" in told.err
    assert told.out == ""
