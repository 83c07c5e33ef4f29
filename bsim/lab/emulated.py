"""An emulated card with what no real one can do: snapshots, forks, and a phone that comes with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from bsim.ports import Card, Store
from bsim.profiles import power_on
from bsim.store import RamStore

Phone = Callable[[Card], Card]
"""Puts a card into a phone, or leaves it bare."""


class SnapshotStore(Store, Protocol):
    """A store whose contents can be kept by name, brought back, and copied."""

    def snapshot(self, name: str) -> None:
        """Keep all records as they are under a name."""
        ...

    def restore(self, name: str) -> None:
        """Bring back the records kept under a name; StoreError if there are none."""
        ...

    def fork(self, path: Path | None = None) -> "SnapshotStore":
        """Answer another store with the same records: in a new file for a store in a file, else in memory."""
        ...


class EmulatedCard:
    """A powered card of ours; itself a card. `transmit` is the card's own, with nothing in between.

    All but `transmit` and `reset` are for one thread, at a moment when nobody else uses the card.
    """

    __slots__ = ("_phone", "_plug", "_store", "_uicc", "transmit")

    def __init__(self, store: SnapshotStore, phone: Phone) -> None:
        """Power on the card that a store holds; StoreError if it holds none."""
        self._store: Final = store
        self._phone: Final = phone
        self._uicc: Final = power_on(store)
        self._plug: Final = phone(self._uicc)
        self.transmit: Final[Callable[[bytes], bytes]] = self._plug.transmit

    def reset(self) -> bytes:
        """Power-cycle the card; answers the ATR."""
        return self._plug.reset()

    def snapshot(self, name: str) -> None:
        """Keep what survives power loss under a name: in memory, or beside the card's file. StoreError if it cannot."""
        self._store.snapshot(name)

    def restore(self, name: str) -> bytes:
        """Go back to a snapshot, power-cycled; answers the ATR. StoreError if there is none of that name."""
        self._store.restore(name)
        self._uicc.reload()
        return self._plug.reset()

    def fork(self, path: Path | None = None) -> "EmulatedCard":
        """Answer another card with the same contents, powered on: in memory, or in a new file for a card in a file."""
        return EmulatedCard(self._store.fork(path), self._phone)

    def fork_store(self) -> SnapshotStore:
        """Answer a copy of the card's contents in memory, for a card in another phone."""
        return RamStore(dict(self._store.read()))

    def close(self) -> None:
        """Power off for good, and let go of the store."""
        self._uicc.close()
