"""GlobalPlatform secure channels: what INITIALIZE UPDATE answers, and commands and responses wrapped and unwrapped.

Pure: a channel is made of keys, challenges and counters, and remembers its MAC chain; who may open one, and what it
grants, is the applet's business.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Protocol

S8: Final = 8
S16: Final = 16
"""Bytes of SCP03's challenges and MACs in its two modes. Amendment D table 5-1."""
_C_MAC: Final = 0x04


class WrongMacError(ValueError):
    """A command whose MAC or padding is wrong: the channel is over."""


@dataclass(frozen=True, slots=True)
class Keys:
    """A key set's three static keys: 16 bytes each for 3DES, 16, 24 or 32 for AES."""

    enc: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    dek: bytes = field(repr=False)


class Level(IntEnum):
    """How much of what is said is secured. GlobalPlatform 2.3.1 table 10-1."""

    NONE = 0x00
    C_MAC = 0x01
    C_DECRYPTION = 0x03
    R_MAC = 0x11
    C_DECRYPTION_R_MAC = 0x13
    R_ENCRYPTION = 0x33


class Channel(Protocol):
    """A secure channel from the card's side, from INITIALIZE UPDATE on."""

    @property
    def level(self) -> Level:
        """The security level that EXTERNAL AUTHENTICATE asked for; NONE before."""
        ...

    @property
    def answer(self) -> bytes:
        """What INITIALIZE UPDATE answers after the key information: challenge, cryptogram, and what belongs to them."""
        ...

    def proof(self, level: int) -> bytes:
        """Answer what a host that knows the keys sends with EXTERNAL AUTHENTICATE; it serves tests of the card."""
        ...

    def authenticate(self, level: int, authentication: bytes) -> bool:
        """Judge EXTERNAL AUTHENTICATE's host cryptogram and MAC; the channel is open when both are right."""
        ...

    def unwrap(self, raw: bytes) -> bytes:
        """Answer the command a secured command carries, its class without the bit that says so.

        WrongMacError if the MAC or the padding is wrong, SwError 6700 if the lengths are those of no command.
        """
        ...

    def wrap(self, response: bytes) -> bytes:
        """Protect a response (data and status word) as the level demands."""
        ...

    def decrypt_key(self, encrypted: bytes) -> bytes:
        """Answer a key that PUT KEY carries (whole blocks), decrypted with the data encryption key."""
        ...

    def secured(self, raw: bytes) -> bytes:
        """Answer a plain command as a host that knows the keys sends it next; it serves tests of the card.

        SwError 6700 if it is no command, or too long.
        """
        ...

    def opened(self, response: bytes) -> bytes:
        """Answer what such a host reads in the response to the last command; it serves tests of the card.

        WrongMacError if the MAC or the padding is wrong.
        """
        ...


def plain_class(cla: int) -> bytes:
    """Answer a class byte without what says that the command is secured, on the same channel. 11.1.4."""
    return bytes((cla & ~0x20 if cla & 0x40 else cla & ~_C_MAC,))


def secured_class(cla: int) -> bytes:
    """Undo `plain_class`."""
    return bytes((cla | 0x20 if cla & 0x40 else cla | _C_MAC,))
