"""A snapshot of a powered card with all that is volatile, to go back to in microseconds: for tools, no card has it.

Nothing is listed by hand: every object that the card reaches is taken with all of its slots, so that a session class
that is new tomorrow is covered. An object whose insides cannot be seen is refused, never passed over.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from enum import Enum
from functools import cache, partial
from operator import attrgetter
from types import (
    BuiltinFunctionType,
    CellType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    UnionType,
)
from typing import Any, Final, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from bsim.applets.routes import Routes
from bsim.store import Layout

_UNCHANGING: Final = (
    type(None),
    type(...),
    bool,
    int,
    float,
    str,
    bytes,
    range,
    type,
    Enum,
    ModuleType,
    MappingProxyType,
    struct.Struct,
    Layout,  # how a state is written down
    Routes,  # compiled from the declaration, the same for all cards; what it keeps of used headers is no state
)
_CONTENTS: Final = (dict, list, set, bytearray)
# Objects of libraries in C, made once and only used: keys of OpenSSL, what cffi calls with. Their modules:
_OPAQUE: Final = ("cryptography.", "_cffi_backend", "coincurve", "_hashlib", "re", "_ctypes", "typing", "hashlib")


Kind: TypeAlias = type[Any]
T = TypeVar("T")


def _per_class(function: Callable[[Any], T]) -> Callable[[Any], T]:
    """Keep what is answered for each class; `cache` itself does not take a class for something that can be hashed."""
    return cache(function)


class _Way(Enum):
    """How an object is taken."""

    SLOTS = 1
    VALUE = 2  # a frozen dataclass: nothing to bring back, but it may lead to what changes
    ELEMENTS = 3
    CONTENTS = 4
    CODE = 5
    OPAQUE = 6


class FreezeError(TypeError):
    """Something the card holds cannot be seen into, so a snapshot would forget it."""


class Snapshot:
    """Everything some objects reach, as it was; `restore` brings it back into the same objects."""

    __slots__ = ("_buffers", "_dicts", "_iterators", "_lists", "_names", "_owners", "_sets", "_values")

    def __init__(self, *roots: object, leave: Iterable[object] = ()) -> None:
        """Take what `roots` reach, but nothing behind the objects of `leave`."""
        self._owners: list[object] = []
        self._names: list[str] = []
        self._values: list[object] = []
        self._dicts: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
        self._lists: list[tuple[list[Any], list[Any]]] = []
        self._sets: list[tuple[set[Any], set[Any]]] = []
        self._buffers: list[tuple[Any, bytes]] = []
        self._iterators: list[tuple[object, str, list[object]]] = []
        seen: dict[int, object] = {id(one): one for one in leave}
        waiting = list(roots)
        while waiting:
            one = waiting.pop()
            if id(one) in seen:
                continue
            seen[id(one)] = one
            waiting += [value for value in self._take(one) if not _changes_never(type(value))]

    def restore(self) -> None:
        """Bring everything back; objects that came later are simply not reached any more."""
        any(map(setattr, self._owners, self._names, self._values))  # no call answers anything: all are made
        for table, entries in self._dicts:
            if table or entries:
                table.clear()
                table.update(entries)
        for items, elements in self._lists:
            items[:] = elements
        for members, kept in self._sets:
            members.clear()
            members.update(kept)
        for buffer, content in self._buffers:
            buffer[:] = content
        for owner, name, pieces in self._iterators:
            setattr(owner, name, iter(pieces))

    def _take(self, one: Any) -> Iterable[object]:
        """Keep what one object holds, and answer what it leads to."""
        kind = type(one)
        way, names = _way(kind)
        if way is _Way.SLOTS:
            values = self._slots(one, names)
            return (*values, vars(one)) if hasattr(one, "__dict__") else values
        if way is _Way.VALUE:
            return [getattr(one, name) for name in names]
        if way is _Way.ELEMENTS:
            return one  # type: ignore[no-any-return]
        if way is _Way.CONTENTS:
            return (
                *self._content(one),
                *self._slots(one, names),
                *(vars(one) if hasattr(one, "__dict__") else {}).values(),
            )
        if way is _Way.CODE:
            return _behind(one)
        self._buffer(one)
        return ()

    def _slots(self, one: object, names: tuple[str, ...]) -> Sequence[object]:
        values: Sequence[object]
        try:
            values = _read(type(one))(one)
        except AttributeError:  # some are declared, and not set yet
            names = tuple(name for name in names if hasattr(one, name))
            values = [getattr(one, name) for name in names]
        if any(_iterates(type(value)) for value in values):
            return self._with_iterators(one, names, values)
        self._owners += [one] * len(names)
        self._names += names
        self._values += values
        return values

    def _with_iterators(self, one: object, names: Sequence[str], values: Sequence[object]) -> Sequence[object]:
        """What is read piece by piece is read to its end now: from here on it is the same pieces every time."""
        found: list[object] = []
        for name, value in zip(names, values, strict=True):
            if isinstance(value, Iterator):
                pieces = list(value)
                setattr(one, name, iter(pieces))
                self._iterators.append((one, name, pieces))
                found += pieces
            else:
                self._owners.append(one)
                self._names.append(name)
                self._values.append(value)
                found.append(value)
        return found

    def _content(self, one: object) -> Iterable[object]:
        if isinstance(one, dict):
            self._dicts.append((one, dict(one)))
            inner = getattr(one, "__dict__", None)
            if inner is not None:
                self._dicts.append((inner, dict(inner)))
            return (*one.keys(), *one.values())
        if isinstance(one, list):
            self._lists.append((one, list(one)))
            return one
        if isinstance(one, set):
            self._sets.append((one, set(one)))
            return one
        if isinstance(one, bytearray):
            self._buffers.append((one, bytes(one)))
        return ()

    def _buffer(self, one: object) -> None:
        """Keep the bytes of an array that belongs to a library: a secret in one may be wiped, and is wanted back."""
        if type(one).__name__ == "__CDataOwn":
            from coincurve._libsecp256k1 import ffi  # noqa: PLC0415 - there whenever such an object is

            if ffi.typeof(one).kind == "array":
                view = ffi.buffer(one)
                self._buffers.append((view, bytes(view)))


@_per_class
def slots_of(kind: Kind) -> tuple[str, ...]:
    """Answer the names of all slots of a class and of those it inherits from."""
    return tuple(
        name
        for base in kind.__mro__
        if "__slots__" in vars(base)
        for name, member in vars(base).items()
        if isinstance(member, MemberDescriptorType)
    )


@_per_class
def _read(kind: Kind) -> Callable[[Any], tuple[object, ...]]:
    names = slots_of(kind)
    if len(names) > 1:
        return attrgetter(*names)
    return lambda one: (getattr(one, names[0]),) if names else ()


@_per_class
def _iterates(kind: Kind) -> bool:
    return issubclass(kind, Iterator)


@_per_class
def _changes_never(kind: Kind) -> bool:
    """Whether nothing behind an object of a class can change: a plain value, or a frozen dataclass made of such."""
    if issubclass(kind, _UNCHANGING):
        return True
    parameters = getattr(kind, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        return False
    try:
        hints = get_type_hints(kind)
    except NameError:  # imported for type checkers only: it is looked into each time
        return False
    return all(map(_plain, hints.values()))


def _plain(hint: Any) -> bool:
    """Whether a type hint promises a value that never changes."""
    inner = get_args(hint)
    if inner:
        return get_origin(hint) in {tuple, frozenset, Union, UnionType} and all(map(_plain, inner))
    return hint is ... or (isinstance(hint, type) and _changes_never(hint))


@_per_class
def _way(kind: Kind) -> tuple[_Way, tuple[str, ...]]:
    """Answer how objects of a class are taken, and their slots; FreezeError where they cannot be seen into."""
    names = slots_of(kind)
    if issubclass(kind, FunctionType | MethodType | BuiltinFunctionType | CellType | partial):
        return _Way.CODE, ()
    if issubclass(kind, tuple | frozenset):
        return _Way.ELEMENTS, ()
    if issubclass(kind, _CONTENTS):
        return _Way.CONTENTS, names
    if kind.__module__.startswith(_OPAQUE):
        return _Way.OPAQUE, ()
    parameters = getattr(kind, "__dataclass_params__", None)
    if parameters is not None and parameters.frozen:
        return _Way.VALUE, tuple(one.name for one in fields(kind))
    if not names and not kind.__dictoffset__ and not _empty(kind):
        raise FreezeError(f"a card holds a {kind.__module__}.{kind.__qualname__}, which cannot be seen into")
    return _Way.SLOTS, names


def _empty(kind: type) -> bool:
    """Whether objects of a class can hold nothing: slots are declared by all of its own bases, and there are none."""
    own = [base for base in kind.__mro__ if base is not object and base.__module__ != "abc"]
    return all("__slots__" in vars(base) for base in own) and not any(
        isinstance(member, GetSetDescriptorType) for base in own for member in vars(base).values()
    )


def _behind(one: object) -> Iterator[object]:
    """What code leads to: the values a function closes over, the object a method belongs to."""
    if isinstance(one, FunctionType):
        yield from (one.__closure__ or ())
        yield from (one.__defaults__ or ())
    elif isinstance(one, CellType):
        yield one.cell_contents
    elif isinstance(one, partial):
        yield from (one.func, one.args, one.keywords)
    elif isinstance(one, MethodType | BuiltinFunctionType):
        yield one.__self__
