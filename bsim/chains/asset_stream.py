"""Encoded assets one after the other, as the card keeps and lists them: told apart without reading them."""

from collections.abc import Iterator
from typing import Final

from bsim import tlv
from bsim.chains.asset_layout import MIN_NEW, TAG

_HEAD: Final = 9
"""Bytes of number and slot, before the chain."""


def split(stream: bytes) -> dict[int, bytes]:
    """Answer the encoded assets of a stream by number; ValueError if it is not made of assets."""
    return {int.from_bytes(stream[body + 2 : body + 6], "big"): stream[start:end] for start, body, end in spans(stream)}


def identity(encoded: bytes) -> bytes:
    """Answer `Asset.identity` of an encoded asset without reading the rest of it; ValueError if it is none."""
    body, end = _body(encoded, 0)
    chain = body + _HEAD
    contract = chain + 2 + encoded[chain + 1]
    stop = contract + 2 + encoded[contract + 1] + 34 if contract + 1 < end else end + 1
    if stop > end:
        raise ValueError("an asset is cut short")
    return encoded[body + 6 : stop]


def of_slot(slot: bytes, identity: bytes) -> bool:
    """Whether an identity is of this slot (1 byte)."""
    return identity[2:3] == slot


def of_chain(chain: bytes, identity: bytes) -> bool:
    """Whether an identity is of this chain (family and id)."""
    return identity.startswith(tlv.encode(0x82, chain), 3)


def of_contract(contract: bytes, identity: bytes) -> bool:
    """Whether an identity is of a contract of this address or name, on whatever chain."""
    return identity.startswith(tlv.encode(0x83, contract), 5 + identity[4])


def spans(stream: bytes) -> Iterator[tuple[int, int, int]]:
    """Where each asset begins, where its value does, and where both end."""
    start = 0
    while start < len(stream):
        body, end = _body(stream, start)
        yield start, body, end
        start = end


def _body(stream: bytes, start: int) -> tuple[int, int]:
    """Where the value of the asset at `start` begins and ends."""
    length, size = stream[start + 1 : start + 2], 2
    if length and length[0] >= 0x80:
        size = 2 + (length[0] & 0x7F)
        length = stream[start + 2 : start + size]
    end = start + size + int.from_bytes(length, "big")
    if not length or stream[start] != TAG or end > len(stream) or end - start < MIN_NEW:
        raise ValueError("not a stream of assets")
    return start + size, end
