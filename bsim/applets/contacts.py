"""The contact list: addresses in their chains' text form by name, so that summaries show friends by name.

A name stands before an address in what the user decides by: it must not pass for one, nor for another friend's name.
"""

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from unicodedata import normalize

from bsim.applets.assets_state import MAX_CONTACTS, AssetsState
from bsim.applets.confirm import visible
from bsim.store import Cell
from bsim.sw import SW, SwError

if TYPE_CHECKING:
    from bsim.chains.addresses import Account

MAX_NAME: Final = 48
MAX_ADDRESS: Final = 96

# What addresses and labels are told by: 0x, a colon (also of cfx:), or as many hex digits as no word has.
_IMITATION: Final = re.compile("0x|:|[0-9a-f]{16}")


class Contacts:
    """The contacts of one card. A name has one address, and an address one name."""

    __slots__ = ("_cell",)

    def __init__(self, cell: Cell[AssetsState]) -> None:
        self._cell: Final = cell

    @property
    def all(self) -> tuple[tuple[str, str], ...]:
        """Name and address of each, in the order they came."""
        return self._cell.value.contacts

    def put(self, name: str, address: str) -> None:
        """Take in a contact; the same again changes nothing.

        SwError 6A80 for what is no name or address, or a name like an address; 6985 if either is taken; 6A84 if there
        is no room.
        """
        account = _account(address)
        if not _is_name(name):
            raise SwError(SW.WRONG_DATA, "no name to be shown")
        for known, where in self.all:
            same = _account(where) == account
            if (_folded(known) == _folded(name)) != same or (same and known != name):
                raise SwError(SW.CONDITIONS_NOT_SATISFIED, "the name or the address is taken")
            if same:
                return
        if len(self.all) >= MAX_CONTACTS:
            raise SwError(SW.NOT_ENOUGH_MEMORY, "the card holds no more contacts")
        self._replace((*self.all, (name, address)))

    def remove(self, name: str, address: str) -> None:
        """Take out a contact; SwError 6A88 if there is none of this name and address."""
        left = tuple(contact for contact in self.all if contact != (name, address))
        if len(left) == len(self.all):
            raise SwError(SW.REFERENCED_DATA_NOT_FOUND, "no such contact")
        self._replace(left)

    def name_of(self, address: str) -> str | None:
        """Answer the name of an address, however its chain lets it be written; None for a stranger's."""
        try:
            account = _parsed(address)
        except ValueError:
            return None
        return next((name for name, where in self.all if _account(where) == account), None)

    def _replace(self, contacts: tuple[tuple[str, str], ...]) -> None:
        self._cell.put(replace(self._cell.value, contacts=contacts))


def _is_name(name: str) -> bool:
    """Whether all of a name is drawn, with one space between words, and none of it looks like an address."""
    shown = bool(name) and visible(name) == name and name == " ".join(name.split())
    return shown and len(name.encode()) <= MAX_NAME and not _IMITATION.search(_folded(name))


def _folded(name: str) -> str:
    """A name without what eyes do not tell apart: width, ligatures and case. UAX #15, Unicode 3.13."""
    return normalize("NFKC", normalize("NFKC", name).casefold())


def _parsed(address: str) -> "Account":
    from bsim.chains import addresses  # noqa: PLC0415 - for cards that have contacts

    return addresses.parse(address)


def _account(address: str) -> "Account":
    if not address.isascii() or len(address) > MAX_ADDRESS:
        raise SwError(SW.WRONG_DATA, "no address")
    try:
        return _parsed(address)
    except ValueError as fault:
        raise SwError(SW.WRONG_DATA, "no address") from fault
