"""What survives power loss: named records kept by a store, and the card's view of them, committed all at once.

What opens card files (SQLite, sealing, keys) is imported when it is first named: most cards live in memory.
"""

from typing import TYPE_CHECKING

from bsim.late import late
from bsim.store.errors import BusyError, DamagedError, LockedError, StoreError
from bsim.store.memory import Cell, Layout, Memory
from bsim.store.ram import RamStore
from bsim.store.shelf import PER_BLOCK, Blocks, Shelf

if TYPE_CHECKING:
    from bsim.store.keyring import Given, Keyring, Unlock
    from bsim.store.schema import FORMAT
    from bsim.store.seal import PLAIN, Header, Key, Wrapping
    from bsim.store.sqlite import SqliteStore
else:
    __getattr__ = late(
        __name__,
        {
            "FORMAT": "bsim.store.schema",
            "Given": "bsim.store.keyring",
            "Header": "bsim.store.seal",
            "Key": "bsim.store.seal",
            "Keyring": "bsim.store.keyring",
            "PLAIN": "bsim.store.seal",
            "SqliteStore": "bsim.store.sqlite",
            "Unlock": "bsim.store.keyring",
            "Wrapping": "bsim.store.seal",
        },
    )

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
