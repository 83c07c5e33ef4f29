"""RLP (Ethereum Yellow Paper, appendix B): one value has one encoding, and no other is read.

An item is `bytes` or a sequence of items; a number is the item that `integer` makes of it.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

Item: TypeAlias = "bytes | Sequence[Item]"
Decoded: TypeAlias = "bytes | list[Decoded]"

MAX_DEPTH: Final = 32  # ours: no transaction nests deeper than 4, and Python's stack is not the card's to spend
MAX_LENGTH: Final = 1 << 20  # ours: a megabyte, eight times what a node takes as one transaction

_STRING: Final = 0x80
_LIST: Final = 0xC0
_SHORT: Final = 55  # the longest payload whose length fits into the prefix byte


def encode(item: Item, *, _depth: int = 0) -> bytes:
    """Encode bytes, or a sequence of items nested at most 32 deep; ValueError if deeper."""
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < _STRING:
            return item
        return _prefix(len(item), _STRING) + item
    if _depth == MAX_DEPTH:
        raise ValueError(f"RLP nested deeper than {MAX_DEPTH}")
    payload = b"".join(encode(one, _depth=_depth + 1) for one in item)
    return _prefix(len(payload), _LIST) + payload


def _prefix(length: int, kind: int) -> bytes:
    if length <= _SHORT:
        return bytes((kind + length,))
    size = integer(length)
    return bytes((kind + _SHORT + len(size),)) + size


def decode(data: bytes) -> Decoded:
    """Decode the one item that fills `data` (at most 1 MiB, 32 deep); ValueError if it is not canonical."""
    if len(data) > MAX_LENGTH:
        raise ValueError(f"RLP longer than {MAX_LENGTH} bytes")
    item, end = _item(data, 0, len(data), 0)
    if end != len(data):
        raise ValueError("bytes after the RLP item")
    return item


def _item(data: bytes, at: int, limit: int, depth: int) -> tuple[Decoded, int]:
    """Read the item at `at`, which may not pass `limit`; answer it and where it ends."""
    if at >= limit:
        raise ValueError("RLP ends before its item")
    if data[at] < _STRING:
        return data[at : at + 1], at + 1
    kind = _LIST if data[at] >= _LIST else _STRING
    start, end = _payload(data, at, limit, kind)
    if kind == _STRING:
        if end - start == 1 and data[start] < _STRING:
            raise ValueError("RLP byte below 80 with a prefix")
        return data[start:end], end
    if depth == MAX_DEPTH:
        raise ValueError(f"RLP nested deeper than {MAX_DEPTH}")
    items: list[Decoded] = []
    while start < end:
        one, start = _item(data, start, end, depth + 1)
        items.append(one)
    return items, end


def _payload(data: bytes, at: int, limit: int, kind: int) -> tuple[int, int]:
    """Answer where the payload of the prefix at `at` starts and ends, within `limit`."""
    length, start = data[at] - kind, at + 1
    if length > _SHORT:
        start += length - _SHORT
        if start > limit:
            raise ValueError("RLP ends inside a length")
        length = as_integer(data[at + 1 : start])
        if length <= _SHORT:
            raise ValueError("RLP length longer than it need be")
    if length > limit - start:
        raise ValueError("RLP ends before its item")
    return start, start + length


def integer(value: int) -> bytes:
    """Answer the item for a number: big endian, no leading zero, nothing for 0. ValueError below 0."""
    if value < 0:
        raise ValueError("RLP has no negative numbers")
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def as_integer(item: Decoded) -> int:
    """Answer the number an item stands for; ValueError for a list or a leading zero."""
    if not isinstance(item, bytes) or item[:1] == b"\0":
        raise ValueError("RLP number with a leading zero, or no number at all")
    return int.from_bytes(item, "big")
