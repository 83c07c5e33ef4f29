"""Workers as processes of this machine."""

import multiprocessing
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Final

from bsim.fuzz.campaign import Options, Progress
from bsim.fuzz.files import Seed
from bsim.fuzz.finding import Finding
from bsim.fuzz.result import RunReport
from bsim.fuzz.workers import SLICE, Coordinator, SliceResult, Worker

_CONTEXT: Final = multiprocessing.get_context("spawn")


@dataclass
class _Peer:
    """A process, the line to it, and what is to be told to it with its next slice."""

    process: BaseProcess
    line: "Connection[Any, Any]"
    seeds: list[Seed] = field(default_factory=list)


def run(
    options: Options,
    jobs: int,
    progress: Callable[[Progress], None] = lambda _: None,
    on_finding: Callable[[Finding], None] = lambda _: None,
) -> RunReport:
    """Fuzz with so many processes until a budget is spent; one that dies costs its slice and no more."""
    coordinator = Coordinator(options)
    peers = {index: _start(options, index) for index in range(jobs)}
    interrupted = False
    try:
        for peer in peers.values():
            _send(peer, coordinator)
        while peers and not coordinator.over():
            for index, peer in [(i, p) for i, p in peers.items() if p.line in wait([q.line for q in peers.values()])]:
                try:
                    result = peer.line.recv()
                except (EOFError, OSError):
                    coordinator.lost += 1
                    del peers[index]
                    continue
                if not isinstance(result, SliceResult):
                    raise TypeError("a worker handed over something else than a slice")
                findings, seeds = coordinator.absorb(index, result)
                for finding in findings:
                    on_finding(finding)
                for other in peers.values():
                    if other is not peer:
                        other.seeds += seeds
                progress(coordinator.progress())
                _send(peer, coordinator)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        for peer in peers.values():
            peer.line.close()
            peer.process.terminate()
            peer.process.join()
    return coordinator.report(interrupted=interrupted)


def _start(options: Options, index: int) -> _Peer:
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_serve, args=(theirs, options, index), daemon=True, name=f"bsim-fuzz-{index}")
    process.start()
    theirs.close()
    return _Peer(process, ours)


def _send(peer: _Peer, coordinator: Coordinator) -> None:
    seeds, peer.seeds = peer.seeds, []
    peer.line.send((SLICE, seeds, list(coordinator.findings)))


def _serve(line: "Connection[Any, Any]", options: Options, index: int) -> None:
    """Serve slices until the line is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the coordinator, which ends the run
    worker = Worker(options, index)
    try:
        while True:
            line.send(worker.slice(*line.recv()))
    except (EOFError, OSError):
        return
