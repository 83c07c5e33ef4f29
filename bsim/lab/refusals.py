"""The refusals a declaration calls for: each way a command can be wrong, and pairs of them, whose order is fixed.

applet_spec/README.md, "The order of the checks".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bsim.apdu import CommandApdu
from bsim.lab.cases import Case, Kind, case, commands
from bsim.lab.guard import UNUSED_INS
from bsim.lab.transcript import Step
from bsim.spec import Command, Parameter, spec
from bsim.sw import SW

# Of a card as it is handed out, with a seed, no BPIN verified and card opening not demanded: what it lacks of the
# conditions and rights, and the refusal. A name that is not here is one that nobody can know of a card.
_LACKS: Final[Mapping[str, SW | None]] = {
    "no_seed": SW.CONDITIONS_NOT_SATISFIED,
    "default_bpin": None,
    "not_opened": None,
    "opened": None,
    "bpin": SW.SECURITY_STATUS_NOT_SATISFIED,
    "bpin_usable": None,
    "restore": SW.SECURITY_STATUS_NOT_SATISFIED,
    "issuer_session": SW.SECURITY_STATUS_NOT_SATISFIED,
    "application": None,
    "pin1": None,
    "gsm_directory": SW.CONDITIONS_NOT_SATISFIED,
    "chv1": None,
    "card_in_use": None,
    "secure_channel": SW.SECURITY_STATUS_NOT_SATISFIED,
    "import_channel": None,
}
_UNKNOWN: Final = (
    SW.CONDITIONS_NOT_SATISFIED,
    SW.SECURITY_STATUS_NOT_SATISFIED,
    SW.AUTHENTICATION_METHOD_BLOCKED,
)
# Of classes no card has, one that a reader does not keep for itself: it takes FF for an order to the reader.
_NO_CLASS: Final = 0x20  # for future use: ISO/IEC 7816-4 5.4.1
_CHAINING, _SECURED = 0x10, 0x0C
_GSM: Final = 0xA0  # the class without chaining. 3GPP TS 51.011 9.2
_MOST_LC: Final = 255


@dataclass(frozen=True, slots=True)
class _Wrong:
    """A command APDU, what is wrong with it, and the status words that may refuse it."""

    title: str
    raw: bytes
    sws: tuple[SW, ...]
    pair: bool = False


def refusals(*, known: bool, extended: bool = True) -> Iterator[Case]:
    """Every refusal of every command. `known` says that the card is one as it is handed out."""
    for command in commands(extended=extended).values():
        select = _select(command)
        for wrong in _wrongs(command, known):
            answer = "|".join(f"{sw:04X}" for sw in wrong.sws)
            steps = [*select, Step(0, wrong.raw.hex().upper(), answer)]
            kind = Kind.ORDER if wrong.pair else Kind.REFUSAL
            yield case(command.name, kind, wrong.title, steps, card="test" if known else "any")


def absent() -> Iterator[Case]:
    """What a card of the strict profile answers to each command that is not the real card's."""
    for command in commands().values():
        if command.extension:
            raw = _header(command) + CommandApdu(0, 0, 0, 0, bytes(min(command.lc_minimum, _MOST_LC))).encode()[4:]
            # Where a command of the real card shares class and instruction, what is wrong is P1 and P2.
            sw = SW.WRONG_P1_P2 if _shared(command) else SW.INS_NOT_SUPPORTED
            steps = [*_select(command), Step(0, raw.hex().upper(), f"{sw:04X}")]
            yield case(command.name, Kind.REFUSAL, "not in the strict profile", steps)


def _shared(command: Command) -> bool:
    there = (spec().applets[name].commands.values() for name in ("uicc", command.applet))
    same = (one for commands in there for one in commands if one.ins == command.ins and command.cla[0] in one.cla)
    return any(not one.extension for one in same)


def _wrongs(command: Command, known: bool) -> Iterator[_Wrong]:
    head, body = _header(command), CommandApdu(0, 0, 0, 0, bytes(command.lc_minimum)).encode()[4:]
    cla = head[0]
    lacking = _lacking(command, known)
    unused = bytes((UNUSED_INS,))
    yield _Wrong("a class no card has", bytes((_NO_CLASS,)) + head[1:] + body, (SW.CLA_NOT_SUPPORTED,))
    yield _Wrong("a channel that is not open", bytes((cla | 1,)) + head[1:] + body, (SW.CHANNEL_NOT_SUPPORTED,))
    secured = bytes((cla & 0x90 | _SECURED,)) + head[1:] + body
    yield _Wrong("secure messaging", secured, (SW.SECURE_MESSAGING_NOT_SUPPORTED,))
    yield _Wrong("an instruction it has not", head[:1] + unused + head[2:] + body, (SW.INS_NOT_SUPPORTED,))
    if not command.chaining and cla != _GSM:
        chained = bytes((cla | _CHAINING,)) + head[1:] + body
        yield _Wrong("a chain", chained, (SW.CHAINING_NOT_SUPPORTED,))
    wrong_p1, wrong_p2 = _other(command.p1), _other(command.p2)
    p1, p2 = bytes((wrong_p1 or 0,)), bytes((wrong_p2 or 0,))
    if wrong_p1 is not None:
        yield _Wrong("another P1", head[:2] + p1 + head[3:] + body, (SW.WRONG_P1_P2,))
    if wrong_p2 is not None:
        yield _Wrong("another P2", head[:3] + p2 + body, (SW.WRONG_P1_P2,))
    if lacking and known:
        yield _Wrong("what it needs is missing", head + body, lacking)
    yield from _lengths(command, head, lacking, known)
    yield _Wrong(
        "class before instruction", bytes((_NO_CLASS,)) + unused + head[2:] + body, (SW.CLA_NOT_SUPPORTED,), True
    )
    yield _Wrong("instruction before P1 and P2", head[:1] + unused + p1 + p2 + body, (SW.INS_NOT_SUPPORTED,), True)
    yield _Wrong("P1 and P2 before rights and lengths", head[:2] + p1 + p2 + _long(command), (SW.WRONG_P1_P2,), True)


def _lengths(command: Command, head: bytes, lacking: tuple[SW, ...], known: bool) -> Iterator[_Wrong]:
    sws = lacking if lacking and known else (SW.WRONG_LENGTH, *lacking)
    pair = bool(lacking)
    if command.lc_maximum < _MOST_LC:
        title = "rights before lengths" if pair else "data too long"
        yield _Wrong(title, head + _long(command), sws, pair)
    if command.lc_minimum > 1:
        short = CommandApdu(0, 0, 0, 0, bytes(command.lc_minimum - 1)).encode()[4:]
        yield _Wrong("data too short", head + short, sws)


def _long(command: Command) -> bytes:
    return CommandApdu(0, 0, 0, 0, bytes(min(command.lc_maximum + 1, _MOST_LC))).encode()[4:]


def _lacking(command: Command, known: bool) -> tuple[SW, ...]:
    """The refusals that come before lengths: the first that is due, or all that may be."""
    names = (*command.when, *command.needs)
    if not known or any(name not in _LACKS for name in names):
        return _UNKNOWN if names else ()
    return tuple(sw for name in names if (sw := _LACKS[name]) is not None)[:1]


def _select(command: Command) -> list[Step]:
    aids = spec().applets[command.applet].aids
    if not aids:
        return []
    return [Step(0, f"00A4040C{len(aids[0]):02X}{aids[0].hex().upper()}", "9000", setup=True)]


def _header(command: Command) -> bytes:
    return bytes((command.cla[0], command.ins, command.p1.legal[0], command.p2.legal[0]))


def _other(parameter: Parameter) -> int | None:
    return next((value for value in range(255, -1, -1) if value not in parameter.legal), None)
