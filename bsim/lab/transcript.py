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

Every step is judged as it is read, so that a mistake is found before anything is sent. A mistake is told without the
bytes it is in, which may hold a PIN.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from bsim.handset.script import parse_script
from bsim.spec import Command, encode, spec

Variables: TypeAlias = dict[str, str]
"""Names and bytes in hex, upper case."""
Judge: TypeAlias = Callable[[bytes, int], str]
"""Says what is wrong with response data and status word; nothing if they are right."""

CARDS: Final = ("test", "blank", "any")
LONGEST: Final = 0xFFFF
"""The most bytes that are kept under a name: no response has more."""
_NAMED: Final = re.compile(r"\{(\w+)(?::([0-9]+|\*))?\}")
_UNIT: Final = re.compile(r"\{\w+(?::(?:[0-9]+|\*))?\}|\*|\.|[0-9A-F]")
_Known: TypeAlias = dict[str, str | int | None]
"""What is known of variables before anything is sent: the bytes in hex, how many there will be, or not even that."""


class TranscriptError(Exception):
    """A transcript that cannot be read; the message names file and line, `words` is the message without the line."""

    def __init__(self, words: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {words}" if line else words)
        self.words: Final = words


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
        """Write the command APDU; TranscriptError for a name that has no value, and for what cannot be written."""
        text = self.command or ""
        declared = _declared(text)
        try:
            if declared is None:
                what = "what is sent is no declared command (`bsim spec` lists them), and"
                return _from_hex(
                    self._filled(text, variables), what if re.search("[G-Zg-z_]", text) else "what is sent"
                )
            given = _by_name(declared, text.split()[1:])
            values = {name: _typed(declared, name, one, self._filled(one, variables)) for name, one in given.items()}
            return encode(declared, values).encode()
        except (ValueError, TypeError, OverflowError) as fault:
            raise TranscriptError(str(fault), self.line) from fault

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

    def _filled(self, text: str, variables: Variables) -> str:
        return _NAMED.sub(lambda match: self._value(match[1], variables), text)

    def _value(self, name: str, variables: Variables) -> str:
        if name not in variables:
            raise TranscriptError(f"nothing is kept under the name {name}", self.line)
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
    except OSError as fault:
        raise TranscriptError(f"{path}: {fault.strerror}") from fault
    except UnicodeDecodeError as fault:
        raise TranscriptError(f"{path}: this is no text in UTF-8") from fault
    except TranscriptError as fault:
        raise TranscriptError(f"{path}: {fault}") from fault


def parse(text: str, name: str) -> Transcript:
    """Read a transcript; TranscriptError names the line that is wrong."""
    title = next((line[1:].strip() for line in text.splitlines() if line.startswith("#")), name)
    heads = {"card": "any", "phone": "none"}
    variables: list[tuple[str, str]] = []
    steps: list[Step] = []
    known: _Known = {}
    for number, verb, rest in _lines(text):
        if verb in heads and rest and not steps:
            heads[verb] = _head(verb, rest, number)
        elif verb == "let" and (match := re.fullmatch(r"(\w+) *= *([0-9A-Fa-f ]+)", rest)):
            variables.append((match[1], _let(match[1], match[2], known, number)))
        elif verb == "reset" and not rest:
            steps.append(Step(number, None))
        elif verb == ">" and rest:
            steps.append(Step(number, _command(rest)))
            _judge_command(steps[-1], known)
        elif verb == "<" and steps and steps[-1].command is not None and steps[-1].answer is None:
            steps[-1] = Step(steps[-1].line, steps[-1].command, _answer(rest, known, number))
        else:
            raise TranscriptError(f"{verb}: this is not to be understood here", number)
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


def _head(verb: str, text: str, number: int) -> str:
    if verb == "card" and text not in CARDS:
        raise TranscriptError(f"card {text}: a card is {', '.join(CARDS)}", number)
    if verb == "phone" and text != "none":
        try:
            parse_script(text)
        except ValueError as fault:
            raise TranscriptError(str(fault), number) from fault
    return text


def _let(name: str, text: str, known: _Known, number: int) -> str:
    packed = _packed(text)
    if name in known:
        raise TranscriptError(f"{name} has a value already", number)
    if len(packed) % 2:
        raise TranscriptError(f"{name} has an odd number of digits", number)
    known[name] = packed
    return packed


def _judge_command(step: Step, known: _Known) -> None:
    """Write a command with what is known of its variables; TranscriptError if it cannot be written at all."""
    text = step.command or ""
    for name, size in _NAMED.findall(text):
        if size:
            raise TranscriptError(f"{{{name}:{size}}} is for answers; a command has {{{name}}}", step.line)
        if name not in known:
            raise TranscriptError(f"nothing is kept under the name {name}", step.line)
    variables = {
        name: value if isinstance(value, str) else "00" * (1 if value is None else value)
        for name, value in known.items()
    }
    if declared := _declared(text):
        first, *words = text.split()
        text = " ".join((first, *(_stand_in(declared, word, known) for word in words)))
    Step(step.line, text).encode(variables)


def _stand_in(command: Command, word: str, known: _Known) -> str:
    """A field's word, or one that fits if what it says is known only later."""
    name, _, text = word.partition("=")
    values = [known[one] for one, _ in _NAMED.findall(text)]
    if name == "le" and any(not isinstance(value, str) for value in values):
        return f"{name}=1"
    for parameter in (command.p1, command.p2):
        if parameter.name == name and any(not isinstance(value, str) for value in values):
            return f"{name}={parameter.legal[0]}"
    for field in command.data:
        if field.name == name and field.kind.size and any(not isinstance(value, str) for value in values):
            return f"{name}=0"
        if field.name == name and not field.kind.size and None in values:
            return f"{name}={'00' * field.minimum}"
    return word


def _answer(text: str, known: _Known, number: int) -> str:
    packed = _packed(text)
    if not packed or _UNIT.sub("", packed.replace("|", "")):
        raise TranscriptError(f"{text!r} is no answer", number)
    before = dict(known)
    for pattern in packed.split("|"):
        if not pattern or sum(len(unit) == 1 and unit != "*" for unit in _UNIT.findall(pattern)) % 2:
            raise TranscriptError(f"{text!r}: an answer has whole bytes", number)
        kept: set[str] = set()
        for name, size in _NAMED.findall(pattern):
            if not size and name not in before:
                raise TranscriptError(f"nothing is kept under the name {name}", number)
            if not size:
                continue
            if size != "*" and (len(size) > len(str(LONGEST)) or int(size) > LONGEST):
                raise TranscriptError(f"{name} is to have more than {LONGEST} bytes", number)
            if not name.isidentifier() or name in kept:
                why = "is kept twice" if name in kept else "is no name to keep bytes under"
                raise TranscriptError(f"{name} {why}", number)
            kept.add(name)
            length = None if size == "*" else int(size)
            # Which alternative comes is not known yet, nor how many bytes where they differ in that.
            known[name] = length if known.get(name, length) == length else None
    return packed


def _packed(text: str) -> str:
    """Without spaces; hex in upper case, names as they are."""
    parts = re.split(r"(\{[^}]*\})", "".join(text.split()))
    return "".join(part if part.startswith("{") else part.upper() for part in parts)


def _declared(text: str) -> Command | None:
    name = text.split(" ", 1)[0]
    return next((a.commands[name] for a in spec().applets.values() if name in a.commands), None)


def _by_name(command: Command, words: list[str]) -> dict[str, str]:
    """Take NAME=VALUE apart; ValueError for a field that is unknown, missing or there twice."""
    given: dict[str, str] = {}
    for number, word in enumerate(words, 1):
        name, equals, text = word.partition("=")
        if not equals:
            raise ValueError(f"{command.name}: word {number} after the name is not FIELD=VALUE")
        if name not in command.fields:
            has = f"it has {', '.join(command.fields)}" if command.fields else "it has none"
            raise ValueError(f"{command.name} has no field {name}; {has}")
        if name in given:
            raise ValueError(f"{command.name}: {name} stands here twice")
        given[name] = text
    if missing := [name for name in command.fields if name not in given]:
        raise ValueError(f"{command.name}: {', '.join(missing)} is missing")
    return given


def _typed(command: Command, name: str, text: str, filled: str) -> int | bytes:
    for parameter in (command.p1, command.p2):
        if parameter.name == name and text in parameter.values:
            return parameter.values[text]
    for field in command.data:
        if field.name == name and text in field.values:
            return field.values[text]
        if field.name == name and not field.kind.size:
            return _from_hex(filled, f"{command.name}: {name}")
    try:
        # A variable has bytes, and where a number is wanted they are one.
        return int(filled, 16 if _NAMED.fullmatch(text) else 0)
    except ValueError:
        raise ValueError(f"{command.name}: {name} is no number") from None


def _from_hex(text: str, what: str) -> bytes:
    if not re.fullmatch("[0-9A-Fa-f]*", text):
        raise ValueError(f"{what} is not hexadecimal")
    if len(text) % 2:
        raise ValueError(f"{what} has an odd number of digits")
    return bytes.fromhex(text)


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
