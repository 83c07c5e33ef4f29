"""Android's Open Mobile API where a card, or an app, does what it should not."""

from collections.abc import Callable

import pytest
from helpers import ISSUER_AID, WALLET_AID, bare_card

from bsim.links.omapi import Kind, OmapiError, OnChannel, Session


class Answering:
    """A card that answers each instruction as it is told; itself a card."""

    def __init__(self, answers: dict[int, str]) -> None:
        self.answers = answers
        self.seen: list[bytes] = []

    def reset(self) -> bytes:
        return b"\x3b\x00"

    def transmit(self, command: bytes) -> bytes:
        self.seen.append(command)
        return bytes.fromhex(self.answers[command[1]])


def thrown(call: Callable[[], object]) -> Kind:
    with pytest.raises(OmapiError) as error:
        call()
    return error.value.kind


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ({0x70: "6D00"}, Kind.IO),
        ({0x70: "9000"}, Kind.IO),  # no channel number
        ({0x70: "019000", 0xA4: "6A86"}, Kind.UNSUPPORTED),
        ({0x70: "019000", 0xA4: "6F00"}, Kind.IO),
        ({0x70: "019000", 0xA4: "6999"}, Kind.NO_SUCH_ELEMENT),
    ],
    ids=str,
)
def test_what_a_card_answers_is_what_android_throws(answers: dict[int, str], kind: Kind) -> None:
    card = Answering(answers)
    assert thrown(lambda: Session(card).open_logical_channel(WALLET_AID)) is kind
    if 0xA4 in answers:
        assert card.seen[-1][:4] == bytes.fromhex("01708001"), "the channel is closed again"


@pytest.mark.parametrize("answer", ["6881", "6A81"])
def test_no_channel_left_is_null(answer: str) -> None:
    assert Session(Answering({0x70: answer})).open_logical_channel(WALLET_AID) is None


def test_a_warning_at_select_opens_the_channel() -> None:
    channel = Session(Answering({0x70: "029000", 0xA4: "6283"})).open_logical_channel(WALLET_AID)
    assert channel is not None
    assert (channel.number, channel.select_response) == (2, b"\x62\x83")


def test_what_is_closed_stays_closed() -> None:
    session = Session(bare_card())
    channel = session.open_logical_channel(WALLET_AID)
    assert channel is not None
    channel.close()
    channel.close()
    assert thrown(lambda: channel.transmit(b"\x00\xca\x00\x00\x02")) is Kind.ILLEGAL_STATE
    assert thrown(channel.select_next) is Kind.ILLEGAL_STATE
    session.close()
    assert thrown(session.open_basic_channel) is Kind.ILLEGAL_STATE
    assert thrown(lambda: session.open_logical_channel(None)) is Kind.ILLEGAL_STATE


def test_next_is_of_what_was_selected() -> None:
    session = Session(bare_card())
    bare = session.open_logical_channel(None)
    assert bare is not None
    assert bare.select_response is None
    assert thrown(bare.select_next) is Kind.UNSUPPORTED
    both = session.open_logical_channel(WALLET_AID[:5])  # the issuer's RID: the first of its applications
    assert both is not None
    assert both.select_next() is False


def test_a_channel_puts_itself_into_the_class() -> None:
    card = Answering({0xCA: "9000"})
    for number, classes in ((3, "03 83 8F 93"), (5, "41 C1 CF D1")):
        wire = OnChannel(card.transmit, number)
        for cla in bytes.fromhex("00 80 8C 90"):
            wire.transmit(bytes((cla, 0xCA, 0, 0, 2)))
        found = bytes(command[0] for command in card.seen[-4:])
        assert found.hex(" ").upper()[:5] == classes[:5]
        assert thrown(wire.reset) is Kind.UNSUPPORTED


def test_refused_applications_are_not_even_selected() -> None:
    card = Answering({})
    assert thrown(lambda: Session(card, refused=[ISSUER_AID]).open_logical_channel(ISSUER_AID)) is Kind.SECURITY
    assert card.seen == []
