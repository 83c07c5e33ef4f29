"""The card's view of its records: one frozen state an applet, replaced whole, committed all at once."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from bsim.ports import Store
from bsim.store.errors import StoreError

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
        self._later = {f"{prefix}.{name}": value for name, value in (later or {}).items()}

    def load(self, records: Mapping[str, bytes]) -> State:
        """Build the state from its records; StoreError if one is missing or malformed."""
        records = {**self._later, **records}
        try:
            return self._kind(
                **{name: decode(records[f"{self._prefix}.{name}"]) for name, (_, decode) in self._codecs.items()}
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

    __slots__ = ("_layout", "_memory", "saved", "value")

    def __init__(self, memory: "Memory", layout: Layout[State], value: State) -> None:
        self._memory = memory
        self._layout = layout
        self.saved = self.value = value

    def put(self, value: State) -> None:
        """Replace the state; it lasts once the memory commits."""
        self.value = value
        self._memory.dirty = True

    def loaded(self, records: Mapping[str, bytes]) -> State:
        """Decode the state from records; StoreError if they are damaged."""
        return self._layout.load(records)

    def changes(self) -> dict[str, bytes | None]:
        """Encode what differs from what is saved."""
        return {} if self.value is self.saved else self._layout.changes(self.saved, self.value)


class Memory:
    """All persistent state of one powered card."""

    __slots__ = ("_cells", "_store", "dirty")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cells: list[Cell[Any]] = []
        self.dirty = False

    def cell(self, layout: Layout[State]) -> Cell[State]:
        """Load one applet's state; StoreError if its records are damaged."""
        cell = Cell(self, layout, layout.load(self._store.read()))
        self._cells.append(cell)
        return cell

    @property
    def cells(self) -> "list[Cell[Any]]":
        """The states of all applets."""
        return self._cells

    def commit(self) -> None:
        """Write all that changed in one transaction; StoreError leaves the old state, here and in the store."""
        changes: dict[str, bytes | None] = {}
        for cell in self._cells:
            changes |= cell.changes()
        if changes:
            self._store.write(changes)
        for cell in self._cells:
            cell.saved = cell.value
        self.dirty = False

    def rollback(self) -> None:
        """Forget what was put since the last commit."""
        for cell in self._cells:
            cell.value = cell.saved
        self.dirty = False

    def reload(self) -> None:
        """Take the records that the store holds now; StoreError, and nothing changed, if they are damaged."""
        records = self._store.read()
        states = [cell.loaded(records) for cell in self._cells]
        for cell, state in zip(self._cells, states, strict=True):
            cell.saved = cell.value = state
        self.dirty = False

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()
