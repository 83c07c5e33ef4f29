"""An end to waiting for a mute card. PC/SC has none of its own: SCardTransmit returns when the driver does.

libpcsclite waits on a socket to pcscd, and a C call cannot be interrupted from Python. So a thread shuts that socket
when an exchange takes too long: the call returns at once with an error, and the context is lost with it. It costs an
exchange two assignments. Where the socket cannot be found (not Linux), the driver's own patience is all there is.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bsim.lab import pcsc

_NEVER: Final = float("inf")
_DESCRIPTORS: Final = Path("/proc/self/fd")
_lock: Final = threading.Lock()  # two contexts made at once could not be told apart by their sockets


class Watchdog:
    """Watches over one PC/SC context. `fired` says that it ended an exchange."""

    def __init__(self, timeout: float) -> None:
        self.idle: Final = _NEVER
        self.fired = False
        self.deadline = _NEVER
        self.timeout: Final = timeout
        self._socket: socket.socket | None = None
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def finding(self) -> Iterator[None]:
        """Take note of the socket that is opened to the service inside."""
        with _lock:
            before = _sockets()
            yield
            for descriptor in _sockets() - before:
                self._socket = socket.socket(fileno=os.dup(descriptor))

    def start(self) -> float:
        """Begin an exchange; the caller sets `deadline` to what is answered, and to `idle` after it."""
        if self._thread is None and self._socket is not None:
            self._thread = threading.Thread(target=self._watch, name="bsim-reader-watchdog", daemon=True)
            self._thread.start()
        return time.monotonic() + self.timeout

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch over what is done inside."""
        self.deadline = self.start()
        try:
            yield
        finally:
            self.deadline = _NEVER

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        if self._socket is not None:
            self._socket.close()

    def _watch(self) -> None:
        wait = self.timeout
        while not self._closed.wait(wait):
            left = self.deadline - time.monotonic()
            if left <= 0:
                self.fired = True
                if self._socket is not None:
                    with suppress(OSError):
                        self._socket.shutdown(socket.SHUT_RDWR)
                return
            wait = min(left, self.timeout)


def _sockets() -> set[int]:
    """The descriptors of this process's connections to the service."""
    try:
        paths = list(_DESCRIPTORS.iterdir())
    except OSError:
        return set()
    return {int(path.name) for path in paths if _leads_to_service(path)}


def _leads_to_service(path: Path) -> bool:
    try:
        if not str(path.readlink()).startswith("socket:"):
            return False
        with socket.socket(fileno=os.dup(int(path.name))) as copy:
            # The service may have bound another path than we know it by, in a container say; the name is the same.
            return copy.family == socket.AF_UNIX and Path(copy.getpeername()).name == pcsc.socket_path().name
    except OSError:
        return False  # closed meanwhile, or not connected
