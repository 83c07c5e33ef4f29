"""Whether the file system's PINs are spent, restored, blocked and replaced as they must be, by their values only.

ETSI TS 102 221 9.5 and 11.1.9 to 11.1.13. What a refusal says of a comparison is its status word: 63Cx, and in class A0
9804 and 9840; any other says that nothing was compared.
"""

from dataclasses import replace
from typing import Final

from bsim.applets.pins import LAYOUT, Code, PinsState, decode, is_value
from bsim.fuzz.emulated_rig import EmulatedRig
from bsim.fuzz.grammar import Entry
from bsim.fuzz.oracles.hit import Hit
from bsim.fuzz.presented import Presented, code_of, pins_of, presented
from bsim.sw import SW

_ORACLE: Final = "pin-counter"
_WELL: Final = frozenset({0x90, 0x91})
_TRIES_LEFT: Final = 0x63C0
_CLASS_A0: Final = frozenset({SW.GSM_ACCESS_DENIED, SW.GSM_CHV_BLOCKED})
_BROKEN: Final = frozenset({SW.MEMORY_FAILURE, SW.NO_PRECISE_DIAGNOSIS})
(_RECORD,) = LAYOUT.changes(None, PinsState(()))


def file_pins(rig: EmulatedRig, entry: Entry) -> Hit | None:
    """Compare the PINs before and after a step with what was presented to one of them; with nothing, none changes."""
    before, after = pins_of(rig.states), pins_of(rig.uicc.states)
    # What a power cut leaves is a spent try, or what a whole command makes of the PIN.
    if before is None or after is None or not rig.response or rig.sw in _BROKEN:
        return None
    shown = presented(entry, rig.whole)
    old = code_of(before, shown.reference) if shown is not None else None
    if shown is None or old is None:
        return _kept(entry, before, after)
    new = code_of(after, shown.reference)
    if new is None or _with(before, new) != after:
        return Hit(_ORACLE, "another file PIN", f"{entry.name} changed another PIN than its own")
    return _judged(rig, shown, old, new)


def _with(pins: PinsState, new: Code) -> PinsState:
    """Answer PINs with one of them as it is now."""
    return PinsState(tuple(new if code.reference == new.reference else code for code in pins.codes))


def _kept(entry: Entry, before: PinsState, after: PinsState) -> Hit | None:
    if before == after:
        return None
    return Hit(_ORACLE, f"PIN changed by {entry.name}", f"{entry.name} changed a PIN, and presented no value to it")


def _judged(rig: EmulatedRig, shown: Presented, old: Code, new: Code) -> Hit | None:
    """What became of the PIN that a value was presented to."""
    if rig.sw >> 8 in _WELL:
        return _accepted(rig, shown, old, new)
    return _wrong(rig, shown, old, new) if _compared(rig.sw, shown) else _not_compared(rig, shown, old, new)


def _not_compared(rig: EmulatedRig, shown: Presented, old: Code, new: Code) -> Hit | None:
    sw, left, what = rig.sw, shown.tries(old), shown.what
    if sw == SW.AUTHENTICATION_METHOD_BLOCKED and left:
        return Hit(_ORACLE, f"{what} blocked early", f"{shown.command} answered 6983 with {left} tries left")
    if old != new:
        return Hit(_ORACLE, f"{what} refused and changed", f"{shown.command} answered {sw:04X} and changed a PIN")
    return None


def _wrong(rig: EmulatedRig, shown: Presented, old: Code, new: Code) -> Hit | None:
    sw, left, what, name = rig.sw, shown.tries(old), shown.what, shown.command
    if not left:
        if old == new and sw == SW.GSM_CHV_BLOCKED:
            return None
        return Hit(_ORACLE, f"blocked {what} compared", f"{name} answered {sw:04X} with no try left")
    if shown.right(old):
        return Hit(_ORACLE, f"right {what} refused", f"{name} answered {sw:04X} to the right value")
    if new != (replace(old, unblocking_tries=left - 1) if shown.unblocks else replace(old, tries=left - 1)):
        words = f"a wrong value in {name} led from {left} to {shown.tries(new)} tries"
        return Hit(_ORACLE, f"wrong {what} is free", words)
    if sw != _answer(sw, left - 1):
        return Hit(_ORACLE, f"{what} tries told", f"{name} answered {sw:04X} with {left - 1} tries left")
    return _in_time(rig, shown, left)


def _accepted(rig: EmulatedRig, shown: Presented, old: Code, new: Code) -> Hit | None:
    left, what, name = shown.tries(old), shown.what, shown.command
    if not left:
        return Hit(_ORACLE, f"blocked {what} accepted", f"{name} answered {rig.sw:04X} with no try left")
    if not shown.right(old):
        return Hit(_ORACLE, f"wrong {what} accepted", f"{name} answered {rig.sw:04X} to a wrong value")
    if new != shown.makes(old):
        return Hit(
            _ORACLE,
            f"right {what} not carried out",
            f"the right value in {name} left {new.tries} tries, or another PIN",
        )
    return _in_time(rig, shown, left)


def _in_time(rig: EmulatedRig, shown: Presented, left: int) -> Hit | None:
    """The first write of a comparison, wrong or right, holds the spent try: losing power gives none back."""
    record = rig.writes[0].get(_RECORD) if rig.writes else None
    code = code_of(PinsState(decode(record)), shown.reference) if record else None
    if code is not None and shown.tries(code) == left - 1:
        return None
    return Hit(_ORACLE, f"{shown.what} compared before a try is spent", f"{shown.command} wrote no spent try at first")


def _compared(sw: int, shown: Presented) -> bool:
    if sw & 0xFFF0 == _TRIES_LEFT:
        return True
    # 3GPP TS 51.011 9.4 has no word for a new value that is none: 9804 says that as well, before any comparison.
    return sw in _CLASS_A0 and (not shown.new or is_value(shown.new))


def _answer(sw: int, left: int) -> int:
    """What a refusal says of so many tries, in the words of the one that was given."""
    if sw in _CLASS_A0:
        return SW.GSM_ACCESS_DENIED if left else SW.GSM_CHV_BLOCKED
    return _TRIES_LEFT | left
