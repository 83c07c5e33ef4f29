"""How far something is that takes long."""

import time
from typing import Final, TextIO

_BAR: Final = 30  # places of a whole bar
_REDRAWN: Final = 0.1  # seconds between two progress lines


class Progress:
    """A line on a terminal, drawn over itself: how many, how fast, how long it will take. Nothing elsewhere."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self._total: Final = total
        self._stream: Final = stream
        self._shown: Final = stream.isatty()
        self._began: Final = time.monotonic()
        self._drawn = 0.0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._stream.write("\n")

    def __call__(self, done: int) -> None:
        """So many are done."""
        now = time.monotonic()
        if self._shown and (now - self._drawn >= _REDRAWN or done == self._total):
            self._drawn = now
            line = progress_line(done, self._total, now - self._began)
            self._stream.write(f"\r{line}  {bar(done, self._total)}\x1b[K")
            self._stream.flush()


def bar(done: int, total: int) -> str:
    """Draw how much is done."""
    full = _BAR * done // total if total else _BAR
    return f"[{'#' * full}{'.' * (_BAR - full)}]"


def progress_line(done: int, total: int, seconds: float) -> str:
    """Say how many are done in so many seconds, and when the rest will be."""
    rate = done / seconds if seconds > 0 else 0.0
    minutes, rest = divmod(round((total - done) / rate), 60) if rate else (0, 0)
    eta = f"{minutes:02}:{rest:02}" if rate else "--:--"
    return f"{done:,}/{total:,}  {rate:,.0f}/s  ETA {eta}"
