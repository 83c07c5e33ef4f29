"""Records in memory."""

from collections.abc import Mapping
from types import MappingProxyType


class RamStore:
    """Records in memory: a card for as long as the process lives."""

    def __init__(self, records: Mapping[str, bytes] | None = None) -> None:
        self._records = dict(records or {})

    def read(self) -> Mapping[str, bytes]:
        """Answer every record."""
        return MappingProxyType(self._records)

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Make all the changes or none."""
        kept = self._records | {name: value for name, value in changes.items() if value is not None}
        self._records = {name: value for name, value in kept.items() if changes.get(name, value) is not None}

    def close(self) -> None:
        """Nothing is held open."""
