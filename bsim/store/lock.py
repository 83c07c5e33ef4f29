"""One process, one card file: an advisory lock beside the file, which the system takes back however that ends."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from bsim.store.errors import BusyError, StoreError

if sys.platform != "win32":
    import fcntl

SUFFIX: Final = "-lock"
_ATTEMPTS: Final = 100


class FileLock:
    """Holds FILE.bsim-lock. A file of its own: a lock on the card file would go whenever anybody here closes that."""

    def __init__(self, card: Path) -> None:
        self._card: Final = card
        self._path: Final = card.with_name(card.name + SUFFIX)
        self._descriptor = -1
        for _ in range(_ATTEMPTS):
            self._descriptor = self._acquire()
            if self._still_there():
                return
            # Whoever held it took the file away between our opening it and our locking it.
            os.close(self._descriptor)
        raise BusyError(f"{card}: in use by another program")

    def release(self) -> None:
        """Let go; released twice, it stays released."""
        if self._descriptor >= 0:
            with suppress(OSError):  # a lock file that stays locks nothing
                self._path.unlink()
            os.close(self._descriptor)
            self._descriptor = -1

    def _acquire(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
        try:
            descriptor = os.open(self._path, flags, 0o600)
        except OSError as fault:
            raise StoreError(
                f"{self._card}: cannot be locked ({fault.strerror}); a card needs a folder that can be written"
            ) from fault
        if sys.platform != "win32":  # there, SQLite's own lock must do
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                raise BusyError(f"{self._card}: in use by another program") from None
            except OSError as fault:
                os.close(descriptor)
                raise StoreError(f"{self._card}: cannot be locked ({fault.strerror})") from fault
        return descriptor

    def _still_there(self) -> bool:
        try:
            there = self._path.stat()
        except OSError:
            return False
        held = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)
