"""The declarations as they were last read and checked: a start takes them from here, without TOML. docs/decisions/0057.

`tools/gen_docs.py` writes applet_spec/compiled.json. It holds for the very files it was made from, and is passed over
for any others: what counts is what applet_spec/*.toml says.
"""

import json
from collections.abc import Callable, Mapping
from enum import Enum
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

from bsim.spec.files import FileSpec, FileSystemSpec, Structure
from bsim.spec.model import (
    Applet,
    Command,
    Cost,
    Danger,
    Example,
    Extension,
    Field,
    Kind,
    LeRule,
    LifeCycle,
    Parameter,
    Source,
    Spec,
)

NAME: Final = "compiled.json"
# What makes tables of the declarations: with another of these, the tables may be others.
_READERS: Final = (
    "spec/access.py",
    "spec/compiled.py",
    "spec/files.py",
    "spec/load.py",
    "spec/load_files.py",
    "spec/model.py",
    "tlv.py",
)

Row = list[Any]
Value = TypeVar("Value")


class Declared(NamedTuple):
    """All that is declared."""

    spec: Spec
    files: FileSystemSpec


def read_compiled(folder: Path) -> Declared | None:
    """Answer what a folder declares; None where it has to be read from the declarations themselves."""
    try:
        kept = json.loads((folder / NAME).read_bytes())
        if kept["of"] != _fingerprint(folder):
            return None
    except (OSError, ValueError, KeyError, TypeError):  # not there, cut short, or from another time
        return None
    return Declared(_spec(kept["spec"]), _file_system(kept["files"]))


def compile_text(declared: Declared, folder: Path) -> str:
    """Write what `read_compiled` reads: the fields of each table in their order, bytes in hex."""
    spec, files = declared
    tables = {"of": _fingerprint(folder), "spec": _plain(spec), "files": _plain(list(files.files.values()))}
    return json.dumps(tables, ensure_ascii=False, separators=(",", ":")) + "\n"


def _fingerprint(folder: Path) -> str:
    """A hash of the declarations and of what reads them."""
    readers = [Path(__file__).parents[1] / name for name in _READERS]
    digest = sha256()
    for file in (*sorted(folder.glob("*.toml")), *readers):
        digest.update(file.name.encode() + b"\0" + sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return sorted(value) if isinstance(value, frozenset) else value


def _spec(row: Row) -> Spec:
    applets, common = row
    return Spec(_mapping(applets, _applet), MappingProxyType(common))


def _mapping(table: Mapping[str, Row], read: Callable[[Row], Value]) -> Mapping[str, Value]:
    return MappingProxyType({name: read(row) for name, row in table.items()})


def _applet(row: Row) -> Applet:
    name, title, aids, reference, commands, conditions, rights, dialogue, life_cycle, extensions = row
    return Applet(
        name,
        title,
        tuple(map(bytes.fromhex, aids)),
        reference,
        _mapping(commands, _command),
        MappingProxyType(conditions),
        MappingProxyType(rights),
        MappingProxyType(dialogue),
        _mapping(life_cycle, lambda one: LifeCycle(one[0], MappingProxyType(one[1]))),
        _mapping(extensions, _extension),
    )


def _extension(row: Row) -> Extension:
    name, title, reference, conditions, rights = row
    return Extension(name, title, reference, frozenset(conditions), frozenset(rights))


def _command(row: Row) -> Command:
    applet, extension, name, title, source, danger, reference, cla, ins, p1, p2, when, needs, makes = row[:14]
    crypto, data, response, le, chaining, sw, notes, examples = row[14:]
    return Command(
        applet,
        extension,
        name,
        title,
        Source(source),
        Danger(danger),
        reference,
        tuple(cla),
        ins,
        _parameter(p1),
        _parameter(p2),
        tuple(when),
        tuple(needs),
        tuple(makes),
        Cost(crypto),
        tuple(map(_field, data)),
        tuple(map(_field, response)),
        LeRule(le),
        chaining,
        MappingProxyType(sw),
        tuple(notes),
        tuple(map(_example, examples)),
    )


def _parameter(row: Row) -> Parameter:
    name, legal, values = row
    return Parameter(name, tuple(legal), MappingProxyType(values))


def _field(row: Row) -> Field:
    name, kind, minimum, maximum, tag, values, secret = row
    return Field(name, Kind(kind), minimum, maximum, tag, MappingProxyType(values), secret)


def _example(row: Row) -> Example:
    title, card, given, command, response, sw = row
    return Example(title, card, tuple(given), bytes.fromhex(command), response, sw)


def _file_system(rows: list[Row]) -> FileSystemSpec:
    return FileSystemSpec.of(map(_file, rows))


def _file(row: Row) -> FileSpec:
    path, name, structure, size, record, sfi, rule, content, personal, layout, example, meaning, reference, aid = row
    coded = (bytes.fromhex(part) for part in (path, rule, content, example, aid))
    path, rule, content, example, aid = coded
    kind = Structure(structure)
    return FileSpec(
        path, name, kind, size, record, sfi, rule, content, personal, layout, example, meaning, reference, aid
    )
