"""An end to commands that never end: on an emulated card a hang is a loop, and a signal breaks it.

Processor time counts, not the clock: a busy machine makes no command hang. Where the signal strikes in what Python
calls on its own, as a callback of the garbage collector, nothing can be raised: Python tells of it, and it is raised
at the next tick.
"""

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final, Protocol

LIMIT: Final = 1.0
"""Seconds of processor time after which a command hangs; the slowest of an honest card takes a hundredth."""


class Hang(BaseException):
    """Raised inside a command that does not end, in the function `where`; no `Exception`, which a card catches."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where: Final = where


class Busy(Protocol):
    """What tells whether a command is being carried out, and how many were."""

    busy: bool
    steps: int


@contextmanager
def watching(current: Sequence[Busy], limit: float = LIMIT) -> Iterator[None]:
    """Raise Hang in whatever the first of `current` has been doing since two ticks. In the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    last = [(-1, False)]

    def tick(_number: int, frame: FrameType | None) -> None:
        one = current[0]
        now = one.steps, one.busy
        if one.busy and now == last[0]:
            last[0] = (-1, False)
            one.busy = False
            raise Hang(_function(frame))
        last[0] = now

    def lost(unraisable: "sys.UnraisableHookArgs") -> None:
        if not isinstance(unraisable.exc_value, Hang):
            others(unraisable)
            return
        one = current[0]
        one.busy = True
        last[0] = one.steps, one.busy

    others, sys.unraisablehook = sys.unraisablehook, lost
    handler = signal.signal(signal.SIGVTALRM, tick)
    timer = signal.setitimer(signal.ITIMER_VIRTUAL, limit / 2, limit / 2)
    try:
        yield
    finally:
        # One watch may be inside another, which goes on.
        signal.setitimer(signal.ITIMER_VIRTUAL, *timer)
        signal.signal(signal.SIGVTALRM, handler)
        sys.unraisablehook = others


def _function(frame: FrameType | None) -> str:
    """The innermost function of the card; what it calls may be anywhere when the time is over."""
    while frame is not None and not str(frame.f_globals.get("__name__")).startswith("bsim."):
        frame = frame.f_back
    return frame.f_code.co_name if frame is not None else "?"
