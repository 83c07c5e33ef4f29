"""AT command lines as ITU-T V.250 writes them: bytes in, commands out. It knows no command by its meaning."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

# The longest line that makes sense: +CSIM or +CGLA with an extended APDU, two digits a byte.
LONGEST: Final = 2 * 65_544 + 64
_END: Final = b"\r"  # S3; that, S4 and S5 are not changed here
_REPEAT: Final = b"A/"
_IDLE: Final = b"\n\0 \t"  # what terminals send between lines, and lines that wake up
_ERASE: Final = frozenset(b"\b\x7f")  # S5, and what keyboards send in its place
_PREFIX: Final = re.compile(rb"AT", re.IGNORECASE)

_NAME: Final = re.compile(r"[+*^%#$!_][A-Z][A-Z0-9!%\-./:_]*", re.IGNORECASE)
_S_PARAMETER: Final = re.compile(r"S(\d{1,3})", re.IGNORECASE)
_BASIC: Final = re.compile(r"(&?[A-Z])(\d*)", re.IGNORECASE)
_PART: Final = re.compile(r'(?:[^;"]|"[^"]*")*')
_ARGUMENT: Final = re.compile(r'\s*(?:"([^"]*)"|([^",]*))\s*(,|$)')


class AtSyntaxError(ValueError):
    """This is no command line."""


class Form(Enum):
    """What is done with a command. V.250 5.4.3 and 5.4.4."""

    RUN = ""
    READ = "?"
    TEST = "=?"
    SET = "="


@dataclass(frozen=True, slots=True)
class AtCommand:
    """One command of a line: its name in capitals (`+CSIM`, `E`, `&F`, `S3`), and its arguments, which may be PINs."""

    name: str
    form: Form
    arguments: tuple[str, ...] = field(default=(), repr=False)


class Lines:
    """Command lines out of what a terminal sends, piece by piece."""

    __slots__ = ("_buffer", "_last", "_lost")

    def __init__(self) -> None:
        self._buffer = b""
        self._last = ""
        self._lost = False  # the line is too long, and what comes until its end belongs to it

    def feed(self, data: bytes) -> Iterator[str]:
        """Answer the bodies of whole lines, what is behind AT; AtSyntaxError for one too long, and feeding may go on.

        Lines without AT are not for a modem, and nothing is answered to them. V.250 5.2.1.
        """
        self._buffer += data
        while (line := self._next()) is not None:
            lost, self._lost = self._lost, False
            if lost:
                raise AtSyntaxError("the line is too long")
            if (body := self._body(line)) is not None:
                yield body
        if len(self._buffer) > LONGEST:
            self._buffer, self._lost = b"", True

    def _next(self) -> bytes | None:
        if not self._lost:
            self._buffer = self._buffer.lstrip(_IDLE)
            if self._buffer[:2].upper() == _REPEAT:  # V.250 5.2.4: at once, without an end of line
                self._buffer = self._buffer[2:]
                return _REPEAT
        line, end, rest = self._buffer.partition(_END)
        if not end:
            return None
        self._buffer = rest
        return line

    def _body(self, line: bytes) -> str | None:
        if line == _REPEAT:
            return self._last
        if not _ERASE.isdisjoint(line):
            line = _erased(line)
        found = _PREFIX.search(line)
        if found is None:
            return None
        self._last = line[found.end() :].decode("latin-1")
        return self._last


def parse(body: str) -> Iterator[AtCommand]:
    """Read the commands of a line, one after the other; AtSyntaxError where one is none. V.250 5.3, 5.4."""
    rest = body.strip()
    while rest:
        command, rest = _command(rest)
        yield command
        rest = rest.lstrip(" ;")


def number(text: str, among: range, default: int | None = None) -> int:
    """Read a decimal number of a range; ValueError if it is none, or is missing and has no default."""
    if not text and default is not None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 6 or int(text) not in among:
        raise ValueError("a number outside its range")
    return int(text)


def hexadecimal(text: str) -> bytes:
    """Read hex digits without anything between; ValueError if they are none."""
    if not text.isalnum():
        raise ValueError("no hexadecimal digits")
    return bytes.fromhex(text)


def _command(text: str) -> tuple[AtCommand, str]:
    if text[0].isalpha() or text[0] == "&":
        return _basic(text)
    found = _NAME.match(text)
    part = _PART.match(text)
    if found is None or part is None:
        raise AtSyntaxError("no command begins like this")
    if text[part.end() : part.end() + 1] == '"':
        raise AtSyntaxError("a string does not end")
    return _formed(found[0].upper(), text[found.end() : part.end()].strip()), text[part.end() :]


def _basic(text: str) -> tuple[AtCommand, str]:
    if text[0] in "Dd":  # V.250 6.3.1: all that follows is dialled
        return AtCommand("D", Form.SET, (text[1:],)), ""
    if (parameter := _S_PARAMETER.match(text)) is not None:
        part = _PART.match(text, parameter.end())
        end = part.end() if part else len(text)
        return _formed(f"S{int(parameter[1])}", text[parameter.end() : end].strip()), text[end:]
    found = _BASIC.match(text)
    if found is None:
        raise AtSyntaxError("no command begins like this")
    return AtCommand(found[1].upper(), Form.SET, (found[2] or "0",)), text[found.end() :]


def _formed(name: str, rest: str) -> AtCommand:
    for form in (Form.RUN, Form.READ, Form.TEST):
        if rest == form.value:
            return AtCommand(name, form)
    if not rest.startswith("="):
        raise AtSyntaxError("something follows the command's name")
    return AtCommand(name, Form.SET, tuple(_arguments(rest[1:])))


def _arguments(text: str) -> Iterator[str]:
    position, separator = 0, ","
    while separator:
        found = _ARGUMENT.match(text, position)
        if found is None:
            raise AtSyntaxError("something follows a string")
        yield found[1] if found[1] is not None else found[2].strip()
        position, separator = found.end(), found[3]


def _erased(line: bytes) -> bytes:
    kept = bytearray()
    for byte in line:
        if byte not in _ERASE:
            kept.append(byte)
        elif kept:
            kept.pop()
    return bytes(kept)
