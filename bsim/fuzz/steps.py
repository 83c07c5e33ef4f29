"""One move against a card: a command, a reset, or a command during which power goes. Bytes, and as text for people.

A step is a tuple and no object, since a fuzzer makes tens of thousands a second.
"""

import re
from typing import Final, TypeAlias

Step: TypeAlias = tuple[int, bytes, int]
"""What to do (`SEND`, `RESET`, or a power cut), the command APDU, and what in it follows from earlier answers."""

SEND: Final = 0
RESET: Final = 1
# From here on: power goes at a write while the command is carried out.
_CUT: Final = 2

# What in a command follows from what the card answered before, and is put in anew when the command is sent.
PLAIN: Final = 0
ANSWERS: Final = 1  # TERMINAL RESPONSE: the details of the proactive command that was fetched
PROVES: Final = 2  # EXTERNAL AUTHENTICATE: the cryptogram of the challenge
TYPES: Final = 3  # TERMINAL RESPONSE: as ANSWERS, and what is typed is the BPIN the card has then
OPENS: Final = 4  # GlobalPlatform's EXTERNAL AUTHENTICATE: host cryptogram and MAC
SECURES: Final = 5  # any command while commands must be secured: MAC and encryption, as a host that knows the keys does
_LINKS: Final = ("", "~fetched", "~challenge", "~bpin", "~channel", "~secured")

_CUTS: Final = re.compile(r"CUT +(before|after) +([1-9][0-9]{0,5})")

POWER_CYCLE: Final[Step] = (RESET, b"", PLAIN)


class StepError(ValueError):
    """A line that is no step; the message says what is wrong."""


def send(raw: bytes, link: int = PLAIN) -> Step:
    """Answer the step that sends a command APDU."""
    return SEND, raw, link


def cut(raw: bytes, write: int, *, after: bool, link: int = PLAIN) -> Step:
    """Answer the step that sends a command and cuts power at its write of this number (from 1)."""
    return _CUT + 2 * (write - 1) + after, raw, link


def cut_of(kind: int) -> tuple[int, bool] | None:
    """Answer the write at which a kind of step cuts power, and whether just after it; None where it does not."""
    return None if kind < _CUT else ((kind - _CUT) // 2 + 1, bool((kind - _CUT) % 2))


def text(step: Step) -> str:
    """Write a step for people: `RESET`, hex, `CUT before 1: hex`; what follows from earlier answers is marked."""
    kind, raw, link = step
    if kind == RESET:
        return "RESET"
    digits = f"{raw[:4].hex().upper()} {raw[4:].hex().upper()}".strip() or "(no byte)"
    where = cut_of(kind)
    prefix = "" if where is None else f"CUT {'after' if where[1] else 'before'} {where[0]}: "
    return f"{prefix}{digits} {_LINKS[link]}".strip()


def mark(step: Step) -> str:
    """Answer how `text` marks what follows from earlier answers in a step; empty where nothing does."""
    return _LINKS[step[2]]


def parse(line: str) -> Step:
    """Read what `text` writes; StepError otherwise."""
    words = line.strip()
    if words == "RESET":
        return POWER_CYCLE
    link = next((at for at, mark in enumerate(_LINKS) if mark and words.endswith(mark)), PLAIN)
    words = words.removesuffix(_LINKS[link]).strip()
    kind = SEND
    if words.startswith("CUT "):
        head, _, words = words.partition(":")
        found = _CUTS.fullmatch(head)
        if found is None:
            raise StepError(f"no step: {line.strip()!r}: it is CUT before N: or CUT after N:, with N from 1")
        kind = cut(b"", int(found[2]), after=found[1] == "after")[0]
    try:
        return kind, b"" if words.strip() == "(no byte)" else bytes.fromhex(words), link
    except ValueError:
        raise StepError(f"no step: {line.strip()!r}") from None
