"""The SIM toolkit by hand, with no phone: 91xx, FETCH, TERMINAL RESPONSE, and the BPIN dialogues on top of them."""

import pytest
from helpers import (
    BPIN,
    ETHEREUM,
    Judge,
    apdu,
    bare_card,
    by_hand,
    derive,
    enter,
    exchange,
    expect,
    fetch,
    open_channel,
    record,
    respond,
    select,
    send,
    sign,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from bsim.applets.proactive import (
    HIDDEN_INPUT,
    CommandType,
    ProactiveCommand,
    Result,
    TerminalResponse,
    decode_text,
    encode_text,
)
from bsim.applets.toolkit import Toolkit
from bsim.sw import SwError
from bsim.tlv import TlvError

DONE = b"\x90\x00"


def verify(card: Judge) -> bytes:
    return card.transmit(apdu("VERIFY_BPIN"))


def response_data(command: ProactiveCommand, result: int = 0, text: bytes | None = None) -> bytes:
    """A terminal response written by hand, with its text string as coded bytes."""
    body = b"\x81\x03" + bytes((command.number, command.type, command.qualifier)) + b"\x82\x02\x82\x81\x83\x01"
    body += bytes((result,))
    return body if text is None else body + b"\x8d" + bytes((len(text),)) + text


# Nothing before TERMINAL PROFILE.


def test_nothing_proactive_before_terminal_profile() -> None:
    card = bare_card()
    select(card)
    derive(card)
    for _ in range(2):
        expect(card, "VERIFY_BPIN", 0x6985)
        expect(card, "UPDATE_BPIN", 0x6985)
        expect(card, "FETCH", 0x6985, le=256)
        expect(card, "EXPORT_PUBKEYS", part="FIRST")
    expect(card, "TERMINAL_PROFILE", profile=b"\xff")
    assert verify(card)[0] == 0x91


def test_reset_forgets_the_terminal() -> None:
    card = by_hand()
    assert verify(card)[0] == 0x91
    card.reset()
    select(card)
    expect(card, "FETCH", 0x6985, le=256)
    expect(card, "VERIFY_BPIN", 0x6985)


# FETCH and TERMINAL RESPONSE.


def test_get_input_byte_by_byte() -> None:
    """ETSI TS 102 223 6.6.3: command details, device identities, text string, response length."""
    card = by_hand()
    response = verify(card)
    raw = expect(card, "FETCH", le=response[1])
    text = b"\x04Enter BPIN"
    body = (
        bytes.fromhex("810301230 4".replace(" ", "")) + bytes.fromhex("82028182") + b"\x8d" + bytes((len(text),)) + text
    )
    body += bytes.fromhex("91020606")
    assert raw == b"\xd0" + bytes((len(body),)) + body
    assert len(raw) == response[1]


def test_91xx_goes_on_until_the_command_is_fetched() -> None:
    card = by_hand()
    waiting = verify(card)
    assert waiting[0] == 0x91
    assert card.transmit(apdu("GET_VERSION")) == b"\x00\x51" + waiting
    assert card.transmit(apdu("DERIVE_KEY", coin_type=ETHEREUM, algorithm=1)) == waiting
    assert exchange(card, "80A8000205 0000003C 09") == (b"", 0x6A80), "refusals stay what they are"
    assert card.transmit(apdu("EXPORT_PUBKEYS", part="FIRST")) == record(ETHEREUM, 1) + waiting
    fetch(card, waiting)
    assert card.transmit(apdu("GET_VERSION")) == b"\x00\x51" + DONE


def test_6300_is_not_hidden_by_91xx() -> None:
    card = by_hand()
    derive(card, count=4)
    waiting = verify(card)
    assert send(card, "EXPORT_PUBKEYS", part="FIRST")[1] == 0x6300
    assert card.transmit(apdu("EXPORT_PUBKEYS", part="NEXT"))[-2:] == waiting


def test_fetch_with_too_short_an_le_loses_nothing() -> None:
    card = by_hand()
    length = verify(card)[1]
    for le in (1, length - 1):
        expect(card, "FETCH", 0x6C00 | length, le=le)
    first = expect(card, "FETCH", le=length)
    assert len(first) == length
    expect(card, "FETCH", 0x6985, le=length)


def test_a_response_to_what_was_not_fetched() -> None:
    card = by_hand()
    question = ProactiveCommand(CommandType.GET_INPUT, HIDDEN_INPUT, "Enter BPIN", 6, 6)
    assert respond(card, question, BPIN) == b"\x69\x85"
    response = verify(card)
    assert respond(card, question, BPIN) == b"\x69\x85", "not fetched yet"
    assert enter(card, response, BPIN) == DONE
    assert respond(card, question, BPIN) == b"\x69\x85", "answered already"


@pytest.mark.parametrize(("number", "kind"), [(2, 0x23), (0, 0x23), (1, 0x21), (1, 0x22)])
def test_a_response_to_another_command(number: int, kind: int) -> None:
    card = by_hand()
    derive(card)
    asked = fetch(card, verify(card))
    other = ProactiveCommand(kind, asked.qualifier, "", number=number)
    assert respond(card, other, BPIN) == b"\x6a\x80"
    sign(card, sw=0x6982)
    assert respond(card, asked, BPIN) == DONE, "the right one is still waited for"
    sign(card)


@pytest.mark.parametrize(
    "raw",
    [
        "00",
        "810301230 4",
        "8103012304 82028281",  # no result
        "8103012304 82028281 8300",  # an empty one
        "82028281 830100",  # no command details
        "81020123 82028281 830100",
        "8103012304 82028281 830100 8D",
        "8103012304 82028281 830100 8D0211",
        "8103012304 82028281 830100 8D0211 31",
        "8103012304 82028281 830100 8D020831",  # UCS2 with half a character
        "8103012304 82028281 830100 8D0308D800",  # half a pair of UCS2
        "8103012304 82028281 830100 8D02F431",  # a coding that is not known
    ],
)
def test_malformed_responses_cost_nothing(raw: str) -> None:
    card = by_hand()
    derive(card)
    asked = fetch(card, verify(card))
    expect(card, "TERMINAL_RESPONSE", 0x6A80, response=bytes.fromhex(raw.replace(" ", "")))
    assert respond(card, asked, BPIN) == DONE
    sign(card)


def test_numbers_go_round() -> None:
    """ETSI TS 102 223 8.6: command numbers are 01 to FE."""
    card = by_hand()
    numbers = []
    for _ in range(300):
        asked = fetch(card, verify(card))
        numbers.append(asked.number)
        assert respond(card, asked, result=Result.TERMINATED_BY_USER) == DONE
    assert numbers == [at % 254 + 1 for at in range(300)]


def test_an_answer_from_before_a_reset_is_none() -> None:
    card = by_hand()
    derive(card)
    stale = fetch(card, verify(card))
    card.reset()
    expect(card, "TERMINAL_PROFILE", profile=b"\xff")
    select(card)
    assert respond(card, stale, BPIN) == b"\x69\x85"
    asked = fetch(card, verify(card))
    assert asked.number != stale.number
    assert respond(card, stale, BPIN) == b"\x6a\x80"
    sign(card, sw=0x6982)
    assert respond(card, asked, BPIN) == DONE


def test_one_dialogue_at_a_time() -> None:
    toolkit = Toolkit()
    command = ProactiveCommand(CommandType.DISPLAY_TEXT, 0, "hello")
    with pytest.raises(SwError):
        toolkit.ask(command, lambda _: None)
    toolkit.terminal = True
    toolkit.ask(command, lambda _: None)
    assert toolkit.busy
    with pytest.raises(SwError):
        toolkit.ask(command, lambda _: None)


# VERIFY BPIN.


def test_wrong_entries_tell_the_tries_left() -> None:
    card = by_hand()
    derive(card)
    response = verify(card)
    asked = fetch(card, response)
    assert (asked.text, asked.minimum, asked.maximum, asked.hidden) == ("Enter BPIN", 6, 6, True)
    for left in (9, 8):
        asked = fetch(card, respond(card, asked, "000000"))
        assert asked.text == f"Wrong BPIN, {left} tries left. Enter BPIN"
        assert asked.hidden
        sign(card, sw=0x6982)
    assert respond(card, asked, BPIN) == DONE
    sign(card)


@pytest.mark.parametrize(
    "result",
    [
        Result.TERMINATED_BY_USER,
        Result.BACKWARD_MOVE,
        Result.NO_RESPONSE_FROM_USER,
        Result.TERMINAL_UNABLE,
        Result.BEYOND_CAPABILITIES,
    ],
)
def test_a_dialogue_that_ends_without_an_answer_costs_no_try(result: Result) -> None:
    card = by_hand()
    derive(card)
    for _ in range(12):
        assert respond(card, fetch(card, verify(card)), BPIN, result) == DONE
    sign(card, sw=0x6982)
    asked = fetch(card, verify(card))
    assert asked.text == "Enter BPIN"
    assert fetch(card, respond(card, asked, "000000")).text.startswith("Wrong BPIN, 9 ")


def test_performed_with_no_text_is_no_entry() -> None:
    card = by_hand()
    assert respond(card, fetch(card, verify(card))) == DONE
    asked = fetch(card, verify(card))
    assert fetch(card, respond(card, asked, "000000")).text.startswith("Wrong BPIN, 9 ")


@pytest.mark.parametrize("result", range(0x10))
def test_all_results_of_a_command_performed(result: int) -> None:
    card = by_hand()
    derive(card)
    assert respond(card, fetch(card, verify(card)), BPIN, result) == DONE
    sign(card)


def packed(digits: str) -> bytes:
    """3GPP TS 23.038 6.1.2.1, bit by bit."""
    bits = "".join(f"{ord(digit):07b}"[::-1] for digit in digits)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))


CODINGS = {"8-bit": b"\x04123456", "packed": b"\x00" + packed(BPIN), "UCS2": b"\x08" + BPIN.encode("utf-16-be")}


@pytest.mark.parametrize("coding", list(CODINGS))
def test_answers_in_every_coding(coding: str) -> None:
    card = by_hand()
    derive(card)
    asked = fetch(card, verify(card))
    data = response_data(asked, text=CODINGS[coding])
    assert card.transmit(apdu("TERMINAL_RESPONSE", response=data)) == DONE
    sign(card)


def test_packed_as_the_standard_has_it() -> None:
    """3GPP TS 23.038 6.1.2.1.1 packs 123456 into six bytes of which the last holds two bits of padding."""
    assert CODINGS["packed"].hex() == "0031d98c56b301"
    assert decode_text(CODINGS["packed"]) == BPIN


@pytest.mark.parametrize("text", [b"\x04", b"", b"\x0412345", b"\x041234567", b"\x04\xb2\xb2\xb2\xb2\xb2\xb2"])
def test_entries_that_are_no_bpin_cost_a_try(text: bytes) -> None:
    card = by_hand()
    asked = fetch(card, verify(card))
    response = card.transmit(apdu("TERMINAL_RESPONSE", response=response_data(asked, text=text)))
    assert fetch(card, response).text.startswith("Wrong BPIN, 9 ")


def test_full_width_digits_are_no_digits() -> None:
    card = by_hand()
    text = b"\x08" + "\uff11\uff12\uff13\uff14\uff15\uff16".encode("utf-16-be")
    asked = fetch(card, verify(card))
    response = card.transmit(apdu("TERMINAL_RESPONSE", response=response_data(asked, text=text)))
    assert fetch(card, response).text.startswith("Wrong BPIN")


def test_verify_on_a_second_channel_while_the_first_asks() -> None:
    card = by_hand()
    derive(card)
    open_channel(card, 1)
    select(card, on=1)
    asked = fetch(card, card.transmit(apdu("VERIFY_BPIN", on=1)))
    assert verify(card) == DONE, "no second dialogue"
    assert respond(card, asked, BPIN) == DONE
    sign(card, sw=0x6982)


# UPDATE BPIN.


def test_update_bpin() -> None:
    card = by_hand()
    derive(card)
    response = card.transmit(apdu("UPDATE_BPIN"))
    texts = []
    for typed in (BPIN, "654321", "654321"):
        asked = fetch(card, response)
        assert asked.hidden
        texts.append(asked.text)
        response = respond(card, asked, typed)
    told = fetch(card, response)
    assert (told.type, told.text) == (CommandType.DISPLAY_TEXT, "BPIN changed")
    assert texts == ["Enter BPIN", "Enter new BPIN", "Repeat new BPIN"]
    assert respond(card, told) == DONE
    sign(card, sw=0x6982)
    assert enter(card, verify(card), BPIN)[0] == 0x91
    expect(card, "SET_BPIN", 0x6985, bpin=b"111111")


def test_the_new_bpin_is_the_bpin() -> None:
    card = by_hand()
    derive(card)
    response = enter(card, card.transmit(apdu("UPDATE_BPIN")), BPIN, "654321", "654321", "")
    assert response == DONE
    assert enter(card, verify(card), "654321") == DONE
    sign(card)


@pytest.mark.parametrize(
    ("new", "again"),
    [("654321", "654322"), ("65432", "65432"), ("6543210", "6543210"), ("65432a", "65432a"), ("", "")],
)
def test_new_bpins_that_differ_or_are_none(new: str, again: str) -> None:
    card = by_hand()
    derive(card)
    response = enter(card, card.transmit(apdu("UPDATE_BPIN")), BPIN, new, again)
    told = fetch(card, response)
    assert told.text == "The BPINs differ. BPIN not changed"
    assert respond(card, told) == DONE
    assert enter(card, verify(card), BPIN) == DONE
    sign(card)


@pytest.mark.parametrize("step", [0, 1, 2])
def test_update_cancelled_changes_nothing(step: int) -> None:
    card = by_hand()
    response = enter(card, card.transmit(apdu("UPDATE_BPIN")), *[BPIN, "654321"][:step])
    assert respond(card, fetch(card, response), result=Result.TERMINATED_BY_USER) == DONE
    assert enter(card, verify(card), BPIN) == DONE


def test_update_counts_tries_as_verify_does() -> None:
    card = by_hand()
    response = enter(card, card.transmit(apdu("UPDATE_BPIN")), "000000")
    asked = fetch(card, response)
    assert asked.text == "Wrong BPIN, 9 tries left. Enter BPIN"
    response = enter(card, respond(card, asked, "000000"), *["000000"] * 8)
    assert fetch(card, response).text == "BPIN blocked"


def test_update_twice_is_one_dialogue_and_verify_then_waits_its_turn() -> None:
    card = by_hand()
    derive(card)
    asked = fetch(card, card.transmit(apdu("UPDATE_BPIN")))
    assert card.transmit(apdu("UPDATE_BPIN")) == DONE
    assert verify(card) == DONE
    asked = fetch(card, respond(card, asked, BPIN))
    assert asked.text == "Enter new BPIN"
    sign(card, sw=0x6982)


def test_update_while_verify_asks_is_refused() -> None:
    card = by_hand()
    asked = fetch(card, verify(card))
    expect(card, "UPDATE_BPIN", 0x6985)
    assert respond(card, asked, BPIN) == DONE


# The bytes of dialogues.


texts = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=40)


@settings(deadline=None, derandomize=True)
@given(
    st.sampled_from(list(CommandType)),
    st.integers(0, 255),
    texts,
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(1, 254),
)
def test_proactive_commands_there_and_back(
    kind: CommandType, qualifier: int, text: str, least: int, most: int, number: int
) -> None:
    if kind is CommandType.GET_INPUT:
        command = ProactiveCommand(kind, qualifier, text, least, most, number)
    else:
        command = ProactiveCommand(kind, qualifier, text, 0, 255, number)
    assert ProactiveCommand.parse(command.encode()) == command


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), st.none() | texts)
def test_terminal_responses_there_and_back(
    number: int, kind: int, qualifier: int, result: int, text: str | None
) -> None:
    response = TerminalResponse(number, kind, qualifier, result, text)
    assert TerminalResponse.parse(response.encode()) == response
    assert "text" not in repr(response)


@settings(deadline=None, derandomize=True)
@given(texts)
def test_texts_there_and_back(text: str) -> None:
    assert decode_text(encode_text(text)) == text


def test_texts_are_short_where_they_can_be() -> None:
    assert encode_text("Wrong BPIN") == b"\x04Wrong BPIN"
    assert encode_text("\u94b1") == b"\x08\x94\xb1"
    assert encode_text("@") == b"\x08\x00@", "not the same in the GSM alphabet"
    assert decode_text(b"") == ""


def test_yes_and_no_are_one_byte() -> None:
    """ETSI TS 102 223 6.8: GET INKEY answers yes with 01 and no with 00."""
    for text, coded in (("\1", b"\x8d\x02\x04\x01"), ("\0", b"\x8d\x02\x04\x00")):
        response = TerminalResponse(1, CommandType.GET_INKEY, 4, 0, text)
        assert response.encode().endswith(coded)
        assert TerminalResponse.parse(response.encode()).text == text


@pytest.mark.parametrize(
    "raw", ["", "00", "D000", "D10A" + "00" * 10, "D0058103012304D000", "D00581030123", "D0048102 0123"]
)
def test_what_is_no_proactive_command(raw: str) -> None:
    with pytest.raises(TlvError):
        ProactiveCommand.parse(bytes.fromhex(raw.replace(" ", "")))
