"""Run in an environment that has nothing but bsim and its extra `cluster`: a local Ray, of which one worker is killed.

Prints one JSON object: what was seen of the sockets, the worker that was killed, and the report.
"""

import json
import os
import signal
import sys
from contextlib import redirect_stdout
from pathlib import Path

from bsim.fuzz import cluster
from bsim.fuzz.campaign import Options
from bsim.fuzz.crew import lead
from bsim.fuzz.files import Seed
from bsim.fuzz.finding import Finding
from bsim.fuzz.workers import Coordinator, SliceResult

_LISTENS = "0A"


def descendants(pid: int) -> set[int]:
    found = {pid}
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def listening(pids: set[int]) -> list[str]:
    """The addresses, as /proc has them, that processes listen to."""
    sockets = set()
    for pid in pids:
        try:
            sockets |= {os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir()}
        except OSError:
            continue
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return [row[1].rpartition(":")[0] for row in rows if row[3] == _LISTENS and f"socket:[{row[9]}]" in sockets]


class Heard(Coordinator):
    """Takes down which workers were heard of."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.heard: set[int] = set()

    def absorb(self, index: int, result: SliceResult) -> tuple[list[Finding], list[Seed]]:
        self.heard.add(index)
        return super().absorb(index, result)


def main(folder: str) -> None:
    options = Options(4, folder=Path(folder), phases=("explore",), max_time=120)
    actors = cluster.Actors(cluster.connect(cluster.LOCAL, 2), options)
    coordinator = Heard(options)
    seen: dict[str, object] = {}
    counts: list[int] = []

    def progress(now) -> None:
        counts.append(now.apdus)
        if len(counts) == 4:
            pids = descendants(os.getpid())
            seen["listening"] = listening(pids)
            victim = min(pid for pid in pids if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::Actor"))
            os.kill(victim, signal.SIGKILL)
        if len(coordinator.heard) == 3 and len(counts) > 8:
            raise KeyboardInterrupt

    with redirect_stdout(sys.stderr):  # Ray tells of the dead there
        report = lead(actors, 2, coordinator, progress)
    print(json.dumps(seen | {"counts": counts, "report": report.as_json()}))


if __name__ == "__main__":
    main(sys.argv[1])
