"""The card's view of its records: one frozen state an applet, replaced whole, and shelves; committed all at once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

from bsim.ports import Store
from bsim.store.errors import StoreError
from bsim.store.shelf import Blocks, Shelf

State = TypeVar("State")


class Layout(Generic[State]):
    """How one frozen state is kept as records: a name, an encoder and a decoder for each of its fields."""

    def __init__(
        self,
        kind: Callable[..., State],
        prefix: str,
        codecs: Mapping[str, tuple[Callable[[Any], bytes], Callable[[bytes], Any]]],
        later: Mapping[str, bytes] | None = None,
    ) -> None:
        """`later` names fields that were added to a released layout, and what cards from before have in them."""
        self._kind = kind
        self._prefix = prefix
        self._codecs = codecs
        # What a load needs of each field, made once: going back to a snapshot loads every state of a card.
        self._fields = [(name, f"{prefix}.{name}", decode) for name, (_, decode) in codecs.items()]
        self._later = {f"{prefix}.{name}": value for name, value in (later or {}).items()}

    def load(self, records: Mapping[str, bytes]) -> State:
        """Build the state from its records; StoreError if one is missing or malformed."""
        later = self._later
        try:
            return self._kind(
                **{name: decode(records[key] if key in records else later[key]) for name, key, decode in self._fields}
            )
        except (KeyError, ValueError) as fault:
            raise StoreError(f"the card's {self._prefix} records are incomplete or damaged") from fault

    def changes(self, old: State | None, new: State) -> dict[str, bytes | None]:
        """Encode the fields in which the states differ; all of them where there is no old state."""
        return {
            f"{self._prefix}.{name}": encode(getattr(new, name))
            for name, (encode, _) in self._codecs.items()
            if old is None or getattr(old, name) != getattr(new, name)
        }


class Cell(Generic[State]):
    """One applet's persistent state within the card's memory: replaced whole, never changed in place."""

    __slots__ = ("_layout", "_memory", "_saved", "value")

    def __init__(self, memory: "Memory", layout: Layout[State], value: State) -> None:
        self._memory = memory
        self._layout = layout
        self._saved = self.value = value

    def put(self, value: State) -> None:
        """Replace the state; it lasts once the memory commits."""
        self.value = value
        self._memory.dirty = True

    def loaded(self, records: Mapping[str, bytes]) -> State:
        """Decode the state from records; StoreError if they are damaged."""
        return self._layout.load(records)

    def adopt(self, value: State) -> None:
        """Take this for the state that is saved."""
        self._saved = self.value = value

    def changes(self) -> dict[str, bytes | None]:
        """Encode what differs from what is saved."""
        return {} if self.value is self._saved else self._layout.changes(self._saved, self.value)

    def keep(self) -> None:
        """What was put is saved."""
        self._saved = self.value

    def forget(self) -> None:
        """Take back what was put since."""
        self.value = self._saved


class _Part(Protocol):
    """What a memory is made of: a cell or a shelf."""

    def loaded(self, records: Mapping[str, bytes]) -> Any: ...
    def adopt(self, value: Any) -> None: ...
    def changes(self) -> dict[str, bytes | None]: ...
    def keep(self) -> None: ...
    def forget(self) -> None: ...


class Memory:
    """All persistent state of one powered card."""

    __slots__ = ("_parts", "_store", "cells", "dirty")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parts: list[Cell[Any] | Shelf] = []
        self.cells: Final[list[Cell[Any]]] = []
        """What each applet keeps, in the order in which they were loaded."""
        self.dirty = False

    def cell(self, layout: Layout[State]) -> Cell[State]:
        """Load one applet's state; StoreError if its records are damaged."""
        cell = Cell(self, layout, layout.load(self._store.read()))
        self._parts.append(cell)
        self.cells.append(cell)
        return cell

    @property
    def parts(self) -> "Sequence[Cell[Any] | Shelf]":
        """All cells and shelves."""
        return self._parts

    def shelf(self, layout: Blocks) -> Shelf:
        """Load one applet's numbered values; StoreError if their records are damaged."""
        shelf = Shelf(self.touch, layout, layout.load(self._store.read()))
        self._parts.append(shelf)
        return shelf

    def touch(self) -> None:
        """Something was put."""
        self.dirty = True

    def commit(self) -> None:
        """Write all that changed in one transaction; StoreError leaves the old state, here and in the store."""
        changes: dict[str, bytes | None] = {}
        for part in self._parts:
            changes |= part.changes()
        if changes:
            self._store.write(changes)
        for part in self._parts:
            part.keep()
        self.dirty = False

    def rollback(self) -> None:
        """Forget what was put since the last commit."""
        if not self.dirty:  # every refusal comes here, and few have put anything
            return
        for part in self._parts:
            part.forget()
        self.dirty = False

    def reload(self) -> None:
        """Take the records that the store holds now; StoreError, and nothing changed, if they are damaged."""
        records = self._store.read()
        values = [part.loaded(records) for part in self._parts]
        for part, value in zip(self._parts, values, strict=True):
            part.adopt(value)
        self.dirty = False

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()
