"""Whether what survives power loss changes all at once, by commands that may, and never by one that was refused."""

from collections.abc import Callable, Mapping
from typing import Final

from bsim.fuzz.emulated_rig import EmulatedRig
from bsim.fuzz.grammar import ended_well
from bsim.fuzz.oracles.hit import Hit
from bsim.fuzz.steps import SEND, Step

_ORACLE: Final = "atomicity"


def atomicity(rig: EmulatedRig) -> Hit | None:
    """Count the writes of a step; a card that comes back from a power cut is judged by `tear`."""
    writes = rig.writes
    if not rig.raw or not writes or not rig.response:
        return None
    entry = rig.entry
    name = entry.name if entry is not None else "a command that is not declared"
    if entry is None or entry.safe:
        return Hit(_ORACLE, f"{name} writes", f"{name}, which is declared safe, wrote to the card's memory")
    if entry.spends_tries:
        return None
    if not ended_well(rig.sw):
        return Hit(_ORACLE, f"{name} refused and written", f"{name} answered {rig.sw:04X} and changed the card")
    if len(writes) > 1:
        return Hit(_ORACLE, name, f"{name} changed the card in {len(writes)} steps: power may go between them")
    return None


def tear(rig: EmulatedRig, step: Step, back: Callable[[], None]) -> Hit | None:
    """After power went in a step: what is stored must be what was before, or what a whole run makes of it.

    `back` brings the card to where it was before the step, which is carried out once more with its power on.
    """
    if rig.response or rig.kind == SEND or rig.entry is None or rig.entry.spends_tries:
        return None
    left, old, name = _stored(rig), rig.records, rig.entry.name
    now = rig.snapshot()
    back()
    rig.do((SEND, step[1], step[2]))
    whole = _stored(rig)
    now.restore()
    rig.kind, rig.response, rig.sw = step[0], b"", 0
    if left in (dict(old), whole):
        return None
    return Hit(_ORACLE, name, f"power went in {name}, and the card is neither as before nor as after it")


def _stored(rig: EmulatedRig) -> Mapping[str, bytes]:
    return dict(rig.store.store.read())
