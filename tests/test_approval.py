"""Payloads through the card: every family signed and checked elsewhere, chains that break, and nothing left behind."""

import os
from random import Random

import pytest
from helpers import (
    BPIN,
    CountingRng,
    Judge,
    apdu,
    by_hand,
    derive,
    enter,
    exchange,
    expect,
    export,
    fetch,
    open_channel,
    respond,
    select,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from malformed import malformed
from payloads import PAYLOADS
from test_confirm import UNSIGNED, read_pages, result, unspaced

from bsim.apdu import CommandApdu
from bsim.applets.confirm import page
from bsim.applets.proactive import CommandType, Result
from bsim.chains import FAMILIES
from bsim.chains.family import Signature
from bsim.crypto import p256, sm2, verify
from bsim.crypto.algorithm import Algorithm
from bsim.store import RamStore

# One slot an algorithm, and one for Conflux Core Space.
SLOTS = {Algorithm.SECP256K1: 1, Algorithm.SM2: 2, Algorithm.P256: 3}
CORE = 4
VERIFY = {Algorithm.SECP256K1: verify.verify, Algorithm.SM2: sm2.verify, Algorithm.P256: p256.verify}
SIGN_INS = (0x14, 0x15)
SEED = int(os.environ.get("BSIM_TEST_SEED", "20261127"))


class Held:
    """A card with four keys and its BPIN verified, told of a terminal, and what it stores."""

    def __init__(self) -> None:
        self.store = RamStore()
        self.card: Judge = by_hand(store=self.store, rng=CountingRng())
        for algorithm in SLOTS:
            derive(self.card, 60, algorithm)
        derive(self.card, 503)
        enter(self.card, self.card.transmit(apdu("VERIFY_BPIN")), BPIN)

    def state(self) -> tuple[object, ...]:
        """All that could have changed: what is stored, what the card says of itself, and what it has to say."""
        status, seen = exchange(self.card, apdu("GET_STATUS"))
        return dict(self.store.read()), status, seen, result(self.card), exchange(self.card, "0012000000")


@pytest.fixture(scope="module")
def held() -> Held:
    return Held()


def slot_for(code: int, algorithm: Algorithm) -> int:
    return CORE if 503 in (FAMILIES[code].coin_types or ()) else SLOTS[algorithm]


def chain(raw: bytes, size: int = 255) -> list[bytes]:
    """A command as a chain of short ones. ISO/IEC 7816-4 5.3.3."""
    command = CommandApdu.parse(raw)
    parts = [command.data[at : at + size] for at in range(0, len(command.data), size)]
    more = [bytes((command.cla | 0x10,)) + raw[1:4] + bytes((len(part),)) + part for part in parts[:-1]]
    return [*more, raw[:4] + bytes((len(parts[-1]),)) + parts[-1]]


def give(card: Judge, code: int, slot: int, payload: bytes, rng: Random) -> int:
    """Send a payload in one APDU or as a chain; the status word of the last."""
    raw = apdu("SIGN_TRANSACTION", slot=slot, family=code, payload=payload)
    if rng.random() < 0.5:
        return exchange(card, raw)[1]
    parts = chain(raw, rng.choice((1 + len(raw) // 3, 50, 255)) if len(raw) < 700 else 255)
    for part in parts[:-1]:
        assert exchange(card, part) == (b"", 0x9000)
    return exchange(card, parts[-1])[1]


@pytest.mark.parametrize(
    "code", [code for code in FAMILIES if code not in SIGN_INS], ids=lambda code: FAMILIES[code].name
)
def test_what_is_signed_is_what_was_shown(held: Held, code: int) -> None:
    family, rng = FAMILIES[code], Random(SEED + code)
    for _ in range(12):
        payload = PAYLOADS[code](rng)
        signable = family.decode(payload)
        for algorithm in sorted(family.algorithms):
            slot = slot_for(code, algorithm)
            public_key = export(held.card)[73 * (slot - 1) + 8 : 73 * slot]
            response = held.card.transmit(apdu("SIGN_TRANSACTION", slot=slot, family=code, payload=payload))
            shown, question = read_pages(held.card, response)
            summary = signable.summary()
            hidden = [("Not shown", ", ".join(summary.hidden))] if summary.hidden else []
            told = page(summary.title, [*summary.lines, *hidden])
            assert unspaced("".join(shown[:-1])) == unspaced(told), "all of it, and nothing else"
            assert result(held.card) == (b"", 0x6982)
            enter_yes(held.card, question)
            data, sw = result(held.card)
            assert sw == 0x9000
            digest, r, s, recovery, der = fields(data)
            assert digest == signable.digest(public_key)
            assert VERIFY[algorithm](public_key, digest, der)
            assert len(recovery) == (algorithm is Algorithm.SECP256K1)
            made = Signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"), recovery[0] if recovery else None)
            assert signable.signed(made, public_key)


def enter_yes(card: Judge, question: object) -> None:
    assert respond(card, question, "\1") == b"\x90\0"  # type: ignore[arg-type]


def fields(data: bytes) -> list[bytes]:
    """The values of data objects with lengths below 128, taken apart by hand."""
    found, at = [], 0
    while at < len(data):
        found.append(data[at + 2 : at + 2 + data[at + 1]])
        at += 2 + data[at + 1]
    return found


def sweep(count: int) -> int:
    """So many malformed payloads over all families: each refused, none shown, none signed, nothing left."""
    held, rng = Held(), Random(SEED)
    print(f"seed {SEED}")
    before, codes = held.state(), sorted(FAMILIES)
    for number in range(count):
        code = codes[number % len(codes)]
        way, payload = malformed(code, rng)
        algorithm = rng.choice(sorted(FAMILIES[code].algorithms))
        sw = give(held.card, code, slot_for(code, algorithm), payload, rng)
        assert sw == 0x6A80, f"{FAMILIES[code].name}, {way}: {sw:04X}"
        if number % 500 == 0:
            assert held.state() == before, way
    assert held.state() == before
    return count


def test_malformed_payloads_are_refused_and_leave_nothing() -> None:
    assert sweep(1500) == 1500


@pytest.mark.soak
def test_a_hundred_thousand_malformed_payloads() -> None:
    assert sweep(100_000) == 100_000


def test_64_kilobytes_in_a_chain() -> None:
    held = Held()
    before = held.state()
    message = bytes(range(32, 127)) * 690
    payload = message[:65_530]
    parts = chain(apdu("SIGN_TRANSACTION", slot=1, family=0x10, payload=payload))
    assert len(parts) == 257
    for part in parts[:-1]:
        assert exchange(held.card, part) == (b"", 0x9000)
    response = held.card.transmit(parts[-1])
    shown, question = read_pages(held.card, response)
    assert unspaced("".join(shown)).count(unspaced(payload[:95].decode())) == 65_530 // 95, "nothing is left out"
    respond_no(held.card, question)
    assert held.state() == before


def respond_no(card: Judge, question: object) -> None:
    respond(card, question, "\0")  # type: ignore[arg-type]


def test_a_payload_longer_than_the_card_takes(held: Held) -> None:
    before = held.state()
    part = bytes((0x90, 0xD3, 0, 0, 255)) + b"\1\x10" + bytes(253)
    for _ in range(257):
        assert exchange(held.card, part) == (b"", 0x9000)
    assert exchange(held.card, part) == (b"", 0x6700)
    assert held.state() == before


BREAKS = {
    "another command": lambda held: exchange(held.card, apdu("GET_VERSION")),
    "another header": lambda held: exchange(held.card, "80D4000000"),
    "a wrong P1": lambda held: exchange(held.card, "80D3010000"),
    "selected again": lambda held: select(held.card),
    "another chain": lambda held: exchange(held.card, "9076000105" + "00" * 5),
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_chain_broken_off_leaves_nothing(how: str) -> None:
    held = Held()
    before = held.state()
    parts = chain(apdu("SIGN_TRANSACTION", slot=1, family=1, payload=UNSIGNED), 20)
    for count in range(1, len(parts)):
        for part in parts[:count]:
            assert exchange(held.card, part) == (b"", 0x9000)
        BREAKS[how](held)
        # What comes after is judged alone: the end of a payload is none.
        assert exchange(held.card, parts[-1])[1] in {0x6A80, 0x6700}
        assert held.state() == before
    assert held.card.transmit(apdu("SIGN_TRANSACTION", slot=1, family=1, payload=UNSIGNED))[0] == 0x91


def test_a_chain_and_a_reset() -> None:
    held = Held()
    parts = chain(apdu("SIGN_TRANSACTION", slot=1, family=1, payload=UNSIGNED), 20)
    for part in parts[:-1]:
        assert exchange(held.card, part) == (b"", 0x9000)
    records = dict(held.store.read())
    held.card.reset()
    select(held.card)
    assert exchange(held.card, parts[-1]) == (b"", 0x6982)
    assert held.store.read() == records


def test_chains_on_several_channels_are_each_their_own() -> None:
    held = Held()
    for channel in (1, 2, 3):  # FETCH comes on the basic one, and would break off a chain there
        open_channel(held.card, channel)
        select(held.card, on=channel)
        enter(held.card, held.card.transmit(apdu("VERIFY_BPIN", on=channel)), BPIN)
    payloads = {3: UNSIGNED, 1: b"first message " * 5, 2: b"second message " * 5}
    chains = {
        on: chain(apdu("SIGN_TRANSACTION", on=on, slot=1, family=0x10 if on < 3 else 1, payload=payload), 23)
        for on, payload in payloads.items()
    }
    longest = max(map(len, chains.values()))
    for at in range(longest):
        for on, parts in chains.items():
            if at < len(parts) - 1:
                assert exchange(held.card, parts[at]) == (b"", 0x9000), on
    shown, question = read_pages(held.card, held.card.transmit(chains[1][-1]))
    assert payloads[1].decode().strip() in "".join(shown)
    assert exchange(held.card, chains[2][-1]) == (b"", 0x6985), "one dialogue at a time"
    enter_yes(held.card, question)
    assert result(held.card, on=1)[1] == 0x9000
    assert result(held.card, on=2) == (b"", 0x6985)
    shown, question = read_pages(held.card, held.card.transmit(chains[3][-1]))
    assert result(held.card, on=3) == (b"", 0x6982)
    assert shown[0].startswith("Send 1 ETH")


def test_a_slot_of_another_curve_or_coin(held: Held) -> None:
    before = held.state()
    rng = Random(SEED)
    for code, family in FAMILIES.items():
        payload = PAYLOADS[code](rng)
        wrong = [slot for algorithm, slot in SLOTS.items() if algorithm not in family.algorithms]
        wrong += [1] if family.coin_types else []
        for slot in wrong:
            expect(held.card, "SIGN_TRANSACTION", 0x6A80, slot=slot, family=code, payload=payload)
    assert held.state() == before


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 255), st.integers(0, 255), st.binary(min_size=1, max_size=300))
def test_any_bytes_are_asked_about_or_refused(slot: int, family: int, payload: bytes) -> None:
    held = Held()
    before = held.state()
    response = held.card.transmit(apdu("SIGN_TRANSACTION", slot=slot, family=family, payload=payload))
    if response[-2] != 0x91:
        assert held.state() == before
        return
    shown, question = read_pages(held.card, response)
    assert shown
    assert question.type == CommandType.GET_INKEY
    respond_no(held.card, question)
    assert held.state() == before


def nested(size: int) -> bytes:
    """Lists in lists in RLP, as deep as that many bytes can be."""
    found = b"\xc0"
    while len(found) < size:
        count = (len(found).bit_length() + 7) // 8
        long = bytes((0xF7 + count,)) + len(found).to_bytes(count, "big")
        found = (bytes((0xC0 + len(found),)) if len(found) < 56 else long) + found
    return found


DEEP = nested(60_000)
HOSTILE = {
    "lists in lists": DEEP,
    "lists in lists of type 2": b"\x02" + DEEP,
    "lists in lists of Core Space": b"cfx\x02" + DEEP,
    "objects in objects": b'{"a":' * 9_000 + b"1" + b"}" * 9_000,
    "arrays in arrays": b"[" * 30_000 + b"]" * 30_000,
    "arrays of arrays as types": b'{"domain":{},"message":{},"primaryType":"A","types":{"A":[{"name":"a","type":"A'
    + b"[]" * 20_000
    + b'"}]}}',
    "a number of sixty thousand digits": b'{"a":' + b"9" * 60_000 + b"}",
    "empty strings": b"\xf9" + (65_000).to_bytes(2, "big") + b"\x80" * 65_000,
    "nothing but controls": bytes(range(32)) * 2_000,
    "nothing but lines": b"\n" * 60_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_payloads_made_to_exhaust_the_card(held: Held, name: str) -> None:
    payload = HOSTILE[name][:65_530]
    for code, family in FAMILIES.items():
        slot = slot_for(code, min(family.algorithms))
        response = held.card.transmit(apdu("SIGN_TRANSACTION", slot=slot, family=code, payload=payload))
        if response[-2] == 0x91:
            assert code in {0x10, 0x12}, "any bytes are a message, and nothing else"
            respond(held.card, fetch(held.card, response), result=Result.TERMINATED_BY_USER)
        else:
            assert response == b"\x6a\x80"
