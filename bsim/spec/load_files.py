"""applet_spec/files.toml to the typed tables of bsim.spec.files, with every fault named by its entry."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bsim.spec import access
from bsim.spec.access import ALWAYS, Condition, Mode
from bsim.spec.declared import SpecError
from bsim.spec.files import MF, FileSpec, FileSystemSpec, Structure

FILE: Final = "files.toml"
_KEYS: Final = {
    "always": ALWAYS,
    "pin1": Condition(key=0x01),
    "pin2": Condition(key=0x81),
    "adm": Condition(key=0x0A),
}
_TYPES: Final = {
    "transparent": Structure.TRANSPARENT,
    "linear": Structure.LINEAR,
    "cyclic": Structure.CYCLIC,
    "ber-tlv": Structure.BER_TLV,
}


def load_files(folder: Path) -> FileSystemSpec:
    """Read the declaration of a folder; SpecError says which entry is wrong."""
    top = tomllib.loads((folder / FILE).read_text(encoding="utf-8"))
    rules = {str(rule["name"]): access.encode(_rule(rule)) for rule in top["rule"]}
    files: list[FileSpec] = []
    paths: dict[str, bytes] = {}
    for directory in top["directory"]:
        try:
            files += _directory(directory, rules, paths)
        except (KeyError, ValueError) as fault:
            raise SpecError(f"{FILE}: {directory.get('name')}: {fault}") from fault
    return FileSystemSpec.of(files)


def _rule(entry: Mapping[str, str]) -> dict[Mode, Condition]:
    return {Mode[name.upper()]: _KEYS[needs] for name, needs in entry.items() if name != "name"}


def _directory(entry: Mapping[str, object], rules: Mapping[str, bytes], paths: dict[str, bytes]) -> Iterator[FileSpec]:
    name, fid = str(entry["name"]), bytes.fromhex(str(entry["fid"]))
    parent = paths.get(name.rpartition("/")[0], b"" if fid == MF else MF)
    path = paths[name] = parent + fid
    arr = bytes.fromhex(str(entry["arr"]))
    above = bytes.fromhex("2F06")  # the directory itself is under the rules of the directory it is in
    rule = (arr if len(path) > 4 else above) + bytes((_number(rules, "directory"),))
    aid = bytes.fromhex(str(entry.get("aid", "")))
    nothing = b""
    yield FileSpec(
        path, name, Structure.DIRECTORY, 0, 0, 0, rule, nothing, "", "", nothing, "", str(entry["reference"]), aid
    )
    listed = entry["file"]
    if not isinstance(listed, list):
        raise ValueError("file must be a list")  # noqa: TRY004 - a fault of the declaration
    for file in listed:
        yield _file(name, path, arr, file, rules)


def _file(
    directory: str, parent: bytes, arr: bytes, entry: Mapping[str, object], rules: Mapping[str, bytes]
) -> FileSpec:
    text = {key: value for key, value in entry.items() if isinstance(value, str)}
    structure, size, record = _size(text["type"])
    example, meaning = _texts(entry["example"])
    given = (
        list(rules.values())
        if text.get("generated")
        else [bytes.fromhex(part) for part in _texts(entry.get("content", []))]
    )
    return FileSpec(
        path=parent + bytes.fromhex(text["fid"]),
        name=f"{directory}/{text['name']}",
        structure=structure,
        size=size,
        record=record,
        sfi=int(text.get("sfi", "0"), 16),
        rule=arr + bytes((_number(rules, text["access"]),)),
        content=_content(given, structure, size, record, text),
        personal=text.get("personal", ""),
        layout=text["format"],
        example=bytes.fromhex(example),
        meaning=meaning,
        reference=text["reference"],
    )


def _number(rules: Mapping[str, bytes], name: str) -> int:
    return list(rules).index(name) + 1


def _content(given: Sequence[bytes], structure: Structure, size: int, record: int, text: Mapping[str, str]) -> bytes:
    """Fill a file, or each of its records, to its size; FF is what is written nowhere."""
    if structure is Structure.BER_TLV:
        return b"".join(given)
    fill, length = bytes.fromhex(text.get("fill", "FF")), record or size
    blank = bytes.fromhex(text.get("fill_first", "")).ljust(length, fill)
    entries = [part.ljust(length, b"\xff") for part in given]
    if any(len(part) != length for part in entries) or len(entries) > size // length:
        raise ValueError(f"{text['name']}: its content does not fit")
    return b"".join((*entries, *[blank] * (size // length - len(entries))))


def _size(text: str) -> tuple[Structure, int, int]:
    """Read `transparent 10`, `ber-tlv 1024`, `linear 4x38`: structure, size in all, length of a record."""
    kind, _, size = text.partition(" ")
    count, _, length = size.rpartition("x")
    structure = _TYPES[kind]
    if bool(count) is not (structure in {Structure.LINEAR, Structure.CYCLIC}):
        raise ValueError(f"{text!r} is no type of a file")
    return structure, int(count or 1) * int(length), int(length) if count else 0


def _texts(value: object) -> list[str]:
    return [value] if isinstance(value, str) else [str(part) for part in value] if isinstance(value, list) else []
