"""Slots of the vpcd driver: how people write their addresses, and the line that says that cards are in them."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from bsim.cli.common import print_json

_HOST = "127.0.0.1"


class Link(Protocol):
    """What is ready once the outside can reach the card."""

    ready: threading.Event


def host_of(text: str | None) -> str:
    """The host of an address, this machine if there is none; IPv6 in brackets, as in a URL. RFC 3986 3.2.2."""
    if text and text.startswith("[") and text.endswith("]"):
        return text[1:-1]
    return text or _HOST


def place(host: str, port: int) -> str:
    """Write host and port as they are read."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


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
