"""The file system as applet_spec/files.toml declares it: directories, files, access rules; typed, frozen, read once.

A file is found by its path: the file identifiers from the master file down to it, two bytes each.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final, NamedTuple, Self

MF: Final = b"\x3f\x00"


class Structure(IntEnum):
    """What a file is, as its descriptor byte says; all may be used on several channels. ETSI TS 102 221 table 11.5."""

    DIRECTORY = 0x78
    TRANSPARENT = 0x41
    LINEAR = 0x42
    CYCLIC = 0x46
    BER_TLV = 0x79


class FileSpec(NamedTuple):
    """One file. `size` counts all its bytes, `record` those of a record; `personal` names content of one card only."""

    path: bytes
    name: str
    structure: Structure
    size: int
    record: int
    sfi: int
    rule: bytes
    content: bytes
    personal: str
    layout: str
    example: bytes
    meaning: str
    reference: str
    aid: bytes = b""


class FileSystemSpec(NamedTuple):
    """All files by path; `children` of each directory, in the order of the declaration."""

    files: Mapping[bytes, FileSpec]
    children: Mapping[bytes, tuple[bytes, ...]]

    @classmethod
    def of(cls, listed: Iterable[FileSpec]) -> Self:
        """Put files together, in the order of the declaration."""
        files = {file.path: file for file in listed}
        below: dict[bytes, list[bytes]] = {}
        for file in files.values():
            below.setdefault(file.path[:-2], []).append(file.path)
        parents = (file.path for file in files.values() if file.structure is Structure.DIRECTORY)
        children = {parent: tuple(below.get(parent, ())) for parent in parents}
        return cls(MappingProxyType(files), MappingProxyType(children))

    def applications(self) -> Iterator[FileSpec]:
        """Answer the application directories."""
        return (file for file in self.files.values() if file.aid)

    def named(self, name: str) -> FileSpec:
        """Answer a file by its name, such as MF/EF.ICCID; KeyError if there is none."""
        found = {file.name: file for file in self.files.values()}
        return found[name]
