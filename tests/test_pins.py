"""PINs: tries, blocking and unblocking, enabling and disabling, in both classes; what a wrong guess costs and when."""

from dataclasses import replace

import pytest
from helpers import SPEC, Judge, bare_card, exchange, expect, open_channel, select
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bsim.applets.pins import DEFAULT, LAYOUT, PinsState, is_value, most_tries, padded
from bsim.lab.powercut import FaultyStore, PowerCut
from bsim.profiles import personalisation, personalise, power_on, subscription
from bsim.spec import spec
from bsim.spec.decode import Decoder
from bsim.store import RamStore

RIGHT = {0x01: "1234", 0x81: "5678", 0x11: "2468", 0x0A: "88888888"}
PUK = {0x01: "12345678", 0x81: "87654321", 0x11: "24682468"}
USIM = SPEC.applets["usim"].aids[0]
WRONG = padded("9999")


def asked(store: RamStore | None = None) -> Judge:
    """A card whose PIN1 is asked for."""
    store = store or RamStore()
    personalise(store, personalisation(blank=True, sim=subscription(pin1="1234")))
    return Judge(power_on(store))


def tries(card, reference: int) -> int:
    return exchange(card, bytes((0, 0x20, 0, reference, 0)))[1] & 15


def unblocking_tries(card, reference: int) -> int:
    return exchange(card, bytes((0, 0x2C, 0, reference, 0)))[1] & 15


@pytest.mark.parametrize("reference", RIGHT)
def test_verify(reference: int):
    card, most = asked(), most_tries(reference)
    assert tries(card, reference) == most
    for left in range(most - 1, -1, -1):
        expect(card, "VERIFY_PIN", 0x63C0 | left, reference=reference, pin=WRONG)
    expect(card, "VERIFY_PIN", 0x6983, reference=reference, pin=WRONG)
    expect(card, "VERIFY_PIN", 0x6983, reference=reference, pin=padded(RIGHT[reference]))
    assert tries(card, reference) == 0
    card.reset()
    assert tries(card, reference) == 0


@pytest.mark.parametrize("reference", RIGHT)
def test_a_right_pin_gives_the_tries_back(reference: int):
    card = asked()
    expect(card, "VERIFY_PIN", 0x63C0 | (most_tries(reference) - 1), reference=reference, pin=WRONG)
    expect(card, "VERIFY_PIN", reference=reference, pin=padded(RIGHT[reference]))
    assert tries(card, reference) == most_tries(reference)


@pytest.mark.parametrize("reference", [r for r in range(1, 0x8F) if r not in RIGHT and (r < 0xF or r >= 0x81)])
def test_pins_the_card_has_not(reference: int):
    card = asked()
    for name, values in (("VERIFY_PIN", {"pin": b""}), ("UNBLOCK_PIN", {"codes": b""})):
        expect(card, name, 0x6A88, reference=reference, **values)


@pytest.mark.parametrize("reference", PUK)
def test_unblock(reference: int):
    card = asked()
    for _ in range(3):
        exchange(card, bytes((0, 0x20, 0, reference, 8)) + WRONG)
    for left in (9, 8):
        expect(card, "UNBLOCK_PIN", 0x63C0 | left, reference=reference, codes=padded("00000000") + padded("4321"))
    assert unblocking_tries(card, reference) == 8
    expect(
        card, "UNBLOCK_PIN", 0x6A80, reference=reference, codes=padded(PUK[reference]) + b"43\xff\xff\xff\xff\xff\xff"
    )
    expect(card, "UNBLOCK_PIN", 0x6700, reference=reference, codes=padded(PUK[reference]))
    expect(card, "UNBLOCK_PIN", reference=reference, codes=padded(PUK[reference]) + padded("4321"))
    assert (tries(card, reference), unblocking_tries(card, reference)) == (3, 10)
    expect(card, "VERIFY_PIN", reference=reference, pin=padded("4321"))


def test_ten_wrong_unblockings_are_the_end():
    card = asked()
    for left in range(9, -1, -1):
        expect(card, "UNBLOCK_PIN", 0x63C0 | left, reference=1, codes=padded("00000000") + padded("4321"))
    expect(card, "UNBLOCK_PIN", 0x6983, reference=1, codes=padded(PUK[1]) + padded("4321"))
    expect(card, "UNBLOCK_PIN", 0x6A88, reference=0x0A, codes=padded("00000000") + padded("4321"))


def test_change():
    card = asked()
    expect(card, "CHANGE_PIN", 0x6A80, reference=1, old=padded("1234"), new=b"123\xff\xff\xff\xff\xff")
    expect(card, "CHANGE_PIN", 0x63C2, reference=1, old=WRONG, new=padded("4321"))
    expect(card, "CHANGE_PIN", reference=1, old=padded("1234"), new=padded("87654321"))
    card.reset()
    expect(card, "VERIFY_PIN", 0x63C2, reference=1, pin=padded("1234"))
    expect(card, "VERIFY_PIN", reference=1, pin=padded("87654321"))


def imsi(card) -> int:
    select(card, USIM)
    return exchange(card, "00B0870009")[1]


def test_enable_and_disable():
    card = asked()
    assert imsi(card) == 0x6982
    expect(card, "DISABLE_PIN", 0x63C2, replacement="NONE", reference=1, pin=WRONG)
    expect(card, "DISABLE_PIN", replacement="NONE", reference=1, pin=padded("1234"))
    assert imsi(card) == 0x9000
    for name, values in (
        ("VERIFY_PIN", {"pin": padded("1234")}),
        ("CHANGE_PIN", {"old": padded("1234"), "new": padded("1234")}),
        ("DISABLE_PIN", {"pin": padded("1234"), "replacement": "NONE"}),
    ):
        expect(card, name, 0x6984, reference=1, **values)
    card.reset()
    assert imsi(card) == 0x9000
    expect(card, "ENABLE_PIN", 0x63C2, reference=1, pin=WRONG)
    expect(card, "ENABLE_PIN", reference=1, pin=padded("1234"))
    expect(card, "ENABLE_PIN", 0x6985, reference=1, pin=padded("1234"))
    card.reset()
    assert imsi(card) == 0x6982
    for reference in (0x81, 0x11, 0x0A):
        expect(card, "DISABLE_PIN", 0x6A81, replacement="NONE", reference=reference, pin=padded(RIGHT[reference]))
        expect(card, "ENABLE_PIN", 0x6A81, reference=reference, pin=padded(RIGHT[reference]))


def test_the_universal_pin_in_its_place():
    card = asked()
    expect(card, "DISABLE_PIN", replacement="UNIVERSAL", reference=1, pin=padded("1234"))
    card.reset()
    assert imsi(card) == 0x6982
    expect(card, "VERIFY_PIN", reference=0x11, pin=padded("2468"))
    assert imsi(card) == 0x9000
    expect(card, "ENABLE_PIN", reference=1, pin=padded("1234"))
    card.reset()
    expect(card, "SELECT", method="FILE_ID", control=0x0C, identifier=b"")
    expect(card, "VERIFY_PIN", reference=0x11, pin=padded("2468"))
    assert imsi(card) == 0x6982


def test_verified_on_one_channel_is_verified_on_all():
    card = asked()
    open_channel(card, 1)
    select(card, USIM, on=1)
    expect(card, "READ_BINARY", 0x6982, on=1, high=0x87, low=0, le=9)
    expect(card, "VERIFY_PIN", reference=1, pin=padded("1234"))
    expect(card, "READ_BINARY", on=1, high=0x87, low=0, le=9)
    # A wrong PIN takes back what the right one had granted.
    expect(card, "VERIFY_PIN", 0x63C2, on=1, reference=1, pin=WRONG)
    expect(card, "READ_BINARY", 0x6982, on=1, high=0x87, low=0, le=9)


def test_unblocking_enables():
    card = bare_card()
    expect(card, "UNBLOCK_PIN", reference=1, codes=padded(PUK[1]) + padded("4321"))
    card.reset()
    assert imsi(card) == 0x6982


# Class A0.


def test_chvs():
    card = asked()
    for left in (2, 1, 0):
        expect(card, "GSM_VERIFY_CHV", 0x9804 if left else 0x9840, chv="CHV1", value=WRONG)
    expect(card, "GSM_VERIFY_CHV", 0x9840, chv="CHV1", value=padded("1234"))
    status = expect(card, "GSM_SELECT", identifier=b"\x3f\x00")
    assert status[18:20] == b"\x80\x8a"
    expect(card, "GSM_UNBLOCK_CHV", 0x9804, chv="CHV1", unblocking=padded("00000000"), new=padded("4321"))
    expect(card, "GSM_UNBLOCK_CHV", chv="CHV1", unblocking=padded("12345678"), new=padded("4321"))
    expect(card, "GSM_CHANGE_CHV", chv="CHV1", old=padded("4321"), new=padded("1234"))
    expect(card, "GSM_ENABLE_CHV", 0x9808, value=padded("1234"))
    expect(card, "GSM_DISABLE_CHV", value=padded("1234"))
    assert expect(card, "GSM_SELECT", identifier=b"\x3f\x00")[13] & 0x80
    expect(card, "GSM_DISABLE_CHV", 0x9808, value=padded("1234"))
    expect(card, "GSM_VERIFY_CHV", 0x9808, chv="CHV1", value=padded("1234"))
    expect(card, "GSM_ENABLE_CHV", value=padded("1234"))
    assert tries(card, 1) == 3, "both classes have the same PINs"


# Power goes.


@pytest.mark.parametrize("reference", RIGHT)
@pytest.mark.parametrize("guess", ["right", "wrong"])
def test_a_try_is_spent_before_the_comparison(reference: int, guess: str):
    """Power goes before and after each write: a guess is never made without a try being written down first."""
    value = padded(RIGHT[reference]) if guess == "right" else WRONG
    for number in range(1, 3 if guess == "right" else 2):
        for after in (False, True):
            store = RamStore()
            asked(store)
            codes = tuple(replace(code, tries=2) for code in LAYOUT.load(store.read()).codes)
            store.write(LAYOUT.changes(None, PinsState(codes)))
            card = power_on(FaultyStore(store, number, after=after))
            with pytest.raises(PowerCut):
                card.transmit(bytes((0, 0x20, 0, reference, 8)) + value)
            left = tries(power_on(store), reference)
            written = number - 1 + after
            assert left == (2, 1, most_tries(reference))[written]


# Against a model.


class Pins(RuleBasedStateMachine):
    """PIN1 of a card, and what a few lines say it does."""

    def __init__(self):
        super().__init__()
        self.card = asked()
        self.value, self.tries, self.puk_tries = "1234", 3, 10
        self.enabled, self.verified = True, False

    def guess(self, value: str) -> bool:
        if self.tries == 0:
            return False
        self.tries = 3 if value == self.value else self.tries - 1
        self.verified = value == self.value
        return self.verified

    @rule(value=st.sampled_from(["1234", "4321", "0000"]))
    def verify(self, value):
        _, sw = exchange(self.card, bytes.fromhex("0020000108") + padded(value))
        if not self.enabled:
            assert sw == 0x6984
        elif self.tries == 0:
            assert sw == 0x6983
        else:
            assert (sw == 0x9000) == self.guess(value)

    @rule(old=st.sampled_from(["1234", "4321"]), new=st.sampled_from(["1234", "4321"]))
    def change(self, old, new):
        _, sw = exchange(self.card, bytes.fromhex("0024000110") + padded(old) + padded(new))
        if not self.enabled:
            assert sw == 0x6984
        elif self.guess(old):
            assert sw == 0x9000
            self.value = new
        else:
            assert sw != 0x9000

    @rule(value=st.sampled_from(["1234", "4321"]), on=st.booleans())
    def switch(self, value, on):
        _, sw = exchange(self.card, bytes((0, 0x28 if on else 0x26, 0, 1, 8)) + padded(value))
        if self.enabled == on:
            assert sw in {0x6984, 0x6985}
        elif self.guess(value):
            assert sw == 0x9000
            self.enabled = on
        else:
            assert sw != 0x9000

    @rule(puk=st.sampled_from(["12345678", "11111111"]), new=st.sampled_from(["1234", "4321"]))
    def unblock(self, puk, new):
        _, sw = exchange(self.card, bytes.fromhex("002C000110") + padded(puk) + padded(new))
        if self.puk_tries and puk == "12345678":
            assert sw == 0x9000
            self.value, self.tries, self.puk_tries = new, 3, 10
            self.enabled = self.verified = True
        else:
            assert sw != 0x9000
            self.puk_tries = max(self.puk_tries - 1, 0)

    @rule()
    def reset(self):
        self.card.reset()
        self.verified = False

    @invariant()
    def holds(self):
        assert tries(self.card, 1) == self.tries
        assert unblocking_tries(self.card, 1) == self.puk_tries
        expected = 0x9000 if self.verified or not self.enabled else 0x6982
        assert imsi(self.card) == expected
        exchange(self.card, "00A40004023F00")


Pins.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestPins = Pins.TestCase


# Nothing shows.


@pytest.mark.parametrize("value", ["123", "123456789", "12a4", "", "\uff11\uff12\uff13\uff14"])
def test_what_no_pin_is(value: str):
    with pytest.raises(ValueError, match="four to eight digits"):
        padded(value)
    assert not is_value(value.encode().ljust(8, b"\xff"))


def test_pins_show_nowhere():
    for pin in RIGHT.values():
        assert pin not in repr(DEFAULT)
    decoder = Decoder(spec())
    for raw in ("0020000108", "A020000108"):
        assert "31323334" not in decoder.command(bytes.fromhex(raw) + padded("1234")).shown.replace(" ", "")


def test_a_card_from_before_has_the_pins_of_a_new_one():
    assert LAYOUT.load({}) == DEFAULT
