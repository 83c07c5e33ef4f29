"""The GlobalPlatform registry: what is installed on a card, in which state of its life, and what follows from it."""

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Final, NamedTuple


class CardState(IntEnum):
    """The states of a card's life. GlobalPlatform 2.3.1 table 11-5."""

    OP_READY = 0x01
    INITIALIZED = 0x07
    SECURED = 0x0F
    CARD_LOCKED = 0x7F
    TERMINATED = 0xFF


class ApplicationState(IntEnum):
    """The states of an application's life; `DELETED` is how its absence is kept. GlobalPlatform 2.3.1 table 11-4."""

    DELETED = 0x00
    INSTALLED = 0x03
    SELECTABLE = 0x07


LOCKED: Final = 0x80

# GlobalPlatform 2.3.1, 5.1.1 and figure 5-1: forward only, but for locking, which is undone.
STEPS: Final[Mapping[int, frozenset[int]]] = {
    CardState.OP_READY: frozenset({CardState.INITIALIZED, CardState.SECURED, CardState.TERMINATED}),
    CardState.INITIALIZED: frozenset({CardState.SECURED, CardState.TERMINATED}),
    CardState.SECURED: frozenset({CardState.CARD_LOCKED, CardState.TERMINATED}),
    CardState.CARD_LOCKED: frozenset({CardState.SECURED, CardState.TERMINATED}),
    CardState.TERMINATED: frozenset(),
}


class Application(NamedTuple):
    """An application the domain manages: its AID, which is its module's as well, its load file, its privileges.

    `erase` makes it as new: deleting an application takes all it holds with it.
    """

    aid: bytes
    load_file: bytes
    erase: Callable[[], None]
    privileges: bytes = bytes(3)


def encode(states: Mapping[bytes, int]) -> bytes:
    """Write down the states that are not SELECTABLE, by AID."""
    return b"".join(bytes((len(aid),)) + aid + bytes((state,)) for aid, state in states.items())


def decode(encoded: bytes) -> Mapping[bytes, int]:
    """Read what `encode` wrote; ValueError if it did not write it."""
    states: dict[bytes, int] = {}
    position = 0
    while position < len(encoded):
        end = position + 1 + encoded[position]
        if end >= len(encoded):
            raise ValueError("the registry is cut short")
        states[encoded[position + 1 : end]] = encoded[end]
        position = end + 1
    return states
