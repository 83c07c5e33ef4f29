"""Recordings: what they hold, what they never hold, and what is left of them when their writer dies."""

import base64
import errno
import hashlib
import json
import os
import stat
from datetime import UTC, datetime

import pytest
from helpers import (
    BPIN,
    DIGEST,
    ENTROPY,
    ETHEREUM,
    KEY2,
    MNEMONIC,
    SOLANA,
    SPEC,
    FullDisk,
    apdu,
    bare_card,
    bip39_seed,
    by_hand,
    ed25519_key,
    enter,
    new_card,
    secp256k1_secret,
)
from hypothesis import example, given
from hypothesis import strategies as st
from test_decode import MISTYPED, TYPED

import bsim
from bsim.cli import main
from bsim.crypto.algorithm import Algorithm
from bsim.handset import Handset, ScriptedUser
from bsim.lab import record
from bsim.lab.record import Recorder, TraceWriter
from bsim.lab.replay import ReplayCard
from bsim.lab.trace import Dialogue, Exchange, Reset, Start, TraceError, fingerprint, fits, read, unmasked
from bsim.ports import CardMute, CardRemoved
from bsim.spec.decode import Decoder

NEW_BPIN = "271828"
SECRETS = {
    "BPIN": BPIN.encode(),
    "new BPIN": NEW_BPIN.encode(),
    "key2": KEY2,
    "seed": bip39_seed(),
    "entropy": ENTROPY,
    "mnemonic": MNEMONIC.encode(),
    "secp256k1 key": secp256k1_secret(ETHEREUM, 1).to_bytes(32, "big"),
    "Ed25519 key": ed25519_key(SOLANA, 2).private_bytes_raw(),
}


def forms(secret: bytes) -> dict[str, bytes]:
    """The ways a secret could be written; base64 at each of its three alignments, without the ends that vary."""
    found = {"binary": secret, "hex": secret.hex().encode(), "HEX": secret.hex().upper().encode()}
    for lead in range(3):
        found[f"base64 at {lead}"] = base64.b64encode(bytes(lead) + secret)[4 if lead else 0 :][
            : len(secret) // 3 * 4 - 4
        ]
    return found


def assert_no_secret(data: bytes) -> None:
    for name, secret in SECRETS.items():
        for form, written in forms(secret).items():
            assert len(written) >= 4
            assert written not in data, f"{name} as {form}"


def wallet_session(card) -> list[object]:
    """A wallet's whole life with a card; what it saw."""
    wallet = bsim.Wallet(card, wait=0)
    seen: list[object] = [wallet.version(), wallet.iccid(), wallet.accounts()]
    wallet.derive(ETHEREUM)
    wallet.derive(SOLANA, Algorithm.ED25519)
    wallet.verify_bpin()
    seen += [wallet.sign(ETHEREUM, 1, DIGEST), wallet.sign(SOLANA, 2, b"hi")]
    backup = wallet.backup(KEY2)
    wallet.update_bpin()
    wallet.restore(KEY2, backup, [(ETHEREUM, Algorithm.SECP256K1)])
    return [*seen, backup, wallet.accounts()]


def recorded(path, **options):
    """The test card in a phone, recorded from the app's side and the user's."""
    writer = TraceWriter(path, target="test", **options)
    user = writer.watch(ScriptedUser("right", BPIN, NEW_BPIN))
    return Recorder(Handset(user).insert(bare_card()), writer)


def test_a_whole_wallet_session_leaves_no_secret(tmp_path):
    path = tmp_path / "run.bsimtrace"
    card = recorded(path)
    wallet_session(card)
    card.reset()
    card.close()
    assert_no_secret(path.read_bytes())
    trace = read(path)
    assert {one.name for one in trace.exchanges} >= {"EXPORT_SEED", "RESTORE_SEED", "SIGN", "UPDATE_BPIN"}
    texts = [one.text for one in trace.events if isinstance(one, Dialogue)]
    assert texts == ["Enter BPIN", "Enter BPIN", "Enter new BPIN", "Repeat new BPIN", "BPIN changed"]


def test_a_session_whose_app_is_the_terminal_leaves_no_secret(tmp_path):
    path = tmp_path / "run.bsimtrace"
    card = Recorder(by_hand(), path)
    enter(card, card.transmit(apdu("VERIFY_BPIN")), "000000", BPIN)
    enter(card, card.transmit(apdu("UPDATE_BPIN")), BPIN, NEW_BPIN, NEW_BPIN)
    card.close()
    assert_no_secret(path.read_bytes())
    assert sum(one.name == "TERMINAL_RESPONSE" for one in read(path).exchanges) == 5


@pytest.mark.parametrize(
    "command",
    [
        "807A000006{}",  # SET BPIN as it should be
        "817A000006{}",  # on other channels
        "C07A000006{}",
        "907A000006{}",  # in a chain
        "807A0000000006{}",  # extended
        "807A000007{}",  # with wrong lengths
        "807A0000FF{}",
        "807A0000{}",  # with none
        "807A000006{}00",  # with Le
        "007A000006{}",  # in a wrong class
        "FF7A000006{}",
        "807A123406{}",  # with wrong parameters
        "807400010A{}00000000",
        "8076000108B106{}",
        "9076000103{}",
        "84D4000106{}",
        "801400000F810301230482028281830100{}",
    ],
)
def test_no_form_of_a_command_brings_its_secret_to_the_disk(tmp_path, command):
    path = tmp_path / "run.bsimtrace"
    card = Recorder(bare_card(), path)
    card.transmit(bytes.fromhex(command.format(BPIN.encode().hex())))
    card.close()
    assert BPIN.encode().hex() not in path.read_text()
    assert BPIN[1:].encode().hex() not in path.read_text()
    assert len(read(path).exchanges[0].command) == len(command.format(BPIN.encode().hex()))


SECRET_COMMANDS = [c for a in SPEC.applets.values() for c in a.commands.values() if any(f.secret for f in c.data)]


@example(SPEC.applets["wallet"].commands["WRITE_SESSION_KEY"], 0x80, b"", b"")  # RESIZE FILE's class
@given(st.sampled_from(SECRET_COMMANDS), st.integers(0, 255), st.binary(max_size=3), st.binary(max_size=3))
def test_no_frame_around_a_secret_shows_it(command, cla, before, after):
    secret = b"\xfa\xce\xb0\x0c\xde\xad\xbe\xef"
    raw = bytes((cla, command.ins, command.p1.legal[0], command.p2.legal[0])) + before + secret + after
    shown = Decoder(SPEC).command(raw).shown.replace(" ", "")
    # A first byte may be taken for a length; what is left of the secret is not to be found.
    assert secret[3:].hex().upper() not in shown


def test_an_exported_seed_is_left_out_on_request(tmp_path):
    path = tmp_path / "run.bsimtrace"
    card = recorded(path, redact_ciphertext=True)
    backup = wallet_session(card)[-2]
    card.close()
    assert backup.hex().upper() not in path.read_text()
    trace = read(path)
    export = next(one for one in trace.exchanges if one.name == "EXPORT_SEED")
    assert export.response == "**" * len(backup) + "9000"
    assert trace.hidden == {"ciphertext"}


def test_an_exported_seed_that_is_fetched_with_get_response_is_left_out_too(tmp_path):
    from bsim.card import T0

    path = tmp_path / "run.bsimtrace"
    card = Recorder(T0(new_card()), TraceWriter(path, redact_ciphertext=True))
    for command in ("00A4040C10A000000533C000FF860000000000054D", "807C000000", "80740001085061737377307264"):
        response = card.transmit(bytes.fromhex(command))
    assert response[0] == 0x61
    first = card.transmit(bytes.fromhex("00C0000010"))
    assert first[-2] == 0x61
    rest = card.transmit(bytes((0, 0xC0, 0, 0, first[-1])))
    text = path.read_text()
    assert first[:-2].hex().upper() not in text
    assert rest[:-2].hex().upper() not in text
    # What comes after it is shown again.
    card.transmit(bytes.fromhex("00CA000002"))
    assert "00519000" in path.read_text()
    card.close()


def test_what_is_written_down(tmp_path):
    path = tmp_path / "run.bsimtrace"
    ticks = iter(range(100))
    writer = TraceWriter(
        path, target="x", link="here", clock=lambda: float(next(ticks)), now=lambda: datetime(2026, 1, 2, tzinfo=UTC)
    )
    card = Recorder(bare_card(), writer)
    card.reset()
    card.transmit(bytes.fromhex("00CA000002"))
    card.close()
    card.transmit(bytes.fromhex("00CA000002"))  # nothing more is written
    start, reset, exchange = read(path).events
    assert start == Start(1, "2026-01-02T00:00:00.000+00:00", "x", "here", fingerprint(SPEC), bsim.__version__)
    assert reset == Reset(2, 1.0, 1.0, bare_card().reset().hex().upper())
    assert exchange == Exchange(3, 3.0, 1.0, "GET_VERSION", "00CA000002", "6D00", "")


@pytest.mark.parametrize("loss", [CardRemoved, CardMute])
def test_a_lost_card_is_recorded(tmp_path, loss):
    class Lost:
        def transmit(self, command):
            raise loss("gone")

    with Recorder(Lost(), tmp_path / "run.bsimtrace") as card, pytest.raises(loss):
        card.transmit(bytes.fromhex("00CA000002"))
    assert read(tmp_path / "run.bsimtrace").exchanges[0].lost == loss.__name__


def test_a_torn_last_line_is_told_and_gone_on_after(tmp_path):
    path = tmp_path / "run.bsimtrace"
    card = Recorder(bare_card(), path)
    card.transmit(bytes.fromhex("00CA000002"))
    card.transmit(bytes.fromhex("80F2000000"))
    card.close()
    whole = path.read_bytes()
    last = whole.rstrip().rindex(b"\n") + 1
    for end in range(last + 1, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert read(path).torn
        assert len(read(path).exchanges) == 1
    with Recorder(bare_card(), path) as card:
        card.transmit(bytes.fromhex("80F2000000"))
    trace = read(path)
    assert trace.torn
    assert [type(event).__name__ for event in trace.events] == ["Start", "Exchange", "Start", "Exchange"]
    path.write_bytes(whole)
    assert not read(path).torn


VERSION = bytes.fromhex("00CA000002")


@pytest.fixture
def room(monkeypatch):
    """A function that says how many bytes more the disk takes of traces opened from now on."""

    def left(count):
        monkeypatch.setattr(record, "open", lambda path, *_, **__: FullDisk(path, count), raising=False)

    return left


@pytest.mark.parametrize("more", [0, 1, 40])
def test_a_full_disk_ends_the_recording_and_not_what_is_said(tmp_path, caplog, room, more):
    path = tmp_path / "run.bsimtrace"
    with Recorder(bare_card(), path) as card:
        card.transmit(VERSION)
    whole = len(path.read_bytes())
    path.unlink()
    room(whole + more)
    card = Recorder(bare_card(), TraceWriter(path, clock=lambda: 0.0))
    for _ in range(20):
        assert card.transmit(VERSION) == b"\x6d\x00"  # the card has carried it out
    assert card.reset() == bare_card().reset()
    assert caplog.messages == [f"{path}: No space left on device; from here on nothing is recorded"]
    with pytest.raises(TraceError, match="No space left on device: the recording is incomplete"):
        card.close()
    trace = read(path)  # of the line that did not fit a part is there
    assert trace.torn
    assert 0 < len(trace.exchanges) < 20


def test_what_ended_an_incomplete_recording_is_told_first(tmp_path, room):
    class Lost:
        def transmit(self, command):
            raise CardRemoved("gone")

    room(300)
    with pytest.raises(CardRemoved), Recorder(Lost(), tmp_path / "run.bsimtrace") as card:
        card.transmit(VERSION)


@pytest.mark.parametrize("gone_on", [False, True])
def test_a_recording_that_cannot_be_begun_leaves_the_file_as_it_was(tmp_path, room, gone_on):
    path = tmp_path / "run.bsimtrace"
    if gone_on:
        with Recorder(bare_card(), path) as card:
            card.transmit(VERSION)
        path.write_bytes(path.read_bytes()[:-5])
    before = path.read_bytes() if gone_on else b""
    room(50)
    with pytest.raises(TraceError, match=r"run\.bsimtrace: No space left on device"):
        TraceWriter(path)
    assert path.read_bytes() == before


def test_a_verb_whose_recording_is_incomplete_says_so_and_ends_with_2(tmp_path, capsys, room):
    path = tmp_path / "run.bsimtrace"
    room(500)
    commands = ["00CA000002"] * 5
    assert main(["apdu", "--raw", "--record", str(path), *commands]) == 2
    out, err = capsys.readouterr()
    assert out.count("< 6D00") == len(commands)
    assert err.splitlines() == [
        f"bsim: {path}: No space left on device; from here on nothing is recorded",
        f"bsim: {path}: No space left on device: the recording is incomplete",
    ]
    room(100)
    assert main(["apdu", "--raw", "--record", str(tmp_path / "other.bsimtrace"), *commands]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"bsim: {tmp_path / 'other.bsimtrace'}: No space left on device\n")


def test_what_a_disk_tells_at_the_end_only_is_told_too(tmp_path, monkeypatch):
    class Late(FullDisk):
        def close(self):
            self.file.close()
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(record, "open", lambda path, *_, **__: Late(path, 10_000), raising=False)
    with pytest.raises(TraceError, match="incomplete"), Recorder(bare_card(), tmp_path / "run.bsimtrace") as card:
        card.transmit(VERSION)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no header"),
        ("PK\x03\x04", "no header"),
        ('{"command": "00"}\n', "command: 'response'"),
        ('{"bsimtrace": 1}\n', ":1: bsimtrace: 'when' is missing"),
        ("[" * 100_000, ":1: nested too deeply"),
        ("{start}\n" + "[" * 100_000, ":2: nested too deeply"),
        ('{start}\n{"at": 0, "took": 0, "name": "A\\nB", "command": "00", "response": "9000"}\n', "no name"),
        ('{"bsimtrace": 2, "when": "", "target": "", "link": "", "spec": "", "bsim": ""}\n', "install a newer one"),
        ("{start}\n{broken\n{start}\n{{}}\n", "of a kind not known"),
        ("{start}\nbroken\n{reset}\n", ":2: not a line"),
        ('{start}\n{{"at": 0, "took": 0, "reset": "3"}}\n', "not hexadecimal"),
        ('{start}\n{{"at": 0, "took": 0, "reset": "3b00"}}\n', "not hexadecimal"),
        ('{start}\n{{"at": true, "took": 0, "reset": "3B00"}}\n', "at is a number"),
        ('{start}\n{{"at": 0, "took": 0, "name": 1, "command": "00", "response": "9000"}}\n', "name is a text"),
    ],
)
def test_what_is_no_trace_is_said_to_be_none(tmp_path, text, words):
    path = tmp_path / "run.bsimtrace"
    start = json.dumps({"bsimtrace": 1, "when": "", "target": "", "link": "", "spec": "", "bsim": ""})
    reset = json.dumps({"at": 0, "took": 0, "reset": "3B00"})
    text = text.replace("{start}", start).replace("{reset}", reset).replace("{{", "{").replace("}}", "}")
    path.write_text(text)
    with pytest.raises(TraceError, match=words):
        read(path)


def test_a_file_that_is_no_trace_is_not_written_to(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(TraceError):
        TraceWriter(path)
    assert path.read_text() == "mine"
    with pytest.raises(TraceError, match="No such file"):
        TraceWriter(tmp_path / "nowhere" / "run.bsimtrace")
    with pytest.raises(TraceError, match="No such file"):
        read(tmp_path / "none.bsimtrace")


def test_masks_fit_any_byte():
    assert fits("00**02", bytes.fromhex("00FF02"))
    assert not fits("00**02", bytes.fromhex("00FF03"))
    assert not fits("00**", bytes.fromhex("00FF03"))
    assert unmasked("00**02").hex() == "002a02"


def test_the_declarations_have_a_hash():
    assert fingerprint(SPEC) == fingerprint(SPEC)
    assert len(fingerprint(SPEC)) == hashlib.sha256().digest_size * 2


def test_a_pin_where_none_belongs_is_not_recorded(tmp_path, capsys):
    path = tmp_path / "run.bsimtrace"
    with Recorder(bare_card(), path) as card:
        answers = [card.transmit(bytes.fromhex(command)) for command in MISTYPED]
    main(["apdu", *MISTYPED])
    main(["apdu", "--raw", *MISTYPED])
    main(["apdu", "--json", *MISTYPED])
    main(["trace", "show", str(path)])
    for told in (path.read_text(), capsys.readouterr().out):
        assert TYPED not in told.replace(" ", "")
        assert bytes.fromhex(TYPED).decode() not in told
    for tolerant in (False, True):
        replay = ReplayCard(path, tolerant=tolerant)
        others = [bytes.fromhex(command.replace(TYPED, "393837363534")) for command in MISTYPED]
        assert [replay.transmit(command) for command in others] == answers


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_trace_is_its_owners_alone(tmp_path):
    path, before = tmp_path / "run.bsimtrace", os.umask(0)
    try:
        TraceWriter(path).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
