"""PINs of the card and what unblocks them (ETSI TS 102 221 9.5, 11.1.9 to 11.1.14): states, tries, and comparing.

The rule of the file is that of bpin.py: a try is spent and written down before the comparison, which takes the same
time whatever is wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from hmac import compare_digest
from struct import Struct
from typing import Final

from bsim.store import Cell, Layout
from bsim.sw import SW, SwError

PIN1: Final = 0x01
PIN2: Final = 0x81
UNIVERSAL: Final = 0x11
ADM: Final = 0x0A
PIN_LENGTH: Final = 8
MOST_TRIES: Final = 3
MOST_UNBLOCKING_TRIES: Final = 10
_CODE: Final = Struct(">BBBB8s8s")  # key reference, tries, tries to unblock it, flags, value, unblocking value
_ENABLED, _REPLACED, _UNBLOCKABLE = 1, 2, 4


class Outcome(Enum):
    """How a comparison ended."""

    RIGHT = auto()
    WRONG = auto()
    BLOCKED = auto()
    """No try was left, and nothing was compared."""


@dataclass(frozen=True, slots=True)
class Code:
    """A PIN. Values are digits, FF behind them; one that nothing unblocks has no unblocking value."""

    reference: int
    value: bytes = field(repr=False)
    unblocking: bytes = field(default=b"", repr=False)
    tries: int = MOST_TRIES
    unblocking_tries: int = MOST_UNBLOCKING_TRIES
    enabled: bool = True
    replaced: bool = False
    """While it is disabled, the universal PIN stands for it."""


@dataclass(frozen=True, slots=True)
class PinsState:
    """All PINs of a card."""

    codes: tuple[Code, ...]


def padded(digits: str) -> bytes:
    """Write a PIN of 4 to 8 digits as VERIFY carries it. ETSI TS 102 221 9.5.1."""
    if not digits.isascii() or not digits.isdigit() or not 4 <= len(digits) <= PIN_LENGTH:
        raise ValueError("a PIN has four to eight digits")
    return digits.encode().ljust(PIN_LENGTH, b"\xff")


DEFAULT: Final = PinsState(
    (
        Code(PIN1, padded("1234"), padded("12345678"), enabled=False),
        Code(PIN2, padded("5678"), padded("87654321")),
        Code(UNIVERSAL, padded("2468"), padded("24682468")),
        Code(ADM, padded("88888888"), tries=MOST_UNBLOCKING_TRIES),
    )
)
"""What a card has unless it is told otherwise: PIN1 is not asked for, and all values are known to everybody."""


def encode(codes: tuple[Code, ...]) -> bytes:
    """Write PINs down."""
    return b"".join(_encode(code) for code in codes)


def decode(raw: bytes) -> tuple[Code, ...]:
    """Read PINs; ValueError if they are damaged."""
    if not raw or len(raw) % _CODE.size:
        raise ValueError("PINs cut short")
    return tuple(_decode(fields) for fields in _CODE.iter_unpack(raw))


def _encode(code: Code) -> bytes:
    flags = code.enabled * _ENABLED | code.replaced * _REPLACED | bool(code.unblocking) * _UNBLOCKABLE
    return _CODE.pack(code.reference, code.tries, code.unblocking_tries, flags, code.value, code.unblocking)


def _decode(fields: tuple[int, int, int, int, bytes, bytes]) -> Code:
    reference, tries, unblocking_tries, flags, value, unblocking = fields
    known = unblocking if flags & _UNBLOCKABLE else b""
    return Code(reference, value, known, tries, unblocking_tries, bool(flags & _ENABLED), bool(flags & _REPLACED))


LAYOUT: Final = Layout(PinsState, "pins", {"codes": (encode, decode)}, later={"codes": encode(DEFAULT.codes)})


class Pins:
    """The PINs of one powered card. What was verified holds on all channels, until the card is reset."""

    __slots__ = ("_cell", "_verified")

    def __init__(self, cell: Cell[PinsState]) -> None:
        self._cell: Final = cell
        self._verified: set[int] = set()

    def reset(self) -> None:
        """Power is gone: nothing is verified."""
        self._verified.clear()

    def code(self, reference: int) -> Code:
        """Answer a PIN; SwError 6A88 if the card has none of this reference."""
        for code in self._cell.value.codes:
            if code.reference == reference:
                return code
        raise SwError(SW.REFERENCED_DATA_NOT_FOUND, "no such PIN")

    def holds(self, reference: int) -> bool:
        """Whether what needs this PIN may be done."""
        if reference in self._verified:
            return True
        code = next((code for code in self._cell.value.codes if code.reference == reference), None)
        if code is None or code.enabled:
            return False
        # ETSI TS 102 221 9.5.1: a disabled PIN counts as verified, unless the universal PIN took its place.
        return not code.replaced or UNIVERSAL in self._verified

    def verified(self, reference: int) -> bool:
        """Whether this very PIN was verified since the reset."""
        return reference in self._verified

    def states(self) -> tuple[Code, ...]:
        """Answer all PINs, for their counters and flags."""
        return self._cell.value.codes

    def check(self, reference: int, value: bytes, commit: Callable[[], None]) -> Outcome:
        """Spend a try, then compare; a right PIN gives all its tries back and counts as verified."""
        code = self.code(reference)
        if not code.tries:
            return Outcome.BLOCKED
        self._put(replace(code, tries=code.tries - 1))
        commit()  # power may go from here on: the try is lost then, never gained
        self._verified.discard(reference)
        if not compare_digest(value, code.value):
            return Outcome.WRONG
        self._put(replace(code, tries=most_tries(reference)))
        commit()  # what a right PIN grants is volatile, and not granted by a command that ends with 6581
        self._verified.add(reference)
        return Outcome.RIGHT

    def unblock(self, reference: int, unblocking: bytes, value: bytes, commit: Callable[[], None]) -> Outcome:
        """Spend a try of the unblocking value, compare it, and replace the PIN, which is enabled and verified then."""
        code = self.code(reference)
        if not code.unblocking:
            raise SwError(SW.REFERENCED_DATA_NOT_FOUND, "nothing unblocks this PIN")
        if not code.unblocking_tries:
            return Outcome.BLOCKED
        self._put(replace(code, unblocking_tries=code.unblocking_tries - 1))
        commit()
        if not compare_digest(unblocking, code.unblocking):
            return Outcome.WRONG
        self._put(Code(reference, value, code.unblocking, most_tries(reference)))
        commit()
        self._verified.add(reference)
        return Outcome.RIGHT

    def change(self, reference: int, **values: bytes | bool) -> None:
        """Replace the value or a flag of a PIN."""
        self._put(replace(self.code(reference), **values))  # type: ignore[arg-type]

    def _put(self, code: Code) -> None:
        codes = (code if code.reference == old.reference else old for old in self._cell.value.codes)
        self._cell.put(PinsState(tuple(codes)))


def most_tries(reference: int) -> int:
    """Answer how often in a row a PIN may be wrong: three times, an administrator's ten times."""
    return MOST_UNBLOCKING_TRIES if ADM <= reference & 0x7F <= 0x0E else MOST_TRIES


def is_value(value: bytes) -> bool:
    """Whether this is a PIN as VERIFY carries it: four to eight digits, FF behind them. ETSI TS 102 221 9.5.1."""
    digits = value.rstrip(b"\xff")
    return len(value) == PIN_LENGTH and len(digits) >= 4 and digits.isdigit()
