"""Replays: the same client gets the same answers; another one is told where it went astray."""

import pytest
from helpers import BPIN, cmac, new_card, select
from test_record import recorded, wallet_session

import bsim
from bsim.lab.record import Recorder, TraceWriter
from bsim.lab.replay import ReplayCard, ReplayError
from bsim.lab.targets import TargetError, comes_bare, open_target, profile_name
from bsim.lab.trace import read
from bsim.ports import CardMute, CardRemoved

VERSION = bytes.fromhex("00CA000002")
CHALLENGE = bytes.fromhex("0084000010")
STATUS = bytes.fromhex("80F2000000")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.bsimtrace"


def record(path, *commands):
    """Record these commands on the test card; None is a reset."""
    card = Recorder(new_card(), path)
    for command in commands:
        card.reset() if command is None else card.transmit(command)
    card.close()


@pytest.mark.parametrize("tolerant", [False, True])
@pytest.mark.parametrize("redact", [False, True])
def test_a_replay_satisfies_the_same_client(path, tolerant, redact):
    card = recorded(path, redact_ciphertext=redact)
    seen = wallet_session(card)
    card.close()
    replay = ReplayCard(path, tolerant=tolerant)
    again = wallet_session(replay)
    if redact:
        assert again[-2] == bytes(len(seen[-2]))
        seen[-2] = again[-2]
    assert again == seen
    assert replay.left == 0
    assert replay.trace == read(path)


def test_a_redacted_value_may_be_any_of_its_length(path):
    record(path, bytes.fromhex("807A000006363534333231"))
    card = ReplayCard(path)
    assert card.transmit(bytes.fromhex("807A000006313131313131")) == b"\x90\0"
    with pytest.raises(ReplayError):
        ReplayCard(path).transmit(bytes.fromhex("807A00000531313131 31"))
    # Tolerant ones match the field, whatever its length.
    export = bytes.fromhex("80740001085061737377307264")
    record(path, export)
    tolerant = ReplayCard(path, tolerant=True)
    assert tolerant.transmit(bytes.fromhex("807400010470617373")) == new_card().transmit(export)


def test_strict_is_strict(path):
    record(path, VERSION, STATUS)
    card = ReplayCard(path)
    with pytest.raises(
        ReplayError, match=r"run\.bsimtrace:2 has GET_VERSION 00CA000002; the app sent 80F2000000"
    ) as told:
        card.transmit(STATUS)
    assert told.value.line == 2
    assert card.transmit(VERSION)[-2:] == b"\x90\0"  # a wrong command does not use the right one up
    with pytest.raises(ReplayError, match="a reset, where"):
        card.reset()
    card.transmit(STATUS)
    with pytest.raises(ReplayError, match="at its end"):
        card.transmit(STATUS)
    # A reset at the end begins it anew.
    card.reset()
    assert card.left == 2
    card.transmit(VERSION)


def test_what_an_app_sends_wrong_is_told_without_its_secret(path):
    record(path, VERSION)
    for tolerant in (False, True):
        with pytest.raises(ReplayError) as told:
            ReplayCard(path, tolerant=tolerant).transmit(bytes.fromhex("807A000006") + BPIN.encode())
        assert BPIN.encode().hex() not in str(told.value)


def test_resets_in_a_row_are_one(path):
    record(path, None, None, VERSION, None, STATUS)
    card = ReplayCard(path)
    atr = new_card().reset()
    assert [card.reset(), card.reset(), card.reset()] == [atr] * 3
    card.transmit(VERSION)
    with pytest.raises(ReplayError, match="has a reset"):
        card.transmit(STATUS)
    assert card.reset() == card.reset() == atr
    card.transmit(STATUS)
    powered = ReplayCard(path)  # a client that does not begin with a reset
    assert powered.transmit(VERSION)
    assert powered.reset() == atr


def test_tolerant_answers_in_any_order_and_again(path):
    sign = bytes.fromhex("80AC0000250000003C01") + bytes(32)
    derive, verify = bytes.fromhex("80A80002050000003C01"), bytes.fromhex("807C000000")
    record(path, derive, sign, verify, sign, VERSION)
    card = ReplayCard(path, tolerant=True)
    assert card.transmit(VERSION)[-2:] == b"\x90\0"
    assert card.left == 4
    answers = [card.transmit(sign)[-2:].hex() for _ in range(3)]
    assert answers == ["6982", "9000", "9000"]
    assert card.left == 2
    card.reset()
    card.transmit(derive)
    card.transmit(verify)
    assert card.left == 0
    with pytest.raises(ReplayError, match="no answer to SIGN"):
        card.transmit(sign[:-1] + b"\1")


def test_challenges_match_by_shape(path):
    card = Recorder(new_card(), path)
    challenge = card.transmit(CHALLENGE)[:-2]
    opening = bytes.fromhex("0082000010")
    assert card.transmit(opening + cmac(challenge)) == b"\x90\0"
    card.close()
    tolerant = ReplayCard(path, tolerant=True)
    assert tolerant.transmit(opening + bytes(16)) == b"\x90\0"
    assert tolerant.transmit(CHALLENGE)[:-2] == challenge
    # The cryptogram is redacted, and so any fits without being told; in order, too.
    assert ReplayCard(path, tolerant=True, nonces=()).transmit(opening + bytes(16)) == b"\x90\0"
    strict = ReplayCard(path)
    assert [strict.transmit(CHALLENGE)[:-2], strict.transmit(opening + bytes(16))] == [challenge, b"\x90\0"]


def test_a_field_may_have_any_value_on_request(path):
    with Recorder(new_card(), path) as card:
        answer = card.transmit(bytes.fromhex("80A80002050000003C01"))
    other = bytes.fromhex("80A8000205000001F501")
    assert ReplayCard(path, tolerant=True, nonces={"coin_type"}).transmit(other) == answer
    with pytest.raises(ReplayError):
        ReplayCard(path, tolerant=True).transmit(other)


def test_lost_cards_are_lost_again(path):
    class Lost:
        def __init__(self, loss):
            self.loss = loss

        def transmit(self, command):
            raise self.loss("gone")

    writer = TraceWriter(path)
    for loss in (CardRemoved, CardMute):
        with pytest.raises(loss):
            Recorder(Lost(loss), writer).transmit(VERSION)
    writer.close()
    card = ReplayCard(path)
    for loss in (CardRemoved, CardMute):
        with pytest.raises(loss, match="lost here"):
            card.transmit(VERSION)


def test_for_links_it_answers_6f00_and_logs(path, caplog):
    record(path, VERSION)
    card = ReplayCard(path, refuse=True)
    assert card.transmit(STATUS) == b"\x6f\0"
    assert card.transmit(VERSION)[-2:] == b"\x90\0"
    assert card.transmit(VERSION) == b"\x6f\0"
    assert card.refused == 2
    assert "run.bsimtrace:2 has GET_VERSION" in caplog.text


def test_it_is_a_target(path):
    record(path, VERSION, STATUS)
    for target in (f"replay:{path}", f"replay:tolerant:{path}"):
        assert comes_bare(target)
        assert profile_name(target) is None
        card = open_target(target)
        assert card.transmit(VERSION)[-2:] == b"\x90\0"
        card.close()
        assert bsim.open_card(target).transmit(VERSION)[-2:] == b"\x90\0"
    with pytest.raises(TargetError, match="No such file"):
        open_target("replay:none.bsimtrace")


def test_commands_that_are_none_replay_too(path):
    record(path, b"\x00", bytes.fromhex("B03C010000"))
    for tolerant in (False, True):
        card = ReplayCard(path, tolerant=tolerant)
        assert card.transmit(b"\x00") == b"\x67\0"
        assert card.transmit(bytes.fromhex("B03C010000"))[-2] in {0x6D, 0x6E}


def test_selection_is_followed(path):
    card = Recorder(new_card(), path)
    select(card)
    card.transmit(VERSION)
    card.close()
    tolerant = ReplayCard(path, tolerant=True)
    select(tolerant)
    assert tolerant.transmit(VERSION) == bytes.fromhex("00519000")
