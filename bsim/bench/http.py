"""The web server as its clients see it: APDUs over keep-alive connections, the console's first paint.

The server is a process of its own, `bsim serve --http`; the clients are one process that waits for all of them at once.
"""

import json
import shutil
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from selectors import EVENT_READ, DefaultSelector
from socket import IPPROTO_TCP, TCP_NODELAY, create_connection, socket
from time import perf_counter, perf_counter_ns
from typing import Final
from urllib.parse import urlsplit

from bsim.bench.cards import SELECT
from bsim.bench.child import child
from bsim.bench.runner import BenchError, Plan, Ratio, Result, Row, Target

CLIENTS: Final = 8
REQUESTS: Final = 4_000
LINES: Final = 10_000
_DERIVE: Final = bytes.fromhex("80A80002050000003C01")
_VERIFY: Final = bytes.fromhex("807C000000")
_VERSION: Final = bytes.fromhex("00CA000002")
_SIGN: Final = bytes.fromhex("80AC0000250000003C01") + bytes(range(32))
_LEAST: Final = 2_000
_PAINT: Final = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
# Measured on a machine of the kind these are meant for; its API carries one APDU a request too.
_PEER: Final = "Speculos 0.27 over its REST API: 316 APDU/s"


def bench(plan: Plan, requests: int = REQUESTS, lines: int = LINES) -> Result:
    """Measure; BenchError where the web extra is not installed."""
    result = Result("http", f"the web server, {CLIENTS} clients on keep-alive connections", "none", plan.rounds)
    with _server() as url:
        card = _card(url)
        for name, command in (("GET VERSION", _VERSION), ("SIGN", _SIGN)):
            for clients in (1, CLIENTS):
                times = partial(_ask, url, card, command, clients, requests)
                _load(result, f"{name}, {clients} client{'s' if clients > 1 else ''}", times, many=clients > 1)
        _paint(result, url, card, lines)
    result.notes.append(_PEER)
    return result


def _judge(result: Result, name: str, found: float, target: str, met: bool) -> None:
    result.targets.append(Target(name, Ratio(found, found, found), target, met))


def _load(result: Result, name: str, ask: Callable[[], Iterator[float]], *, many: bool) -> None:
    begin = perf_counter()
    times = sorted(ask())
    rate = len(times) / (perf_counter() - begin)
    result.rows.append(Row(name, rate, "APDU/s"))
    result.rows.append(Row(f"{name}, p50", times[len(times) // 2], "us"))
    result.rows.append(Row(f"{name}, p99", times[int(len(times) * 0.99)], "us"))
    if many:
        _judge(result, f"{name}, APDU/s", rate, f">= {_LEAST:,}", rate >= _LEAST)


@contextmanager
def _server() -> Iterator[str]:
    with child("bsim", "serve", "--http", "127.0.0.1:0", "--handset", "right", "--json") as process:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise BenchError("the server did not start: pip install 'bsim[web]'")
        yield json.loads(line)["http"]


def _card(url: str) -> str:
    """A card that is ready to sign; answers its number."""
    connection = HTTPConnection(urlsplit(url).netloc)

    def post(path: str, body: object) -> dict[str, str]:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer: dict[str, str] = json.loads(connection.getresponse().read())
        return answer

    card = post("/v1/cards", {"handset": "right"})["id"]
    for command in (SELECT, _DERIVE, _VERIFY):
        post(f"/v1/cards/{card}/apdu", {"apdu": command.hex()})
    connection.close()
    return card


def _ask(url: str, card: str, command: bytes, clients: int, requests: int) -> Iterator[float]:
    """Each client asks again when it is answered; microseconds a request."""
    where = urlsplit(url)
    body = json.dumps({"apdu": command.hex()})
    head = f"POST /v1/cards/{card}/apdu HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
    began: dict[socket, int] = {}
    with DefaultSelector() as selector:
        for _ in range(clients):
            connection = create_connection((where.hostname, where.port))
            connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            selector.register(connection, EVENT_READ)
            began[connection] = perf_counter_ns()
            connection.sendall(request)
        for _ in range(requests // clients):
            yield from _answers(selector, began, request)
        for connection in began:
            connection.close()


def _answers(selector: DefaultSelector, began: dict[socket, int], request: bytes) -> Iterator[float]:
    for _ in range(len(began)):
        for key, _events in selector.select():
            connection = key.fileobj
            if not isinstance(connection, socket):
                continue
            answer = connection.recv(65_536)
            if not answer.startswith(b"HTTP/1.1 200") or not answer.endswith(b"}"):
                raise BenchError(f"the server answered {answer[:60]!r}")
            now = perf_counter_ns()
            yield (now - began[connection]) / 1_000
            began[connection] = perf_counter_ns()
            connection.sendall(request)


def _paint(result: Result, url: str, card: str, lines: int) -> None:
    """The console's first paint, and when all lines are in its trace; where there is a browser."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - for developers
    except ImportError:
        chromium = None
    if chromium is None:
        result.missing["the console's first paint"] = "no Chromium, or no playwright"
        return
    list(_ask(url, card, _VERSION, CLIENTS, lines))
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        times = [_painted(browser.new_page, f"{url}/", lines) for _ in range(3)]
        browser.close()
    first, whole = (statistics.median(part) for part in zip(*times, strict=True))
    result.rows.append(Row("the console's first paint", first, "ms"))
    result.rows.append(Row(f"the console with {lines:,} trace lines", whole, "ms"))
    _judge(result, "first paint, ms", first, "< 1000", first < 1_000)


def _painted(new_page: Callable[[], object], url: str, lines: int) -> tuple[float, float]:
    from playwright.sync_api import Page  # noqa: PLC0415 - as above

    page = new_page()
    if not isinstance(page, Page):
        raise BenchError("the browser gave no page")
    begin = perf_counter()
    page.goto(url)
    page.select_option("#card", index=1)
    page.locator("#shown", has_text=f"{lines:,} lines").wait_for()
    whole = (perf_counter() - begin) * 1e3
    first = float(page.evaluate(_PAINT))
    page.close()
    return first, whole
