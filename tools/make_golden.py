"""Make the card files in tests/golden, each as the release wrote it that brought its format; never make one again.

They must load for ever. All keys, seeds and passphrases in them are test data, and their randomness counts up.
"""

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from bsim.store import PLAIN, Given, Key, SqliteStore, Wrapping

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "golden"
PASSPHRASE = "correct horse battery staple"
KEY_FILE = bytes(range(32))


class Counting:
    """Randomness that counts up, so that no secret of anybody's is in these files."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, length: int, /) -> bytes:
        self.calls += 1
        return bytes((self.calls & 0xFF,)) * length


def format_1(path: Path, records: dict[str, bytes]) -> None:
    """Records as they are in one table; bsim before 0.1.0."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("CREATE TABLE record (name TEXT PRIMARY KEY, value BLOB NOT NULL)")
        database.execute("PRAGMA journal_mode = WAL")
        rows = {"card.format": b"1", **records}
        database.executemany("INSERT INTO record VALUES (?, ?)", rows.items())


def format_2(path: Path, records: dict[str, bytes], key: Key) -> None:
    """Sealed records; bsim 0.1.0."""
    with closing(SqliteStore(path, create=True, unlock=Given(key), rng=Counting())) as store:
        store.write({**records, "wallet.tries": b"\x0a"})
        store.write(records)


def main() -> int:
    """Make what is missing."""
    stored = json.loads((FOLDER / "records.json").read_text())
    records = {name: bytes.fromhex(value) for name, value in stored.items()}
    makers = {
        "format-1.bsim": lambda path: format_1(path, records),
        "format-2-plain.bsim": lambda path: format_2(path, records, PLAIN),
        "format-2-key-file.bsim": lambda path: format_2(path, records, Key(Wrapping.KEY_FILE, KEY_FILE)),
        "format-2-passphrase.bsim": lambda path: format_2(path, records, Key(Wrapping.PASSPHRASE, PASSPHRASE.encode())),
        "format-2.key": lambda path: path.write_bytes(KEY_FILE),
    }
    for name, make in makers.items():
        if (FOLDER / name).exists():
            print(f"{name}: stands")
        else:
            make(FOLDER / name)
            print(f"{name}: made")
    return 0


if __name__ == "__main__":
    sys.exit(main())
