"""A link's `run` in a thread of its own, for those that are used as context managers."""

import threading
from collections.abc import Callable
from typing import Final


class Apart:
    """Runs something in a thread. `run` calls `settle` once it serves; what ends it before is raised by `begin`."""

    def __init__(self, run: Callable[[], None], name: str) -> None:
        self._run: Final = run
        self._settled: Final = threading.Event()
        self._fault: Exception | None = None
        self._thread: Final = threading.Thread(target=self._go, name=name, daemon=True)

    def begin(self) -> None:
        """Start, and wait until it serves; once only."""
        self._thread.start()
        self._settled.wait()
        if self._fault is not None:
            raise self._fault

    def settle(self) -> None:
        """Have `begin` answer."""
        self._settled.set()

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join()

    def _go(self) -> None:
        try:
            self._run()
        except Exception as fault:
            if self._settled.is_set():
                raise  # nobody waits any more
            self._fault = fault
        finally:
            self._settled.set()
