"""The backup envelope EXPORT SEED answers and RESTORE SEED takes (chosen: the real card's is not known).

    version(1) = 01 | salt(16) | nonce(12) | AES-256-GCM(entropy) | tag(16)

The key is PBKDF2-HMAC-SHA256 of key2 under the salt; version and salt are authenticated with the ciphertext.
A wrong key2 and a damaged backup are one error: nothing here can tell them apart.
"""

import hashlib
from typing import TYPE_CHECKING, Final

from bsim.crypto.mnemonic import ENTROPY_LENGTHS
from bsim.ports import Rng

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ITERATIONS: Final = 100_000
_VERSION: Final = b"\x01"
_SALT: Final = 16
_NONCE: Final = 12
_TAG: Final = 16
_HEADER: Final = len(_VERSION) + _SALT
OVERHEAD: Final = _HEADER + _NONCE + _TAG
"""How many bytes longer than the entropy an envelope is."""


def seal(entropy: bytes, key2: bytes, rng: Rng) -> bytes:
    """Wrap 16, 20, 24, 28 or 32 bytes of entropy under key2 (any length); ValueError for another length."""
    if len(entropy) not in ENTROPY_LENGTHS:
        raise ValueError(f"entropy is 16, 20, 24, 28 or 32 bytes, not {len(entropy)}")
    header = _VERSION + rng(_SALT)
    nonce = rng(_NONCE)
    return header + nonce + _cipher(key2, header).encrypt(nonce, entropy, header)


def unseal(blob: bytes, key2: bytes) -> bytes:
    """Answer the entropy inside; ValueError if blob is no envelope, was changed, or is under another key2."""
    # Before the key derivation, which costs a thousand signatures and is not for junk.
    if len(blob) - OVERHEAD not in ENTROPY_LENGTHS or blob[:1] != _VERSION:
        raise ValueError("not a backup envelope")
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415

    header, nonce, sealed = blob[:_HEADER], blob[_HEADER : _HEADER + _NONCE], blob[_HEADER + _NONCE :]
    try:
        return _cipher(key2, header).decrypt(nonce, sealed, header)
    except InvalidTag:
        raise ValueError("the backup is damaged, or key2 is wrong") from None


def _cipher(key2: bytes, header: bytes) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - 14 ms, paid by backups

    salt = header[len(_VERSION) :]
    return AESGCM(hashlib.pbkdf2_hmac("sha256", key2, salt, ITERATIONS))
