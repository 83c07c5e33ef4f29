"""TOML to typed tables, once, with every fault named by file and entry."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from bsim.spec.declared import SpecError
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
    sw_matches,
)

Value = TypeVar("Value")


class _Entry:
    """A TOML table that is read key by key, each with its type, and must be used up."""

    def __init__(self, table: object, where: str) -> None:
        if not isinstance(table, dict):
            raise SpecError(f"{where}: a table is wanted")
        self._table: dict[str, object] = dict(table)
        self.where = where

    def text(self, key: str, default: str | None = None) -> str:
        value = self._table.pop(key, default)
        if not isinstance(value, str):
            raise SpecError(f"{self.where}: {key} must be text")
        return value

    def flag(self, key: str) -> bool:
        value = self._table.pop(key, False)
        if not isinstance(value, bool):
            raise SpecError(f"{self.where}: {key} must be true or false")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._table.pop(key, [])
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
            raise SpecError(f"{self.where}: {key} must be a list of texts")
        return tuple(values)

    def mapping(self, key: str) -> Mapping[str, str]:
        entry = _Entry(self._table.pop(key, {}), f"{self.where}, {key}")
        return MappingProxyType({name: entry.text(name) for name in list(entry._table)})

    def names(self, key: str) -> tuple[str, ...]:
        """The keys of a table, which is left to be read."""
        value = self._table.get(key)
        return tuple(value) if isinstance(value, dict) else ()

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def items(self) -> list[tuple[str, "_Entry"]]:
        """Every value as a table of its own."""
        return [(name, _Entry(value, f"{self.where}, {name}")) for name, value in self._table.items()]

    def entries(self, key: str) -> list["_Entry"]:
        value = self._table.pop(key, [])
        if not isinstance(value, list):
            raise SpecError(f"{self.where}: {key} must be a list of tables")
        return [_Entry(item, f"{self.where}, {key} {number}") for number, item in enumerate(value, 1)]

    def pop(self, key: str) -> object:
        return self._table.pop(key, None)

    def finish(self) -> None:
        if self._table:
            raise SpecError(f"{self.where}: unknown key {', '.join(self._table)}")


def load(folder: Path) -> Spec:
    """Read every `*.toml` of a folder."""
    applets: dict[str, Applet] = {}
    common: Mapping[str, str] = {}
    declarations = [_declaration(file) for file in sorted(folder.iterdir(), key=lambda item: item.name)]
    # An applet comes before what extends it.
    for head, top in sorted(filter(None, declarations), key=lambda pair: "extends" in pair[0]):
        common = top.mapping("common") or common
        applet = _extended(head, top, applets) if "extends" in head else _applet(head, top)
        head.finish()
        top.finish()
        applets[applet.name] = applet
    _check_examples(applets)
    return Spec(MappingProxyType(applets), common)


def _declaration(file: Path) -> tuple[_Entry, _Entry] | None:
    """The head of a file and the file; None for one that holds no declaration."""
    if not file.name.endswith(".toml") or file.name == "files.toml":  # bsim.spec.load_files reads that one
        return None
    try:
        top = _Entry(tomllib.loads(file.read_text(encoding="utf-8")), file.name)
    except tomllib.TOMLDecodeError as fault:
        raise SpecError(f"{file.name}: {fault}") from fault
    return _Entry(top.pop("applet"), f"{top.where}, applet"), top


def _applet(head: _Entry, top: _Entry) -> Applet:
    empty = Applet(
        name=head.text("name"),
        title=head.text("title"),
        aids=tuple(_hex(aid, head.where) for aid in head.texts("aids")),
        reference=head.text("reference"),
        commands={},
        conditions={},
        rights={},
        dialogue={},
        life_cycle={},
    )
    return _filled(empty, top)


def _extended(head: _Entry, top: _Entry, applets: Mapping[str, Applet]) -> Applet:
    """The applet that a file extends, with what the file adds."""
    extends = head.text("extends")
    if extends not in applets:
        raise SpecError(f"{head.where}: it extends {extends}, which is not declared")
    base = applets[extends]
    extension = Extension(
        name=head.text("name"),
        title=head.text("title"),
        reference=head.text("reference"),
        conditions=frozenset(top.names("conditions")),
        rights=frozenset(top.names("rights")),
    )
    extensions = MappingProxyType({**base.extensions, extension.name: extension})
    return _filled(base._replace(extensions=extensions), top, extension.name)


def _filled(applet: Applet, top: _Entry, extension: str = "") -> Applet:
    """An applet with what a file declares beside what it had."""
    conditions = _joined(applet.conditions, top.mapping("conditions"), top.where)
    rights = _joined(applet.rights, top.mapping("rights"), top.where)
    commands = dict(applet.commands)
    for entry in top.entries("command"):
        command = _command(applet.name, extension, entry, conditions, rights)
        commands = {**_joined(commands, {command.name: command}, entry.where)}
    return applet._replace(
        commands=MappingProxyType(commands),
        conditions=conditions,
        rights=rights,
        dialogue=_joined(applet.dialogue, top.mapping("dialogue"), top.where),
        life_cycle=_life_cycle(applet.life_cycle, top.pop("life_cycle") or {}, commands, top.where),
    )


def _joined(before: Mapping[str, Value], more: Mapping[str, Value], where: str) -> Mapping[str, Value]:
    if twice := before.keys() & more.keys():
        raise SpecError(f"{where}: {', '.join(sorted(twice))} is declared twice")
    return MappingProxyType({**before, **more})


def _command(
    applet: str, extension: str, entry: _Entry, conditions: Mapping[str, str], rights: Mapping[str, str]
) -> Command:
    name = entry.text("name")
    entry.where = f"{entry.where} ({name})"
    command = Command(
        applet=applet,
        extension=extension,
        name=name,
        title=entry.text("title"),
        source=Source(entry.text("source")),
        danger=Danger(entry.text("danger")),
        reference=entry.text("reference"),
        cla=tuple(_byte(cla, entry.where) for cla in entry.texts("cla")),
        ins=_byte(entry.text("ins"), entry.where),
        p1=_parameter(entry, "p1"),
        p2=_parameter(entry, "p2"),
        when=_known(entry.texts("when"), conditions, entry.where),
        needs=_known(entry.texts("needs"), rights, entry.where),
        makes=_known(entry.texts("makes"), rights, entry.where),
        crypto=Cost(entry.text("crypto", Cost.NONE)),
        data=tuple(_field(item) for item in entry.entries("data")),
        response=tuple(_field(item) for item in entry.entries("response")),
        le=LeRule(entry.text("le", LeRule.RESPONSE)),
        chaining=entry.flag("chaining"),
        sw=entry.mapping("sw"),
        notes=entry.texts("notes"),
        examples=tuple(_example(item) for item in entry.entries("example")),
    )
    entry.finish()
    _check(command, entry.where)
    return command


def _check(command: Command, where: str) -> None:
    if not command.examples:
        raise SpecError(f"{where}: at least one example is wanted")
    if not command.cla:
        raise SpecError(f"{where}: cla is missing")
    for pattern in command.sw:
        if len(pattern) != 4:
            raise SpecError(f"{where}: {pattern} is no status word")
    if any(field.kind is Kind.BYTES and field.minimum != field.maximum for field in command.data[:-1]):
        raise SpecError(f"{where}: only the last field may vary in length")
    if len({field.kind is Kind.TLV for field in command.data}) > 1:
        raise SpecError(f"{where}: data is either all TLV or none")


def _parameter(entry: _Entry, key: str) -> Parameter:
    value = entry.pop(key)
    if isinstance(value, str):
        return Parameter(None, (_byte(value, entry.where),), MappingProxyType({}))
    inner = _Entry(value, f"{entry.where}, {key}")
    values = {name: _byte(text, inner.where) for name, text in inner.mapping("values").items()}
    legal = tuple(values.values()) or tuple(_range(inner.text("range"), inner.where))
    parameter = Parameter(inner.text("name"), legal, MappingProxyType(values))
    inner.finish()
    return parameter


def _field(entry: _Entry) -> Field:
    name, kind = entry.text("name"), Kind(entry.text("type"))
    values = {label: _byte(text, entry.where) for label, text in entry.mapping("values").items()}
    size = kind.size
    minimum, maximum = (size, size) if size else _lengths(entry.text("length"), entry.where)
    tag = _byte(entry.text("tag"), entry.where) if kind is Kind.TLV else None
    field = Field(name, kind, minimum, maximum, tag, MappingProxyType(values), entry.flag("secret"))
    entry.finish()
    return field


def _example(entry: _Entry) -> Example:
    example = Example(
        title=entry.text("title"),
        card=entry.text("card", "test"),
        given=entry.texts("given"),
        command=_hex(entry.text("command"), entry.where),
        response=entry.text("response", "").replace(" ", "").upper(),
        sw=entry.text("sw"),
    )
    entry.finish()
    return example


def _check_examples(applets: Mapping[str, Applet]) -> None:
    commands = {command.name: command for applet in applets.values() for command in applet.commands.values()}
    for command in commands.values():
        for example in command.examples:
            if not any(sw_matches(pattern, int(example.sw, 16)) for pattern in (*command.sw, "6700")):
                raise SpecError(f"{command.name}: the example's {example.sw} is not among its status words")
            for reference in example.given:
                name, _, number = reference.partition(".")
                if name not in commands or int(number or 1) > len(commands[name].examples):
                    raise SpecError(f"{command.name}: there is no example {reference}")


def _life_cycle(
    before: Mapping[str, LifeCycle], table: object, commands: Mapping[str, Command], where: str
) -> Mapping[str, LifeCycle]:
    """The states of an applet's life; an extension adds refusals to those there are."""
    states = dict(before)
    for name, entry in _Entry(table, where).items():
        title = before[name].title if name in before else entry.text("title")
        refuses = before[name].refuses if name in before else {}
        states[name] = LifeCycle(title, _joined(refuses, entry.mapping("refuses"), entry.where))
        entry.finish()
        _known(tuple(states[name].refuses), commands, entry.where)
    return MappingProxyType(states)


def _known(names: tuple[str, ...], declared: Iterable[str], where: str) -> tuple[str, ...]:
    missing = [name for name in names if name not in declared]
    if missing:
        raise SpecError(f"{where}: {', '.join(missing)} is not declared at the top of the file")
    return names


def _hex(text: str, where: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise SpecError(f"{where}: {text!r} is not hexadecimal") from None


def _byte(text: str, where: str) -> int:
    value = _hex(text, where)
    if len(value) != 1:
        raise SpecError(f"{where}: {text!r} is not one byte")
    return value[0]


def _range(text: str, where: str) -> Iterable[int]:
    for part in text.split():
        low, _, high = part.partition("..")
        yield from range(_byte(low, where), _byte(high or low, where) + 1)


def _lengths(text: str, where: str) -> tuple[int, int]:
    low, _, high = text.partition("..")
    if not low.isdigit() or not (high or low).isdigit() or int(low) > int(high or low):
        raise SpecError(f"{where}: {text!r} is no length or range of lengths")
    return int(low), int(high or low)
