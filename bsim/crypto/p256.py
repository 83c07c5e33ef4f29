"""ECDSA over P-256 (SEC 2 2.4.2, secp256r1) by OpenSSL through `cryptography`: RFC 6979 nonces, s as it comes.

The chains that take this curve verify as FIPS 186-5 does and have no rule against an s in the upper half.
"""

from typing import TYPE_CHECKING, Final

from bsim.crypto.memory import Secret, wipe

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

ORDER: Final = 0xFFFFFFFF_00000000_FFFFFFFF_FFFFFFFF_BCE6FAAD_A7179E84_F3B9CAC2_FC632551

# RFC 5915 3: ECPrivateKey ::= SEQUENCE { version 1, privateKey OCTET STRING, parameters [0] secp256r1 }.
_DER_HEAD: Final = bytes.fromhex("3031 020101 0420")
_DER_TAIL: Final = bytes.fromhex("A00A 0608 2A8648CE3D030107")


class P256Signer:
    """One secret key, ready to sign."""

    __slots__ = ("_algorithm", "_key")

    def __init__(self, secret: Secret) -> None:
        self._key: ec.EllipticCurvePrivateKey | None = _private_key(secret)
        self._algorithm: Final = _algorithm(deterministic=True)

    def sign(self, digest: bytes) -> bytes:
        """Sign a 32-byte digest: DER `SEQUENCE { INTEGER r, INTEGER s }`, at most 72 bytes. ValueError once wiped."""
        if self._key is None:
            raise ValueError("this key was wiped")
        return self._key.sign(digest, self._algorithm)

    def wipe(self) -> None:
        """Let go of the secret: its only copy is OpenSSL's, which clears what it frees."""
        self._key = None


def signer(secret: Secret) -> P256Signer:
    """Make ready to sign with a secret of 32 bytes, 1 to n-1; ValueError otherwise."""
    return P256Signer(secret)


def public_key(secret: Secret) -> bytes:
    """Answer the 65-byte uncompressed point of a secret; ValueError if it is none."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    return _private_key(secret).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def verify(public_key: bytes, digest: bytes, der: bytes) -> bool:
    """Say whether `der` signs the 32-byte digest under the key (65 or 33 bytes); ValueError for no key."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
    try:
        key.verify(der, digest, _algorithm(deterministic=False))
    except InvalidSignature:
        return False
    return True


def _algorithm(*, deterministic: bool) -> "ec.ECDSA":
    from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: PLC0415 - 14 ms
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    return ec.ECDSA(utils.Prehashed(SHA256()), deterministic_signing=deterministic)


def _private_key(secret: Secret) -> "ec.EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_private_key  # noqa: PLC0415

    # As DER, and not by its number: a bytearray can be wiped.
    der = bytearray(_DER_HEAD) + secret + _DER_TAIL
    try:
        key = load_der_private_key(der, None)
    except ValueError:
        key = None
    finally:
        wipe(der)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("a P-256 secret is 32 bytes, 1 to n-1")  # noqa: TRY004 - what is wrong is the secret
    return key
