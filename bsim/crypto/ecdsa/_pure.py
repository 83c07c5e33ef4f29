"""The engine where nothing else can be had: python-ecdsa, pure Python and some twenty times slower.

Python's integers cannot be overwritten and its arithmetic is not constant-time: this engine is for tests and
development.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Final

from ecdsa import SECP256k1, SigningKey
from ecdsa.util import sigencode_der_canonize

from bsim.crypto.ecdsa import ORDER, _common
from bsim.crypto.ecdsa._common import BAD_SECRET, HeldSigner
from bsim.crypto.memory import Secret


def _signing_key(secret: Secret) -> SigningKey:
    if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < ORDER:
        raise ValueError(BAD_SECRET)
    return SigningKey.from_string(bytes(secret), SECP256k1)


def _sign_with(key: SigningKey) -> Callable[[bytes], bytes]:
    def sign(digest: bytes) -> bytes:
        # RFC 6979 3.2 with SHA-256; `canonize` answers the lower s, as libsecp256k1 does.
        signature: bytes = key.sign_digest_deterministic(digest, hashfunc=sha256, sigencode=sigencode_der_canonize)
        return signature

    return sign


class PureEngine:
    """python-ecdsa."""

    __slots__ = ()
    name: Final = "ecdsa"
    means: Final = "Python"

    def signer(self, secret: Secret) -> HeldSigner:
        """Make ready to sign with `secret` (32 bytes, 1 to n-1; ValueError otherwise)."""
        return HeldSigner(_sign_with(_signing_key(secret)))

    def public_key(self, secret: Secret) -> bytes:
        """Answer the 65-byte uncompressed point of `secret` (32 bytes, 1 to n-1; ValueError otherwise)."""
        point: bytes = _signing_key(secret).verifying_key.to_string("uncompressed")
        return point

    def add(self, secret: Secret, tweak: Secret) -> bytearray:
        """Answer secret + tweak mod n; ValueError if either is out of range or the sum is 0."""
        return _common.add(secret, tweak)
