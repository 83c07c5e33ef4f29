"""Looking at a card file without touching it: damage must be known before SQLite may write, recover or tidy up."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from struct import Struct
from tempfile import TemporaryDirectory
from typing import Final

from bsim.store.errors import DamagedError, StoreError

_MAGIC: Final = b"SQLite format 3\0"
_LOGS: Final = ("-wal", "-journal")
_HEADER: Final = Struct(">16sH6sII60sI")
_LIMIT: Final = 1 << 26  # a card file has some 20 KB, its log at most some hundred


@contextmanager
def examined(path: Path) -> Iterator[sqlite3.Connection]:
    """Open what a card file and its log hold, as SQLite recovers it; StoreError if that cannot be.

    The caller holds the card's lock. The file and what lies beside it are read and nothing else.
    """
    try:
        _check(path)
        logs = [log for suffix in _LOGS if (log := path.with_name(path.name + suffix)).is_file() and log.stat().st_size]
        if not logs:
            _check_header(path)
            # Without a log the file is all there is: SQLite reads it without locks, and cannot write to it.
            with closing(_connect(path, "mode=ro&immutable=1")) as database:
                yield database
            return
        # With one, opening recovers and closing tidies up: done to a copy.
        with TemporaryDirectory(prefix="bsim-") as folder:
            for source in (path, *logs):
                shutil.copyfile(source, Path(folder, source.name))
            with closing(_connect(Path(folder, path.name), "mode=rw")) as database:
                yield database
    except UnicodeDecodeError as fault:
        raise DamagedError(f"{path}: not a usable card file (damaged names)") from fault
    except sqlite3.Error as fault:
        raise DamagedError(f"{path}: not a usable card file ({fault})") from fault
    except OSError as fault:
        raise StoreError(f"{path}: cannot be read ({fault.strerror})") from fault


def _check(path: Path) -> None:
    if path.is_dir():
        raise StoreError(f"{path}: a folder, not a card file")
    if not path.is_file():
        raise StoreError(f"{path}: not a card file")  # a pipe would be waited for
    if path.stat().st_size > _LIMIT:
        raise DamagedError(f"{path}: not a usable card file (too long for one)")
    with path.open("rb") as file:
        start = file.read(len(_MAGIC))
    if start != _MAGIC:
        kind = "empty" if not start else "no SQLite database"
        raise DamagedError(f"{path}: not a usable card file ({kind})")


def _check_header(path: Path) -> None:
    """Refuse a file whose header does not fit it: SQLite would mend the header as soon as it may write.

    SQLite file format 1.3.7, 1.3.8, 1.3.13: bytes 16 (page size), 24 (change counter), 28 (pages), 92 (that counter, as
    it was when the pages were counted).
    """
    with path.open("rb") as file:
        header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise DamagedError(f"{path}: not a usable card file (cut short)")
    _, page, _, counter, pages, _, counted = _HEADER.unpack(header)
    if counter != counted or pages * (page if page > 1 else 1 << 16) != path.stat().st_size:
        raise DamagedError(f"{path}: not a usable card file (its header does not fit it)")


def _connect(path: Path, query: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?{query}", uri=True, isolation_level=None, timeout=0)
