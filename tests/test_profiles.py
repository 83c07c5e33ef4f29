"""Kinds of card, and what is written to one before it is handed out."""

import pytest
from helpers import ICCID, MNEMONIC, WALLET_AID, CountingRng, apdu, expect, select

from bsim.ports import Card
from bsim.profiles import (
    PROFILES,
    Profile,
    encode_iccid,
    personalisation,
    profile_named,
    ram_card,
    random_iccid,
)


def iccid_of(card: Card) -> str:
    """The ICCID as a wallet app reads it: nibbles swapped, fillers off."""
    select(card, b"\xa0\x00\x00\x01\x51\x00\x00")
    answer = expect(card, "GET_ICCID", tag="ICCID")
    assert answer[:2] == b"\x11\x0a"
    return "".join(f"{b & 15:x}{b >> 4:x}" for b in answer[2:]).rstrip("f")


def luhn(digits: str) -> bool:
    """Whether the check digit is right. ISO/IEC 7812-1, annex B."""
    total = 0
    for at, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + at % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


@pytest.mark.parametrize("iccid", [ICCID, "89860312345678901234"])
def test_iccid_there_and_back(iccid: str) -> None:
    assert iccid_of(ram_card(personalisation(iccid=iccid))) == iccid


def test_iccid_of_the_real_cards_form() -> None:
    assert encode_iccid("8985203021088899971").hex().upper() == "985802031280889979F1"


@pytest.mark.parametrize(
    "iccid", ["", "898520302108889997", "898520302108889997123", "89852030210888999x1", "\u0668" * 19]
)
def test_iccids_that_are_none(iccid: str) -> None:
    with pytest.raises(ValueError, match="an ICCID has 19 or 20 digits"):
        encode_iccid(iccid)


def test_random_iccids_are_right() -> None:
    rng, seen = CountingRng(), set()
    for _ in range(200):
        card_iccid = "".join(f"{byte & 15:x}{byte >> 4:x}" for byte in random_iccid(rng)).rstrip("f")
        assert card_iccid.startswith("898603")
        assert len(card_iccid) == 19
        assert luhn(card_iccid)
        seen.add(card_iccid)
    assert len(seen) == 200


def test_luhn_itself() -> None:
    assert luhn("79927398713")
    assert not luhn("79927398714")


def test_profiles() -> None:
    assert set(PROFILES) == {"strict", "extended", "guarded"}
    for name in PROFILES:
        card = ram_card(personalisation(profile=name, mnemonic=MNEMONIC))
        select(card, WALLET_AID)
        assert card.transmit(apdu("GET_VERSION")) == b"\x00\x51\x90\x00"
    with pytest.raises(ValueError, match="no profile 'real'; there is strict, extended, guarded"):
        profile_named("real")


def test_another_version_and_other_historical_bytes() -> None:
    profile = Profile("other", "another", version=b"\x01\x00", historical=b"")
    assert profile.atr[:2] == b"\x3b\x87"
    assert profile.version == b"\x01\x00"


def test_what_a_card_cannot_hold() -> None:
    with pytest.raises(ValueError, match="a blank card has no mnemonic"):
        personalisation(blank=True, mnemonic=MNEMONIC)
    for bpin in ("", "12345", "1234567", "12345a", "\uff11\uff12\uff13\uff14\uff15\uff16"):
        with pytest.raises(ValueError, match="a BPIN has six digits"):
            personalisation(bpin=bpin)


def test_nothing_secret_is_shown() -> None:
    person = personalisation(mnemonic=MNEMONIC, bpin="987654")
    assert "987654" not in repr(person)
    assert person.entropy.hex() not in repr(person)
    assert repr(person.entropy) not in repr(person)


def test_a_card_of_its_own_for_everyone() -> None:
    first, second = personalisation(), personalisation()
    assert len(first.entropy) == len(second.entropy) == 32
    assert first.entropy != second.entropy
    assert first.iccid != second.iccid
