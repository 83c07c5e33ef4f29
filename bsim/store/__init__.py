"""What survives power loss: named records kept by a store, and the card's view of them, committed all at once.

What opens card files (SQLite, sealing, keys) is imported when it is first named: most cards live in memory.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from bsim.store.errors import BusyError, DamagedError, LockedError, StoreError
from bsim.store.memory import Cell, Layout, Memory
from bsim.store.ram import RamStore
from bsim.store.shelf import PER_BLOCK, Blocks, Shelf

if TYPE_CHECKING:
    from bsim.store.keyring import Given, Keyring, Unlock
    from bsim.store.schema import FORMAT
    from bsim.store.seal import PLAIN, Header, Key, Wrapping
    from bsim.store.sqlite import SqliteStore

__all__ = [
    "FORMAT",
    "PER_BLOCK",
    "PLAIN",
    "Blocks",
    "BusyError",
    "Cell",
    "DamagedError",
    "Given",
    "Header",
    "Key",
    "Keyring",
    "Layout",
    "LockedError",
    "Memory",
    "RamStore",
    "Shelf",
    "SqliteStore",
    "StoreError",
    "Unlock",
    "Wrapping",
]
_HOMES: Final = {
    "FORMAT": "schema",
    "Given": "keyring",
    "Header": "seal",
    "Key": "seal",
    "Keyring": "keyring",
    "PLAIN": "seal",
    "SqliteStore": "sqlite",
    "Unlock": "keyring",
    "Wrapping": "seal",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        found: object = getattr(import_module(f"bsim.store.{_HOMES[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'bsim.store' has no attribute {name!r}")
