"""What is in an elementary file, for people: a reader for each format that applet_spec/files.toml names. Pure.

Every reader takes the content of a transparent file, or a record, and answers one line; ValueError where it is none.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from bsim import tlv
from bsim.spec import access
from bsim.spec.digits import swapped_digits

_UNUSED: Final = 0xFF
_DIALLING: Final = "0123456789*#,?."  # 3GPP TS 31.102 table 4.4: what a nibble of a dialling number stands for


def read(layout: str, content: bytes) -> str:
    """Read a content by the format's name, which may have a description behind it; ValueError if there is none."""
    name, _, description = layout.partition(" ")
    if name == "fields":
        return _fields(description, content)
    if name not in _FORMATS:
        raise ValueError(f"no format {name!r}")
    return _FORMATS[name](content)


def _fields(description: str, content: bytes) -> str:
    """Bytes cut into named fields: `Kc:8 CKSN:1`; the last may be `name:*`."""
    told, at = [], 0
    for part in description.split():
        name, _, size = part.partition(":")
        end = len(content) if size == "*" else at + int(size)
        if end > len(content):
            raise ValueError(f"{name} is cut short")
        told.append(f"{name} {content[at:end].hex().upper()}")
        at = end
    if at != len(content):
        raise ValueError(f"{len(content) - at} bytes too many")
    return ", ".join(told)


def _hex(content: bytes) -> str:
    return content.hex().upper()


def _number(content: bytes) -> str:
    return str(int.from_bytes(content, "big"))


def _imsi(content: bytes) -> str:
    """3GPP TS 31.102 4.2.2: a length, then nibbles of which the first holds only parity."""
    digits = swapped_digits(content[1 : 1 + content[0]])
    if len(content) != 9 or not 4 <= content[0] <= 8 or digits[0] not in "19":
        raise ValueError("no IMSI")
    return digits[1:]


def _plmn(coded: bytes) -> str:
    """3GPP TS 24.008 10.5.1.13: three bytes of MCC and MNC."""
    nibbles = [part for byte in coded for part in (byte & 15, byte >> 4)]
    mcc, mnc = (nibbles[0], nibbles[1], nibbles[2]), (nibbles[4], nibbles[5], nibbles[3])
    return "".join(f"{digit:X}" for digit in mcc) + "-" + "".join(f"{digit:X}" for digit in mnc if digit != 15)


def _each(content: bytes, size: int) -> Iterator[bytes]:
    if len(content) % size:
        raise ValueError(f"no entries of {size} bytes")
    entries = (content[at : at + size] for at in range(0, len(content), size))
    return (entry for entry in entries if entry[:3] != b"\xff" * min(size, 3))


def _plmns(content: bytes) -> str:
    return " ".join(map(_plmn, _each(content, 3)))


def _plmns_with_technology(content: bytes) -> str:
    return " ".join(f"{_plmn(entry[:3])}:{entry[3:].hex().upper()}" for entry in _each(content, 5))


def _services(content: bytes) -> str:
    """The numbers of services that are there, a bit each. 3GPP TS 31.102 4.2.8."""
    return " ".join(str(8 * at + bit + 1) for at, byte in enumerate(content) for bit in range(8) if byte >> bit & 1)


def _services_gsm(content: bytes) -> str:
    """Two bits a service: allocated and activated. 3GPP TS 51.011 10.3.7."""
    pairs = (byte >> 2 * at & 3 for byte in content for at in range(4))
    return " ".join(str(number) for number, pair in enumerate(pairs, 1) if pair == 3)


def _text(content: bytes) -> str:
    """An alpha identifier: GSM default alphabet, or UCS2 behind 80; FF behind it. ETSI TS 102 221 annex A."""
    if content[:1] == b"\x80":
        body = content[1 : 1 + (len(content) - 1) // 2 * 2]
        return body.decode("utf-16-be").split("\uffff", 1)[0]
    return content.rstrip(b"\xff").decode("ascii")


def _spn(content: bytes) -> str:
    return f"{_text(content[1:])}, display {content[0]:02X}"


def _languages(content: bytes) -> str:
    return " ".join(entry.decode("ascii") for entry in _each(content, 2))


def _dialled(coded: bytes, kind: int) -> str:
    nibbles = [part for byte in coded for part in (byte & 15, byte >> 4)]
    digits = "".join(_DIALLING[nibble] for nibble in nibbles if nibble != 15)
    # 3GPP TS 24.008 10.5.4.7: an international number.
    return ("+" if kind & 0x70 == 0x10 else "") + digits


def _contact(content: bytes) -> str:
    """A dialling number with its alpha identifier. 3GPP TS 31.102 4.4.2.3."""
    if len(content) < 14:
        raise ValueError("a dialling number has fourteen bytes behind its name")
    name, rest = content[:-14], content[-14:]
    if rest[0] == _UNUSED:
        return "empty"
    return f"{_text(name)}: {_dialled(rest[2 : 1 + rest[0]], rest[1])}"


def _short_messages(content: bytes) -> str:
    """The parameters of short messages: the service centre. 3GPP TS 31.102 4.2.27."""
    name, rest = content[:-28], content[-28:]
    centre = rest[13:25]
    told = _dialled(centre[2 : 1 + centre[0]], centre[1]) if not rest[0] & 2 and centre[0] <= 11 else "none"
    return f"{_text(name)}: centre {told}"


def _emergency(content: bytes) -> str:
    """A number in three bytes, its name, its service. 3GPP TS 31.102 4.2.21."""
    return f"{_dialled(content[:3], 0)} {_text(content[3:-1])}, service {content[-1]:02X}"


def _emergency_gsm(content: bytes) -> str:
    return " ".join(_dialled(entry, 0) for entry in _each(content, 3))


def _classes(content: bytes) -> str:
    """The access classes, a bit each. 3GPP TS 31.102 4.2.15."""
    return " ".join(str(bit) for bit in range(16) if int.from_bytes(content, "big") >> bit & 1)


def _administrative(content: bytes) -> str:
    """The mode of operation and, where it is there, the length of the MNC. 3GPP TS 31.102 4.2.18."""
    length = f", MNC of {content[3] & 15} digits" if len(content) > 3 else ""
    return f"mode {content[0]:02X}{length}"


def _application(content: bytes) -> str:
    """An application template: its AID and label. ETSI TS 102 221 13.1."""
    if content == b"\xff" * len(content):
        return "empty"
    (template,) = tlv.parse(content.rstrip(b"\xff"))
    parts = {part.tag: part.value for part in tlv.parse(template.value)}
    return f"{parts[0x4F].hex().upper()} {parts[0x50].decode('ascii')}"


_MODES: Final = ((access.Mode.READ, "read"), (access.Mode.UPDATE, "update"), (access.Mode.INCREASE, "increase"))


def _rule(content: bytes) -> str:
    """A record of EF.ARR: which keys reading, updating and increasing need, as those of a file."""
    rules = access.parse(content)
    return ", ".join(f"{name} {_needs(access.condition(rules, mode))}" for mode, name in _MODES)


def _needs(condition: access.Condition) -> str:
    keys = [f"{key:02X}" for key in condition.references()]
    return " ".join(keys) or ("always" if condition == access.ALWAYS else "never")


def _objects(content: bytes) -> str:
    """BER-TLV data objects, FF behind them."""
    found = tlv.parse(content.rstrip(b"\xff"))
    return ", ".join(f"{one.tag:02X} {one.value.hex().upper()}" for one in found) or "empty"


def _uri(content: bytes) -> str:
    """A data object with tag 80 that holds UTF-8. 3GPP TS 31.103 4.2.2 to 4.2.4."""
    if content[:1] != b"\x80":
        raise ValueError("no data object 80")
    return content[2 : 2 + content[1]].decode("utf-8")


_FORMATS: Final[Mapping[str, Callable[[bytes], str]]] = {
    "ad": _administrative,
    "arr": _rule,
    "bcd": swapped_digits,
    "classes": _classes,
    "contact": _contact,
    "dir": _application,
    "ecc": _emergency,
    "ecc-gsm": _emergency_gsm,
    "hex": _hex,
    "imsi": _imsi,
    "languages": _languages,
    "number": _number,
    "plmns": _plmns,
    "plmns-act": _plmns_with_technology,
    "services": _services,
    "services-gsm": _services_gsm,
    "smsp": _short_messages,
    "spn": _spn,
    "text": _text,
    "tlv": _objects,
    "uri": _uri,
}
