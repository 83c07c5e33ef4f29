"""What an answer is like when its keys, numbers and nonces are left out: for cards whose seed is not known, and twins.

Which data differ from card to card is told by the declaration's names of response fields; all else must be equal.
"""

from collections.abc import Callable, Mapping
from typing import Final

from bsim import tlv
from bsim.crypto.envelope import OVERHEAD
from bsim.crypto.mnemonic import ENTROPY_LENGTHS
from bsim.lab.guard import declared
from bsim.spec import Command
from bsim.spec.objects import whole_objects
from bsim.sw import OK, SW

_N: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # SEC 2, 2.4.1: secp256k1's order
_ED25519_LENGTH: Final = 64
_SEQUENCE, _INTEGER = 0x30, 0x02
_ICCID_TAG: Final = 0x11
_ENVELOPES: Final = frozenset(OVERHEAD + length for length in ENTROPY_LENGTHS)
_STANDING: Final = 10  # of GET STATUS: all before its capabilities
_HEAD: Final = 6  # of a C2 object: coin type (4), slot, algorithm


class ShapeError(ValueError):
    """Data that cannot be what the declaration says; the message says why."""


def signature(data: bytes) -> str:
    """DER as strict as BIP 66 wants it, with s in one half or the other; or 64 bytes of Ed25519."""
    if len(data) == _ED25519_LENGTH and data[0] != _SEQUENCE:
        return "64 bytes"
    try:
        (whole,) = tlv.parse(data)
        r, s = tlv.parse(whole.value)
    except (tlv.TlvError, ValueError) as fault:
        raise ShapeError(f"no DER signature: {fault}") from fault
    if (whole.tag, r.tag, s.tag) != (_SEQUENCE, _INTEGER, _INTEGER):
        raise ShapeError("no SEQUENCE of two INTEGERs")
    for number in (r.value, s.value):
        if not number or number[0] & 0x80 or (len(number) > 1 and number[0] == 0 and not number[1] & 0x80):
            raise ShapeError("an INTEGER of the signature is negative or longer than need be")
    half = "low" if int.from_bytes(s.value, "big") <= _N // 2 else "high"
    return f"SEQUENCE {{ INTEGER r, INTEGER s }}, s {half}"


def iccid(data: bytes) -> str:
    """The TLV of EF.ICCID, its digits left out but the first two (89: telecom) and the filling. ITU-T E.118."""
    if data[:2] != bytes((_ICCID_TAG, 10)) or len(data) != 12:
        return f"{data[:2].hex().upper()}, {len(data)} bytes in all"
    last = "F at the end" if data[-1] >> 4 == 0xF else "20 digits"
    return f"110A {data[2]:02X} and nine bytes, {last}"


def ciphertext(data: bytes) -> str:
    """Its version and length."""
    return f"version {data[:1].hex()}, {len(data)} bytes"


def envelope(data: bytes) -> str:
    """Its version, and its length if it is none of a sealed seed: how many words a seed has is the card's own."""
    return f"version {data[:1].hex()}, a seed's length" if len(data) in _ENVELOPES else ciphertext(data)


def challenge(data: bytes) -> str:
    """Its length."""
    return f"{len(data)} random bytes"


def address(data: bytes) -> str:
    """Its length."""
    return f"an address of {len(data)} characters"


def tags(data: bytes) -> str:
    """The tags of data objects, in their order."""
    try:
        return " ".join(f"{one.tag:02X}" for one in tlv.parse(data))
    except tlv.TlvError as fault:
        raise ShapeError(f"no TLV: {fault}") from fault


def standing(data: bytes) -> str:
    """What GET STATUS tells of the kind of card: where one card stands is its own."""
    return data[_STANDING:].hex().upper()


def keys(stream: bytes) -> str:
    """C2 objects with coin type, slot, algorithm and the key's form; the keys themselves left out."""
    try:
        whole, rest = whole_objects(stream)
        objects = tlv.parse(stream[: len(stream) - len(rest)])
    except tlv.TlvError as fault:
        raise ShapeError(f"no TLV: {fault}") from fault
    if len(whole) != len(objects):
        raise ShapeError("no TLV stream")
    told = [
        f"{one.tag:02X} {len(one.value):02X} {one.value[:_HEAD].hex().upper()} {one.value[_HEAD : _HEAD + 1].hex()}…"
        for one in objects
    ]
    return " | ".join(told) + (f" | {rest[:1].hex().upper()} cut short" if rest else "")


def content(data: bytes) -> str:
    """The length of what was read from a file: numbers, names and places are the card's own."""
    return f"{len(data)} bytes of a file"


def authentication(data: bytes) -> str:
    """Whether it went well, and the length: the keys are the subscriber's own."""
    return f"{data[:1].hex().upper()}, {len(data)} bytes"


_LEFT_OUT: Final[Mapping[str, Callable[[bytes], str]]] = {
    "signature": signature,
    "iccid": iccid,
    "ciphertext": envelope,
    "challenge": challenge,
    "content": content,
    "answer": authentication,
    "digest": tags,
    "asked": tags,
    "address": address,
    "life_cycle": standing,
}
_VARIABLE_LENGTH: Final = frozenset({"signature", "der"})  # the shorter r or s happens to be, the shorter the DER
_SIGNED: Final = frozenset({"GET_CERTIFICATE"})  # what comes in segments, and has such a signature in it
_STREAM: Final = "segment"


class Shapes:
    """Follows one conversation and answers each response's shape; segments are read as the one stream they are."""

    def __init__(self) -> None:
        self._stream = b""

    def of(self, command: Command | None, raw: bytes, data: bytes, sw: int) -> str:
        """What the data are like, comparable from card to card; ShapeError where they are not what is declared."""
        field = command.response[0].name if command is not None and command.response else ""
        if field == _STREAM and sw in {SW.OK, SW.MORE_DATA}:
            self._stream = (b"" if raw[3] == 0 else self._stream) + data
            return keys(self._stream)
        if not data:
            return ""
        leave_out = _LEFT_OUT.get(field)
        return leave_out(data) if leave_out is not None else data.hex().upper()


def equal_length(command: Command | None, one: bytes, other: bytes) -> bool:
    """Whether response data are equally long, as far as that means something from card to card."""
    if len(one) == len(other):
        return True
    names = {field.name for field in command.response} if command is not None else set()
    signed = bool(names & _VARIABLE_LENGTH) or (command is not None and command.name in _SIGNED)
    return signed or ("ciphertext" in names and {len(one), len(other)} <= _ENVELOPES)


def is_own(command: Command | None) -> bool:
    """Whether a command's response holds what only one card says: keys, numbers, nonces."""
    return command is not None and any(field.name in {*_LEFT_OUT, _STREAM} for field in command.response)


def is_sealed(raw: bytes) -> bool:
    """Whether the answer to a command is a secret under a password, and the scripts' passwords are no secret."""
    return len(raw) >= 4 and any(field.name == "ciphertext" for entry in declared(raw) for field in entry.response)


def misfit(command: Command, data: bytes) -> str:
    """Say how response data cannot be those of a command; nothing if they can."""
    least = sum(field.encoded_minimum for field in command.response)
    if not least <= len(data) <= command.response_maximum:
        wanted = str(least) if least == command.response_maximum else f"{least} to {command.response_maximum}"
        return f"{len(data)} bytes, not {wanted}"
    try:
        Shapes().of(command, bytes(4), data, int.from_bytes(OK, "big"))
        if command.response and command.response[0].name == "template" and data:
            tlv.parse(data)
    except (ShapeError, tlv.TlvError) as fault:
        return str(fault)
    found = data[:2] == bytes((_ICCID_TAG, 10)) and data[2] == 0x98
    if command.response and command.response[0].name == "iccid" and not found:
        return "not 11 0A and a number that begins with 89, nibbles swapped"
    return ""
