"""The outside world as the card sees it, and the card as the outside world sees it: Protocols only."""

from collections.abc import Mapping
from typing import Protocol


class CardLost(Exception):  # noqa: N818 - what happened to the card, told to people
    """No answer comes from this card until it is reset. Links show their clients what a real card's loss looks like.

    Raised by readers and by wrappers that play one; an emulated card answers everything.
    """


class CardRemoved(CardLost):
    """The card was taken out of its reader; `reset` stands for putting it in again."""


class CardMute(CardLost):
    """The card is in its reader and says nothing; `reset` wakes it."""


class Card(Protocol):
    """The one plug: an emulated card, a real one, a replay, and every wrapper have this shape and nothing more.

    Both methods may raise `CardLost`.
    """

    def reset(self) -> bytes:
        """Power-cycle the card; answers the ATR (2-33 bytes, ISO/IEC 7816-3 8.2)."""
        ...

    def transmit(self, command: bytes) -> bytes:
        """Carry one command APDU in, and the response APDU (data, SW1, SW2: at least 2 bytes) out."""
        ...


class Store(Protocol):
    """What survives power loss: named records, changed many at a time and all at once."""

    def read(self) -> Mapping[str, bytes]:
        """Answer every record."""
        ...

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Make all the changes or none; `None` deletes a record."""
        ...

    def close(self) -> None:
        """Let go of what the store holds open; a store that is closed twice stays closed."""
        ...


class Rng(Protocol):
    """Where the card's randomness comes from."""

    def __call__(self, length: int, /) -> bytes:
        """Answer `length` random bytes."""
        ...


class Clock(Protocol):
    """Where time comes from."""

    def __call__(self) -> float:
        """Answer seconds since some moment; never less than before."""
        ...
