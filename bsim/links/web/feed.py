"""The live feed: one WebSocket of a client that looks on. It gets JSON arrays of events and has nothing to say.

A client that does not keep up loses the oldest events and is told how many; one that has gone is found by its silence.
"""

import asyncio
import base64
import hashlib
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, cast

from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Message, Ping, Pong, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
_GATHER: Final = 0.015  # seconds in which events go into one message
_BATCH: Final = 500
_PING: Final = 20.0
_MOST_FROM_CLIENT: Final = 4096
# RFC 6455 7.4.1.
_GOING: Final = 1001
_PROTOCOL: Final = 1002
_POLICY: Final = 1008
_TOO_BIG: Final = 1009


def accept(key: str) -> str:
    """Answer Sec-WebSocket-Accept for a client's key. RFC 6455 4.2.2."""
    return base64.b64encode(hashlib.sha1(key.encode("latin-1") + _GUID).digest()).decode()  # noqa: S324 - the RFC's


class Feed(asyncio.Protocol):
    """One client that looks on; `put` may be called in the event loop's thread only."""

    def __init__(self, first: Iterable[str], most: int, left: Callable[["Feed"], None]) -> None:
        self._connection: Final = Connection(ConnectionType.SERVER)
        self._transport: asyncio.Transport | None = None
        self._events: Final[deque[str]] = deque(first, maxlen=most)
        self._left: Final = left
        self._dropped = 0
        self._received = 0
        self._full = False
        self._timer: asyncio.TimerHandle | None = None
        self._alive: asyncio.TimerHandle | None = None
        self._heard = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to send."""
        self._transport = cast(asyncio.Transport, transport)
        self._schedule()
        self._keep_alive()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how does not matter
        """The client has gone."""
        self._transport = None
        for timer in (self._timer, self._alive):
            if timer is not None:
                timer.cancel()
        self._left(self)

    def put(self, event: str) -> None:
        """Send an event, JSON text, soon."""
        self._dropped += len(self._events) == self._events.maxlen
        self._events.append(event)
        self._schedule()

    def close(self, code: int = _GOING) -> None:
        """Say goodbye."""
        if self._transport is not None:
            with suppress(LocalProtocolError):
                self._transport.write(self._connection.send(CloseConnection(code)))
            self._transport.close()

    def pause_writing(self) -> None:
        """The client does not read; events gather, the oldest go."""
        self._full = True

    def resume_writing(self) -> None:
        """It reads on."""
        self._full = False
        self._schedule()

    def data_received(self, data: bytes) -> None:
        """Take pings and closing; anything long is not for us."""
        self._heard = True
        try:
            self._connection.receive_data(data)
            for event in self._connection.events():
                self._take(event)
        except RemoteProtocolError:
            self.close(_PROTOCOL)

    def _take(self, event: object) -> None:
        if self._transport is None:
            return
        if isinstance(event, Ping):
            self._transport.write(self._connection.send(event.response()))
        elif isinstance(event, CloseConnection):
            with suppress(LocalProtocolError):
                self._transport.write(self._connection.send(event.response()))
            self._transport.close()
        elif isinstance(event, Message):
            self._received = 0 if event.message_finished else self._received + len(event.data)
            if self._received + len(event.data) > _MOST_FROM_CLIENT:
                self.close(_TOO_BIG)
        elif not isinstance(event, Pong):
            self.close(_POLICY)

    def _schedule(self) -> None:
        if self._timer is None and not self._full and self._transport is not None and self._events:
            self._timer = asyncio.get_running_loop().call_later(_GATHER, self._flush)

    def _flush(self) -> None:
        self._timer = None
        while self._events and not self._full and self._transport is not None:
            batch = [self._events.popleft() for _ in range(min(_BATCH, len(self._events)))]
            if self._dropped:
                batch.insert(0, f'{{"type":"dropped","count":{self._dropped}}}')
                self._dropped = 0
            try:
                self._transport.write(self._connection.send(TextMessage(f"[{','.join(batch)}]")))
            except LocalProtocolError:  # closing
                return

    def _keep_alive(self) -> None:
        """Ask whether somebody is there, and hang up where nobody answered the last time."""
        if self._transport is None:
            return
        if not self._heard:
            self._transport.abort()
            return
        self._heard = False
        with suppress(LocalProtocolError):
            self._transport.write(self._connection.send(Ping()))
        self._alive = asyncio.get_running_loop().call_later(_PING, self._keep_alive)
