"""Work in a thread, which goes on when nobody waits for it any more: what it takes up is given back when it is done."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def in_thread(pool: Executor, work: Callable[[], T], done: Callable[[], object]) -> asyncio.Future[T]:
    """Do something in a thread. `done` is called once, in the event loop, when the thread is free again."""
    loop = asyncio.get_running_loop()
    try:
        running = pool.submit(work)
    except RuntimeError:  # the server ends
        done()
        raise

    def tell(_: object) -> None:
        with suppress(RuntimeError):  # the loop has ended, and nothing is counted any more
            loop.call_soon_threadsafe(done)

    running.add_done_callback(tell)
    return asyncio.wrap_future(running)
