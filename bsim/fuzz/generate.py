"""Makes the next steps: commands that fit the declaration and the card's state, and now and then ones that do not."""

import random
from collections.abc import Sequence
from typing import Final

from bsim.apdu import CLAS
from bsim.applets.proactive import Result
from bsim.fuzz import cards, values
from bsim.fuzz.grammar import Entry, Grammar, on_channel
from bsim.fuzz.mutate import mutate
from bsim.fuzz.rig import Rig
from bsim.fuzz.steps import OPENS, PLAIN, POWER_CYCLE, PROVES, SECURES, Step, cut, send
from bsim.fuzz.terminal import Terminal

_CHAIN: Final = 0x10
PROOFS: Final = {
    "EXTERNAL_AUTHENTICATE": PROVES,
    "GP_EXTERNAL_AUTHENTICATE": OPENS,
    "WALLET_EXTERNAL_AUTHENTICATE": OPENS,
}
"""What in a command follows from a challenge that the card gave or took."""
_SLOW_ONE_IN: Final = 8
_RESULTS: Final = (
    Result.TERMINATED_BY_USER,
    Result.BACKWARD_MOVE,
    Result.NO_RESPONSE_FROM_USER,
    Result.TERMINAL_UNABLE,
)
_ITEMS: Final = (1, 2, 3, 0xFF)
_TEXTS: Final = ("", "\0", "0", "000000", "12345", "1234567", "abcdef", "\u4e2d\u56fd", "99999999999999999999")


class Generator:
    """Proposes steps for one card at a time. All of its choices come from `rng`."""

    def __init__(self, grammar: Grammar, rng: random.Random, commands: Sequence[Entry] | None = None) -> None:
        """`commands` are those to be used (default: all)."""
        self._grammar: Final = grammar
        self.rng: Final = rng
        self.pool: Final = values.Pool(grammar)
        self.commands: Final = tuple(grammar.entries if commands is None else commands)
        self._off: frozenset[int] = frozenset()
        self._answering: dict[str, Sequence[Entry]] = {}
        by_name = grammar.by_name
        self._terminal: Final = Terminal(grammar)
        self._answer = by_name["TERMINAL_RESPONSE"]
        self._select = by_name["SELECT"]
        self._used: Final = frozenset(entry.index for entry in self.commands)
        self._uses = {entry.name for entry in self.commands}

    def uses(self, entry: Entry) -> bool:
        """Whether a command is among those to be used."""
        return entry.index in self._used

    @property
    def off(self) -> frozenset[int]:
        """Commands that are switched off for a while (swarm testing): their indexes."""
        return self._off

    @off.setter
    def off(self, indexes: frozenset[int]) -> None:
        self._off = indexes
        self._answering.clear()

    def enabled(self, rig: Rig, tried: int = 0) -> list[Step]:
        """Answer one move that makes sense in the card's state, as one step or (a chain) several.

        `tried` has a bit set for each command that was tried from here before; others come first.
        """
        rng, shadow = self.rng, rig.shadow
        roll = rng.random()
        if shadow.waiting and roll < 0.75 and "FETCH" in self._uses:
            return [self._terminal.fetch()]
        if shadow.fetched and roll < 0.75 and "TERMINAL_RESPONSE" in self._uses:
            return [self.answer(rig)]
        if roll < 0.75 and self._terminal.has_habit(rig):
            return [self._terminal.habit(rig)]
        entry, channel = self._choose(rig, tried)
        return self.command(rig, entry, channel)

    def anything(self, rig: Rig) -> list[Step]:
        """Answer any move: a reset, a power cut, a channel that is not open, a spoiled command."""
        rng = self.rng
        roll = rng.random()
        if roll < 0.08:
            return [POWER_CYCLE]
        if roll < 0.16 and rig.shadow.fetched and "TERMINAL_RESPONSE" in self._uses:
            return [self.answer(rig)]
        entry = self._any()
        channels = tuple(rig.shadow.selected)
        channel = channels[int(rng.random() * len(channels))] if rng.random() < 0.8 else int(rng.random() * 20)
        steps = self.command(rig, entry, channel)
        kind, raw, link = steps[-1]
        if roll < 0.3:
            return [*steps[:-1], cut(raw, 1 + int(rng.random() * 2), after=rng.random() < 0.5, link=link)]
        if roll < 0.85:
            return [*steps[:-1], (kind, mutate(rng, entry, raw), link if link == SECURES else PLAIN)]
        return steps

    def command(self, rig: Rig, entry: Entry, channel: int) -> list[Step]:
        """Answer a legal command on a channel: an example of the declaration, or one made from its fields."""
        rng = self.rng
        if entry.name == "TERMINAL_RESPONSE":
            return [self.answer(rig)]
        if entry.examples and rng.random() < 0.3:
            raw = entry.examples[int(rng.random() * len(entry.examples))]
            raw = bytes((on_channel(entry.command.cla[0], channel),)) + raw[1:] if channel else raw
        else:
            raw = self._made(entry, channel)
        link = PROOFS.get(entry.name, PLAIN) if rng.random() < 0.7 else PLAIN
        if link == OPENS and rng.random() < 0.4:
            raw = raw[:2] + b"\0" + raw[3:]  # a channel on which commands need no securing
        # The card's own commands need no securing, and may have it.
        often = 0.1 if entry.applet == "uicc" else 0.9
        if link == PLAIN and rig.secure_channel(channel) is not None and rng.random() < often:
            return [send(raw, SECURES)]
        if entry.command.chaining and len(raw) > 7 and rng.random() < 0.4:
            return self._chain(raw)
        return [send(raw, link)]

    def answer(self, rig: Rig) -> Step:
        """Answer what a user does in a dialogue: what is wished, something else, nothing, gives up."""
        rng, terminal = self.rng, self._terminal
        roll = rng.random()
        if roll < 0.6:
            return terminal.as_wished(rig, _ITEMS[int(rng.random() * len(_ITEMS))])
        if roll < 0.72:
            return terminal.answer(rig, text=cards.NEW_BPIN)
        if roll < 0.84:
            return terminal.answer(rig, text=_TEXTS[int(rng.random() * len(_TEXTS))])
        if roll < 0.9:
            return terminal.answer(rig, _RESULTS[int(rng.random() * len(_RESULTS))])
        step = terminal.answer(rig)
        return send(mutate(rng, self._answer, step[1])) if roll > 0.97 else step

    def _made(self, entry: Entry, channel: int) -> bytes:
        command, rng = entry.command, self.rng
        cla = command.cla if len(command.cla) == 1 else (command.cla[int(rng.random() * len(command.cla))],)
        head = bytes((on_channel(cla[0], channel), command.ins, *values.parameters(rng, entry)))
        if command.data:
            known = self.pool.together(rng, entry)
            data = b"".join(
                [
                    values.legal(rng, self.pool, field, domain, known.get(field.name))
                    for field, domain in zip(command.data, entry.domains, strict=True)
                ]
            )
            if len(data) > 255:
                return head + b"\0" + len(data).to_bytes(2, "big") + data
            tail = b"" if not command.response or rng.random() < 0.7 else b"\0"
            return head + (bytes((len(data),)) + data if data else b"") + tail
        if command.response:
            return head + b"\0"
        return head if rng.random() < 0.5 else head + b"\0"

    def _chain(self, raw: bytes) -> list[Step]:
        """The same command in parts; sometimes one is missing. ISO/IEC 7816-4 5.3.3."""
        start = 5 if raw[4] else 7
        data, rng = raw[start:], self.rng
        at = min(1 + int(rng.random() * (len(data) - 1)), 255)
        first = bytes((raw[0] | _CHAIN,)) + raw[1:4] + bytes((at,)) + data[:at]
        rest = data[at:]
        if rng.random() < 0.15:
            return [send(first)]
        lc = b"\0" + len(rest).to_bytes(2, "big") if len(rest) > 255 else bytes((len(rest),))
        last = send(raw[:4] + lc + rest)
        if rng.random() < 0.2:  # something else in between ends a chain
            return [send(first), send(self._made(self._any(), CLAS[raw[0]].channel)), last]
        return [send(first), last]

    def _choose(self, rig: Rig, tried: int) -> tuple[Entry, int]:
        """A command of what is selected on some open channel; one that was not tried from here, if there is one."""
        rng, selected = self.rng, rig.shadow.selected
        channels = tuple(selected)
        channel = 0 if rng.random() < 0.7 else channels[int(rng.random() * len(channels))]
        applet = selected.get(channel, "")
        if not applet and rng.random() < 0.3:
            return self._select, channel
        own = self._own(applet)
        fresh = [entry for entry in own if not tried >> entry.index & 1] if tried else own
        among = fresh if fresh and rng.random() < 0.75 else own or self.commands
        entry = among[int(rng.random() * len(among))]
        if entry.slow and tried >> entry.index & 1 and rng.random() * _SLOW_ONE_IN > 1:
            entry = among[int(rng.random() * len(among))]
        return entry, channel

    def _own(self, applet: str) -> Sequence[Entry]:
        """Answer the commands of what is selected that are used now."""
        known = self._answering.get(applet)
        if known is None:
            every, usable = self._grammar.answers(applet), self._used - self.off
            known = self._answering[applet] = [one for one in every if one.index in usable]
        return known

    def _any(self) -> Entry:
        entry = self.commands[int(self.rng.random() * len(self.commands))]
        if entry.index in self.off or (entry.slow and self.rng.random() * _SLOW_ONE_IN > 1):
            return self.commands[int(self.rng.random() * len(self.commands))]
        return entry


def uniform(generator: Generator, rig: Rig) -> list[Step]:
    """Answer a legal command chosen with no regard to the card's state: the plain spec-aware way."""
    rng = generator.rng
    entry = generator.commands[int(rng.random() * len(generator.commands))]
    return generator.command(rig, entry, 0)


def random_bytes(generator: Generator) -> list[Step]:
    """Answer a command of random bytes, or of a declared header with random bytes behind it."""
    rng = generator.rng
    if rng.random() < 0.5:
        return [send(rng.randbytes(int(rng.random() * 40)))]
    entry = generator.commands[int(rng.random() * len(generator.commands))]
    data = rng.randbytes(int(rng.random() * 40))
    head = bytes((entry.command.cla[0], entry.command.ins, entry.command.p1.legal[0], entry.command.p2.legal[0]))
    return [send(head + (bytes((len(data),)) + data if data else b""))]
