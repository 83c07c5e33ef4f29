"""Ed25519 (RFC 8032 5.1), by `cryptography`."""

from typing import TYPE_CHECKING

from bsim.crypto.memory import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class Ed25519Signer:
    """One secret key, ready to sign."""

    __slots__ = ("_key",)

    def __init__(self, secret: Secret) -> None:
        self._key: Ed25519PrivateKey | None = _private_key(secret)

    def sign(self, message: bytes) -> bytes:
        """Sign the message as it is (not hashed before): 64 bytes R | S. ValueError once wiped."""
        if self._key is None:
            raise ValueError("this key was wiped")
        return self._key.sign(message)

    def wipe(self) -> None:
        """Let go of the secret: its only copy is OpenSSL's, which clears what it frees."""
        self._key = None


def signer(secret: Secret) -> Ed25519Signer:
    """Make ready to sign with a 32-byte secret (any 32 bytes are one); ValueError for another length."""
    return Ed25519Signer(secret)


def public_key(secret: Secret) -> bytes:
    """Answer the 32-byte public key of a 32-byte secret; ValueError for another length."""
    return _private_key(secret).public_key().public_bytes_raw()


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether the 64-byte signature is of this message under the 32-byte key; ValueError for no key."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    key = Ed25519PublicKey.from_public_bytes(public_key)
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _private_key(secret: Secret) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - 14 ms

    if len(secret) != 32:
        raise ValueError("an Ed25519 secret is 32 bytes")
    return Ed25519PrivateKey.from_private_bytes(secret)
