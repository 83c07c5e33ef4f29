"""Who the subscriber is: identities, and what files say of them. What is not told follows from the ICCID, or is empty.

The key and the sequence numbers of authentication are here too; authentication itself is network.py's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bsim.applets.issuer import IssuerState
from bsim.applets.proactive import encode_alpha
from bsim.crypto.sequence import SLOTS
from bsim.spec.digits import swapped_digits
from bsim.store import Cell, Layout

TEST_PLMN: Final = "00101"
# 3GPP TS 35.208 test set 1: K and OPc that everybody knows.
TEST_KI: Final = bytes.fromhex("465B5CE8B199B49FAA5F0A2EE238A6BC")
TEST_OPC: Final = bytes.fromhex("CD63CB71954A9F4E48A5994E37A02BAF")
_SEQUENCE: Final = 6
_NAME: Final = 18  # bytes of an alpha identifier in the files of numbers here
# Countries whose network codes have three digits. ITU-T E.212 and its bulletins; 3GPP TS 23.003 2.2.
_LONG_CODES: Final = frozenset((
    "302", "310", "311", "312", "313", "314", "315", "316", "334", "338", "342", "344", "346", "348", "350", "352",
    "354", "356", "358", "360", "365", "366", "376", "405", "708", "722", "732", "750",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class SubscriberState:
    """The persistent state. An empty `imsi` is the test network's, with the digits of the ICCID."""

    imsi: str
    msisdn: str
    name: str
    centre: str
    plmns: tuple[str, ...]
    algorithm: str
    ki: bytes = field(repr=False)
    opc: bytes = field(repr=False)
    sequences: tuple[int, ...]


def _ascii(text: str) -> bytes:
    return text.encode("utf-8")


def _split(raw: bytes) -> tuple[str, ...]:
    return tuple(raw.decode().split())


def _encode_sequences(numbers: tuple[int, ...]) -> bytes:
    return b"".join(number.to_bytes(_SEQUENCE, "big") for number in numbers) if any(numbers) else b""


def _decode_sequences(raw: bytes) -> tuple[int, ...]:
    if not raw:
        return NEVER_USED
    if len(raw) != _SEQUENCE * SLOTS:
        raise ValueError("sequence numbers cut short")
    return tuple(int.from_bytes(raw[at : at + _SEQUENCE], "big") for at in range(0, len(raw), _SEQUENCE))


NEVER_USED: Final = (0,) * SLOTS
DEFAULT: Final = SubscriberState("", "", "BSIM", "+8613800100500", (), "milenage", TEST_KI, TEST_OPC, NEVER_USED)
_CODECS: Final[dict[str, tuple[Callable[..., bytes], Callable[[bytes], object]]]] = {
    "imsi": (_ascii, bytes.decode),
    "msisdn": (_ascii, bytes.decode),
    "name": (_ascii, bytes.decode),
    "centre": (_ascii, bytes.decode),
    "plmns": (lambda plmns: " ".join(plmns).encode(), _split),
    "algorithm": (_ascii, bytes.decode),
    "ki": (bytes, bytes),
    "opc": (bytes, bytes),
    "sequences": (_encode_sequences, _decode_sequences),
}
LAYOUT: Final = Layout(
    SubscriberState,
    "subscriber",
    _CODECS,
    later={name: encode(getattr(DEFAULT, name)) for name, (encode, _) in _CODECS.items()},
)


class Subscriber:
    """The subscriber of one powered card."""

    __slots__ = ("cell", "issuer")

    def __init__(self, cell: Cell[SubscriberState], issuer: Cell[IssuerState]) -> None:
        self.cell: Final = cell
        self.issuer: Final = issuer

    @property
    def imsi(self) -> str:
        """The IMSI, 6 to 15 digits."""
        return self.cell.value.imsi or TEST_PLMN + _account(self.issuer.value.iccid)

    @property
    def home(self) -> str:
        """The home network: MCC and MNC, 5 or 6 digits."""
        return self.imsi[: 3 + mnc_length(self.imsi)]

    def content(self, name: str, size: int, record: int) -> bytes:
        """Answer content that is personal, filled to the size of the file, or of its records."""
        first = _CONTENTS[name](self)
        return first.ljust(record, b"\xff").ljust(size, b"\xff") if record else first.ljust(size, b"\xff")


def mnc_length(imsi: str) -> int:
    """Answer how many digits the network code of an IMSI has."""
    return 3 if imsi[:3] in _LONG_CODES else 2


def swapped(digits: str) -> bytes:
    """Write digits as BCD, nibbles swapped, F behind an odd one. 3GPP TS 24.008 10.5.4.7."""
    padded = digits + "F" * (len(digits) % 2)
    return bytes.fromhex("".join(padded[at + 1] + padded[at] for at in range(0, len(padded), 2)))


def encode_imsi(digits: str) -> bytes:
    """Write EF.IMSI. 3GPP TS 31.102 4.2.2."""
    parity = "9" if len(digits) % 2 else "1"
    coded = swapped(parity + digits)
    return bytes((len(coded),)) + coded


def encode_plmn(plmn: str) -> bytes:
    """Write MCC and MNC (5 or 6 digits) in three bytes. 3GPP TS 24.008 10.5.1.13."""
    mcc, mnc = plmn[:3], plmn[3:].ljust(3, "F")
    return bytes.fromhex(mcc[1] + mcc[0] + mnc[2] + mcc[2] + mnc[1] + mnc[0])


def encode_contact(name: str, number: str, name_length: int = _NAME) -> bytes:
    """Write a dialling number with its name, cut to what fits. 3GPP TS 31.102 4.4.2.3."""
    coded = _dialling(number)
    alpha = encode_alpha(name)
    most = name_length - (name_length + 1) % 2 if alpha[:1] == b"\x80" else name_length  # whole UCS2 characters
    return alpha[:most].ljust(name_length, b"\xff") + bytes((len(coded),)) + coded.ljust(11, b"\xff") + b"\xff\xff"


def _dialling(number: str) -> bytes:
    """Type of number and digits (at most 20). 3GPP TS 24.008 10.5.4.7."""
    digits = number.removeprefix("+").translate(str.maketrans("*#", "AB"))
    return bytes((0x91 if number.startswith("+") else 0x81,)) + swapped(digits)


def _account(iccid: bytes) -> str:
    """The last ten digits of an ICCID before its check digit."""
    return swapped_digits(iccid)[:-1][-10:].rjust(10, "0")


def _msisdn(who: Subscriber) -> bytes:
    number = who.cell.value.msisdn
    return encode_contact("", number) if number else b""


def _short_messages(who: Subscriber) -> bytes:
    """The service centre; all other parameters are absent. 3GPP TS 31.102 4.2.27."""
    centre = who.cell.value.centre
    if not centre:
        return b""
    coded = _dialling(centre)
    address = bytes((len(coded),)) + coded.ljust(11, b"\xff")
    return b"\xff" * 16 + b"\xe1" + b"\xff" * 12 + address + b"\x00\x00\xff"


def _classes(who: Subscriber) -> bytes:
    """The access class is the last digit of the IMSI. 3GPP TS 22.011 4.2."""
    return (1 << int(who.imsi[-1])).to_bytes(2, "big")


def _uri(text: str) -> bytes:
    coded = text.encode()
    return bytes((0x80, len(coded))) + coded


def _domain(who: Subscriber) -> str:
    """The home network's name. 3GPP TS 23.003 13.2."""
    return f"ims.mnc{who.home[3:].zfill(3)}.mcc{who.home[:3]}.3gppnetwork.org"


_CONTENTS: Final[Mapping[str, Callable[[Subscriber], bytes]]] = {
    "iccid": lambda who: who.issuer.value.iccid,
    "imsi": lambda who: encode_imsi(who.imsi),
    "msisdn": _msisdn,
    "spn": lambda who: b"\x01" + encode_alpha(who.cell.value.name),
    "smsp": _short_messages,
    "phonebook": lambda _: b"",
    "classes": _classes,
    "mode": lambda who: bytes((0, 0, 0, mnc_length(who.imsi))),
    "home-plmn": lambda who: encode_plmn(who.home),
    "home": lambda who: encode_plmn(who.home) + b"\xff\xff",
    "plmns": lambda who: b"".join(map(encode_plmn, who.cell.value.plmns)),
    "plmns-act": lambda who: b"".join(encode_plmn(plmn) + b"\xff\xff" for plmn in who.cell.value.plmns),
    "private-identity": lambda who: _uri(f"{who.imsi}@{_domain(who)}"),
    "public-identity": lambda who: _uri(f"sip:{who.imsi}@{_domain(who)}"),
    "domain": lambda who: _uri(_domain(who)),
}
