"""The vpcd link and the private pcscd, through the real pcscd, the real driver and pyscard."""

import os
import signal
import socket
import subprocess
import sys
import tempfile

import pytest

from bsim.links.pcscd import PcscUnavailable, PrivatePcscd
from bsim.links.vpcd import VpcdLink

pytestmark = pytest.mark.pcsc


class CountingCard:
    """Answers each command with what it got and 9000; counts its resets."""

    def __init__(self, atr: bytes = b"\x3b\x02\x14\x50") -> None:
        self.atr = atr
        self.resets = 0
        self.commands: list[bytes] = []

    def reset(self) -> bytes:
        self.resets += 1
        return self.atr

    def transmit(self, command: bytes) -> bytes:
        self.commands.append(command)
        return command[-250:] + b"\x90\x00"


def test_the_atr_is_seen(insert):
    card = CountingCard()
    assert bytes(insert(card).connection.getATR()) == card.atr


def test_commands_and_responses_pass_unchanged(insert):
    card = CountingCard()
    connection = insert(card).connection
    for data in (b"", b"\x00", bytes(range(250))):
        command = bytes((0x80, 0xAC, 0, 0, len(data))) + data
        assert connection.transmit(list(command)) == (list(command[-250:]), 0x90, 0x00)
        assert card.commands.pop() == command


def test_the_largest_command_passes(insert):
    card = CountingCard()
    connection = insert(card).connection
    command = bytes.fromhex("00D60000 00FDE8") + bytes(65_000)  # 65,007 bytes
    assert connection.transmit(list(command))[1:] == (0x90, 0x00)
    assert card.commands == [command]


def test_two_cards_in_two_slots(insert):
    first, second = CountingCard(), CountingCard()
    one, two = insert(first), insert(second, slot=1)
    assert one.reader != two.reader
    two.connection.transmit([0, 2, 0, 0])
    one.connection.transmit([0, 1, 0, 0])
    assert (first.commands, second.commands) == ([bytes((0, 1, 0, 0))], [bytes((0, 2, 0, 0))])


def test_the_presence_poll_is_not_a_reset(insert):
    from smartcard import scard

    card = CountingCard()
    inserted = insert(card)
    inserted.connection.transmit([0, 1, 0, 0])
    resets = card.resets
    _, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    _, states = scard.SCardGetStatusChange(context, 0, [(inserted.reader, scard.SCARD_STATE_UNAWARE)])
    seen = [(inserted.reader, states[0][1] & ~scard.SCARD_STATE_CHANGED)]
    # Some polls go by (one each 0.4 s), and nothing changes.
    status, _ = scard.SCardGetStatusChange(context, 1500, seen)
    scard.SCardReleaseContext(context)
    assert status == scard.SCARD_E_TIMEOUT
    assert card.resets == resets


@pytest.mark.parametrize("how", ["SCARD_RESET_CARD", "SCARD_UNPOWER_CARD"])
def test_reconnecting_with_a_power_cycle_resets_once(insert, how):
    from smartcard import scard

    card = CountingCard()
    connection = insert(card).connection
    connection.transmit([0, 1, 0, 0])
    resets = card.resets
    connection.reconnect(scard.SCARD_PROTOCOL_T0, disposition=getattr(scard, how))
    assert card.resets == resets + 1


def test_reconnecting_without_a_power_cycle_keeps_the_state(insert):
    from smartcard import scard

    card = CountingCard()
    connection = insert(card).connection
    connection.transmit([0, 1, 0, 0])
    resets = card.resets
    connection.reconnect(scard.SCARD_PROTOCOL_T0, disposition=scard.SCARD_LEAVE_CARD)
    assert card.resets == resets


# A client process: what it prints is the card's answer to its first argument.
CLIENT = """
import sys
from smartcard import scard
reader, command = sys.argv[1], list(bytes.fromhex(sys.argv[2]))
_, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
state = scard.SCARD_STATE_UNAWARE
while not state & scard.SCARD_STATE_PRESENT:
    _, states = scard.SCardGetStatusChange(context, 30000, [(reader, state)])
    state = states[0][1]
_, card, _ = scard.SCardConnect(context, reader, scard.SCARD_SHARE_SHARED, scard.SCARD_PROTOCOL_T0)
print(bytes(scard.SCardTransmit(card, scard.SCARD_PCI_T0, command)[1]).hex())
"""


def ask(pcscd: PrivatePcscd, command: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", CLIENT, pcscd.readers[0], command],
        env=os.environ | pcscd.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return ran.stdout.strip()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_card_comes_back_when_pcscd_does(pcscd, end):
    card = CountingCard()
    with PrivatePcscd() as other, VpcdLink(card, port=other.ports[0]):  # beside the session's own
        assert not set(other.ports) & set(pcscd.ports)
        assert ask(other, "00010000") == "000100009000"
        if end == "kill":
            os.kill(other.pid, signal.SIGKILL)
        other.stop()
        other.start()
        assert ask(other, "00020000") == "000200009000"
    assert card.commands == [bytes.fromhex("00010000"), bytes.fromhex("00020000")]


def test_the_driver_listens_on_loopback_only(pcscd):
    listening = subprocess.run(["ss", "-ltnH"], capture_output=True, text=True, check=True).stdout
    local = {line.split()[3] for line in listening.splitlines()}
    ours = {address for address in local if int(address.rpartition(":")[2]) in pcscd.ports}
    assert ours == {f"127.0.0.1:{port}" for port in pcscd.ports}


def test_a_machine_without_the_driver_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr("bsim.links.pcscd._DRIVERS", ())
    with pytest.raises(PcscUnavailable, match=r"apt-get install vsmartcard-vpcd$"):
        PrivatePcscd()


ORPHAN = """
import os, signal
from bsim.links.pcscd import PrivatePcscd
with PrivatePcscd() as pcscd:
    print(pcscd.ports[0], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_pcscd_does_not_outlive_a_killed_parent(pcscd):
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {"TMPDIR": scratch}  # what a killed process leaves behind goes with the test
        ran = subprocess.run(
            [sys.executable, "-c", ORPHAN], env=environment, capture_output=True, timeout=60, check=False
        )
        assert ran.returncode == -signal.SIGKILL
        port = int(ran.stdout)
        while True:  # until nobody listens any more
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)):
                    break
