"""Reading the fields of an RLP list by their names. A ValueError begins with the field's name and repeats no bytes."""

from collections.abc import Sequence
from typing import TypeAlias

from bsim.chains import rlp
from bsim.chains.fields import U256

AccessList: TypeAlias = tuple[tuple[bytes, tuple[bytes, ...]], ...]


class Items:
    """The items of one list under the names of its layout; `where` names the list if it has another length."""

    def __init__(self, layout: Sequence[str], items: rlp.Decoded, where: str) -> None:
        if isinstance(items, bytes):
            raise ValueError(f"{where}: bytes where a list belongs")
        if len(items) != len(layout):
            raise ValueError(f"{where}: {len(items)} fields, not {len(layout)}")
        self._items = dict(zip(layout, items, strict=True))

    def __contains__(self, name: str) -> bool:
        return name in self._items

    def number(self, name: str, limit: int, least: int = 0) -> int:
        """Read a number from `least` to limit - 1."""
        try:
            number = rlp.as_integer(self._items[name])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if not least <= number < limit:
            raise ValueError(f"{name}: not from {least} to {limit - 1:#x}")
        return number

    def data(self, name: str, *lengths: int) -> bytes:
        """Read bytes; of one of these lengths, if any are given."""
        return as_bytes(self._items[name], name, *lengths)

    def sequence(self, name: str) -> list[rlp.Decoded]:
        """Read a list."""
        return as_list(self._items[name], name)

    def access_list(self, name: str) -> AccessList:
        """Read a list of [20-byte address, list of 32-byte storage keys] (EIP-2930, CIP-90)."""
        return tuple(_access(one, name) for one in self.sequence(name))


def as_bytes(item: rlp.Decoded, name: str, *lengths: int) -> bytes:
    """Take an item for bytes; ValueError for a list, or for none of these lengths if any are given."""
    if not isinstance(item, bytes):
        raise ValueError(f"{name}: a list where bytes belong")
    if lengths and len(item) not in lengths:
        raise ValueError(f"{name}: {len(item)} bytes, not {' or '.join(map(str, lengths))}")
    return item


def as_list(item: rlp.Decoded, name: str) -> list[rlp.Decoded]:
    """Take an item for a list; ValueError for bytes."""
    if isinstance(item, bytes):
        raise ValueError(f"{name}: bytes where a list belongs")
    return item


def _access(item: rlp.Decoded, name: str) -> tuple[bytes, tuple[bytes, ...]]:
    entry = Items(("address", "storageKeys"), item, name)
    keys = tuple(as_bytes(key, f"{name}: storage key", 32) for key in entry.sequence("storageKeys"))
    return entry.data("address", 20), keys


def bounded(value: int, name: str, limit: int = U256) -> int:
    """Answer the value, if it is from 0 to limit - 1."""
    if not 0 <= value < limit:
        raise ValueError(f"{name}: not from 0 to {limit - 1:#x}")
    return value
