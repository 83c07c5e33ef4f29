"""What a command presents to a PIN of the file system: in the UICC's commands (ETSI TS 102 221 11.1.9 to 11.1.13), and
in those of class A0 (3GPP TS 51.011 9.2.9 to 9.2.13)."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from bsim.apdu import body
from bsim.applets.pins import MOST_UNBLOCKING_TRIES, PIN1, PIN2, PIN_LENGTH, UNIVERSAL, Code, PinsState, most_tries
from bsim.fuzz.grammar import Entry

_UNIVERSAL_INSTEAD: Final = 0x91
_CHVS: Final = {0: PIN1, 1: PIN1, 2: PIN2}  # UNBLOCK CHV calls the first one 0
# By name: whether a second value follows, which replaces the PIN.
_PRESENTING: Final = {
    "VERIFY_PIN": False,
    "CHANGE_PIN": True,
    "DISABLE_PIN": False,
    "ENABLE_PIN": False,
    "UNBLOCK_PIN": True,
    "GSM_VERIFY_CHV": False,
    "GSM_CHANGE_CHV": True,
    "GSM_DISABLE_CHV": False,
    "GSM_ENABLE_CHV": False,
    "GSM_UNBLOCK_CHV": True,
}
_ENABLING: Final = frozenset({"ENABLE_PIN", "GSM_ENABLE_CHV"})
_DISABLING: Final = frozenset({"DISABLE_PIN", "GSM_DISABLE_CHV"})
_UNBLOCKING: Final = frozenset({"UNBLOCK_PIN", "GSM_UNBLOCK_CHV"})
PRESENTING: Final = frozenset(_PRESENTING)
"""The commands that present something."""


class Presented(NamedTuple):
    """A value for a PIN, or for what unblocks it (`unblocks`); `new` is what shall replace the PIN, if anything."""

    command: str
    reference: int
    value: bytes
    new: bytes
    unblocks: bool
    universal: bool

    @property
    def what(self) -> str:
        """Answer what it is meant to be, as people call it."""
        return "PUK" if self.unblocks else "PIN"

    def secret(self, code: Code) -> bytes:
        """Answer what it is compared with."""
        return code.unblocking if self.unblocks else code.value

    def tries(self, code: Code) -> int:
        """Answer how many tries are left for it."""
        return code.unblocking_tries if self.unblocks else code.tries

    def right(self, code: Code) -> bool:
        """Whether it is the right value, and a try is left for it."""
        return self.tries(code) > 0 and self.value == self.secret(code) != b""

    def makes(self, code: Code) -> Code:
        """Answer what a right value makes of the PIN."""
        enabled, replaced, value = code.enabled, code.replaced, self.new or code.value
        if self.unblocks or self.command in _ENABLING:
            enabled, replaced = True, False
        elif self.command in _DISABLING:
            enabled, replaced = False, self.universal
        unblocking = MOST_UNBLOCKING_TRIES if self.unblocks else code.unblocking_tries
        most = most_tries(self.reference)
        return Code(self.reference, value, code.unblocking, most, unblocking, enabled, replaced)


def presented(entry: Entry, whole: bytes | None) -> Presented | None:
    """Read a whole command; None if it presents nothing: by its kind, its form, or as it asks for the tries."""
    if entry.name not in PRESENTING or whole is None or not entry.fits(whole):
        return None
    start, end, _ = body(whole)
    data = whole[start:end]
    if len(data) != PIN_LENGTH * (1 + _PRESENTING[entry.name]):
        return None
    reference = whole[3] if entry.applet == "usim" else _CHVS[whole[3]]
    universal = entry.applet == "usim" and whole[2] == _UNIVERSAL_INSTEAD
    unblocks = entry.name in _UNBLOCKING
    return Presented(entry.name, reference, data[:PIN_LENGTH], data[PIN_LENGTH:], unblocks, universal)


def pins_of(states: Sequence[object]) -> PinsState | None:
    """Answer the PINs among the states of a card."""
    return next((state for state in states if type(state) is PinsState), None)


def code_of(pins: PinsState | None, reference: int) -> Code | None:
    """Answer a PIN; None if there is none of this reference."""
    return next((code for code in pins.codes if code.reference == reference), None) if pins is not None else None


def counts_as_verified(pins: PinsState, verified: frozenset[int], reference: int) -> bool:
    """Whether what a PIN protects may be done. ETSI TS 102 221 9.5.1: a disabled one, or its stand-in, will do."""
    code = code_of(pins, reference)
    if reference in verified:
        return True
    return code is not None and not code.enabled and (not code.replaced or UNIVERSAL in verified)


def verified_after(
    verified: frozenset[int], shown: Presented, before: PinsState | None, after: PinsState | None
) -> frozenset[int]:
    """Answer which PINs may be verified once a value was presented, whatever the card makes of it.

    A right value may have been compared, a wrong one that cost a try was.
    """
    old, new = code_of(before, shown.reference), code_of(after, shown.reference)
    if old is None or new is None:
        return verified
    if shown.right(old):
        return verified | {shown.reference}
    return verified - {shown.reference} if not shown.unblocks and new.tries < old.tries else verified
