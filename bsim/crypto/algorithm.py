"""The key algorithms a card knows, by the byte DERIVE KEY and EXPORT PUBKEYS carry."""

from enum import IntEnum


class Algorithm(IntEnum):
    """The algorithm byte of a slot (wallet applet, known)."""

    SECP256K1 = 1
    ED25519 = 2
