"""Numbered values, many of them, kept side by side in blocks: a change writes one block. docs/decisions/0023.

A block is the values in it, one after the other, in the order of their numbers.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bsim.store.errors import StoreError

PER_BLOCK = 32


@dataclass(frozen=True, slots=True)
class Blocks:
    """How values are kept: the name their records begin with, and how a block falls apart into numbered values."""

    prefix: str
    split: Callable[[bytes], Mapping[int, bytes]]
    """Raises ValueError where the block is damaged."""

    def name(self, block: int) -> str:
        """Answer the name of a block's record."""
        return f"{self.prefix}.{block:06x}"

    def load(self, records: Mapping[str, bytes]) -> dict[int, bytes]:
        """Find the blocks among all records; StoreError for a name that is none of theirs."""
        start = self.prefix + "."
        try:
            return {int(name[len(start) :], 16): value for name, value in records.items() if name.startswith(start)}
        except ValueError as fault:
            raise StoreError(f"the card's {self.prefix} records are damaged") from fault

    def without(self, records: Mapping[str, bytes]) -> dict[str, bytes | None]:
        """Answer the changes that take all blocks away."""
        return {self.name(block): None for block in self.load(records)}


class Shelf:
    """Values by number (0 to 2^29 - 1) within the card's memory. What is put lasts once the memory commits."""

    __slots__ = ("_blocks", "_layout", "_order", "_replaced", "_touch", "version")

    def __init__(self, touch: Callable[[], None], layout: Blocks, blocks: dict[int, bytes]) -> None:
        """`touch` is called when something was put."""
        self._touch = touch
        self._layout = layout
        self.version = 0
        """Another number after each change, and after each that was taken back: what was read before may be stale."""
        self.adopt(blocks)

    def get(self, number: int) -> bytes | None:
        """Answer a value; None where there is none."""
        return self._values(number // PER_BLOCK).get(number)

    def put(self, number: int, value: bytes | None) -> None:
        """Replace a value; None takes it away."""
        block = number // PER_BLOCK
        values = {**self._values(block), number: value}
        self._replace(block, b"".join(kept for _, kept in sorted(values.items()) if kept is not None))

    def clear(self) -> None:
        """Take all values away."""
        for block in list(self._order):
            self._replace(block, b"")

    def after(self, block: int) -> tuple[int, bytes] | None:
        """Answer the first block after a number (-1: the first of all), and what it holds; None behind the last."""
        at = bisect_right(self._order, block)
        return (self._order[at], self._blocks[self._order[at]]) if at < len(self._order) else None

    def split(self, block: bytes) -> Mapping[int, bytes]:
        """Answer the numbered values of a block; StoreError if it is damaged."""
        try:
            return self._layout.split(block)
        except ValueError as fault:
            raise StoreError(f"the card's {self._layout.prefix} records are damaged") from fault

    def loaded(self, records: Mapping[str, bytes]) -> dict[int, bytes]:
        """Find the blocks among all records; StoreError if they are damaged."""
        return self._layout.load(records)

    def adopt(self, blocks: dict[int, bytes]) -> None:
        """Take these blocks for what is saved."""
        self._blocks = blocks
        self._order = sorted(blocks)
        self._replaced: dict[int, bytes] = {}
        self.version += 1

    def changes(self) -> dict[str, bytes | None]:
        """Answer the records of the blocks that were changed."""
        return {self._layout.name(block): self._blocks.get(block) for block in self._replaced}

    def keep(self) -> None:
        """What was put is saved."""
        self._replaced.clear()

    def forget(self) -> None:
        """Take back what was put since."""
        for block, before in self._replaced.items():
            self._set(block, before)
        self._replaced.clear()

    def _values(self, block: int) -> Mapping[int, bytes]:
        return self.split(self._blocks.get(block, b""))

    def _replace(self, block: int, value: bytes) -> None:
        self._replaced.setdefault(block, self._blocks.get(block, b""))
        self._set(block, value)
        self._touch()

    def _set(self, block: int, value: bytes) -> None:
        """Put a block in its place; an empty one has none."""
        there = block in self._blocks
        if value:
            self._blocks[block] = value
            if not there:
                insort(self._order, block)
        elif there:
            del self._blocks[block]
            del self._order[bisect_left(self._order, block)]
        self.version += 1
