"""What the cards of a fleet keep over power loss: one bytes object a card, holding what no blank card has."""

from collections.abc import Iterable, Mapping
from struct import Struct
from threading import RLock
from typing import Final

from bsim.fleet.plan import Plan
from bsim.store import StoreError

_HEAD: Final = Struct(">BH")  # length of the name, length of the value
_DELETED: Final = 0xFFFF  # in place of a length: the record a blank card has is not there


class FleetMemory:
    """The records of all cards; a card is made when it is first read. Safe for several threads."""

    def __init__(self, plan: Plan) -> None:
        self._plan: Final = plan
        self._blank: Final = dict(plan.blank())
        self._kept: Final[list[bytes | None]] = [None] * plan.size
        self._lock: Final = RLock()

    def made(self, card: int) -> bool:
        """Whether a card was made already."""
        return self._kept[card] is not None

    def packed(self, card: int) -> bytes:
        """Answer what is kept of a card; makes it if need be."""
        return self._kept[card] or self.fill(card, pack(self._blank, self._plan.records(card)))

    def peek(self, card: int) -> bytes | None:
        """Answer what is kept of a card; None for one that was not made yet."""
        return self._kept[card]

    def fill(self, card: int, packed: bytes) -> bytes:
        """Keep what was made elsewhere, unless the card was made meanwhile; answers what is kept."""
        with self._lock:
            kept = self._kept[card]
            if kept is None:
                kept = self._kept[card] = packed
            return kept

    def read(self, card: int) -> Mapping[str, bytes]:
        """Answer every record of a card."""
        return unpack(self._blank, self.packed(card))

    def write(self, card: int, changes: Mapping[str, bytes | None]) -> None:
        """Make all the changes to a card or none; StoreError if a record is too long."""
        records = {**self.read(card), **changes}
        self._kept[card] = pack(self._blank, {name: value for name, value in records.items() if value is not None})


class CardRecords:
    """One card's part of the memory, as a store. Nothing is held open."""

    __slots__ = ("_card", "_memory")

    def __init__(self, memory: FleetMemory, card: int) -> None:
        self._memory: Final = memory
        self._card: Final = card

    def read(self) -> Mapping[str, bytes]:
        """Answer every record."""
        return self._memory.read(self._card)

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Make all the changes or none."""
        self._memory.write(self._card, changes)

    def close(self) -> None:
        """The memory is the fleet's."""


class MakeCards:
    """Makes cards in another process: numbers in, what is kept of each out."""

    def __init__(self, plan: Plan) -> None:
        self._plan: Final = plan
        self._blank: Final = dict(plan.blank())

    def __call__(self, cards: Iterable[int]) -> list[bytes]:
        """Make these cards."""
        return [pack(self._blank, self._plan.records(card)) for card in cards]


def pack(blank: Mapping[str, bytes], records: Mapping[str, bytes]) -> bytes:
    """Write down in what the records differ from a blank card's; StoreError if one is too long."""
    return b"".join(_entry(name, records.get(name)) for name in {**blank, **records} if _differ(name, blank, records))


def unpack(blank: Mapping[str, bytes], packed: bytes) -> Mapping[str, bytes]:
    """Answer all records: the inverse of `pack`."""
    records, at = dict(blank), 0
    while at < len(packed):
        name_length, length = _HEAD.unpack_from(packed, at)
        start = at + _HEAD.size + name_length
        name = packed[at + _HEAD.size : start].decode()
        if length == _DELETED:
            records.pop(name, None)
            at = start
        else:
            at = start + length
            records[name] = packed[start:at]
    return records


def _differ(name: str, blank: Mapping[str, bytes], records: Mapping[str, bytes]) -> bool:
    return blank.get(name) != records.get(name)


def _entry(name: str, value: bytes | None) -> bytes:
    encoded = name.encode()
    length = _DELETED if value is None else len(value)
    if len(encoded) > 0xFF or (value is not None and length >= _DELETED):
        raise StoreError(f"the record {name} does not fit into a fleet's memory")
    return _HEAD.pack(len(encoded), length) + encoded + (value or b"")
