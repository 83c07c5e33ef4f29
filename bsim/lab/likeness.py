"""A card that takes the time another card takes, and answers as it does where the two differ: profiles learned by diff.

A profile is a TOML file: seconds a command (median and p95), seconds a byte, status words it answers in place of ours,
and whole answers to certain commands. It holds no key, PIN or number of the card it was learned from.
"""

import math
import random
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Final

from bsim.lab.guard import declared
from bsim.ports import Card

_FORMAT: Final = 1
_DEFAULT: Final = "default"
_P95: Final = 1.6449  # standard deviations above the median, of a normal distribution


class LikenessError(Exception):
    """A profile that cannot be read; the message names the file."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds that a command takes beside the bytes it carries: the median, and what 95 of 100 take at most."""

    median: float
    p95: float

    def sample(self, rng: random.Random) -> float:
        """One duration; log-normal, as durations are: never negative, now and then long."""
        if self.median <= 0 or self.p95 <= self.median:
            return max(self.median, 0.0)
        return self.median * math.exp(math.log(self.p95 / self.median) / _P95 * rng.gauss(0, 1))


@dataclass(frozen=True, slots=True)
class Likeness:
    """How another card behaves: its status words by command and ours, its answers by command APDU, its times."""

    name: str
    title: str
    approximation: bool = False
    per_byte: float = 0.0
    latency: Mapping[str, Latency] = field(default_factory=dict)
    sws: Mapping[tuple[str, str], str] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Like:
    """A card made like another; itself a card. Its randomness is seeded: the same conversation takes the same time."""

    def __init__(
        self, card: Card, likeness: Likeness, *, seed: int = 0, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._card: Final = card
        self._likeness: Final = likeness
        self._rng: Final = random.Random(seed)  # noqa: S311 - durations, no secrets
        self._sleep: Final = sleep

    def reset(self) -> bytes:
        """Power-cycle the card; answers its own ATR."""
        return self._card.reset()

    def transmit(self, command: bytes) -> bytes:
        """Carry one APDU, answered as the other card would, and not sooner."""
        begin = time.monotonic()
        name = command_name(command)
        response = self._as_the_other(name, command, self._card.transmit(command))
        left = self._duration(name, len(command) + len(response)) - (time.monotonic() - begin)
        if left > 0:
            self._sleep(left)
        return response

    def _as_the_other(self, name: str, command: bytes, response: bytes) -> bytes:
        known = self._likeness
        if (answer := known.answers.get(command.hex().upper())) is not None:
            return bytes.fromhex(answer)
        sw = known.sws.get((name, response[-2:].hex().upper()))
        return response if sw is None else bytes.fromhex(sw)

    def _duration(self, name: str, size: int) -> float:
        latency = self._likeness.latency
        found = latency.get(name) or latency.get(_DEFAULT)
        return (found.sample(self._rng) if found is not None else 0.0) + self._likeness.per_byte * size


def built_in() -> list[str]:
    """The names of the profiles that come with bsim."""
    folder = files("bsim.lab") / "likenesses"
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def load(name_or_path: str) -> Likeness:
    """Read a profile by its file, or by the name of one that comes with bsim; LikenessError if that cannot be."""
    ours = name_or_path in built_in()
    source = files("bsim.lab") / "likenesses" / f"{name_or_path}.toml" if ours else Path(name_or_path)
    try:
        return read(source.read_text(encoding="utf-8"))
    except OSError as fault:
        known = ", ".join(built_in())
        raise LikenessError(f"{name_or_path}: {fault.strerror}; a profile is a TOML file, or {known}") from fault
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise LikenessError(f"{name_or_path}: no profile that can be read: {fault}") from fault


def read(text: str) -> Likeness:
    """Read a profile; ValueError, KeyError or TypeError where it is none."""
    top = tomllib.loads(text)
    if top["format"] != _FORMAT:
        raise ValueError(f"format {top['format']} is not known here")
    latency = {name: Latency(float(entry["median"]), float(entry["p95"])) for name, entry in top["latency"].items()}
    quirks, answers = top.get("quirk", []), top.get("answer", [])
    for quirk in quirks:
        _sw(quirk["answers"])
    for answer in answers:
        _sw(bytes.fromhex(answer["answers"]).hex()[-4:])
    return Likeness(
        name=str(top["name"]),
        title=str(top["title"]),
        approximation=bool(top.get("approximation", False)),
        per_byte=float(top.get("per_byte", 0.0)),
        latency=latency,
        sws={(quirk["command"], _sw(quirk["instead_of"])): quirk["answers"] for quirk in quirks},
        answers={bytes.fromhex(answer["command"]).hex().upper(): answer["answers"] for answer in answers},
        notes=tuple(map(str, top.get("notes", ()))),
    )


def write(likeness: Likeness) -> str:
    """Write a profile as TOML, for people to read and change."""
    notes = "".join(f"\n  {_text(note)}," for note in likeness.notes)
    lines = [
        "# How a card behaves, learned by `bsim diff --learn`; `bsim serve --like FILE` plays it. Seconds.",
        "",
        f"format = {_FORMAT}",
        f"name = {_text(likeness.name)}",
        f"title = {_text(likeness.title)}",
        f"approximation = {str(likeness.approximation).lower()}",
        f"per_byte = {likeness.per_byte:.3e}",
        f"notes = [{notes}\n]",
        "",
        "[latency]",
    ]
    for name, found in likeness.latency.items():
        lines.append(f"{name} = {{ median = {found.median:.6f}, p95 = {found.p95:.6f} }}")
    for (command, ours), theirs in likeness.sws.items():
        lines += ["", "[[quirk]]", f"command = {_text(command)}", f'instead_of = "{ours}"', f'answers = "{theirs}"']
    for command, theirs in likeness.answers.items():
        lines += ["", "[[answer]]", f'command = "{command}"', f'answers = "{theirs}"']
    return "\n".join(lines) + "\n"


def command_name(command: bytes) -> str:
    """The name under which a profile keeps a command: its own, or `default`."""
    found = declared(command) if len(command) >= 4 else []
    return found[0].name if found else _DEFAULT


def _sw(text: str) -> str:
    if len(bytes.fromhex(text)) != 2:
        raise ValueError(f"{text!r} is no status word")
    return text.upper()


def _text(text: str) -> str:
    """A TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(character if character.isprintable() else " " for character in escaped) + '"'
