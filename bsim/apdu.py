"""Command and response APDUs, and the class byte: bytes in, frozen values out, nothing guessed."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple, Self

from bsim.sw import SW, SwError

MAX_LC: Final = 65_535
MAX_LE: Final = 65_536


class SecureMessaging(IntEnum):
    """Secure messaging indication of a class byte. ISO/IEC 7816-4 5.4.1, tables 2 and 3."""

    NONE = 0
    PROPRIETARY = 1
    HEADER_NOT_PROCESSED = 2
    HEADER_AUTHENTICATED = 3


class Cla(NamedTuple):
    """A decoded class byte; `base` is the same class without its channel and chaining bits."""

    value: int
    valid: bool
    base: int
    channel: int
    secure_messaging: SecureMessaging
    chaining: bool


def _decode_cla(value: int) -> Cla:
    chaining = bool(value & 0x10)
    if value & 0x60 == 0:
        # 0x/1x: ISO/IEC 7816-4 5.4.1, table 2. 8x/9x: proprietary, coded alike (ETSI TS 102 221 10.1.1).
        return Cla(value, True, value & 0x8C, value & 3, SecureMessaging(value >> 2 & 3), chaining)
    if value == 0xFF or value & 0xE0 == 0x20:
        # FF is kept for protocol selection, 2x and 3x are for future use. ISO/IEC 7816-4 5.4.1.
        return Cla(value, False, value, 0, SecureMessaging.NONE, False)
    if value & 0xE0 == 0xA0:
        # Ax is the class of GSM applications, coded as 0x but without chaining; Bx has no meaning on a UICC.
        gsm = value & 0x10 == 0
        return Cla(value, gsm, value & 0xFC, value & 3 if gsm else 0, SecureMessaging.NONE, False)
    # 4x-7x: ISO/IEC 7816-4 5.4.1, table 3. Cx-Fx: proprietary, coded alike (ETSI TS 102 221 10.1.1).
    secured = bool(value & 0x20)
    # One bit says "secured": for interindustry classes that is the form whose header is not processed, for
    # proprietary ones GlobalPlatform's own (Card Specification 2.3.1, 11.1.4).
    kind = SecureMessaging.PROPRIETARY if value & 0x80 else SecureMessaging.HEADER_NOT_PROCESSED
    messaging = kind if secured else SecureMessaging.NONE
    return Cla(value, True, (value & 0x80) | messaging << 2, (value & 15) + 4, messaging, chaining)


CLAS: Final = tuple(_decode_cla(value) for value in range(256))
CHANNELS: Final = 20


def cla_on_channel(base: int, channel: int) -> int:
    """Answer the class byte of `base` (as in `Cla.base`) on logical channel 0-19."""
    for cla in CLAS:
        if cla.valid and cla.base == base and cla.channel == channel and not cla.chaining:
            return cla.value
    raise ValueError(f"class {base:02X} has no coding for channel {channel}")


@dataclass(frozen=True, slots=True)
class CommandApdu:
    """A command APDU. `le` is the most response bytes wanted (1-65,536), or None where none are asked for.

    `repr` does not show the data, which may be a PIN or a password.
    """

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = field(default=b"", repr=False)
    le: int | None = None

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read any of the seven cases; SwError 6700 for everything else. ISO/IEC 7816-3 12.1.3."""
        start, end, le = body(raw)
        return cls(raw[0], raw[1], raw[2], raw[3], raw[start:end], le)

    def encode(self) -> bytes:
        """Write the APDU in the shortest case that holds it; ValueError where none does."""
        lc, le = len(self.data), self.le
        if lc > MAX_LC or (le is not None and not 1 <= le <= MAX_LE):
            raise ValueError("data over 65,535 bytes, or Le outside 1-65,536")
        header = bytes((self.cla, self.ins, self.p1, self.p2))
        if lc <= 255 and (le is None or le <= 256):
            encoded_lc = bytes((lc,)) if lc else b""
            return header + encoded_lc + self.data + (b"" if le is None else bytes((le & 0xFF,)))
        encoded_lc = b"\0" + lc.to_bytes(2, "big") if lc else b""
        lead = b"" if lc else b"\0"
        return header + encoded_lc + self.data + (b"" if le is None else lead + (le & 0xFFFF).to_bytes(2, "big"))


def body(raw: bytes) -> tuple[int, int, int | None]:
    """Find the data of a command APDU: its start, its end, and Le. SwError 6700 if no case fits.

    ISO/IEC 7816-3 12.1.3: cases 1, 2S, 3S, 4S, 2E, 3E, 4E.
    """
    size = len(raw)
    if size <= 5:
        if size < 4:
            raise SwError(SW.WRONG_LENGTH, "a command APDU has at least four bytes")
        return (4, 4, None) if size == 4 else (5, 5, raw[4] or 256)
    lc = raw[4]
    if lc:
        if size == 5 + lc:
            return 5, size, None
        if size == 6 + lc:
            return 5, size - 1, raw[size - 1] or 256
    else:
        number = raw[5] << 8 | raw[6] if size > 6 else 0
        if size == 7:
            return 7, 7, number or 65_536
        if number and size == 7 + number:
            return 7, size, None
        if number and size == 9 + number:
            return 7, size - 2, raw[size - 2] << 8 | raw[size - 1] or 65_536
    raise SwError(SW.WRONG_LENGTH, "the length bytes do not fit the command")


@dataclass(frozen=True, slots=True)
class ResponseApdu:
    """A response APDU: data and the status word."""

    data: bytes
    sw: int

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Split a response; ValueError if it is shorter than its status word."""
        if len(raw) < 2:
            raise ValueError(f"a response APDU has at least two bytes, not {len(raw)}")
        return cls(raw[:-2], raw[-2] << 8 | raw[-1])

    def encode(self) -> bytes:
        """Data, then SW1 and SW2."""
        return self.data + self.sw.to_bytes(2, "big")

    @property
    def ok(self) -> bool:
        """Whether the command was carried out: 9000, or 91xx while a proactive command waits."""
        return self.sw == SW.OK or self.sw >> 8 == 0x91
