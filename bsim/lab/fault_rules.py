"""The language of faults and edits: one line a rule, read strictly. docs/faults.md is its grammar.

A mistake is told with the word it is in. Rules are values; bsim.lab.faults carries them out.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from bsim.spec import spec
from bsim.spec.decode import Decoder

ANY: Final = 0
"""The position of a byte that is drawn anew each time."""
_NAMES: Final = frozenset(name for applet in spec().applets.values() for name in applet.commands)
LONGEST: Final = 3600.0
"""The most seconds a delay may last, its spread added."""
_DIGITS: Final = 9  # of a count
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s)(?:(?:±|\+-)(\d+(?:\.\d+)?)(ms|s)?)?")


class FaultError(Exception):
    """A rule that cannot be read; the message shows it, with a mark under the word that is wrong."""


class Kind(StrEnum):
    """What a rule does."""

    DELAY = "delay"
    ANSWER = "answer"
    REMOVE = "remove-card"
    MUTE = "mute"
    RESET = "reset"
    CORRUPT = "corrupt"
    SET = "set"
    INJECT = "inject"
    LOSE_FRAME = "lose-frame"
    REPEAT_FRAME = "repeat-frame"
    SWAP_FRAME = "swap-frame"
    DISCONNECT = "disconnect"
    REFUSE_WRITE = "refuse-write"
    STRAY = "stray"


ON_LINK: Final = frozenset(
    {Kind.LOSE_FRAME, Kind.REPEAT_FRAME, Kind.SWAP_FRAME, Kind.DISCONNECT, Kind.REFUSE_WRITE, Kind.STRAY}
)
"""What happens between app and card, and is done by a link that has frames: bsim.lab.link_faults."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing a rule does. `late` is after the card carried the command out, else before it gets it.

    `seconds` and `spread` are of DELAY; `data` of ANSWER, INJECT, SET and STRAY; `position`, from 1, of CORRUPT, SET
    and of what is done to a frame; `command` tells that SET is in the command.
    """

    kind: Kind
    late: bool = False
    seconds: float = 0.0
    spread: float = 0.0
    data: bytes = field(default=b"", repr=False)
    position: int = ANY
    command: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """When something happens, and what. `text` is the rule as it may be shown: what it injects is masked."""

    text: str
    actions: tuple[Action, ...]
    commands: frozenset[str] = frozenset()
    p1: int | None = None
    p2: int | None = None
    channel: int | None = None
    after: int = 0
    nth: int | None = None
    every: int | None = None
    probability: float | None = None
    times: int | None = None

    @property
    def on_link(self) -> bool:
        """Whether a link carries it out, and not the card's wrapper; no rule is of both kinds."""
        return self.actions[0].kind in ON_LINK


def parse(text: str) -> Rule:
    """Read one rule; FaultError shows what is wrong with it."""
    return _Parser(text).rule()


def parse_file(text: str, name: str) -> tuple[Rule, ...]:
    """Read a file of rules, one a line, # before comments; FaultError names file and line."""
    rules = []
    for number, line in enumerate(text.splitlines(), 1):
        if stripped := line.partition("#")[0].strip():
            try:
                rules.append(parse(stripped))
            except FaultError as fault:
                raise FaultError(f"{name}:{number}: {fault}") from fault
    return tuple(rules)


class _Parser:
    """Goes through a rule word by word."""

    def __init__(self, text: str) -> None:
        self._text: Final = text
        self._words: Final = [(match.start(), match.group()) for match in re.finditer(r"\S+", text)]
        self._at = 0
        self._shown: Final = [word for _, word in self._words]

    def rule(self) -> Rule:
        conditions: dict[str, object] = {}
        while (word := self._peek()) in _CONDITIONS:
            if word in conditions:
                raise self._fault(f"{word} stands here twice")
            self._at += 1
            conditions[word] = _CONDITIONS[word](self)
        actions = [self._action()]
        while self._peek() == "then":
            self._at += 1
            actions.append(self._action())
            if (actions[-1].kind in ON_LINK) != (actions[0].kind in ON_LINK):
                raise self._fault("one rule acts on the card or on the link, not on both", -1)
        if self._at < len(self._words):
            raise self._fault("the rule ends here; `then` begins another action")
        named = {("commands" if key == "on" else key): value for key, value in conditions.items()}
        rule = Rule(" ".join(self._shown), tuple(actions))
        rule = replace(rule, **named)  # type: ignore[arg-type]  # each reader answers what its field holds
        # What waits for a moment happens once; all else goes on until it is taken away.
        return replace(rule, times=1) if "after" in conditions and rule.times is None else rule

    def _action(self) -> Action:
        if (word := self._peek()) not in _ACTIONS:
            raise self._fault(
                f"here stands a condition ({', '.join(_CONDITIONS)}) or an action ({', '.join(_ACTIONS)})"
            )
        self._at += 1
        action = _ACTIONS[word](self)
        if self._peek() != "late":
            return action
        if action.kind in {Kind.CORRUPT, Kind.SET, Kind.REFUSE_WRITE}:
            raise self._fault(f"{action.kind} is never late: it says itself what it changes")
        self._at += 1
        return replace(action, late=True)

    def names(self) -> frozenset[str]:
        words = self._take("the name of a command, several with commas between them, or *").split(",")
        for word in words:
            if word not in _NAMES and word != "*":
                raise self._fault(f"no command {word!r} is declared; `bsim spec` lists them", -1)
        return frozenset() if "*" in words else frozenset(words)

    def count(self) -> int:
        word = self._take("a number from 1")
        if not (word.isascii() and word.isdigit() and len(word) <= _DIGITS and int(word)):
            raise self._fault(f"{word!r} is no number from 1, with {_DIGITS} digits at most", -1)
        return int(word)

    def apdus(self) -> int:
        count = self.count()
        self.word("apdus", "apdu")
        return count

    def byte(self) -> int:
        word = self._take("a byte in hex")
        if not re.fullmatch(r"[0-9A-Fa-f]{2}", word):
            raise self._fault(f"{word!r} is no byte in hex", -1)
        return int(word, 16)

    def channel(self) -> int:
        word = self._take("a channel, 0 to 19")
        if not (word.isascii() and word.isdigit() and len(word) <= _DIGITS and int(word) < 20):
            raise self._fault(f"{word!r} is no channel, 0 to 19", -1)
        return int(word)

    def share(self) -> float:
        word = self._take("a probability, 0 to 1")
        if not re.fullmatch(r"\d*\.?\d+", word) or float(word) > 1:
            raise self._fault(f"{word!r} is no probability, 0 to 1", -1)
        return float(word)

    def hex(self, least: int, what: str) -> bytes:
        word = self._take(what)
        if len(word) % 2 or len(word) < 2 * least or not re.fullmatch(r"[0-9A-Fa-f]+", word):
            raise self._fault(f"{word!r} is not {what}", -1)
        return bytes.fromhex(word)

    def delay(self) -> Action:
        word = self._take("a time, as in 800ms, 1.5s or 800ms±200")
        match = _DURATION.fullmatch(word)
        if match is None:
            raise self._fault(f"{word!r} is no time, as in 800ms, 1.5s or 800ms±200", -1)
        amount, unit, spread, spread_unit = match.groups()
        seconds = float(amount) * _UNITS[unit]
        around = float(spread or 0) * _UNITS[spread_unit or unit]
        if seconds + around > LONGEST:
            raise self._fault(f"{word!r} is longer than an hour", -1)
        return Action(Kind.DELAY, seconds=seconds, spread=around)

    def answer(self) -> Action:
        return Action(Kind.ANSWER, data=self.hex(2, "a response in hex: a status word, or data and a status word"))

    def inject(self) -> Action:
        raw = self.hex(4, "a command APDU in hex")
        # What a rule sends may hold a PIN, and rules are shown and logged.
        shown = Decoder(spec()).command(raw).shown
        self._shown[self._at - 1] = shown.replace(" ", "")
        return Action(Kind.INJECT, data=raw)

    def corrupt(self) -> Action:
        self.word("byte")
        return Action(Kind.CORRUPT, position=ANY if self._skip("any") else self.count(), late=True)

    def set(self) -> Action:
        command = self.word("command", "response") == "command"
        self.word("byte")
        return Action(Kind.SET, position=self.count(), data=bytes((self.byte(),)), command=command, late=not command)

    def frame(self, kind: Kind) -> Action:
        return Action(kind, position=self.count())

    def stray(self) -> Action:
        return Action(Kind.STRAY, data=self.hex(1, "what is notified, in hex"))

    def word(self, *wanted: str) -> str:
        word = self._take(" or ".join(wanted))
        if word not in wanted:
            raise self._fault(f"{word!r} stands where {' or '.join(wanted)} is wanted", -1)
        return word

    def _skip(self, word: str) -> bool:
        there = self._peek() == word
        self._at += there
        return there

    def _peek(self) -> str:
        return self._words[self._at][1] if self._at < len(self._words) else ""

    def _take(self, what: str) -> str:
        if self._at == len(self._words):
            raise self._fault(f"the rule ends where {what} is wanted")
        self._at += 1
        return self._words[self._at - 1][1]

    def _fault(self, words: str, back: int = 0) -> FaultError:
        at = self._at + back
        column = self._words[at][0] if at < len(self._words) else len(self._text) + 1
        return FaultError(f"{words}\n  {self._text}\n  {'':<{column}}^")


_UNITS: Final = {"ms": 0.001, "s": 1.0}
_CONDITIONS: Final[Mapping[str, Callable[[_Parser], object]]] = {
    "on": _Parser.names,
    "p1": _Parser.byte,
    "p2": _Parser.byte,
    "channel": _Parser.channel,
    "after": _Parser.apdus,
    "nth": _Parser.count,
    "every": _Parser.count,
    "probability": _Parser.share,
    "times": _Parser.count,
}
_ACTIONS: Final[Mapping[str, Callable[[_Parser], Action]]] = {
    "answer": _Parser.answer,
    "delay": _Parser.delay,
    "remove-card": lambda _: Action(Kind.REMOVE),
    "mute": lambda _: Action(Kind.MUTE),
    "reset": lambda _: Action(Kind.RESET),
    "corrupt": _Parser.corrupt,
    "set": _Parser.set,
    "inject": _Parser.inject,
    "lose-frame": lambda parser: parser.frame(Kind.LOSE_FRAME),
    "repeat-frame": lambda parser: parser.frame(Kind.REPEAT_FRAME),
    "swap-frame": lambda parser: parser.frame(Kind.SWAP_FRAME),
    "disconnect": lambda _: Action(Kind.DISCONNECT),
    "refuse-write": lambda _: Action(Kind.REFUSE_WRITE),
    "stray": _Parser.stray,
}
