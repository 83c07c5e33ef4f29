"""A secured command taken apart: header, data, MAC, Le. GlobalPlatform Card Specification 2.3.1, 11.1.4."""

from dataclasses import dataclass, field
from typing import Self

from bsim.apdu import CLAS, MAX_LC, body
from bsim.crypto.scp import WrongMacError, plain_class, secured_class
from bsim.sw import SW, SwError


@dataclass(frozen=True, slots=True)
class Secured:
    """A command APDU whose data end with a MAC."""

    header: bytes
    lc: bytes
    data: bytes = field(repr=False)
    mac: bytes
    le: bytes

    @classmethod
    def parse(cls, raw: bytes, size: int) -> Self:
        """Take a secured command with a MAC of `size` bytes apart; SwError 6700 if it is too short for one."""
        start, end, _ = body(raw)
        if end - start < size:
            raise SwError(SW.WRONG_LENGTH, "a secured command carries a MAC")
        return cls(raw[:4], raw[4:start], raw[start : end - size], raw[end - size : end], raw[end:])

    @classmethod
    def around(cls, raw: bytes, size: int, room: int = 0) -> Self:
        """Begin to secure a plain command with a MAC of `size` bytes; encryption adds up to `room` to its data.

        It becomes an extended APDU where a short one cannot hold it. SwError 6700 if it is no command, or too long.
        """
        start, end, le = body(raw)
        most = end - start + room + size
        if most > MAX_LC:
            raise SwError(SW.WRONG_LENGTH, "no APDU holds it and a MAC")
        is_long = start == 7 or most > 255
        tail = b"" if le is None else le.to_bytes(3, "big")[1:] if is_long else bytes((le & 0xFF,))
        lc = bytes(3 if is_long else 1)
        return cls(secured_class(raw[0]) + raw[1:4], lc, raw[start:end], bytes(size), tail)

    def encode(self) -> bytes:
        """Write the command APDU."""
        return self.header + self._length(len(self.data) + len(self.mac)) + self.data + self.mac + self.le

    def authenticated(self, data: bytes) -> bytes:
        """What the MAC is over: the header on channel 0, the length with the MAC in it, and the data."""
        # The class says "secured" and nothing of the channel. 11.1.4; Amendment D 6.2.4.
        cla = CLAS[self.header[0]].base
        return bytes((cla,)) + self.header[1:] + self._length(len(data) + len(self.mac)) + data

    def plain(self, data: bytes) -> bytes:
        """The command this one carries, on the same channel."""
        length = self._length(len(data)) if data else b"\0" if len(self.lc) > 1 and self.le else b""
        return plain_class(self.header[0]) + self.header[1:] + length + data + self.le

    def _length(self, length: int) -> bytes:
        return length.to_bytes(1, "big") if len(self.lc) == 1 else b"\0" + length.to_bytes(2, "big")


def is_secured_with(level: int, bit: int) -> bool:
    """Whether a security level has a bit: 01 C-MAC, 02 C-DECRYPTION, 10 R-MAC, 20 R-ENCRYPTION. Table 10-1."""
    return bool(level & bit)


def pad(data: bytes, block: int) -> bytes:
    """Pad to whole blocks: 80, then zeros. B.2.3; ISO/IEC 9797-1 padding method 2."""
    return data + b"\x80" + bytes(-(len(data) + 1) % block)


def unpad(padded: bytes) -> bytes:
    """Undo `pad`; WrongMacError if that is not how the data end."""
    data, mark, zeros = padded.rpartition(b"\x80")
    if not mark or any(zeros):
        raise WrongMacError("the padding is wrong")
    return data
