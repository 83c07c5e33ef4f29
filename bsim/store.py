"""What survives power loss: named records kept by a store, and the card's view of them, committed all at once."""

import os
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

from bsim.ports import Store

State = TypeVar("State")

FORMAT: Final = b"1"
_FORMAT_RECORD: Final = "card.format"


class StoreError(Exception):
    """A store that cannot be opened, read or written; the message says which file and what to do."""


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


class SqliteStore:
    """Records in one SQLite file, written in one transaction a command."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self._path = path
        if create:
            self._create()
        elif not path.is_file():
            raise StoreError(f"{path}: no such card file; `bsim new {path}` makes one")
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            if create:
                self._database.execute("CREATE TABLE record (name TEXT PRIMARY KEY, value BLOB NOT NULL)")
                self.write({_FORMAT_RECORD: FORMAT})
            else:
                self._check()
            # A committed command must survive power loss, as it does on the card.
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error as fault:
            self._database.close()
            raise StoreError(f"{path}: not a usable card file ({fault})") from fault
        except StoreError:
            self._database.close()
            raise

    def read(self) -> Mapping[str, bytes]:
        """Answer every record."""
        try:
            return dict(self._database.execute("SELECT name, value FROM record"))
        except sqlite3.Error as fault:
            raise StoreError(f"{self._path}: cannot be read ({fault})") from fault

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Make all the changes or none."""
        try:
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                for name, value in changes.items():
                    if value is None:
                        self._database.execute("DELETE FROM record WHERE name = ?", (name,))
                    else:
                        self._database.execute("INSERT OR REPLACE INTO record VALUES (?, ?)", (name, value))
        except sqlite3.Error as fault:
            raise StoreError(f"{self._path}: cannot be written ({fault})") from fault

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _create(self) -> None:
        try:
            # The file holds keys: nobody else may read it, from its first byte on.
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            raise StoreError(f"{self._path}: exists already; a card file is never overwritten") from None
        except OSError as fault:
            raise StoreError(f"{self._path}: cannot be made ({fault.strerror})") from fault

    def _check(self) -> None:
        found = self._database.execute("SELECT value FROM record WHERE name = ?", (_FORMAT_RECORD,)).fetchone()
        if found is None or found[0] != FORMAT:
            raise StoreError(f"{self._path}: made by another version of bsim")


class Layout(Generic[State]):
    """How one frozen state is kept as records: a name, an encoder and a decoder for each of its fields."""

    def __init__(
        self,
        kind: Callable[..., State],
        prefix: str,
        codecs: Mapping[str, tuple[Callable[[Any], bytes], Callable[[bytes], Any]]],
    ) -> None:
        self._kind = kind
        self._prefix = prefix
        self._codecs = codecs

    def load(self, records: Mapping[str, bytes]) -> State:
        """Build the state from its records; StoreError if one is missing or malformed."""
        try:
            return self._kind(
                **{name: decode(records[f"{self._prefix}.{name}"]) for name, (_, decode) in self._codecs.items()}
            )
        except (KeyError, ValueError) as fault:
            raise StoreError(f"the card's {self._prefix} records are incomplete or damaged") from fault

    def changes(self, old: State | None, new: State) -> dict[str, bytes | None]:
        """Encode the fields in which the states differ; all of them where there is no old state."""
        return {
            f"{self._prefix}.{name}": encode(getattr(new, name))
            for name, (encode, _) in self._codecs.items()
            if old is None or getattr(old, name) != getattr(new, name)
        }


class Cell(Generic[State]):
    """One applet's persistent state within the card's memory: replaced whole, never changed in place."""

    __slots__ = ("_layout", "_memory", "saved", "value")

    def __init__(self, memory: "Memory", layout: Layout[State], value: State) -> None:
        self._memory = memory
        self._layout = layout
        self.saved = self.value = value

    def put(self, value: State) -> None:
        """Replace the state; it lasts once the memory commits."""
        self.value = value
        self._memory.dirty = True

    def changes(self) -> dict[str, bytes | None]:
        """Encode what differs from what is saved."""
        return {} if self.value is self.saved else self._layout.changes(self.saved, self.value)


class Memory:
    """All persistent state of one powered card."""

    __slots__ = ("_cells", "_store", "dirty")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cells: list[Cell[Any]] = []
        self.dirty = False

    def cell(self, layout: Layout[State]) -> Cell[State]:
        """Load one applet's state; StoreError if its records are damaged."""
        cell = Cell(self, layout, layout.load(self._store.read()))
        self._cells.append(cell)
        return cell

    def commit(self) -> None:
        """Write all that changed in one transaction; StoreError leaves the old state, here and in the store."""
        changes: dict[str, bytes | None] = {}
        for cell in self._cells:
            changes |= cell.changes()
        if changes:
            self._store.write(changes)
        for cell in self._cells:
            cell.saved = cell.value
        self.dirty = False

    def rollback(self) -> None:
        """Forget what was put since the last commit."""
        for cell in self._cells:
            cell.value = cell.saved
        self.dirty = False

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()
