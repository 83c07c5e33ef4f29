"""The card OS: reset and ATR, channels and their sessions, SELECT, STATUS, chaining, and the one commit point."""

import logging
from collections.abc import Mapping
from functools import reduce
from operator import xor

import pytest
from helpers import (
    BPIN,
    COMMANDS,
    DIGEST,
    ENTROPY,
    ETHEREUM,
    ISSUER_AID,
    KEY2,
    WALLET_AID,
    Judge,
    apdu,
    bare_card,
    by_hand,
    cmac,
    derive,
    enter,
    exchange,
    expect,
    export,
    fetch,
    new_card,
    open_channel,
    record,
    respond,
    seal,
    select,
    send,
    sign,
    verified_card,
)

from bsim.applets.routes import Routes, compile_route
from bsim.applets.session import Platform, Session
from bsim.card import Uicc
from bsim.card.commands import COMMANDS as UICC_COMMANDS
from bsim.ports import Card
from bsim.profiles import PROFILES, Profile, power_on
from bsim.store import Cell, Layout, Memory, RamStore, StoreError

MF_FCP = bytes.fromhex(
    "622C 82027821 83023F00 A509 800171 83040000C000 8A0105 8B032F0608 C60F 900160 830101 830181 950108 830111"
)
ISIM_AID = bytes.fromhex("A0000000871004FF86FFFF89FFFFFFFF")
ENVELOPE = seal(ENTROPY, KEY2)
RESTORE = b"\xb1\x08" + KEY2 + b"\xb2\x3d" + ENVELOPE


# Reset and ATR.


def test_atr_is_that_of_a_t0_uicc() -> None:
    """Read the ATR as a reader does. ISO/IEC 7816-3 8.2."""
    atr = list(bare_card().reset())
    assert len(atr) <= 33
    assert atr.pop(0) == 0x3B  # TS: direct convention
    historical_length = atr[0] & 15
    protocols, globals_ = [], []
    indicator, protocol, at, number = atr[0] >> 4, None, 1, 1
    while True:
        present = [name for bit, name in enumerate("ABCD") if indicator >> bit & 1]
        values = dict(zip(present, atr[at : at + len(present)], strict=True))
        at += len(present)
        if protocol == 15:
            globals_.append({name: value for name, value in values.items() if name != "D"})
        if "D" not in values:
            break
        protocol, indicator = values["D"] & 15, values["D"] >> 4
        protocols.append(protocol)
        number += 1
    assert protocols == [0, 15]  # T=0 is offered first, and alone
    assert globals_ == [{"A": 0xC7}]  # clock stop in either state, classes A, B and C
    historical, tck = bytes(atr[at : at + historical_length]), atr[at + historical_length :]
    assert len(tck) == 1, "TCK is there, because T=15 is"
    assert reduce(xor, atr) == 0
    # ISO/IEC 7816-4 8.1.1: category 80 is followed by COMPACT-TLV objects.
    assert historical[0] == 0x80
    objects, rest = {}, historical[1:]
    while len(rest) > rest[0] & 15 and rest[0] >> 4 in {3, 7}:
        size = rest[0] & 15
        objects[rest[0] >> 4] = rest[1 : 1 + size]
        rest = rest[1 + size :]
    assert objects[3] == b"\xe0"
    capabilities = objects[7]
    assert capabilities[0] & 0x80, "DF selection by full name"
    assert capabilities[0] & 0x40, "DF selection by partial name"
    assert capabilities[2] & 0x80, "command chaining"
    assert capabilities[2] & 0x40, "extended lengths"
    assert capabilities[2] & 0x18 == 0x18, "channel numbers by the card and by the client"
    assert capabilities[2] & 7 == 7, "eight channels or more"
    assert rest == b"BSIM"


@pytest.mark.parametrize("profile", list(PROFILES))
def test_reset_answers_the_atr_each_time(profile: str) -> None:
    card = bare_card(profile=profile)
    assert card.reset() == card.reset() == PROFILES[profile].atr


def test_reset_forgets_channels_selection_and_bpin() -> None:
    card = verified_card()
    derive(card)
    open_channel(card, 2)
    card.reset()
    assert exchange(card, "80F2000000") == (MF_FCP, 0x9000)
    assert exchange(card, apdu("STATUS", on=2, indication="NONE", form="FCP")) == (b"", 0x6881)
    select(card)
    sign(card, sw=0x6982)
    assert export(card) == record(ETHEREUM, 1), "what is persistent is still there"


# SELECT and STATUS.


def name_of(card: Card, on: int = 0) -> bytes:
    return expect(card, "STATUS", on=on, indication="NONE", form="DF_NAME")


@pytest.mark.parametrize("size", range(5, 17))
def test_select_by_a_name_cut_short(size: int) -> None:
    card = bare_card()
    template = select(card, WALLET_AID[:size], control=0)
    assert template == b"\x6f\x12\x84\x10" + WALLET_AID
    assert name_of(card) == b"\x84\x10" + WALLET_AID


@pytest.mark.parametrize(
    "aid", ["A000000151000000", "A0000001510000", "A000000151", "A000000003000000", "A00000000300", "A000000003", ""]
)
def test_select_the_issuer_domain(aid: str) -> None:
    card = bare_card()
    select(card)
    select(card, bytes.fromhex(aid))
    assert name_of(card) == b"\x84\x08" + ISSUER_AID
    assert expect(card, "GET_ICCID", tag="ICCID")[:2] == b"\x11\x0a"


@pytest.mark.parametrize("aid", ["F000000001", "A000000533C000FF860000000000054E", "A00000053300"])
def test_select_what_is_not_there(aid: str) -> None:
    card = bare_card()
    select(card)
    assert select(card, bytes.fromhex(aid), sw=0x6A82) == b""
    assert name_of(card) == b"\x84\x10" + WALLET_AID, "the selection is as it was"


def test_select_next_last_and_previous() -> None:
    card = bare_card()
    rid = b"\xa0\x00\x00"  # all applications begin so; the issuer domain is the first
    wallet, issuer = b"\x84\x10" + WALLET_AID, b"\x84\x08" + ISSUER_AID
    usim, isim = (b"\x84\x10" + bytes.fromhex(f"A00000008710{n}FF86FFFF89FFFFFFFF") for n in ("02", "04"))
    steps = [
        (0x0C, 0x9000, issuer),  # first
        (0x0E, 0x9000, wallet),  # next
        (0x0E, 0x9000, usim),
        (0x0E, 0x9000, isim),
        (0x0E, 0x6A82, isim),  # none after it
        (0x0F, 0x9000, usim),  # previous
        (0x0F, 0x9000, wallet),
        (0x0F, 0x9000, issuer),
        (0x0F, 0x6A82, issuer),
        (0x0D, 0x9000, isim),  # last
        (0x0D, 0x9000, isim),
        (0x0C, 0x9000, issuer),
    ]
    for control, sw, name in steps:
        select(card, rid, control=control, sw=sw)
        assert name_of(card) == name


@pytest.mark.parametrize(("control", "aid"), [(0x0E, ISSUER_AID), (0x0F, ISIM_AID)])
def test_next_and_previous_begin_at_an_end_where_nothing_is_selected(control: int, aid: bytes) -> None:
    card = bare_card()
    select(card, b"\xa0\x00\x00", control=control)
    assert name_of(card)[2:] == aid


def test_templates_by_p2() -> None:
    card = bare_card()
    name = b"\x84\x10" + WALLET_AID
    assert select(card, control=0x00) == b"\x6f\x12" + name
    assert select(card, control=0x04) == b"\x62\x19\x82\x02\x78\x21" + name + b"\x8a\x01\x05"
    assert select(card, control=0x0C) == b""
    assert expect(card, "STATUS", indication="NONE", form="FCP") == b"\x62\x19\x82\x02\x78\x21" + name + b"\x8a\x01\x05"
    assert expect(card, "STATUS", indication="TERMINATING", form="NO_DATA") == b""


def test_master_file() -> None:
    card = bare_card()
    select(card)
    assert expect(card, "SELECT", method="FILE_ID", control=0x04, identifier=b"\x3f\x00") == MF_FCP
    assert expect(card, "SELECT", method="FILE_ID", control=0x00, identifier=b"") == b"\x6f\x00"
    assert name_of(card) == b""
    expect(card, "SELECT", 0x6A82, method="FILE_ID", control=0x0C, identifier=b"\x6f\x07")
    assert exchange(card, "00CA000002") == (b"", 0x6D00), "no applet is selected"


def test_select_again_keeps_the_bpin_and_starts_paged_reads_anew() -> None:
    card = verified_card()
    derive(card, count=5)
    assert send(card, "EXPORT_PUBKEYS", part="FIRST")[1] == 0x6300
    select(card)
    expect(card, "EXPORT_PUBKEYS", 0x6985, part="NEXT")
    sign(card)


def test_a_challenge_does_not_outlive_a_select() -> None:
    card = bare_card()
    select(card)
    challenge = expect(card, "GET_CHALLENGE")
    select(card)
    expect(card, "EXTERNAL_AUTHENTICATE", 0x6984, cryptogram=cmac(challenge))


# Logical channels.


def test_card_chooses_the_channels_until_none_is_left() -> None:
    card = bare_card()
    assert [open_channel(card) for _ in range(19)] == list(range(1, 20))
    expect(card, "MANAGE_CHANNEL", 0x6881, operation="OPEN", channel=0)
    expect(card, "MANAGE_CHANNEL", 0x6881, operation="OPEN", channel=7)
    expect(card, "MANAGE_CHANNEL", operation="CLOSE", channel=7)
    assert open_channel(card) == 7


def test_client_chooses_the_channel() -> None:
    card = bare_card()
    for number in (19, 1, 4):
        assert expect(card, "MANAGE_CHANNEL", operation="OPEN", channel=number) == b""
        expect(card, "MANAGE_CHANNEL", 0x6881, operation="OPEN", channel=number)
    assert open_channel(card) == 2


def test_a_card_of_few_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROFILES, "few", Profile("few", "a card of four channels", channels=4))
    card = bare_card(profile="few")
    assert [open_channel(card) for _ in range(3)] == [1, 2, 3]
    expect(card, "MANAGE_CHANNEL", 0x6881, operation="OPEN", channel=0)
    expect(card, "MANAGE_CHANNEL", 0x6881, operation="OPEN", channel=4)


def test_closing() -> None:
    card = bare_card()
    expect(card, "MANAGE_CHANNEL", 0x6A86, operation="CLOSE", channel=0)
    expect(card, "MANAGE_CHANNEL", 0x6881, operation="CLOSE", channel=3)
    open_channel(card, 3)
    # P2 = 00 means the channel of the class byte; any other may be closed from anywhere.
    expect(card, "MANAGE_CHANNEL", on=3, operation="CLOSE", channel=0)
    expect(card, "STATUS", 0x6881, on=3, indication="NONE", form="FCP")
    open_channel(card, 3)
    open_channel(card, 5)
    expect(card, "MANAGE_CHANNEL", on=5, operation="CLOSE", channel=3)
    expect(card, "MANAGE_CHANNEL", 0x6881, on=5, operation="CLOSE", channel=3)


def test_what_a_new_channel_begins_at() -> None:
    """ISO/IEC 7816-4 11.1.2: at the master file from the basic channel, at what is selected there from another."""
    card = bare_card()
    select(card)
    open_channel(card, 1)
    assert name_of(card, 1) == b""
    select(card, on=1)
    open_channel(card, 6, on=1)
    assert name_of(card, 6) == b"\x84\x10" + WALLET_AID
    open_channel(card, 2)
    open_channel(card, 3, on=2)
    assert name_of(card, 3) == b""


def verify_on(card: Judge, on: int) -> None:
    """By hand, so that the dialogue can be told apart from the channel it is for."""
    response = card.transmit(apdu("VERIFY_BPIN", on=on))
    assert enter(card, response, BPIN) == b"\x90\x00"


def sign_on(card: Card, on: int, sw: int) -> None:
    expect(card, "SIGN", sw, on=on, coin_type=ETHEREUM, slot=1, digest=DIGEST)


def test_bpin_holds_on_the_channel_that_verified_it() -> None:
    card = by_hand()
    derive(card)
    for channel in (1, 19):
        open_channel(card, channel)
        select(card, on=channel)
    verify_on(card, 1)
    sign_on(card, 1, 0x9000)
    sign_on(card, 0, 0x6982)
    sign_on(card, 19, 0x6982)
    # A channel opened from the one that verified is a session of its own.
    open_channel(card, 2, on=1)
    sign_on(card, 2, 0x6982)


def test_bpin_survives_a_visit_to_the_issuer_domain() -> None:
    card = by_hand()
    derive(card)
    open_channel(card, 1)
    select(card, on=1)
    verify_on(card, 1)
    select(card, b"\xa0\x00\x00\x01\x51\x00\x00", on=1)
    assert len(expect(card, "GET_ICCID", on=1, tag="ICCID")) == 12
    sign_on(card, 1, 0x6D00)
    select(card, on=1)
    sign_on(card, 1, 0x9000)


def test_bpin_dies_with_its_channel_and_with_reset() -> None:
    card = by_hand()
    derive(card)
    open_channel(card, 1)
    select(card, on=1)
    verify_on(card, 1)
    expect(card, "MANAGE_CHANNEL", operation="CLOSE", channel=1)
    open_channel(card, 1)
    select(card, on=1)
    sign_on(card, 1, 0x6982)
    expect(card, "TERMINAL_PROFILE", profile=b"\xff")
    verify_on(card, 1)
    sign_on(card, 1, 0x9000)
    card.reset()
    open_channel(card, 1)
    select(card, on=1)
    sign_on(card, 1, 0x6982)


def test_a_channel_that_closes_while_its_dialogue_is_open_is_granted_nothing() -> None:
    card = by_hand()
    derive(card)
    open_channel(card, 1)
    select(card, on=1)
    question = fetch(card, card.transmit(apdu("VERIFY_BPIN", on=1)))
    expect(card, "MANAGE_CHANNEL", operation="CLOSE", channel=1)
    open_channel(card, 1)
    select(card, on=1)
    assert respond(card, question, BPIN) == b"\x90\x00"
    sign_on(card, 1, 0x6982)


def test_an_issuer_session_dies_with_its_channel() -> None:
    card = bare_card()
    open_channel(card, 1)
    select(card, on=1)
    expect(card, "EXTERNAL_AUTHENTICATE", on=1, cryptogram=cmac(expect(card, "GET_CHALLENGE", on=1)))
    expect(card, "WRITE_SESSION_KEY", on=1, key=b"k")
    expect(card, "MANAGE_CHANNEL", operation="CLOSE", channel=1)
    open_channel(card, 1)
    select(card, on=1)
    expect(card, "WRITE_SESSION_KEY", 0x6982, on=1, key=b"k")


def test_both_channels_of_the_wallet_app_at_once() -> None:
    """The app keeps one channel for the wallet and one for the issuer domain, and never closes them."""
    card = new_card()
    open_channel(card, 1)
    open_channel(card, 2)
    select(card, on=1)
    select(card, b"\xa0\x00\x00\x01\x51\x00\x00", on=2)
    for _ in range(3):
        assert expect(card, "GET_VERSION", on=1) == b"\x00\x51"
        assert expect(card, "GET_ICCID", on=2, tag="ICCID")[:2] == b"\x11\x0a"


# The commit point.


class BrokenApplet:
    """An applet with two handlers that put something and then fail: GET VERSION by a bug, GET CHALLENGE by refusal."""

    aids = (b"\xf0\x00\x00\x00\x01",)

    def __init__(self, cell: Cell[tuple[int, ...]]) -> None:
        self.cell = cell
        self.resets = 0

        def bug(session: Session) -> bytes:
            cell.put((1,))
            raise RuntimeError(BPIN)

        table = {
            "GET_VERSION": (COMMANDS["GET_VERSION"], compile_route(COMMANDS["GET_VERSION"], bug, ())),
        }
        self.selectable = True
        self.routes = Routes(UICC_COMMANDS, table)

    def session(self, card: Platform, channel: int) -> Session:
        return Session(self, card, channel)

    def reset(self) -> None:
        self.resets += 1


class CountingStore(RamStore):
    def __init__(self, records: Mapping[str, bytes] | None = None) -> None:
        super().__init__(records)
        self.writes: list[dict[str, bytes | None]] = []

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        self.writes.append(dict(changes))
        super().write(changes)


@pytest.mark.parametrize("where", [0, 3])
def test_a_bug_is_6f00_logged_and_rolled_back(where: int, card_bugs: list[logging.LogRecord]) -> None:
    store = CountingStore({"broken.value": b"\x07"})
    memory = Memory(store)
    layout = Layout(lambda value: (value,), "broken", {"value": (lambda v: bytes((v,)), lambda raw: raw[0])})
    cell = memory.cell(layout)
    applet = BrokenApplet(cell)  # type: ignore[arg-type]
    card = Uicc(b"\x3b\x00", (applet,), memory, bytes, 20)
    if where:
        open_channel(card, where)
    select(card, applet.aids[0], on=where)
    assert exchange(card, apdu("GET_VERSION", on=where)) == (b"", 0x6F00)
    assert cell.value == (7,)
    assert store.writes == []
    logged = [record for record in card_bugs if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in logged] == ["unhandled RuntimeError"]
    assert logged[0].exc_info is not None
    # Where it happened is told; what the exception said, which may be a PIN, is not.
    text = logging.Formatter().format(logged[0])
    assert "in bug" in text
    assert BPIN not in text
    card_bugs.clear()
    assert exchange(card, apdu("STATUS", on=where, indication="NONE", form="DF_NAME")) == (
        b"\x84\x05" + applet.aids[0],
        0x9000,
    )


class FailingStore(RamStore):
    """A store that fails when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.failing = False
        self.refused = 0

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        if self.failing:
            self.refused += 1
            raise StoreError("disk full")
        super().write(changes)


FAILURES = [
    pytest.param(apdu("DERIVE_KEY", coin_type=ETHEREUM, algorithm="SECP256K1"), False, id="DERIVE_KEY"),
    pytest.param(apdu("SET_BPIN", bpin=b"654321"), False, id="SET_BPIN"),
    pytest.param(apdu("GENERATE_SEED"), True, id="GENERATE_SEED"),
    pytest.param(apdu("RESTORE_SEED", key2=KEY2, ciphertext=ENVELOPE), True, id="RESTORE_SEED"),
]


@pytest.mark.parametrize(("raw", "blank"), FAILURES)
def test_a_store_that_fails_is_6581_and_nothing_is_changed(raw: bytes, blank: bool) -> None:
    store = FailingStore()
    card = bare_card(blank=blank, store=store)
    select(card)
    before = dict(store.read())
    store.failing = True
    for _ in range(2):
        assert exchange(card, raw) == (b"", 0x6581)
    assert store.refused == 2
    store.failing = False
    assert store.read() == before
    assert exchange(card, "80C8000000") == (b"", 0x6A88 if blank else 0x9000), "no slot, and no seed"
    assert exchange(card, raw) == (b"", 0x9000)
    assert store.read() != before


def test_reading_works_while_the_store_fails() -> None:
    store = FailingStore()
    card = by_hand(store=store)
    derive(card)
    assert enter(card, card.transmit(apdu("VERIFY_BPIN")), BPIN) == b"\x90\x00"
    store.failing = True
    assert export(card) == record(ETHEREUM, 1)
    sign(card)
    assert store.refused == 0, "commands that write nothing commit nothing"


def test_a_try_that_cannot_be_written_is_not_made() -> None:
    store = FailingStore()
    card = by_hand(store=store)
    derive(card)
    question = fetch(card, card.transmit(apdu("VERIFY_BPIN")))
    store.failing = True
    assert respond(card, question, BPIN) == b"\x65\x81"
    store.failing = False
    sign(card, sw=0x6982)
    assert store.read()["wallet.tries"] == b"\x0a"


class StoreOfOneWrite(FailingStore):
    """A store that takes one write, and no other, once it is told to fail."""

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        if self.failing and "wallet.tries" in changes and changes["wallet.tries"] != b"\x0a":
            RamStore.write(self, changes)
            return
        super().write(changes)


def test_a_bpin_that_could_not_be_given_its_tries_back_grants_nothing() -> None:
    store = StoreOfOneWrite()
    card = by_hand(store=store)
    derive(card)
    question = fetch(card, card.transmit(apdu("VERIFY_BPIN")))
    store.failing = True
    assert respond(card, question, BPIN) == b"\x65\x81"
    store.failing = False
    sign(card, sw=0x6982)
    assert store.read()["wallet.tries"] == b"\x09", "the try was spent"


def test_a_bpin_that_could_not_be_written_is_not_told_to_be_changed() -> None:
    store = FailingStore()
    card = by_hand(store=store)
    repeat = fetch(card, enter(card, card.transmit(apdu("UPDATE_BPIN")), BPIN, "654321"))
    store.failing = True
    assert respond(card, repeat, "654321") == b"\x65\x81"
    store.failing = False
    expect(card, "FETCH", 0x6985, le=256)
    assert enter(card, card.transmit(apdu("VERIFY_BPIN")), BPIN) == b"\x90\x00", "the old one still is the BPIN"


def test_an_opening_that_could_not_be_written_grants_nothing() -> None:
    store = FailingStore()
    card = bare_card(store=store)
    select(card)
    cryptogram = cmac(expect(card, "GET_CHALLENGE"))
    store.failing = True
    expect(card, "EXTERNAL_AUTHENTICATE", 0x6581, cryptogram=cryptogram)
    expect(card, "WRITE_SESSION_KEY", 0x6982, key=b"k")


# Whatever the bytes.


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, list, tuple])
def test_transmit_takes_all_kinds_of_bytes(kind: type) -> None:
    card = new_card()
    raw = apdu("GET_VERSION")
    assert card.transmit(kind(raw)) == b"\x00\x51\x90\x00"
    assert card.transmit(kind(raw[:3])) == b"\x67\x00"
    assert card.transmit(kind(b"")) == b"\x67\x00"


def test_bytes_of_others_are_not_kept() -> None:
    """A caller may reuse its buffer: the header it passed must not become a key of the card's tables."""
    card = new_card()
    buffer = bytearray(apdu("GET_VERSION"))
    assert card.transmit(buffer) == b"\x00\x51\x90\x00"
    buffer[1] = 0x84
    assert len(card.transmit(buffer)) == 18
    assert card.transmit(apdu("GET_VERSION")) == b"\x00\x51\x90\x00"


def test_a_closed_card_lets_go_of_its_store() -> None:
    class Closing(RamStore):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    store = Closing()
    card = bare_card(store=store).card
    assert isinstance(card, Uicc)
    card.close()
    assert store.closed == 1


def test_two_powered_cards_share_nothing() -> None:
    first, second = verified_card(), new_card()
    derive(first)
    assert export(second) == b""
    derive(second, coin_type=503)
    sign(second, coin_type=503, sw=0x6982)
    sign(first)


def test_power_comes_back() -> None:
    store = RamStore()
    card = bare_card(store=store)
    select(card)
    derive(card, count=2)
    again = power_on(store)
    select(again)
    assert export(again) == record(ETHEREUM, 1) + record(ETHEREUM, 2)


# Command chaining. ISO/IEC 7816-4 5.3.3.


def parts(data: bytes, size: int, on: int = 0) -> list[bytes]:
    """RESTORE SEED in a chain: all parts but the last have bit 5 of the class."""
    head = apdu("RESTORE_SEED", on=on, key2=KEY2, ciphertext=ENVELOPE)[:4]
    cut = [data[at : at + size] for at in range(0, len(data), size)]
    chained = [bytes((head[0] | 0x10,)) + head[1:] + bytes((len(part),)) + part for part in cut]
    return [*chained[:-1], head + chained[-1][4:]]


def blank_card() -> Judge:
    card = bare_card(blank=True)
    select(card)
    return card


def has_seed(card: Card, on: int = 0) -> bool:
    return send(card, "EXPORT_PUBKEYS", on=on, part="FIRST")[1] == 0x9000


@pytest.mark.parametrize("size", [1, 7, 40, 74])
def test_a_chain(size: int) -> None:
    card = blank_card()
    *first, last = parts(RESTORE, size)
    for part in first:
        assert card.transmit(part) == b"\x90\x00"
    assert card.transmit(last) == b"\x90\x00"
    derive(card)
    assert export(card) == record(ETHEREUM, 1)


def test_the_longest_chain() -> None:
    key2 = bytes(range(1, 256))
    blob = seal(bytes(32), key2)
    data = b"\xb1\x81\xff" + key2 + b"\xb2\x4d" + blob
    assert len(data) == COMMANDS["RESTORE_SEED"].lc_maximum
    card = blank_card()
    first, last = parts(data, 255)
    assert card.transmit(first) == b"\x90\x00"
    assert card.transmit(last) == b"\x90\x00"
    assert has_seed(card)
    assert card.transmit(apdu("RESTORE_SEED", key2=KEY2, ciphertext=ENVELOPE)) == b"\x69\x82"


def test_an_extended_apdu_does_without_a_chain() -> None:
    card = blank_card()
    head = apdu("RESTORE_SEED", key2=KEY2, ciphertext=ENVELOPE)[:4]
    assert card.transmit(head + b"\0" + len(RESTORE).to_bytes(2, "big") + RESTORE) == b"\x90\x00"
    assert has_seed(card)


@pytest.mark.parametrize("on", [0, 5])
def test_a_chain_broken_off_by_another_command(on: int) -> None:
    card = blank_card()
    if on:
        open_channel(card, on)
        select(card, on=on)
    first, last = parts(RESTORE, 40, on)
    assert card.transmit(first) == b"\x90\x00"
    assert expect(card, "GET_VERSION", on=on) == b"\x00\x51", "the other command is carried out"
    assert card.transmit(last) == b"\x67\x00", "the last part is short for a whole command"
    assert not has_seed(card, on)


def test_a_chain_broken_off_by_a_select() -> None:
    card = blank_card()
    first, last = parts(RESTORE, 40)
    assert card.transmit(first) == b"\x90\x00"
    select(card)
    assert card.transmit(last) == b"\x67\x00"
    assert not has_seed(card)


@pytest.mark.parametrize("malformed", [b"\x05\x00", b"\x02" + bytes(9), b"\0\0\0\0"])
def test_a_chain_ends_with_a_malformed_part(malformed: bytes) -> None:
    card = blank_card()
    first, last = parts(RESTORE, 40)
    assert card.transmit(first) == b"\x90\x00"
    assert card.transmit(first[:4] + malformed) == b"\x67\x00"
    assert card.transmit(last) == b"\x67\x00"
    assert not has_seed(card)


def test_chains_on_two_channels_do_not_mix() -> None:
    card = blank_card()
    open_channel(card, 4)
    select(card, on=4)
    wrong = b"\xb1\x08" + b"passw0rd" + b"\xb2\x3d" + ENVELOPE
    ours, others = parts(RESTORE, 40), parts(wrong, 25, 4)
    assert card.transmit(ours[0]) == b"\x90\x00"
    assert card.transmit(others[0]) == b"\x90\x00"
    assert card.transmit(others[1]) == b"\x90\x00"
    assert card.transmit(others[2]) == b"\x6a\x80"
    assert not has_seed(card, 4)
    assert card.transmit(ours[1]) == b"\x90\x00"
    assert has_seed(card)


def test_a_chain_that_grows_too_long() -> None:
    card = blank_card()
    head = apdu("RESTORE_SEED", key2=KEY2, ciphertext=ENVELOPE)[:4]
    part = bytes((head[0] | 0x10,)) + head[1:] + b"\xff" + bytes(255)
    for _ in range(65_535 // 255):
        assert card.transmit(part) == b"\x90\x00"
    assert card.transmit(part[:4] + b"\x01\x00") == b"\x67\x00"
    first, last = parts(RESTORE, 40)
    assert card.transmit(last) == b"\x67\x00", "what was gathered is gone"
    assert card.transmit(first) == b"\x90\x00"
    assert card.transmit(last) == b"\x90\x00"


def test_a_chain_longer_than_the_command_takes() -> None:
    card = blank_card()
    *first, last = parts(RESTORE + bytes(300), 100)
    assert [card.transmit(part) for part in first] == [b"\x90\x00"] * len(first)
    assert card.transmit(last) == b"\x67\x00"


def test_a_chain_of_nothing() -> None:
    card = blank_card()
    head = apdu("RESTORE_SEED", key2=KEY2, ciphertext=ENVELOPE)[:4]
    assert card.transmit(bytes((head[0] | 0x10,)) + head[1:]) == b"\x90\x00"
    assert card.transmit(head) == b"\x67\x00"


def test_rights_are_judged_when_a_chain_ends() -> None:
    card = new_card()
    first, last = parts(RESTORE, 40)
    assert card.transmit(first) == b"\x90\x00"
    assert card.transmit(last) == b"\x69\x82"


def test_an_le_at_the_end_of_a_chain() -> None:
    card = blank_card()
    first, last = parts(RESTORE, 40)
    assert card.transmit(first) == b"\x90\x00"
    assert card.transmit(last + b"\0") == b"\x90\x00"
    assert has_seed(card)


def test_iccid_is_the_one_the_wallet_app_reads() -> None:
    card = bare_card()
    assert exchange(card, "00A4040007A0000001510000")[1] == 0x9000
    assert exchange(card, "80CA001100") == (bytes.fromhex("110A98580203128088 9979F1"), 0x9000)


@pytest.mark.parametrize("command", ["00A40000", 5])
def test_what_is_no_bytes_is_told(command, card_bugs):
    """Hex that nobody decoded: answered as everything is, and no riddle."""
    card = bare_card().card
    assert card.transmit(command) == b"\x6f\x00"
    first, _ = (record.getMessage() for record in card_bugs)
    card_bugs.clear()
    assert first.startswith(f"a command is bytes, not {type(command).__name__}")
    assert card.transmit([0, 0xA4, 4, 0]) != b"\x6f\x00", "pyscard's lists are as good"
