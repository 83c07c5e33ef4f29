"""BIP-39 mnemonics, English list. No message of this module holds a word of anyone's mnemonic."""

import hashlib
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mnemonic import Mnemonic

ENTROPY_LENGTHS: Final = (16, 20, 24, 28, 32)  # BIP-39 "Generating the mnemonic": 128 to 256 bits, by 32
WORD_COUNTS: Final = (12, 15, 18, 21, 24)
_ROUNDS: Final = 2048  # BIP-39 "From mnemonic to seed"


@cache
def _english() -> "Mnemonic":
    from mnemonic import Mnemonic  # noqa: PLC0415 - 13 ms and 2,048 words, paid by those who need them

    return Mnemonic("english")


def _words(text: str) -> list[str]:
    return unicodedata.normalize("NFKD", text).lower().split()


def to_entropy(text: str) -> bytes:
    """Read a mnemonic of 12, 15, 18, 21 or 24 words into its 16-32 bytes, whatever its case and spacing.

    ValueError for a wrong number of words, a word not in the list (named by its place) or a wrong checksum.
    """
    words = _words(text)
    if len(words) not in WORD_COUNTS:
        raise ValueError(f"a mnemonic has 12, 15, 18, 21 or 24 words, not {len(words)}")
    known = set(_english().wordlist)
    unknown = [str(place) for place, word in enumerate(words, 1) if word not in known]
    if unknown:
        raise ValueError(f"not in the BIP-39 English word list: word {', '.join(unknown)}")
    try:
        return bytes(_english().to_entropy(words))
    except ValueError:
        # Raised anew: what the library says in its exception is not ours to promise.
        raise ValueError("the mnemonic's checksum is wrong: a word is mistyped or out of order") from None


def from_entropy(entropy: bytes) -> str:
    """Write 16, 20, 24, 28 or 32 bytes as a mnemonic; ValueError for another length."""
    if len(entropy) not in ENTROPY_LENGTHS:
        raise ValueError(f"entropy is 16, 20, 24, 28 or 32 bytes, not {len(entropy)}")
    return _english().to_mnemonic(entropy)


def seed(secret: bytes | str, passphrase: str = "") -> bytes:
    """Answer the 64-byte seed of an entropy or a mnemonic under a passphrase; ValueError if it is neither."""
    entropy = to_entropy(secret) if isinstance(secret, str) else secret
    salt = "mnemonic" + unicodedata.normalize("NFKD", passphrase)
    # The list's own spelling is hashed, so that a mnemonic typed in capitals opens the same wallet.
    return hashlib.pbkdf2_hmac("sha512", from_entropy(entropy).encode(), salt.encode(), _ROUNDS)
