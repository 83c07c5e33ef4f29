"""How a process begins and ends: streams that are closed, or that nobody reads; SIGTERM. docs/decisions/0060."""

import errno
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeAlias

if TYPE_CHECKING:
    from types import FrameType

Handler: TypeAlias = "Callable[[int, FrameType | None], Any] | int | None"
"""What `signal.signal` takes and answers."""
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What it is when a disk is full, or fails."""


class Terminated(SystemExit):
    """SIGTERM: what was begun is let go of before the process ends by it."""


def in_main_thread() -> bool:
    """Whether signals can be handled here; whoever runs this elsewhere ends it otherwise."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def handled(numbers: Iterable[int], handler: "Handler") -> "Iterator[Mapping[int, Handler]]":
    """Have signals handled so inside, in the main thread; answers what was done about them before, and is again."""
    before = {number: signal.getsignal(number) for number in numbers}
    for number in before:
        signal.signal(number, handler)
    try:
        yield before
    finally:
        for number, former in before.items():
            signal.signal(number, former)


@contextmanager
def terminated() -> Iterator[None]:
    """Have SIGTERM unwind what it would leave behind. Servers and the fuzzer take it otherwise, as long as they run."""

    def end(_number: int, _frame: "FrameType | None") -> None:
        raise Terminated

    with handled([signal.SIGTERM] if in_main_thread() else (), end):
        yield


def die(number: signal.Signals) -> int:
    """End as the signal would have ended the process; the exit code, where it does not."""
    with suppress(OSError):  # nobody reads it any more
        sys.stdout.flush()
    signal.raise_signal(number)
    return 128 + number


def stand_in_for_closed_streams() -> None:
    """Python has None for what was closed before it began, as under some daemons: nothing to read, nobody who reads."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w", closefd=False))


def left_unread() -> bool:
    """Whether whoever read our output has gone, as in `bsim spec | head`; nothing is flushed into that pipe again."""
    gone = False
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
            if hasattr(select, "poll"):  # not on Windows
                watch = select.poll()
                watch.register(stream.fileno(), 0)
                if any(events & select.POLLERR for _, events in watch.poll(0)):
                    raise BrokenPipeError
        except BrokenPipeError:
            _write_nowhere(stream)
            gone = True
    return gone


def let_go_of_output() -> None:
    """Have what cannot be written go nowhere: the interpreter would try again as it ends, and set an exit code."""
    try:
        sys.stdout.flush()
    except OSError:
        _write_nowhere(sys.stdout)


def _write_nowhere(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
