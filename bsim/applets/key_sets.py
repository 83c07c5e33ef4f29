"""The key sets of a security domain: which a new card has, and how others are written down."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bsim.crypto.scp import S8, S16, Keys

SECRET_PARTS: Final = 3
_OPTIONS: Final = {S8: 0x70, S16: 0x71}  # the parameter i of SCP03. Amendment D table 5-1


class KeyType(IntEnum):
    """How key information and PUT KEY name a kind of key. GlobalPlatform 2.3.1 table 11-16."""

    DES = 0x80
    AES = 0x88


@dataclass(frozen=True, slots=True)
class KeySet:
    """Three keys under one version (01-7F)."""

    version: int
    keys: Keys

    @property
    def type(self) -> KeyType:
        """AES in versions 30-3F, DES in all others."""
        return KeyType.AES if 0x30 <= self.version <= 0x3F else KeyType.DES

    @property
    def protocol(self) -> bytes:
        """The number of the secure channel protocol and, as INITIALIZE UPDATE tells them for SCP03, its options."""
        return b"\x02" if self.type is KeyType.DES else bytes((0x03, _OPTIONS[self.challenge]))

    @property
    def challenge(self) -> int:
        """How many bytes challenges have: 16 in versions 38-3F, which use S16 mode, 8 in all others."""
        return S16 if 0x38 <= self.version <= 0x3F else S8

    @property
    def counter_length(self) -> int:
        """How many bytes the sequence counter has."""
        return 2 if self.type is KeyType.DES else 3

    @property
    def check_values(self) -> bytes:
        """The key check values of the three keys, 3 bytes each."""
        from bsim.crypto.scp import scp02, scp03  # noqa: PLC0415 - for those who ask

        check = scp03.key_check_value if self.type is KeyType.AES else scp02.key_check_value
        return b"".join(check(key) for key in (self.keys.enc, self.keys.mac, self.keys.dek))


def test_keys(length: int) -> Keys:
    """GlobalPlatform's default keys, 40 41 ... 4F, and from the start again where they are longer than 16 bytes."""
    key = (bytes(range(0x40, 0x50)) * 2)[:length]
    return Keys(key, key, key)


# As SIM cards have them: SCP02 in versions 01, 20-2F and 70, SCP03 in 30-3F. They cost an idle card nothing.
SHIPPED: Final = tuple(
    KeySet(version, test_keys(length))
    for version, length in (
        *((version, 16) for version in (0x01, 0x20, 0x21, 0x22)),
        *((0x30, 16), (0x31, 24), (0x32, 32), (0x3F, 16), (0x70, 16)),
    )
)


def acceptable(version: int, lengths: set[int]) -> bool:
    """Whether keys of these lengths may stand under a version."""
    if not 0x01 <= version <= 0x7F or len(lengths) != 1:
        return False
    aes = KeySet(version, Keys(b"", b"", b"")).type is KeyType.AES
    return lengths <= ({16, 24, 32} if aes else {16})


def encode(key_sets: tuple[KeySet, ...]) -> bytes:
    """Write key sets down: version, length of a key, the keys."""
    return b"".join(
        bytes((one.version, len(one.keys.enc))) + one.keys.enc + one.keys.mac + one.keys.dek for one in key_sets
    )


def decode(encoded: bytes) -> tuple[KeySet, ...]:
    """Read what `encode` wrote; ValueError if it did not write it."""
    key_sets: list[KeySet] = []
    position = 0
    while position < len(encoded):
        version, length = encoded[position : position + 2]
        keys = [
            encoded[at : at + length] for at in range(position + 2, position + 2 + SECRET_PARTS * length, length or 1)
        ]
        if len(keys) != SECRET_PARTS or not acceptable(version, {len(key) for key in keys}):
            raise ValueError("key sets cut short")
        key_sets.append(KeySet(version, Keys(*keys)))
        position += 2 + SECRET_PARTS * length
    return tuple(key_sets)
