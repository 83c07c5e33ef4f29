"""A card in a file: SQLite keeps it whole, one transaction a command; every record in it is sealed."""

import logging
import os
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bsim.ports import Rng
from bsim.store import schema
from bsim.store.errors import BusyError, DamagedError, LockedError, StoreError
from bsim.store.examine import examined
from bsim.store.keyring import Given, Unlock, sync_folder
from bsim.store.lock import FileLock
from bsim.store.seal import CARD_ID_LENGTH, KEY_LENGTH, Header, Manifest, Seal, Sealer, Unsealable, unwrap, wrap

_log: Final = logging.getLogger("bsim.store")
_TROUBLE: Final = {
    "SQLITE_BUSY": "in use by another program",
    "SQLITE_READONLY": "cannot be written: the file or its folder is read-only",
    "SQLITE_CANTOPEN": "cannot be written: the file or its folder is read-only, or one beside it is no file",
    "SQLITE_FULL": "cannot be written: the disk is full",
    "SQLITE_IOERR": "cannot be written: the disk fails, or is full",
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
        self._database: sqlite3.Connection | None = None
        self._manifest = Manifest(0, {})
        if create:
            self._reserve()
        elif not path.is_file():
            raise StoreError(
                f"{path}: not a card file" if path.exists() else f"{path}: no such card file; `bsim new {path}` makes one"
            )
        try:
            self._lock: Final = FileLock(self._real)
        except StoreError as fault:
            if create:
                self._real.unlink()
            raise self._named(fault) from fault.__cause__
        try:
            if create:
                self._create(unlock or Given())
            else:
                self._open(unlock or Given())
        except BaseException:
            self.close()
            if create:
                self._real.unlink(missing_ok=True)  # half a card is none
            raise

    @property
    def header(self) -> Header:
        """What the file tells in the clear."""
        return self._header

    def read(self) -> Mapping[str, bytes]:
        """Answer every record; StoreError if one is not the one that was written."""
        try:
            rows = self._connected.execute("SELECT name, version, value FROM record")
            return _unsealed(self._sealer, self._manifest, {name: (version, value) for name, version, value in rows})
        except sqlite3.Error as fault:
            raise StoreError(f"{self._path}: cannot be read ({fault})") from fault
        except StoreError as fault:
            raise self._named(fault) from fault.__cause__

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Make all the changes or none."""
        with self._transaction() as database:
            self._manifest = self._write(database, self._sealer, self._manifest, changes)

    def rekey(self, unlock: Unlock) -> None:
        """Seal everything anew under another card key, card id and wrapping, all at once.

        The old secret and an old copy of the file open no more than that copy.
        """
        records = self.read()
        with self._transaction() as database:
            database.execute("DELETE FROM record")
            self._seal_all(database, unlock, records)
        self._tidy()

    def close(self) -> None:
        """Close the file and let others have it."""
        if self._database is not None:
            self._database.close()
            self._database = None
        self._lock.release()

    @property
    def _connected(self) -> sqlite3.Connection:
        if self._database is None:
            raise StoreError(f"{self._path}: closed")
        return self._database

    def _reserve(self) -> None:
        try:
            # Nobody else may read the file, from its first byte on.
            os.close(os.open(self._real, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            raise StoreError(f"{self._path}: exists already; a card file is never overwritten") from None
        except OSError as fault:
            raise StoreError(f"{self._path}: cannot be made ({fault.strerror})") from fault

    def _create(self, unlock: Unlock) -> None:
        self._connect()
        with self._transaction() as database:
            schema.create_tables(database)
            self._seal_all(database, unlock, {})
        sync_folder(self._real.parent)

    def _open(self, unlock: Unlock) -> None:
        old: dict[str, bytes] | None = None
        try:
            with examined(self._real) as copy:
                if schema.format_of(copy) == schema.FORMAT:
                    self._unlock(schema.read_contents(copy), unlock)
                else:
                    old = schema.read_format_1(copy)
        except StoreError as fault:
            raise self._named(fault) from fault.__cause__
        self._connect()
        if old is not None:
            self._migrate(old)

    def _unlock(self, contents: schema.Contents, unlock: Unlock) -> None:
        """Prove that the contents are this card's, all of them and no other."""
        header = contents.header
        secret = unlock.secret(self._path, header.wrapping, header.card_id)
        try:
            card_key = unwrap(header, secret)
        except Unsealable as fault:
            words = f"wrong {header.wrapping}, or its header is damaged" if secret else "its header is damaged"
            raise (LockedError if secret else DamagedError)(f"{self._path}: {words}") from fault
        sealer = Sealer(header.card_id, card_key, self._rng)
        try:
            manifest = sealer.open_manifest(contents.manifest)
        except Unsealable as fault:
            raise DamagedError(f"{self._path}: damaged: its list of records was altered") from fault
        _unsealed(sealer, manifest, contents.records)
        self._header, self._sealer, self._manifest = header, sealer, manifest

    def _connect(self) -> None:
        try:
            uri = f"{self._real.as_uri()}?mode=rw"
            self._database = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=0)
            for setting in _SETTINGS:
                self._database.execute(setting).fetchall()
        except sqlite3.Error as fault:
            raise self._explained(fault) from fault
        with self._transaction():
            pass  # whether it can be written is known now, not when a command is half done

    def _migrate(self, records: Mapping[str, bytes]) -> None:
        with self._transaction() as database:
            schema.drop_format_1(database)
            schema.create_tables(database)
            self._seal_all(database, Given(), records)
        self._tidy()
        _log.warning(
            "%s: was of format 1, is of format %d now and still NOT PROTECTED: `bsim card rekey` protects it",
            self._path,
            schema.FORMAT,
        )

    def _seal_all(self, database: sqlite3.Connection, unlock: Unlock, records: Mapping[str, bytes]) -> None:
        """Make a new card key, and seal all records under it; they go in as they are in the caller's transaction."""
        card_id, card_key = self._rng(CARD_ID_LENGTH), self._rng(KEY_LENGTH)
        header = wrap(unlock.new(self._path, card_id), card_id, card_key, self._rng)
        sealer = Sealer(card_id, card_key, self._rng)
        schema.write_header(database, header)
        manifest = self._write(database, sealer, Manifest(self._manifest.commits, {}), records)
        self._header, self._sealer, self._manifest = header, sealer, manifest

    def _write(
        self, database: sqlite3.Connection, sealer: Sealer, manifest: Manifest, changes: Mapping[str, bytes | None]
    ) -> Manifest:
        version, seals = manifest.commits + 1, dict(manifest.seals)
        for name, value in changes.items():
            if value is None:
                database.execute("DELETE FROM record WHERE name = ?", (name,))
                seals.pop(name, None)
            else:
                sealed = sealer.seal(name, version, value)
                database.execute("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", (name, version, sealed))
                seals[name] = Seal.of(version, sealed)
        written = Manifest(version, seals)
        database.execute("INSERT OR REPLACE INTO meta VALUES ('manifest', ?)", (sealer.seal_manifest(written),))
        return written

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, on the disk and in what is remembered of it."""
        database = self._connected
        before = getattr(self, "_header", None), getattr(self, "_sealer", None), self._manifest
        try:
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")
        except BaseException as fault:
            with suppress(sqlite3.Error):
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
        words = next((words for start, words in _TROUBLE.items() if name.startswith(start)), f"cannot be used ({fault})")
        return (BusyError if name.startswith("SQLITE_BUSY") else StoreError)(f"{self._path}: {words}")

    def _named(self, fault: StoreError) -> StoreError:
        """The same with the name of the file as the user typed it."""
        words = str(fault).removeprefix(f"{self._real}: ").removeprefix(f"{self._path}: ")
        return type(fault)(f"{self._path}: {words}")
