"""Proactive commands and terminal responses as bytes, both ways: the card writes what the handset reads."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Self

from bsim import tlv
from bsim.tlv import TlvError

# ETSI TS 101 220 7.2: tags of COMPREHENSION-TLV data objects, comprehension bit off.
_COMMAND_DETAILS: Final = 0x01
_DEVICE_IDENTITIES: Final = 0x02
_RESULT: Final = 0x03
_ALPHA_IDENTIFIER: Final = 0x05
_TEXT_STRING: Final = 0x0D
_ITEM: Final = 0x0F
_ITEM_IDENTIFIER: Final = 0x10
_RESPONSE_LENGTH: Final = 0x11
_PROACTIVE: Final = 0xD0
_MENU_SELECTION: Final = 0xD3

# ETSI TS 102 223 8.7.
_DISPLAY: Final = 0x02
_UICC: Final = 0x81
_TERMINAL: Final = 0x82

# ETSI TS 102 223 8.15, after 3GPP TS 23.038: the data coding schemes a text string may have.
_PACKED: Final = 0x00
_EIGHT_BIT: Final = 0x04
_UCS2: Final = 0x08
# Characters that have their ASCII code in the GSM default alphabet too. 3GPP TS 23.038 6.2.1.
_COMMON: Final = frozenset("\n !\"#%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


class CommandType(IntEnum):
    """Type of command. ETSI TS 102 223 9.4."""

    DISPLAY_TEXT = 0x21
    GET_INKEY = 0x22
    GET_INPUT = 0x23
    SELECT_ITEM = 0x24
    SET_UP_MENU = 0x25


_MENUS: Final = frozenset({CommandType.SELECT_ITEM, CommandType.SET_UP_MENU})


class Result(IntEnum):
    """General result of a proactive command. ETSI TS 102 223 8.12."""

    PERFORMED = 0x00
    TERMINATED_BY_USER = 0x10
    BACKWARD_MOVE = 0x11
    NO_RESPONSE_FROM_USER = 0x12
    TERMINAL_UNABLE = 0x20
    BEYOND_CAPABILITIES = 0x30


# Qualifiers. ETSI TS 102 223 8.6.
HIGH_PRIORITY: Final = 0x01
WAIT_FOR_USER: Final = 0x80
HIDDEN_INPUT: Final = 0x04
YES_NO: Final = 0x04


@dataclass(frozen=True, slots=True)
class ProactiveCommand:
    """What the card asks of the terminal. For GET INPUT, `minimum` and `maximum` bound the answer's characters.

    `items` are those of a menu, of which `text` is the title: identifiers (1-255) and what they are called.
    """

    type: int
    qualifier: int
    text: str
    minimum: int = 0
    maximum: int = 0
    number: int = 1
    items: tuple[tuple[int, str], ...] = ()

    @property
    def hidden(self) -> bool:
        """Whether what the user types must not be shown."""
        return self.type == CommandType.GET_INPUT and bool(self.qualifier & HIDDEN_INPUT)

    def encode(self) -> bytes:
        """Write the proactive UICC command, tag D0 (at most 256 bytes). ETSI TS 102 223 6.6."""
        to = _DISPLAY if self.type == CommandType.DISPLAY_TEXT else _TERMINAL
        body = _required(_COMMAND_DETAILS, bytes((self.number, self.type, self.qualifier)))
        body += _required(_DEVICE_IDENTITIES, bytes((_UICC, to)))
        if self.type in _MENUS:
            body += _required(_ALPHA_IDENTIFIER, encode_alpha(self.text))
            body += b"".join(_required(_ITEM, bytes((at,)) + encode_alpha(text)) for at, text in self.items)
        else:
            body += _required(_TEXT_STRING, encode_text(self.text))
        if self.type == CommandType.GET_INPUT:
            body += _required(_RESPONSE_LENGTH, bytes((self.minimum, self.maximum)))
        return tlv.encode(_PROACTIVE, body)

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a proactive command; of types other than `CommandType` only the details are understood."""
        outer = tlv.parse(raw)
        if len(outer) != 1 or outer[0].tag != _PROACTIVE:
            raise TlvError("a proactive command is one data object with tag D0")
        found = list(tlv.parse_comprehension(outer[0].value))
        parts = {part.tag: part.value for part in found}
        details, lengths = parts.get(_COMMAND_DETAILS, b""), parts.get(_RESPONSE_LENGTH, b"\0\xff")
        if len(details) != 3 or len(lengths) != 2:
            raise TlvError("a proactive command has command details of three bytes")
        text = decode_text(parts.get(_TEXT_STRING, b"")) or decode_alpha(parts.get(_ALPHA_IDENTIFIER, b""))
        items = tuple((one.value[0], decode_alpha(one.value[1:])) for one in found if one.tag == _ITEM and one.value)
        return cls(details[1], details[2], text, lengths[0], lengths[1], details[0], items)


@dataclass(frozen=True, slots=True)
class TerminalResponse:
    """How a proactive command ended, and what the user typed, never shown by `repr`, or the item that was chosen."""

    number: int
    type: int
    qualifier: int
    result: int
    text: str | None = field(default=None, repr=False)
    item: int | None = None

    @property
    def performed(self) -> bool:
        """Whether the terminal did as it was asked (general results 00-0F)."""
        return self.result < 0x10

    def encode(self) -> bytes:
        """Write the data of a TERMINAL RESPONSE. ETSI TS 102 223 6.8."""
        body = _required(_COMMAND_DETAILS, bytes((self.number, self.type, self.qualifier)))
        body += _required(_DEVICE_IDENTITIES, bytes((_TERMINAL, _UICC)))
        body += _required(_RESULT, bytes((self.result,)))
        if self.text is not None:
            # GET INKEY with "yes/no" answers 01 or 00 as one byte. ETSI TS 102 223 6.8, note to the text string.
            yes_no = self.type == CommandType.GET_INKEY and self.text in {"\0", "\1"}
            coded = bytes((_EIGHT_BIT, ord(self.text))) if yes_no else encode_text(self.text)
            body += _required(_TEXT_STRING, coded)
        if self.item is not None:
            body += _required(_ITEM_IDENTIFIER, bytes((self.item,)))
        return body

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the data of a TERMINAL RESPONSE; TlvError if its mandatory objects are not there."""
        parts = {part.tag: part.value for part in tlv.parse_comprehension(raw)}
        details, result = parts.get(_COMMAND_DETAILS, b""), parts.get(_RESULT, b"")
        if len(details) != 3 or not result:
            raise TlvError("a terminal response has command details and a result")
        text = decode_text(parts[_TEXT_STRING]) if _TEXT_STRING in parts else None
        item = parts.get(_ITEM_IDENTIFIER, b"")
        return cls(details[0], details[1], details[2], result[0], text, item[0] if item else None)


def encode_text(text: str) -> bytes:
    """Write a text string: its data coding scheme and its characters. ETSI TS 102 223 8.15."""
    if set(text) <= _COMMON:
        return bytes((_EIGHT_BIT,)) + text.encode("ascii")
    return bytes((_UCS2,)) + text.encode("utf-16-be")


def decode_text(coded: bytes) -> str:
    """Read a text string in any of its three codings; TlvError for another."""
    if not coded:
        return ""
    scheme, body = coded[0], coded[1:]
    try:
        if scheme == _UCS2:
            return body.decode("utf-16-be")
        if scheme == _PACKED:
            return _unpack(body).decode("ascii")
        if scheme == _EIGHT_BIT:
            return body.decode("latin-1")
    except UnicodeDecodeError:
        raise TlvError("a text string that is none") from None
    raise TlvError("a data coding scheme not known here")


def encode_alpha(text: str) -> bytes:
    """Write an alpha identifier: the GSM alphabet's own ASCII, or UCS2 behind 80. ETSI TS 102 221 annex A."""
    return text.encode("ascii") if set(text) <= _COMMON else b"\x80" + text.encode("utf-16-be")


def decode_alpha(coded: bytes) -> str:
    """Read an alpha identifier in one of the two codings that are written here; TlvError for another."""
    try:
        return coded[1:].decode("utf-16-be") if coded[:1] == b"\x80" else coded.decode("ascii")
    except UnicodeDecodeError:
        raise TlvError("an alpha identifier that is none, or in a coding not known here") from None


def chosen_item(envelope: bytes) -> int | None:
    """Read an ENVELOPE: the item of a menu that was chosen; None for another kind. ETSI TS 102 223 7.2, 9.1."""
    outer = tlv.parse(envelope)
    if len(outer) != 1:
        raise TlvError("an envelope is one data object")
    if outer[0].tag != _MENU_SELECTION:
        return None
    parts = {part.tag: part.value for part in tlv.parse_comprehension(outer[0].value)}
    item = parts.get(_ITEM_IDENTIFIER, b"")
    if len(item) != 1:
        raise TlvError("a menu selection names an item")
    return item[0]


def shows_menus(profile: bytes) -> bool:
    """Whether a terminal that tells this of itself can show a menu. ETSI TS 102 223 5.2.

    Profiles of up to four bytes are those of scripts that claim whatever there is: they are offered none.
    """
    menu_selection, select_item, set_up_menu = 0x08, 0x01, 0x20
    wanted = select_item | set_up_menu
    return len(profile) > 4 and bool(profile[0] & menu_selection) and profile[3] & wanted == wanted


def _unpack(packed: bytes) -> bytes:
    """Undo the packing of 7-bit characters. 3GPP TS 23.038 6.1.2.1."""
    bits = int.from_bytes(packed, "little")
    return bytes(bits >> 7 * position & 0x7F for position in range(len(packed) * 8 // 7))


def _required(tag: int, value: bytes) -> bytes:
    return bytes((tag | tlv.COMPREHENSION_REQUIRED,)) + tlv.encode_length(len(value)) + value
