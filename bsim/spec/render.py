"""The declaration as a reference for people: text for the terminal, Markdown for docs/commands.md."""

from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import Final

from bsim.spec.model import Applet, Command, Danger, Field, Kind, Parameter, Spec

_WIDTH: Final = 100
_KINDS: Final = {Kind.U8: "1 byte", Kind.U16: "2 bytes, big endian", Kind.U32: "4 bytes, big endian"}
_EXTENDED: Final = "cards of the extended profile only"

DANGERS: Final = {
    Danger.SAFE: "safe",
    Danger.CONSUMES_TRY: "consumes-try: may spend a try of a PIN",
    Danger.WRITES: "writes: changes what the card keeps",
    Danger.IRREVERSIBLE: "irreversible: changes what nothing brings back",
}


def find(spec: Spec, name: str) -> list[Command]:
    """Answer the commands of a name, in whatever case and with spaces or hyphens for underscores."""
    wanted = name.strip().upper().replace("-", "_").replace(" ", "_")
    return [applet.commands[wanted] for applet in spec.applets.values() if wanted in applet.commands]


def index(spec: Spec) -> str:
    """All commands, a line each, by applet."""
    lines: list[str] = []
    for applet in spec.applets.values():
        lines += ["", f"{applet.title}  ({applet.name})"]
        lines += [f"  {_header(c):<18}{c.name:<24}{c.title}" for c in applet.declared_by("").values()]
        for extension in applet.extensions.values():
            lines += ["", f"{extension.title}  ({applet.name}; {_EXTENDED})"]
            added = applet.declared_by(extension.name).values()
            lines += [f"  {_header(c):<18}{c.name:<24}{c.title}" for c in added]
    return "\n".join(lines[1:])


def reference(spec: Spec, command: Command) -> str:
    """Everything that is declared of a command."""
    applet = spec.applets[command.applet]
    lines = [f"{command.name}  {command.title}", ""]
    lines += _row("Applet", f"{applet.title} ({applet.name}{'; ' + _EXTENDED if command.extension else ''})")
    lines += _row("Source", f"{command.source}: {command.reference}")
    lines += _row("Danger", DANGERS[command.danger])
    lines += _row("Header", _header(command))
    lines += _section("Parameters", map(" ".join, _parameters(command)))
    lines += _section("Data", (f"{field.name:<14}{_kind(field)}" for field in command.data))
    lines += _section("Response", (f"{field.name:<14}{_kind(field)}" for field in command.response))
    lines += _section("Allowed when", (applet.conditions[name] for name in command.when))
    lines += _section("Needs", (applet.rights[name] for name in command.needs))
    lines += _section("Status words", (f"{pattern}  {words}" for pattern, words in command.sw.items()))
    lines += _section("Notes", command.notes)
    lines += _section("Examples", _examples(command))
    return "\n".join(lines)


def as_json(command: Command) -> dict[str, object]:
    """The same for machines."""
    return {
        "name": command.name,
        "title": command.title,
        "applet": command.applet,
        "extension": command.extension,
        "source": str(command.source),
        "danger": str(command.danger),
        "reference": command.reference,
        "cla": [f"{cla:02X}" for cla in command.cla],
        "ins": f"{command.ins:02X}",
        "p1": _parameter_json(command.p1),
        "p2": _parameter_json(command.p2),
        "data": [_field_json(field) for field in command.data],
        "response": [_field_json(field) for field in command.response],
        "when": list(command.when),
        "needs": list(command.needs),
        "sw": dict(command.sw),
        "notes": list(command.notes),
        "examples": [
            {
                "title": example.title,
                "card": example.card,
                "given": list(example.given),
                "command": example.command.hex().upper(),
                "response": example.response,
                "sw": example.sw,
            }
            for example in command.examples
        ],
    }


def markdown(spec: Spec) -> str:
    """The whole reference as one Markdown page."""
    lines = [
        "<!-- Generated from applet_spec/*.toml by tools/gen_docs.py (`make docs`). Do not edit. -->",
        "",
        "# Commands",
        "",
        "Generated from `applet_spec/*.toml` by `tools/gen_docs.py`; `make docs` writes it anew. On the terminal:"
        " `bsim spec`, `bsim spec SIGN`.",
        "",
        "*Known* commands were read off the wallet app that talks to real cards, or are those of a standard; *chosen*"
        " ones are this project's.",
        "",
    ]
    lines += _table(("status word", "any command may answer it"), spec.common.items())
    for applet in spec.applets.values():
        lines += _applet_markdown(applet)
    return "\n".join(lines).rstrip() + "\n"


def _applet_markdown(applet: Applet) -> Iterator[str]:
    yield from (f"## {applet.title}", "")
    if applet.aids:
        yield from ("AID: " + ", ".join(f"`{aid.hex().upper()}`" for aid in applet.aids), "")
    yield from (f"Reference: {applet.reference}", "")
    for command in applet.declared_by("").values():
        yield from _command_markdown(applet, command)
    for extension in applet.extensions.values():
        yield from (f"## {applet.title}: {_lower(extension.title)}", "", f"Reference: {extension.reference}", "")
        yield from (f"{_EXTENDED[0].upper()}{_EXTENDED[1:]}; strict ones answer 6D00.", "")
        for command in applet.declared_by(extension.name).values():
            yield from _command_markdown(applet, command)


def _lower(title: str) -> str:
    return title[0].lower() + title[1:]


def _command_markdown(applet: Applet, command: Command) -> Iterator[str]:
    yield from (f"### {command.name}", "", f"{command.title}.", "")
    yield from (
        f"`{_header(command)}` · {command.source} · {command.reference} · danger: {DANGERS[command.danger]}",
        "",
    )
    yield from _table(("parameter", "value"), _parameters(command))
    yield from _table(("data", "coding"), ((field.name, _kind(field)) for field in command.data))
    yield from _table(("response", "coding"), ((field.name, _kind(field)) for field in command.response))
    conditions = [applet.conditions[name] for name in command.when]
    yield from _bullets("Allowed when:", conditions)
    yield from _bullets("Needs:", [applet.rights[name] for name in command.needs])
    yield from _table(("status word", "meaning"), command.sw.items())
    yield from _bullets("", command.notes)
    yield from ("```", *_examples(command), "```", "")


def _header(command: Command) -> str:
    cla = "/".join(f"{cla:02X}" for cla in command.cla)
    return f"{cla} {command.ins:02X} {_values(command.p1, 'P1')} {_values(command.p2, 'P2')}"


def _values(parameter: Parameter, otherwise: str) -> str:
    return f"{parameter.legal[0]:02X}" if len(parameter.legal) == 1 else otherwise


def _parameters(command: Command) -> Iterator[tuple[str, str]]:
    for key, parameter in (("P1", command.p1), ("P2", command.p2)):
        if parameter.name:
            yield f"{key} {parameter.name}", ", ".join(_legal(parameter))
    if command.le_asked:
        yield "Le", "the bytes wanted"


def _legal(parameter: Parameter) -> Iterator[str]:
    if parameter.values:
        yield from (f"{value:02X} {label}" for label, value in parameter.values.items())
        return
    start = previous = parameter.legal[0]
    for value in (*parameter.legal[1:], -1):
        if value != previous + 1:
            yield f"{start:02X}" if start == previous else f"{start:02X}-{previous:02X}"
            start = value
        previous = value


def _kind(field: Field) -> str:
    coding = _KINDS.get(field.kind) or f"{_range(field)} bytes"
    if field.tag is not None:
        coding = f"{field.tag:02X} len, {coding}"
    values = ", ".join(f"{value:02X} {label}" for label, value in field.values.items())
    return coding + (f": {values}" if values else "") + (" (secret)" if field.secret else "")


def _range(field: Field) -> str:
    return str(field.minimum) if field.minimum == field.maximum else f"{field.minimum}-{field.maximum}"


def _examples(command: Command) -> Iterator[str]:
    for example in command.examples:
        after = f"  (after {', '.join(example.given)})" if example.given else ""
        blank = "  (blank card)" if example.card == "blank" else ""
        yield f"# {example.title}{blank}{after}"
        yield f"> {_spaced(example.command)}"
        yield f"< {example.response} {example.sw}".replace("  ", " ")


def _spaced(command: bytes) -> str:
    digits = command.hex().upper()
    return f"{digits[:10]} {digits[10:]}".rstrip()


def _row(name: str, text: str) -> list[str]:
    first, *more = wrap(text, _WIDTH - 10) or [""]
    return [f"{name:<10}{first}", *(f"{'':<10}{line}" for line in more)]


def _section(title: str, items: Iterable[str]) -> list[str]:
    lines = [
        line
        for item in items
        for line in ([item] if item[:2] in {"> ", "< "} else wrap(item, _WIDTH - 2, subsequent_indent="      "))
    ]
    return ["", title, *(f"  {line}" for line in lines)] if lines else []


def _table(heads: tuple[str, str], rows: Iterable[tuple[str, str]]) -> list[str]:
    cells = [f"| {left} | {right} |" for left, right in ((_cell(a), _cell(b)) for a, b in rows)]
    return [f"| {heads[0]} | {heads[1]} |", "|---|---|", *cells, ""] if cells else []


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("**", "\\*\\*")


def _bullets(title: str, items: Iterable[str]) -> list[str]:
    lines = [f"- {item}" for item in items]
    return [*([title, ""] if title else []), *lines, ""] if lines else []


def _parameter_json(parameter: Parameter) -> dict[str, object]:
    legal = [f"{value:02X}" for value in parameter.legal]
    return {
        "name": parameter.name,
        "legal": legal,
        "values": {label: f"{v:02X}" for label, v in parameter.values.items()},
    }


def _field_json(field: Field) -> dict[str, object]:
    return {
        "name": field.name,
        "type": str(field.kind),
        "length": [field.minimum, field.maximum],
        "tag": None if field.tag is None else f"{field.tag:02X}",
        "values": {label: f"{value:02X}" for label, value in field.values.items()},
        "secret": field.secret,
    }
