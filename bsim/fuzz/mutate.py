"""Ways to spoil a command: one illegal field, data objects out of order, lengths that lie, headers of another kind."""

import random
from collections.abc import Callable
from typing import Final

from bsim import tlv
from bsim.apdu import MAX_LC, body
from bsim.fuzz.grammar import Entry
from bsim.spec import domains
from bsim.sw import SwError

Mutation = Callable[[random.Random, Entry, bytes], bytes]


def mutate(rng: random.Random, entry: Entry, raw: bytes) -> bytes:
    """Spoil a command in one way, seldom in two."""
    pick = MUTATIONS[int(rng.random() * len(MUTATIONS))]
    spoiled = pick(rng, entry, raw)
    if rng.random() < 0.1:
        spoiled = MUTATIONS[int(rng.random() * len(MUTATIONS))](rng, entry, spoiled)
    return spoiled


def _some(rng: random.Random, among: "tuple[bytes, ...] | list[bytes]", otherwise: bytes) -> bytes:
    return among[int(rng.random() * len(among))] if among else otherwise


def _p1(rng: random.Random, entry: Entry, raw: bytes) -> bytes:
    return raw[:2] + _some(rng, domains.parameter(entry.command.p1.legal).illegal, b"\xff") + raw[3:]


def _p2(rng: random.Random, entry: Entry, raw: bytes) -> bytes:
    return raw[:3] + _some(rng, domains.parameter(entry.command.p2.legal).illegal, b"\xff") + raw[4:]


def _class(rng: random.Random, _entry: Entry, raw: bytes) -> bytes:
    return bytes((raw[0] ^ _CLASS_BITS[int(rng.random() * len(_CLASS_BITS))] if raw else 0,)) + raw[1:]


def _ins(rng: random.Random, _entry: Entry, raw: bytes) -> bytes:
    return raw[:1] + bytes((int(rng.random() * 256),)) + raw[2:]


def _lc(rng: random.Random, _entry: Entry, raw: bytes) -> bytes:
    if len(raw) < 5:
        return raw + bytes((int(rng.random() * 256),))
    return raw[:4] + bytes((raw[4] + (1, 255, 2, 128)[int(rng.random() * 4)] & 0xFF,)) + raw[5:]


def _cut_short(rng: random.Random, _entry: Entry, raw: bytes) -> bytes:
    return raw[: int(rng.random() * len(raw))]


def _longer(rng: random.Random, _entry: Entry, raw: bytes) -> bytes:
    return raw + rng.randbytes(1 + int(rng.random() * 3))


def _le(rng: random.Random, _entry: Entry, raw: bytes) -> bytes:
    data, head = _data(raw), raw[:4]
    le = bytes((_LES[int(rng.random() * len(_LES))],))
    return head + (bytes((len(data),)) + data if data else b"") + le if len(data) < 256 else raw


def _data_length(rng: random.Random, entry: Entry, raw: bytes) -> bytes:
    """Data that are a byte too long or too short, with a length byte that is right."""
    data = _data(raw)
    at = int(rng.random() * 5)
    wanted = (len(data) + 1, len(data) - 1, entry.command.lc_minimum - 1, entry.command.lc_maximum + 1, 255)[at]
    wanted = max(0, min(wanted, 255))
    filled = (data + bytes(256))[:wanted]
    return raw[:4] + (bytes((wanted,)) + filled if wanted else b"")


def _flip(rng: random.Random, _entry: Entry, raw: bytes) -> bytes:
    at = int(rng.random() * len(raw)) if raw else 0
    return raw[:at] + bytes((raw[at] ^ 1 << int(rng.random() * 8),)) + raw[at + 1 :] if raw else raw


def _illegal_field(rng: random.Random, entry: Entry, raw: bytes) -> bytes:
    """One data field with a value it may not have, the others as they are."""
    fields = entry.command.data
    if not fields or entry.tlv:
        return _objects(rng, entry, raw)
    chosen, data, at = int(rng.random() * len(fields)), _data(raw), 0
    parts = []
    for number, field in enumerate(fields):
        end = at + field.maximum if number < len(fields) - 1 else len(data)
        value = data[at:end]
        parts.append(_some(rng, entry.domains[number].illegal, b"\xff" * len(value)) if number == chosen else value)
        at = end
    return _with_data(raw, b"".join(parts))


def _objects(rng: random.Random, _entry: Entry, raw: bytes) -> bytes:
    """Data objects swapped, dropped, doubled, retagged, or with a length that lies."""
    data = _data(raw)
    try:
        found = [one.encode() for one in tlv.parse(data)]
    except SwError:
        return _flip(rng, _entry, raw)
    if not found:
        return raw
    at = int(rng.random() * len(found))
    return _with_data(raw, b"".join(_SHUFFLES[int(rng.random() * len(_SHUFFLES))](found, at)))


def _lying(found: list[bytes], at: int) -> list[bytes]:
    lies = bytes((found[at][0], found[at][1] + 1 & 0xFF)) + found[at][2:]
    return [*found[:at], lies, *found[at + 1 :]]


def _indefinite(found: list[bytes], at: int) -> list[bytes]:
    """A length no parser should take: indefinite, or of more bytes than there are. ISO/IEC 7816-4 6.3."""
    return [*found[:at], found[at][:1] + b"\x80" + found[at][2:], *found[at + 1 :]]


def _extended(_rng: random.Random, _entry: Entry, raw: bytes) -> bytes:
    data = _data(raw)
    return _long(raw, data) if data else raw[:4] + b"\0\0\0"


def _data(raw: bytes) -> bytes:
    try:
        start, end, _ = body(raw)
    except SwError:
        return raw[5:]
    return raw[start:end]


def _with_data(raw: bytes, data: bytes) -> bytes:
    if len(data) < 256:
        return raw[:4] + (bytes((len(data),)) + data if data else b"")
    return _long(raw, data)


def _long(raw: bytes, data: bytes) -> bytes:
    """An extended APDU; data that no Lc can tell the length of are cut to the most that one can."""
    data = data[:MAX_LC]
    return raw[:4] + b"\0" + len(data).to_bytes(2, "big") + data


_CLASS_BITS: Final = (0x01, 0x02, 0x04, 0x0C, 0x10, 0x20, 0x40, 0x80, 0xFF)
_LES: Final = (0, 1, 2, 3, 16, 64, 127, 128, 255)
_SHUFFLES: Final = (
    lambda found, _: found[::-1],
    lambda found, at: found[:at] + found[at + 1 :],
    lambda found, at: [*found[: at + 1], *found[at:]],
    lambda found, at: [*found[:at], bytes((found[at][0] ^ 1,)) + found[at][1:], *found[at + 1 :]],
    lambda found, at: [*found[:at], found[at][:1] + b"\0", *found[at + 1 :]],
    _lying,
    _indefinite,
)
MUTATIONS: Final[tuple[Mutation, ...]] = (
    _p1,
    _p2,
    _class,
    _ins,
    _lc,
    _cut_short,
    _longer,
    _le,
    _le,
    _data_length,
    _data_length,
    _flip,
    _illegal_field,
    _illegal_field,
    _objects,
    _extended,
)
