"""How the command line ends: signals, outputs that nobody reads, streams that were closed before it began."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

SECONDS = 60
BSIM = (sys.executable, "-m", "bsim")


@contextmanager
def process(*command: str, **options: object) -> Iterator["subprocess.Popen[str]"]:
    """A process, ended whatever happens."""
    with subprocess.Popen(command, text=True, stderr=subprocess.PIPE, **options) as running:
        try:
            yield running
        finally:
            running.kill()


def python(script: str) -> tuple[str, ...]:
    return sys.executable, "-c", script


@pytest.mark.parametrize(
    "words",
    [
        ["spec"],
        ["apdu", "00F2000000"],  # refused by the card, which would be 1
        ["serve", "--modem", "tcp:0", "--json"],  # whoever began it waits for the line that says where it is
        ["serve", "--http", "127.0.0.1:0", "--json"],
    ],
)
def test_output_that_nobody_reads(words: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    with process(*BSIM, *words, stdout=write) as running:
        os.close(write)
        said = running.communicate(timeout=SECONDS)[1]
    assert (running.returncode, "Traceback" in said) == (141, False)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_ready_line_that_cannot_be_written_ends_the_server() -> None:
    with open("/dev/full", "wb") as full, process(*BSIM, "serve", "--modem", "tcp:0", "--json", stdout=full) as running:
        said = running.communicate(timeout=SECONDS)[1]
    assert (running.returncode, said.splitlines()[-1]) == (2, "bsim: the output: No space left on device")


def test_a_pipe_of_somebody_else_is_no_output(capsys: pytest.CaptureFixture[str]) -> None:
    script = "import bsim.cli\ndef run(words): raise BrokenPipeError(32, 'to a worker')\nbsim.cli._run = run\n"
    with process(*python(f"{script}bsim.cli.main([])"), stdout=subprocess.DEVNULL) as running:
        said = running.communicate(timeout=SECONDS)[1]
    assert running.returncode == 1
    assert "BrokenPipeError" in said


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_were_closed_before(closed: str) -> None:
    words = f'exec "$0" -m bsim apdu 00F2000000 {closed}'
    with process("sh", "-c", words, sys.executable, stdout=subprocess.PIPE) as running:
        out, said = running.communicate(timeout=SECONDS)
    assert running.returncode == 1, said  # the card refuses this one before anything is selected
    assert "Traceback" not in said
    assert ("6" in out) is (">&-" not in closed.replace("2>&-", ""))


def test_what_was_begun_is_let_go_of_at_sigterm() -> None:
    script = (
        "import bsim.cli, time\n"
        "def run(words):\n"
        "    try:\n"
        "        print('begun', flush=True); time.sleep(60)\n"
        "    finally:\n"
        "        print('let go')\n"
        "bsim.cli._run = run\n"
        "bsim.cli.main([])"
    )
    with process(*python(script), stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "begun\n"
        running.send_signal(signal.SIGTERM)
        assert running.communicate(timeout=SECONDS) == ("let go\n", "")
    assert running.returncode == -signal.SIGTERM


def test_a_server_ends_though_a_command_takes_its_time() -> None:
    words = ("serve", "--modem", "tcp:0", "--json", "--fault", "on * delay 600s")
    with process(*BSIM, *words, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        port = json.loads(running.stdout.readline())["port"]
        with socket.create_connection(("127.0.0.1", port), SECONDS) as terminal:
            terminal.sendall(b'AT+CSIM=10,"00F2000000"\r')
            while "fired" not in running.stderr.readline():
                assert running.poll() is None
            running.send_signal(signal.SIGTERM)
            assert running.wait(SECONDS) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_insists_ends_a_server_that_does_not(number: signal.Signals) -> None:
    script = (
        "import time\n"
        "from bsim.cli.slots import stopped_by_signals\n"
        "class Deaf:\n"
        "    def stop(self): print('told', flush=True)\n"
        "with stopped_by_signals(Deaf()):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(600)\n"
    )
    with process(*python(script), stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        for _ in range(2):
            running.send_signal(number)
            assert running.stdout.readline() == "told\n"
        time.sleep(1.1)
        running.send_signal(number)
        running.wait(SECONDS)
    assert running.returncode == -number
