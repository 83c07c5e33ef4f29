"""What the issuer domain tells of its card: its data objects. GlobalPlatform Card Specification 2.3.1, 11.3, H."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from bsim import tlv
from bsim.applets.issuer import IssuerState
from bsim.applets.key_sets import SECRET_PARTS
from bsim.sw import SW, SwError
from bsim.tlv import Tlv

_IIN: Final = 0x42
_CIN: Final = 0x45
_CARD_DATA: Final = 0x66
_CAPABILITIES: Final = 0x67
_COUNTER: Final = 0xC1
_KEYS: Final = 0xE0
_LONGEST_OBJECT: Final = 64
_DEFAULT_VERSION: Final = 0x01

# H.2: {globalPlatform 1}; {2} and the version, 2.3; {3}; {4} and SCP02 with 55, SCP03 with 70.
_OID: Final = bytes.fromhex("2A864886FC6B")
_RECOGNITION: Final = tlv.encode(
    0x73,
    tlv.encode(0x06, _OID + b"\x01")
    + b"".join(
        tlv.encode(tag, tlv.encode(0x06, _OID + number))
        for tag, number in (
            (0x60, b"\x02\x02\x03"),
            (0x63, b"\x03"),
            (0x64, b"\x04\x02\x55"),
            (0x64, b"\x04\x03\x70"),
        )
    ),
)
# H.4: the protocols with their options, and for AES the lengths of keys: 128, 192, 256.
_PROTOCOLS: Final = tlv.encode(0xA0, bytes.fromhex("800102 810155")) + tlv.encode(
    0xA0, bytes.fromhex("800103 81027071 820107")
)


def data_object(state: IssuerState, tag: int) -> bytes:
    """Answer the value of a data object that GET DATA knows."""
    if tag in state.objects:
        return state.objects[tag]
    counter = state.counters.get(_DEFAULT_VERSION, 0)
    return {
        _IIN: _digits(state.iccid)[:3],
        _CIN: state.iccid,
        _CARD_DATA: _RECOGNITION,
        _CAPABILITIES: _PROTOCOLS,
        _COUNTER: counter.to_bytes(2, "big"),
        _KEYS: _key_information(state),
    }.get(tag, bytes(10))


def production_data() -> bytes:
    """Answer 9F7F and 42 bytes: no fabricator, no dates, no serial number; the operating system calls itself BS."""
    return tlv.encode(0x9F7F, bytes(4) + b"BS" + bytes(42 - 6))


def with_objects(state: IssuerState, objects: Iterable[Tlv]) -> IssuerState:
    """Answer the state with other data objects; SwError 6A80 for one that cannot be written."""
    given = {one.tag: one.value for one in objects}
    if not given.keys() <= {_IIN, _CIN} or any(len(value) > _LONGEST_OBJECT for value in given.values()):
        raise SwError(SW.WRONG_DATA, "42 and 45 can be written, with at most 64 bytes each")
    return replace(state, objects={**state.objects, **given})


def _key_information(state: IssuerState) -> bytes:
    """C0 for each key: identifier, version, type, length. GlobalPlatform 2.3.1, 11.3.3.1."""
    return b"".join(
        tlv.encode(0xC0, bytes((number, one.version, one.type, len(one.keys.enc))))
        for one in state.all_key_sets
        for number in range(1, SECRET_PARTS + 1)
    )


def _digits(iccid: bytes) -> bytes:
    """BCD with the nibbles as they are read."""
    return bytes((byte & 0x0F) << 4 | byte >> 4 for byte in iccid)
