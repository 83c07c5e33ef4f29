"""Protocol Buffers' wire format, as much of it as ChainMaker's payloads need.

The format lets one message be written in many ways. What is signed here has one: fields by their numbers, defaults
left out, shortest varints. Readers check that by writing what they read.
"""

from collections.abc import Iterator
from typing import Final, TypeAlias

Value: TypeAlias = int | bytes

_VARINT: Final = 0
_LENGTH: Final = 2
_LONGEST: Final = 10  # bytes of a 64-bit varint


def fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Read numbers and values of a message's fields: varints and length-delimited ones; ValueError for others."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
        elif key & 7 == _LENGTH:
            length, at = _varint(data, at)
            if length > len(data) - at:
                raise ValueError("protobuf: the message ends before its field")
            yield key >> 3, data[at : at + length]
            at += length
        else:
            raise ValueError("protobuf: a wire type that no field here has")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(_LONGEST):
        if at + place >= len(data):
            raise ValueError("protobuf: the message ends inside a number")
        byte = data[at + place]
        value |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            if value >> 64:
                break
            return value, at + place + 1
    raise ValueError("protobuf: a number of more than 64 bits")


def number(field: int, value: int) -> bytes:
    """Write a varint field; nothing for 0, its default."""
    return _write(field << 3 | _VARINT) + _write(value) if value else b""


def data(field: int, value: bytes) -> bytes:
    """Write a string or bytes field; nothing if it is empty, its default."""
    return message(field, value) if value else b""


def message(field: int, value: bytes) -> bytes:
    """Write a message within a message, or one entry of a list; there even if it is empty."""
    return _write(field << 3 | _LENGTH) + _write(len(value)) + value


def _write(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*written, value))
