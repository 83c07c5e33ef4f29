"""What was done to a card that somebody needs again, kept over runs: writes, tries that are lost; and a run's journal.

The ledger is ahead of the card: writes are put down in blocks before they are made, and tries before they are spent, so
that a run that is killed has spent what it says or less.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Final

from bsim.store import BusyError, StoreError
from bsim.store.lock import FileLock

_BLOCK: Final = 64
_FORMAT: Final = 1


class LedgerError(Exception):
    """A ledger or journal that cannot be read or written; the message says what to do."""


class Ledger:
    """One card's account, its own until it is closed: two who use it would each spend all of it.

    `identity` is its ATR and ICCID; the file's name does not show them.
    """

    def __init__(self, folder: Path, identity: bytes) -> None:
        self.path: Final = path_of(folder, identity)
        self._reserved = 0
        self._lock: Final = _locked(self.path)
        try:
            known = _read(self.path)
            self.writes: int = known.get("writes", 0)
            """Writes put down, in all runs."""
            self.lost: int = known.get("lost", 0)
            """BPIN tries that were spent, or may have been, and were not given back."""
            self.runs: int = known.get("runs", 0) + 1
            self._save()
        except LedgerError:
            self._lock.release()
            raise

    def write(self, count: int, budget: int) -> bool:
        """Account for so many writes that are about to be made; whether the budget has room for them."""
        if self._reserved < count:
            block = min(max(_BLOCK, count), budget - self.writes)
            if block + self._reserved < count:
                return False
            self.writes += block
            self._reserved += block
            self._save()
        self._reserved -= count
        return True

    def lose(self) -> None:
        """Account for a BPIN try that is about to be spent, or may be."""
        self.lost += 1
        self._save()

    def found(self) -> None:
        """Account for a BPIN that was right: all tries are back."""
        if self.lost:
            self.lost = 0
            self._save()

    def close(self) -> None:
        """Give back what was put down and not used, and let go of the account."""
        self.writes -= self._reserved
        self._reserved = 0
        try:
            self._save()
        finally:
            self._lock.release()

    def _save(self) -> None:
        text = json.dumps({"format": _FORMAT, "writes": self.writes, "lost": self.lost, "runs": self.runs})
        try:
            part = self.path.with_suffix(".part")
            with part.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.path)
        except OSError as fault:
            raise LedgerError(f"{self.path}: the card's ledger cannot be written ({fault.strerror})") from fault


def path_of(folder: Path, identity: bytes) -> Path:
    """Answer the file of a card's account; its name does not show the card's."""
    return folder / f"{hashlib.sha256(identity).hexdigest()[:16]}.json"


def _locked(path: Path) -> FileLock:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path)
    except BusyError as fault:
        raise LedgerError("a card of the same ATR and ICCID is in another reader, or another run uses it") from fault
    except StoreError as fault:
        raise LedgerError(str(fault)) from fault
    except OSError as fault:
        raise LedgerError(f"{path}: the card's ledger cannot be written ({fault.strerror})") from fault


def _read(path: Path) -> dict[str, int]:
    try:
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"format": _FORMAT}
    except (OSError, ValueError) as fault:
        raise LedgerError(f"{path}: the card's ledger cannot be read; look at it, or move it away") from fault
    if not isinstance(known, dict) or known.get("format") != _FORMAT:
        raise LedgerError(f"{path}: the card's ledger is of another version")
    return {name: int(value) for name, value in known.items()}


def account_of(folder: Path, identity: bytes) -> tuple[int, int, int] | None:
    """Answer the writes, runs and lost tries a card's ledger has; None if there is none. Nothing is written."""
    path = path_of(folder, identity)
    if not path.exists():
        return None
    known = _read(path)
    return known.get("writes", 0), known.get("runs", 0), known.get("lost", 0)


class Journal:
    """Every command, written down before it is sent: if the card dies, the last line says of what."""

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
        except OSError as fault:
            raise self._fault(fault) from fault

    def about_to(self, shown: str) -> None:
        """Put down what is about to be sent, secrets masked; it is on the disk when this returns, or LedgerError."""
        try:
            self._file.write(shown.encode() + b"\n")
            os.fsync(self._file.fileno())
        except OSError as fault:
            raise self._fault(fault) from fault

    def _fault(self, fault: OSError) -> LedgerError:
        return LedgerError(f"{self._path}: the journal cannot be written ({fault.strerror})")

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
