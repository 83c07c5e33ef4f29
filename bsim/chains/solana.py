"""Solana addresses: the Ed25519 public key in Base58."""

from typing import Final

# draft-msporny-base58-03, section 2: Bitcoin's alphabet, without 0, O, I and l.
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def address(public_key: bytes) -> str:
    """Answer the account of a 32-byte Ed25519 public key; ValueError for another length."""
    if len(public_key) != 32:
        raise ValueError("the public key is not 32 bytes of Ed25519")
    return base58(public_key)


def base58(data: bytes) -> str:
    """Write bytes in Base58: a 1 for every leading zero byte, then the number."""
    value, digits = int.from_bytes(data, "big"), ""
    while value:
        value, digit = divmod(value, 58)
        digits = _ALPHABET[digit] + digits
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits
