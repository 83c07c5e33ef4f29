"""What every card of a fleet is made from: one seed, and a scheme that others can repeat.

With HKDF-SHA256 (RFC 5869), the fleet seed as key material (text: its UTF-8 bytes) and the salt "bsim fleet 1":

    entropy of card i   HKDF(info = "entropy" and i as 8 bytes, big endian), 32 bytes: BIP-39, 24 words, no passphrase
    ICCID of card i     "898603", then (HKDF(info = "iccid"), 32 bytes read big endian, + i) mod 10^12 in 12 digits,
                        then the Luhn digit

Cards count from 0. ICCIDs of one fleet differ because they are consecutive; entropies, as digests do. Neither depends
on how many cards there are. A change of this scheme takes another salt.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bsim.applets import wallet_state
from bsim.applets.keys import Keys
from bsim.applets.wallet_state import MAX_SLOTS, Slot
from bsim.crypto.algorithm import Algorithm
from bsim.crypto.derive import HARDENED
from bsim.profiles import (
    DEFAULT_BPIN,
    Personalisation,
    default_engine,
    personalisation,
    personalise,
    profile_named,
    random_iccid,
)
from bsim.store import RamStore

Coins = tuple[tuple[int, Algorithm], ...]
"""Coin type and algorithm of each slot, from slot 1 on."""

ETHER: Final[Coins] = ((60, Algorithm.SECP256K1),)
MOST_CARDS: Final = 10**12  # the digits of an ICCID that are left to count with
_SALT: Final = b"bsim fleet 1"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides what a fleet's cards are; ValueError if it cannot be. Never shows the seed or the BPIN."""

    seed: bytes = field(repr=False)
    size: int
    coins: Coins = ETHER
    profile: str = "extended"
    bpin: str = field(default=DEFAULT_BPIN, repr=False)

    def __post_init__(self) -> None:
        if not self.seed:
            raise ValueError("a fleet seed has at least one byte")
        if not 0 < self.size <= MOST_CARDS:
            raise ValueError(f"a fleet has 1 to {MOST_CARDS:,} cards, not {self.size:,}")
        if len(self.coins) > MAX_SLOTS:
            raise ValueError(f"a card has {MAX_SLOTS} slots, not {len(self.coins)}")
        personalisation(blank=True, bpin=self.bpin, profile=self.profile)  # judges profile and BPIN
        algorithms = profile_named(self.profile).rules.algorithms
        for coin_type, algorithm in self.coins:
            if not 0 <= coin_type < HARDENED or algorithm not in algorithms:
                raise ValueError(f"no key of coin type {coin_type} and algorithm {algorithm} can be derived")

    def entropy(self, card: int) -> bytes:
        """Answer the BIP-39 entropy of a card, 32 bytes."""
        return self._expand(b"entropy" + card.to_bytes(8, "big"))

    def iccid(self, card: int) -> bytes:
        """Answer the ICCID of a card as EF.ICCID holds it, 10 bytes."""
        number = (int.from_bytes(self._expand(b"iccid"), "big") + card) % MOST_CARDS
        return random_iccid(lambda length: number.to_bytes(length, "big"))

    def blank(self) -> Mapping[str, bytes]:
        """Answer the records that cards have before they differ."""
        return self._personalised(b"", bytes(10)).read()

    def records(self, card: int) -> Mapping[str, bytes]:
        """Answer the records of a card: seeded, and with a key in a slot for each coin."""
        store = self._personalised(self.entropy(card), self.iccid(card))
        state = wallet_state.LAYOUT.load(store.read())
        keys = Keys(default_engine())
        slots = tuple(
            Slot(coin_type, algorithm, keys.public_key(state.seed, coin_type, number, algorithm))
            for number, (coin_type, algorithm) in enumerate(self.coins, 1)
        )
        keys.wipe()
        store.write(wallet_state.LAYOUT.changes(state, replace(state, slots=slots)))
        return store.read()

    def _personalised(self, entropy: bytes, iccid: bytes) -> RamStore:
        store = RamStore()
        profile = profile_named(self.profile)
        personalise(store, Personalisation(profile=profile, iccid=iccid, entropy=entropy, bpin=self.bpin))
        return store

    def _expand(self, info: bytes) -> bytes:
        """HKDF with SHA-256, 32 bytes. RFC 5869 2.2 and 2.3, whose only block is the first."""
        key = hmac.digest(_SALT, self.seed, "sha256")
        return hmac.digest(key, info + b"\1", "sha256")
