"""The files of one card: those the declaration has, with what is personal in them, and what was changed since.

Only differences are kept: a file that is as a new card has it costs nothing. docs/decisions/0041.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from struct import Struct, error
from types import MappingProxyType
from typing import Final

from bsim.spec.files import MF, FileSystemSpec, Structure
from bsim.store import Cell, Layout
from bsim.sw import SW, SwError

MOST_CHANGED: Final = 49_152
"""Bytes of all that differs from a new card, as it is written down."""
_MOST_SFI: Final = 30
_HEAD: Final = Struct(">BBHBB3sB")  # length of the path, structure, size, record, SFI, access rule, flags
_DELETED: Final = 0
_ACTIVE, _CONTENT = 1, 2


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is now. `content` is None where it is what a new card has; `rule` is EF.ARR and a record number."""

    structure: Structure
    size: int
    record: int
    sfi: int
    rule: bytes
    active: bool = True
    content: bytes | None = field(default=None, repr=False)

    @property
    def directory(self) -> bool:
        """Whether it is a directory."""
        return self.structure is Structure.DIRECTORY


@dataclass(frozen=True, slots=True)
class FilesState:
    """What differs from a new card, by path; None for a file that was deleted."""

    changed: Mapping[bytes, File | None] = field(repr=False)


def encode(changed: Mapping[bytes, File | None]) -> bytes:
    """Write down what differs."""
    return b"".join(_entry(path, file) for path, file in changed.items())


@lru_cache(maxsize=16)  # going back to a snapshot need not decode it again
def decode(raw: bytes) -> Mapping[bytes, File | None]:
    """Read what differs; ValueError if it is damaged."""
    changed: dict[bytes, File | None] = {}
    at = 0
    while at < len(raw):
        try:
            path_length, structure, size, record, sfi, rule, flags = _HEAD.unpack_from(raw, at)
        except error as fault:
            raise ValueError("files cut short") from fault
        start = at + _HEAD.size
        path, at = raw[start : start + path_length], start + path_length
        if structure == _DELETED:
            changed[path] = None
            continue
        content = None
        if flags & _CONTENT:
            length = int.from_bytes(raw[at : at + 2], "big")
            content, at = raw[at + 2 : at + 2 + length], at + 2 + length
        changed[path] = File(Structure(structure), size, record, sfi, rule, bool(flags & _ACTIVE), content)
    if at != len(raw):
        raise ValueError("files cut short")
    return MappingProxyType(changed)


def _entry(path: bytes, file: File | None) -> bytes:
    if file is None:
        return _HEAD.pack(len(path), _DELETED, 0, 0, 0, bytes(3), 0) + path
    flags = file.active * _ACTIVE | (file.content is not None) * _CONTENT
    head = _HEAD.pack(len(path), file.structure, file.size, file.record, file.sfi, file.rule, flags) + path
    return head if file.content is None else head + len(file.content).to_bytes(2, "big") + file.content


LAYOUT: Final = Layout(FilesState, "files", {"changed": (encode, decode)}, later={"changed": b""})

Personal = Callable[[str, int, int], bytes]
"""Answers content of one card only, by its name, the size of the file and of its records."""


def factory(declared: FileSystemSpec) -> Mapping[bytes, File]:
    """Answer the files as a new card has them, shared by all cards."""
    return MappingProxyType(
        {path: File(one.structure, one.size, one.record, one.sfi, one.rule) for path, one in declared.files.items()}
    )


class FileTree:
    """All files of one card. What is put lasts once the card commits."""

    __slots__ = ("_cell", "_declared", "_factory", "_personal")

    def __init__(
        self, declared: FileSystemSpec, new: Mapping[bytes, File], cell: Cell[FilesState], personal: Personal
    ) -> None:
        self._declared: Final = declared
        self._factory: Final = new
        self._cell: Final = cell
        self._personal: Final = personal

    def get(self, path: bytes) -> File | None:
        """Answer a file; None where there is none."""
        changed = self._cell.value.changed
        return changed[path] if path in changed else self._factory.get(path)

    def file(self, path: bytes) -> File:
        """Answer a file; SwError 6A82 where there is none."""
        found = self.get(path)
        if found is None:
            raise SwError(SW.FILE_NOT_FOUND, "no such file")
        return found

    def content(self, path: bytes) -> bytes:
        """Answer what is in an elementary file."""
        own = self.file(path).content
        return own if own is not None else self._new_content(path)

    def children(self, path: bytes) -> Iterator[bytes]:
        """Answer the paths of what is in a directory, in the order in which it was made."""
        changed = self._cell.value.changed
        declared = self._declared.children.get(path, ())
        yield from (child for child in declared if changed.get(child, self) is not None)
        yield from (c for c, file in changed.items() if c[:-2] == path and c not in declared and file is not None)

    def by_sfi(self, path: bytes, sfi: int) -> bytes:
        """Answer the path of the file in a directory that has a short identifier; SwError 6A82 if there is none."""
        if 0 < sfi <= _MOST_SFI:
            for child in self.children(path):
                if self.file(child).sfi == sfi:
                    return child
        raise SwError(SW.FILE_NOT_FOUND, "no such short file identifier")

    def write(self, path: bytes, content: bytes) -> None:
        """Replace what is in a file."""
        self.put(path, replace(self.file(path), content=content))

    def put(self, path: bytes, file: File | None) -> None:
        """Replace or make a file, or take it away with all that is in it; SwError 6A84 if there is no room."""
        changed = dict(self._cell.value.changed)
        if file is None:
            for gone in [other for other in (*changed, *self._factory) if other.startswith(path)]:
                self._difference(changed, gone, None)
        else:
            self._difference(changed, path, file)
        if len(encode(changed)) > MOST_CHANGED:
            raise SwError(SW.NOT_ENOUGH_MEMORY, "the card's memory is full")
        self._cell.put(FilesState(MappingProxyType(changed)))

    @property
    def room(self) -> int:
        """Bytes left for what differs from a new card."""
        return MOST_CHANGED - len(encode(self._cell.value.changed))

    def aid(self, path: bytes) -> bytes:
        """Answer the AID of an application directory; nothing for other files."""
        declared = self._declared.files.get(path)
        return declared.aid if declared is not None else b""

    def _difference(self, changed: dict[bytes, File | None], path: bytes, file: File | None) -> None:
        """Note how a file differs; nothing where it is as on a new card."""
        new = self._factory.get(path)
        if file is not None and new is not None and file.content == self._new_content(path):
            file = replace(file, content=None)
        if file == new:
            changed.pop(path, None)
        else:
            changed[path] = file

    def _new_content(self, path: bytes) -> bytes:
        one = self._declared.files[path]
        return self._personal(one.personal, one.size, one.record) if one.personal else one.content


def parent(path: bytes) -> bytes:
    """Answer the path of the directory a file is in; the master file is in itself."""
    return path[:-2] or MF
