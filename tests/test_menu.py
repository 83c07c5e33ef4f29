"""The wallet's menu on a phone without any app; and that whoever knows nothing of it never meets it."""

import pytest
from helpers import (
    BPIN,
    CONFLUX,
    ETHEREUM,
    SOLANA,
    Judge,
    apdu,
    bare_card,
    by_hand,
    derive,
    enter,
    exchange,
    expect,
    fetch,
    respond,
    select,
    sign,
)

from bsim.applets.proactive import CommandType, ProactiveCommand, Result, TerminalResponse, shows_menus
from bsim.chains.asset import Asset, Standard
from bsim.handset import Handset, ScriptedUser
from bsim.handset.phone import TERMINAL_PROFILE

# Menu selection; GET INPUT, GET INKEY, DISPLAY TEXT; SELECT ITEM and SET UP MENU; no event.
PHONE = bytes.fromhex("0900072100")
CHANGE_BPIN, ACCOUNTS, ASSETS = 1, 2, 3
ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
PENDING = 0x91


def phone(**options) -> Judge:
    """A card told of a phone that shows menus; the menu waits."""
    card = bare_card(**options)
    assert card.transmit(apdu("TERMINAL_PROFILE", profile=PHONE))[-2] == PENDING
    return card


def choose(card, item: int) -> bytes:
    return card.transmit(apdu("ENVELOPE", envelope=bytes.fromhex("D307820201819001") + bytes((item,))))


def answered(card, command: ProactiveCommand, item: int | None = None, result: int = Result.PERFORMED) -> bytes:
    response = TerminalResponse(command.number, command.type, command.qualifier, result, None, item)
    return card.transmit(apdu("TERMINAL_RESPONSE", response=response.encode()))


def menu_of(card) -> ProactiveCommand:
    return fetch(card, card.transmit(apdu("STATUS", indication="NONE", form="NO_DATA")))


def settled(**options) -> Judge:
    card = phone(**options)
    assert answered(card, menu_of(card)) == b"\x90\x00"
    return card


# Who is offered it.


@pytest.mark.parametrize("profile", [TERMINAL_PROFILE, b"\xff" * 4, b"\xff", bytes(20), b"\xff\xff\xff\xde\xff"])
def test_a_terminal_that_shows_no_menus_never_meets_it(profile):
    card = bare_card()
    expect(card, "TERMINAL_PROFILE", profile=profile)
    assert not shows_menus(profile)
    for _ in range(5):
        expect(card, "STATUS", indication="NONE", form="NO_DATA")
        expect(card, "FETCH", 0x6985, le=256)


def test_nobody_meets_it_before_terminal_profile():
    card = bare_card()
    for command in ("80F2000C00", "00A40004023F00", "00A4040007A0000000871002", "80C2000009D30782020181900102"):
        assert exchange(card, command)[1] == 0x9000 or command.startswith("80C2")


def test_it_is_offered_once():
    card = phone()
    menu = menu_of(card)
    assert (menu.type, menu.text) == (CommandType.SET_UP_MENU, "BSIM")
    assert menu.items == ((CHANGE_BPIN, "Change BPIN"), (ACCOUNTS, "Accounts"), (ASSETS, "Assets"))
    assert answered(card, menu) == b"\x90\x00"
    expect(card, "STATUS", indication="NONE", form="NO_DATA")
    card.reset()
    expect(card, "STATUS", indication="NONE", form="NO_DATA")


def test_a_terminated_wallet_offers_nothing():
    card = bare_card(records={"wallet.terminated": b"\1"})
    expect(card, "TERMINAL_PROFILE", profile=PHONE)
    expect(card, "ENVELOPE", 0x6A80, envelope=bytes.fromhex("D30782020181900102"))


# It stands in nobody's way.


def test_a_dialogue_goes_before_a_menu_that_was_not_fetched():
    card = phone()
    select_quietly(card)
    question = fetch(card, card.transmit(apdu("VERIFY_BPIN")))
    assert question.type == CommandType.GET_INPUT
    response = respond(card, question, BPIN)
    assert response[-2] == PENDING, "and the menu comes after it"
    assert fetch(card, response).type == CommandType.SET_UP_MENU


def test_a_dialogue_waits_for_a_menu_that_is_being_set_up():
    card = phone()
    menu = menu_of(card)
    select_quietly(card)
    assert card.transmit(apdu("VERIFY_BPIN")) == b"\x90\x00"
    assert card.transmit(apdu("VERIFY_BPIN")) == b"\x90\x00", "one dialogue at a time"
    response = answered(card, menu)
    assert fetch(card, response).type == CommandType.GET_INPUT
    expect(card, "FETCH", 0x6985, le=256)


def test_a_menu_that_the_terminal_cannot_set_up_is_no_hindrance():
    card = phone()
    assert answered(card, menu_of(card), result=Result.BEYOND_CAPABILITIES) == b"\x90\x00"
    select_quietly(card)
    derive(card)
    assert enter(card, card.transmit(apdu("VERIFY_BPIN")), BPIN) == b"\x90\x00"
    sign(card)


def select_quietly(card) -> None:
    response = card.transmit(bytes.fromhex("00A4040C10A000000533C000FF860000000000054D"))
    assert response[-2] in {0x90, 0x91}


def keyed(card, count: int = 1) -> None:
    select(card)
    derive(card, count=count)
    enter(card, card.transmit(apdu("VERIFY_BPIN")), BPIN)


# What it is for.


def test_change_bpin_through_the_menu():
    card = settled()
    assert enter(card, choose(card, CHANGE_BPIN), BPIN, "271828", "271828", *[""])[-2:] == b"\x90\x00"
    select(card)
    derive(card)
    assert enter(card, card.transmit(apdu("VERIFY_BPIN")), "271828") == b"\x90\x00"
    sign(card)


def test_a_blocked_bpin_is_told():
    card = settled(records={"wallet.tries": b"\0"})
    assert fetch(card, choose(card, CHANGE_BPIN)).text == "BPIN blocked"


def test_addresses_without_any_app():
    card = settled()
    select(card)
    derive(card, ETHEREUM)
    derive(card, CONFLUX)
    derive(card, SOLANA, 2)
    listed = fetch(card, choose(card, ACCOUNTS))
    assert (listed.type, listed.text) == (CommandType.SELECT_ITEM, "Accounts")
    assert listed.items == ((1, "1 Ether"), (2, "2 Conflux"), (3, "3 Solana"))
    shown = fetch(card, answered(card, listed, 1))
    assert shown.type == CommandType.DISPLAY_TEXT
    assert ADDRESS in shown.text.replace("\n  ", "")
    back = fetch(card, answered(card, shown))
    assert back.items == listed.items, "the list again"
    assert answered(card, back, result=Result.TERMINATED_BY_USER) == b"\x90\x00"
    expect(card, "STATUS", indication="NONE", form="NO_DATA")


def test_many_accounts_take_several_pages():
    card = settled()
    select(card)
    derive(card, count=127)
    seen, response = [], choose(card, ACCOUNTS)
    while True:
        listed = fetch(card, response)
        seen += [text for number, text in listed.items if number != 255]
        if dict(listed.items).get(255) != "More":
            break
        response = answered(card, listed, 255)
    assert seen == [f"{number} Ether" for number in range(1, 128)]
    first = fetch(card, answered(card, listed, result=Result.BACKWARD_MOVE))
    assert first.items[0][1] == "1 Ether"


def test_assets_with_names_in_any_script():
    card = settled()
    keyed(card)
    for number, name in enumerate(("树图纪念 №1", "A dog", "")):
        asset = Asset(1, 1, b"\1", bytes(20), number.to_bytes(32, "big"), Standard.ERC721, name=name, issuer="树图")
        expect(card, "ADD_ASSET", asset=asset.encode_new())
    listed = fetch(card, choose(card, ASSETS))
    assert [text for _, text in listed.items] == ["树图纪念 №1", "A dog", "#3"]
    shown = fetch(card, answered(card, listed, 1))
    assert shown.text == "树图纪念 №1\nAccount: 1\nToken: 0\nIssuer: 树图\nAmount: 1"


def test_empty_lists_say_so():
    card = settled(blank=True)
    for item, text in ((ACCOUNTS, "There are no accounts yet"), (ASSETS, "There are no assets")):
        shown = fetch(card, choose(card, item))
        assert shown.text == text
        assert answered(card, shown) == b"\x90\x00"


def test_one_dialogue_at_a_time():
    card = settled()
    fetch(card, choose(card, ACCOUNTS))
    assert choose(card, ASSETS) == b"\x93\x00"
    select(card)
    assert card.transmit(apdu("VERIFY_BPIN")) == b"\x90\x00"


@pytest.mark.parametrize("item", [0, 4, 255])
def test_no_such_item(item):
    assert choose(settled(), item) == b"\x6a\x80"


def test_other_envelopes_are_taken():
    card = by_hand()
    expect(card, "ENVELOPE", envelope=bytes.fromhex("D60E1901048202828113050064F01101"))
    expect(card, "ENVELOPE", 0x6A80, envelope=bytes.fromhex("D305"))


def test_every_proactive_command_fits_a_fetch():
    """TS 102 223 6.6: 256 bytes with their tag and length, whatever is listed."""
    card = settled()
    keyed(card, 40)
    for number in range(40):
        name = chr(0x4E00 + number) * 40
        asset = Asset(1, 1, b"\1", bytes(20), number.to_bytes(32, "big"), Standard.ERC721, name=name)
        expect(card, "ADD_ASSET", asset=asset.encode_new())
    for item in (ACCOUNTS, ASSETS):
        response = choose(card, item)
        assert response[0] == PENDING
        listed = fetch(card, response)
        assert len(listed.items) > 1
        while 255 in dict(listed.items):
            listed = fetch(card, answered(card, listed, 255))
        answered(card, listed, result=Result.TERMINATED_BY_USER)


# A handset with a menu.


def test_a_handset_that_shows_the_menu():
    texts = []

    class Reader(ScriptedUser):
        def asked(self, command, respond):
            texts.append(command.text)
            super().asked(command, respond)

    inserted = Handset(Reader("2,cancel"), menu=True).insert(bare_card())
    assert inserted.menu is not None
    assert [text for _, text in inserted.menu.items] == ["Change BPIN", "Accounts", "Assets"]
    select(inserted)
    derive(inserted, ETHEREUM)
    derive(inserted, CONFLUX)
    assert inserted.choose(ACCOUNTS) == b"\x90\x00"
    assert texts[0] == texts[2] == "Accounts"
    assert texts[1].startswith("2 Conflux\nAddress: cfx")
    assert inserted.choose(9) == b"\x6a\x80"


def test_the_menu_round_trips():
    menu = ProactiveCommand(CommandType.SELECT_ITEM, 0, "卡", maximum=255, number=7, items=((1, "a"), (200, "树")))
    assert ProactiveCommand.parse(menu.encode()) == menu
    response = TerminalResponse(7, CommandType.SELECT_ITEM, 0, 0, None, 200)
    assert TerminalResponse.parse(response.encode()) == response
