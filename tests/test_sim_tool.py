"""An outside SIM tool's walk over the card, at TPDU level: it ends without an error, and finds what was written."""

import pytest
from helpers import bare_card
from sim_tool import SimTool, read_tlv

from bsim.card import T0
from bsim.profiles import personalisation, ram_card, subscription

TPDUS = 5_000


def tool(card=None) -> SimTool:
    return SimTool(T0(card or bare_card()).transmit)


def test_a_walk_ends_without_an_error():
    walker = tool()
    walker.walk()
    assert len(walker.files) > 100
    # What the tool knows and this card has not is refused as a missing file is, and nothing else.
    assert walker.missing == [
        "3F00/7F20/6F99",
        "3F00/7F10/6F54",
        "A0000000871002/6F4D",
        "A0000000871002/6F4E",
        "A0000000871002/6F57",
        "A0000000871004/6FD5",
    ]


def test_a_blank_wallet_is_a_whole_sim():
    tool(bare_card(blank=True)).walk()
    tool(bare_card(profile="strict")).walk()


def test_a_full_export_has_thousands_of_tpdus():
    walker, rounds = tool(), 0
    while walker.count < TPDUS:
        walker.export()
        rounds += 1
    assert rounds <= 5


def test_what_is_exported_is_what_was_given():
    sim = subscription(imsi="460110123456789", msisdn="+8618900000001", contacts=[("Ann", "+8613")])
    walker = tool(ram_card(personalisation(iccid="8985203021088899971", sim=sim)))
    walker.export()
    assert walker.files["3F00/2FE2"] == [bytes.fromhex("985802031280889979f1")]
    assert walker.files["A0000000871002/6F07"] == [bytes.fromhex("084906111032547698")]
    assert walker.files["3F00/7F10/6F3A"][0][:3] == b"Ann"
    applications = [
        dict(read_tlv(dict(read_tlv(record.rstrip(b"\xff")))[0x61])) for record in walker.files["3F00/2F00"][:2]
    ]
    assert [entry[0x50] for entry in applications] == [b"USIM1", b"ISIM"]
    assert all(entry[0x4F][:5] == bytes.fromhex("A000000087") for entry in applications)


@pytest.mark.parametrize("command", ["A0A40000023F00", "A0A40000022FE2"])
def test_class_a0_announces_with_9f(command: str):
    card = T0(bare_card())
    response = card.transmit(bytes.fromhex(command))
    assert response[0] == 0x9F
    length = response[1]
    assert len(card.transmit(bytes((0xA0, 0xC0, 0, 0, length)))) == length + 2
    assert card.transmit(bytes.fromhex("00A40004023F00"))[0] == 0x61
