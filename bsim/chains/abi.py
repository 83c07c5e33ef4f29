"""Solidity's contract ABI, strict: arguments have one encoding, and no other is read.

The specification lets a reader be lenient (padding, order of tails, bytes at the end); what a user is shown must not
depend on how a contract reads, so everything but the encoder's own form is a ValueError here.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Final, TypeAlias

Value: TypeAlias = int | bool | bytes | tuple[int, ...]

WORD: Final = 32


class Type(Enum):
    """The types of arguments that known calls have."""

    ADDRESS = "address"
    UINT256 = "uint256"
    BOOL = "bool"
    BYTES = "bytes"
    UINTS = "uint256[]"


_DYNAMIC: Final = frozenset({Type.BYTES, Type.UINTS})


def encode(types: Sequence[Type], values: Sequence[Value]) -> bytes:
    """Write arguments: the heads, then the tails in their order."""
    heads, tails = b"", b""
    for kind, value in zip(types, values, strict=True):
        if kind in _DYNAMIC:
            heads += _word(WORD * len(types) + len(tails))
            tails += _tail(value)
        else:
            heads += value.rjust(WORD, b"\0") if isinstance(value, bytes) else _word(_number(value))
    return heads + tails


def _tail(value: Value) -> bytes:
    if isinstance(value, bytes):
        return _word(len(value)) + value + bytes(-len(value) % WORD)
    if isinstance(value, tuple):
        return _word(len(value)) + b"".join(map(_word, value))
    raise TypeError("a dynamic argument is bytes or a tuple of numbers")


def _number(value: Value) -> int:
    if not isinstance(value, int):
        raise TypeError("a static argument is a number or an address")
    return value


def _word(number: int) -> bytes:
    return number.to_bytes(WORD, "big")


def decode(types: Sequence[Type], data: bytes) -> tuple[Value, ...]:
    """Read arguments that fill `data`; ValueError for any encoding but `encode`'s."""
    values: list[Value] = []
    end = WORD * len(types)
    for place, kind in enumerate(types):
        word = _take(data, WORD * place, WORD)
        if kind not in _DYNAMIC:
            values.append(_static(kind, word))
            continue
        if int.from_bytes(word, "big") != end:
            raise ValueError("ABI: an offset that is not canonical")
        value, end = _dynamic(kind, data, end)
        values.append(value)
    if end != len(data):
        raise ValueError("ABI: bytes after the arguments")
    return tuple(values)


def _static(kind: Type, word: bytes) -> Value:
    number = int.from_bytes(word, "big")
    if kind is Type.ADDRESS:
        if number >> 160:
            raise ValueError("ABI: an address with padding that is not zero")
        return word[12:]
    if kind is Type.BOOL:
        if number > 1:
            raise ValueError("ABI: a boolean that is neither 0 nor 1")
        return bool(number)
    return number


def _dynamic(kind: Type, data: bytes, at: int) -> tuple[Value, int]:
    """Read what begins at `at` with its length; answer it and where it ends."""
    length = int.from_bytes(_take(data, at, WORD), "big")
    at += WORD
    if kind is Type.UINTS:
        words = _take(data, at, WORD * length)
        numbers = (int.from_bytes(words[place : place + WORD], "big") for place in range(0, len(words), WORD))
        return tuple(numbers), at + len(words)
    padded = length + -length % WORD
    body = _take(data, at, padded)
    if any(body[length:]):
        raise ValueError("ABI: padding that is not zero")
    return body[:length], at + padded


def _take(data: bytes, at: int, length: int) -> bytes:
    if length > len(data) - at:
        raise ValueError("ABI: the data ends before its arguments")
    return data[at : at + length]
