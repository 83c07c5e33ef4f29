"""The engine where coincurve has no wheel: OpenSSL through `cryptography`, some fifteen times slower.

OpenSSL's nonce is RFC 6979's when asked for (3.2 and later), but s may be in either half: the lower one is taken
here. OpenSSL has no addition modulo n that `cryptography` would hand on, so derivation goes through Python's
integers: private keys are out of memory when wiped, the sums they came from may not be.
"""

from collections.abc import Callable
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from bsim.crypto.ecdsa import _common
from bsim.crypto.ecdsa._common import BAD_SECRET, HeldSigner
from bsim.crypto.memory import Secret, wipe
from bsim.crypto.verify import canonical, encode_der, parse_der

try:
    _ALGORITHM: Final = ec.ECDSA(utils.Prehashed(SHA256()), deterministic_signing=True)
except UnsupportedAlgorithm as fault:
    raise ImportError("signatures as RFC 6979 makes them need OpenSSL 3.2 or later under cryptography") from fault

# RFC 5915 3: ECPrivateKey ::= SEQUENCE { version 1, privateKey OCTET STRING, parameters [0] secp256k1 }.
_DER_HEAD: Final = bytes.fromhex("302E 020101 0420")
_DER_TAIL: Final = bytes.fromhex("A007 0605 2B8104000A")


def _private_key(secret: Secret) -> ec.EllipticCurvePrivateKey:
    if len(secret) != 32:
        raise ValueError(BAD_SECRET)
    # As DER, and not by its number: a bytearray can be wiped.
    der = bytearray(_DER_HEAD) + secret + _DER_TAIL
    try:
        key = load_der_private_key(der, None)
    except ValueError:
        raise ValueError(BAD_SECRET) from None
    finally:
        wipe(der)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("an ECPrivateKey was read as another kind of key")
    return key


def _sign_with(key: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    def sign(digest: bytes) -> bytes:
        # `canonical` compares numbers of the signature, which is public.
        r, s = parse_der(key.sign(digest, _ALGORITHM))
        return encode_der(r, canonical(s))

    return sign


class CryptographyEngine:
    """OpenSSL, as `cryptography` was built with it."""

    __slots__ = ()
    name: Final = "cryptography"
    means: Final = "OpenSSL"

    def signer(self, secret: Secret) -> HeldSigner:
        """Make ready to sign with `secret` (32 bytes, 1 to n-1; ValueError otherwise). OpenSSL clears what it frees."""
        return HeldSigner(_sign_with(_private_key(secret)))

    def public_key(self, secret: Secret) -> bytes:
        """Answer the 65-byte uncompressed point of `secret` (32 bytes, 1 to n-1; ValueError otherwise)."""
        return _private_key(secret).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def add(self, secret: Secret, tweak: Secret) -> bytearray:
        """Answer secret + tweak mod n; ValueError if either is out of range or the sum is 0."""
        return _common.add(secret, tweak)
