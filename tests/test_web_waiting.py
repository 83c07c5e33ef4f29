"""Who gives up: requests whose clients have gone take up no more than others, and give it back when they are done."""

import asyncio
import json
import logging
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event

import pytest
from helpers import MNEMONIC
from web_client import DERIVE, SELECT, Client, serving

from bsim.lab.emulated import EmulatedCard
from bsim.links.web import WebServer
from bsim.links.web.hosted import Hosted
from bsim.links.web.line import Line
from bsim.links.web.message import Refusal
from bsim.links.web.rack import WEB
from bsim.ports import Card
from bsim.profiles import personalisation, personalise
from bsim.store import RamStore

pytest.importorskip("wsproto")
RESET = b"\1\0\0\0\0\0\0\0"  # SO_LINGER: close with a reset


class Pool(ThreadPoolExecutor):
    """Counts what it is given."""

    given = 0

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        self.given += 1
        return super().submit(fn, *args, **kwargs)


class Busy:
    """Work that goes on until it may end."""

    def __init__(self) -> None:
        self.begun, self.may_end = Event(), Event()

    def __call__(self) -> str:
        self.begun.set()
        self.may_end.wait(60)  # so that a test that fails ends as well
        return "busy"


async def give_up(task: "asyncio.Future[str]") -> None:
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def queued(line: Line, work: object) -> "asyncio.Future[str]":
    outcome = line.run(work, slow=True)  # type: ignore[arg-type]
    return asyncio.ensure_future(outcome)  # type: ignore[arg-type]


def test_who_gives_up_has_the_card_until_its_thread_is_done() -> None:
    async def main() -> None:
        line, busy = Line(pool, 3), Busy()
        first = queued(line, busy)
        await asyncio.to_thread(busy.begun.wait)
        await give_up(first)
        for _ in range(10):  # who gives up in the queue leaves it
            await give_up(queued(line, pytest.fail))
        assert pool.given == 1
        waiting = [queued(line, lambda number=number: str(number)) for number in range(2)]
        with pytest.raises(Refusal, match="too many requests wait"):
            await queued(line, pytest.fail)
        assert pool.given == 1
        busy.may_end.set()
        assert await asyncio.gather(*waiting) == ["0", "1"]
        assert line.run(lambda: "at once") == "at once"
        assert await queued(line, lambda: "later") == "later"

    with Pool(4) as pool:
        asyncio.run(main())


def test_no_more_wait_than_may_though_they_come_at_once() -> None:
    async def main() -> None:
        line, busy = Line(pool, 3), Busy()
        all_at_once = [queued(line, busy) for _ in range(5)]
        await asyncio.sleep(0)
        busy.may_end.set()
        got = await asyncio.gather(*all_at_once, return_exceptions=True)
        assert got[:3] == ["busy"] * 3
        assert [type(one) for one in got[3:]] == [Refusal] * 2

    with Pool(1) as pool:
        asyncio.run(main())


def test_a_thread_that_outlives_the_server_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    busy = Busy()

    async def main() -> None:
        line = Line(pool, 3)
        line.begin(busy, slow=True)
        await asyncio.to_thread(busy.begun.wait)

    with Pool(1) as pool:
        asyncio.run(main())
        caplog.clear()
        busy.may_end.set()
    assert not caplog.records


def test_what_cannot_begin_gives_its_turn_back() -> None:
    async def main() -> None:
        line = Line(pool, 1)
        for _ in range(3):
            with pytest.raises(RuntimeError, match="shutdown"):
                await queued(line, pytest.fail)

    pool = Pool(1)
    pool.shutdown()
    asyncio.run(main())


class Slow:
    """A card that answers when it may."""

    def __init__(self, card: Card, busy: Busy) -> None:
        self._card, self._busy = card, busy
        self.reset = card.reset

    def transmit(self, command: bytes) -> bytes:
        self._busy()
        return self._card.transmit(command)


def slow_card(server: WebServer, busy: Busy) -> Hosted:
    store = RamStore()
    personalise(store, personalisation(mnemonic=MNEMONIC))
    return server.rack.add(
        lambda phone: EmulatedCard(store, phone), handset=WEB, wrap=lambda card: Slow(card, busy), quick=False
    )


def vanish(
    server: WebServer, method: str, path: str, body: object = None, *, until: Callable[[], object] = lambda: True
) -> None:
    """Send a request, and go with a reset while it is being answered."""
    sent = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    before = set(server.site._connections)
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=20)) as connection:
        connection.sendall(f"{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent)
        while not any(one._task is not None for one in set(server.site._connections) - before):
            pass
        while not until():
            pass
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    while set(server.site._connections) - before:
        pass


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_requests_given_up_on_a_slow_card_leave_the_others_their_threads(method: str) -> None:
    with serving(cards=3) as (server, client):
        busy = Busy()
        number = slow_card(server, busy).number
        path = f"/v1/cards/{number}"
        vanish(server, "POST", f"{path}/apdu", {"apdu": SELECT}, until=busy.begun.is_set)
        for _ in range(6):  # as many as there are threads, and as many again
            vanish(
                *((server, "POST", f"{path}/apdu", {"apdu": SELECT}) if method == "POST" else (server, method, path))
            )
        other = client.card()
        assert client.post(f"{other}/fork")[0] == 201
        busy.may_end.set()
        if method == "POST":
            assert client.apdu(path, SELECT).endswith("9000")
        else:  # it goes, though nobody waits for it
            while client.get(path)[0] != 404:
                pass


def test_a_card_that_too_many_wait_for_is_not_let_go_by_half() -> None:
    with serving(waiting=1) as (server, client):
        busy = Busy()
        number = slow_card(server, busy).number
        session = client.done("/v1/sessions", {"card": number}, 201)["session"]
        vanish(server, "POST", f"/v1/cards/{number}/apdu", {"apdu": SELECT}, until=busy.begun.is_set)
        assert client.call("DELETE", f"/v1/cards/{number}")[0] == 503
        assert client.get(f"/v1/sessions/{session}")[0] == 200
        busy.may_end.set()
        while (status := client.call("DELETE", f"/v1/cards/{number}")[0]) == 503:
            pass
        assert status == 204
        assert client.get(f"/v1/sessions/{session}")[0] == 404


def test_a_signature_counts_until_its_user_has_decided() -> None:
    with serving(calls=1) as (server, client):
        card = client.card()
        for command in (SELECT, DERIVE):
            client.apdu(card, command)
        address = client.done("/rpc", {"id": 1, "method": "eth_accounts"})["result"][0]
        sign = {"id": 2, "method": "personal_sign", "params": ["0x01", address]}

        def dialogues() -> list[dict[str, object]]:
            return list(client.get(f"{card}/dialogues")[1]["dialogues"])

        vanish(server, "POST", "/rpc", [sign, sign], until=dialogues)
        assert client.post("/rpc", {"id": 3, "method": "eth_chainId"})[0] == 503
        client.done(f"{card}/dialogues/{dialogues()[0]['id']}", {"action": "cancel"})
        while (status := client.post("/rpc", {"id": 3, "method": "eth_chainId"})[0]) == 503:
            pass
        assert status == 200
        assert dialogues() == []  # nobody wants the second of them
        with closing(Client(server.url)) as other:
            assert other.apdu(card, SELECT).endswith("9000")


def test_what_the_server_does_itself_is_never_refused() -> None:
    """A dialogue whose time is over ends, though as many requests wait as may."""
    ended = []

    async def main(pool: ThreadPoolExecutor) -> None:
        line, busy = Line(pool, 1), Busy()
        first = queued(line, busy)
        await asyncio.sleep(0)
        with pytest.raises(Refusal):
            await queued(line, busy)
        line.begin(lambda: ended.append(1), slow=True)
        busy.may_end.set()
        assert await first == "busy"
        async with asyncio.timeout(60):
            while not ended:
                await asyncio.sleep(0.01)

    with ThreadPoolExecutor(4) as pool:
        asyncio.run(main(pool))
