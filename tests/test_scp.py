"""SCP02 and SCP03 by recorded sessions of real cards: every byte of theirs from ours, and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors import load

from bsim.apdu import CommandApdu
from bsim.crypto.scp import Channel, Keys, WrongMacError
from bsim.crypto.scp.command import pad, unpad
from bsim.crypto.scp.scp02 import Scp02
from bsim.crypto.scp.scp03 import Scp03, card_challenge
from bsim.sw import SwError

SESSIONS = load("scp_sessions")
# The recorded SCP03 sessions are with the root domain of an eUICC: SGP.22 2.4.1.
ISD_R = bytes.fromhex("A0000005591010FFFFFFFF8900000100")


def channel(session: dict[str, Any], kind: type[Scp02] | type[Scp03]) -> Channel:
    """The channel of a recorded session: what the card answered to INITIALIZE UPDATE is what ours does."""
    keys = Keys(*map(bytes.fromhex, session["keys"]))
    host = bytes.fromhex(session["host_challenge"])
    answer = bytes.fromhex(session["initialize_update"])[12 if kind is Scp02 else 13 :]
    # The card that spoke SCP02 drew its challenge; the one that spoke SCP03 computed it.
    ours = answer[2:8] if kind is Scp02 else card_challenge(keys, session["counter"], ISD_R, 8)
    one = kind(keys, session["counter"], host, ours)
    assert one.answer == answer
    return one


def authenticate(session: dict[str, Any], kind: type[Scp02] | type[Scp03]) -> Channel:
    one = channel(session, kind)
    raw = bytes.fromhex(session["external_authenticate"])
    assert one.authenticate(raw[2], raw[5:])
    assert one.level == raw[2]
    return one


def test_scp02_session_of_a_card() -> None:
    session = SESSIONS["scp02"]
    one = authenticate(session, Scp02)
    for plain, secured in session["commands"]:
        assert one.secured(bytes.fromhex(plain)).hex() == secured.lower()
        assert one.unwrap(bytes.fromhex(secured)).hex() == plain.lower()
    assert one.wrap(b"\x01\x90\x00") == b"\x01\x90\x00"


@pytest.mark.parametrize("session", SESSIONS["scp03"], ids=lambda session: session["name"])
def test_scp03_session_of_a_card(session: dict[str, Any]) -> None:
    one = authenticate(session, Scp03)
    for number, (plain, secured) in enumerate(session["commands"]):
        assert one.secured(bytes.fromhex(plain)).hex() == secured.lower()
        assert one.unwrap(bytes.fromhex(secured)).hex() == plain.lower()
        if number == 0:
            answered, protected = map(bytes.fromhex, session["response"])
            assert one.wrap(answered + b"\x90\x00") == protected + b"\x90\x00"
            assert one.opened(protected + b"\x90\x00") == answered + b"\x90\x00"


@pytest.mark.parametrize("number", range(len(SESSIONS["scp03"])))
def test_any_flipped_bit_is_seen(number: int) -> None:
    session = SESSIONS["scp03"][number]
    secured = bytes.fromhex(session["commands"][0][1])
    end = len(secured) - 1  # Le is not under the MAC
    for bit in range(8, end * 8):  # nor is the class as a whole: its channel is not
        flipped = bytearray(secured)
        flipped[bit // 8] ^= 0x80 >> bit % 8
        with pytest.raises((WrongMacError, SwError)):
            authenticate(session, Scp03).unwrap(bytes(flipped))


def test_any_flipped_bit_is_seen_in_scp02() -> None:
    session = SESSIONS["scp02"]
    secured = bytes.fromhex(session["commands"][0][1])
    for bit in range(8, len(secured) * 8):
        flipped = bytearray(secured)
        flipped[bit // 8] ^= 0x80 >> bit % 8
        with pytest.raises((WrongMacError, SwError)):
            authenticate(session, Scp02).unwrap(bytes(flipped))


def test_a_wrong_host_cryptogram_or_mac_opens_nothing() -> None:
    for kind, session in ((Scp02, SESSIONS["scp02"]), *((Scp03, one) for one in SESSIONS["scp03"])):
        raw = bytes.fromhex(session["external_authenticate"])
        for at in range(5, len(raw)):
            wrong = bytearray(raw)
            wrong[at] ^= 1
            one = channel(session, kind)
            assert not one.authenticate(raw[2], bytes(wrong[5:]))
            assert one.level == 0


def test_an_error_is_answered_as_it_is() -> None:
    one = authenticate(SESSIONS["scp03"][2], Scp03)
    one.unwrap(bytes.fromhex(SESSIONS["scp03"][2]["commands"][0][1]))
    assert one.wrap(b"\x6a\x88") == b"\x6a\x88"
    assert one.wrap(b"\x63\x10")[-2:] == b"\x63\x10"
    assert len(one.wrap(b"\x63\x10")) == 10


@given(st.binary(max_size=64), st.sampled_from([8, 16]))
def test_padding(data: bytes, block: int) -> None:
    padded = pad(data, block)
    assert len(padded) % block == 0
    assert len(data) < len(padded) <= len(data) + block
    assert unpad(padded) == data


@pytest.mark.parametrize("wrong", [bytes(16), b"", b"\x80\x01".rjust(16, b"\0")])
def test_wrong_padding(wrong: bytes) -> None:
    with pytest.raises(WrongMacError):
        unpad(wrong)


@pytest.mark.parametrize("kind", [Scp02, Scp03])
@pytest.mark.parametrize("level", [1, 3])
@pytest.mark.parametrize(
    "plain",
    [
        "80CA0042",
        "80CA004200",
        "80CA0042000000",
        "80E29000 02 4200 00",
        "80E29000 0000FF" + "5A" * 255 + "0100",
        "80E29000 FF" + "5A" * 255 + "00",
        "80E29000 F0" + "5A" * 240,
        "C5E29000 02 4200",
    ],
)
def test_what_a_host_secures_is_what_the_card_finds(kind: type[Scp02] | type[Scp03], level: int, plain: str) -> None:
    keys = Keys(*(bytes(range(16)),) * 3)
    one = kind(keys, 1, bytes(8), bytes(6 if kind is Scp02 else 8))
    assert one.authenticate(level, one.proof(level))
    apdu = CommandApdu.parse(bytes.fromhex(plain))
    for _ in range(2):  # the chain of MACs goes on
        assert CommandApdu.parse(one.unwrap(one.secured(bytes.fromhex(plain)))) == apdu
    with pytest.raises(SwError):
        one.secured(b"\x80\xe2\x90\0\0\xff\xff" + bytes(0xFFFF))
