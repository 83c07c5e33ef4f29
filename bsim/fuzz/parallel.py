"""Workers as processes of this machine."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Final

from bsim.fleet.spawn import CONTEXT, spawn
from bsim.fuzz.campaign import Options, Progress
from bsim.fuzz.crew import lead
from bsim.fuzz.files import Seed
from bsim.fuzz.finding import Finding
from bsim.fuzz.result import RunReport
from bsim.fuzz.workers import SLICE, Coordinator, Make, SliceResult, Worker

_SILENCE: Final = 300.0
"""Slices take a second, or minutes where a card hangs and what it takes to have it hang is looked for."""


@dataclass(frozen=True, slots=True)
class _Peer:
    """A process, and the line to it."""

    process: BaseProcess
    line: "Connection[Any, Any]"


class Processes:
    """A crew of processes; a worker is lost when its line breaks."""

    def __init__(
        self,
        options: Options,
        seconds: float = SLICE,
        make: Make = Worker,
        patience: float = 0.0,
        silence: float = _SILENCE,
    ) -> None:
        """`patience` is how long a worker may take to let go of what it holds; where it holds a card in a reader, it is
        waited for without end. Else no worker may be silent longer than `silence` seconds.
        """
        self._options: Final = options
        self._make: Final = make
        self._patience: Final = patience
        self._silence: Final = None if patience else silence
        self._seconds: Final = seconds
        self.peers: Final[dict[int, _Peer]] = {}
        self._asked: Final[set[int]] = set()
        self._left: Final[list[_Peer]] = []
        self._torn: int | None = None
        """Whose answer was being read when the run was interrupted: the rest of it would be taken for another."""

    def start(self, index: int) -> None:
        """Start a process."""
        ours, theirs = CONTEXT.Pipe()
        process = spawn(_serve, theirs, self._make, self._options, index, name=f"bsim-fuzz-{index}")
        theirs.close()
        self.peers[index] = _Peer(process, ours)

    def ask(self, index: int, seeds: list[Seed], known: list[str]) -> None:
        """Send what the next slice begins with; that nobody reads it any more is seen when the answer is awaited."""
        self._asked.add(index)
        try:
            self.peers[index].line.send((self._seconds, seeds, known))
        except (BrokenPipeError, ConnectionResetError):
            self.peers[index].process.join()

    def wait(self, seconds: float | None = None) -> list[tuple[int, SliceResult | None]]:
        """Wait for answers, or for lines that break; all are lost of whom nothing is heard for too long."""
        ready = wait([peer.line for peer in self.peers.values()], self._silence if seconds is None else seconds)
        if not ready and seconds is None:
            return [self._dropped(index) for index in sorted(self._asked)]
        return [(index, self._received(index)) for index, peer in list(self.peers.items()) if peer.line in ready]

    def stop(self) -> list[tuple[int, SliceResult]]:
        """End all processes; answers what those say at the end that had something to let go of."""
        try:
            return self._let_go() if self._patience else []
        finally:
            for peer in (*self.peers.values(), *self._left):
                peer.line.close()
                peer.process.kill()  # SIGTERM it does not listen to
                peer.process.join()

    def _let_go(self) -> list[tuple[int, SliceResult]]:
        """Have all let go of what they hold; who takes too long, or was not understood, is waited for and not heard."""
        end = time.monotonic() + self._patience
        for peer in self._left:
            peer.line.close()
        for peer in self.peers.values():
            with suppress(OSError):  # it has gone
                peer.line.send(None)
        said = [(index, one) for index, peer in self.peers.items() for one in _said(peer, end)]
        for peer in (*self.peers.values(), *self._left):
            peer.process.join(max(end - time.monotonic(), 0.0))
        return said

    def _dropped(self, index: int) -> tuple[int, None]:
        self._asked.discard(index)
        peer = self.peers.pop(index)
        peer.process.kill()
        peer.process.join()
        peer.line.close()
        return index, None

    def _received(self, index: int) -> SliceResult | None:
        self._asked.discard(index)
        if index == self._torn:
            self._left.append(self.peers.pop(index))
            return None
        self._torn = index
        try:
            result = self.peers[index].line.recv()
        except (EOFError, OSError):
            del self.peers[index]
            return None
        self._torn = None
        if not isinstance(result, SliceResult):
            raise TypeError("a worker handed over something else than a slice")
        return result


def _said(peer: _Peer, end: float) -> Iterator[SliceResult]:
    """What a process that ends hands over until then: the slice it was in, and what it did after it."""
    with suppress(EOFError, OSError):
        while peer.line.poll(max(end - time.monotonic(), 0.0)):
            if isinstance(result := peer.line.recv(), SliceResult):
                yield result


def run(
    options: Options,
    jobs: int,
    progress: Callable[[Progress], None] = lambda _: None,
    on_finding: Callable[[Finding], None] = lambda _: None,
) -> RunReport:
    """Fuzz with so many processes until a budget is spent."""
    return lead(Processes(options), jobs, Coordinator(options), progress, on_finding)


def _serve(line: "Connection[Any, Any]", make: Make, options: Options, index: int) -> None:
    """Serve slices until there are none to do, or the line is closed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # all of a group get it; whoever leads has workers let go of cards
    worker = make(options, index)
    try:
        while (work := line.recv()) is not None:
            line.send(worker.slice(*work))
    except (EOFError, OSError):
        return
    finally:
        last = worker.close()
    line.send(last)
