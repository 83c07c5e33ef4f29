"""The assets of one card: what is there, by number, by what it is, and as one stream that is read piece by piece."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from bsim.applets.assets_state import AssetsState
from bsim.chains import asset_stream
from bsim.store import Cell, Shelf, StoreError
from bsim.sw import SW, SwError

if TYPE_CHECKING:
    from bsim.chains.asset import Asset

MAX_ASSETS: Final = 16384


class Meant(NamedTuple):
    """Which assets are meant: `holds` judges an identity, and `marker` are bytes that each of those assets has."""

    holds: Callable[[bytes], bool]
    marker: bytes


class Registry:
    """The assets of one card. Numbers count from 1 and are never given twice."""

    __slots__ = ("_cell", "_known", "_shelf", "_version")

    def __init__(self, cell: Cell[AssetsState], shelf: Shelf) -> None:
        self._cell: Final = cell
        self._shelf: Final = shelf
        self._known: dict[bytes, int] = {}
        self._version = -1

    def __len__(self) -> int:
        return len(self._identities())

    def add(self, asset: "Asset") -> int:
        """Take in an asset; answers its number. SwError 6985 if it is there already, 6A84 if there is no room."""
        known = self._identities()
        identity = asset.identity
        if identity in known:
            raise SwError(SW.CONDITIONS_NOT_SATISFIED, "the asset is there already")
        if len(known) >= MAX_ASSETS:
            raise SwError(SW.NOT_ENOUGH_MEMORY, "the card holds no more assets")
        number = self._cell.value.last + 1
        self._cell.put(self._cell.value.counted(number))
        self._put(number, asset.numbered(number).encode())
        known[identity] = number
        return number

    def remove(self, number: int) -> None:
        """Take out an asset; SwError 6A88 if there is none of this number."""
        known, identity = self._identities(), _identity(self.encoded(number))
        self._put(number, None)
        del known[identity]

    def encoded(self, number: int) -> bytes:
        """Answer an asset as it is listed; SwError 6A88 if there is none of this number."""
        found = self._shelf.get(number)
        if found is None:
            raise SwError(SW.REFERENCED_DATA_NOT_FOUND, "no such asset")
        return found

    def has(self, asset: "Asset") -> bool:
        """Whether this asset is there, under its number."""
        return self._identities().get(asset.identity) == asset.number

    def replace(self, asset: "Asset") -> None:
        """Write down what changed of an asset that is there: nothing that its identity is made of."""
        self._identities()
        self._put(asset.number, asset.encode())

    def clear(self) -> None:
        """Take out everything. Numbers go on from where they are."""
        self._shelf.clear()

    def count(self, meant: Meant | None) -> int:
        """Answer how many assets there are, or how many are meant."""
        known = self._identities()
        return len(known) if meant is None else sum(map(meant.holds, known))

    def stream(self, meant: Meant | None) -> Iterator[bytes]:
        """Answer the encoded assets, all or those meant, in the order of their numbers and some at a time.

        An asset is read when its turn comes: what is added meanwhile comes last, what is removed comes no more. A block
        that has nothing of what is meant is not taken apart, so that few among many cost little.
        """
        at = self._shelf.after(-1)
        while at is not None:
            block, whole = at
            if meant is None:
                yield whole
            elif meant.marker in whole:
                yield b"".join(one for one in self._shelf.split(whole).values() if meant.holds(_identity(one)))
            at = self._shelf.after(block)

    def _identities(self) -> dict[bytes, int]:
        """Every asset's number by its identity: read once after power-on, and after a change that was taken back."""
        if self._version != self._shelf.version:
            blocks = self._blocks()
            self._known = {_identity(one): number for block in blocks for number, one in block.items()}
            self._version = self._shelf.version
        return self._known

    def _blocks(self) -> Iterator[dict[int, bytes]]:
        at = self._shelf.after(-1)
        while at is not None:
            yield dict(self._shelf.split(at[1]))
            at = self._shelf.after(at[0])

    def _put(self, number: int, encoded: bytes | None) -> None:
        """Change one asset; what is known of the others stays known."""
        self._shelf.put(number, encoded)
        self._version = self._shelf.version


def _identity(encoded: bytes) -> bytes:
    try:
        return asset_stream.identity(encoded)
    except ValueError as fault:
        raise StoreError("the card's asset records are damaged") from fault
