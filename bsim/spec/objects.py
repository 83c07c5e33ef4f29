"""Data objects inside responses, named for people. Pure; what is no data object is left as bytes."""

from typing import Final, NamedTuple

from bsim import tlv
from bsim.spec.digits import swapped_digits

_CONSTRUCTED: Final = 0x20
_TEXT_STRING: Final = 0x0D
_COMMAND_DETAILS: Final = 0x01
_EIGHT_BIT: Final = 0x04  # ETSI TS 102 223 8.15: data coding scheme

# ISO/IEC 7816-4 7.4.3 and ETSI TS 102 221 11.1.1.3 (templates), ITU-T X.690 (DER), the applets' own.
_NAMES: Final = {
    0x02: "INTEGER",
    0x11: "ICCID",
    0x30: "SEQUENCE",
    0x62: "file control parameters",
    0x6F: "file control information",
    0x82: "file descriptor",
    0x83: "file identifier",
    0x84: "DF name",
    0x8A: "life cycle status",
    0x8B: "access rule",
    0xA5: "proprietary",
    0xC6: "PIN status",
    0xC2: "public key",
    0xD0: "proactive command",
    0xE1: "asset",
    0xE2: "contact",
}
# What is in templates of this project's, whose tags mean other things elsewhere: name, and whether it is text.
_INSIDE: Final = {
    0xE1: {
        0x80: ("number", False),
        0x81: ("slot", False),
        0x82: ("chain", False),
        0x83: ("contract", False),
        0x84: ("token id", False),
        0x85: ("standard", False),
        0x86: ("amount", False),
        0x87: ("policy", False),
        0x88: ("acquired at", False),
        0x89: ("state", False),
        0x8A: ("name", True),
        0x8B: ("media", True),
        0x8C: ("issuer", True),
    },
    0xE2: {0x80: ("name", True), 0x81: ("address", True)},
}
# ETSI TS 101 220 7.2.
_TOOLKIT_NAMES: Final = {
    _COMMAND_DETAILS: "command details",
    0x02: "device identities",
    0x03: "result",
    _TEXT_STRING: "text string",
    0x11: "response length",
}
# ETSI TS 102 223 9.4.
_PROACTIVE: Final = {0x21: "DISPLAY TEXT", 0x22: "GET INKEY", 0x23: "GET INPUT"}
_ALGORITHMS: Final = {1: "secp256k1", 2: "Ed25519", 3: "SM2", 4: "P-256"}


class Part(NamedTuple):
    """A named piece of a command or response: its bytes as hex, what they mean, and what they are made of."""

    name: str
    hex: str
    meaning: str = ""
    parts: tuple["Part", ...] = ()


def objects(data: bytes) -> tuple[Part, ...]:
    """Name the BER-TLV data objects that fill `data`; nothing where it is not made of them."""
    try:
        return tuple(_object(one) for one in tlv.parse(data))
    except tlv.TlvError:
        return ()


def whole_objects(data: bytes) -> tuple[tuple[Part, ...], bytes]:
    """Name the data objects that are there in whole, and answer the rest: a stream may be cut anywhere."""
    end = 0
    while (size := _size(data[end:])) and size <= len(data) - end:
        end += size
    return objects(data[:end]), data[end:]


def _size(data: bytes) -> int:
    """Bytes of the first data object with a one-byte tag; 0 if its length is not there."""
    if len(data) < 2 or data[1] == 0x80:
        return 0
    if data[1] < 0x80:
        return 2 + data[1]
    count = data[1] & 0x7F
    return 2 + count + int.from_bytes(data[2 : 2 + count], "big") if len(data) >= 2 + count else 0


def _object(one: tlv.Tlv) -> Part:
    tag = f"{one.tag:02X}"
    name = f"{tag} {_NAMES[one.tag]}" if one.tag in _NAMES else tag
    parts: tuple[Part, ...] = ()
    if one.tag == 0xD0:
        parts = _toolkit(one.value)
    elif one.tag == 0xC2 and len(one.value) > 6:
        parts = _public_key(one.value)
    elif one.tag in _INSIDE:
        parts = _template(one)
    elif one.tag & _CONSTRUCTED and one.tag <= 0xFF:
        parts = objects(one.value)
    meaning = swapped_digits(one.value) if one.tag == 0x11 else ""
    return Part(name, one.value.hex().upper(), meaning, parts)


def _template(one: tlv.Tlv) -> tuple[Part, ...]:
    """What is in a template whose tags have names of their own."""
    names = _INSIDE[one.tag]
    try:
        inner = tlv.parse(one.value)
    except tlv.TlvError:
        return ()
    return tuple(_named(part, *names.get(part.tag, ("", False))) for part in inner)


def _named(one: tlv.Tlv, name: str, text: bool) -> Part:
    meaning = repr(one.value.decode(errors="replace")) if text else ""
    return Part(f"{one.tag:02X} {name}".rstrip(), one.value.hex().upper(), meaning)


def _public_key(value: bytes) -> tuple[Part, ...]:
    """What EXPORT PUBKEYS says of a slot: coin type (4), slot, algorithm, key."""
    return (
        Part("coin_type", value[:4].hex().upper(), str(int.from_bytes(value[:4], "big"))),
        Part("slot", value[4:5].hex().upper(), str(value[4])),
        Part("algorithm", value[5:6].hex().upper(), _ALGORITHMS.get(value[5], "")),
        Part("key", value[6:].hex().upper()),
    )


def _toolkit(value: bytes) -> tuple[Part, ...]:
    try:
        return tuple(_toolkit_object(one) for one in tlv.parse_comprehension(value))
    except tlv.TlvError:
        return ()


def _toolkit_object(one: tlv.Tlv) -> Part:
    tag, meaning = f"{one.tag:02X}", ""
    if one.tag == _COMMAND_DETAILS and len(one.value) == 3:
        meaning = _PROACTIVE.get(one.value[1], "")
    elif one.tag == _TEXT_STRING and one.value[:1] == bytes((_EIGHT_BIT,)):
        meaning = repr(one.value[1:].decode("latin-1"))
    name = f"{tag} {_TOOLKIT_NAMES[one.tag]}" if one.tag in _TOOLKIT_NAMES else tag
    return Part(name, one.value.hex().upper(), meaning)
