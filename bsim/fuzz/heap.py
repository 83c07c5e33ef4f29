"""Python's garbage collector, told what a fuzzing process is like: it keeps nearly everything that it makes."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_YOUNG: Final = 50_000  # new objects until the youngest are looked through; Python's own 700 are made by ten commands


@contextmanager
def collected_seldom() -> Iterator[None]:
    """Collect cycles a hundredth as often for as long as this lasts: states and snapshots are kept, and form none."""
    before = gc.get_threshold()
    gc.set_threshold(_YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
