"""A snapshot of a powered card with all that is volatile, to go back to in microseconds. For tools; a card has no such thing.

Nothing is listed by hand: every object that the card reaches is taken with all of its slots, so that a session class
that is new tomorrow is covered. An object whose insides cannot be seen is refused, never passed over.
"""

import struct
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import cache, partial
from types import (
    BuiltinFunctionType,
    CellType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any, Final

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


class FreezeError(TypeError):
    """Something the card holds cannot be seen into, so a snapshot would forget it."""


class Snapshot:
    """Everything some objects reach, as it was; `restore` brings it back into the same objects."""

    __slots__ = ("_buffers", "_dicts", "_lists", "_names", "_owners", "_sets", "_values")

    def __init__(self, *roots: object, leave: Iterable[object] = ()) -> None:
        """Take what `roots` reach, but nothing behind the objects of `leave`."""
        self._owners: list[object] = []
        self._names: list[str] = []
        self._values: list[object] = []
        self._dicts: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
        self._lists: list[tuple[list[Any], list[Any]]] = []
        self._sets: list[tuple[set[Any], set[Any]]] = []
        self._buffers: list[tuple[Any, bytes]] = []
        seen: dict[int, object] = {id(one): one for one in leave}
        waiting = list(roots)
        while waiting:
            one = waiting.pop()
            if isinstance(one, _UNCHANGING) or id(one) in seen:
                continue
            seen[id(one)] = one
            waiting.extend(self._take(one))

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

    def _take(self, one: object) -> Iterator[object]:
        """Keep what one object holds, and answer what it leads to."""
        kind = type(one)
        yield from self._content(one)
        if isinstance(one, FunctionType | MethodType | BuiltinFunctionType | CellType | partial):
            yield from _behind(one)
            return
        if isinstance(one, tuple | frozenset):
            yield from one
            return
        if kind.__module__.startswith(_OPAQUE):
            self._buffer(one)
            return
        names = slots_of(kind)
        frozen = getattr(getattr(kind, "__dataclass_params__", None), "frozen", False)
        for name in names:
            if not hasattr(one, name):
                continue  # declared, and not set yet
            value = getattr(one, name)
            if not frozen:
                self._owners.append(one)
                self._names.append(name)
                self._values.append(value)
            yield value
        inner = getattr(one, "__dict__", None)
        if isinstance(inner, dict):
            yield inner
        elif not names and not isinstance(one, _CONTENTS) and not _empty(kind):
            raise FreezeError(f"a card holds a {kind.__module__}.{kind.__qualname__}, which cannot be seen into")

    def _content(self, one: object) -> Iterator[object]:
        if isinstance(one, dict):
            self._dicts.append((one, dict(one)))
            yield from one.keys()
            yield from one.values()
        elif isinstance(one, list):
            self._lists.append((one, list(one)))
            yield from one
        elif isinstance(one, set):
            self._sets.append((one, set(one)))
            yield from one
        elif isinstance(one, bytearray):
            self._buffers.append((one, bytes(one)))

    def _buffer(self, one: object) -> None:
        """Keep the bytes of an array that belongs to a library: a secret in one may be wiped, and is wanted back."""
        if type(one).__name__ == "__CDataOwn":
            from coincurve._libsecp256k1 import ffi  # noqa: PLC0415 - there whenever such an object is

            if ffi.typeof(one).kind == "array":
                view = ffi.buffer(one)
                self._buffers.append((view, bytes(view)))


@cache
def slots_of(kind: type) -> tuple[str, ...]:
    """Answer the names of all slots of a class and of those it inherits from."""
    return tuple(
        name
        for base in kind.__mro__
        if "__slots__" in vars(base)
        for name, member in vars(base).items()
        if isinstance(member, MemberDescriptorType)
    )


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
