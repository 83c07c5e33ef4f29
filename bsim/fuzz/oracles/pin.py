"""Whether PIN tries are spent, given back and kept as they must be: a wrong PIN costs one, nothing else costs any."""

from typing import Final

from bsim.applets.wallet_state import MAX_TRIES
from bsim.fuzz.emulated_rig import EmulatedRig
from bsim.fuzz.oracles.file_pins import file_pins
from bsim.fuzz.oracles.hit import Hit
from bsim.fuzz.presented import PRESENTING
from bsim.spec import Danger, spec

_ENTER: Final = spec().applets["wallet"].dialogue["enter_bpin"]
_RECORD: Final = "wallet.tries"
_ORACLE: Final = "pin-counter"


def pin_counter(rig: EmulatedRig) -> Hit | None:
    """Compare all tries before and after a step; judge what was typed for the BPIN, or presented to another PIN."""
    before, after, entry = rig.tries, rig.count_tries(), rig.entry
    hit = None
    if entry is not None and entry.name == "TERMINAL_RESPONSE" and rig.response:
        hit = _typed(rig)
    elif entry is not None and (after is not before or entry.name in PRESENTING):
        hit = file_pins(rig, entry)
    if hit is not None:
        return hit
    if before == after or len(before) != len(after):
        return None
    name = rig.entry.name if rig.entry is not None else "a command that is not declared"
    if not rig.raw:
        return Hit(_ORACLE, "reset", "a reset changed the tries of a PIN")
    if rig.entry is None or rig.entry.safe:
        return Hit(_ORACLE, f"changed by {name}", f"{name} changed the tries of a PIN")
    return _steps(rig, name, before, after)


def _steps(rig: EmulatedRig, name: str, before: tuple[int, ...], after: tuple[int, ...]) -> Hit | None:
    for old, new in zip(before, after, strict=True):
        if new < old - 1:
            return Hit(_ORACLE, f"{name} costs more than one", f"{name} took {old - new} tries of a PIN")
        if old == 0 and new > 0 and rig.entry is not None and rig.entry.command.danger is Danger.CONSUMES_TRY:
            return Hit(_ORACLE, f"{name} ends blocking", f"{name} gave a blocked PIN {new} tries")
        if new != old and rig.entry is not None and rig.entry.dialogue:
            return Hit(_ORACLE, f"changed by {name}", f"{name} changed the tries of a PIN before anybody typed one")
    return None


def _typed(rig: EmulatedRig) -> Hit | None:
    """What a terminal response did to the BPIN's tries, the first of the card's counters that changed."""
    if rig.sw >> 8 not in {0x90, 0x91} or _ENTER not in rig.prompt or rig.whole is None:
        return None
    response = rig.shadow.typed(rig.whole)
    tries = next((state.tries for state in rig.states if hasattr(state, "tries") and hasattr(state, "bpin")), None)
    if tries is None or response is None or not response.performed or response.text is None:
        return None
    now = next(state.tries for state in rig.uicc.states if hasattr(state, "tries") and hasattr(state, "bpin"))
    pin = next(state.bpin for state in rig.states if hasattr(state, "bpin"))
    spent = bool(rig.writes) and rig.writes[0].get(_RECORD) == bytes((tries - 1,))
    if not spent:
        return Hit(_ORACLE, "compared before a try is spent", "a BPIN was judged before a try was written as spent")
    if response.text.encode() == pin:
        return None if now == MAX_TRIES else Hit(_ORACLE, "not restored", f"the right BPIN left {now} tries")
    return None if now == tries - 1 else Hit(_ORACLE, "wrong is free", f"a wrong BPIN led from {tries} to {now} tries")
