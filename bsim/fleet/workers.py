"""Processes that share out work: each has its own copy of a task, and its own line to us."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from bsim.fleet.spawn import CONTEXT, spawn

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

T = TypeVar("T")
R = TypeVar("R")

_AHEAD: Final = 2  # pieces of work given out for each process, so that none waits for us


class FleetError(Exception):
    """What a fleet was asked for did not come about; the message says why."""


class Workers(Generic[T, R]):
    """So many processes (1 or more), each serving `task`; a context manager. FleetError where one dies."""

    def __init__(self, task: Callable[[T], R], processes: int) -> None:
        self._lines: Final = [_Line(task) for _ in range(processes)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in self._lines:
            line.forget()
        for line in self._lines:
            line.close()

    def submit(self, number: int, work: T) -> "Future[R]":
        """Give work to the process of that number (0 to processes - 1); it does its work in order."""
        return self._lines[number].submit(work)

    def map(self, work: Iterable[T]) -> Iterator[R]:
        """Give the work to all processes in turn; answers the results in order, reading little ahead."""
        pending: deque[Future[R]] = deque()
        for number, piece in enumerate(work):
            pending.append(self.submit(number % len(self._lines), piece))
            if len(pending) == _AHEAD * len(self._lines):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


class _Line:
    """One process, and the thread that sends it work and waits for the result: never both sides send at once."""

    def __init__(self, task: Callable[[Any], Any]) -> None:
        self._connection, theirs = CONTEXT.Pipe()
        self._process = spawn(_work, theirs, task)
        theirs.close()
        self._thread = ThreadPoolExecutor(1)

    def submit(self, work: Any) -> "Future[Any]":
        """Queue a piece of work."""
        return self._thread.submit(self._exchange, work)

    def forget(self) -> None:
        """Drop the work that was not begun."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Let the process finish what it is at, and end."""
        self._thread.shutdown(wait=True)
        self._connection.close()
        self._process.join()
        self._process.close()

    def _exchange(self, work: Any) -> Any:
        try:
            self._connection.send(work)
            done, answer = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            raise FleetError(
                f"a worker process ended (exit code {self._process.exitcode}); a script that uses processes begins "
                'under `if __name__ == "__main__":`'
            ) from None
        if not done:
            raise answer
        return answer


def _work(connection: "Connection", task: Callable[[Any], Any]) -> None:
    """What the process does, until the line is closed or whoever began it is gone."""
    with connection, suppress(EOFError, OSError):
        while True:
            work = connection.recv()
            try:
                answer: tuple[bool, Any] = True, task(work)
            except Exception as fault:  # noqa: BLE001 - it is raised where the result is wanted
                answer = False, fault
            connection.send(answer)
