"""Whether a card answers over T=0, through 61xx, 6Cxx and GET RESPONSE, what it answers to whole APDUs."""

from collections.abc import Sequence
from typing import Final

from bsim.apdu import body
from bsim.fuzz.cards import ROOTS
from bsim.fuzz.emulated_rig import EmulatedRig, Wrap
from bsim.fuzz.grammar import Grammar
from bsim.fuzz.oracles.hit import Hit
from bsim.fuzz.steps import SEND, Step
from bsim.fuzz.watch import Hang
from bsim.lab.subject import OverT0
from bsim.sw import SwError

_GET_RESPONSE: Final = 0xC0


class Roads:
    """Two cards of each kind, put back for each sequence: one is told whole APDUs, the other their TPDUs."""

    def __init__(self, grammar: Grammar, wrap: Wrap | None) -> None:
        self._grammar: Final = grammar
        self._wrap: Final = wrap
        self._cards: dict[str, tuple[_Card, _Card]] = {}

    def differ(self, path: Sequence[Step], root: str) -> Hit | None:
        """Send a path's commands to both from power-on; None where they agree, or T=0 cannot carry them."""
        if ROOTS[root].over_t0 or not all(step[0] == SEND and carried(step[1]) for step in path):
            return None
        if root not in self._cards:
            self._cards[root] = _Card(self._grammar, root, self._wrap), _Card(self._grammar, root, self._wrap)
        whole, parts = (card.fresh() for card in self._cards[root])
        parts.card = OverT0(parts.uicc)
        for step in path:
            try:
                whole.do(step)
                parts.do(step)
            except Hang as hang:
                return Hit("differential", f"hang in {hang.where}", f"a command did not end: it was in {hang.where}")
            if whole.response != parts.response:
                name = whole.entry.name if whole.entry is not None else "a command that is not declared"
                words = f"{name} answered {parts.response.hex().upper()} over T=0, not {whole.response.hex().upper()}"
                return Hit("differential", f"{name} over T=0", words)
        return None


class _Card:
    """A card and how it was when it was powered on."""

    def __init__(self, grammar: Grammar, root: str, wrap: Wrap | None) -> None:
        self._rig: Final = EmulatedRig(grammar, root, wrap)
        self._start: Final = self._rig.snapshot()

    def fresh(self) -> EmulatedRig:
        self._start.restore()
        return self._rig


def carried(raw: bytes) -> bool:
    """Whether T=0 carries a command without changing what it asks for: no Le beside data, none that cuts short."""
    try:
        _, end, le = body(raw)
    except SwError:
        return False
    return raw[1] != _GET_RESPONSE and (le is None or (le == 256 and end <= 5) or (len(raw) == 7 and le > 256))
