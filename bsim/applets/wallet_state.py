"""What the wallet applet keeps over power loss, and how it is written down."""

from dataclasses import dataclass, field, replace
from functools import lru_cache
from struct import Struct
from typing import Final

from bsim.crypto import mnemonic
from bsim.crypto.algorithm import Algorithm
from bsim.store import Layout

MAX_SLOTS: Final = 127
MAX_TRIES: Final = 10


@dataclass(frozen=True, slots=True)
class Slot:
    """A derived key: its SLIP-0044 coin type, algorithm, and public key (65 bytes, or 32 for Ed25519)."""

    coin_type: int
    algorithm: Algorithm
    public_key: bytes


@dataclass(frozen=True, slots=True)
class WalletState:
    """The persistent state. `entropy` (16-32 bytes) and `seed` (64 bytes, BIP-39) are empty on a blank card."""

    version: bytes
    entropy: bytes = field(repr=False)
    seed: bytes = field(repr=False)
    bpin: bytes = field(repr=False)
    bpin_is_default: bool
    tries: int
    opening_key: bytes = field(repr=False)
    opened: bool
    terminated: bool
    slots: tuple[Slot, ...]

    @property
    def has_seed(self) -> bool:
        """Whether keys can be derived."""
        return bool(self.entropy)

    @property
    def life_cycle(self) -> str:
        """The state of the applet's life, by the name applet_spec/wallet.toml gives it."""
        if self.terminated:
            return "terminated"
        if self.blocked:
            return "blocked"
        if not self.has_seed:
            return "factory" if self.bpin_is_default else "recovery"
        return "personalised" if self.bpin_is_default else "operational"

    @property
    def blocked(self) -> bool:
        """Whether no BPIN try is left."""
        return self.tries == 0


def with_seed(state: WalletState, entropy: bytes) -> WalletState:
    """Answer the state with another seed (entropy of 16-32 bytes, none if empty) and no slots."""
    return replace(state, entropy=entropy, seed=mnemonic.seed(entropy) if entropy else b"", slots=())


_SLOT_HEAD: Final = Struct(">IBB")  # coin type, algorithm, length of the public key


def _encode_slots(slots: tuple[Slot, ...]) -> bytes:
    return b"".join(
        _SLOT_HEAD.pack(slot.coin_type, slot.algorithm, len(slot.public_key)) + slot.public_key for slot in slots
    )


@lru_cache(maxsize=16)  # going back to a snapshot of a full card need not decode it again; nothing here is secret
def _decode_slots(encoded: bytes) -> tuple[Slot, ...]:
    slots, position = [], 0
    while position < len(encoded):
        if len(encoded) - position < _SLOT_HEAD.size:
            raise ValueError("slots cut short")
        coin_type, algorithm, length = _SLOT_HEAD.unpack_from(encoded, position)
        position += _SLOT_HEAD.size
        slots.append(Slot(coin_type, Algorithm(algorithm), encoded[position : position + length]))
        position += length
    if position != len(encoded) or len(slots) > MAX_SLOTS:
        raise ValueError("slots cut short")
    return tuple(slots)


def _same(value: bytes) -> bytes:
    return bytes(value)


def _byte(value: int) -> bytes:
    return bytes((value,))


def _flag(encoded: bytes) -> bool:
    return encoded != b"\0"


LAYOUT: Final = Layout(
    WalletState,
    "wallet",
    {
        "version": (_same, _same),
        "entropy": (_same, _same),
        "seed": (_same, _same),
        "bpin": (_same, _same),
        "bpin_is_default": (_byte, _flag),
        "tries": (_byte, int.from_bytes),
        "opening_key": (_same, _same),
        "opened": (_byte, _flag),
        "terminated": (_byte, _flag),
        "slots": (_encode_slots, _decode_slots),
    },
    later={"terminated": _byte(False)},
)
