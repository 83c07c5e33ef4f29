"""Records in memory."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from bsim.store.errors import StoreError


class RamStore:
    """Records in memory: a card for as long as the process lives."""

    __slots__ = ("_records", "_snapshots")

    def __init__(self, records: Mapping[str, bytes] | None = None) -> None:
        # Records are replaced whole and never changed, which lets a snapshot keep them as they are.
        self._records: Mapping[str, bytes] = MappingProxyType(dict(records or {}))
        self._snapshots: dict[str, Mapping[str, bytes]] = {}

    def read(self) -> Mapping[str, bytes]:
        """Answer every record."""
        return self._records

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Make all the changes or none."""
        kept = {**self._records, **changes}
        self._records = MappingProxyType({name: value for name, value in kept.items() if value is not None})

    def snapshot(self, name: str) -> None:
        """Keep all records as they are under a name, as long as the store lives."""
        self._snapshots[name] = self._records

    def restore(self, name: str) -> None:
        """Bring back the records kept under a name; StoreError if there are none."""
        if name not in self._snapshots:
            raise StoreError(f"there is no snapshot {name!r} of this card")
        self._records = self._snapshots[name]

    def fork(self, path: Path | None = None) -> "RamStore":
        """Answer another store with the same records; StoreError for a path, as this one is in no file."""
        if path is not None:
            raise StoreError("a card in memory is forked into memory, not into a file")
        return RamStore(self._records)

    def close(self) -> None:
        """Nothing is held open."""
