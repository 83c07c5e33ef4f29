"""Confirmations: what the phone shows of a payload, page by page, and that only a yes to all of it signs."""

import pytest
from helpers import (
    BPIN,
    COMMANDS,
    apdu,
    by_hand,
    derive,
    enter,
    exchange,
    expect,
    export,
    fetch,
    new_card,
    open_channel,
    respond,
    select,
    verified_card,
)
from hypothesis import given
from hypothesis import strategies as st

from bsim.applets.confirm import MOST, page, paginate
from bsim.applets.proactive import CommandType, ProactiveCommand, Result, encode_text
from bsim.applets.wallet_session import WalletRules
from bsim.profiles import PROFILES, Profile

# The example of EIP-155: its unsigned transaction, and the hash the EIP prints.
UNSIGNED = bytes.fromhex("ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080")
DIGEST = bytes.fromhex("daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53")
TRANSACTION = apdu("SIGN_TRANSACTION", slot=1, family=1, payload=UNSIGNED)


def asking(**options):
    """A card with a key and its BPIN verified, and no phone: the test is the terminal."""
    card = by_hand(**options)
    derive(card)
    enter(card, card.transmit(apdu("VERIFY_BPIN")), BPIN)
    return card


def read_pages(card, response):
    """Answer every page until the question: the texts, and the question."""
    shown = []
    while True:
        command = fetch(card, response)
        shown.append(command.text)
        if command.type == CommandType.GET_INKEY:
            return shown, command
        assert command.type == CommandType.DISPLAY_TEXT
        response = respond(card, command)


def result(card, on=0):
    return exchange(card, apdu("GET_RESULT", on=on))


def test_the_summary_is_shown_and_signed_on_yes():
    card = asking()
    before = export(card)
    shown, question = read_pages(card, card.transmit(TRANSACTION))
    assert "Send 1 ETH" in shown[0]
    assert "0x3535353535353535353535353535353535353535" in "".join(shown)
    assert "slot 1" in shown[-1]
    assert result(card) == (b"", 0x6982)
    assert respond(card, question, "\1") == b"\x90\0"
    data, sw = result(card)
    assert (sw, data[:34]) == (0x9000, b"\x80\x20" + DIGEST)
    assert result(card) == (data, 0x9000), "asking twice is the same as asking once"
    assert export(card) == before


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("\0", Result.PERFORMED),
        (None, Result.PERFORMED),
        ("1", Result.PERFORMED),
        ("\1\1", Result.PERFORMED),
        ("yes", Result.PERFORMED),
        ("\1", Result.TERMINATED_BY_USER),
        ("\1", Result.NO_RESPONSE_FROM_USER),
        ("\1", Result.TERMINAL_UNABLE),
        ("\1", Result.BEYOND_CAPABILITIES),
        (None, Result.NO_RESPONSE_FROM_USER),
    ],
)
def test_whatever_is_not_a_yes_is_a_no(text, code):
    card = asking()
    _, question = read_pages(card, card.transmit(TRANSACTION))
    assert respond(card, question, text, code) == b"\x90\0"
    assert result(card) == (b"", 0x6985)
    assert card.transmit(apdu("GET_STATUS"))[8:10] == b"\x01\0", "verified, and no dialogue"


@pytest.mark.parametrize("code", [Result.TERMINATED_BY_USER, Result.NO_RESPONSE_FROM_USER, Result.TERMINAL_UNABLE])
def test_a_page_that_was_not_seen_ends_it(code):
    card = asking()
    first = fetch(card, card.transmit(TRANSACTION))
    assert respond(card, first, result=code) == b"\x90\0"
    assert result(card) == (b"", 0x6985)


def test_the_user_goes_back_a_page():
    card = asking()
    first = fetch(card, card.transmit(TRANSACTION))
    second = fetch(card, respond(card, first))
    again = fetch(card, respond(card, second, result=Result.BACKWARD_MOVE))
    assert again.text == first.text
    assert fetch(card, respond(card, again, result=Result.BACKWARD_MOVE)).text == first.text
    assert result(card) == (b"", 0x6982)


def stages():
    """How far the user may have come: nothing fetched, each page on the screen, the question on the screen."""
    return range(3)


def come_to(card, stage):
    response = card.transmit(TRANSACTION)
    command = None
    for _ in range(stage):
        command = fetch(card, response)
        if command.type == CommandType.GET_INKEY:
            break
        response = respond(card, command)
    return command


@pytest.mark.parametrize("stage", stages())
def test_pulling_the_card_leaves_nothing(stage):
    card = asking()
    before = export(card)
    come_to(card, stage)
    card.reset()
    select(card)
    assert result(card) == (b"", 0x6985)
    assert export(card) == before
    assert card.transmit(apdu("GET_STATUS"))[8:10] == b"\0\0"


@pytest.mark.parametrize("stage", stages())
def test_closing_the_channel_leaves_nothing(stage):
    card = by_hand()
    derive(card)
    open_channel(card, 1)
    select(card, on=1)
    enter(card, card.transmit(apdu("VERIFY_BPIN", on=1)), BPIN)
    response = card.transmit(apdu("SIGN_TRANSACTION", on=1, slot=1, family=1, payload=UNSIGNED))
    command = fetch(card, response)
    for _ in range(stage - 1):
        command = fetch(card, respond(card, command))
    expect(card, "MANAGE_CHANNEL", operation="CLOSE", channel=1)
    assert respond(card, command, "\1" if command.type == CommandType.GET_INKEY else None) == b"\x90\0"
    open_channel(card, 1)
    select(card, on=1)
    for channel in (0, 1):
        assert result(card, on=channel) == (b"", 0x6985)


def test_one_dialogue_at_a_time():
    card = asking()
    open_channel(card, 1)
    select(card, on=1)
    _, question = read_pages(card, card.transmit(TRANSACTION))
    assert exchange(card, TRANSACTION) == (b"", 0x6985)
    assert exchange(card, apdu("SIGN_TRANSACTION", on=1, slot=1, family=1, payload=UNSIGNED)) == (b"", 0x6982)
    assert result(card, on=1) == (b"", 0x6985)
    assert result(card) == (b"", 0x6982)
    respond(card, question, "\1")
    assert result(card)[1] == 0x9000
    assert result(card, on=1) == (b"", 0x6985), "a result is of its channel"


def test_a_new_payload_forgets_the_old_result():
    card = asking()
    _, question = read_pages(card, card.transmit(TRANSACTION))
    respond(card, question, "\1")
    assert result(card)[1] == 0x9000
    _, question = read_pages(card, card.transmit(TRANSACTION))
    assert result(card) == (b"", 0x6982)
    respond(card, question, "\0")
    assert result(card) == (b"", 0x6985)


def test_no_terminal_no_question():
    card = verified_card()
    derive(card)
    bare = card.card
    bare.reset()
    select(bare)
    assert exchange(bare, TRANSACTION) == (b"", 0x6982)


def test_what_was_granted_must_still_be_granted():
    """Another channel blocks the BPIN, or gives the card another seed, while the question is on the screen."""
    card = asking()
    open_channel(card, 1)
    select(card, on=1)
    _, question = read_pages(card, card.transmit(TRANSACTION))
    backup = COMMANDS["RESTORE_SEED"].examples[0].command
    assert exchange(card, backup)[1] == 0x9000
    derive(card, 503)
    respond(card, question, "\1")
    assert result(card) == (b"", 0x6985), "slot 1 is another key by now"


def test_one_signature_for_one_bpin(monkeypatch):
    profile = Profile("once", "the BPIN for each signature", rules=WalletRules(verified_for_one_signature=True))
    monkeypatch.setitem(PROFILES, "once", profile)
    card = new_card(profile="once")
    derive(card)
    for sw in (0x9000, 0x6982):
        if sw == 0x9000:
            expect(card, "VERIFY_BPIN")
        expect(card, "SIGN_TRANSACTION", sw, slot=1, family=1, payload=UNSIGNED)
    assert result(card)[1] == 0x9000


@pytest.mark.parametrize(
    ("script", "sw"),
    [
        ("right", 0x9000),
        ("right,yes", 0x9000),
        ("yes", 0x9000),
        ("no", 0x6985),
        ("deny", 0x6985),
        ("right,wrong", 0x6985),
        ("right,cancel", 0x6985),
        ("right,silent@0s", 0x6985),
        ("right,silent", 0x6982),
        ("right,123456", 0x6985),
    ],
)
def test_scripted_users_decide(script, sw):
    card = new_card(script)
    derive(card)
    expect(card, "VERIFY_BPIN")
    expect(card, "SIGN_TRANSACTION", slot=1, family=1, payload=UNSIGNED)
    assert result(card)[1] == sw


@pytest.mark.parametrize(
    ("values", "sw"),
    [
        ({"slot": 0}, 0x6A88),
        ({"slot": 3}, 0x6A88),
        ({"slot": 255}, 0x6A88),
        ({"slot": 2}, 0x6A80),  # an Ed25519 key
        ({"family": 0}, 0x6A80),
        ({"family": 0x7F}, 0x6A80),
        ({"payload": UNSIGNED[:-1]}, 0x6A80),
        ({"payload": UNSIGNED + b"\0"}, 0x6A80),
    ],
)
def test_what_cannot_be_signed_is_not_asked_about(values, sw):
    card = asking()
    derive(card, 501, 2)
    expect(card, "SIGN_TRANSACTION", sw, **{"slot": 1, "family": 1, "payload": UNSIGNED, **values})
    assert result(card) == (b"", 0x6985)
    assert card.transmit(apdu("GET_STATUS"))[9] == 0


# Pages.


def unspaced(text: str) -> str:
    """A text without breaks and spaces: pages add both where they cut a line."""
    return text.replace("\n", "").replace(" ", "")


@given(st.text(max_size=2000))
def test_pages_hold_all_of_a_text_and_each_fits(text):
    told = page("Title", [("Text", text)])
    pages = list(paginate(told))
    assert unspaced("".join(pages)) == unspaced(told)
    for one in pages:
        assert len(encode_text(one)) <= MOST
        command = ProactiveCommand(CommandType.DISPLAY_TEXT, 0x81, one).encode()
        assert len(command) <= 255
        assert ProactiveCommand.parse(command).text == one


def test_short_texts_stay_whole_and_lines_do_not_break():
    assert list(paginate("short")) == ["short"]
    lines = "\n".join(f"Line {number}: {'x' * 60}" for number in range(10))
    pages = list(paginate(lines))
    assert len(pages) > 1
    assert "\n".join(pages) == lines


@given(st.text(max_size=1000), st.integers(0, 1000))
def test_no_page_begins_with_a_line_that_a_text_made_up(text, at):
    told = page("Title", [("Text", f"{text[:at]}Amount: 0 ETH{text[at:]}"), ("Amount", "5 ETH")])
    lines = [line for one in paginate(told) for line in one.split("\n")]
    assert [line for line in lines if not line.startswith("  ")] == ["Title", lines[1], "Amount: 5 ETH"]
    assert lines[1].startswith("Text: ")


def test_what_no_font_draws_is_written_as_its_number():
    blank = "\u034f\u115f\u1160\u17b4\u180b\u2800\u3164\ufe0f\uffa0\U000e0100"  # letters, marks and a symbol
    spaces = "\u00a0\u2003\u3000"
    told = page("Title", [("To", f"Ali{blank}ce{spaces}Bob Smith")])
    numbers = "".join(f"<{ord(one):X}>" for one in blank)
    assert told == f"Title\nTo: Ali{numbers}ce<A0><2003><3000>Bob Smith"


def test_nothing_that_cannot_be_seen_hides_or_imitates():
    told = page("Send\u202e1 ETH", [("To", "0x1\nAmount: 5 ETH"), ("Text", "a\u200bb\x07c\ud800d\u2028e")])
    assert told == "Send<202E>1 ETH\nTo: 0x1\n  Amount: 5 ETH\nText: a<200B>b<7>c<D800>d<2028>e"
