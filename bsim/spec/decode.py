"""From bytes back to names, by the declaration: what a command says, what its response says. Pure.

What may hold a secret is masked unless it is asked for: a declared secret field, all the data of a declared command
that do not keep to its declaration, and all the data of one that is not declared, unless it only reads or selects.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from bsim.apdu import CLAS, CommandApdu, SecureMessaging, body
from bsim.spec.model import Applet, Command, Field, Parameter, Spec, sw_matches
from bsim.spec.objects import Part, objects, whole_objects
from bsim.sw import SW, SwError, describe

MASK: Final = "**"
_HIDDEN: Final = "secret"
_CARD: Final = "uicc"
_HEADER: Final = 4
_NOTHING: Final = "master file"
Span: TypeAlias = tuple[Field, int, int]
_GOES_ON: Final = frozenset({0x61, 0x91, 0x9F})
_RESPONSE_WAITS: Final = frozenset({0x61, 0x6C, 0x9F})
_GET_RESPONSE: Final = 0xC0
# Instructions whose data are names of what to select or to read, in any class: SELECT, READ BINARY, READ RECORD,
# GET RESPONSE, GET DATA (two), STATUS. ISO/IEC 7816-4 table 5; ETSI TS 102 221 10.1.2.
_READING: Final = frozenset({0xA4, 0xB0, 0xB2, 0xC0, 0xCA, 0xCB, 0xF2})
# GENERAL AUTHENTICATE and AUTHENTICATE (RUN GSM ALGORITHM in class A0): session keys are in what they answer.
_KEYS_IN_RESPONSE: Final = frozenset({0x86, 0x87, 0x88, 0x89})


@dataclass(frozen=True, slots=True)
class Decoded:
    """A command: its bytes as they may be shown, its name (empty if it has none here), and its fields.

    `more` says that the rest of its data follows in the next command of a chain.
    """

    shown: str
    name: str
    title: str
    channel: int
    fields: tuple[Part, ...]
    command: Command | None
    ins: int = -1
    more: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: its bytes as hex, its status word in words, and what its data are made of."""

    shown: str
    sw: int
    ok: bool
    meaning: str
    fields: tuple[Part, ...]


class Decoder:
    """Follows one card's conversation; `command` and `response` are called in turn, and `reset` when it is."""

    def __init__(self, spec: Spec, *, show_secrets: bool = False, hide: Collection[str] = ()) -> None:
        """`hide` names fields that are masked as if they were declared secret, in commands and responses."""
        self._spec: Final = spec
        self._show: Final = show_secrets
        self._hide: Final = frozenset(hide)
        self._selected: dict[int, str] = {}
        self._cut: dict[int, tuple[str, bytes]] = {}
        self._hidden_rest: set[int] = set()
        self._meanings: dict[tuple[str, str, int], str] = {}
        commands = [command for applet in spec.applets.values() for command in applet.commands.values()]
        self._secret_ins: Final = {c.ins for c in commands if self._any_secret(c.data)}

    def reset(self) -> None:
        """Forget what was selected."""
        self._selected.clear()
        self._cut.clear()
        self._hidden_rest.clear()

    def command(self, raw: bytes) -> Decoded:
        """Name a command APDU and its fields."""
        if len(raw) < _HEADER:
            return Decoded(spaced(raw), "", "not a command: it has less than four bytes", 0, (), None)
        cla = CLAS[raw[0]]
        command = self._find(raw, cla.base) or self._secured(raw)
        start, end = _data_range(raw)
        if command is None:
            return self._unknown(raw, cla.channel, start)
        # With a wrong class or parameters it may be another command of this instruction, one that has a secret.
        doubtful = raw[1] in self._secret_ins and not command.takes(raw)
        spans = None if cla.chaining or doubtful else _spans(command.data, raw, start, end)
        # What follows the data of a command without a response is no Le but one byte too many of a secret.
        tail = range(len(raw) if command.response else end, len(raw))
        masked = self._masked(command.data, spans, range(start, len(raw)), tail)
        shown = spaced(raw, start, end, masked)
        data = tuple(_fields(raw, spans, masked)) if spans is not None else _rest(raw, start, end, masked)
        parts = (*_parameters(command, raw), *data)
        more = cla.chaining and command.chaining
        return Decoded(shown, command.name, command.title, cla.channel, parts, command, raw[1], more)

    def response(self, decoded: Decoded, raw: bytes) -> Answer:
        """Name the response to a command, and take note of what it changes for the next."""
        if len(raw) < 2:
            return Answer(spaced(raw), 0, False, "not a response: it has less than two bytes", ())
        data, sw = raw[:-2], raw[-2] << 8 | raw[-1]
        ok = sw == SW.OK or sw >> 8 in _GOES_ON or (sw == SW.MORE_DATA and bool(data))
        masked = self._response_masked(decoded, sw)
        parts = () if masked else self._response_parts(decoded, data, sw)
        if decoded.command is not None and (sw == SW.OK or sw >> 8 in _GOES_ON):
            self._note(decoded, data)
        shown = f"{MASK * len(data) if masked else data.hex().upper()} {sw:04X}".strip()
        # ISO/IEC 7816-4 5.3.3: 9000 to a link of a chain says that it was taken, and nothing of what the command does.
        meaning = "taken, the rest follows" if decoded.more and sw == SW.OK else self._meaning(decoded.command, sw)
        return Answer(shown, sw, ok, meaning, parts)

    def _find(self, raw: bytes, base: int) -> Command | None:
        """The card's own commands come first, then those of what is selected on the channel, then anyone's."""
        applets = self._spec.applets
        selected = self._selected.get(CLAS[raw[0]].channel, "")
        near = [name for name in (_CARD, selected) if name in applets]
        others = [name for name in applets if name not in near]
        names = (*near, *others)
        found = [c for name in names for c in applets[name].commands.values() if c.ins == raw[1] and base in c.cla]
        known = [c for c in found if c.applet in near] if selected else []
        # Commands that share an instruction differ in P1 and P2.
        return next((c for c in known or found if c.takes(raw)), next(iter(known or found), None))

    def _secured(self, raw: bytes) -> Command | None:
        """What a command of GlobalPlatform's secure messaging carries; its data end with a MAC."""
        cla = CLAS[raw[0]]
        plain = cla.base & ~(SecureMessaging.PROPRIETARY << 2)
        return self._find(raw, plain) if cla.secure_messaging is SecureMessaging.PROPRIETARY else None

    def _unknown(self, raw: bytes, channel: int, start: int) -> Decoded:
        # A mistyped class or instruction must not put the BPIN on the screen, nor data without a length of their own.
        reads = raw[1] in _READING and raw[1] not in self._secret_ins and start > _HEADER
        masked = frozenset(() if self._show or reads else range(start, len(raw)))
        return Decoded(spaced(raw, start, len(raw), masked), "", "no command declared here", channel, (), None, raw[1])

    def _masked(
        self, fields: Iterable[Field], spans: Sequence[Span] | None, data: range, tail: range
    ) -> frozenset[int]:
        if self._show:
            return frozenset()
        if spans is None:
            return frozenset(data)
        if not self._any_secret(fields):
            return frozenset()
        return frozenset(tail).union(*(range(start, end) for field, start, end in spans if self._any_secret((field,))))

    def _any_secret(self, fields: Iterable[Field]) -> bool:
        return any(field.secret or field.name in self._hide for field in fields)

    def _response_masked(self, decoded: Decoded, sw: int) -> bool:
        """Whether response data are secret: by their declaration, or as the rest of such, fetched with GET RESPONSE."""
        command, channel = decoded.command, decoded.channel
        if self._show:
            return False
        rest = decoded.ins == _GET_RESPONSE and channel in self._hidden_rest
        own = decoded.ins in _KEYS_IN_RESPONSE if command is None else self._any_secret(command.response)
        masked = rest or own
        # With T=0 the data are still to come: 61xx is followed by GET RESPONSE on the same channel.
        (self._hidden_rest.add if masked and sw >> 8 in _RESPONSE_WAITS else self._hidden_rest.discard)(channel)
        return masked

    def _response_parts(self, decoded: Decoded, data: bytes, sw: int) -> tuple[Part, ...]:
        command = decoded.command
        if command is None or not data:
            return objects(data)
        name, before = self._cut.pop(decoded.channel, ("", b""))
        before = before if name == command.name else b""
        if sw == SW.MORE_DATA or before:
            parts, left = whole_objects(before + data)
            self._cut[decoded.channel] = (command.name, left)
            return (*parts, Part("cut short", left.hex().upper(), "goes on in the next segment")) if left else parts
        spans = _spans(command.response, data, 0, len(data))
        if spans is None:
            return objects(data) or (Part("data", data.hex().upper()),)
        return tuple(_value(field, data[start:end], frozenset()) for field, start, end in spans)

    def _meaning(self, command: Command | None, sw: int) -> str:
        key = (command.applet, command.name, sw) if command else ("", "", sw)
        if key not in self._meanings:
            self._meanings[key] = _words(command, sw)
        return self._meanings[key]

    def _note(self, decoded: Decoded, data: bytes) -> None:
        values = {part.name: part for part in decoded.fields}
        if decoded.name == "SELECT":
            aid = _df_name(data) or bytes.fromhex(values["identifier"].hex if "identifier" in values else "")
            by_name = values["method"].meaning == "DF_NAME"
            self._selected[decoded.channel] = self._applet(aid) if by_name else _NOTHING
        elif decoded.name == "MANAGE_CHANNEL" and values["operation"].meaning == "CLOSE":
            self._selected.pop(int(values["channel"].hex, 16) or decoded.channel, None)

    def _applet(self, aid: bytes) -> str:
        applets: Iterable[Applet] = self._spec.applets.values()
        return next((a.name for a in applets if any(name.startswith(aid) for name in a.aids)), _NOTHING)


def _words(command: Command | None, sw: int) -> str:
    """What a status word says, and what the command's declaration says of it."""
    own = (words for pattern, words in (command.sw if command else {}).items() if sw_matches(pattern, sw))
    words = next(own, "")
    return f"{describe(sw)}: {words}" if words and words != describe(sw) else describe(sw)


def exchange_json(command: Decoded, answer: Answer) -> dict[str, object]:
    """One exchange for machines."""
    return {
        "command": command.shown.replace(" ", ""),
        "name": command.name,
        "title": command.title,
        "applet": command.command.applet if command.command else None,
        "channel": command.channel,
        "fields": [_part_json(part) for part in command.fields],
        "response": answer.shown.replace(" ", ""),
        "sw": f"{answer.sw:04X}",
        "ok": answer.ok,
        "meaning": answer.meaning,
        "response_fields": [_part_json(part) for part in answer.fields],
    }


def _part_json(part: Part) -> dict[str, object]:
    value: dict[str, object] = {"name": part.name, "hex": part.hex}
    if part.meaning:
        value["meaning"] = part.meaning
    if part.parts:
        value["parts"] = [_part_json(one) for one in part.parts]
    return value


def spaced(raw: bytes, start: int = 5, end: int | None = None, masked: frozenset[int] = frozenset()) -> str:
    """Write a command in hex, its header, data and Le apart, masked bytes as stars."""
    digits = [MASK if at in masked else f"{byte:02X}" for at, byte in enumerate(raw)]
    end = len(raw) if end is None else end
    groups = ("".join(digits[:start]), "".join(digits[start:end]), "".join(digits[end:]))
    return " ".join(group for group in groups if group)


def _data_range(raw: bytes) -> tuple[int, int]:
    try:
        start, end, _ = body(raw)
    except SwError:
        # The fifth byte is no length that fits; where the length was left out it is the first of the data.
        return _HEADER, len(raw)
    return start, end


def _spans(fields: tuple[Field, ...], raw: bytes, start: int, end: int) -> "list[Span] | None":
    """Where each field's value is; None if the data do not keep to the declaration."""
    # A length byte of 80 and more is a length to the wallet app, and the length of one to BER.
    for ber in (False, True):
        spans: list[Span] = []
        at = start
        for number, field in enumerate(fields):
            last = number == len(fields) - 1
            at, stop = (
                _span(field, raw, at, end, ber) if field.tag is not None else (at, end if last else at + field.maximum)
            )
            if not field.minimum <= stop - at <= field.maximum or stop > end:
                break
            spans.append((field, at, stop))
            at = stop
        else:
            if at == end:
                return spans
    return None


def _span(field: Field, raw: bytes, at: int, end: int, ber: bool) -> tuple[int, int]:
    """Where the value of a data object is; from `end` on if it is none of this tag."""
    if end - at < 2 or raw[at] != field.tag:
        return end, end + 1
    size = raw[at + 1] & 0x7F if ber and raw[at + 1] > 0x80 else 0
    value = at + 2 + size
    return value, value + (int.from_bytes(raw[at + 2 : value], "big") if size else raw[at + 1])


def _fields(raw: bytes, spans: Iterable[Span], masked: frozenset[int]) -> Iterator[Part]:
    for field, start, end in spans:
        if start < end:
            yield _value(field, raw[start:end], frozenset(at - start for at in masked))


def _value(field: Field, value: bytes, masked: frozenset[int]) -> Part:
    if masked.issuperset(range(len(value))) and masked:
        return Part(field.name, MASK * len(value), _HIDDEN)
    digits = value.hex().upper()
    if field.kind.size:
        number = int.from_bytes(value, "big")
        return Part(field.name, digits, _label(field.values, number) or str(number))
    return Part(
        field.name, digits, "", objects(value) if field.minimum != field.maximum or value[:1] == b"\x11" else ()
    )


def _rest(raw: bytes, start: int, end: int, masked: frozenset[int]) -> tuple[Part, ...]:
    if start == end:
        return ()
    shown = MASK * (end - start) if masked else raw[start:end].hex().upper()
    return (Part("data", shown, "not the declared fields"),)


def _parameters(command: Command, raw: bytes) -> Iterator[Part]:
    for key, parameter, value in (("p1", command.p1, raw[2]), ("p2", command.p2, raw[3])):
        if parameter.name or value not in parameter.legal:
            yield Part(parameter.name or key, f"{value:02X}", _parameter_meaning(parameter, value))
    if command.le_asked and len(raw) == 5:
        yield Part("le", f"{raw[4]:02X}", str(CommandApdu.parse(raw).le))


def _parameter_meaning(parameter: Parameter, value: int) -> str:
    if value not in parameter.legal:
        return "not declared"
    return _label(parameter.values, value) or str(value)


def _label(values: Mapping[str, int], number: int) -> str:
    return next((label for label, value in values.items() if value == number), "")


def _df_name(data: bytes) -> bytes:
    """The name in a template SELECT answered."""
    for template in objects(data):
        for part in template.parts:
            if part.name.startswith("84"):
                return bytes.fromhex(part.hex)
    return b""
