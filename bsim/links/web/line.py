"""A card has one line: one command at a time, whoever sends it, and nobody else is kept waiting for it.

Quick work on a card that is free is done at once, in the event loop; all else in a thread, in the order it came.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from threading import RLock
from typing import Final, TypeVar

from bsim.links.web.message import Refusal
from bsim.links.web.threads import in_thread
from bsim.ports import Card

T = TypeVar("T")


class Line:
    """Turns for one card. `run` belongs to the event loop; `held` to any thread."""

    def __init__(self, pool: Executor, most: int) -> None:
        self._pool: Final = pool
        self._most: Final = most
        self._lock: Final = RLock()
        self._turn: Final = asyncio.Lock()
        self._waiting = 0
        self._begun: Final[set[asyncio.Future[object]]] = set()

    def run(self, work: Callable[[], T], *, slow: bool = False) -> T | Awaitable[T]:
        """Do something with the card: the result, or where it takes time an awaitable of it.

        Where too many wait already the awaitable raises Refusal 503.
        """
        return self._run(work, self._most, slow=slow)

    def begin(self, work: Callable[[], object], *, slow: bool = False) -> None:
        """Do something with the card that nobody waits for, however many wait; in the event loop's thread, as `run`."""
        outcome = self._run(work, None, slow=slow)
        if isinstance(outcome, Awaitable):
            task = asyncio.ensure_future(outcome)
            self._begun.add(task)  # the loop itself does not hold it
            task.add_done_callback(self._begun.discard)

    def held(self, work: Callable[[], T]) -> T:
        """Do something with the card, in this thread, when it is free."""
        with self._lock:
            return work()

    def _run(self, work: Callable[[], T], most: int | None, *, slow: bool) -> T | Awaitable[T]:
        if not slow and not self._turn.locked() and self._lock.acquire(blocking=False):
            try:
                return work()
            finally:
                self._lock.release()
        return self._queued(work, most)

    async def _queued(self, work: Callable[[], T], most: int | None) -> T:
        if most is not None and self._waiting >= most:
            raise Refusal(503, "too many requests wait for this card", "CardBusy", (("Retry-After", "1"),))
        self._waiting += 1
        try:
            await self._turn.acquire()
        except asyncio.CancelledError:  # who gives up before its turn has come makes room at once
            self._waiting -= 1
            raise
        # Who gives up later still has the card: its thread cannot be stopped, and the next would only wait behind it.
        return await in_thread(self._pool, lambda: self.held(work), self._next)

    def _next(self) -> None:
        self._waiting -= 1
        self._turn.release()


class OnLine:
    """A card for other links, such as a reader's: itself a card, which waits for its turn."""

    def __init__(self, card: Card, line: Line) -> None:
        self._card: Final = card
        self._line: Final = line

    def reset(self) -> bytes:
        """Power-cycle the card."""
        return self._line.held(self._card.reset)

    def transmit(self, command: bytes) -> bytes:
        """Carry one APDU."""
        return self._line.held(lambda: self._card.transmit(command))
