"""A card in a file: SQLite keeps it whole, one transaction a command; every record in it is sealed."""

import logging
import os
import re
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from bsim.ports import Rng
from bsim.store import schema, sealing
from bsim.store.errors import BusyError, StoreError
from bsim.store.examine import examined
from bsim.store.keyring import Given, Unlock, sync_folder
from bsim.store.lock import FileLock
from bsim.store.seal import Header
from bsim.store.sealing import Sealing

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_log: Final = logging.getLogger("bsim.store")
_READ_ONLY: Final = "cannot be written: the file or its folder is read-only"
_TROUBLE: Final = {
    "SQLITE_BUSY": "in use by another program",
    "SQLITE_READONLY": _READ_ONLY,
    "SQLITE_CANTOPEN": _READ_ONLY,
    "SQLITE_FULL": "cannot be written: the disk is full",
    "SQLITE_IOERR": "cannot be written: the disk is full, or fails",
}
_SETTINGS: Final = (
    # Held from here to `close`: a second program gets its error at once, and no memory is shared with any.
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA trusted_schema = OFF",
    # What is replaced is overwritten with zeros: an old wrapping must not be found in a rekeyed file.
    "PRAGMA secure_delete = ON",
    "PRAGMA journal_mode = WAL",
    # A committed command must survive power loss, as it does on the card.
    "PRAGMA synchronous = FULL",
    "PRAGMA wal_autocheckpoint = 64",
)


class SqliteStore:
    """Records in one file, held by one process. Without an `unlock` it is a plain file, whose key lies in it."""

    def __init__(
        self, path: Path, *, create: bool = False, unlock: Unlock | None = None, rng: Rng = secrets.token_bytes
    ) -> None:
        """Open a card file, or make one that holds no card yet; StoreError says what is wrong with it."""
        self._path: Final = path
        self._real: Final = path.resolve()  # a link and the file it means are one card, with one lock and one log
        self._rng: Final = rng
        self._unlock = unlock or Given()
        self._database: sqlite3.Connection | None = None
        self._lock: FileLock | None = None
        if create:
            _reserve(self._real, path)
        elif not path.exists():
            raise StoreError(f"{path}: no such card file; `bsim new {path}` makes one")
        try:
            self._lock = FileLock(self._real)
            self._sealing = self._create(self._unlock) if create else self._open(self._unlock)
        except BaseException as fault:
            self.close()
            if create:
                self._real.unlink(missing_ok=True)  # half a card is none
            if isinstance(fault, StoreError):
                raise self._named(fault) from fault.__cause__
            raise

    @property
    def header(self) -> Header:
        """What the file tells in the clear."""
        return self._sealing.header

    def read(self) -> Mapping[str, bytes]:
        """Answer every record; StoreError if one is not the one that was written."""
        try:
            rows = self._connected.execute("SELECT name, version, value FROM record").fetchall()
            return self._sealing.open_all({name: (version, value) for name, version, value in rows})
        except sqlite3.Error as fault:
            raise StoreError(f"{self._path}: cannot be read ({fault})") from fault
        except StoreError as fault:
            raise self._named(fault) from fault.__cause__

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Make all the changes or none."""
        with self._transaction() as database:
            after = self._sealing.write(database, changes)
        self._sealing = after

    def rekey(self, unlock: Unlock) -> None:
        """Seal everything anew under another card key, card id and wrapping, all at once.

        An old secret, or what an old copy of the file holds, opens that copy and no more.
        """
        records = self.read()
        with self._transaction() as database:
            database.execute("DELETE FROM record")
            after = self._begin(database, unlock, self._sealing.manifest.commits, records)
        self._sealing, self._unlock = after, unlock
        self._tidy()

    def snapshot(self, name: str) -> None:
        """Keep the whole file as it is beside itself, as FILE@NAME.bsim: a card file under the same secret."""
        path = self.snapshot_path(name)
        partial = path.with_name(path.name + "-new")
        partial.unlink(missing_ok=True)  # left by a process that was killed while it wrote it
        self._copy_to(partial)
        partial.replace(path)  # an older snapshot of that name is replaced by a whole one, or not at all

    def restore(self, name: str) -> None:
        """Go back to a snapshot in one transaction; StoreError if there is none, or it is not of this very card."""
        path = self.snapshot_path(name)
        if not path.is_file():
            raise StoreError(f"there is no snapshot {name!r} of this card: {path} does not exist")
        with examined(path) as copy:
            schema.format_of(copy)
            contents = schema.read_contents(copy)
        after = self._sealing.reopened(contents)
        with self._transaction() as database:
            schema.write_contents(database, contents)
        self._sealing = after

    def fork(self, path: Path | None = None) -> "SqliteStore":
        """Answer the store of a new file with the same contents, under the same secret."""
        if path is None:
            raise StoreError(f"{self._path}: a card in a file is forked into a file; name one")
        self._copy_to(path)
        return SqliteStore(path, unlock=self._unlock, rng=self._rng)

    def snapshot_path(self, name: str) -> Path:
        """Answer where the snapshot of a name lies; StoreError for a name that is none."""
        if not _NAME.fullmatch(name):
            raise StoreError(f"{name!r} is no name for a snapshot: letters, digits, dots, hyphens and underscores are")
        return self._real.with_name(f"{self._real.stem}@{name}{self._real.suffix}")

    def close(self) -> None:
        """Close the file and let others have it."""
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._lock is not None:
            self._lock.release()

    @property
    def _connected(self) -> sqlite3.Connection:
        if self._database is None:
            raise StoreError(f"{self._path}: closed")
        return self._database

    def _copy_to(self, path: Path) -> None:
        """Copy the file, with what its log holds, by SQLite's backup; the copy is whole or not there."""
        _reserve(path, path)
        try:
            with closing(sqlite3.connect(path)) as copy:
                self._connected.backup(copy)
        except BaseException as fault:
            path.unlink(missing_ok=True)
            if isinstance(fault, sqlite3.Error):
                raise self._explained(fault) from fault
            raise
        sync_folder(path.parent)

    def _create(self, unlock: Unlock) -> Sealing:
        self._connect()
        with self._transaction() as database:
            schema.create_tables(database)
            begun = self._begin(database, unlock, 0, {})
        sync_folder(self._real.parent)
        return begun

    def _open(self, unlock: Unlock) -> Sealing:
        with examined(self._real) as copy:
            if schema.format_of(copy) == schema.FORMAT:
                contents = schema.read_contents(copy)
                secret = unlock.secret(self._path, contents.header.wrapping, contents.header.card_id)
                found = sealing.unlock(contents, secret, self._rng)
                old = None
            else:
                found, old = None, schema.read_format_1(copy)
        self._connect()
        return found or self._migrate(old or {})

    def _connect(self) -> None:
        try:
            os.close(os.open(self._real, os.O_RDWR))  # SQLite would open it all the same, and be vague about it later
        except OSError as fault:
            raise StoreError(f"{self._path}: {_READ_ONLY} ({fault.strerror})") from fault
        try:
            uri = f"{self._real.as_uri()}?mode=rw"
            self._database = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=0)
            for setting in _SETTINGS:
                self._database.execute(setting).fetchall()
        except sqlite3.Error as fault:
            raise self._explained(fault) from fault
        with self._transaction():
            pass  # whether it can be written is known now, not when a command is half done

    def _migrate(self, records: Mapping[str, bytes]) -> Sealing:
        with self._transaction() as database:
            schema.drop_format_1(database)
            schema.create_tables(database)
            begun = self._begin(database, Given(), 0, records)
        self._tidy()
        _log.warning("%s: brought to the present format, and NOT PROTECTED: bsim card rekey protects it", self._path)
        return begun

    def _begin(
        self, database: sqlite3.Connection, unlock: Unlock, commits: int, records: Mapping[str, bytes]
    ) -> Sealing:
        """Write a header with a new card key, and all records under it, within the caller's transaction."""
        card_id = sealing.new_card_id(self._rng)
        begun = sealing.begin(unlock.new(self._path, card_id), card_id, commits, self._rng)
        schema.write_header(database, begun.header)
        return begun.write(database, records)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing."""
        database = self._connected
        try:
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")
        except BaseException as fault:
            with suppress(sqlite3.Error):  # SQLite may have rolled back already
                database.execute("ROLLBACK")
            if isinstance(fault, sqlite3.Error):
                raise self._explained(fault) from fault
            raise

    def _tidy(self) -> None:
        """Leave nothing of what was before in the log."""
        with suppress(sqlite3.Error):  # it is committed all the same, and the log goes when the file is closed
            self._connected.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _explained(self, fault: sqlite3.Error) -> StoreError:
        name = getattr(fault, "sqlite_errorname", "")
        words = next(
            (words for start, words in _TROUBLE.items() if name.startswith(start)), f"cannot be used ({fault})"
        )
        return (BusyError if name.startswith("SQLITE_BUSY") else StoreError)(f"{self._path}: {words}")

    def _named(self, fault: StoreError) -> StoreError:
        """The same with the name of the file as it was typed."""
        words = str(fault).removeprefix(f"{self._real}: ").removeprefix(f"{self._path}: ")
        return type(fault)(f"{self._path}: {words}")


def _reserve(path: Path, typed: Path) -> None:
    try:
        # Nobody else may read the file, from its first byte on.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        raise StoreError(f"{typed}: exists already; a card file is never overwritten") from None
    except OSError as fault:
        raise StoreError(f"{typed}: cannot be made ({fault.strerror})") from fault
