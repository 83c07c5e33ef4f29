"""What a terminal does of its own accord: fetches what waits, asks again with the right Le, answers as wished."""

from typing import Final

from bsim.apdu import CLAS, CommandApdu
from bsim.applets.proactive import CommandType, Result, TerminalResponse
from bsim.fuzz.grammar import Grammar, on_channel
from bsim.fuzz.rig import Rig
from bsim.fuzz.steps import ANSWERS, TYPES, Step, send
from bsim.spec import encode

_MORE: Final = frozenset({0x61, 0x9F})
_WRONG_LE: Final = 0x6C
_HABITS: Final = _MORE | {_WRONG_LE}
_IN_PARTS: Final = frozenset({0x6300, 0x62F1})  # there is more: of a list; of a BER-TLV object
_UNKNOWN: Final = bytes((1, CommandType.GET_INPUT, 4))
_YES: Final = "\1"
FIRST_ITEM: Final = 1
WITH_MENU: Final = bytes((0xFF,)) * 5
"""What a terminal tells of itself that shows menus. ETSI TS 102 223 5.2."""


def _next_part(rig: Rig) -> bytes | None:
    """The command for the next part of an answer that comes in several, where the declaration has a NEXT for it."""
    if rig.sw not in _IN_PARTS or rig.entry is None or not rig.data:
        return None
    raw, command = rig.raw, rig.entry.command
    for at, parameter in ((2, command.p1), (3, command.p2)):
        if "NEXT" in parameter.values:
            return raw[:at] + bytes((parameter.values["NEXT"],)) + raw[at + 1 : 4] + b"\0"
    return None


class Terminal:
    """Makes steps; which of them are taken is the caller's choice."""

    def __init__(self, grammar: Grammar) -> None:
        by_name = grammar.by_name
        get_response = by_name["GET_RESPONSE"].command.ins
        self._get_response: Final = [one.command for one in grammar.entries if one.command.ins == get_response]
        self._fetch: Final = by_name["FETCH"].command
        self._answer: Final = by_name["TERMINAL_RESPONSE"].command
        self._profile: Final = by_name["TERMINAL_PROFILE"].command

    def profile(self, what: bytes) -> Step:
        """Tell the card what the terminal can do."""
        return send(encode(self._profile, {"profile": what}).encode())

    def fetch(self) -> Step:
        """Fetch the proactive command that waits."""
        return send(encode(self._fetch, {"le": 256}).encode())

    def next(self, rig: Rig) -> Step | None:
        """Answer what comes next where the user wants what the card asks; None if it asks for nothing."""
        if self.has_habit(rig):
            return self.habit(rig)
        if rig.shadow.fetched:
            return self.as_wished(rig)
        return self.fetch() if rig.shadow.waiting else None

    def has_habit(self, rig: Rig) -> bool:
        """Whether the last answer is one that every client goes on from."""
        return (rig.sw >> 8 in _HABITS and len(rig.raw) > 4) or _next_part(rig) is not None

    def habit(self, rig: Rig) -> Step:
        """What every client does: asks for the next part after 6300 and 62F1; over T=0, GET RESPONSE after 61xx and
        9Fxx, the same again with the right Le after 6Cxx."""
        raw, length = rig.raw, rig.sw & 0xFF
        further = _next_part(rig)
        if further is not None:
            return send(further)
        if rig.sw >> 8 == _WRONG_LE:
            return send((raw[:-1] if len(raw) == raw[4] + 6 else raw[:4]) + bytes((length,)))
        base = CLAS[raw[0]].base
        command = next((one for one in self._get_response if base in one.cla), self._get_response[0])
        cla = on_channel(base if base in command.cla else command.cla[0], rig.channel)
        return send(bytes((cla, command.ins, 0, 0, length)))

    def as_wished(self, rig: Rig, item: int = FIRST_ITEM) -> Step:
        """Answer what was fetched as a user does who wants it: types the PIN, says yes, reads on, chooses an item."""
        kind = rig.shadow.fetched[1:2] or _UNKNOWN[1:2]
        if kind[0] == CommandType.GET_INPUT:
            return self.answer(rig, text=rig.pin().decode("latin-1"), link=TYPES)
        if kind[0] == CommandType.GET_INKEY:
            return self.answer(rig, text=_YES)
        return self.answer(rig, item=item if kind[0] == CommandType.SELECT_ITEM else None)

    def answer(
        self,
        rig: Rig,
        result: Result = Result.PERFORMED,
        *,
        text: str | None = None,
        item: int | None = None,
        link: int = ANSWERS,
    ) -> Step:
        """Answer what was fetched in some way."""
        number, kind, qualifier = rig.shadow.fetched or _UNKNOWN
        data = TerminalResponse(number, kind, qualifier, result, text, item).encode()
        return send(CommandApdu(self._answer.cla[0], self._answer.ins, 0, 0, data).encode(), link)
