"""The network a modem is in: one cell, of the network whose card this is, and nothing can be done in it.

Without it phone stacks never show what the card says of its provider. 3GPP TS 27.007 7.2, 7.3, 10.1.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from bsim.links.modem_line import Form, number
from bsim.links.modem_results import Cme, CmeError
from bsim.links.modem_table import AtTable

if TYPE_CHECKING:
    from bsim.links.modem_port import Port

Arguments = tuple[str, ...]
_CELL: Final = ',"0001","00000001"'
_HOME, _NOWHERE = 1, 0
_SEARCHED_BY: Final = {"+CREG": 0, "+CGREG": 2, "+CEREG": 7}  # technologies: GSM, UTRAN, E-UTRAN. 7.3
_AUTOMATIC, _MANUAL, _DEREGISTER, _FORMAT = 0, 1, 2, 3
_NUMERIC: Final = 2

network: Final = AtTable({f"{name}=?": (f"{name}: (0-2)",) for name in _SEARCHED_BY})


def _registration(name: str) -> None:
    @network.handles(name, Form.READ)
    def read(port: "Port", _arguments: Arguments) -> Iterable[str]:
        told = port.settings[name][0]
        where = _CELL + f",{_SEARCHED_BY[name]}" if told == 2 and _registered(port) else ""
        return (f"{name}: {told},{_HOME if _registered(port) else _NOWHERE}{where}",)

    @network.handles(name, Form.SET)
    def keep(port: "Port", arguments: Arguments) -> Iterable[str]:
        port.settings[name] = (number(arguments[0], range(3), 0),)
        return ()


for _name in _SEARCHED_BY:
    _registration(_name)


@network.handles("+COPS", Form.READ)
def operator(port: "Port", _arguments: Arguments) -> Iterable[str]:
    """The network, in the form that was asked for."""
    mode, form = port.settings["+COPS"]
    if not _registered(port):
        return (f"+COPS: {mode}",)
    return (f'+COPS: {mode},{form},"{_name_of(port, form)}",0',)


@network.handles("+COPS", Form.SET)
def choose(port: "Port", arguments: Arguments) -> Iterable[str]:
    """Register, or no longer, or say how networks are to be named."""
    mode, form, name = (*arguments, "", "")[:3]
    before, old = port.settings["+COPS"]
    wanted, named = number(mode, range(4)), number(form, range(3), old)
    if wanted == _MANUAL and name != _name_of(port, named):
        raise CmeError(Cme.NO_NETWORK)
    port.settings["+COPS"] = (before if wanted == _FORMAT else wanted, named)
    return ()


@network.handles("+COPS", Form.TEST)
def search(port: "Port", _arguments: Arguments) -> Iterable[str]:
    """The one network there is."""
    names = ",".join(f'"{_name_of(port, form)}"' for form in range(3))
    return (f"+COPS: (2,{names},0),,(0-3),(0-2)",)


def _registered(port: "Port") -> bool:
    if port.phone.functionality != 1 or port.settings["+COPS"][0] == _DEREGISTER:
        return False
    try:
        return bool(port.phone.files.home())
    except CmeError:
        return False


def _name_of(port: "Port", form: int) -> str:
    country, code = port.phone.files.home()
    if form == _NUMERIC:
        return country + code
    name = f"{country}-{code}"
    return name.encode("utf-16-be").hex().upper() if port.character_set == "UCS2" else name
