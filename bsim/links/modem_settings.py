"""What a modem answers of itself, and settings that are kept for terminals that read them back.

What a network would be needed for, calls, messages and data, is refused.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bsim import __version__
from bsim.links.modem_line import Form, number
from bsim.links.modem_table import AtTable

if TYPE_CHECKING:
    from bsim.links.modem_port import Port

_MAKER: Final = "BSIM"
_MODEL: Final = "virtual modem"
# The test IMEI of 3GPP TS 51.010-1's terminals: no phone has it.
_IMEI: Final = "004999010640000"
_CHARACTER_SETS: Final = ("GSM", "IRA", "UCS2")

FIXED: Final[dict[str, tuple[str, ...]]] = {
    "+CGMI": (_MAKER,),
    "+CGMI=?": (),
    "+GMI": (_MAKER,),
    "+CGMM": (_MODEL,),
    "+CGMM=?": (),
    "+GMM": (_MODEL,),
    "+CGMR": (__version__,),
    "+CGMR=?": (),
    "+GMR": (__version__,),
    "+CGSN": (_IMEI,),
    "+CGSN=?": (),
    "+GSN": (_IMEI,),
    "+GCAP": ("+GCAP: +CGSM",),
    "+CBC": ("+CBC: 0,100",),
    "+CBC=?": ("+CBC: (0),(100)",),
    "+CSQ": ("+CSQ: 31,99",),
    "+CSQ=?": ("+CSQ: (31),(99)",),
    "+CPAS": ("+CPAS: 0",),
    "+CLCC": (),
    "+SIMSTATE?": ("+SIMSTATE: 1",),
}


@dataclass(frozen=True, slots=True)
class Setting:
    """Numbers that are kept; `state` is what a read tells behind them."""

    default: tuple[int, ...]
    values: tuple[range, ...]
    state: str = ""


_SWITCH: Final = Setting((0,), (range(2),))
_SETTINGS: Final[Mapping[str, Setting]] = {
    "+CGATT": _SWITCH,
    "+CRC": _SWITCH,
    "+CLIP": Setting((0,), (range(2),), ",0"),
    "+COLP": Setting((0,), (range(2),), ",0"),
    "+CCWA": _SWITCH,
    "+CUSD": _SWITCH,
    "+CTZR": _SWITCH,
    "+CTZU": _SWITCH,
    "+CSSN": Setting((0, 0), (range(2), range(2))),
    "+CGEREP": Setting((0, 0), (range(3), range(2))),
    "+CMER": Setting((3, 0, 0, 0), (range(4), range(3), range(3), range(3))),
    "S0": Setting((0,), (range(256),)),
    "S3": Setting((13,), (range(13, 14),)),
    "S4": Setting((10,), (range(10, 11),)),
    "S5": Setting((8,), (range(8, 9),)),
}
# Those of the network (modem_network.py) are kept with them.
DEFAULTS: Final[Mapping[str, tuple[int, ...]]] = {
    **{name: setting.default for name, setting in _SETTINGS.items()},
    **{"+CREG": (0,), "+CGREG": (0,), "+CEREG": (0,), "+COPS": (0, 0)},
}

settings: Final = AtTable(FIXED)


def _keep(name: str, setting: Setting) -> None:
    prefix = "" if name[0] == "S" else f"{name}: "

    @settings.handles(name, Form.READ)
    def read(port: "Port", _arguments: tuple[str, ...]) -> Iterable[str]:
        told = ",".join(map(str, port.settings[name]))
        return [f"{prefix}{int(told):03}" if name[0] == "S" else f"{prefix}{told}{setting.state}"]

    @settings.handles(name, Form.TEST)
    def test(_port: "Port", _arguments: tuple[str, ...]) -> Iterable[str]:
        return [prefix + ",".join(f"({values[0]}-{values[-1]})" for values in setting.values)]

    @settings.handles(name, Form.SET)
    def keep(port: "Port", arguments: tuple[str, ...]) -> Iterable[str]:
        given = arguments[: len(setting.values)]  # what more there may be is of no use without a network
        kept = [
            number(text, among, old) for text, among, old in zip(given, setting.values, setting.default, strict=False)
        ]
        port.settings[name] = (*kept, *setting.default[len(kept) :])
        return ()


for _name, _setting in _SETTINGS.items():
    _keep(_name, _setting)


def _accept(name: str, values: range) -> None:
    @settings.handles(name, Form.SET)
    def accept(_port: "Port", arguments: tuple[str, ...]) -> Iterable[str]:
        number(arguments[0], values)
        return ()


# What concerns a wire or a call that is not there. V.250 6.2, 6.3.
for _name, _values in {
    "X": range(5),
    "H": range(1),
    "L": range(4),
    "M": range(4),
    "&C": range(2),
    "&D": range(4),
}.items():
    _accept(_name, _values)


@settings.handles("E", Form.SET)
def _echo(port: "Port", arguments: tuple[str, ...]) -> Iterable[str]:
    port.echo = bool(number(arguments[0], range(2)))
    return ()


@settings.handles("V", Form.SET)
def _verbose(port: "Port", arguments: tuple[str, ...]) -> Iterable[str]:
    port.format.verbose = bool(number(arguments[0], range(2)))
    return ()


@settings.handles("Q", Form.SET)
def _quiet(port: "Port", arguments: tuple[str, ...]) -> Iterable[str]:
    port.format.quiet = bool(number(arguments[0], range(2)))
    return ()


# Tools for cards find out whether there is an echo, and then send ATZ: it leaves that as it was.
@settings.handles("Z", Form.SET)
def _restore(port: "Port", arguments: tuple[str, ...]) -> Iterable[str]:
    number(arguments[0], range(2))
    port.restore()
    return ()


@settings.handles("&F", Form.SET)
def _restore_all(port: "Port", arguments: tuple[str, ...]) -> Iterable[str]:
    port.echo = True
    return _restore(port, arguments)


@settings.handles("I", Form.SET)
def _identify(_port: "Port", arguments: tuple[str, ...]) -> Iterable[str]:
    number(arguments[0], range(10))
    return (f"{_MAKER} {_MODEL}", f"Revision: {__version__}")


@settings.handles("+CMEE", Form.SET)
def _errors(port: "Port", arguments: tuple[str, ...]) -> Iterable[str]:
    port.format.errors = number(arguments[0], range(3), 0)
    return ()


@settings.handles("+CMEE", Form.READ)
def _errors_are(port: "Port", _arguments: tuple[str, ...]) -> Iterable[str]:
    return (f"+CMEE: {port.format.errors}",)


@settings.handles("+CMEE", Form.TEST)
def _errors_may_be(_port: "Port", _arguments: tuple[str, ...]) -> Iterable[str]:
    return ("+CMEE: (0-2)",)


@settings.handles("+CSCS", Form.SET)
def _character_set(port: "Port", arguments: tuple[str, ...]) -> Iterable[str]:
    port.character_set = _CHARACTER_SETS[_CHARACTER_SETS.index(arguments[0].upper())]
    return ()


@settings.handles("+CSCS", Form.READ)
def _character_set_is(port: "Port", _arguments: tuple[str, ...]) -> Iterable[str]:
    return (f'+CSCS: "{port.character_set}"',)


@settings.handles("+CSCS", Form.TEST)
def _character_sets(_port: "Port", _arguments: tuple[str, ...]) -> Iterable[str]:
    return ("+CSCS: (" + ",".join(f'"{name}"' for name in _CHARACTER_SETS) + ")",)
