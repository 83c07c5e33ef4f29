"""A key in a slot, as EXPORT PUBKEYS tells it."""

from dataclasses import dataclass
from struct import unpack_from
from typing import Final, Self

from bsim import tlv
from bsim.chains import address, coin_name
from bsim.crypto.algorithm import Algorithm

_PUBLIC_KEY_TAG: Final = 0xC2
_HEAD: Final = 6  # coin type (4), slot, algorithm
_UNCOMPRESSED: Final = 0x04


@dataclass(frozen=True, slots=True)
class Account:
    """A key in a slot (1-127) of the card: 65 bytes of an uncompressed point, or 32 of an Ed25519 key."""

    slot: int
    coin_type: int
    algorithm: Algorithm
    public_key: bytes

    @property
    def coin(self) -> str:
        """The coin's name, or its SLIP-0044 number."""
        return coin_name(self.coin_type)

    @property
    def address(self) -> str | None:
        """The address in the chain's own text form; None where bsim does not know the chain."""
        return address(self.coin_type, self.algorithm, self.public_key)

    @classmethod
    def parse(cls, part: tlv.Tlv) -> Self:
        """Read one C2 data object; TlvError if it is none, or of an algorithm not known here."""
        if part.tag != _PUBLIC_KEY_TAG or len(part.value) <= _HEAD:
            raise tlv.TlvError("a public key is a C2 data object")
        coin_type, slot, algorithm = unpack_from(">IBB", part.value)
        if algorithm not in set(Algorithm):
            raise tlv.TlvError(f"slot {slot} has an algorithm not known here: {algorithm:02X}")
        key = part.value[_HEAD:]
        if key[0] == len(key) - 1 and key[0] != _UNCOMPRESSED:
            key = key[1:]  # with its length before it
        return cls(slot, coin_type, Algorithm(algorithm), key)
