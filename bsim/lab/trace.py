"""Traces: a card's conversation in a file, JSON lines, from which every secret is gone. docs/traces.md is the format.

A file is only ever appended to. A line that was cut off when its writer died is told, not fatal.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, TypeAlias

from bsim.chains.fields import nesting
from bsim.spec import Spec
from bsim.spec.decode import MASK
from bsim.spec.render import as_json

FORMAT: Final = 1
SUFFIX: Final = ".bsimtrace"
_DIGITS: Final = frozenset("0123456789ABCDEF")
_DEEPEST: Final = 200


class TraceError(Exception):
    """A file that is no trace that can be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Start:
    """Recording began: when (UTC), on which target, over which link, by which declarations (their hash).

    `hidden` names the fields that were redacted beside those declared secret.
    """

    line: int
    when: str
    target: str
    link: str
    spec: str
    bsim: str
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reset:
    """The card was power-cycled. Times are seconds: `at` since the recording began, `took` for the card's part."""

    line: int
    at: float
    took: float
    atr: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """A command and its response in hex, redacted bytes as `**`; `lost` says how the card was lost, if it was."""

    line: int
    at: float
    took: float
    name: str
    command: str
    response: str
    lost: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What the phone showed, and how that ended; never what was typed."""

    line: int
    at: float
    asked: str
    text: str
    result: str


Event: TypeAlias = Start | Reset | Exchange | Dialogue


@dataclass(frozen=True, slots=True)
class Trace:
    """A whole file. `torn` tells that a line was cut off when its writer died."""

    path: str
    events: tuple[Event, ...]
    torn: bool

    @property
    def start(self) -> Start:
        """How the first recording in it began."""
        first = self.events[0]
        if not isinstance(first, Start):
            raise TraceError(f"{self.path}: a trace begins with a header")
        return first

    @property
    def hidden(self) -> frozenset[str]:
        """The fields that were redacted on request in any of its recordings."""
        return frozenset(name for event in self.events if isinstance(event, Start) for name in event.hidden)

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The exchanges alone."""
        return tuple(event for event in self.events if isinstance(event, Exchange))


def read(path: Path | str) -> Trace:
    """Read a trace; TraceError names the line that is wrong."""
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError as fault:
        raise TraceError(f"{path}: {fault.strerror or fault}") from fault
    events, torn = [], False
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        event = _event(f"{path}:{number}", number, line, complete=number < len(lines))
        # A line that is none was being written when the power went; the next writer began after it, with a header.
        torn = torn or event is None
        if event is not None:
            events.append(event)
    if not events or not isinstance(events[0], Start):
        raise TraceError(f"{path}: not a trace: its first line is no header")
    _check_torn(str(path), lines)
    return Trace(str(path), tuple(events), torn)


def unmasked(digits: str, filler: int = 0x2A) -> bytes:
    """The bytes of a shown command or response, redacted ones as `filler` (an asterisk)."""
    return bytes.fromhex(digits.replace(MASK, f"{filler:02X}"))


def fits(pattern: str, raw: bytes) -> bool:
    """Whether bytes are those shown, redacted ones being any."""
    digits = raw.hex().upper()
    pairs = range(0, len(digits), 2)
    return len(pattern) == len(digits) and all(pattern[at : at + 2] in {MASK, digits[at : at + 2]} for at in pairs)


def fingerprint(spec: Spec) -> str:
    """The declarations' hash: a trace says by which of them it was redacted. SHA-256 of their canonical JSON."""
    applets = {
        name: [[aid.hex() for aid in applet.aids], [as_json(command) for command in applet.commands.values()]]
        for name, applet in spec.applets.items()
    }
    canonical = json.dumps([dict(spec.common), applets], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _check_torn(path: str, lines: list[bytes]) -> None:
    """A torn line is the last of all, or the last before a header: anywhere else the file is damaged."""
    written = [(number, line) for number, line in enumerate(lines, 1) if line]
    for (number, line), (_, after) in pairwise(written):
        if _parsed(f"{path}:{number}", line) is None and b'"bsimtrace"' not in after:
            raise TraceError(f"{path}:{number}: not a line of a trace")


def _parsed(where: str, line: bytes) -> dict[str, object] | None:
    if nesting(line.decode(errors="replace")) > _DEEPEST:
        raise TraceError(f"{where}: nested too deeply for a line of a trace")
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _event(where: str, number: int, line: bytes, *, complete: bool) -> Event | None:
    value = _parsed(where, line)
    if value is None:
        return None
    for key, read_one in _READERS.items():
        if key in value:
            try:
                return read_one(number, value)
            except KeyError as fault:
                raise TraceError(f"{where}: {key}: {fault} is missing") from fault
            except (ValueError, TypeError) as fault:
                raise TraceError(f"{where}: {key}: {fault}") from fault
    if not complete:
        return None
    raise TraceError(f"{where}: a line of a kind not known here")


def _start(number: int, value: Mapping[str, object]) -> Start:
    version = value["bsimtrace"]
    if not isinstance(version, int) or not 1 <= version <= FORMAT:
        raise ValueError(f"format {version!r}; this bsim reads up to {FORMAT}: install a newer one")
    hidden = value.get("hidden", [])
    if not isinstance(hidden, list) or not all(isinstance(name, str) for name in hidden):
        raise TypeError("hidden is a list of names")
    when, target, link, spec, made_by = (_text(value, key) for key in ("when", "target", "link", "spec", "bsim"))
    return Start(number, when, target, link, spec, made_by, tuple(hidden))


def _reset(number: int, value: Mapping[str, object]) -> Reset:
    return Reset(number, _seconds(value, "at"), _seconds(value, "took"), _hex(value, "reset"))


def _exchange(number: int, value: Mapping[str, object]) -> Exchange:
    lost = _text(value, "lost") if "lost" in value else ""
    response = "" if lost else _hex(value, "response")
    times = _seconds(value, "at"), _seconds(value, "took")
    name = _text(value, "name")
    if not name.isprintable():  # exports write it into comments
        raise ValueError(f"{name[:20]!r} is no name of a command")
    return Exchange(number, *times, name, _hex(value, "command"), response, lost)


def _dialogue(number: int, value: Mapping[str, object]) -> Dialogue:
    return Dialogue(number, _seconds(value, "at"), *(_text(value, key) for key in ("asked", "text", "result")))


_READERS: Final[Mapping[str, Callable[[int, Mapping[str, object]], Event]]] = {
    "bsimtrace": _start,
    "reset": _reset,
    "command": _exchange,
    "asked": _dialogue,
}


def _text(value: Mapping[str, object], key: str) -> str:
    text = value[key]
    if not isinstance(text, str):
        raise TypeError(f"{key} is a text")
    return text


def _seconds(value: Mapping[str, object], key: str) -> float:
    number = value[key]
    if not isinstance(number, int | float) or isinstance(number, bool):
        raise TypeError(f"{key} is a number")
    return float(number)


def _hex(value: Mapping[str, object], key: str) -> str:
    digits = _text(value, key)
    if len(digits) % 2 or any(pair != MASK and not set(pair) <= _DIGITS for pair in _pairs(digits)):
        raise ValueError(f"{digits[:20]!r} is not hexadecimal")
    return digits


def _pairs(digits: str) -> Iterator[str]:
    return (digits[at : at + 2] for at in range(0, len(digits), 2))
