"""The modem's wires: TCP with several terminals, a pseudo-terminal, terminals that come and go, and `bsim serve`."""

import json
import os
import random
import re
import select
import signal
import socket
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from helpers import BPIN, DIGEST, ETHEREUM, apdu, running, signature
from modem_terminal import Terminal, prepared

from bsim.applets.proactive import CommandType
from bsim.cli import main
from bsim.cli.slots import stopped_by_signals
from bsim.handset import ScriptedUser
from bsim.links.modem import ModemLink
from bsim.links.modem_phone import Phone
from bsim.links.modem_wires import Listener, PseudoTerminal

SECONDS = 30
IMSI = "001012108889997"
END = re.compile(rb"\r\n(OK|ERROR|\+CME ERROR: [^\r]*)\r\n")


def phone(script: str | None = "right") -> Phone:
    return Phone.around(prepared(), ScriptedUser(script, BPIN) if script else None)


def over(read: Callable[[], bytes], write: Callable[[bytes], object]) -> Terminal:
    def exchange(data: bytes) -> bytes:
        write(data)
        answer = b""
        while not END.search(answer):
            more = read()
            assert more, "the modem hung up"
            answer += more
        return answer

    return Terminal(exchange)


@contextmanager
def dialled(place: str) -> Iterator[tuple[Terminal, socket.socket]]:
    """A terminal on a connection of its own."""
    host, port = place.rsplit(":", 1)
    with socket.create_connection((host, int(port)), SECONDS) as connection:
        yield over(lambda: connection.recv(65_536), connection.sendall), connection


@contextmanager
def opened(path: str) -> Iterator[Terminal]:
    """A terminal at a device."""
    device = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:

        def read() -> bytes:
            assert select.select([device], [], [], SECONDS)[0], "nothing comes"
            return os.read(device, 65_536)

        yield over(read, lambda data: os.write(device, data))
    finally:
        os.close(device)


def test_every_connection_is_a_port_of_the_one_modem() -> None:
    with ModemLink(phone(None), Listener.on(0)) as link, ExitStack() as stack:
        user, line = stack.enter_context(dialled(link.place))
        app, _ = stack.enter_context(dialled(link.place))
        user.ok("AT+CUSATA=0")
        channel = app.open()
        assert app.apdu(channel, apdu("VERIFY_BPIN")) == b"\x90\0"
        told = b""
        while not told.endswith(b"\r\n"):
            told += line.recv(65_536)
        user.told.append(told.decode().strip())
        entry = user.dialogue()
        assert entry.type == CommandType.GET_INPUT
        user.respond(entry, BPIN)
        signed = app.apdu(channel, apdu("SIGN", coin_type=ETHEREUM, slot=1, digest=DIGEST))
        assert signed == signature(ETHEREUM, 1) + b"\x90\0"


def test_a_terminal_is_told_from_another_thread() -> None:
    shared = phone()
    with ModemLink(shared, Listener.on(0)) as link, dialled(link.place) as (terminal, connection):
        terminal.ok("AT+CUSATA=0")
        thread = threading.Thread(target=lambda: shared.toolkit._tell("+CUSATEND"))
        thread.start()
        assert connection.recv(100) == b"\r\n+CUSATEND\r\n"
        thread.join()


def test_terminals_that_hang_up_at_any_moment_leave_a_modem_that_answers() -> None:
    rng = random.Random(5)
    with ModemLink(phone(), Listener.on(0)) as link, ExitStack() as stack:
        steady, _ = stack.enter_context(dialled(link.place))
        for _ in range(60):
            with socket.create_connection(tuple(_address(link.place)), SECONDS) as leaving:
                line = rng.choice(
                    (b"AT+CUSATE=D30782020181900102\r", b"AT+CUAD\r" * 20, b"AT+CS", b"", rng.randbytes(30))
                )
                leaving.sendall(line)
                if rng.randrange(2):
                    leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # with a reset
            assert steady.one("AT+CIMI") == IMSI


def test_a_terminal_that_does_not_read_holds_up_nobody() -> None:
    with ModemLink(phone(), Listener.on(0)) as link, ExitStack() as stack:
        other, _ = stack.enter_context(dialled(link.place))
        deaf = stack.enter_context(socket.socket())
        for size in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            deaf.setsockopt(socket.SOL_SOCKET, size, 4_096)
        deaf.connect(tuple(_address(link.place)))
        deaf.settimeout(0.0)
        sent = 0
        while select.select([], [deaf], [], 0.2)[1]:  # until the modem takes no more
            sent += deaf.send(b"AT+CLAC\r" * 100)
        assert other.one("AT+CIMI") == IMSI
        deaf.settimeout(SECONDS)
        deaf.shutdown(socket.SHUT_WR)
        answered = bytearray()
        while data := deaf.recv(65_536):
            answered += data
        assert answered.count(b"\r\nOK\r\n") == sent // 8


def test_there_are_sixteen_ports() -> None:
    with ModemLink(phone(), Listener.on(0)) as link, ExitStack() as stack:
        ports = [stack.enter_context(dialled(link.place))[0] for _ in range(16)]
        with socket.create_connection(tuple(_address(link.place)), SECONDS) as refused:
            assert refused.recv(1) == b""
        assert {port.one("AT+CIMI") for port in ports} == {IMSI}


def test_a_pseudo_terminal_stays_as_it_is_whoever_comes_and_goes(tmp_path: Path) -> None:
    name = tmp_path / "modem"
    with ModemLink(phone(), PseudoTerminal(name)) as link:
        assert link.place == str(name)
        for _ in range(3):
            with opened(link.place) as terminal:
                assert terminal.one("AT+CIMI") == IMSI
        with Path(link.place).open("rb+", buffering=0) as device:
            assert not tty.tcgetattr(device)[3] & (tty.ECHO | tty.ICANON)
    assert not name.is_symlink()


def test_a_name_that_a_killed_modem_left_is_taken_and_a_file_is_not(tmp_path: Path) -> None:
    left, file = tmp_path / "left", tmp_path / "file"
    left.symlink_to("/dev/pts/none")
    file.write_text("mine")
    with ModemLink(phone(), PseudoTerminal(left)) as link, opened(link.place) as terminal:
        assert terminal.one("AT+CIMI") == IMSI
    with pytest.raises(FileExistsError):
        PseudoTerminal(file)
    assert file.read_text() == "mine"


def test_a_name_that_another_modem_took_stays_its_own(tmp_path: Path) -> None:
    name = tmp_path / "modem"
    with ModemLink(phone(), PseudoTerminal(name)):
        later = ModemLink(phone(), PseudoTerminal(name))
    with later, opened(later.place) as terminal:
        assert terminal.one("AT+CIMI") == IMSI
    assert not name.is_symlink()


@pytest.mark.parametrize("target", ["/dev/null", "file", "."])
def test_a_link_to_something_else_is_not_taken(target: str, tmp_path: Path) -> None:
    name = tmp_path / "modem"
    (tmp_path / "file").write_text("mine")
    name.symlink_to(target)
    with pytest.raises(FileExistsError):
        PseudoTerminal(name)
    assert str(name.readlink()) == target


def test_a_name_that_became_something_else_is_left_alone(tmp_path: Path) -> None:
    name = tmp_path / "modem"
    with ModemLink(phone(), PseudoTerminal(name)):
        name.unlink()
        name.write_text("mine")
    assert name.read_text() == "mine"


def test_a_modem_that_cannot_begin_is_not_waited_for() -> None:
    wire = Listener.on(0)
    link = ModemLink(phone(), wire)
    wire.close()
    with pytest.raises(ValueError, match="Invalid file descriptor"), link:
        pytest.fail("it does not run")


# The command line.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_does_not_wake_the_main_thread_ends_it(number: signal.Signals) -> None:
    """Another thread gets it, which is as good as one that comes just before the main thread begins to wait."""
    link = ModemLink(phone(), Listener.on(0))

    def send() -> None:
        link.ready.wait()
        time.sleep(0.1)  # until it waits
        signal.pthread_kill(threading.get_ident(), number)

    sender, rescuer = threading.Thread(target=send), threading.Timer(SECONDS, link.stop)
    rescuer.start()
    with stopped_by_signals(link):
        sender.start()
        link.run()
    assert rescuer.is_alive(), "nobody woke it"
    rescuer.cancel()
    sender.join()


@contextmanager
def served(*options: str) -> Iterator[dict[str, str]]:
    with running("-m", "bsim", "serve", "--json", *options) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0


def test_bsim_serve_puts_a_card_file_into_a_modem(tmp_path: Path) -> None:
    card, trace = tmp_path / "card.bsim", tmp_path / "run.bsimtrace"
    assert main(["new", str(card), "--imsi", "460110123456789", "--insecure-plain"]) == 0
    with served("--modem", "tcp:0", "--on", str(card), "--record", str(trace)) as ready:
        assert ready["ready"] is True
        assert ready["card"] == str(card)
        with dialled(ready["modem"]) as (terminal, _):
            assert terminal.one("AT+CIMI") == "460110123456789"
            channel = terminal.open()
            assert terminal.apdu(channel, apdu("VERIFY_BPIN")) == b"\x90\0"
            assert terminal.apdu(channel, apdu("DERIVE_KEY", coin_type=ETHEREUM, algorithm=1))[-2:] == b"\x90\0"
            signed = terminal.apdu(channel, apdu("SIGN", coin_type=ETHEREUM, slot=1, digest=DIGEST))
            assert signed[-2:] == b"\x90\0"
    assert '"link":"modem"' in trace.read_text().replace(" ", "")


def test_bsim_serve_on_a_pseudo_terminal(tmp_path: Path) -> None:
    name = tmp_path / "modem"
    with served("--modem", f"pty:{name}") as ready:
        assert ready["modem"] == str(name)
        with opened(ready["modem"]) as terminal:
            assert terminal.one("AT+CPIN?") == "+CPIN: READY"
    assert not name.is_symlink()
    with served("--modem", str(name)) as ready:
        assert ready["modem"] == str(name)
    with served("--modem", "PTY") as ready, opened(ready["modem"]) as terminal:
        assert ready["modem"] == ready["pty"]
        assert ready["modem"].startswith("/dev/")
        terminal.ok("ATZ")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--modem", "usb"], "--modem takes pty"),
        (["--modem", "tcp:0x7"], "as in tcp:7000"),
        (["--modem", "tcp:192.0.2.1:7000"], "this machine only"),
        (["--modem", "tcp:example.org:7000"], "this machine only"),
        (["--modem", "pty:/nowhere/modem"], "No such file"),
        (["--modem", "pty", "--vpcd", "127.0.0.1:35963"], "in a reader or in a modem"),
        (["--modem", "pty", "--cards", "2"], "for one card"),
    ],
)
def test_what_is_wrong_with_a_modem_is_said(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *options]) == 2
    assert words in capsys.readouterr().err


def _address(place: str) -> list[object]:
    host, port = place.rsplit(":", 1)
    return [host, int(port)]
