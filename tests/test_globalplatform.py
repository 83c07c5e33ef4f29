"""The issuer domain as GlobalPlatform hosts use it: channels, keys, data objects, applications, the card's life."""

import pytest
from helpers import (
    ICCID,
    ISSUER_AID,
    WALLET_AID,
    bare_card,
    derive,
    exchange,
    expect,
    export,
    new_card,
    open_channel,
    select,
    send,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scp_host import Host, Host02, Host03

from bsim import tlv
from bsim.handset import in_handset
from bsim.ports import Card
from bsim.store import RamStore

KEY = bytes(range(0x40, 0x50))
LOAD_FILE = bytes.fromhex("A000000533C000FF8600000000")
GET_STATUS = bytes.fromhex("80F24002024F00")
GET_KEYS = bytes.fromhex("80CA00E000")


def keys(length: int = 16) -> tuple[bytes, bytes, bytes]:
    key = (KEY * 2)[:length]
    return key, key, key


def domain(**options: object) -> Card:
    card = new_card(**options)  # type: ignore[arg-type]
    select(card, ISSUER_AID)
    return card


HOSTS = {
    "SCP02, version 01": lambda card, **more: Host02(card, keys(), version=0x01, **more),
    "SCP02, version 20": lambda card, **more: Host02(card, keys(), version=0x20, **more),
    "SCP02, version 70": lambda card, **more: Host02(card, keys(), version=0x70, **more),
    "SCP03, AES-128": lambda card, **more: Host03(card, keys(), version=0x30, **more),
    "SCP03, AES-192": lambda card, **more: Host03(card, keys(24), version=0x31, **more),
    "SCP03, AES-256": lambda card, **more: Host03(card, keys(32), version=0x32, **more),
    "SCP03, S16 mode": lambda card, **more: Host03(card, keys(), version=0x3F, challenge=bytes(range(16)), **more),
}
LEVELS = {name: [0x00, 0x01, 0x03] + [0x11, 0x13, 0x33] * ("SCP03" in name) for name in HOSTS}
CHANNELS = [pytest.param(name, level, id=f"{name}, level {level:02X}") for name in HOSTS for level in LEVELS[name]]


def opened(name: str = "SCP03, AES-128", level: int = 0x33, **options: object) -> Host:
    host: Host = HOSTS[name](domain(**options))
    assert host.open(level) == 0x9000
    return host


@pytest.mark.parametrize(("name", "level"), CHANNELS)
def test_every_protocol_at_every_level(name: str, level: int) -> None:
    host = opened(name, level)
    plain = domain()
    for command in (GET_STATUS, GET_KEYS, bytes.fromhex("80CA006600"), bytes.fromhex("80F28002074F005C039F70C5")):
        assert host.transmit(command) == plain.transmit(command)
    # An error is told as it is, and the channel goes on.
    assert host.transmit(bytes.fromhex("80F24002034F01F0")) == b"\x6a\x88"
    assert host.transmit(bytes.fromhex("80E29000054203898603")) == b"\x90\x00"
    assert host.transmit(bytes.fromhex("80CA004200")) == bytes.fromhex("42038986039000")


@pytest.mark.parametrize(("name", "level"), [one for one in CHANNELS if one.values[1]])
def test_any_flipped_bit_is_refused_and_closes_the_channel(name: str, level: int) -> None:
    host = opened(name, level)
    secured = host.wrap(GET_STATUS)
    for bit in range(8 * 4, 8 * len(secured)):
        select(host.card, ISSUER_AID)
        assert host.open(level) == 0x9000
        flipped = bytearray(host.wrap(GET_STATUS))
        flipped[bit // 8] ^= 0x80 >> bit % 8
        # A length that does not fit any more is told as such.
        assert exchange(host.card, bytes(flipped)) == (b"", 0x6700 if bit < 8 * 5 else 0x6982)
        # What was right before is of no use any more, nor is the next command.
        assert exchange(host.card, secured) == (b"", 0x6D00)
        assert send(host.card, "GP_SET_STATUS", what="APPLICATION", state=0x80, aid=WALLET_AID)[1] == 0x6982


def test_the_header_is_authenticated_too() -> None:
    for at, other, sw in ((1, 0xF0, 0x6A86), (1, 0x99, 0x6D00), (2, 0x80, 0x6982), (3, 0x03, 0x6982)):
        host = opened()
        secured = bytearray(host.wrap(GET_STATUS))
        secured[at] = other
        assert exchange(host.card, bytes(secured)) == (b"", sw)
        assert send(host.card, "GP_SET_STATUS", what="APPLICATION", state=0x80, aid=WALLET_AID)[1] == 0x6982


def test_a_command_is_not_taken_twice() -> None:
    host = opened()
    secured = host.wrap(GET_STATUS)
    assert exchange(host.card, secured)[1] == 0x9000
    assert exchange(host.card, secured) == (b"", 0x6982)


@pytest.mark.parametrize("level", [0x01, 0x03, 0x11, 0x13, 0x33])
def test_a_bare_command_in_a_secure_channel_ends_it(level: int) -> None:
    host = opened(level=level)
    assert exchange(host.card, GET_STATUS) == (b"", 0x6982)
    assert exchange(host.card, GET_STATUS)[1] == 0x9000  # outside the channel it may be asked by anyone
    assert send(host.card, "GP_SET_STATUS", what="APPLICATION", state=0x80, aid=WALLET_AID)[1] == 0x6982


def test_the_cards_own_commands_need_no_securing() -> None:
    host = opened()
    number = open_channel(host.card)
    assert number == 1
    assert host.transmit(GET_STATUS)[-2:] == b"\x90\x00"


def test_select_and_reset_end_the_channel() -> None:
    host = opened()
    select(host.card, ISSUER_AID)
    assert exchange(host.card, host.wrap(GET_STATUS))[1] == 0x6D00
    host = opened()
    host.card.reset()
    select(host.card, ISSUER_AID)
    assert exchange(host.card, host.wrap(GET_STATUS))[1] == 0x6D00


def test_secured_commands_are_not_chained() -> None:
    host = opened()
    secured = bytearray(host.wrap(GET_STATUS))
    secured[0] |= 0x10
    assert exchange(host.card, bytes(secured)) == (b"", 0x6884)


def test_on_another_logical_channel() -> None:
    card = domain()
    number = open_channel(card)
    select(card, ISSUER_AID, on=number)
    host = Host03(card, keys(), on=number)
    assert host.open(0x33) == 0x9000
    command = bytes((0x80 | number,)) + GET_STATUS[1:]
    assert host.transmit(command) == domain().transmit(GET_STATUS)
    # The basic channel has none of it.
    assert send(card, "GP_SET_STATUS", what="APPLICATION", state=0x80, aid=WALLET_AID)[1] == 0x6982


def test_version_00_is_the_first_key_set() -> None:
    answer = expect(domain(), "GP_INITIALIZE_UPDATE", key_version=0, key_identifier=0, host_challenge=bytes(8))
    assert answer[10:12] == b"\x01\x02"


@pytest.mark.parametrize(("version", "length"), [(0x01, 16), (0x30, 16), (0x3F, 8)])
def test_a_challenge_of_another_length(version: int, length: int) -> None:
    card = domain()
    expect(card, "GP_INITIALIZE_UPDATE", 0x6A80, key_version=version, key_identifier=0, host_challenge=bytes(length))


@pytest.mark.parametrize(("name", "level"), [("SCP02, version 20", 0x11), ("SCP02, version 20", 0x33)])
def test_levels_a_protocol_lacks(name: str, level: int) -> None:
    assert HOSTS[name](domain()).open(level) == 0x6A80


@pytest.mark.parametrize("name", HOSTS)
def test_one_attempt_a_challenge(name: str) -> None:
    host = HOSTS[name](domain())
    good = host.keys
    host.keys = (bytes(len(good[0])), bytes(len(good[1])), good[2])
    with pytest.raises(Exception, match="cryptogram"):
        host.open(1)
    wrong = bytes(2 * len(host.challenge))
    expect(host.card, "GP_EXTERNAL_AUTHENTICATE", 0x6300, level=1, authentication=wrong)
    expect(host.card, "GP_EXTERNAL_AUTHENTICATE", 0x6985, level=1, authentication=wrong)
    host.keys = good
    assert host.open(1) == 0x9000


@pytest.mark.parametrize("name", ["SCP02, version 20", "SCP03, AES-128"])
def test_the_counter_moves_with_each_channel_and_survives_power(name: str) -> None:
    host = HOSTS[name](domain())
    seen = []
    for _ in range(3):
        assert host.open(1) == 0x9000
        seen.append(int.from_bytes(host.counter, "big"))  # type: ignore[attr-defined]
        host.card.reset()
        select(host.card, ISSUER_AID)
    assert seen == [0, 1, 2]


def put_key(host: Host, replaces: int, version: int, new: Host) -> bytes:
    """PUT KEY with the three keys of another host."""
    data = bytes((version,)) + b"".join(host.encrypt_key(key) for key in new.keys)
    return host.transmit(bytes((0x80, 0xD8, replaces, 0x81, len(data))) + data + b"\0")


@pytest.mark.parametrize("length", [16, 24, 32])
@pytest.mark.parametrize("version", [0x30, 0x35])
def test_put_key_for_scp03(length: int, version: int) -> None:
    host = opened()
    new = Host03(host.card, tuple(bytes((n,)) * length for n in (1, 2, 3)), version=version)  # type: ignore[arg-type]
    answer = put_key(host, version if version == 0x30 else 0, version, new)
    assert answer[-2:] == b"\x90\x00"
    assert answer[0] == version
    assert len(answer) == 12
    host.card.reset()
    select(host.card, ISSUER_AID)
    assert new.open(0x33) == 0x9000
    assert new.counter == bytes(3)  # type: ignore[attr-defined]
    information = new.transmit(GET_KEYS)[:-2]
    assert bytes((0xC0, 4, 1, version, 0x88, length)) in information


def test_put_key_for_scp02() -> None:
    host = opened("SCP02, version 20", 0x03)
    new = Host02(host.card, (b"\x01" * 16, b"\x02" * 16, b"\x03" * 16), version=0x2F)
    assert put_key(host, 0, 0x2F, new)[-2:] == b"\x90\x00"
    assert new.open(0x03) == 0x9000


def test_put_key_refuses_what_does_not_fit() -> None:
    host = opened()
    keys24 = Host03(host.card, keys(24), version=0x36)
    assert put_key(host, 0, 0x30, keys24) == b"\x69\x84"  # it is there
    assert put_key(host, 0x36, 0x36, keys24) == b"\x69\x84"  # it is not there
    assert put_key(host, 0, 0x21, keys24) == b"\x69\x84"
    assert put_key(host, 0, 0x2A, keys24) == b"\x6a\x80"  # AES keys under a version for DES
    data = bytes((0x36,)) + b"".join(host.encrypt_key(key) for key in keys())
    wrong_check = data[:-1] + bytes((data[-1] ^ 1,))
    for wrong in (wrong_check, data[:-1], data + b"\0", data[:1], data[:2], data[:1] + b"\x88\x00", data[: 1 + 24]):
        assert host.transmit(bytes((0x80, 0xD8, 0, 0x81, len(wrong))) + wrong + b"\0") == b"\x6a\x80"
    mixed = bytes((0x36,)) + b"".join(host.encrypt_key(key) for key in (bytes(16), bytes(16), bytes(24)))
    assert host.transmit(bytes((0x80, 0xD8, 0, 0x81, len(mixed))) + mixed + b"\0") == b"\x6a\x80"
    assert host.transmit(GET_KEYS)[:-2] == expect(domain(), "GP_GET_DATA", object="KEY_INFORMATION")


@given(st.binary(min_size=1, max_size=230))
@settings(max_examples=200, deadline=None)
def test_put_key_survives_anything(data: bytes) -> None:
    host = opened(level=0x00)
    assert exchange(host.card, bytes((0x80, 0xD8, 0, 0x81, len(data))) + data)[1] in {0x6A80, 0x6984}


def test_data_objects() -> None:
    card = domain()
    objects = {
        name: expect(card, "GP_GET_DATA", object=name) for name in ("ISSUER_NUMBER", "CARD_NUMBER", "DIVERSIFICATION")
    }
    assert objects["ISSUER_NUMBER"].hex() == "4203" + ICCID[:6]
    assert objects["CARD_NUMBER"][2:] == expect(card, "GET_ICCID", tag="ICCID")[2:]
    assert objects["DIVERSIFICATION"] == b"\xcf\x0a" + bytes(10)
    assert expect(card, "GP_GET_DATA", object="SEQUENCE_COUNTER") == b"\xc1\x02\0\0"
    assert len(expect(card, "GP_GET_CPLC")) == 45
    assert tlv.parse(expect(card, "GP_GET_DATA", object="CARD_DATA"))[0].tag == 0x66
    assert tlv.parse(expect(card, "GP_GET_DATA", object="CAPABILITIES"))[0].tag == 0x67


def test_store_data_in_blocks() -> None:
    host = opened()

    def store(block: int, number: int, data: str) -> int:
        raw = bytes.fromhex(data)
        return int.from_bytes(host.transmit(bytes((0x80, 0xE2, block, number, len(raw))) + raw)[-2:], "big")

    assert store(0x10, 0, "4204A1A2A3A4") == 0x9000
    assert store(0x90, 1, "4502B1B2") == 0x9000
    assert store(0x90, 1, "4502B1B2") == 0x6985
    assert store(0x90, 0, "4502B1") == 0x6A80
    assert store(0x90, 0, "660101") == 0x6A80
    assert store(0x90, 0, "4241" + "00" * 65) == 0x6A80
    host.card.reset()
    select(host.card, ISSUER_AID)
    assert expect(host.card, "GP_GET_DATA", object="ISSUER_NUMBER").hex() == "4204a1a2a3a4"
    assert expect(host.card, "GP_GET_DATA", object="CARD_NUMBER").hex() == "4502b1b2"


def entry(host: Host, what: int = 0x40) -> dict[int, bytes]:
    """The one entry GET STATUS answers, tags and values."""
    answer = host.transmit(bytes((0x80, 0xF2, what, 2, 2, 0x4F, 0, 0)))
    assert answer[-2:] == b"\x90\x00", answer.hex()
    (one,) = tlv.parse(answer[:-2])
    return {part.tag: part.value for part in tlv.parse(one.value)}


def test_an_application_is_locked_and_unlocked() -> None:
    host = opened()
    assert entry(host)[0x9F70] == b"\x07"

    def set_status(state: int) -> bytes:
        data = bytes((0x80, 0xF0, 0x40, state, len(WALLET_AID))) + WALLET_AID
        return host.transmit(data)

    number = open_channel(host.card)
    select(host.card, on=number)
    assert set_status(0x83) == b"\x90\x00"
    assert set_status(0x83) == b"\x69\x85"
    assert entry(host)[0x9F70] == b"\x87"
    # What had it selected has not any more, and nobody can select it.
    expect(host.card, "GET_VERSION", 0x6D00, on=number)
    select(host.card, on=number, sw=0x6A82)
    assert set_status(0x07) == b"\x90\x00"
    select(host.card, on=number)
    assert host.transmit(bytes.fromhex("80F0408005F000000001")) == b"\x6a\x88"


INSTALL = bytes((len(LOAD_FILE),)) + LOAD_FILE + (bytes((len(WALLET_AID),)) + WALLET_AID) * 2 + b"\x01\0\0\0"
SELECTABLE = b"\0\0" + bytes((len(WALLET_AID),)) + WALLET_AID + b"\x01\0\0\0"
DELETE_WALLET = bytes.fromhex("80E40000124F10") + WALLET_AID + b"\0"


def install(host: Host, purpose: int, data: bytes) -> bytes:
    return host.transmit(bytes((0x80, 0xE6, purpose, 0, len(data))) + data + b"\0")


def test_an_application_is_deleted_and_comes_back_as_new() -> None:
    store = RamStore()
    card = in_handset(bare_card(store=store), "right")
    select(card)
    derive(card)
    kept = store.read()
    seed = kept["wallet.seed"]
    select(card, ISSUER_AID)
    host = Host03(card, keys())
    assert host.open(0x33) == 0x9000
    assert host.transmit(bytes.fromhex("80E400000F4F0D") + LOAD_FILE + b"\0") == b"\x69\x85"
    assert host.transmit(DELETE_WALLET) == b"\0\x90\x00"
    assert not any(seed in value for value in store.read().values())
    assert host.transmit(DELETE_WALLET) == b"\x6a\x88"
    assert host.transmit(bytes.fromhex("80F24002024F00")) == b"\x6a\x88"
    card.reset()
    select(card, sw=0x6A82)
    select(card, ISSUER_AID)
    assert host.open(0x33) == 0x9000
    assert install(host, 0x04, INSTALL) == b"\0\x90\x00"
    assert entry(host)[0x9F70] == b"\x03"
    select_sw = exchange(card, b"\x01\xa4\x04\x0c\x10" + WALLET_AID)[1]
    assert select_sw == 0x6881
    assert install(host, 0x04, INSTALL) == b"\x69\x85"
    assert install(host, 0x08, SELECTABLE) == b"\0\x90\x00"
    assert install(host, 0x08, SELECTABLE) == b"\x69\x85"
    select(card)
    expect(card, "EXPORT_PUBKEYS", 0x6A88, part="FIRST")
    expect(card, "GENERATE_SEED")
    assert export(card) == b""


def test_install_refuses_what_it_does_not_have() -> None:
    host = opened()
    assert host.transmit(DELETE_WALLET) == b"\0\x90\x00"
    for wrong in (INSTALL[:-1], INSTALL + b"\0", b"\xff" * 6, bytes(7)):
        assert install(host, 0x0C, wrong) == b"\x6a\x80"
    other = bytearray(INSTALL)
    other[1] ^= 1
    assert install(host, 0x0C, bytes(other)) == b"\x6a\x88"
    assert install(host, 0x08, SELECTABLE) == b"\x69\x85"
    assert install(host, 0x0C, INSTALL) == b"\0\x90\x00"
    select(host.card)


def test_a_load_file_goes_with_its_application() -> None:
    host = opened()
    assert host.transmit(bytes.fromhex("80E400800F4F0D") + LOAD_FILE + b"\0") == b"\0\x90\x00"
    assert host.transmit(bytes.fromhex("80F24002024F00")) == b"\x6a\x88"
    assert install(host, 0x0C, INSTALL) == b"\0\x90\x00"


def test_the_domain_itself_stays() -> None:
    host = opened()
    assert host.transmit(bytes.fromhex("80E400000A4F08") + ISSUER_AID + b"\0") == b"\x69\x85"
    assert host.transmit(bytes.fromhex("80E40000074F05F000000001") + b"\0") == b"\x6a\x88"


def test_load_files_and_modules() -> None:
    host = opened()
    assert entry(host, 0x20) == {0x4F: LOAD_FILE, 0x9F70: b"\x01", 0xCC: ISSUER_AID}
    assert entry(host, 0x10)[0x84] == WALLET_AID
    assert entry(host, 0x80) == {0x4F: ISSUER_AID, 0x9F70: b"\x0f", 0xC5: b"\x9e\xfe\x80"}
    assert entry(host) == {
        0x4F: WALLET_AID,
        0x9F70: b"\x07",
        0xC5: bytes(3),
        0xC4: LOAD_FILE,
        0xCC: ISSUER_AID,
    }


@pytest.mark.parametrize("criteria", ["", "5C00", "4F11" + "00" * 17, "4F004F00", "4F005C005C00", "4F", "4F005C029F"])
def test_criteria_that_are_none(criteria: str) -> None:
    data = bytes.fromhex(criteria)
    card = domain()
    sw = exchange(card, bytes((0x80, 0xF2, 0x40, 2)) + (bytes((len(data),)) + data if data else b"") + b"\0")[1]
    assert sw in ({0x9000, 0x6A80} if criteria == "4F005C029F" else {0x6A80})


def test_next_finds_nothing_more() -> None:
    assert exchange(domain(), "80F24003024F00") == (b"", 0x6A88)


def move(host: Host, state: int) -> int:
    return int.from_bytes(host.transmit(bytes((0x80, 0xF0, 0x80, state)))[-2:], "big")


def test_a_locked_card_only_lets_the_domain_be_selected() -> None:
    host = opened()
    assert move(host, 0x07) == 0x6985
    assert move(host, 0x7F) == 0x9000
    assert move(host, 0x7F) == 0x6985
    select(host.card, sw=0x6A82)
    select(host.card, ISSUER_AID)
    assert host.open(0x33) == 0x9000
    assert entry(host, 0x80)[0x9F70] == b"\x7f"
    assert move(host, 0x0F) == 0x9000
    select(host.card)


def test_a_terminated_card_stays_terminated() -> None:
    host = opened()
    assert move(host, 0xFF) == 0x9000
    host.card.reset()
    select(host.card, sw=0x6A82)
    select(host.card, ISSUER_AID)
    expect(host.card, "GP_INITIALIZE_UPDATE", 0x6985, key_version=0, key_identifier=0, host_challenge=bytes(8))
    assert len(expect(host.card, "GP_GET_CPLC")) == 45


def test_status_of_the_card_and_of_the_domain_share_an_instruction() -> None:
    card = domain()
    expect(card, "STATUS", indication="NONE", form="FCP")
    assert exchange(card, "80F28002024F00")[1] == 0x9000
    assert exchange(card, "80F2FF00") == (b"", 0x6A86)
    select(card)
    assert exchange(card, "80F28002024F00") == (b"", 0x6A86)


def test_a_strict_card_has_none_of_it() -> None:
    card = domain(profile="strict")
    for command in ("8050000008" + "00" * 8, "80E400000A4F08A000000151000000"):
        assert exchange(card, command) == (b"", 0x6D00)
    assert exchange(card, "80CA006600") == (b"", 0x6A86)
    assert len(expect(card, "GET_ICCID", tag="ICCID")) == 12


def test_a_guarded_card_wants_its_seed_in_a_secure_channel() -> None:
    card = new_card(blank=True, profile="guarded")
    entropy = bytes.fromhex("80D10000107F7F7F7F7F7F7F7F7F7F7F7F7F7F7F7F")
    assert exchange(card, entropy) == (b"", 0x6982)
    host = Host03(card, keys())
    assert host.open(0x33) == 0x9000
    assert host.transmit(entropy) == b"\x90\x00"
    select(card)
    assert exchange(card, "80C8000000") == (b"", 0x9000)


def test_in_the_wallets_channel_too_everything_is_secured() -> None:
    card = new_card()
    host = Host03(card, keys())
    assert host.open(0x33) == 0x9000
    version = host.transmit(bytes.fromhex("00CA000002"))
    assert version == bytes.fromhex("00519000")
    assert exchange(card, "00CA000002") == (b"", 0x6982)
    assert exchange(card, "00CA000002") == (b"\x00\x51", 0x9000)


def test_a_warning_is_protected_as_success_is() -> None:
    host = Host03(new_card(), keys())
    assert host.open(0x33) == 0x9000
    assert len(host.transmit(bytes.fromhex("0084000010"))) == 18
    assert host.transmit(bytes.fromhex("0082000010") + bytes(16)) == b"\x63\x00"
    assert host.transmit(bytes.fromhex("0082000010") + bytes(16)) == b"\x69\x84"  # an error is not
