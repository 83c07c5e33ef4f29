"""Access rules of files, as records of EF.ARR write them (ISO/IEC 7816-4 5.4.3.2, expanded; ETSI TS 102 221 9.2).

`parse` reads any record of the kind; `encode` writes the rules that applet_spec/files.toml names.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final, TypeAlias

from bsim import tlv

# ISO/IEC 7816-4 tables 28 and 30: tags of access mode and security condition data objects.
_MODE_BITS: Final = 0x80
_MODE_INS: Final = 0x84
_ALWAYS: Final = 0x90
_NEVER: Final = 0x97
_PASSWORD: Final = 0xA4
_OR: Final = 0xA0
_AND: Final = 0xAF
_KEY_REFERENCE: Final = 0x83
_USAGE: Final = tlv.encode(0x95, b"\x08")  # user authentication, knowledge based

Holds: TypeAlias = Callable[[int], bool]
"""Whether the PIN of a key reference was verified, or need not be."""


class Mode(Enum):
    """What is done to a file: the bit of the access mode byte, or the instruction. ISO/IEC 7816-4 tables 26 and 27."""

    READ = (0x01, 0)
    UPDATE = (0x02, 0)
    DEACTIVATE = (0x08, 0)
    ACTIVATE = (0x10, 0)
    DELETE = (0x40, 0)
    INCREASE = (0, 0x32)
    RESIZE = (0, 0xD4)
    # The same bits, of a directory.
    DELETE_CHILD = (0x01, 1)
    CREATE_FILE = (0x02, 1)
    CREATE_DIRECTORY = (0x04, 1)


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold: always (`every` of nothing), never, a key reference, or some or all of other conditions."""

    key: int | None = None
    some: tuple["Condition", ...] | None = None
    every: tuple["Condition", ...] | None = None

    def holds(self, verified: Holds) -> bool:
        """Whether the condition holds."""
        if self.key is not None:
            return verified(self.key)
        if self.some is not None:
            return any(part.holds(verified) for part in self.some)
        return all(part.holds(verified) for part in self.every or ())

    def references(self) -> Iterator[int]:
        """Answer the key references that the condition names."""
        if self.key is not None:
            yield self.key
        for part in (*(self.some or ()), *(self.every or ())):
            yield from part.references()


ALWAYS: Final = Condition(every=())
NEVER: Final = Condition(some=())
Rules: TypeAlias = Mapping[tuple[int, int], Condition]


@lru_cache(maxsize=64)
def parse(record: bytes) -> Rules:
    """Read a record of EF.ARR, FF behind it ignored: conditions by access mode bit and instruction. TlvError if none.

    What a record does not name is never allowed.
    """
    found: dict[tuple[int, int], Condition] = {}
    pairs = iter(tlv.parse(record.rstrip(b"\xff")))
    for mode in pairs:
        condition = _condition(next(pairs, tlv.Tlv(_NEVER, b"")))
        if mode.tag == _MODE_BITS and len(mode.value) == 1:
            found |= {(1 << bit, 0): condition for bit in range(8) if mode.value[0] >> bit & 1}
        elif mode.tag == _MODE_INS and len(mode.value) == 1:
            found[0, mode.value[0]] = condition
        else:
            raise tlv.TlvError("an access mode is a byte of bits or an instruction")
    return found


def condition(rules: Rules, mode: Mode) -> Condition:
    """Answer what an access mode needs."""
    bit, number = mode.value
    return rules.get((bit, 0) if bit else (0, number), NEVER)


def encode(rule: Mapping[Mode, Condition]) -> bytes:
    """Write a record of EF.ARR: modes that need the same share an access mode byte."""
    shared: dict[Condition, int] = {}
    for mode, needs in rule.items():
        if mode.value[0]:
            shared[needs] = shared.get(needs, 0) | mode.value[0]
    record = b"".join(tlv.encode(_MODE_BITS, bytes((bits,))) + _encode(needs) for needs, bits in shared.items())
    for mode, needs in rule.items():
        if not mode.value[0]:
            record += tlv.encode(_MODE_INS, bytes((mode.value[1],))) + _encode(needs)
    return record


def _condition(one: tlv.Tlv) -> Condition:
    if one.tag == _ALWAYS:
        return ALWAYS
    if one.tag == _PASSWORD:
        references = [part.value for part in tlv.parse(one.value) if part.tag == _KEY_REFERENCE]
        if len(references) != 1 or len(references[0]) != 1:
            raise tlv.TlvError("a control reference names one key")
        return Condition(key=references[0][0])
    if one.tag in {_OR, _AND}:
        parts = tuple(_condition(part) for part in tlv.parse(one.value))
        return Condition(some=parts) if one.tag == _OR else Condition(every=parts)
    return NEVER


def _encode(needs: Condition) -> bytes:
    if needs.key is not None:
        return tlv.encode(_PASSWORD, tlv.encode(_KEY_REFERENCE, bytes((needs.key,))) + _USAGE)
    if needs.some:
        return tlv.encode(_OR, b"".join(_encode(part) for part in needs.some))
    if needs.every:
        return tlv.encode(_AND, b"".join(_encode(part) for part in needs.every))
    return tlv.encode(_NEVER if needs.some is not None else _ALWAYS, b"")
