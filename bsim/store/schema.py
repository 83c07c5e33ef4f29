"""What a card file looks like to SQLite, in every format ever released. docs/security.md."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bsim.store.errors import DamagedError, StoreError
from bsim.store.seal import CARD_ID_LENGTH, SALT_LENGTH, Header, Wrapping

APPLICATION_ID: Final = int.from_bytes(b"BSIM", "big")
FORMAT: Final = 2
SCHEMA: Final = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE record (name TEXT PRIMARY KEY, version INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID",
)
_META: Final = {"card_id", "wrapping", "salt", "cost", "wrapped_key", "manifest"}
_FORMAT_1: Final = "CREATE TABLE record (name TEXT PRIMARY KEY, value BLOB NOT NULL)"
_FORMAT_1_RECORD: Final = "card.format"
_PATIENCE: Final = 2_000_000  # steps of SQLite's machine: a sound card file takes a few thousand


@dataclass(frozen=True, slots=True)
class Contents:
    """A card file of format 2 as it is stored: header, sealed manifest, and version and bytes of each record."""

    header: Header
    manifest: bytes
    records: Mapping[str, tuple[int, bytes]] = field(repr=False)


def format_of(database: sqlite3.Connection) -> int:
    """Judge a database that is not trusted yet: answers 1 or 2; StoreError if it is no sound card file."""
    database.set_progress_handler(lambda: 1, _PATIENCE)  # what was made to run for ever is stopped
    application, version = _pragma(database, "application_id"), _pragma(database, "user_version")
    found = _statements(database)
    if (application, version) == (0, 0) and found == [_FORMAT_1]:
        number = 1
    elif application == APPLICATION_ID and version != FORMAT:
        raise StoreError(f"made by another version of bsim: its format is {version}, and {FORMAT} is known here")
    elif application == APPLICATION_ID and found == list(SCHEMA):
        number = FORMAT
    else:
        raise DamagedError("not a usable card file: another program's database, or one not finished")
    faults = [row[0] for row in database.execute("PRAGMA integrity_check")]
    if faults != ["ok"]:
        raise DamagedError(f"not a usable card file: damaged ({faults[0]})")
    return number


def read_contents(database: sqlite3.Connection) -> Contents:
    """Read a file of format 2; DamagedError if something is missing or of the wrong kind."""
    meta = dict(database.execute("SELECT name, value FROM meta"))
    rows = list(database.execute("SELECT name, version, value FROM record"))
    if meta.keys() != _META:
        raise DamagedError("not a usable card file: its header has something missing, or something too many")
    try:
        header = Header(
            card_id=_exactly(meta["card_id"], CARD_ID_LENGTH),
            wrapping=Wrapping(bytes(meta["wrapping"]).decode()),
            salt=_exactly(meta["salt"], SALT_LENGTH),
            cost=_exactly(meta["cost"], 3),
            wrapped=_blob(meta["wrapped_key"]),
        )
        records = {str(name): (_unsigned(version), _blob(value)) for name, version, value in rows}
        return Contents(header, _blob(meta["manifest"]), records)
    except (KeyError, ValueError, TypeError) as fault:
        raise DamagedError("not a usable card file: its header or a record is damaged") from fault


def write_header(database: sqlite3.Connection, header: Header) -> None:
    """Write what stands in the clear, within the caller's transaction."""
    values = {
        "card_id": header.card_id,
        "wrapping": header.wrapping.encode(),
        "salt": header.salt,
        "cost": header.cost,
        "wrapped_key": header.wrapped,
    }
    database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())


def write_contents(database: sqlite3.Connection, contents: Contents) -> None:
    """Replace records and manifest by those of a snapshot, within the caller's transaction; the header stays."""
    database.execute("DELETE FROM record")
    rows = [(name, version, value) for name, (version, value) in contents.records.items()]
    database.executemany("INSERT INTO record VALUES (?, ?, ?)", rows)
    database.execute("INSERT OR REPLACE INTO meta VALUES ('manifest', ?)", (contents.manifest,))


def create_tables(database: sqlite3.Connection) -> None:
    """Make a database a card file of format 2, within the caller's transaction."""
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.execute(f"PRAGMA user_version = {FORMAT}")
    for statement in SCHEMA:
        database.execute(statement)


def read_format_1(database: sqlite3.Connection) -> dict[str, bytes]:
    """Read a file of format 1, which kept records as they are; StoreError if it says it is something else."""
    records = dict(database.execute("SELECT name, value FROM record"))
    if records.pop(_FORMAT_1_RECORD, None) != b"1":
        raise DamagedError("not a usable card file: it does not tell its format")
    if not all(isinstance(name, str) and isinstance(value, bytes) for name, value in records.items()):
        raise DamagedError("not a usable card file: a record is damaged")
    return records


def drop_format_1(database: sqlite3.Connection) -> None:
    """Take the table of format 1 away, within the caller's transaction."""
    database.execute("DROP TABLE record")


def _pragma(database: sqlite3.Connection, name: str) -> int:
    return int(database.execute(f"PRAGMA {name}").fetchone()[0])


def _statements(database: sqlite3.Connection) -> list[str]:
    # Whatever else is declared, such as a trigger, is no card's: it would be run by our own statements.
    return [row[0] for row in database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")]


def _blob(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("no bytes")
    return value


def _exactly(value: object, length: int) -> bytes:
    if len(blob := _blob(value)) != length:
        raise ValueError("another length")
    return blob


def _unsigned(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError("no version")
    return value
