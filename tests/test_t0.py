"""The T=0 layer: what a TPDU client sees, byte by byte, and that no command is ever carried out twice for it."""

import pytest
from helpers import (
    BPIN,
    DIGEST,
    ED25519,
    ENTROPY,
    ETHEREUM,
    KEY2,
    SOLANA,
    WALLET_AID,
    Judge,
    apdu,
    by_hand,
    derive,
    exchange,
    expect,
    record,
    respond,
    seal,
    select,
    sign,
    signature,
    verified_card,
)

from bsim.applets.proactive import ProactiveCommand
from bsim.card import T0
from bsim.ports import Card

SIGN = apdu("SIGN", coin_type=ETHEREUM, slot=1, digest=DIGEST)
DER = signature(ETHEREUM, 1)
EXPORT = bytes.fromhex("80C80000")
NEXT = bytes.fromhex("80C80001")


def wallet(keys: int = 1) -> tuple[T0, Judge]:
    """A verified card at the end of a T=0 line, and the card itself, which counts what reaches it."""
    card = verified_card()
    derive(card, count=keys)
    counter = Judge(card)
    return T0(counter), counter


def le(length: int) -> bytes:
    return bytes((length & 0xFF,))


# Case 4: data both ways.


@pytest.mark.parametrize("header", ["00C00000", "80C00000", "84C00000", "0CC00000", "C0C00000"])
def test_response_to_data_waits_for_get_response(header: str) -> None:
    t0, card = wallet()
    assert t0.transmit(SIGN) == b"\x61" + le(len(DER))
    assert t0.transmit(bytes.fromhex(header) + le(len(DER))) == DER + b"\x90\x00"
    assert card.count == 1
    assert exchange(t0, "00C0000010") == (b"", 0x6985), "it is given out once"


def test_a_whole_case_4_apdu_is_taken_as_well() -> None:
    t0, card = wallet()
    assert t0.transmit(SIGN + b"\0") == b"\x61" + le(len(DER))
    assert t0.transmit(b"\x00\xc0\x00\x00" + le(len(DER))) == DER + b"\x90\x00"
    assert card.count == 1


@pytest.mark.parametrize("size", [1, 7, 35, 69])
def test_get_response_in_pieces(size: int) -> None:
    t0, card = wallet()
    waiting, got = t0.transmit(SIGN), b""
    while waiting[0] == 0x61:
        assert waiting[1] == len(DER) - len(got)
        answer = t0.transmit(b"\x00\xc0\x00\x00" + le(min(size, waiting[1])))
        got, waiting = got + answer[:-2], answer[-2:]
    assert (got, waiting) == (DER, b"\x90\x00")
    assert card.count == 1


@pytest.mark.parametrize("asked", [0, 71, 72, 255])
def test_get_response_with_too_long_an_le(asked: int) -> None:
    t0, card = wallet()
    t0.transmit(SIGN)
    assert t0.transmit(b"\x00\xc0\x00\x00" + le(asked)) == b"\x6c" + le(len(DER))
    assert t0.transmit(b"\x00\xc0\x00\x00" + le(len(DER))) == DER + b"\x90\x00"
    assert card.count == 1


def test_refusals_and_data_without_response_come_at_once() -> None:
    t0, _ = wallet()
    assert t0.transmit(apdu("DERIVE_KEY", coin_type=ETHEREUM, algorithm=1)) == b"\x90\x00"
    assert t0.transmit(apdu("SIGN", coin_type=ETHEREUM, slot=9, digest=DIGEST)) == b"\x6a\x88"
    assert exchange(t0, "00C0000010") == (b"", 0x6985)
    assert t0.transmit(b"\x00") == b"\x67\x00"


def test_select_over_t0() -> None:
    t0, _ = wallet()
    name = b"\x6f\x12\x84\x10" + WALLET_AID
    assert t0.transmit(apdu("SELECT", method="DF_NAME", control=0, identifier=WALLET_AID)) == b"\x61\x14"
    assert t0.transmit(bytes.fromhex("00C0000014")) == name + b"\x90\x00"


# Case 2: 6Cxx, then the same command again.


@pytest.mark.parametrize("asked", [0, 3, 0x7F, 255])
def test_wrong_le_and_again(asked: int) -> None:
    t0, card = wallet()
    assert t0.transmit(bytes.fromhex("00CA0000") + le(asked)) == b"\x6c\x02"
    assert t0.transmit(bytes.fromhex("00CA000002")) == b"\x00\x51\x90\x00"
    assert card.count == 1


def test_the_right_le_at_once() -> None:
    t0, card = wallet()
    assert t0.transmit(bytes.fromhex("00CA000002")) == b"\x00\x51\x90\x00"
    assert card.count == 1


def test_a_challenge_is_not_made_twice() -> None:
    """Were the command carried out again after 6Cxx, the challenge told first would be void."""
    t0, card = wallet()
    assert t0.transmit(bytes.fromhex("0084000000")) == b"\x6c\x10"
    assert t0.transmit(bytes.fromhex("0084000011")) == b"\x6c\x10"
    first = t0.transmit(bytes.fromhex("0084000010"))
    assert card.count == 1
    assert t0.transmit(bytes.fromhex("0084000010")) != first
    assert card.count == 2


@pytest.mark.parametrize("keys", [0, 1, 3, 4, 7, 19])
def test_segments_over_t0(keys: int) -> None:
    """The last segment is told by 6Cxx, which must not cost it."""
    t0, card = wallet(keys)
    stream, sw, header = b"", b"\x63\x00", EXPORT
    while sw == b"\x63\x00":
        answer = t0.transmit(header + b"\0")
        if answer[-2] == 0x6C:
            answer = t0.transmit(header + answer[-1:])
        stream, sw, header = stream + answer[:-2], answer[-2:], NEXT
    assert sw == b"\x90\x00"
    assert len(stream) == 73 * keys
    assert card.count == max(1, -(-73 * keys // 256))
    assert stream[:73] == (record(ETHEREUM, 1) if keys else b"")


def test_a_command_of_four_bytes() -> None:
    t0, card = wallet()
    assert t0.transmit(bytes.fromhex("00CA0000")) == b"\x61\x02"
    assert t0.transmit(bytes.fromhex("00C0000002")) == b"\x00\x51\x90\x00"
    assert t0.transmit(apdu("VERIFY_BPIN")) == b"\x90\x00"
    assert card.count == 2


def test_a_client_that_asks_for_less_gets_the_rest_by_get_response() -> None:
    t0, card = wallet()
    name = b"\x84\x10" + WALLET_AID
    assert t0.transmit(bytes.fromhex("80F200017F")) == b"\x6c\x12"
    assert t0.transmit(bytes.fromhex("80F2000108")) == name[:8] + b"\x61\x0a"
    assert t0.transmit(bytes.fromhex("00C000000A")) == name[8:] + b"\x90\x00"
    assert card.count == 1


# What waits is dropped by anything else.


@pytest.mark.parametrize(
    "between", ["00CA000002", "80C8000001", "0070000001", "00C0000110", "00C00000", "80A80002050000003C01"]
)
def test_another_command_drops_what_waits(between: str) -> None:
    t0, _ = wallet()
    t0.transmit(SIGN)
    t0.transmit(bytes.fromhex(between))
    assert DER not in t0.transmit(b"\x00\xc0\x00\x00" + le(len(DER)))


def test_another_command_drops_what_6cxx_promised() -> None:
    t0, card = wallet()
    assert t0.transmit(bytes.fromhex("0084000000")) == b"\x6c\x10"
    assert t0.transmit(bytes.fromhex("00CA000002")) == b"\x00\x51\x90\x00"
    assert len(t0.transmit(bytes.fromhex("0084000010"))) == 18
    assert card.count == 3


def test_get_response_is_not_what_6cxx_promised() -> None:
    t0, _ = wallet()
    assert t0.transmit(bytes.fromhex("00CA000000")) == b"\x6c\x02"
    assert exchange(t0, "00C0000002") == (b"", 0x6985)


def test_a_longer_command_with_the_same_header_is_a_new_one() -> None:
    t0, card = wallet()
    assert t0.transmit(bytes.fromhex("00CA000000")) == b"\x6c\x02"
    assert exchange(t0, "00CA000001AA") == (b"", 0x6700)
    assert card.count == 2


def test_reset_drops_what_waits() -> None:
    t0, card = wallet()
    t0.transmit(SIGN)
    assert t0.reset() == card.reset()
    assert exchange(t0, "00C0000000") == (b"", 0x6985)


# Extended APDUs, which only clients send that do not speak T=0.


def test_an_extended_apdu_is_answered_whole() -> None:
    t0, card = wallet()
    data = SIGN[5:]
    raw = SIGN[:4] + b"\0" + len(data).to_bytes(2, "big") + data + b"\0\0"
    assert t0.transmit(raw) == DER + b"\x90\x00"
    assert t0.transmit(bytes.fromhex("00CA0000 000000")) == b"\x00\x51\x90\x00"
    assert card.count == 2


# Proactive commands.


def at_hand() -> tuple[T0, Judge]:
    card = by_hand()
    derive(card)
    return T0(card), card


def test_fetch_with_the_length_that_91xx_told() -> None:
    t0, card = at_hand()
    told = t0.transmit(bytes.fromhex("807C000000"))
    assert told[0] == 0x91
    answer = t0.transmit(bytes.fromhex("80120000") + told[1:])
    assert answer[-2:] == b"\x90\x00"
    assert len(answer) == told[1] + 2
    command = ProactiveCommand.parse(answer[:-2])
    assert respond(t0, command, BPIN) == b"\x90\x00"
    sign(card)


@pytest.mark.parametrize("asked", [0, 1, 255])
def test_fetch_with_another_length(asked: int) -> None:
    t0, card = at_hand()
    told = t0.transmit(bytes.fromhex("807C000000"))
    assert t0.transmit(bytes.fromhex("80120000") + le(asked)) == b"\x6c" + told[1:]
    answer = t0.transmit(bytes.fromhex("80120000") + told[1:])
    assert respond(t0, ProactiveCommand.parse(answer[:-2]), BPIN) == b"\x90\x00"
    sign(card)


def test_91xx_after_data() -> None:
    t0, card = at_hand()
    told = t0.transmit(bytes.fromhex("807C000000"))
    assert t0.transmit(bytes.fromhex("00CA000002")) == b"\x00\x51" + told
    assert t0.transmit(bytes.fromhex("00CA000000")) == b"\x6c\x02"
    assert t0.transmit(bytes.fromhex("00CA000002")) == b"\x00\x51" + told
    count = card.count
    select_raw = apdu("SELECT", method="DF_NAME", control=0, identifier=WALLET_AID)
    assert t0.transmit(select_raw) == b"\x61\x14"
    assert t0.transmit(bytes.fromhex("00C0000014"))[-2:] == told
    assert card.count == count + 1


def test_a_wallets_life_over_tpdus() -> None:
    """A client that speaks T=0 and nothing else: strips Le, follows 61xx, repeats on 6Cxx, fetches on 91xx."""
    card = by_hand(blank=True)
    t0 = T0(card)

    def talk(raw: bytes) -> bytes:
        answer, got = t0.transmit(raw), b""
        while True:
            got, sw = got + answer[:-2], answer[-2:]
            if sw[0] == 0x61:
                answer = t0.transmit(b"\x00\xc0\x00\x00" + sw[1:])
            elif sw[0] == 0x6C:
                answer = t0.transmit(raw[:4] + sw[1:])
            elif sw[0] == 0x91:
                asked = ProactiveCommand.parse(t0.transmit(bytes.fromhex("80120000") + sw[1:])[:-2])
                answer = respond(t0, asked, BPIN)
            else:
                return got + sw

    class Talking:
        def reset(self) -> bytes:
            return t0.reset()

        def transmit(self, command: bytes) -> bytes:
            return talk(command)

    client: Card = Talking()
    select(client)
    expect(client, "RESTORE_SEED", key2=KEY2, ciphertext=seal(ENTROPY, KEY2))
    derive(client, count=7)
    derive(client, SOLANA, ED25519)
    expect(client, "VERIFY_BPIN")
    assert sign(client) == DER
    stream, sw = exchange(client, EXPORT + b"\0")
    while sw == 0x6300:
        more, sw = exchange(client, NEXT + b"\0")
        stream += more
    assert stream == b"".join(record(ETHEREUM, slot) for slot in range(1, 8)) + record(SOLANA, 8, ED25519)
