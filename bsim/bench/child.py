"""A module in a process of its own that does not outlive the bench, whatever ends that: child.py MODULE WORD..."""

import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def child(module: str, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a module as `python -m` does, until the block ends. Its standard input is ours to hold: it ends with us."""
    command = [sys.executable, "-m", __name__, module, *words]
    with subprocess.Popen(  # noqa: S603 - ours
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
