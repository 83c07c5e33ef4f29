"""Keccak-256 as Ethereum and Conflux use it: with the padding of the Keccak submission, not of FIPS 202."""

from sha3 import keccak_256


def keccak256(data: bytes) -> bytes:
    """Answer the 32-byte digest."""
    digest: bytes = keccak_256(data).digest()
    return digest
