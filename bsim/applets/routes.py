"""The one dispatcher: a header leads to a route, compiled from the declaration, that checks and calls its handler.

The order of the checks is fixed: 6E00 and the other class errors, 6D00, 6A86, 6985, 6982, 6700, 6A80, and then
whatever the handler alone can know.
"""

from collections.abc import Callable, Mapping
from struct import Struct
from types import MappingProxyType
from typing import Any, Final

from bsim import tlv
from bsim.apdu import CLAS, MAX_LC, Cla, SecureMessaging, body
from bsim.applets.session import Response, Session
from bsim.spec import Command, Field, Kind, LeRule
from bsim.sw import OK, SW, SwError, exact_length
from bsim.tlv import TlvError

Route = Callable[[Any, bytes], bytes]
"""Serves one command APDU for a session: response APDU out."""
Guard = Callable[[Any], SW | None]
"""A condition or right: None, or the status word that refuses the command."""

Table = Mapping[str, tuple[Command, Route]]
"""Commands by name, each with its route."""

Handler = Callable[..., bytes | Response]
"""A handler's parameters are its entry's fields, which the binding checks at import."""
Split = Callable[[bytes, int, int], tuple[Any, ...] | None]
"""Cuts the data of a command, from start to end, into its fields; None where a value is none of the legal ones."""

_MOST_KEPT: Final = 1024  # headers of a command; P1 and P2 of READ BINARY would fill memory with all offsets there are
_INTEGERS: Final = {Kind.U8: "B", Kind.U16: "H", Kind.U32: "I"}
_WRONG_LENGTH: Final = SW.WRONG_LENGTH.encoded
_WRONG_DATA: Final = SW.WRONG_DATA.encoded


def refuse(sw: SW) -> Route:
    """Answer a route that only refuses."""
    encoded = sw.encoded
    return lambda _session, _raw: encoded


# Named once: looking up an enumeration's member takes longer than refusing.
_NO_CLASS: Final = refuse(SW.CLA_NOT_SUPPORTED)
_NO_INSTRUCTION: Final = refuse(SW.INS_NOT_SUPPORTED)
_NO_CHAINING: Final = refuse(SW.CHAINING_NOT_SUPPORTED)
_NO_SECURE_MESSAGING: Final = refuse(SW.SECURE_MESSAGING_NOT_SUPPORTED)
_WRONG_P1_P2: Final = refuse(SW.WRONG_P1_P2)


class LateTable:
    """Commands whose handlers are imported when the first of them comes; a header they refuse imports nothing."""

    __slots__ = ("commands", "load")

    def __init__(self, declared: Mapping[str, Command], load: Callable[[], Table]) -> None:
        """`load` answers the table of all that is declared, and the same each time."""
        self.commands: Final = tuple(declared.values())
        self.load: Final = load


class Routes(dict[bytes, Route]):
    """All headers of the commands that one selected applet answers; legal ones are kept once they were used."""

    def __init__(self, *tables: Table | LateTable) -> None:
        super().__init__()
        self._instructions: dict[tuple[int, int], list[tuple[Command, Callable[[], Table]]]] = {}
        for command, load in ((command, table.load) for table in map(_late, tables) for command in table.commands):
            for cla in command.cla:
                self._instructions.setdefault((cla, command.ins), []).append((command, load))
        self._classes = {cla for cla, _ in self._instructions}

    def __missing__(self, header: bytes) -> Route:
        cla = CLAS[header[0]]
        if cla.base not in self._classes:
            return self._refuse_class(cla)
        # Commands may share an instruction and differ in P1 and P2, as those of GET DATA and of STATUS do.
        sharing = self._instructions.get((cla.base, header[1]))
        if sharing is None:
            return _NO_INSTRUCTION
        command, load = next((pair for pair in sharing if pair[0].takes(header)), sharing[-1])
        if cla.chaining and not command.chaining:
            return _NO_CHAINING
        if not command.takes(header):
            return _WRONG_P1_P2
        _, route = load()[command.name]
        if cla.chaining:
            return _Chain(self, header, route).append
        if len(command.p1.legal) * len(command.p2.legal) <= _MOST_KEPT:
            self[header] = route
        return route

    def commands(self) -> "list[Command]":
        """Answer the commands that are answered, the card's own first."""
        found = [command for sharing in self._instructions.values() for command, _ in sharing]
        return list({command.name: command for command in found}.values())

    def declares(self, header: bytes) -> bool:
        """Whether the header (4 bytes) is that of a command there is."""
        sharing = self._instructions.get((CLAS[header[0]].base, header[1]), ())
        return any(command.takes(header) for command, _ in sharing)

    def _refuse_class(self, cla: Cla) -> Route:
        if cla.valid and cla.secure_messaging != SecureMessaging.NONE and cla.base & 0x80 in self._classes:
            return _NO_SECURE_MESSAGING
        return _NO_CLASS


def _late(table: Table | LateTable) -> LateTable:
    if isinstance(table, LateTable):
        return table
    return LateTable({name: command for name, (command, _) in table.items()}, lambda: table)


class _Chain(dict[bytes, Route]):
    """A session's routes in the middle of a command chain. ISO/IEC 7816-4 5.3.3."""

    def __init__(self, routes: Mapping[bytes, Route], header: bytes, route: Route) -> None:
        super().__init__()
        self._routes = routes
        self._route = route
        self._data = b""
        last = bytes((header[0] & ~0x10,)) + header[1:]
        self[header] = self.append
        self[last] = self._finish

    def __missing__(self, _header: bytes) -> Route:
        return self._break_off

    def append(self, session: Session, raw: bytes) -> bytes:
        """Take one more part; too much of it ends the chain with 6700."""
        if session.routes is not self:  # the first part: a session with a secure channel has routes of its own
            self._routes = session.routes
        session.routes = self._routes
        start, end, _ = body(raw)
        self._data += raw[start:end]
        if len(self._data) > MAX_LC:
            return _WRONG_LENGTH
        session.routes = self
        return OK

    def _finish(self, session: Session, raw: bytes) -> bytes:
        session.routes = self._routes
        start, end, le = body(raw)
        data = self._data + raw[start:end]
        if not 0 < len(data) <= MAX_LC:
            return _WRONG_LENGTH
        encoded_le = b"" if le is None else (le & 0xFFFF).to_bytes(2, "big")
        return self._route(session, raw[:4] + b"\0" + len(data).to_bytes(2, "big") + data + encoded_le)

    def _break_off(self, session: Session, raw: bytes) -> bytes:
        session.routes = self._routes
        return session.routes[raw[:4]](session, raw)


def compile_route(
    command: Command,
    handler: Handler,
    guards: tuple[Guard, ...],
    types: Mapping[str, type] = MappingProxyType({}),
) -> Route:
    """Turn an entry, its handler, its guards and its enumerations (by field name) into the route that serves it."""
    if command.fields:
        return _with_fields(command, handler, guards, types)
    good_tails = _good_tails(command)
    check_le = _le_check(command)

    def route(session: Session, raw: bytes) -> bytes:
        for guard in guards:
            sw = guard(session)
            if sw is not None:
                return sw.encoded
        le: int | None = None
        if raw[4:] not in good_tails:
            start, end, le = body(raw)
            refusal = _WRONG_LENGTH if start != end else check_le(le)
            if refusal is not None:
                return refusal
        answer = handler(session)
        response = answer + OK if type(answer) is bytes else answer.encoded  # type: ignore[union-attr]
        if le is not None and len(response) - 2 > le:
            raise _le_too_short(response)
        return response

    return route


def _with_fields(command: Command, handler: Handler, guards: tuple[Guard, ...], types: Mapping[str, type]) -> Route:
    least, most = command.lc_minimum, command.lc_maximum
    check_le = _le_check(command)
    split = (_tlv_splitter if _is_tlv(command) else _splitter)(command.data, types)
    parameters = _parameters(command, types)

    def route(session: Session, raw: bytes) -> bytes:
        for guard in guards:
            sw = guard(session)
            if sw is not None:
                return sw.encoded
        end = len(raw)
        le: int | None = None
        if end > 5 and 5 + raw[4] == end:  # case 3, short: what wallets send
            start = 5
        else:
            start, end, le = body(raw)
            refusal = check_le(le)
            if refusal is not None:
                return refusal
        if not least <= end - start <= most:
            return _WRONG_LENGTH
        values = split(raw, start, end)
        if values is None:
            return _WRONG_DATA
        answer = handler(session, *parameters(raw, le), *values) if parameters else handler(session, *values)
        response = answer + OK if type(answer) is bytes else answer.encoded  # type: ignore[union-attr]
        if le is not None and len(response) - 2 > le:
            raise _le_too_short(response)
        return response

    return route


def _le_too_short(response: bytes) -> SwError:
    return SwError(int.from_bytes(exact_length(len(response) - 2), "big"), "Le is too short")


def _is_tlv(command: Command) -> bool:
    return any(field.kind is Kind.TLV for field in command.data)


def _good_tails(command: Command) -> frozenset[bytes]:
    """Everything that may follow the header of a command without data, short forms only."""
    most = command.response_maximum
    long_enough = (bytes((le,)) for le in range(max(most, 1), 256) if most)
    return frozenset((b"", b"\0", *long_enough))


def _le_check(command: Command) -> Callable[[int | None], bytes | None]:
    """Whether Le fits, as far as that can be told beforehand: it must hold a response of the one length there is.

    Where the length varies it is judged by the response that came, and the command rolled back; but where not even
    the session may have changed by then, Le must hold the longest response.
    """
    most = command.response_maximum
    varies = sum(field.encoded_minimum for field in command.response) != most
    later = command.le_asked or (varies and command.le is not LeRule.LONGEST)
    # Without response data Le can only be the 00 that T=0 puts in its place. ETSI TS 102 221 7.3.1.1.1.
    too_short = exact_length(most) if most else _WRONG_LENGTH
    least = most or 256

    def check(le: int | None) -> bytes | None:
        return None if later or le is None or le >= least else too_short

    return check


def _parameters(command: Command, types: Mapping[str, type]) -> Callable[[bytes, int | None], tuple[Any, ...]] | None:
    """How P1, P2 and Le become arguments; None where all three are fixed."""
    named = [
        (at, _legal(parameter.values, types[parameter.name]) or {value: value for value in parameter.legal})
        for at, parameter in ((2, command.p1), (3, command.p2))
        if parameter.name
    ]
    if command.le_asked:
        longest = command.response_maximum
        return lambda raw, le: (*(legal[raw[at]] for at, legal in named), le or longest)
    if len(named) == 2:  # what is read page after page: without a loop
        (_, first), (_, second) = named
        return lambda raw, _le: (first[raw[2]], second[raw[3]])
    return (lambda raw, _le: tuple(legal[raw[at]] for at, legal in named)) if named else None


def _splitter(fields: tuple[Field, ...], types: Mapping[str, type]) -> Split:
    open_ended = bool(fields) and fields[-1].minimum != fields[-1].maximum
    fixed = fields[:-1] if open_ended else fields
    layout = Struct(">" + "".join(_INTEGERS.get(field.kind, f"{field.maximum}s") for field in fixed))
    unpack, size = layout.unpack_from, layout.size
    coded = [(at, _legal(field.values, types[field.name])) for at, field in enumerate(fixed) if field.values]

    def split(raw: bytes, start: int, end: int) -> tuple[Any, ...] | None:
        values = unpack(raw, start)
        for at, legal in coded:
            if values[at] not in legal:
                return None
            values = (*values[:at], legal[values[at]], *values[at + 1 :])
        return (*values, raw[start + size : end]) if open_ended else values

    return split


def _tlv_splitter(fields: tuple[Field, ...], _types: Mapping[str, type]) -> Split:
    wanted = [(field.tag, field.minimum, field.maximum) for field in fields]

    def split(raw: bytes, start: int, end: int) -> tuple[Any, ...] | None:
        data = raw[start:end]
        # The wallet app writes the length as one byte whatever it is; BER needs two from 128 on. Both are taken, BER
        # first: 81 80 before 128 bytes is also a one-byte length of 129, whereas no text key2 begins as BER would.
        for parse in (tlv.parse, tlv.parse_simple):
            try:
                objects = parse(data)
            except TlvError:
                continue
            if len(objects) == len(wanted) and all(
                found.tag == tag and least <= len(found.value) <= most
                for found, (tag, least, most) in zip(objects, wanted, strict=True)
            ):
                return tuple(found.value for found in objects)
        return None

    return split


def _legal(values: Mapping[str, int], enumeration: type) -> dict[int, Any]:
    """Coded value to the handler's enumeration member."""
    return {value: enumeration(value) for value in values.values()}
