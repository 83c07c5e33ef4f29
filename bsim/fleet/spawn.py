"""Processes of this machine that work for the one that began them, and leave Ctrl-C to it.

They are spawned, never forked, so that threads and locks of ours are not copied in the middle of something. As with
everything spawned, a script that uses them begins under `if __name__ == "__main__":`.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker
from multiprocessing.process import BaseProcess
from typing import Any, Final

CONTEXT: Final = get_context("spawn")

_HELD: Final = hasattr(signal, "pthread_sigmask")  # not on Windows


def spawn(target: Callable[..., object], *args: Any, name: str | None = None) -> BaseProcess:
    """Start a process that a terminal's Ctrl-C does not end, which all of a group get: whoever began it does."""
    process = CONTEXT.Process(target=_begin, args=(target, args), daemon=True, name=name)
    with _interrupt_held():
        process.start()
    return process


@contextmanager
def _interrupt_held() -> Iterator[None]:
    """Have what is started here begin with Ctrl-C held: it takes a while until it can say that it ignores it."""
    if not _HELD:
        yield
        return
    resource_tracker.ensure_running()  # the first process starts it, and it would let it through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(target: Callable[..., object], args: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if _HELD:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    target(*args)
