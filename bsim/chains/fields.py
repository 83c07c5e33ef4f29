"""Reading the JSON objects that wallets write transactions as. A ValueError begins with the field's name."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from string import digits as decimals
from string import hexdigits
from typing import Final, TypeVar

T = TypeVar("T")

_STRING_OR_BRACKET: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|[][{}]', re.DOTALL)

_LONGEST: Final = 78  # decimal digits hold 2^256; longer ones are no number of any chain

U64: Final = 1 << 64
U256: Final = 1 << 256


class Fields:
    """The fields of one JSON object, each to be read once; `finish` refuses what nobody read."""

    def __init__(self, given: Mapping[str, object], aliases: Mapping[str, str]) -> None:
        self._left = dict(given)
        for alias, name in aliases.items():
            if alias in self._left:
                value = self._left.pop(alias)
                if self._left.setdefault(name, value) != value:
                    raise ValueError(f"{alias}: not the same as {name}")

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def drop_nulls(self, names: Iterable[str]) -> None:
        """Take those of these fields that are null for not there."""
        for name in names:
            if name in self._left and self._left[name] is None:
                del self._left[name]

    def read(self, name: str, parse: Callable[[object], T], default: T | None = None) -> T:
        """Take a field through `parse`, or its default where it is not there; ValueError if it has none."""
        if name not in self._left:
            if default is None:
                raise ValueError(f"{name}: missing")
            return default
        try:
            return parse(self._left.pop(name))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    def number(self, name: str, limit: int, default: int | None = None) -> int:
        """Take a number from 0 to limit - 1, written as an int, a decimal string or 0x and hex digits."""
        number = self.read(name, integer, default)
        if not 0 <= number < limit:
            raise ValueError(f"{name}: not from 0 to {limit - 1:#x}")
        return number

    def finish(self) -> None:
        """Refuse a field that was not asked for: it means something, and it would not be signed."""
        if self._left:
            raise ValueError(f"{min(self._left)}: no field of this kind of transaction")


def integer(value: object) -> int:
    """Read an int, a decimal string or 0x and hex digits; no sign, space or underscore."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii():
        digits, base = (value[2:], 16) if value[:2] == "0x" else (value, 10)
        if digits and not digits.strip(hexdigits if base == 16 else decimals):
            if len(value) > _LONGEST:
                raise ValueError("more digits than any number below 2^256 has")
            return int(digits, base)
    raise ValueError("neither an integer, nor a decimal string, nor 0x and hex digits")


def hex_bytes(value: object) -> bytes:
    """Read 0x and an even number of hex digits."""
    digits = value[2:] if isinstance(value, str) and value[:2] == "0x" else "?"
    # `fromhex` also takes spaces between digits, and says in its own words what it does not.
    if len(digits) % 2 or digits.strip(hexdigits):
        raise ValueError("not 0x and an even number of hex digits")
    return bytes.fromhex(digits)


def sequence(value: object) -> Sequence[object]:
    """Read a list."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return value
    raise ValueError("not a list")


def nesting(text: str) -> int:
    """How deep JSON is nested, before it is read: a reader in C may run out of stack where Python lets it go deep."""
    depth = deepest = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        if (mark := found[0]) in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in "]}":
            depth -= 1
    return deepest
