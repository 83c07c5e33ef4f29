"""The SIM's AT commands: APDUs, files, PINs, channels and the toolkit. 3GPP TS 27.007 8 and 12."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from bsim.apdu import ResponseApdu
from bsim.links.modem_files import Access
from bsim.links.modem_line import Form, hexadecimal, number
from bsim.links.modem_results import Cme, CmeError, refusal
from bsim.links.modem_table import AtTable

if TYPE_CHECKING:
    from bsim.links.modem_port import Port

Arguments = tuple[str, ...]
_BYTE: Final = range(256)
_LENGTH: Final = range(2 * 65_544 + 1)
_DF_NAME, _NOTHING = 0x04, 0x0C  # P1 and P2 of SELECT
_FUNCTIONALITY: Final = (0, 1, 4)

sim: Final = AtTable(
    {
        "+CSIM=?": (),
        "+CRSM=?": (),
        "+CRLA=?": (),
        "+CCHO=?": (),
        "+CCHC=?": (),
        "+CGLA=?": (),
        "+CUAD=?": (),
        "+CIMI=?": (),
        "+CCID=?": (),
        "+CPIN=?": (),
        "+CPWD=?": ('+CPWD: ("SC",8),("P2",8)',),
        "+CLCK=?": ('+CLCK: ("SC")',),
        "+CFUN=?": ("+CFUN: (0,1,4),(0,1)",),
        "+CUSATR=?": (),
        "+CUSATE=?": (),
        "+CUSATT=?": (),
        "+CUSATA=?": ("+CUSATA: (0,1)",),
    }
)


@sim.handles("+CSIM", Form.SET)
def csim(port: "Port", arguments: Arguments) -> Iterable[str]:
    """Generic SIM access: a TPDU, and the card's own answer. 8.17."""
    answer = port.phone.card.tpdu(_pdu(arguments)).hex().upper()
    return (f'+CSIM: {len(answer)},"{answer}"',)


@sim.handles("+CRSM", Form.SET)
def crsm(port: "Port", arguments: Arguments) -> Iterable[str]:
    """Restricted SIM access: a file, by its identifier and a path. 8.18."""
    return _told("+CRSM", port.phone.files.access(_access(arguments)))


@sim.handles("+CRLA", Form.SET)
def crla(port: "Port", arguments: Arguments) -> Iterable[str]:
    """The same on a channel that was opened with +CCHO. 8.44."""
    return _told("+CRLA", port.phone.files.access(_access(arguments[1:]), _session(port, arguments[0])))


@sim.handles("+CCHO", Form.SET)
def ccho(port: "Port", arguments: Arguments) -> Iterable[str]:
    """Open a logical channel with an application on it; the session is the channel's number. 8.45."""
    (aid,) = arguments
    name = hexadecimal(aid)
    if len(name) > 16:
        raise CmeError(Cme.INCORRECT_PARAMETERS)
    channel = port.phone.card.open(port)
    selected = port.phone.card.call("SELECT", channel, method=_DF_NAME, control=_NOTHING, identifier=name)
    if not selected.ok:
        port.phone.card.close(channel)
        raise CmeError(refusal(selected.sw))
    return (f"+CCHO: {channel}",)


@sim.handles("+CCHC", Form.SET)
def cchc(port: "Port", arguments: Arguments) -> Iterable[str]:
    """Close a logical channel. 8.46."""
    (session,) = arguments
    port.phone.card.close(_session(port, session))
    return ("+CCHC",)


@sim.handles("+CGLA", Form.SET)
def cgla(port: "Port", arguments: Arguments) -> Iterable[str]:
    """An APDU on a channel: the modem names the channel in its class, and fetches the whole response. 8.43."""
    channel = _session(port, arguments[0])
    response: ResponseApdu = port.phone.card.apdu(_pdu(arguments[1:]), channel)
    answer = response.encode().hex().upper()
    return (f'+CGLA: {len(answer)},"{answer}"',)


@sim.handles("+CUAD")
def cuad(port: "Port", _arguments: Arguments) -> Iterable[str]:
    """The applications of the card: EF.DIR. 8.60."""
    return (f'+CUAD: "{port.phone.files.applications().hex().upper()}"',)


@sim.handles("+CIMI")
def cimi(port: "Port", _arguments: Arguments) -> Iterable[str]:
    """The IMSI. 5.6."""
    return (port.phone.files.imsi(),)


@sim.handles("+CCID")
@sim.handles("+CCID", Form.READ)
def ccid(port: "Port", _arguments: Arguments) -> Iterable[str]:
    """The ICCID, under the two names that modems have for it."""
    return (f"+CCID: {port.phone.files.iccid()}",)


@sim.handles("+ICCID")
@sim.handles("+ICCID", Form.READ)
def iccid(port: "Port", _arguments: Arguments) -> Iterable[str]:
    """The ICCID."""
    return (f"+ICCID: {port.phone.files.iccid()}",)


@sim.handles("+CPIN", Form.READ)
def pin_state(port: "Port", _arguments: Arguments) -> Iterable[str]:
    """What the card waits for. 8.3."""
    return (f"+CPIN: {port.phone.pins.state()}",)


@sim.handles("+CPIN", Form.SET)
def enter_pin(port: "Port", arguments: Arguments) -> Iterable[str]:
    """Enter a PIN, or what unblocks it and a new one. 8.3."""
    if len(arguments) > 2:
        raise CmeError(Cme.INCORRECT_PARAMETERS)
    port.phone.pins.enter(*arguments)
    return ()


@sim.handles("+CPINR")
def tries(port: "Port", _arguments: Arguments) -> Iterable[str]:
    """Tries of PINs that are left. 8.65."""
    return port.phone.pins.counters()


@sim.handles("+CLCK", Form.SET)
def lock(port: "Port", arguments: Arguments) -> Iterable[str]:
    """Ask for PIN1, or no longer, or tell. 7.4."""
    facility, mode, code = (*arguments, "", "")[:3]
    if number(mode, range(3)) == 2:
        return (f"+CLCK: {int(port.phone.pins.locked(facility))}",)
    port.phone.pins.lock(facility, on=mode == "1", code=code)
    return ()


@sim.handles("+CPWD", Form.SET)
def change_pin(port: "Port", arguments: Arguments) -> Iterable[str]:
    """Replace a PIN. 7.5."""
    facility, old, new = arguments
    port.phone.pins.change(facility, old, new)
    return ()


@sim.handles("+CFUN", Form.READ)
def functionality(port: "Port", _arguments: Arguments) -> Iterable[str]:
    """How much of the phone is on. 8.2."""
    return (f"+CFUN: {port.phone.functionality}",)


@sim.handles("+CFUN", Form.SET)
def set_functionality(port: "Port", arguments: Arguments) -> Iterable[str]:
    """Power up to `full`; the card is reset when power comes back, or where that is asked for. 8.2."""
    level, reset = (*arguments, "0")[:2]
    wanted = number(level, range(5))
    if wanted not in _FUNCTIONALITY:
        raise CmeError(Cme.OPERATION_NOT_SUPPORTED)
    before, port.phone.functionality = port.phone.functionality, wanted
    if number(reset, range(2)) or (wanted and not before):
        port.phone.reset()
    return ()


@sim.handles("+CUSATA", Form.SET)
def activate_toolkit(port: "Port", arguments: Arguments) -> Iterable[str]:
    """Take the card's dialogues from now on, and hear of its menu. 12.2.5."""
    number(arguments[0], range(2))
    _take(port, told=arguments[0] == "1")
    return ()


@sim.handles("+CUSATR")
@sim.handles("+CUSATR", Form.SET)
def read_profile(port: "Port", _arguments: Arguments) -> Iterable[str]:
    """Take dialogues as with +CUSATA=1, and read what the modem tells the card it can do. 12.2.2."""
    _take(port, told=True)
    return (f'+CUSATR: 0,"{port.phone.profile.hex().upper()}"',)


@sim.handles("+CUSATE", Form.SET)
def envelope(port: "Port", arguments: Arguments) -> Iterable[str]:
    """Tell the card of an event, such as an item of its menu that was chosen. 12.2.6."""
    _take(port)
    data = port.phone.envelope(hexadecimal(arguments[0]))
    return (f'+CUSATE: "{data.hex().upper()}"',) if data else ()


@sim.handles("+CUSATT", Form.SET)
def terminal_response(port: "Port", arguments: Arguments) -> Iterable[str]:
    """Answer a proactive command. 12.2.7."""
    _take(port)
    port.phone.toolkit.answer(hexadecimal(arguments[0]))
    return ()


@sim.handles("+CUSATEND")
def end_session(port: "Port", _arguments: Arguments) -> Iterable[str]:
    """The user leaves the dialogue that is open."""
    port.phone.toolkit.end()
    return ()


# oFono asks for nothing before it is told of a menu, and hears what it is told only once it has read the card and had a
# moment to itself. It asks for the phonebook then, as phone stacks do and tools for cards do not.
@sim.handles("+CPBS", Form.TEST)
def phonebook(port: "Port", _arguments: Arguments) -> Iterable[str]:
    """There is none, but from now on the menu is worth telling of."""
    port.offer_menu()
    raise CmeError(Cme.OPERATION_NOT_SUPPORTED)


def _take(port: "Port", *, told: bool = False) -> None:
    port.phone.toolkit.take(port)
    if told and port.phone.menu:
        port.tell(port.phone.menu)


def _access(arguments: Arguments) -> Access:
    command, file, p1, p2, p3, data, path = (*arguments, *[""] * 7)[:7]
    header = [number(text, _BYTE, 0) for text in (p1, p2, p3)]
    where = number(command, _BYTE), number(file, range(0x10000), 0x3F00)
    return Access(*where, header[0], header[1], header[2], _optional(data), _optional(path))


def _told(name: str, response: ResponseApdu) -> Iterable[str]:
    data = f',"{response.data.hex().upper()}"' if response.data else ""
    return (f"{name}: {response.sw >> 8},{response.sw & 0xFF}{data}",)


def _optional(text: str) -> bytes:
    return hexadecimal(text) if text else b""


def _pdu(arguments: Arguments) -> bytes:
    """The APDU behind its length in digits. ValueError if they disagree."""
    length, text = arguments
    raw = hexadecimal(text)
    if number(length, _LENGTH) != 2 * len(raw):
        raise ValueError("another length than is told")
    return raw


def _session(port: "Port", text: str) -> int:
    channel = number(text, range(20))
    if channel not in port.channels:
        raise CmeError(Cme.INCORRECT_PARAMETERS)
    return channel
