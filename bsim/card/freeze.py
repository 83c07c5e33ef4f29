"""A snapshot of a powered card with all that is volatile, to go back to in microseconds: for tools, no card has it.

Nothing is listed by hand: every object that the card reaches is taken with all of its slots, so that a session class
that is new tomorrow is covered. An object whose insides cannot be seen is refused, never passed over.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, compress
from operator import is_not
from typing import Any, Final

from bsim.card.insides import Kind, Way, behind, changes_never, iterates, read, way

_UNCHANGED: Final = frozenset({Way.VALUE, Way.ELEMENTS, Way.CODE})
_MOST: Final = 10_000
_PLAIN_CONTAINERS: Final = frozenset({dict, list, set, bytearray})


class Snapshot:
    """Everything some objects reach, as it was; `restore` brings it back into the same objects."""

    __slots__ = ("_contents", "_later", "_survey", "_values")

    def __init__(self, survey: "_Survey", values: Sequence[object], contents: "_Contents", later: "_Walk") -> None:
        self._survey: Final = survey
        self._values: Final = values
        self._contents: Final = contents
        self._later: Final = later

    def restore(self) -> None:
        """Bring everything back; objects that came later are simply not reached any more."""
        survey = self._survey
        any(map(setattr, survey.owners, survey.names, self._values))  # no call answers anything: all are made
        self._contents.restore(survey)
        self._later.restore()


class Freezer:
    """Takes snapshots of the same objects, again and again.

    What they reach when this is made is listed once, and from then on read in one go; only what they came to reach
    later is walked to each time.
    """

    __slots__ = ("_followed", "_leave", "_roots", "_survey")

    def __init__(self, *roots: object, leave: Iterable[object] = ()) -> None:
        """Look at what `roots` reach, but at nothing behind `leave`; FreezeError where that cannot be seen into."""
        self._roots: Final = roots
        self._leave: Final = tuple(leave)
        self._followed: Final = _Followed()
        self._survey = _Survey(roots, self._leave, self._followed)

    def take(self) -> Snapshot:
        """Answer a snapshot; FreezeError where something cannot be seen into."""
        survey, followed = self._survey, self._followed
        if len(survey.known) > _MOST:
            survey.known = survey.listed.copy()
        try:
            values = survey.read()
        except AttributeError:  # a slot was set when it was looked at, and is not any more
            return self._again()
        contents = _Contents(survey)
        known = survey.known
        found = chain(compress(values, map(is_not, values, survey.values)), contents.held())
        new = [one for one in found if followed[type(one)] and id(one) not in known]
        if any(map(iterates, map(type, new))):  # its owner has to be read piece by piece
            return self._again()
        return Snapshot(survey, values, contents, _Walk([*survey.odd, *new], known, followed))

    def _again(self) -> Snapshot:
        self._survey = _Survey(self._roots, self._leave, self._followed)
        return self.take()


class _Followed(dict[Kind, bool]):
    """Whether something behind the objects of a class can change: only such are followed."""

    def __missing__(self, kind: Kind) -> bool:
        answer = self[kind] = not changes_never(kind)
        return answer


class _Survey:
    """What some objects reach, listed: slots and plain containers to be read in one go, and the `odd`, to be walked."""

    __slots__ = ("_reads", "buffers", "known", "listed", "lists", "names", "odd", "owners", "sets", "tables", "values")

    def __init__(self, roots: Iterable[object], leave: Iterable[object], followed: _Followed) -> None:
        self._reads: list[tuple[Callable[[Any], tuple[object, ...]], object]] = []
        self.owners: list[object] = []
        self.names: list[str] = []
        self.tables: list[dict[Any, Any]] = []
        self.lists: list[list[Any]] = []
        self.sets: list[set[Any]] = []
        self.buffers: list[bytearray] = []
        self.odd: list[object] = []
        # What is known is kept, so that nothing new gets its number.
        self.known: dict[int, object] = {id(one): one for one in leave}
        waiting = list(roots)
        while waiting:
            one = waiting.pop()
            if id(one) not in self.known and not any(one is other for other in self.odd):
                waiting += [value for value in self._list(one) if followed[type(value)]]
        self.listed: Final = self.known.copy()
        self.values: Final = self.read()

    def read(self) -> list[object]:
        """Answer the values of all slots, in the order of `owners` and `names`."""
        return [*chain.from_iterable([values(one) for values, one in self._reads])]

    def _list(self, one: Any) -> Iterable[object]:
        """Put one object into its list, and answer what it leads to."""
        kind = type(one)
        how, names = way(kind)
        if kind in _PLAIN_CONTAINERS:
            self.known[id(one)] = one
            return self._contents(one)
        if how is Way.SLOTS and not hasattr(one, "__dict__") and all(hasattr(one, name) for name in names):
            values = read(kind)(one)
            if not any(map(iterates, map(type, values))):
                self.known[id(one)] = one
                self._reads.append((read(kind), one))
                self.owners += [one] * len(names)
                self.names += names
                return values
        if how in {Way.SLOTS, Way.CONTENTS, Way.OPAQUE}:
            self.odd.append(one)
            return ()
        self.known[id(one)] = one
        return behind(one, how, names)

    def _contents(self, one: object) -> Iterable[object]:
        if isinstance(one, dict):
            self.tables.append(one)
            return (*one.keys(), *one.values())
        if isinstance(one, list):
            self.lists.append(one)
            return one
        if isinstance(one, set):
            self.sets.append(one)
            return one
        if isinstance(one, bytearray):
            self.buffers.append(one)
        return ()


class _Contents:
    """What the containers of a survey held."""

    __slots__ = ("_buffers", "_lists", "_sets", "_tables")

    def __init__(self, survey: _Survey) -> None:
        self._tables: Final = [*map(dict.copy, survey.tables)]
        self._lists: Final = [*map(list.copy, survey.lists)]
        self._sets: Final = [*map(set.copy, survey.sets)]
        self._buffers: Final = [*map(bytes, survey.buffers)]

    def held(self) -> Iterator[object]:
        """Answer every element, key and value."""
        tables = [one for one in self._tables if one]
        return chain(*tables, *[one.values() for one in tables], *self._lists, *self._sets)

    def restore(self, survey: _Survey) -> None:
        """Put it back."""
        for table, entries in zip(survey.tables, self._tables, strict=True):
            if table or entries:
                table.clear()
                table.update(entries)
        for items, elements in zip(survey.lists, self._lists, strict=True):
            if items or elements:
                items[:] = elements
        for members, kept in zip(survey.sets, self._sets, strict=True):
            members.clear()
            members.update(kept)
        for buffer, content in zip(survey.buffers, self._buffers, strict=True):
            buffer[:] = content


class _Walk:
    """What some objects hold and reach, taken one by one on the way."""

    __slots__ = ("_buffers", "_dicts", "_followed", "_iterators", "_lists", "_names", "_owners", "_sets", "_values")

    def __init__(self, first: list[object], known: dict[int, object], followed: _Followed) -> None:
        """Begin at `first`, and stop at what is `known`."""
        self._owners: list[object] = []
        self._names: list[str] = []
        self._values: list[object] = []
        self._dicts: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
        self._lists: list[tuple[list[Any], list[Any]]] = []
        self._sets: list[tuple[set[Any], set[Any]]] = []
        self._buffers: list[tuple[Any, bytes]] = []
        self._iterators: list[tuple[object, str, list[object]]] = []
        self._followed: Final = followed
        seen: set[int] = set()  # all of them are held by what they were reached from
        waiting = first
        while waiting:
            one = waiting.pop()
            if id(one) in seen:
                continue
            seen.add(id(one))
            leads = [value for value in self._take(one) if followed[type(value)] and id(value) not in known]
            if leads:
                waiting += leads
            elif way(type(one))[0] in _UNCHANGED:
                known[id(one)] = one  # neither this nor what it leads to needs to be looked at again

    def restore(self) -> None:
        """Put all of it back."""
        any(map(setattr, self._owners, self._names, self._values))
        for table, entries in self._dicts:
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
        if kind in _PLAIN_CONTAINERS:
            return self._content(one)
        how, names = way(kind)
        if how is Way.SLOTS:
            leads = self._slots(one, names)
            return (*leads, vars(one)) if kind.__dictoffset__ else leads
        if how is Way.CONTENTS:
            inner = vars(one).values() if hasattr(one, "__dict__") else ()
            return (*self._content(one), *self._slots(one, names), *inner)
        if how is Way.OPAQUE:
            self._buffer(one)
        return behind(one, how, names)

    def _slots(self, one: object, names: tuple[str, ...]) -> Sequence[object]:
        values: Sequence[object]
        try:
            values = read(type(one))(one)
        except AttributeError:  # some are declared, and not set yet
            names = tuple(name for name in names if hasattr(one, name))
            values = [getattr(one, name) for name in names]
        followed = self._followed
        leads = [value for value in values if followed[type(value)]]
        if leads and any(map(iterates, map(type, leads))):
            return self._with_iterators(one, names, values)
        self._owners += [one] * len(names)
        self._names += names
        self._values += values
        return leads

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
            if type(one) is not dict and type(one).__dictoffset__:
                self._dicts.append((vars(one), dict(vars(one))))
            return (*one.keys(), *one.values()) if one else ()
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
