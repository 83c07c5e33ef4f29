"""A card's state in the few values that make it behave differently: what a fuzzer takes for one state.

Nothing is listed by hand: sessions, applets, toolkit and persistent states are read slot by slot. Counters and lengths
are put into buckets, secrets count by their length alone, channels other than the basic one by what is on them.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType
from typing import Any, Final, NamedTuple

from bsim.applets.file_session import FileSession
from bsim.applets.file_tree import FilesState
from bsim.applets.pins import PinsState
from bsim.applets.routes import Routes
from bsim.applets.session import Session
from bsim.applets.subscriber import SubscriberState
from bsim.applets.toolkit import Toolkit
from bsim.card.insides import Kind, per_class, reads, slots_of
from bsim.store import Cell, Memory

_REMEMBERED: Final = 4096
_MF: Final = b"\x3f\x00"  # a path of a file begins so, and which one is selected decides much
_PATH: Final = 8
_MOST: Final = 4  # counters above count as this: a PIN's last tries are told apart, its first are not
_How = Callable[[Any], Hashable]
_Read = Callable[[Any], tuple[object, ...]]
_SAME: Final[dict[type, _How]] = dict.fromkeys((bool, type(None)), lambda value: value)
# What is volatile is there or not; of what is kept, the size matters, and how many tries are left.
_VOLATILE: Final[dict[type, _How]] = {
    bytes: lambda value: value if value[:2] == _MF and len(value) <= _PATH else bool(value),
    **dict.fromkeys((str, int), bool),
    **_SAME,
}
_KEPT: Final[dict[type, _How]] = {
    int: lambda value: value if 0 <= value < _MOST else _MOST,
    bytes: lambda value: size(len(value)),
    str: lambda value: size(len(value)),
    **_SAME,
}
# What changes in place, which no comparison of slots shows.
_IN_PLACE: Final[dict[type, _How]] = {
    bytearray: bool,
    dict: lambda table: frozenset(map(type, table.values())) if table else None,
    list: lambda items: frozenset(map(type, items)) if items else None,
    set: lambda members: frozenset(map(type, members)) if members else None,
}
_Current = Callable[[], tuple[Sequence[object], Iterable[Session]]]
_BASIC, _OTHER, _HIDDEN = range(3)  # where a session is: on a channel, or left behind by a selection
# What the file system keeps over power loss.
_FILES: Final = (FilesState, PinsState, SubscriberState)
# What has its own place in the state, or is the same for all of a card's life.
_ELSEWHERE: Final = (Session, Cell, Memory, Routes, Toolkit, MappingProxyType, type)


class State(NamedTuple):
    """A card's state in two numbers, which have little to do with each other: `files`, and all the rest."""

    files: int
    others: int


class _Look:
    """An object as it was last seen: its values, and what they come to in a number."""

    __slots__ = ("moved", "moving", "number", "one", "open", "read", "still", "values")

    def __init__(self, one: object, read: _Read) -> None:
        self.one: Final = one
        self.read: Final = read
        self.values: tuple[object, ...] | None = None
        self.moving: Sequence[tuple[int, _How]] = ()
        self.moved: list[Hashable] | None = None
        self.open = False
        self.still = self.number = 0


class _Hows(dict[type, _How]):
    """What a value in a slot comes to, by its class; of what changes in place, `moving` answers what it is now."""

    def __init__(self, state: _How, slots: _How) -> None:
        super().__init__(_VOLATILE)
        self._state: Final = state
        self._slots: Final = slots
        self.moving: Final[dict[type, _How]] = {}

    def kept(self, value: object) -> Hashable:
        """Answer what a value in a persistent state comes to."""
        kind = type(value)
        how = _KEPT.get(kind) or self[kind]
        return self.moving.get(kind, how)(value)

    def __missing__(self, kind: type) -> _How:
        how = self._chosen(kind)
        if how is None:
            self.moving[kind] = _IN_PLACE.get(kind, self._slots)
            how = _same_place
        self[kind] = how
        return how

    def _chosen(self, kind: type) -> _How | None:
        if issubclass(kind, Enum):
            return lambda value: value.name
        if issubclass(kind, _ELSEWHERE) or _is_place(kind):
            return _same_place
        if issubclass(kind, FunctionType | MethodType | BuiltinFunctionType):
            return lambda value: value.__qualname__
        if is_dataclass(kind):
            return self._state
        if issubclass(kind, tuple | frozenset):
            return lambda value: (size(len(value)), frozenset(map(_form, value)))
        return None


def _same_place(_: object) -> Hashable:
    return None


class StateView:
    """Looks at one card; called, it answers its state now: equal states are equal, and can be hashed.

    Within a process: what an object holds is put into one number, Python's hash of it.
    """

    __slots__ = (
        "_applets",
        "_current",
        "_how",
        "_kept",
        "_parts",
        "_readers",
        "_seen",
        "_toolkit",
    )

    def __init__(self, toolkit: Toolkit, applets: Sequence[object], memory: Memory, current: _Current) -> None:
        """`current` answers what is selected on each channel, and all sessions."""
        self._toolkit: Final = toolkit
        self._applets: Final = applets
        self._parts: Final = memory.parts
        self._current: Final = current
        self._seen: dict[int, _Look] = {}
        self._kept: dict[int, tuple[object, int]] = {}
        self._readers: dict[type, _Read] = {}
        self._how: Final = _Hows(self._state, self._slots)

    def __call__(self) -> State:
        """Answer the state the card is in now."""
        slots = self._slots
        files: list[Hashable] = []
        others: list[Hashable] = []
        for place, session in self._sessions():
            if isinstance(session, FileSession):
                files.append((place, slots(session)))
                others.append((place, None))
            else:
                others.append((place, slots(session)))
        kept: tuple[list[Hashable], list[Hashable]] = [], []
        for part in self._parts:
            if isinstance(part, Cell):
                kept[isinstance(part.value, _FILES)].append(self._state(part.value))
            else:
                kept[False].append(part.after(-1) is None)
        file_system, *applets = map(slots, self._applets)
        return State(
            hash((frozenset(files), file_system, *kept[True])),
            hash((frozenset(others), slots(self._toolkit), *applets, *kept[False])),
        )

    def _sessions(self) -> Iterator[tuple[int, Session]]:
        """Answer all sessions and where they are: which channel another one is on matters little."""
        current, all_of_them = self._current()
        shown = {id(one): one for one in current}  # most channels have the same: none
        for one in shown.values():
            if isinstance(one, Session):
                yield _BASIC if one is current[0] else _OTHER, one
        for one in all_of_them:
            if id(one) not in shown:
                yield _HIDDEN, one

    def _state(self, state: object) -> int:
        """What is never changed in place, only replaced whole: one that was seen needs no second look."""
        known = self._kept.get(id(state))
        if known is not None and known[0] is state:
            return known[1]
        if len(self._kept) > _REMEMBERED:
            self._kept.clear()
        number = hash(tuple([self._how.kept(value) for value in _fields(type(state))(state)]))
        self._kept[id(state)] = state, number
        return number

    def _slots(self, one: object) -> Hashable:
        """Everything an object holds; read anew only where a slot holds another value, or one that changes in place."""
        look = self._seen.get(id(one))
        if look is None or look.one is not one:
            look = self._look(one)
        values = look.read(one)
        if look.values != values:
            self._read(look, values)
        if look.moving and not look.open:  # where it is being looked at already, this is a circle
            look.open = True
            try:
                now = [how(values[at]) for at, how in look.moving]
            finally:
                look.open = False
            if now != look.moved:
                look.moved = now
                look.number = hash((look.still, *now))
        return look.number

    def _look(self, one: object) -> "_Look":
        kind = type(one)
        if kind not in self._readers:
            self._readers[kind] = _reader(kind, one)
        if len(self._seen) > _REMEMBERED:
            self._seen.clear()
        look = self._seen[id(one)] = _Look(one, self._readers[kind])
        return look

    def _read(self, look: "_Look", values: tuple[object, ...]) -> None:
        """Read values anew, and remember which may change without another value being there."""
        kinds, how = [*map(type, values)], self._how
        still = [how[kind](value) for kind, value in zip(kinds, values, strict=True)]
        look.moving = [(at, how.moving[kind]) for at, kind in enumerate(kinds) if kind in how.moving]
        look.values, look.moved = values, None
        look.still = look.number = hash((type(look.one).__name__, *still))


def size(length: int) -> int:
    """Put a length into its bucket: 0, 1 and 2 by themselves, then by powers of two."""
    return length if length < 3 else 2 + length.bit_length()


@per_class
def _fields(kind: Kind) -> _Read:
    """Answer what reads all fields of a dataclass."""
    return reads([one.name for one in fields(kind)])


def _form(element: object) -> Hashable:
    """What one of many is like: its kind, and its coded values."""
    if is_dataclass(element):
        values = _fields(type(element))(element)
        return type(element).__name__, *[value for value in values if isinstance(value, Enum | bool)]
    return type(element).__name__


def _is_place(kind: type) -> bool:
    """Whether this is a card or an applet, by what it can do."""
    return hasattr(kind, "reset") and (hasattr(kind, "transmit") or hasattr(kind, "session"))


def _reader(kind: type, one: object) -> Callable[[Any], tuple[object, ...]]:
    """Answer what reads everything an object of a class holds, the first of which is given."""
    names = [name for name in slots_of(kind) if not _is_its_applets(one, name) and not _works(getattr(one, name, None))]
    get = reads(names)
    if hasattr(one, "__dict__"):
        return lambda each: (*get(each), *vars(each).values())
    return get


def _works(value: object) -> bool:
    """Whether this only does things and remembers nothing: a method, or an object that holds nothing else."""
    if isinstance(value, MethodType | BuiltinFunctionType):
        return True
    kind = type(value)
    if kind.__module__.split(".", 1)[0] != "bsim" or isinstance(value, Enum) or hasattr(value, "__dict__"):
        return False
    held = [getattr(value, name, None) for name in slots_of(kind)]
    return not is_dataclass(kind) and all(_works(inner) or _is_elsewhere(inner) for inner in held)


def _is_elsewhere(value: object) -> bool:
    return isinstance(value, (*_ELSEWHERE, FunctionType)) or _is_place(type(value))


def _is_its_applets(one: object, name: str) -> bool:
    """Whether a session's slot holds what its applet holds, and what counts as the applet's."""
    if not isinstance(one, Session) or name == "routes":
        return False
    missing: Any = object()
    held = getattr(one.applet, name, missing)
    return held is not missing and held is getattr(one, name, None)
