"""`transmit` never raises: random and near-valid commands get declared status words only, and 6F00 never.

What is near valid is made from the declaration: its examples and its bounds. Commands that restore or back up a seed
are as frequent as the others; their key derivation is cut to one round, since at its full cost the few thousand that
get so far would take all the time there is. The full cost is tested in test_wallet.
"""

import random
from collections.abc import Callable

import pytest
from helpers import (
    BPIN,
    ENTROPY,
    KEY2,
    SPEC,
    apdu,
    bare_card,
    by_hand,
    declared,
    derive,
    enter,
    expect,
    fetch,
    new_card,
    open_card,
    open_channel,
    seal,
    select,
    verified_card,
)

from bsim.apdu import CommandApdu
from bsim.card import T0
from bsim.crypto import envelope
from bsim.handset import in_handset
from bsim.ports import Card
from bsim.spec import Command, Kind

SEED = 20_251_123
TOTAL = 200_000
ROUND = 500  # commands to one card, before another takes its place
RESETS = 400  # one reset in so many commands

BY_APPLET = {name: list(applet.commands.values()) for name, applet in SPEC.applets.items()}
Mutation = Callable[[random.Random, bytearray], None]


# Start states.


def asking() -> Card:
    """A dialogue is open, and fetched."""
    card = by_hand()
    derive(card, count=5)
    fetch(card, card.transmit(apdu("VERIFY_BPIN")))
    return card


def crowded() -> Card:
    """Every channel is open, with the wallet or the issuer domain selected."""
    card = verified_card()
    for channel in range(1, 20):
        open_channel(card, channel)
        select(card, SPEC.applets["wallet" if channel % 2 else "issuer"].aids[0], on=channel)
    return card


def opened() -> Card:
    card = verified_card()
    derive(card, 501, 2, 3)
    open_card(card)
    return card


def blocked() -> Card:
    card = by_hand()
    enter(card, card.transmit(apdu("VERIFY_BPIN")), *["000000"] * 10)
    return card


def full() -> Card:
    card = verified_card()
    derive(card, count=127)
    return card


def filed() -> Card:
    """The USIM is selected, and an administrator's PIN verified."""
    card = in_handset(bare_card(), "right", BPIN)
    select(card, SPEC.applets["usim"].aids[0])
    expect(card, "VERIFY_PIN", reference=0x0A, pin=b"88888888")
    return card


# Each with the applet that is selected there, or whose commands are answered where none is.
STATES: list[tuple[Callable[[], Card], str]] = [
    (bare_card, "gsm"),
    (lambda: bare_card(blank=True), "gsm"),
    (lambda: new_card(blank=True), "wallet"),
    (lambda: new_card("wrong"), "wallet"),
    (lambda: new_card("silent"), "wallet"),
    (verified_card, "wallet"),
    (asking, "wallet"),
    (crowded, "wallet"),
    (opened, "wallet"),
    (blocked, "wallet"),
    (full, "wallet"),
    (filed, "usim"),
    (lambda: T0(filed()), "usim"),
    (lambda: T0(verified_card()), "wallet"),
    (lambda: T0(by_hand()), "wallet"),
]


# Commands.


def valid(generator: random.Random, command: Command) -> bytes:
    """A command within the bounds of its declaration, on the basic channel or another."""
    data = b""
    for field in command.data:
        if field.kind is Kind.TLV:
            value = generator.randbytes(generator.randint(field.minimum, field.maximum))
            data += bytes((field.tag or 0, len(value))) + value
        elif field.values:
            data += bytes((generator.choice(list(field.values.values())),))
        elif field.kind.size:
            data += generator.choice((0, 1, 60, 503, 501)).to_bytes(max(field.kind.size, 4), "big")[-field.kind.size :]
        else:
            data += generator.randbytes(generator.choice((field.minimum, field.maximum, 32)))[: field.maximum]
    le = generator.choice((None, None, command.response_maximum or None, 256, 1, 255, 65_536))
    p1, p2 = generator.choice(command.p1.legal), generator.choice(command.p2.legal)
    return CommandApdu(generator.choice(command.cla), command.ins, p1, p2, data, le).encode()


def restore(generator: random.Random) -> bytes:
    """RESTORE SEED that is right, or nearly so."""
    key2 = generator.choice((KEY2, b"x" * 200))
    return CommandApdu(
        0x80, 0x76, 0, 1, b"\xb1" + bytes((len(key2),)) + key2 + b"\xb2\x3d" + seal(ENTROPY, KEY2, rounds=1)
    ).encode()


def flip(generator: random.Random, raw: bytearray) -> None:
    raw[generator.randrange(len(raw))] ^= 1 << generator.randrange(8)


def flip_in_header(generator: random.Random, raw: bytearray) -> None:
    raw[generator.randrange(min(5, len(raw)))] ^= 1 << generator.randrange(8)


def set_byte(generator: random.Random, raw: bytearray) -> None:
    raw[generator.randrange(len(raw))] = generator.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))


def truncate(generator: random.Random, raw: bytearray) -> None:
    del raw[generator.randrange(len(raw)) :]


def extend(generator: random.Random, raw: bytearray) -> None:
    raw += generator.randbytes(generator.choice((1, 1, 2, 3, 250)))


def swap(generator: random.Random, raw: bytearray) -> None:
    a, b = generator.randrange(len(raw)), generator.randrange(len(raw))
    raw[a], raw[b] = raw[b], raw[a]


def change_channel(generator: random.Random, raw: bytearray) -> None:
    raw[0] = raw[0] & 0xFC | generator.randrange(4) if generator.random() < 0.5 else raw[0] | 0x40


def chain(generator: random.Random, raw: bytearray) -> None:
    raw[0] |= 0x10


def cut_out(generator: random.Random, raw: bytearray) -> None:
    at = generator.randrange(len(raw))
    del raw[at : at + generator.randrange(1, 8)]


MUTATIONS: list[Mutation] = [
    flip,
    flip_in_header,
    set_byte,
    truncate,
    extend,
    swap,
    change_channel,
    chain,
    cut_out,
]


def command(generator: random.Random, selected: str) -> bytes:
    """The next command: random bytes, an example, one within its bounds, and most often a mutation of these.

    Two thirds are of the applet that is selected, which alone answers them; the others of any, however many each has.
    """
    choice = generator.random()
    if choice < 0.08:
        return generator.randbytes(generator.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 20, 260, 300)))
    applet = BY_APPLET[selected if generator.random() < 0.67 else generator.choice(list(BY_APPLET))]
    if choice < 0.4:
        raw = generator.choice(generator.choice(applet).examples).command
    elif choice < 0.45:
        raw = restore(generator)
    else:
        raw = valid(generator, generator.choice(applet))
    mutant = bytearray(raw)
    for _ in range(generator.choice((0, 0, 0, 1, 1, 1, 2, 4))):
        if mutant:
            generator.choice(MUTATIONS)(generator, mutant)
    return bytes(mutant)


def selected_by(raw: bytes, response: bytes) -> str | None:
    """The applet a command selected on the basic channel; None where it selected none."""
    if raw[:3] != b"\x00\xa4\x04" or response[-2] not in {0x90, 0x91, 0x61}:
        return None
    name = raw[5 : 5 + raw[4]] if len(raw) > 5 else b""
    return next((applet.name for applet in SPEC.applets.values() if any(a.startswith(name) for a in applet.aids)), None)


def is_declared(header: bytes, sw: int) -> bool:
    return sw != 0x6F00 and declared(header, sw)


def test_200_000_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    print(f"seed {SEED}")
    monkeypatch.setattr(envelope, "ITERATIONS", 1)
    generator = random.Random(SEED)
    answered: dict[int, int] = {}
    for number in range(TOTAL // ROUND):
        start, home = STATES[number % len(STATES)]
        card, selected = start(), home
        for at in range(ROUND):
            raw = command(generator, selected)
            response = card.transmit(raw)
            assert len(response) >= 2, (number, at, raw.hex())
            sw = response[-2] << 8 | response[-1]
            # T=0 alone tells 61xx, and repeats a header for 6Cxx: both are among the common status words.
            assert is_declared(raw[:4], sw), (number, at, raw.hex(), f"{sw:04X}")
            answered[sw] = answered.get(sw, 0) + 1
            selected = selected_by(raw, response) or selected
            if generator.randrange(RESETS) == 0:
                assert card.reset()[0] == 0x3B
                selected = home if SPEC.applets[home].aids else "wallet"
                select(card, SPEC.applets[selected].aids[0])
    assert sum(answered.values()) == TOTAL
    # The commands were near enough to valid to get everywhere.
    for sw in (0x9000, 0x6300, 0x6700, 0x6881, 0x6882, 0x6884, 0x6982, 0x6983, 0x6984, 0x6985):
        assert answered.get(sw, 0) >= 10, f"{sw:04X}"
    for sw in (0x6A80, 0x6A82, 0x6A84, 0x6A86, 0x6A88, 0x6D00, 0x6E00):
        assert answered.get(sw, 0) >= 10, f"{sw:04X}"
    assert answered[0x9000] > TOTAL // 20


@pytest.mark.parametrize("size", [65_535, 65_542, 65_544, 65_545, 100_000])
@pytest.mark.parametrize("head", ["80760001", "90760001", "80AC0000", "00000000", "FF000000"])
def test_very_long_commands(head: str, size: int) -> None:
    card = new_card()
    raw = bytes.fromhex(head) + b"\0\xff\xff" + bytes(size - 7)
    response = card.transmit(raw)
    assert is_declared(raw[:4], int.from_bytes(response, "big"))


def test_two_byte_commands_all_of_them() -> None:
    """Every class with every instruction, with nothing after: a table cannot have a hole."""
    card = in_handset(bare_card(), "right", BPIN)
    expect(card, "TERMINAL_PROFILE", profile=b"\xff")
    select(card)
    for cla in range(256):
        for ins in range(256):
            raw = bytes((cla, ins, 0xFF, 0xFF))
            assert card.transmit(raw) in {b"\x6e\x00", b"\x68\x81", b"\x68\x82", b"\x6d\x00", b"\x68\x84", b"\x6a\x86"}
