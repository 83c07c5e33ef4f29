"""Slots of the vpcd driver: how people write their addresses, and the line that says that cards are in them."""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from bsim.cli.common import print_json

if TYPE_CHECKING:
    from types import FrameType

_HOST = "127.0.0.1"


class Link(Protocol):
    """What is ready once the outside can reach the card."""

    @property
    def ready(self) -> threading.Event:
        """Set once it can."""
        ...


def host_of(text: str | None) -> str:
    """The host of an address, this machine if there is none; IPv6 in brackets, as in a URL. RFC 3986 3.2.2."""
    if text and text.startswith("[") and text.endswith("]"):
        return text[1:-1]
    return text or _HOST


def place(host: str, port: int) -> str:
    """Write host and port as they are read."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Stoppable(Protocol):
    """A link that runs until it is told to stop, from a signal handler too."""

    def stop(self) -> None:
        """End it soon."""
        ...


@contextmanager
def stopped_by_signals(link: Stoppable) -> Iterator[None]:
    """End a link by Ctrl-C and by SIGTERM."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread has signals; whoever runs this elsewhere ends it otherwise
        return

    def stop(_number: int, _frame: "FrameType | None") -> None:
        link.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def announced(links: Sequence[Link], line: str | dict[str, object]) -> Iterator[None]:
    """Print a line, as JSON if it is none, once all links are ready."""
    ended = threading.Event()

    def announce() -> None:
        for link in links:
            link.ready.wait()
        if not ended.is_set():
            print_json(line) if isinstance(line, dict) else print(line, flush=True)

    thread = threading.Thread(target=announce, name="bsim-ready", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        for link in links:
            link.ready.set()  # nobody waits on it any more but the thread above
        thread.join()
