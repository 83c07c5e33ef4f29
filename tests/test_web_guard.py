"""Who may ask, how much, and what happens to those who ask wrongly: a refusal each, and the service goes on."""

import base64
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from helpers import running
from web_client import DERIVE, SELECT, SIGN, VERIFY, Client, serving

from bsim.lab.trace import read
from bsim.links.web import WebServer

pytest.importorskip("wsproto")
TOKEN = "a-token-of-sixteen"
ORIGIN = "http://app.example"
POST = b"POST /v1/cards HTTP/1.1\r\nHost: localhost\r\n"


@contextmanager
def wire(server: WebServer) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=20)) as connection:
        yield connection


def answer(connection: socket.socket) -> bytes:
    """All that comes until the server hangs up."""
    got = b""
    while part := connection.recv(65_536):
        got += part
    return got


def works(client: Client) -> bool:
    return client.get("/healthz")[0] == 200


def test_a_token_is_wanted_where_there_is_one() -> None:
    with serving(TOKEN) as (server, client):
        assert client.get("/healthz")[0] == 200
        assert client.raw("GET", "/")[0] == 200
        assert client.get("/v1/openapi.json")[0] == 200
        for headers in ({}, {"Authorization": "Bearer wrong-token-here"}, {"Authorization": f"Basic {TOKEN}"}):
            assert client.get("/v1/cards", **headers)[0] == 401
            assert client.get("/nothing/here", **headers)[0] == 401
        assert client.get("/v1/cards", Authorization=f"Bearer {TOKEN}")[0] == 200
        assert client.get("/v1/cards", Authorization=f"Bearer {TOKEN}", Host="any.example")[0] == 200
        with pytest.raises(ConnectionError, match="401"), feed(server, "1"):
            pass


def test_only_loopback_without_a_token() -> None:
    with pytest.raises(ValueError, match="token"):
        WebServer("0.0.0.0")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", "[::2]:1", ""])
def test_another_host_is_refused(host: str) -> None:
    with serving() as (_, client):
        assert client.get("/healthz", Host=host)[0] == 421
        assert client.get("/healthz", Host="localhost:1")[0] == 200


def test_origins() -> None:
    with serving(origins=(ORIGIN,)) as (server, client):
        preflight = {"Origin": ORIGIN, "Access_Control_Request_Headers": "content-type"}
        status, headers, _ = client.raw("OPTIONS", "/v1/cards", **preflight)
        assert (status, headers["access-control-allow-origin"]) == (204, ORIGIN)
        status, headers, _ = client.raw("GET", "/v1/cards", Origin=ORIGIN)
        assert (status, headers["access-control-allow-origin"]) == (200, ORIGIN)
        assert client.get("/v1/cards", Origin=server.url)[0] == 200
        for origin in ("http://evil.example", "null", f"{ORIGIN}.evil.example", f"http://127.0.0.1:{server.port + 1}"):
            status, headers, _ = client.raw("GET", "/v1/cards", Origin=origin)
            assert status == 403
            assert "access-control-allow-origin" not in headers
            assert client.raw("OPTIONS", "/v1/cards", Origin=origin)[0] == 403
            with pytest.raises(ConnectionError, match="403"), feed(server, "1", origin=origin):
                pass


def test_too_often() -> None:
    with serving(rate=0.001, burst=3) as (_, client):
        assert [client.get("/healthz")[0] for _ in range(4)] == [200, 200, 200, 429]


@pytest.mark.parametrize(
    "path",
    [
        *("/../etc/passwd", "/v1/cards/../../x", "/%2e%2e/x", "/v1/cards/1%2fapdu", "/v1//cards", "//", "/v1/cards/"),
        *("/v1/cards/%00", "/console.js/..", "/index.html.bak", "/v1/cards/\u00e4", "/v1\\cards", "/.", "/__init__.py"),
    ],
)
def test_path_tricks(path: str) -> None:
    with serving() as (server, client), wire(server) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode("latin-1"))
        assert answer(connection).split(b" ", 2)[1] in {b"404", b"400"}
        assert works(client)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000, 431),
        (POST + b"Content-Length: 99999999\r\n\r\n", 413),
        (POST + b"Content-Length: -1\r\n\r\n", 400),
        (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
    ],
    ids=range(9),
)
def test_what_is_no_http(sent: bytes, status: int) -> None:
    with serving(idle_seconds=0, head_seconds=1) as (server, client), wire(server) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        got = answer(connection)
        assert not got or int(got.split(b" ", 2)[1]) in {status, 400}
        assert works(client)


def test_a_chunked_body_that_never_ends_is_cut() -> None:
    with serving(body=1_000) as (server, client), wire(server) as connection:
        head = POST + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head + b"200\r\n" + b" " * 512 + b"\r\n200\r\n" + b" " * 512 + b"\r\n")
        assert b" 413 " in answer(connection)
        assert works(client)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"7", b"null", b'"text"', b'{"apdu":7}', b'{"apdu":"0"}', b'{"apdu":"zz"}', b"\xff\xfe"),
        *(b'{"apdu":"00","more":1}', b'{"level":"tpdu"}', b"[" * 100_000, b'{"apdu":NaN}', b"1" * 5_000),
    ],
    ids=lambda body: repr(body[:12]),
)
def test_malformed_bodies(body: bytes) -> None:
    with serving() as (_, client):
        card = client.card()
        status, _, told = client.raw("POST", f"{card}/apdu", body, Content_Type="application/json")
        assert status == 400
        assert "error" in json.loads(told)
        assert client.raw("POST", f"{card}/apdu", body or b"x", Content_Type="application/xml")[0] == 415
        assert works(client)


def test_half_open_connections_are_let_go() -> None:
    with serving(head_seconds=0.2, body_seconds=0.2) as (server, client), wire(server) as silent, wire(server) as slow:
        slow.sendall(POST + b"Content-Length: 9\r\n\r\n{")
        for connection in (silent, slow):
            with pytest.raises(ConnectionError):
                connection.recv(1) or _raise()
        assert works(client)


def _raise() -> None:
    raise ConnectionResetError


def test_connections_are_bounded_and_the_idlest_goes_first() -> None:
    with serving(connections=8) as (server, _):
        flood = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(64)]
        with closing(Client(server.url)) as client:
            assert works(client)
        for connection in flood:
            connection.close()


def test_limits_on_what_is_kept() -> None:
    with serving(cards=2, sessions=1, snapshots=1, rules=1, feeds=1) as (server, client):
        card = client.card()
        client.card()
        assert client.post("/v1/cards")[0] == 409
        assert client.post(f"{card}/fork")[0] == 409
        number = {"card": card.rpartition("/")[2]}
        assert [client.post("/v1/sessions", number)[0] for _ in range(2)] == [201, 409]
        assert [client.post(f"{card}/snapshots", {"name": name})[0] for name in ("a", "a", "b")] == [201, 201, 409]
        assert [client.post(f"{card}/faults", {"rule": "on SIGN mute"})[0] for _ in range(2)] == [201, 409]
        with feed(server, "1"), pytest.raises(ConnectionError, match="409"), feed(server, "1"):
            pass


@contextmanager
def feed(server: WebServer, card: str, *, origin: str = "", token: str = "") -> Iterator[socket.socket]:
    """A WebSocket, by hand: the handshake, and frames as they come. RFC 6455."""
    with wire(server) as connection:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET /v1/cards/{card}/feed?after=0 HTTP/1.1", "Host: localhost", "Connection: Upgrade"]
        lines += ["Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"]
        lines += [f"Origin: {origin}"] if origin else []
        lines += [f"Sec-WebSocket-Protocol: bsim, bsim.token.{token}"] if token else []
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        if b" 101 " not in head:
            raise ConnectionError(head.decode())
        yield connection


def frame(connection: socket.socket) -> list[dict[str, object]]:
    """The events of the next text frame."""
    while True:
        first, length = _exactly(connection, 2)
        if length == 126:
            length = struct.unpack(">H", _exactly(connection, 2))[0]
        elif length == 127:
            length = struct.unpack(">Q", _exactly(connection, 8))[0]
        body = _exactly(connection, length)
        if first & 15 == 1:
            events: list[dict[str, object]] = json.loads(body)
            return events


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def test_the_feed_is_live_and_masked() -> None:
    with serving(TOKEN) as (server, client):
        client.headers = {"Authorization": f"Bearer {TOKEN}"}
        card = client.card()
        with feed(server, "1", token=TOKEN) as connection:
            assert [event["type"] for event in frame(connection)] == ["reset"]
            client.apdu(card, "807A000006313233343536")  # SET BPIN
            (event,) = frame(connection)
            assert event["command"] == "807A000006************"
            client.apdu(card, SELECT)
            client.apdu(card, VERIFY)
            seen = frame(connection)
            while not any(event["type"] == "dialogue" for event in seen):
                seen = frame(connection)


def test_a_slow_watcher_hurts_nobody_and_is_told_what_it_missed() -> None:
    with serving(feed=100) as (server, client):
        card = client.card()
        with feed(server, "1") as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            hosted = server.rack.get("1")
            for _ in range(20_000):
                hosted.log.add("test", filling="x" * 400)
            assert client.apdu(card, SELECT).endswith("9000")
            events = frame(connection)
            while not any(event["type"] == "dropped" for event in events):
                events = frame(connection)


def test_a_watcher_that_talks_too_much_is_sent_away() -> None:
    with serving() as (server, client):
        client.card()
        for sent in (b"\x81\xff" + bytes(8) + b"\x00" * 4, b"\x81\x05hello", b"\xff\xff"):
            with feed(server, "1") as connection:
                connection.sendall(sent + bytes(8_000))
                while _one_more(connection):
                    pass
        assert works(client)


def _one_more(connection: socket.socket) -> bool:
    try:
        return bool(frame(connection))
    except (EOFError, ConnectionError):
        return False


@pytest.mark.parametrize("path", ["/v1/cards/9/feed", "/v1/cards/feed", "/feed", "/v1/cards/1/apdu"])
def test_feeds_are_only_of_cards(path: str) -> None:
    with serving() as (_, client):
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
        assert client.raw("GET", path, Sec_WebSocket_Key="AAAA", **upgrade)[0] == 404


def test_a_client_that_vanishes_in_the_middle() -> None:
    with serving() as (server, client):
        card = client.card()
        client.apdu(card, SELECT)
        client.apdu(card, DERIVE)
        address = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
        body = json.dumps({"id": 1, "method": "personal_sign", "params": ["0x01", address]})
        with wire(server) as connection:
            head = "POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            while not client.get(f"{card}/dialogues")[1]["dialogues"]:
                pass
        assert client.apdu(card, SIGN) == "6982"
        assert works(client)


def test_serve_says_when_it_is_ready_and_ends_on_a_signal() -> None:
    with running("-m", "bsim", "serve", "--http", "127.0.0.1:0", "--json") as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        with closing(Client(ready["http"])) as client:
            assert client.get(f"/v1/cards/{ready['card']}")[1]["handset"] == ready["handset"] == "web"
        process.terminate()
        assert process.wait(20) == 0


def test_a_thousand_cards_on_one_server() -> None:
    with serving() as (server, client):
        first = server.rack.make()
        for _ in range(999):
            server.rack.fork(first)
        assert len(client.get("/v1/cards")[1]["cards"]) == 1_000
        assert client.apdu("/v1/cards/1000", SELECT).endswith("9000")
        assert client.apdu("/v1/cards/1", SELECT).endswith("9000")


def serve(*words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "bsim", "serve", *words]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return ran.returncode, ran.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--http", "0.0.0.0:0"], "--token"),
        (["--http", "127.0.0.1"], "HOST:PORT"),
        (["--http", "127.0.0.1:0", "--token", "short"], "--token has"),
        (["--http", "127.0.0.1:0", "--cors", "everyone"], "an origin"),
        (["--http", "127.0.0.1:0", "--handset", "ask"], "console"),
        (["--http", "127.0.0.1:0", "--handset", "maybe"], "entry 1"),
        (["--http", "127.0.0.1:0", "--cards", "2", "--fault", "on SIGN mute"], "one card"),
        (["--http", "192.0.2.1:0", "--token", "a-long-enough-token"], "192.0.2.1"),
        (["--token", "a-long-enough-token"], "--http"),
    ],
    ids=str,
)
def test_what_cannot_be_served_is_told(words: list[str], told: str) -> None:
    code, said = serve(*words)
    assert code == 2
    assert told in said


@contextmanager
def served(*words: str) -> Iterator[tuple[dict[str, object], Client]]:
    with running("-m", "bsim", "serve", "--http", "127.0.0.1:0", "--json", *words) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        with closing(Client(ready["http"])) as client:
            yield ready, client
        process.terminate()
        assert process.wait(20) == 0


def test_a_server_that_cannot_begin_says_so() -> None:
    closed, server = WebServer(), WebServer()
    closed.close()
    with pytest.raises(OSError, match="Bad file descriptor"), closed:
        pytest.fail("it does not run")
    with server, pytest.raises(RuntimeError, match="once"):
        server.__enter__()
    with pytest.raises(RuntimeError, match="once"), server:
        pytest.fail("it has run")


def test_a_fleet_is_served() -> None:
    with served("--cards", "3", "--fleet-seed", "test") as (ready, client):
        assert ready["cards"] == 3
        assert client.apdu("/v1/cards/3", SELECT).endswith("9000")
        assert client.post("/v1/cards/3/snapshots", {"name": "a"})[0] == 409  # a fleet's cards have none


def test_what_serve_can_do_to_a_card_it_does_here_too(tmp_path) -> None:
    trace = tmp_path / "run.bsimtrace"
    words = (
        "--record",
        str(trace),
        "--fault",
        "on DERIVE_KEY answer 6A84",
        "--vpcd",
        "127.0.0.1:1",
        "--handset",
        "right",
    )
    with served(*words) as (ready, client):
        assert ready["vpcd"] == "127.0.0.1:1"
        assert client.apdu("/v1/cards/1", SELECT).endswith("9000")
        assert client.apdu("/v1/cards/1", DERIVE) == "6A84"
    assert '"name": "DERIVE_KEY"' in trace.read_text(encoding="utf-8")


@pytest.mark.skipif(os.name != "posix", reason="limits are POSIX's")
def test_a_server_whose_recording_cannot_be_gone_on_with_serves_on(tmp_path: Path) -> None:
    trace = tmp_path / "run.bsimtrace"
    full = (
        "import resource, signal, sys; from bsim.cli import main; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000)); sys.exit(main(sys.argv[1:]))"
    )
    words = ("serve", "--http", "127.0.0.1:0", "--json", "--record", str(trace))
    with running("-B", "-c", full, *words, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        with closing(Client(json.loads(process.stdout.readline())["http"])) as client:
            for _ in range(20):
                assert client.apdu("/v1/cards/1", SELECT).endswith("9000")
        process.terminate()
        assert process.wait(20) == 2
        assert process.stderr.read().splitlines() == [
            f"bsim: {trace}: File too large; from here on nothing is recorded",
            f"bsim: {trace}: File too large: the recording is incomplete",
        ]
    assert 0 < len(read(trace).exchanges) < 20


def test_pings_are_answered_and_goodbyes_returned() -> None:
    with serving() as (server, client):
        client.card()
        with feed(server, "1") as connection:
            frame(connection)
            connection.sendall(b"\x89\x82" + bytes(4) + b"hi")
            assert _until(connection, 0x8A) == b"hi"
            connection.sendall(b"\x8a\x80" + bytes(4))
            connection.sendall(b"\x88\x82" + bytes(4) + struct.pack(">H", 1000))
            assert _until(connection, 0x88) == struct.pack(">H", 1000)
        card = "/v1/cards/1"
        with feed(server, "1") as connection:
            assert client.call("DELETE", card)[0] == 204
            assert _until(connection, 0x88) == struct.pack(">H", 1001)


def _until(connection: socket.socket, kind: int) -> bytes:
    """The body of the next frame of a kind."""
    while True:
        first, length = _exactly(connection, 2)
        length = struct.unpack(">H", _exactly(connection, 2))[0] if length == 126 else length
        body = _exactly(connection, length)
        if first == kind:
            return body


def test_who_waits_for_a_user_does_not_keep_the_server_from_ending() -> None:
    with served() as (_, client):
        for command in (SELECT, DERIVE):
            client.apdu("/v1/cards/1", command)
        address = client.done("/rpc", {"id": 1, "method": "eth_accounts"})["result"][0]
        body = json.dumps({"id": 2, "method": "personal_sign", "params": ["0x01", address]})
        waiting = Client(f"http://{client.connection.host}:{client.connection.port}")
        with closing(waiting):
            waiting.connection.request("POST", "/rpc", body, {"Content-Type": "application/json"})
            while not client.get("/v1/cards/1/dialogues")[1]["dialogues"]:
                pass
