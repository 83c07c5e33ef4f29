"""The tries of a card's BPIN: one is spent before the command leaves that may spend it, and given back on proof alone.

What is spent and not given back is in the card's ledger before that command leaves, so that the next run knows.
"""

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from bsim.applets.wallet_state import MAX_TRIES
from bsim.fuzz.ledger import Ledger
from bsim.ports import CardLost

_LEFT: Final = re.compile(r"(\d+) tries left")
_ENDS: Final = (signal.SIGINT, signal.SIGTERM)


class Tries:
    """How many are left at least; `told` are those the user says there are (None: nobody knows)."""

    def __init__(self, ledger: Ledger, told: int | None, floor: int) -> None:
        self._ledger: Final = ledger
        self._told: Final = told
        self._floor: Final = floor
        self.left = None if told is None else max(0, told - ledger.lost)
        """None: not known."""
        self.lowest = self.left
        """The fewest there were, after something wrong was typed, or what was typed was lost."""
        self.wrong = 0
        """How many a wrong BPIN spent."""
        self.proven = False
        """Whether the card took the BPIN that is held to be right."""
        self.urgent = False
        """Whether something wrong was typed since: a try is lost, and not only may be."""

    @property
    def owed(self) -> int:
        """Answer how many were spent and not given back, in earlier runs too."""
        return self._ledger.lost

    @property
    def too_few(self) -> bool:
        """Whether they are below the floor already."""
        return self.left is not None and self.left < self._floor

    @property
    def room(self) -> bool:
        """Whether something may be typed: it may be lost, and so may the right BPIN that gives it back."""
        return self.left is not None and self.left - 2 >= self._floor

    @property
    def last_room(self) -> bool:
        """Whether the right BPIN may be typed, to give tries back or to see that it is right."""
        return self.left is not None and self.left - 1 >= self._floor

    def spend(self, *, wrong: bool) -> None:
        """Take note of a try that is about to be spent, or may be."""
        self._ledger.lose()
        self.left = max(0, (self.left or 0) - 1)
        if wrong:
            self.wrong += 1
            self.urgent = True
            self.missing()

    def refused(self) -> None:
        """Take note that what was held to be the right BPIN is wrong."""
        self.wrong += 1
        self.proven = False

    def missing(self) -> None:
        """Take note of what is not back, if anything is."""
        if self.owed and self.left is not None:
            self.lowest = self.left if self.lowest is None else min(self.lowest, self.left)

    def objection(self, prompt: str) -> str:
        """What is wrong with the tries a card tells of after a wrong BPIN; nothing if they are those it must have."""
        told, left = _LEFT.search(prompt), self.left or 0
        # After the right BPIN was typed tries are owed that an honest card never lost; and the card gave back all there
        # can be, which are more than the user told where some had been lost before.
        most = left + self.owed - 1
        if told is not None and left <= int(told[1]) <= max(most, MAX_TRIES - 1):
            return ""
        return f"the BPIN has other tries left than {most}: the card says {prompt!r}"

    def given_back(self) -> None:
        """Take note that the card took the right BPIN, which gives all tries back."""
        self._ledger.found()
        self.proven, self.urgent = True, False
        self.left = self._told


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until what must be done is done; in the main thread, which alone gets them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        held.append(number)

    handlers = [(number, signal.signal(number, hold)) for number in _ENDS]
    try:
        yield
    except CardLost:
        raise
    except BaseException:
        held.clear()  # this ends the run as well, and says more
        raise
    finally:
        for number, handler in handlers:
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        if held:
            signal.raise_signal(held[0])
