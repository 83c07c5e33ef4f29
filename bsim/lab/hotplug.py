"""What comes and goes: readers that are plugged in and out, cards that are put in and taken out."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bsim.lab import pcsc

_PNP: Final = "\\\\?PnP?\\Notification"  # pcsc-lite and Windows alike: readers come and go
_SLICE: Final = 500  # milliseconds; PC/SC's wait cannot be interrupted, so it is a short one again and again


class What(StrEnum):
    """What happened."""

    ATTACHED = "attached"
    DETACHED = "detached"
    INSERTED = "inserted"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Event:
    """A reader, what happened to it, and the answer to reset of a card that was put in."""

    what: What
    reader: str
    atr: bytes = b""


def watch(*, timeout: float | None = None) -> Iterator[Event]:
    """Tell of the readers and cards there are, then of whatever changes; ends after `timeout` seconds of nothing."""
    scard = pcsc.scard()
    context = pcsc.establish()
    seen: dict[str, int] = {}
    quiet = 0.0
    try:
        while timeout is None or quiet < timeout:
            found = list(_changes(context, seen))
            yield from found
            quiet = 0.0 if found else quiet + _SLICE / 1000
    finally:
        scard.SCardReleaseContext(context)


def _changes(context: int, seen: dict[str, int]) -> Iterator[Event]:
    scard = pcsc.scard()
    names = pcsc.names(context)
    for name in [name for name in seen if name not in names]:
        if seen.pop(name) & scard.SCARD_STATE_PRESENT:
            yield Event(What.REMOVED, name)
        yield Event(What.DETACHED, name)
    for name in [name for name in names if name not in seen]:
        seen[name] = scard.SCARD_STATE_UNAWARE
        yield Event(What.ATTACHED, name)
    asked = list(seen.items())
    result, states = scard.SCardGetStatusChange(context, _SLICE, [*asked, (_PNP, len(seen) << 16)])
    if result == scard.SCARD_E_TIMEOUT:
        return
    if result != scard.SCARD_E_UNKNOWN_READER:  # it went meanwhile: the next look sees that
        pcsc.check(result, "PC/SC")
        yield from _cards(states[: len(asked)], seen)


def _cards(states: "list[tuple[str, int, list[int]]]", seen: dict[str, int]) -> Iterator[Event]:
    present = pcsc.scard().SCARD_STATE_PRESENT
    for name, state, atr in states:
        before, seen[name] = seen[name] & present, state & ~pcsc.scard().SCARD_STATE_CHANGED
        if state & present and not before:
            yield Event(What.INSERTED, name, bytes(atr))
        elif before and not state & present:
            yield Event(What.REMOVED, name)
