"""Targets, the reader's words, and the client's side of T=0."""

import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

import bsim
from bsim.card import T0
from bsim.lab import pcsc
from bsim.lab.reader import NoCardError, ReaderCard, ReaderError, readers
from bsim.lab.t0_client import ProtocolError, exchange
from bsim.lab.targets import TargetError, is_real, open_target, profile_name
from bsim.profiles import personalisation, personalise, ram_card
from bsim.store import SqliteStore

SELECT = bytes.fromhex("00A4040010A000000533C000FF860000000000054D")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "card.bsim"
    store = SqliteStore(path, create=True)
    personalise(store, personalisation(profile="strict"))
    store.close()
    return path


def test_ram_and_file_answer_alike(file):
    for target in ("ram", str(file)):
        card = open_target(target)
        assert card.reset()[0] == 0x3B
        assert card.transmit(SELECT)[-2:] == b"\x90\x00"
        card.close()
        card.close()


def test_the_profile_of_a_target(file):
    assert profile_name("ram") == "extended"
    assert profile_name(str(file)) == "strict"
    assert profile_name("reader:0") is None


def test_only_readers_are_real():
    assert is_real("reader:0")
    assert not is_real("ram")
    assert not is_real("reader.bsim")


def test_what_is_wrong_with_a_target_is_said(tmp_path):
    (tmp_path / "bad.bsim").write_bytes(b"no database")
    for target, words in {
        "card": "FILE.bsim, reader:NAME, replay:FILE or ram",
        "": "FILE.bsim, reader:NAME, replay:FILE or ram",
        "reader:": "reader:0",
        str(tmp_path / "missing.bsim"): "bsim new",
        str(tmp_path): "FILE.bsim",
        str(tmp_path / "bad.bsim"): "not a usable card file",
    }.items():
        with pytest.raises(TargetError, match=words):
            open_target(target)
    with pytest.raises(TargetError, match="bsim new"):
        profile_name(str(tmp_path / "missing.bsim"))


def test_a_file_that_holds_no_card_is_named(tmp_path):
    path = tmp_path / "empty.bsim"
    SqliteStore(path, create=True).close()
    with pytest.raises(TargetError, match=r"empty\.bsim: this store holds no card"):
        open_target(str(path))


def test_open_card_puts_an_emulated_card_into_a_phone(file):
    for card in (bsim.open_card(), bsim.open_card(str(file))):
        wallet = bsim.Wallet(card, wait=0)
        wallet.derive(60)
        wallet.verify_bpin()
        assert wallet.sign(60, 1, bytes(32))[0] == 0x30
        card.close()
    bare = bsim.open_card("ram", handset="none")
    assert type(bare).__name__ == "EmulatedCard"


def test_open_card_lets_go_of_a_card_it_cannot_hand_out(file):
    with pytest.raises(ValueError, match="handset script"):
        bsim.open_card(str(file), handset="nonsense")
    file.rename(file.with_name("moved.bsim"))


class FakeReaders:
    """pyscard's functions over a card of ours; counts nothing away and refuses what nobody should call."""

    def __init__(self, names: list[str], card=None, filled: tuple[str, ...] = (), **results: int) -> None:
        from smartcard import scard

        self.names, self.card, self.filled, self.results = names, card, filled, results
        self.released = 0
        self.disposition: int | None = None
        for name in dir(scard):
            if name.startswith(("SCARD_", "SCardGetErrorMessage")):
                setattr(self, name, getattr(scard, name))

    def SCardEstablishContext(self, scope):  # noqa: N802
        return self.results.get("establish", 0), 7

    def SCardReleaseContext(self, context):  # noqa: N802
        self.released += 1
        return 0

    def SCardListReaders(self, context, groups):  # noqa: N802
        return (0, self.names) if self.names else (self.SCARD_E_NO_READERS_AVAILABLE, [])

    def SCardConnect(self, context, name, share, protocols):  # noqa: N802
        return self.results.get("connect", 0), 9, self.results.get("protocol", self.SCARD_PROTOCOL_T0)

    def SCardReconnect(self, handle, share, protocols, action):  # noqa: N802
        assert action == self.SCARD_UNPOWER_CARD
        self.atr = self.card.reset()
        return 0, self.SCARD_PROTOCOL_T0

    def SCardStatus(self, handle):  # noqa: N802
        return 0, "", 0, 0, list(self.atr)

    def SCardTransmit(self, handle, protocol, command):  # noqa: N802
        if "transmit" in self.results:
            return self.results["transmit"], []
        return 0, list(self.card.transmit(bytes(command)))

    def SCardGetStatusChange(self, context, timeout, states):  # noqa: N802
        name = states[0][0]
        return 0, [(name, self.SCARD_STATE_PRESENT if name in self.filled else self.SCARD_STATE_EMPTY, [])]

    def SCardDisconnect(self, handle, disposition):  # noqa: N802
        self.disposition = disposition
        return 0


@pytest.fixture
def stack(monkeypatch) -> Callable[..., FakeReaders]:
    pytest.importorskip("smartcard.scard")

    def build(*names: str, **options) -> FakeReaders:
        fake = FakeReaders(list(names), **options)
        monkeypatch.setattr(pcsc, "scard", lambda: fake)
        return fake

    return build


def test_a_card_in_a_reader_is_a_card(stack):
    inner = ram_card(personalisation(blank=True))
    fake = stack("Reader A", card=T0(inner))
    card = ReaderCard("reader a")
    assert card.reset() == inner.reset()
    assert card.transmit(SELECT) == inner.transmit(SELECT)
    with pytest.raises(ReaderError, match="four bytes"):
        card.transmit(b"\0\0\0")
    card.close()
    card.close()
    assert fake.released == 1
    assert fake.disposition == fake.SCARD_RESET_CARD
    with pytest.raises(ReaderError, match="closed"):
        card.transmit(SELECT)


def test_t1_carries_apdus_as_they_are(stack):
    inner = ram_card(personalisation())
    fake = stack("A", card=inner, protocol=2)
    assert fake.SCARD_PROTOCOL_T1 == 2
    assert ReaderCard(0).transmit(SELECT + b"\0") == inner.transmit(SELECT + b"\0")


def test_which_reader_is_meant(stack):
    stack("Reader 00 00", "Reader 00 01", "Other", filled=("Reader 00 01",))
    assert ReaderCard("Reader").name == "Reader 00 01"
    assert ReaderCard("2").name == "Other"
    assert ReaderCard("Reader 00 00").name == "Reader 00 00"
    assert ReaderCard(0).name == "Reader 00 00"
    assert readers() == ["Reader 00 00", "Reader 00 01", "Other"]
    for name in ("3", 3, "Nothing"):
        with pytest.raises(ReaderError, match="there is 0: Reader 00 00; 1: Reader 00 01; 2: Other"):
            ReaderCard(name)


def test_two_cards_are_not_guessed_between(stack):
    stack("Reader 00 00", "Reader 00 01", filled=("Reader 00 00", "Reader 00 01"))
    with pytest.raises(ReaderError, match="by its number"):
        ReaderCard("Reader")


def test_no_reader_at_all(stack):
    stack()
    assert readers() == []
    with pytest.raises(ReaderError, match="no reader is connected"):
        ReaderCard(0)
    with pytest.raises(TargetError, match="no reader is connected"):
        open_target("reader:0")


@pytest.mark.parametrize(
    ("step", "result", "words"),
    [
        ("establish", "SCARD_E_NO_SERVICE", "start it"),
        ("connect", "SCARD_E_NO_SMARTCARD", "no card is in the reader"),
        ("connect", "SCARD_W_UNRESPONSIVE_CARD", "mute"),
        ("connect", "SCARD_E_SHARING_VIOLATION", "in use"),
        ("transmit", "SCARD_W_REMOVED_CARD", "taken out"),
        ("transmit", "SCARD_W_RESET_CARD", "reset by another program"),
        ("transmit", "SCARD_E_READER_UNAVAILABLE", "reader has gone"),
        ("transmit", "SCARD_E_UNEXPECTED", "."),
    ],
)
def test_every_trouble_has_words(stack, step, result, words):
    from smartcard import scard

    stack("A", card=ram_card(personalisation()), **{step: getattr(scard, result)})
    with pytest.raises(ReaderError, match=words) as caught:
        ReaderCard(0).transmit(SELECT)
    assert isinstance(caught.value, NoCardError) == (result in {"SCARD_E_NO_SMARTCARD", "SCARD_W_REMOVED_CARD"})


def test_without_pyscard_the_remedy_is_named(monkeypatch):
    pcsc.scard.cache_clear()
    monkeypatch.setitem(sys.modules, "smartcard", None)
    with pytest.raises(ReaderError, match=r"pip install '\.\[pcsc\]' in the project's folder, or pip install pyscard"):
        readers()
    monkeypatch.setitem(sys.modules, "smartcard", SimpleNamespace())
    with pytest.raises(ReaderError, match="cannot be loaded"):
        readers()


class Scripted:
    """A T=0 card that expects these TPDUs in this order."""

    def __init__(self, *turns: tuple[str, str]) -> None:
        self.turns = [(bytes.fromhex(a), bytes.fromhex(b)) for a, b in turns]

    def __call__(self, tpdu: bytes) -> bytes:
        expected, response = self.turns.pop(0)
        assert tpdu == expected
        return response


@pytest.mark.parametrize(
    ("command", "response", "turns"),
    [
        ("807C0000", "9000", [("807C000000", "9000")]),  # case 1
        ("00CA000002", "00519000", [("00CA000002", "00519000")]),  # case 2
        ("00CA000000", "00519000", [("00CA000000", "6C02"), ("00CA000002", "00519000")]),
        ("80A800020100", "9000", [("80A800020100", "9000")]),  # case 3
        ("00A4040001AA00", "01029000", [("00A4040001AA", "6102"), ("00C0000002", "01029000")]),  # case 4
        (
            "81AC000001AA",
            "0102037F6300",
            [("81AC000001AA", "6102"), ("01C0000002", "01026102"), ("01C0000002", "037F6300")],
        ),
        ("C0AC000001AA", "019000", [("C0AC000001AA", "6101"), ("40C0000001", "6C01"), ("40C0000001", "019000")]),
        ("A0A40000023F00", "019000", [("A0A40000023F00", "9F01"), ("A0C0000001", "019000")]),
        ("00A4040001", "6700", [("00A4040001", "6700")]),
        ("00A4040005AABB", "6700", [("00A4040005AABB", "6700")]),  # no APDU: as it is
        ("00A40400000001AA", "9000", [("00A40400000001AA", "9000")]),  # extended: as it is
        ("FFA4040001AA00", "019000", [("FFA4040001AA", "6101"), ("00C0000001", "019000")]),
    ],
)
def test_t0(command, response, turns):
    card = Scripted(*turns)
    assert exchange(card, bytes.fromhex(command)) == bytes.fromhex(response)
    assert not card.turns


def test_a_card_that_breaks_t0_is_refused():
    with pytest.raises(ProtocolError, match="less than a status word"):
        exchange(lambda _: b"\x90", SELECT)
    for endless in (b"\x6c\x01", b"\x00\x61\x01"):
        with pytest.raises(ProtocolError, match="never ends"):
            exchange(lambda _, answer=endless: answer, SELECT[:5])


def test_both_sides_of_t0_are_inverses():
    card, twin = ram_card(personalisation(blank=True)), ram_card(personalisation(blank=True))
    tpdu = T0(card)
    for raw in (
        SELECT + b"\0",
        SELECT,
        b"\0\xca\0\0",
        b"\0\xca\0\0\2",
        b"\0\xca\0\0\0",
        b"\x80\xc8\0\0\0",
        b"\x80\xf2\0\0\0",
    ):
        assert exchange(tpdu.transmit, raw) in {twin.transmit(raw), twin.transmit(raw + b"\0")}
