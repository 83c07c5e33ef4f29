"""From the command line to a server that is ready, and to its first answer; over an empty server in the same Python."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.client import HTTPConnection
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

from bsim.bench.runner import BenchError, Contestant, Plan, Result, Target, interleave, ratio

FLOOR: Final = "an empty asyncio server"
READY: Final = "bsim serve --http"
_ANSWER: Final = "bsim serve --http, first answer"
_MOST_MS: Final = 300
_EMPTY: Final = """
import asyncio
async def main():
    await asyncio.start_server(print, "127.0.0.1", 0)
    print("{}", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
_SERVE: Final = ("-m", "bsim", "serve", "--http", "127.0.0.1:0", "--json")


def bench(plan: Plan) -> Result:
    """Measure; BenchError where the web extra is not installed."""
    result = Result("start", "processes, until they say that they are ready or answer", FLOOR, plan.rounds)
    contestants: dict[str, Contestant] = {
        "python -c pass": partial(_until_end, ("-c", "pass")),
        "import asyncio": partial(_until_end, ("-c", "import asyncio")),
        FLOOR: partial(_until_ready, ("-c", _EMPTY)),
        "bsim --help": partial(_until_end, ("-m", "bsim", "--help")),
        READY: partial(_until_ready, _SERVE),
        _ANSWER: _until_answer,
    }
    samples = interleave(contestants, replace(plan, slices=1))
    result.add(samples)
    ready = ratio({**samples, "ms": [1_000.0] * plan.rounds}, READY, "ms")
    result.targets.append(Target(f"{READY}, ms", ready, f"<= {_MOST_MS}", ready.median <= _MOST_MS))
    return result


def _until_end(words: Sequence[str]) -> float:
    """Microseconds until a process has ended."""
    begin = perf_counter()
    subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)  # noqa: S603
    return (perf_counter() - begin) * 1e6


@contextmanager
def _started(words: Sequence[str]) -> Iterator[dict[str, str]]:
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise BenchError("the server did not start: pip install 'bsim[web]'")
            yield json.loads(line)
        finally:
            process.terminate()


def _until_ready(words: Sequence[str]) -> float:
    """Microseconds until a process prints its line."""
    begin = perf_counter()
    with _started(words):
        return (perf_counter() - begin) * 1e6


def _until_answer() -> float:
    """Microseconds until the first card has answered GET VERSION."""
    begin = perf_counter()
    with _started(_SERVE) as ready:
        connection = HTTPConnection(urlsplit(ready["http"]).netloc)
        body, headers = json.dumps({"apdu": "00CA000002"}), {"Content-Type": "application/json"}
        connection.request("POST", f"/v1/cards/{ready['card']}/apdu", body, headers)
        if connection.getresponse().status != 200:
            raise BenchError("the server's first card does not answer")
        took = (perf_counter() - begin) * 1e6
        connection.close()
        return took
