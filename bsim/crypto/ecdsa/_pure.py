"""The engine for platforms without a coincurve wheel: python-ecdsa, pure Python and some twenty times slower.

Python's integers cannot be overwritten and its arithmetic is not constant-time: this engine is for tests and
development.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Final

from ecdsa import SECP256k1, SigningKey
from ecdsa.util import sigencode_der_canonize

from bsim.crypto.ecdsa import ORDER

_BAD_SECRET: Final = "a secp256k1 secret is 32 bytes, 1 to n-1"  # noqa: S105 - what is wrong, not a secret


def _signing_key(secret: bytes) -> SigningKey:
    if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < ORDER:
        raise ValueError(_BAD_SECRET)
    return SigningKey.from_string(secret, SECP256k1)


def _wiped(_digest: bytes) -> bytes:
    raise ValueError("this key was wiped")


class PureSigner:
    """A secret inside a python-ecdsa key, and the call that signs with it."""

    __slots__ = ("sign",)

    def __init__(self, secret: bytes) -> None:
        key = _signing_key(secret)

        def sign(digest: bytes) -> bytes:
            # RFC 6979 3.2 with SHA-256; `canonize` answers the lower s, as libsecp256k1 does.
            signature: bytes = key.sign_digest_deterministic(digest, hashfunc=sha256, sigencode=sigencode_der_canonize)
            return signature

        self.sign: Callable[[bytes], bytes] = sign

    def wipe(self) -> None:
        """Let go of the secret, all one can do with a Python integer; signing afterwards is a ValueError."""
        self.sign = _wiped


class PureEngine:
    """python-ecdsa."""

    __slots__ = ()
    name: Final = "ecdsa"

    def signer(self, secret: bytes) -> PureSigner:
        """Make ready to sign with `secret` (32 bytes, 1 to n-1; ValueError otherwise)."""
        return PureSigner(secret)

    def public_key(self, secret: bytes) -> bytes:
        """Answer the 65-byte uncompressed point of `secret` (32 bytes, 1 to n-1; ValueError otherwise)."""
        point: bytes = _signing_key(secret).verifying_key.to_string("uncompressed")
        return point

    def add(self, secret: bytes, tweak: bytes) -> bytes:
        """Answer secret + tweak mod n; ValueError if either is out of range or the sum is 0."""
        if len(secret) != 32 or len(tweak) != 32:
            raise ValueError(_BAD_SECRET)
        left, right = int.from_bytes(secret, "big"), int.from_bytes(tweak, "big")
        total = (left + right) % ORDER
        if not 0 < left < ORDER or right >= ORDER or not total:
            raise ValueError("secret or tweak out of range, or their sum is 0")
        return total.to_bytes(32, "big")
