"""Android's Open Mobile API on any card: sessions, logical channels, and its exceptions for each refusal.

What is let through and what is thrown is as in android.se.omapi and its service (Terminal.java, Channel.java, and the
HAL's use of status words), by their names. The framework resolves 61xx and 6Cxx; 91xx is the phone's.
"""

from collections.abc import Callable, Collection
from enum import StrEnum
from typing import Final

from bsim.apdu import CLAS, CommandApdu, cla_on_channel
from bsim.lab.t0_client import exchange
from bsim.ports import Card
from bsim.spec import Command, encode, spec
from bsim.sw import SW, SwError

_UICC: Final = spec().applets["uicc"].commands
_SELECT_P2: Final = frozenset({0x00, 0x04, 0x08, 0x0C})
_NEXT: Final = 0x02
_MANAGE_CHANNEL, _SELECT, _BY_NAME = 0x70, 0xA4, 0x04
_NO_CHANNEL: Final = frozenset({SW.CHANNEL_NOT_SUPPORTED, SW.FUNCTION_NOT_SUPPORTED})
# What the UICC's HAL takes for "no such application": wrong data, not found, conditions, applet select failed.
_NO_ELEMENT: Final = frozenset({SW.WRONG_DATA, SW.FILE_NOT_FOUND, SW.CONDITIONS_NOT_SATISFIED, 0x6999})


class Kind(StrEnum):
    """The exceptions an app sees, by their Java names."""

    ILLEGAL_ARGUMENT = "IllegalArgumentException"
    ILLEGAL_STATE = "IllegalStateException"
    NO_SUCH_ELEMENT = "NoSuchElementException"
    SECURITY = "SecurityException"
    UNSUPPORTED = "UnsupportedOperationException"
    IO = "IOException"


class OmapiError(Exception):
    """What Android would throw."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Final = kind


class OnChannel:
    """A card as one of its logical channels; itself a card, which cannot be reset. Commands get the channel's class."""

    def __init__(self, transmit: Callable[[bytes], bytes], number: int) -> None:
        self._transmit: Final = transmit
        self.number: Final = number

    def reset(self) -> bytes:
        """A channel has no power of its own."""
        raise OmapiError(Kind.UNSUPPORTED, "a logical channel cannot be reset")

    def transmit(self, command: bytes) -> bytes:
        """Carry one APDU on this channel: the whole response."""
        return exchange(self._transmit, bytes((_class(command[0], self.number),)) + command[1:])


class Channel:
    """An open logical channel (1-19). `select_response` is what SELECT answered, None where nothing was selected."""

    def __init__(self, card: Card, number: int, aid: bytes | None, p2: int) -> None:
        self._wire: Final = OnChannel(card.transmit, number)
        self._aid: Final = aid
        self._p2: Final = p2
        self.number: Final = number
        self.open = True
        self.select_response: bytes | None = None

    def select(self, p2: int) -> int:
        """Send SELECT, keep the response if it was not refused, and answer its status word."""
        response = self._wire.transmit(_encoded("SELECT", method=_BY_NAME, control=p2, identifier=self._aid or b""))
        sw = int.from_bytes(response[-2:], "big")
        if sw == SW.OK or sw >> 8 in {0x62, 0x63}:
            self.select_response = response
        return sw

    def transmit(self, command: bytes) -> bytes:
        """Carry one APDU: data and status word. OmapiError for what the framework does not let through."""
        self._demand_open()
        _judge(command)
        return self._wire.transmit(command)

    def select_next(self) -> bool:
        """Select the next application of this AID; whether there was one."""
        self._demand_open()
        if self._aid is None:
            raise OmapiError(Kind.UNSUPPORTED, "nothing was selected by name on this channel")
        sw = self.select(self._p2 | _NEXT)
        if sw in _NO_ELEMENT:
            return False
        if sw != SW.OK and sw >> 8 not in {0x62, 0x63}:
            raise OmapiError(Kind.UNSUPPORTED, f"SELECT NEXT: {sw:04X}")
        return True

    def close(self) -> None:
        """Close the channel; once more does nothing."""
        if self.open:
            self.open = False
            self._wire.transmit(_encoded("MANAGE_CHANNEL", operation=0x80, channel=self.number))

    def _demand_open(self) -> None:
        if not self.open:
            raise OmapiError(Kind.ILLEGAL_STATE, "Channel is closed")


class Session:
    """A connection to the card in a reader. `refused` are AIDs, or beginnings of them, that access rules deny."""

    def __init__(self, card: Card, *, refused: Collection[bytes] = ()) -> None:
        self._card: Final = card
        self._refused: Final = tuple(refused)
        self.channels: Final[dict[int, Channel]] = {}
        self.closed = False

    def open_basic_channel(self) -> None:
        """The basic channel of a UICC is the modem's: Android answers null."""
        self._demand_open()

    def open_logical_channel(self, aid: bytes | None, p2: int = 0) -> Channel | None:
        """Open a channel and select; None where the card has no channel left. OmapiError as Android throws."""
        self._demand_open()
        if aid is not None and not 5 <= len(aid) <= 16:
            raise OmapiError(Kind.ILLEGAL_ARGUMENT, "AID out of range")
        if p2 not in _SELECT_P2:
            raise OmapiError(Kind.UNSUPPORTED, f"p2 not supported: {p2:02X}")
        if aid is not None and any(aid.startswith(one) for one in self._refused):
            raise OmapiError(Kind.SECURITY, "access denied: no rule allows this application")
        number = self._manage_open()
        if number is None:
            return None
        channel = Channel(self._card, number, aid, p2)
        if aid is not None:
            self._select(channel, p2)
        self.channels[number] = channel
        return channel

    def close(self) -> None:
        """Close the session and its channels."""
        for channel in self.channels.values():
            channel.close()
        self.channels.clear()
        self.closed = True

    def lose(self) -> None:
        """The card lost its power, and the channels are gone with it."""
        for channel in self.channels.values():
            channel.open = False
        self.channels.clear()

    def _demand_open(self) -> None:
        if self.closed:
            raise OmapiError(Kind.ILLEGAL_STATE, "Session is closed")

    def _manage_open(self) -> int | None:
        response = exchange(self._card.transmit, _encoded("MANAGE_CHANNEL", operation=0, channel=0))
        sw = int.from_bytes(response[-2:], "big")
        if sw in _NO_CHANNEL:
            return None
        if sw != SW.OK or len(response) != 3:
            raise OmapiError(Kind.IO, f"MANAGE CHANNEL: {sw:04X}")
        return response[0]

    def _select(self, channel: Channel, p2: int) -> None:
        sw = channel.select(p2)
        if channel.select_response is not None:
            return
        channel.close()
        if sw in _NO_ELEMENT:
            raise OmapiError(Kind.NO_SUCH_ELEMENT, "AID not found")
        if sw == SW.WRONG_P1_P2:
            raise OmapiError(Kind.UNSUPPORTED, f"p2 not supported: {p2:02X}")
        raise OmapiError(Kind.IO, f"SELECT: {sw:04X}")


def _judge(command: bytes) -> None:
    """What Channel.transmit refuses before the card sees it."""
    if len(command) < 4:
        raise OmapiError(Kind.ILLEGAL_ARGUMENT, "command must not be smaller than 4 bytes")
    cla, ins, p1 = command[:3]
    if not CLAS[cla].valid:
        raise OmapiError(Kind.ILLEGAL_ARGUMENT, f"CLA {cla:02X} is invalid")
    if ins & 0xF0 in {0x60, 0x90}:  # ISO/IEC 7816-4 5.4.2
        raise OmapiError(Kind.ILLEGAL_ARGUMENT, f"INS {ins:02X} is invalid")
    try:
        CommandApdu.parse(command)
    except SwError:
        raise OmapiError(Kind.ILLEGAL_ARGUMENT, "the length bytes do not fit the command") from None
    if not cla & 0x80 and ins == _MANAGE_CHANNEL:
        raise OmapiError(Kind.SECURITY, "MANAGE CHANNEL command not allowed")
    if not cla & 0x80 and ins == _SELECT and p1 == _BY_NAME:
        raise OmapiError(Kind.SECURITY, "SELECT by DF name command not allowed")


def _class(cla: int, number: int) -> int:
    """The class on a channel, its other bits as they were; one without a coding stays for the card to refuse."""
    decoded = CLAS[cla]
    try:
        return cla_on_channel(decoded.base, number) | (cla & 0x10 if decoded.chaining else 0)
    except ValueError:
        return cla


def _encoded(name: str, **values: int | bytes) -> bytes:
    command: Command = _UICC[name]
    return encode(command, values).encode()
