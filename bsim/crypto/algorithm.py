"""The key algorithms a card knows, by the byte DERIVE KEY and EXPORT PUBKEYS carry."""

from enum import IntEnum


class Algorithm(IntEnum):
    """The algorithm byte of a slot: 1 and 2 are the real card's (known), 3 and 4 ours (chosen)."""

    SECP256K1 = 1
    ED25519 = 2
    SM2 = 3
    P256 = 4
