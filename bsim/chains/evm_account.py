"""Ethereum's addresses: the account of a public key, and EIP-55."""

from bsim.chains.fields import hex_bytes
from bsim.crypto.keccak import keccak256


def address_bytes(public_key: bytes) -> bytes:
    """Answer the 20-byte account of a 65-byte uncompressed public key; ValueError for another form."""
    if len(public_key) != 65 or public_key[0] != 4:
        raise ValueError("the public key is not a 65-byte uncompressed point")
    return keccak256(public_key[1:])[12:]


def address(public_key: bytes) -> str:
    """Answer the account of a 65-byte uncompressed public key as EIP-55 writes it."""
    return checksum(address_bytes(public_key))


def checksum(account: bytes) -> str:
    """Write 20 bytes as 0x and 40 digits, a letter large where the digest's digit is 8 or more (EIP-55)."""
    if len(account) != 20:
        raise ValueError(f"an address is 20 bytes, not {len(account)}")
    digits = account.hex()
    digest = keccak256(digits.encode()).hex()
    return "0x" + "".join(d.upper() if mark >= "8" else d for d, mark in zip(digits, digest, strict=False))


def parse_address(text: object) -> bytes:
    """Read 0x and 40 digits; letters of both cases must bear out EIP-55's checksum. ValueError otherwise."""
    account = hex_bytes(text)
    if len(account) != 20:
        raise ValueError(f"an address is 20 bytes, not {len(account)}")
    digits = str(text)[2:]
    if digits not in (digits.lower(), digits.upper()) and checksum(account)[2:] != digits:
        raise ValueError("the address's checksum (EIP-55) is wrong")
    return account
