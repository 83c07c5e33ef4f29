"""Slots of the vpcd driver: how people write their addresses, and the line that says that cards are in them."""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from bsim.cli.common import print_json
from bsim.cli.ends import handled, in_main_thread

if TYPE_CHECKING:
    from types import FrameType

_HOST: Final = "127.0.0.1"
_ENDS: Final = (signal.SIGINT, signal.SIGTERM)
_INSISTS: Final = 1.0


def host_of(text: str | None) -> str:
    """The host of an address, this machine if there is none; IPv6 in brackets, as in a URL. RFC 3986 3.2.2."""
    if text and text.startswith("[") and text.endswith("]"):
        return text[1:-1]
    return text or _HOST


def place(host: str, port: int) -> str:
    """Write host and port as they are read."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Stoppable(Protocol):
    """A link that runs until it is told to stop, from whatever thread."""

    def stop(self) -> None:
        """End it soon."""
        ...


class Link(Stoppable, Protocol):
    """One that is ready once the outside can reach the card."""

    @property
    def ready(self) -> threading.Event:
        """Set once it can."""
        ...


@contextmanager
def stopped_by_signals(link: Stoppable, ends: threading.Event | None = None) -> Iterator[None]:
    """End a link by Ctrl-C and by SIGTERM, and set `ends`; who insists, a second later or more, ends the process.

    Another thread stops it: a handler in Python runs when the main thread comes back from what it waits in, and a
    signal that arrives just before it begins to wait does not wake it. What C code writes at once does.
    """
    if not in_main_thread():
        yield
        return
    first: float | None = None

    def insisted(number: int, _frame: "FrameType | None") -> None:
        nonlocal first
        now = time.monotonic()
        first = first or now
        if now - first > _INSISTS:
            signal.signal(number, before[number])
            signal.raise_signal(number)

    def told(number: int) -> None:
        if number in _ENDS:
            if ends is not None:
                ends.set()
            link.stop()

    with _heard_at_once(told), handled(_ENDS, insisted) as before:
        yield


@contextmanager
def _heard_at_once(told: Callable[[int], None]) -> Iterator[None]:
    """Tell, in a thread, of every signal that has a handler."""
    heard, written = socket.socketpair()
    written.setblocking(False)

    def listen() -> None:
        while number := heard.recv(1):
            told(number[0])

    thread = threading.Thread(target=listen, name="bsim-signals", daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        written.close()
        thread.join()
        heard.close()


@contextmanager
def announced(links: Sequence[Link], line: str | dict[str, object]) -> Iterator[None]:
    """Print a line, as JSON if it is none, once all links are ready; where it cannot be printed they are stopped."""
    ended = threading.Event()
    failed: list[OSError] = []

    def announce() -> None:
        for link in links:
            link.ready.wait()
        if ended.is_set():
            return
        try:
            print_json(line) if isinstance(line, dict) else print(line, flush=True)
        except OSError as fault:  # whoever was to read it has gone
            failed.append(fault)
            for link in links:
                link.stop()

    thread = threading.Thread(target=announce, name="bsim-ready", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        for link in links:
            link.ready.set()  # nobody waits on it any more but the thread above
        thread.join()
    if failed:
        raise failed[0]
