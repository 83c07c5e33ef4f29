"""Workers as actors of a Ray cluster, or of a Ray that is started on this machine alone: long-lived, a slice a call.

Ray sends no statistics, and what is started here listens to this machine only, without its dashboard.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from typing import Any, Final

from bsim.fuzz.campaign import Options, Progress
from bsim.fuzz.crew import lead
from bsim.fuzz.files import Seed
from bsim.fuzz.finding import Finding
from bsim.fuzz.result import RunReport
from bsim.fuzz.workers import SLICE, Coordinator, Make, SliceResult, Worker

LOCAL: Final = "local"
_ASKED: Final = "RAY_AUTH_MODE=token in the environment"


class ClusterError(Exception):
    """No cluster to work on; the message says what to do."""


class Actor:
    """Holds a worker where Ray has put it."""

    def __init__(self, make: Make, options: Options, index: int) -> None:
        self._worker: Final = make(options, index)

    def slice(self, seconds: float, seeds: Iterable[Seed], known: Iterable[str]) -> SliceResult:
        """Do a slice."""
        return self._worker.slice(seconds, seeds, known)

    def close(self) -> SliceResult | None:
        """Have the worker let go of what it holds."""
        return self._worker.close()


class Actors:
    """A crew of actors; a worker is lost when Ray says that its actor died, or its machine."""

    def __init__(
        self, ray: Any, options: Options, seconds: float = SLICE, make: Make = Worker, patience: float = 0.0
    ) -> None:
        """`make` makes another worker than the emulated cards'; `patience` is how long it may take to let go."""
        self._ray: Final = ray
        self._make: Final = make
        self._patience: Final = patience
        self._options: Final = options
        self._seconds: Final = seconds
        self._class: Final = ray.remote(num_cpus=1, max_restarts=0)(Actor)
        self.actors: Final[dict[int, Any]] = {}
        self._waited: Final[dict[Any, int]] = {}

    def start(self, index: int) -> None:
        """Start an actor, where the cluster has room."""
        self.actors[index] = self._class.remote(self._make, self._options, index)

    def ask(self, index: int, seeds: list[Seed], known: list[str]) -> None:
        """Call for the next slice."""
        self._waited[self.actors[index].slice.remote(self._seconds, seeds, known)] = index

    def wait(self, seconds: float | None = None) -> list[tuple[int, SliceResult | None]]:
        """Wait for a call to end."""
        ready, _ = self._ray.wait(list(self._waited), num_returns=1, timeout=seconds)
        return [(self._waited.pop(one), self._received(one)) for one in ready]

    def stop(self) -> list[tuple[int, SliceResult]]:
        """Let go of the cluster; a Ray that was started here ends, one that was there before loses these actors."""
        try:
            return self._let_go() if self._patience else []
        finally:
            for actor in self.actors.values():
                self._ray.kill(actor)
            self._ray.shutdown()

    def _let_go(self) -> list[tuple[int, SliceResult]]:
        calls = {actor.close.remote(): index for index, actor in self.actors.items()}
        ended, _ = self._ray.wait(list(calls), num_returns=len(calls), timeout=self._patience)
        said = [(calls[call], self._received(call)) for call in ended]
        return [(index, one) for index, one in said if one is not None]

    def _received(self, call: object) -> SliceResult | None:
        try:
            result = self._ray.get(call)
        except self._ray.exceptions.RayActorError:
            return None
        if result is not None and not isinstance(result, SliceResult):
            raise TypeError("a worker handed over something else than a slice")
        return result


def run(
    options: Options,
    address: str,
    jobs: int | None,
    progress: Callable[[Progress], None] = lambda _: None,
    on_finding: Callable[[Finding], None] = lambda _: None,
    *,
    begin: Callable[[], None] = lambda: None,
) -> RunReport:
    """Fuzz with so many actors (None: one for each processor of the cluster) until a budget is spent.

    `begin` is called when there is a cluster to work on.
    """
    with redirect_stdout(sys.stderr):  # where Ray tells of workers that died; standard output is the report's
        ray = connect(address, jobs)
        jobs = jobs or max(int(ray.cluster_resources().get("CPU", 1)), 1)
        begin()
        return lead(Actors(ray, options), jobs, Coordinator(options), progress, on_finding)


def connect(address: str, jobs: int | None = None) -> Any:
    """Answer Ray's module, connected to `local` or `ray://HOST:PORT`; ClusterError otherwise."""
    if address != LOCAL and not address.startswith("ray://"):
        raise ClusterError(f"no cluster {address!r}: it is local, or ray://HOST:PORT")
    # Both before the import, which reads them. The second makes Ray take 127.0.0.1 for this machine's address, on any
    # system: else every part of it listens to the whole network.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address == LOCAL:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    try:
        told = signal.getsignal(signal.SIGTERM)
        import ray  # noqa: PLC0415 - heavy, and in the extra `cluster`
        import ray.exceptions  # noqa: PLC0415
    except ImportError as fault:
        raise ClusterError("Ray is not installed: pip install 'bsim[cluster]'") from fault
    try:
        if address == LOCAL:
            ray.init(LOCAL, num_cpus=jobs, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, OSError, ValueError) as fault:
        raise ClusterError(
            f"{address}: no cluster there ({fault}); one that asks for a token wants {_ASKED}"
        ) from fault
    if told is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, told)  # Ray has put its own there, which ends the process without a report
    return ray
