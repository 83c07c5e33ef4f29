"""The values of a field: legal ones, those at its bounds, and illegal ones, all read off its declaration. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from bsim.spec.model import Command, Field, Kind

# A field that takes any number takes these: they mean something somewhere (SLIP-0044 coin types among them).
_TELLING = (0, 1, 2, 3, 60, 501, 503, 127, 128, 255, 256, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Domain:
    """Encoded values of one field, each sort in a fixed order; `illegal` may be empty where every value is one."""

    legal: tuple[bytes, ...]
    boundary: tuple[bytes, ...]
    illegal: tuple[bytes, ...]


@cache
def parameter(values: tuple[int, ...]) -> Domain:
    """Answer the values of P1 or P2, given the legal ones."""
    legal = tuple(bytes((value,)) for value in values)
    near = {value + step for value in values for step in (-1, 1)} | {0, 255}
    illegal = tuple(bytes((value,)) for value in sorted(near) if 0 <= value <= 255 and value not in values)
    return Domain(legal, tuple(dict.fromkeys((legal[0], legal[-1]))), illegal)


@cache
def field(name: str, kind: Kind, minimum: int, maximum: int, values: tuple[int, ...]) -> Domain:
    """Answer the values of a data field without its tag and length."""
    if values:
        coded = tuple(value.to_bytes(kind.size or 1, "big") for value in values)
        others = (value for value in (*range(4), 0x7F, 0xFF) if value not in values)
        return Domain(coded, coded, tuple(value.to_bytes(kind.size or 1, "big") for value in others))
    if kind.size:
        numbers = tuple(value.to_bytes(kind.size, "big") for value in _TELLING if value < 1 << 8 * kind.size)
        return Domain(numbers, (bytes(kind.size), b"\xff" * kind.size), ())
    lengths = _lengths(minimum, maximum)
    legal = tuple(_filled(name, length) for length in lengths)
    outside = tuple(length for length in (minimum - 1, maximum + 1) if 0 <= length <= 0xFFFF)
    return Domain(legal, (legal[0], legal[-1]), tuple(_filled(name, length) for length in outside))


def of(declared: Field) -> Domain:
    """Answer the values of a declared field, without its tag and length."""
    return field(
        declared.name, declared.kind, declared.minimum, declared.maximum, tuple(sorted(declared.values.values()))
    )


def smallest(command: Command) -> Sequence[bytes]:
    """Answer the plainest value of each data field: what a minimised case is made of."""
    return [of(declared).legal[0] for declared in command.data]


def _lengths(minimum: int, maximum: int) -> list[int]:
    telling = (minimum, minimum + 1, 5, 6, 8, 16, 20, 32, 33, 64, 127, 128, maximum - 1, maximum)
    return sorted({length for length in telling if minimum <= length <= maximum})


def _filled(name: str, length: int) -> bytes:
    """So many bytes that tell where they come from when they turn up in an answer."""
    return (name.encode() * (length // max(len(name), 1) + 1))[:length]
