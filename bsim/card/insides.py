"""How objects of each class can be seen into: slots, contents, what they lead to, and whether they can change."""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import Field, fields, is_dataclass
from enum import Enum
from functools import cache, partial
from operator import attrgetter
from types import (
    BuiltinFunctionType,
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

UNCHANGING: Final = (
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


def per_class(function: Callable[[Any], T]) -> Callable[[Any], T]:
    """Keep what is answered for each class; `cache` itself does not take a class for something that can be hashed."""
    return cache(function)


class Way(Enum):
    """How an object is taken."""

    SLOTS = 1
    VALUE = 2  # a frozen dataclass: nothing to bring back, but it may lead to what changes
    ELEMENTS = 3
    CONTENTS = 4
    CODE = 5
    OPAQUE = 6


class FreezeError(TypeError):
    """Something the card holds cannot be seen into, so a snapshot would forget it."""


@per_class
def slots_of(kind: Kind) -> tuple[str, ...]:
    """Answer the names of all slots of a class and of those it inherits from."""
    return tuple(
        name
        for base in kind.__mro__
        if "__slots__" in vars(base)
        for name, member in vars(base).items()
        if isinstance(member, MemberDescriptorType)
    )


@per_class
def read(kind: Kind) -> Callable[[Any], tuple[object, ...]]:
    """Answer what reads all slots of an object of a class at once; AttributeError if one is not set."""
    return reads(slots_of(kind))


@per_class
def fields_of(kind: Kind) -> tuple[Field[Any], ...]:
    """Answer the fields of a dataclass; of anything else, none."""
    return fields(kind) if is_dataclass(kind) else ()


def reads(names: Sequence[str]) -> Callable[[Any], tuple[object, ...]]:
    """Answer what reads attributes of an object, as a tuple however many they are."""
    if len(names) > 1:
        return attrgetter(*names)
    if not names:
        return lambda _: ()
    get = attrgetter(*names)
    return lambda one: (get(one),)


@per_class
def iterates(kind: Kind) -> bool:
    """Whether objects of a class are read piece by piece, and are gone then."""
    return issubclass(kind, Iterator)


@per_class
def changes_never(kind: Kind) -> bool:
    """Whether nothing behind an object of a class can change: a plain value, or a frozen dataclass made of such."""
    if issubclass(kind, UNCHANGING):
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
    return hint is ... or (isinstance(hint, type) and changes_never(hint))


@per_class
def way(kind: Kind) -> tuple[Way, tuple[str, ...]]:
    """Answer how objects of a class are taken, and their slots; FreezeError where they cannot be seen into."""
    names = slots_of(kind)
    if issubclass(kind, FunctionType | MethodType | BuiltinFunctionType | partial):
        return Way.CODE, ()
    if issubclass(kind, tuple | frozenset):
        return Way.ELEMENTS, ()
    if issubclass(kind, _CONTENTS):
        return Way.CONTENTS, names
    if kind.__module__.startswith(_OPAQUE):
        return Way.OPAQUE, ()
    parameters = getattr(kind, "__dataclass_params__", None)
    if parameters is not None and parameters.frozen:
        return Way.VALUE, tuple(one.name for one in fields(kind))
    if not names and not kind.__dictoffset__ and not _empty(kind):
        raise FreezeError(f"a card holds a {kind.__module__}.{kind.__qualname__}, which cannot be seen into")
    return Way.SLOTS, names


def _empty(kind: type) -> bool:
    """Whether objects of a class can hold nothing: slots are declared by all of its own bases, and there are none."""
    own = [base for base in kind.__mro__ if base is not object and base.__module__ != "abc"]
    return all("__slots__" in vars(base) for base in own) and not any(
        isinstance(member, GetSetDescriptorType) for base in own for member in vars(base).values()
    )


def behind(one: Any, how: Way, names: tuple[str, ...]) -> Iterable[object]:
    """Answer what an object that never changes itself leads to, taken as `way` says of its class."""
    if how is Way.VALUE:
        return [getattr(one, name) for name in names]
    if how is Way.ELEMENTS:
        return one  # type: ignore[no-any-return]
    return _closed_over(one) if how is Way.CODE else ()


def _closed_over(one: object) -> Iterator[object]:
    """What code leads to: the values a function closes over, the object a method belongs to."""
    if isinstance(one, FunctionType):
        for cell in one.__closure__ or ():
            yield cell.cell_contents
        yield from (one.__defaults__ or ())
    elif isinstance(one, partial):
        yield from (one.func, one.args, one.keywords)
    elif isinstance(one, MethodType | BuiltinFunctionType):
        yield one.__self__
