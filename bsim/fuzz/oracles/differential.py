"""Whether a card answers over T=0, through 61xx, 6Cxx and GET RESPONSE, what it answers to whole APDUs."""

from collections.abc import Sequence
from typing import Final

from bsim.apdu import body
from bsim.fuzz.oracles.hit import Hit
from bsim.fuzz.rig import Rig, Wrap
from bsim.fuzz.steps import SEND, Step
from bsim.lab.subject import OverT0
from bsim.sw import SwError

_GET_RESPONSE: Final = 0xC0


def differential(path: Sequence[Step], one: Rig, wrap: Wrap | None) -> Hit | None:
    """Send a path's commands to two new cards of a kind, to one of them as TPDUs; None where T=0 cannot carry them."""
    if one.over_t0 or not all(step[0] == SEND and carried(step[1]) for step in path):
        return None
    whole, parts = Rig(one.grammar, one.root, wrap), Rig(one.grammar, one.root, wrap)
    parts.card = OverT0(parts.uicc)
    for step in path:
        whole.do(step)
        parts.do(step)
        if whole.response != parts.response:
            name = whole.entry.name if whole.entry is not None else "a command that is not declared"
            words = f"{name} answered {parts.response.hex().upper()} over T=0, not {whole.response.hex().upper()}"
            return Hit("differential", f"{name} over T=0", words)
    return None


def carried(raw: bytes) -> bool:
    """Whether T=0 carries a command without changing what it asks for: no Le beside data, none that cuts short."""
    try:
        _, end, le = body(raw)
    except SwError:
        return False
    return raw[1] != _GET_RESPONSE and (le is None or (le == 256 and end <= 5) or (len(raw) == 7 and le > 256))
