"""Whether a command was carried out that should not have been: without its right, in the wrong state, after reset."""

from typing import Final

from bsim.fuzz.emulated_rig import EmulatedRig
from bsim.fuzz.grammar import Entry, ended_well, grammar
from bsim.fuzz.oracles.file_access import file_access
from bsim.fuzz.oracles.hit import Hit
from bsim.fuzz.rig import Rig
from bsim.spec import sw_matches

_ORACLE: Final = "access-control"
# Rights that one command alone gives, as the declaration's `makes` says. Of others, nothing is known from outside.
_MADE: Final = frozenset(right for entry in grammar().entries for right in entry.makes)


def access_control(rig: Rig) -> Hit | None:
    """Success where a right cannot hold, where the state of life refuses, or a dialogue nobody opened."""
    entry, sw = rig.entry, rig.sw
    if entry is None or not ended_well(sw) or rig.whole is None:
        return None
    for right in entry.needs:
        if right in _MADE and (rig.channel, right) not in rig.rights:
            return Hit(_ORACLE, f"right {right}", f"{entry.name} answered {sw:04X} without the right {right!r}")
    if not rig.shadow.terminal and (entry.name == "FETCH" or sw >> 8 == 0x91):
        return Hit(_ORACLE, "dialogue", f"{entry.name} answered {sw:04X}: a dialogue before any TERMINAL PROFILE")
    return _life_cycle(rig, entry)


def access_control_inside(rig: EmulatedRig) -> Hit | None:
    """The same of a card that can be looked into, and success on a file whose rule wanted a PIN."""
    hit = access_control(rig)
    return hit if hit is not None or rig.entry is None else file_access(rig, rig.entry)


def _life_cycle(rig: Rig, entry: Entry) -> Hit | None:
    states = rig.grammar.spec.applets[entry.applet].life_cycle
    if not states:
        return None
    for state in rig.states:
        name = getattr(state, "life_cycle", "")
        if name in states and entry.name in states[name].refuses:
            pattern = states[name].refuses[entry.name]
            if not sw_matches(pattern, rig.sw):
                return Hit(
                    _ORACLE, f"life cycle {name}", f"{entry.name} answered {rig.sw:04X} on a card that is {name}"
                )
    return None
