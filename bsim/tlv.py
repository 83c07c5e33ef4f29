"""Data objects: BER-TLV, SIMPLE-TLV and COMPREHENSION-TLV. Strict: one encoding for each value, or a refusal."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from bsim.sw import SW, SwError

MAX_SIMPLE: Final = 254


class TlvError(SwError):
    """Malformed data objects; a card answers 6A80 to them."""

    def __init__(self, reason: str) -> None:
        super().__init__(SW.WRONG_DATA, reason)


@dataclass(frozen=True, slots=True)
class Tlv:
    """One data object: its tag as a number (its bytes read big-endian), and its value, which `repr` does not show."""

    tag: int
    value: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Write it as BER-TLV."""
        return encode(self.tag, self.value)


def encode(tag: int, value: bytes) -> bytes:
    """Write one BER-TLV data object; the value may have up to 16,777,215 bytes. ISO/IEC 7816-4 6.3."""
    return tag.to_bytes((tag.bit_length() + 7) // 8 or 1, "big") + encode_length(len(value)) + value


def encode_length(length: int) -> bytes:
    """Write a BER length (0-16,777,215) in as few bytes as hold it."""
    if length < 0x80:
        return bytes((length,))
    size = (length.bit_length() + 7) // 8
    if size > 3:
        raise ValueError("a BER length here has at most three bytes")
    return bytes((0x80 | size,)) + length.to_bytes(size, "big")


def parse(data: bytes, *, most: int = 4096) -> list[Tlv]:
    """Read concatenated BER-TLV data objects (at most `most`); TlvError on the least fault."""
    objects: list[Tlv] = []
    position = 0
    while position < len(data):
        if len(objects) == most:
            raise TlvError(f"more than {most} data objects")
        tag, position = _read_tag(data, position)
        length, position = _read_length(data, position)
        value = data[position : position + length]
        if len(value) != length:
            raise TlvError("a value is cut short")
        objects.append(Tlv(tag, value))
        position += length
    return objects


def parse_simple(data: bytes) -> list[Tlv]:
    """Read SIMPLE-TLV data objects with one-byte lengths (0-254). ISO/IEC 7816-4 6.2."""
    objects: list[Tlv] = []
    position = 0
    while position < len(data):
        if data[position] in {0x00, 0xFF}:
            raise TlvError("00 and FF are no SIMPLE-TLV tags")
        length = data[position + 1] if position + 1 < len(data) else 0xFF
        value = data[position + 2 : position + 2 + length]
        if length == 0xFF or len(value) != length:
            raise TlvError("a value is cut short")
        objects.append(Tlv(data[position], value))
        position += 2 + length
    return objects


def encode_simple(tag: int, value: bytes) -> bytes:
    """Write one SIMPLE-TLV data object with a one-byte length (value of 0-254 bytes)."""
    if len(value) > MAX_SIMPLE:
        raise ValueError(f"a SIMPLE-TLV value here has at most {MAX_SIMPLE} bytes")
    return bytes((tag, len(value))) + value


COMPREHENSION_REQUIRED = 0x80


def parse_comprehension(data: bytes) -> Iterator[Tlv]:
    """Read COMPREHENSION-TLV data objects, tags without their comprehension bit. ETSI TS 101 220 7.1.1."""
    position = 0
    while position < len(data):
        tag = data[position] & ~COMPREHENSION_REQUIRED
        if tag in {0x00, 0x7F}:
            raise TlvError("tag not used here: 00, 7F (three-byte form), 80 or FF")
        length, position = _read_length(data, position + 1)
        if position + length > len(data):
            raise TlvError("a value is cut short")
        yield Tlv(tag, data[position : position + length])
        position += length


def _read_tag(data: bytes, position: int) -> tuple[int, int]:
    first = data[position]
    # ISO/IEC 7816-4 6.3: 00 and FF before a tag are padding elsewhere; here they hide mistakes.
    if first in {0x00, 0xFF}:
        raise TlvError("00 and FF are no BER-TLV tags")
    position += 1
    if first & 0x1F != 0x1F:
        return first, position
    tag = first
    for size in (2, 3):
        if position >= len(data):
            raise TlvError("a tag is cut short")
        byte = data[position]
        # A number below 31 fits the one-byte form, and 80 first is a leading zero. ISO/IEC 8825-1 8.1.2.4.2.
        if size == 2 and (byte < 0x1F or byte == 0x80):
            raise TlvError("a tag is longer than need be")
        tag, position = tag << 8 | byte, position + 1
        if not byte & 0x80:
            return tag, position
    raise TlvError("a tag has at most three bytes")


def _read_length(data: bytes, position: int) -> tuple[int, int]:
    if position >= len(data):
        raise TlvError("a length is missing")
    first = data[position]
    position += 1
    if first < 0x80:
        return first, position
    size = first & 0x7F
    encoded = data[position : position + size]
    if not 1 <= size <= 3 or len(encoded) != size:
        raise TlvError("a length has one to four bytes")
    length = int.from_bytes(encoded, "big")
    if length < 0x80 or encoded[0] == 0:
        raise TlvError("a length is longer than need be")
    return length, position + size
