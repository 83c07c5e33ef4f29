"""Faults, recordings, replays and relays through a real pcscd: cards that are pulled and mute among them.

A client that talks to a pcscd of its own runs in a child process: libpcsclite knows one socket a process.
"""

import json
import os
import subprocess
import sys
import threading

import pytest
from helpers import BPIN, DIGEST, ETHEREUM, KEY2, bare_card
from test_record import assert_no_secret, recorded, wallet_session

import bsim
from bsim.card import T0
from bsim.lab.faults import Faults
from bsim.lab.reader import NoCardError, ReaderCard
from bsim.lab.record import Recorder, TraceWriter
from bsim.lab.replay import ReplayCard
from bsim.lab.t0_client import exchange
from bsim.lab.trace import Exchange, read
from bsim.links.pcscd import PrivatePcscd
from bsim.links.vpcd import VpcdLink

pytestmark = pytest.mark.pcsc

OUT = 3600.0  # seconds a pulled card is away, unless it is put in again before


class Slot:
    """A slot of the private pcscd, watched through PC/SC."""

    def __init__(self, reader):
        from smartcard import scard

        self.reader, self.scard = reader, scard
        _, self.context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        self.state = scard.SCARD_STATE_UNAWARE

    def wait(self, *, present):
        """Wait for the next state in which a card is there, or is not."""
        wanted = self.scard.SCARD_STATE_PRESENT if present else self.scard.SCARD_STATE_EMPTY
        while not self.state & wanted:
            status, states = self.scard.SCardGetStatusChange(self.context, 30_000, [(self.reader, self.state)])
            assert status == 0, self.scard.SCardGetErrorMessage(status)
            self.state = states[0][1]

    def close(self):
        self.scard.SCardReleaseContext(self.context)


@pytest.fixture
def slot(pcscd):
    watched = Slot(pcscd.readers[0])
    yield watched
    watched.wait(present=False)
    watched.close()


def session(card):
    """A short wallet session; how many APDUs it has depends on nothing but the card."""
    wallet = bsim.Wallet(card, wait=0)
    wallet.derive(ETHEREUM)
    wallet.verify_bpin()
    wallet.sign(ETHEREUM, 1, DIGEST)
    return wallet.accounts()


def tpdus_of_a_session():
    """How many TPDUs a session takes: GET RESPONSE and commands repeated after 6Cxx are some of them."""
    seen = []

    class Client:
        def __init__(self):
            self.card = T0(bsim.new_card())

        def transmit(self, command):
            return exchange(self.send, command)

        def send(self, tpdu):
            seen.append(tpdu)
            return self.card.transmit(tpdu)

    session(Client())
    return len(seen)


@pytest.mark.parametrize("number", range(1, tpdus_of_a_session() + 1))
@pytest.mark.parametrize("action", ["remove-card", "remove-card late"])
def test_a_card_pulled_at_every_apdu_is_told_and_works_again(pcscd, slot, number, action):
    faults = Faults(T0(bsim.new_card()), [f"nth {number} {action}"], seed=1)
    with VpcdLink(faults, port=pcscd.ports[0], out=OUT) as link:
        slot.wait(present=True)
        card = ReaderCard(slot.reader)
        with pytest.raises(NoCardError, match=r"BSIM virtual reader .*taken out"):
            session(card)
        slot.wait(present=False)
        link.insert()
        slot.wait(present=True)
        assert session(card)
        card.close()
    assert faults.list()[0].fired == 1


def test_a_mute_card_is_told_and_works_again(pcscd, slot):
    faults = Faults(bsim.new_card(), ["on SIGN nth 1 mute"], seed=1)
    with VpcdLink(T0(faults), port=pcscd.ports[0], out=OUT, waiting=0.1) as link:
        slot.wait(present=True)
        card = ReaderCard(slot.reader)
        with pytest.raises(NoCardError, match="gave no answer"):
            session(card)
        slot.wait(present=False)
        link.insert()
        slot.wait(present=True)
        assert session(card)
        card.close()


def test_a_recording_over_the_reader_holds_no_secret_and_replays(pcscd, slot, tmp_path):
    path = tmp_path / "run.bsimtrace"
    with recorded(path, link="vpcd") as card, VpcdLink(T0(card), port=pcscd.ports[0]):
        slot.wait(present=True)
        real = ReaderCard(slot.reader)
        seen = wallet_session(real)
        real.close()
    slot.wait(present=False)
    assert_no_secret(path.read_bytes())
    trace = read(path)
    assert trace.start.link == "vpcd"
    for tolerant in (False, True):
        replay = ReplayCard(trace, tolerant=tolerant, refuse=True)
        with VpcdLink(T0(replay), port=pcscd.ports[0]):
            slot.wait(present=True)
            real = ReaderCard(slot.reader)
            assert wallet_session(real) == seen
            real.close()
        slot.wait(present=False)
        assert (replay.refused, replay.left) == (0, 0)


def test_an_app_that_is_the_terminal_leaves_no_secret_in_a_recording_of_tpdus(insert, tmp_path):
    """The recorder outside the T=0 layer: what it sees are TPDUs, GET RESPONSE, FETCH and TERMINAL RESPONSE."""
    path = tmp_path / "run.bsimtrace"
    with Recorder(T0(bare_card()), TraceWriter(path, link="vpcd", redact_ciphertext=True)) as recorder:
        connection = insert(recorder).connection

        def send(text):
            data, sw1, sw2 = connection.transmit(list(bytes.fromhex(text)))
            return bytes(data), sw1, sw2

        send("8010000003010007")
        send("00A4040C10A000000533C000FF860000000000054D")
        _, sw1, length = send("807C000000")
        assert sw1 == 0x91
        send(f"80120000{length:02X}")
        answer = f"8103012304 82028281 830100 8D0704{BPIN.encode().hex()}".replace(" ", "")
        assert send(f"80140000{len(answer) // 2:02X}{answer}")[1:] == (0x90, 0)
        _, sw1, length = send(f"80740001{len(KEY2):02X}{KEY2.hex()}")
        assert sw1 == 0x61
        backup, sw1, _ = send(f"00C00000{length:02X}")
        assert (backup[0], sw1) == (1, 0x90)
        assert_no_secret(path.read_bytes())
        assert backup[1:17].hex().upper() not in path.read_text()


# bsim itself, in processes of their own, on a pcscd of their own.


@pytest.fixture
def other(pcscd):
    with PrivatePcscd() as private:
        yield private


class Bsim:
    """A running `bsim` that serves; the JSON it prints, and its end, which comes with the block at the latest."""

    def __init__(self, pcscd, *words):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bsim", *map(str, words), "--json"],
            env=os.environ | pcscd.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines = []
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()
        if not self.ready.wait(30):
            self.process.kill()
            pytest.fail(self.end()[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """What a failed test did not end would be waited for."""
        self.process.kill()
        self.process.wait()
        self.thread.join()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))
            if "ready" in self.lines[-1]:
                self.ready.set()

    def end(self):
        self.process.terminate()
        told = self.process.stderr.read()
        self.process.wait(30)
        self.thread.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.returncode, told


def run(pcscd, *words):
    return subprocess.run(
        [sys.executable, "-m", "bsim", *map(str, words)],
        env=os.environ | pcscd.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_card_relayed_from_one_reader_to_another(other, tmp_path):
    """A "real" card in slot 0; the relay reads it there and puts it into slot 1, recorded and edited."""
    first, second = other.ports
    path, rules = tmp_path / "run.bsimtrace", tmp_path / "rules.txt"
    rules.write_text("on GET_VERSION set response byte 2 99\non SIGN nth 2 answer 6985\n")
    through = ("--from", f"vpcd:127.0.0.1:{second}", "--to", "reader:0")
    with (
        Bsim(other, "serve", "--vpcd", f"127.0.0.1:{first}") as real,
        Bsim(other, "relay", *through, "--rules", rules, "--record", path) as relay,
    ):
        assert json.loads(run(other, "wallet", "derive", "60", "--on", "reader:1", "--json").stdout)["slot"] == 1
        assert run(other, "wallet", "version", "--on", "reader:1").stdout.split()[-1] == "0099"
        sign = ("wallet", "sign", "--slot", "1", "11" * 32, "--on", "reader:1", "--handset", "none", "--json")
        # SIGN goes twice: the first asks whether the BPIN is verified, and the second is edited.
        edited = run(other, *sign)
        assert edited.returncode == 1
        assert "6985" in edited.stderr
        assert json.loads(run(other, *sign).stdout)["verified"] is True
        status, told = relay.end()
        real.end()
    assert status == 0
    assert "fault 2 fired" in told
    shown = [line for line in relay.lines if line.get("name") == "GET_VERSION"]
    assert shown[0]["response"] == "00999000"
    trace = read(path)
    assert (trace.start.target, trace.start.link) == ("reader:0", "vpcd")
    assert any(isinstance(event, Exchange) and event.response == "6985" for event in trace.events)


def test_record_and_replay_verbs_serve_any_app(other, tmp_path):
    port, path = other.ports[0], tmp_path / "run.bsimtrace"
    with Bsim(other, "record", path, "--on", "ram", "--vpcd", port) as recording:
        derived = run(other, "wallet", "derive", "60", "--on", "reader:0", "--json")
        assert derived.returncode == 0, derived.stderr
        assert recording.end()[0] == 0
    with Bsim(other, "replay", path, "--vpcd", port) as replaying:
        assert run(other, "wallet", "derive", "60", "--on", "reader:0", "--json").stdout == derived.stdout
        assert replaying.end()[0] == 0
    with Bsim(other, "replay", path, "--vpcd", port) as replaying:
        astray = run(other, "wallet", "version", "--on", "reader:0")
        assert astray.returncode == 1
        assert "6F00" in astray.stderr
        status, told = replaying.end()
    assert status == 1
    assert "run.bsimtrace:" in told


def test_a_served_card_misbehaves_on_command(other):
    rule = "on EXPORT_PUBKEYS nth 1 remove-card"
    with Bsim(other, "serve", "--vpcd", other.ports[0], "--fault", rule) as serving:
        pulled = run(other, "wallet", "accounts", "--on", "reader:0")
        assert pulled.returncode == 2
        assert "taken out" in pulled.stderr
        status, told = serving.end()
    assert status == 0
    assert "fault 1 fired" in told
    assert "it comes back" in told
