"""What survives power loss: named records kept by a store, and the card's view of them, committed all at once."""

from bsim.store.errors import BusyError, DamagedError, LockedError, StoreError
from bsim.store.keyring import Given, Keyring, Unlock
from bsim.store.memory import Cell, Layout, Memory
from bsim.store.ram import RamStore
from bsim.store.schema import FORMAT
from bsim.store.seal import PLAIN, Header, Key, Wrapping
from bsim.store.shelf import PER_BLOCK, Blocks, Shelf
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
