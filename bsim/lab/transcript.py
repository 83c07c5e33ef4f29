"""Transcripts: conversations with a card as readable text, for tests, scenarios and twins. The one parser of them.

A transcript is read line by line; docs/hardware-testing.md describes it for people:

    # a title (the first comment), and comments
    card test|blank|any       which card it begins with (default any)
    phone none|SCRIPT         the phone around it (default none): right, wrong,right, ...
    let NAME = HEX            a variable
    > HEX                     a command; {NAME} stands for a variable's bytes
    > SIGN coin_type=60 slot=1 digest={NAME}     the same by the names of the declaration
    < HEX                     its whole answer, data and status word
    reset                     power-cycles the card

In an answer `.` is any hex digit (so `..` is any byte), `*` any bytes, `{NAME}` a variable's bytes, `{NAME:16}` sixteen
bytes kept under that name and `{NAME:*}` any bytes kept; `|` stands between alternatives.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from bsim.spec import Command, encode, spec

Variables: TypeAlias = dict[str, str]
"""Names and bytes in hex, upper case."""
Judge: TypeAlias = Callable[[bytes, int], str]
"""Says what is wrong with response data and status word; nothing if they are right."""

CARDS: Final = ("test", "blank", "any")
_NAMED: Final = re.compile(r"\{(\w+)(?::(\d+|\*))?\}")
_UNIT: Final = re.compile(r"\{\w+(?::(?:\d+|\*))?\}|\*|\.|[0-9A-F]")


class TranscriptError(Exception):
    """A transcript that cannot be read; the message names file and line."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command and the answer it must get; no command is a power cycle. `judge` takes the place of a pattern.

    `setup` marks what only prepares the exchange that matters.
    """

    line: int
    command: str | None
    answer: str | None = None
    judge: Judge | None = None
    setup: bool = False

    @property
    def header(self) -> bytes:
        """Class and instruction, as far as they stand there."""
        if self.command is None:
            return b""
        declared = _declared(self.command)
        return bytes((declared.cla[0], declared.ins)) if declared else _hex(self.command[:4])

    def encode(self, variables: Variables) -> bytes:
        """Write the command APDU; TranscriptError for a name that has no value."""
        text = _NAMED.sub(lambda match: self._value(match[1], variables), self.command or "")
        declared = _declared(text)
        try:
            return _by_names(declared, text.split()[1:]) if declared else bytes.fromhex(text)
        except (ValueError, TypeError) as fault:
            raise TranscriptError(f"line {self.line}: {fault}") from fault

    def difference(self, response: bytes, variables: Variables) -> str:
        """Say how a response differs from what it must be, and keep what is to be kept; nothing if it does not."""
        data, sw = response[:-2], int.from_bytes(response[-2:], "big")
        if self.judge is not None:
            return self.judge(data, sw)
        if self.answer is None:
            return ""
        found = response.hex().upper()
        for pattern in self.answer.split("|"):
            if match := re.fullmatch(self._pattern(pattern, variables), found):
                variables.update(match.groupdict())
                return ""
        return f"answered {shown(response)}, not {self.answer.replace('|', ' or ')}"

    def _value(self, name: str, variables: Variables) -> str:
        if name not in variables:
            raise TranscriptError(f"line {self.line}: nothing is kept under the name {name}")
        return variables[name]

    def _pattern(self, text: str, variables: Variables) -> str:
        return "".join(self._unit(unit, variables) for unit in _UNIT.findall(text))

    def _unit(self, unit: str, variables: Variables) -> str:
        if unit in {".", "*"}:
            return "[0-9A-F]" if unit == "." else "(?:[0-9A-F]{2})*"
        if match := _NAMED.fullmatch(unit):
            name, size = match.groups()
            if size is None:
                return self._value(name, variables)
            return f"(?P<{name}>(?:[0-9A-F]{{2}}){'*' if size == '*' else f'{{{size}}}'})"
        return unit


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation: the card it begins with, the phone around it, and what is said."""

    name: str
    title: str
    card: str
    phone: str
    steps: tuple[Step, ...]
    variables: tuple[tuple[str, str], ...] = ()


def read(path: Path) -> Transcript:
    """Read a file; TranscriptError if it cannot be."""
    try:
        return parse(path.read_text(encoding="utf-8"), path.stem)
    except (OSError, UnicodeDecodeError) as fault:
        raise TranscriptError(f"{path}: {fault}") from fault
    except TranscriptError as fault:
        raise TranscriptError(f"{path}: {fault}") from fault


def parse(text: str, name: str) -> Transcript:
    """Read a transcript; TranscriptError names the line that is wrong."""
    title = next((line[1:].strip() for line in text.splitlines() if line.startswith("#")), name)
    heads, variables = {"card": "any", "phone": "none"}, []
    steps: list[Step] = []
    for number, verb, rest in _lines(text):
        if verb in heads and rest and not steps:
            heads[verb] = rest
        elif verb == "let" and (match := re.fullmatch(r"(\w+) *= *([0-9A-Fa-f ]+)", rest)):
            variables.append((match[1], _packed(match[2])))
        elif verb == "reset" and not rest:
            steps.append(Step(number, None))
        elif verb == ">" and rest:
            steps.append(Step(number, _command(rest)))
        elif verb == "<" and steps and steps[-1].command is not None and steps[-1].answer is None:
            steps[-1] = Step(steps[-1].line, steps[-1].command, _answer(rest, number))
        else:
            raise TranscriptError(f"line {number}: {verb} {rest}".rstrip() + ": this is not to be understood here")
    if heads["card"] not in CARDS:
        raise TranscriptError(f"card {heads['card']}: a card is {', '.join(CARDS)}")
    if not any(step.command for step in steps):
        raise TranscriptError("nothing is sent")
    return Transcript(name, title, heads["card"], heads["phone"], tuple(steps), tuple(variables))


def shown(response: bytes) -> str:
    """A response for people: data, shortened if it is long, and the status word apart."""
    data = response[:-2].hex().upper()
    return f"{data if len(data) <= 64 else f'{data[:48]}…{data[-8:]}'} {response[-2:].hex().upper()}".strip()


def _lines(text: str) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.partition("#")[0].strip()
        if stripped:
            verb, _, rest = stripped.partition(" ")
            yield number, verb, rest.strip()


def _command(text: str) -> str:
    return text if _declared(text) else _packed(text)


def _answer(text: str, number: int) -> str:
    packed = _packed(text)
    if not packed or _UNIT.sub("", packed.replace("|", "")):
        raise TranscriptError(f"line {number}: {text!r} is no answer")
    return packed


def _packed(text: str) -> str:
    """Without spaces; hex in upper case, names as they are."""
    parts = re.split(r"(\{[^}]*\})", "".join(text.split()))
    return "".join(part if part.startswith("{") else part.upper() for part in parts)


def _declared(text: str) -> Command | None:
    name = text.split(" ", 1)[0]
    return next((a.commands[name] for a in spec().applets.values() if name in a.commands), None)


def _by_names(command: Command, words: list[str]) -> bytes:
    values: dict[str, int | bytes] = {}
    for word in words:
        name, _, text = word.partition("=")
        values[name] = _typed(command, name, text)
    return encode(command, values).encode()


def _typed(command: Command, name: str, text: str) -> int | bytes:
    for parameter in (command.p1, command.p2):
        if parameter.name == name and text in parameter.values:
            return parameter.values[text]
    for field in command.data:
        if field.name == name and text in field.values:
            return field.values[text]
    in_bytes = any(field.name == name and not field.kind.size for field in command.data)
    return bytes.fromhex(text) if in_bytes else int(text, 0)


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
