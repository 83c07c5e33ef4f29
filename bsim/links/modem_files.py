"""+CRSM: files of the SIM by identifier and path, on a channel the modem keeps for itself. 3GPP TS 27.007 8.18.

Clients of +CSIM and +CGLA see nothing of it: what they have selected stays selected.
"""

from dataclasses import dataclass, field
from typing import Final

from bsim.apdu import CommandApdu, ResponseApdu
from bsim.links.modem_card import ModemCard, instruction
from bsim.links.modem_results import Cme, CmeError, refusal
from bsim.spec import contents, spec
from bsim.sw import SW

# Cut short: the last bytes of a USIM's AID are its issuer's. ETSI TS 101 220 annex E.
_USIM: Final = spec().applets["usim"].aids[0][:7]
_FILE_ID, _DF_NAME, _PATH_FROM_MF = 0x00, 0x04, 0x08  # P1 of SELECT
_FCP, _NOTHING = 0x04, 0x0C  # its P2
_MF: Final = bytes.fromhex("3F00")
_BELOW_MF: Final = frozenset({0x2F, 0x7F})
# Where an elementary file is looked for that comes without a path: the USIM, DF.TELECOM, DF.GSM.
_PLACES: Final = tuple(map(bytes.fromhex, ("7FFF", "7F10", "7F20")))
_GET_RESPONSE: Final = instruction("GET_RESPONSE").ins
_STATUS: Final = instruction("STATUS")
_READ_BINARY: Final = instruction("READ_BINARY").ins
_READ_RECORD: Final = instruction("READ_RECORD").ins
_READS: Final = frozenset({_READ_BINARY, _READ_RECORD})
_UPDATES: Final = frozenset(instruction(name).ins for name in ("UPDATE_BINARY", "UPDATE_RECORD"))
_ABSENT: Final = frozenset({SW.FILE_NOT_FOUND, SW.WRONG_DATA, SW.FUNCTION_NOT_SUPPORTED})
_IMSI, _ICCID, _DIR, _ADMINISTRATIVE = 0x6F07, 0x2FE2, 0x2F00, 0x6FAD
_APPLICATION: Final = b"\x61"
_ALL: Final = 256
_ABSOLUTE: Final = 0x04  # P2 of READ RECORD


@dataclass(frozen=True, slots=True)
class Access:
    """One restricted access. `ins` is the command's own instruction; without a path the modem looks for the file."""

    ins: int
    file: int
    p1: int = 0
    p2: int = 0
    p3: int = 0
    data: bytes = field(default=b"", repr=False)
    path: bytes = b""


class Files:
    """Files of one card, as its modem reads them."""

    def __init__(self, card: ModemCard) -> None:
        self._card: Final = card
        self._channel: int | None = None

    def access(self, wanted: Access, session: int | None = None) -> ResponseApdu:
        """Carry out one restricted access, on a client's channel if it names one; CmeError where it is none."""
        if wanted.ins not in _READS | _UPDATES | {_GET_RESPONSE, _STATUS.ins}:
            raise CmeError(Cme.OPERATION_NOT_SUPPORTED)
        if session is not None:
            return self._access(wanted, session)
        response = self._access(wanted, self._own())
        if response.sw == SW.CHANNEL_NOT_SUPPORTED:  # a client has closed it
            self._channel = None
            response = self._access(wanted, self._own())
        return response

    def identity(self, file: int) -> bytes:
        """Answer a whole small transparent file; CmeError says why it cannot be read."""
        return self._whole(self.access(Access(_READ_BINARY, file)))

    def imsi(self) -> str:
        """Answer the subscriber's identity, 6 to 15 digits."""
        return _text("imsi", self.identity(_IMSI))

    def iccid(self) -> str:
        """Answer the card's number, 19 or 20 digits."""
        return _text("bcd", self.identity(_ICCID)).rstrip("F")

    def home(self) -> tuple[str, str]:
        """Answer the country and the network of the subscriber, digits. 3GPP TS 31.102 4.2.2, 4.2.18."""
        imsi, administrative = self.imsi(), self.identity(_ADMINISTRATIVE)
        length = administrative[3] & 15 if len(administrative) > 3 else 2
        return imsi[:3], imsi[3 : 3 + (length if length in {2, 3} else 2)]

    def applications(self) -> bytes:
        """Answer the records of EF.DIR, one behind the other, without what fills them. ETSI TS 102 221 13.1."""
        records = b""
        for number in range(1, 255):
            read = self.access(Access(_READ_RECORD, _DIR, number, _ABSOLUTE))
            if not read.ok:
                return records
            records += _template(read.data)
        return records

    def directory(self) -> bytes:
        """Answer the FCP of the USIM, or of the master file where the card has none."""
        return self._whole(self._card.call("STATUS", self._own(), indication=0, form=0))

    def _access(self, wanted: Access, channel: int) -> ResponseApdu:
        if wanted.ins == _STATUS.ins:
            status = CommandApdu(_STATUS.cla[0], wanted.ins, wanted.p1, wanted.p2, le=wanted.p3 or _ALL)
            return self._card.apdu(status.encode(), channel)
        command = None if wanted.ins == _GET_RESPONSE else _command(wanted)
        selected = self._find(wanted, channel)
        return selected if command is None or not selected.ok else self._card.apdu(command.encode(), channel)

    def _find(self, wanted: Access, channel: int) -> ResponseApdu:
        response = ResponseApdu(b"", SW.FILE_NOT_FOUND)
        for place in _places(wanted.file.to_bytes(2, "big"), wanted.path):
            method = _FILE_ID if place == _MF else _PATH_FROM_MF
            response = self._card.call("SELECT", channel, method=method, control=_FCP, identifier=place)
            if response.sw not in _ABSENT:
                break
        return response

    def _own(self) -> int:
        """The channel, opened when it is first needed, with the USIM on it."""
        if self._channel is None or self._card.channels.get(self._channel) is not self:
            self._channel = self._card.open(self)
            self._card.call("SELECT", self._channel, method=_DF_NAME, control=_NOTHING, identifier=_USIM)
        return self._channel

    @staticmethod
    def _whole(response: ResponseApdu) -> bytes:
        if not response.ok:
            raise CmeError(refusal(response.sw))
        return response.data


def _places(identifier: bytes, path: bytes) -> list[bytes]:
    if identifier == _MF:
        return [_MF]
    if path:
        return [path.removeprefix(_MF) + identifier]
    return [identifier] if identifier[0] in _BELOW_MF else [place + identifier for place in _PLACES]


def _command(wanted: Access) -> CommandApdu:
    if wanted.ins in _READS:
        return CommandApdu(0, wanted.ins, wanted.p1, wanted.p2, le=wanted.p3 or _ALL)
    if wanted.p3 != len(wanted.data):
        raise CmeError(Cme.INCORRECT_PARAMETERS)
    return CommandApdu(0, wanted.ins, wanted.p1, wanted.p2, wanted.data)


def _text(layout: str, content: bytes) -> str:
    """What a file says; CmeError where that cannot be."""
    try:
        return contents.read(layout, content)
    except ValueError:
        raise CmeError(Cme.SIM_FAILURE) from None


def _template(record: bytes) -> bytes:
    """The data object at the start of a record; nothing where the record is empty."""
    if record[:1] != _APPLICATION:
        return b""
    return record[: 2 + record[1]]
