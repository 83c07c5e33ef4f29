"""One HTTP/1.1 connection: h11 reads and writes the protocol, this file waits, counts and gives up.

Each state has a deadline, which the server's sweep looks at; what a client sends while its request is being answered
is not read, and a client that does not read is not written to for ever.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

import h11

from bsim.links.web.message import Refusal, Request, Response

if TYPE_CHECKING:
    from bsim.links.web.site import Site

_PHRASES: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
_NEVER: Final = float("inf")
# These say how the connection is used, and a handler has no say in it.
_CLOSE: Final = ("Connection", "close")


class HttpConnection(asyncio.Protocol):
    """Reads requests one after the other, and answers each before the next."""

    def __init__(self, site: "Site") -> None:
        self._site: Final = site
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=site.limits.head)
        self._transport: asyncio.Transport | None = None
        self._head: h11.Request | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._task: asyncio.Task[None] | None = None
        self._full = False
        self.peer = ""
        self.deadline = _NEVER

    @property
    def idle(self) -> bool:
        """Whether nothing of a request has come that was not answered."""
        return self._task is None and self._head is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, if the server has room."""
        self._transport = cast(asyncio.Transport, transport)
        name = transport.get_extra_info("peername")
        self.peer = str(name[0]) if name else ""
        self._wait(self._site.limits.head_seconds)
        self._site.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how does not matter
        """The client has gone: nothing waits for it any more."""
        self._transport = None
        self._site.leave(self)
        if self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def eof_received(self) -> bool:
        """A client that has said all may still be listening."""
        self._feed(b"")
        return self._task is not None

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self._feed(data)

    def pause_writing(self) -> None:
        """The client does not read what it asked for."""
        self._full = True
        self._wait(self._site.limits.write_seconds)

    def resume_writing(self) -> None:
        """It reads on."""
        self._full = False
        self._wait(self._site.limits.idle_seconds)
        self._advance()

    def _wait(self, seconds: float) -> None:
        self.deadline = self._site.now() + seconds

    def _feed(self, data: bytes) -> None:
        try:
            self._h11.receive_data(data)
        except h11.RemoteProtocolError as fault:
            self._refuse(fault.error_status_hint, str(fault))
            return
        if self._task is not None:
            if self._transport is not None and data:
                self._transport.pause_reading()
            return
        self._advance()

    def _advance(self) -> None:
        """Go on as far as what has come allows."""
        try:
            while self._task is None and not self._full and self._step():
                pass
        except h11.RemoteProtocolError as fault:
            self._refuse(fault.error_status_hint, str(fault))
        except Refusal as refusal:
            self._send(refusal.response(), close=True)

    def _step(self) -> bool:
        event = self._h11.next_event()
        if isinstance(event, h11.Request):
            self._begin(event)
        elif isinstance(event, h11.Data):
            self._collect(event.data)
        elif isinstance(event, h11.EndOfMessage):
            self._answer()
        elif isinstance(event, h11.ConnectionClosed):
            self._hang_up()
            return False
        else:  # NEED_DATA or PAUSED
            if self._h11.they_are_waiting_for_100_continue:
                self._write(h11.InformationalResponse(status_code=100, headers=[]))
            return False
        return self._transport is not None

    def _begin(self, head: h11.Request) -> None:
        self._head, self._body, self._size = head, [], 0
        self._wait(self._site.limits.body_seconds)
        length = next((value for name, value in head.headers if name == b"content-length"), b"0")
        if int(length) > self._site.limits.body:
            raise _too_large(self._site.limits.body)

    def _collect(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._site.limits.body:
            raise _too_large(self._site.limits.body)
        self._body.append(bytes(data))

    def _answer(self) -> None:
        head = self._head
        if head is None:
            return
        request = _request(head, self.peer, b"".join(self._body))
        self._body = []
        if request.headers.get("upgrade", "").lower() == "websocket":
            self._upgrade(request)
            return
        self.deadline = _NEVER
        outcome = self._site.answer(request)
        if isinstance(outcome, Response):
            self._send(outcome)
        else:
            self._task = asyncio.get_running_loop().create_task(self._later(outcome))

    async def _later(self, outcome: Awaitable[Response]) -> None:
        response = await outcome
        self._task = None
        if self._transport is not None:
            self._send(response)
            with suppress(RuntimeError):  # closed meanwhile
                self._transport.resume_reading()
            self._advance()

    def _send(self, response: Response, *, close: bool = False) -> None:
        """Write a response; `close` where the rest of the request is not worth reading."""
        headers = [*self._site.headers, *response.headers]
        if response.status != HTTPStatus.NO_CONTENT:  # which has no body, and no length either. RFC 9110 8.6
            headers += [("Content-Type", response.content_type), ("Content-Length", str(len(response.body)))]
        if close:
            headers.append(_CLOSE)
        head = self._head
        self._head = None
        bodiless = head is not None and head.method == b"HEAD"
        self._wait(self._site.limits.idle_seconds)
        line = h11.Response(status_code=response.status, headers=headers, reason=_PHRASES[response.status])
        self._write(line, b"" if bodiless else response.body)
        if self._h11.our_state is h11.MUST_CLOSE or close or self._h11.their_state is h11.ERROR:
            self._hang_up()
        elif self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()

    def _write(self, event: "h11.Response | h11.InformationalResponse", body: bytes = b"") -> None:
        if self._transport is None:
            return
        out = self._h11.send(event) or b""
        if isinstance(event, h11.Response):
            out += self._h11.send(h11.Data(data=body)) or b"" if body else b""
            out += self._h11.send(h11.EndOfMessage()) or b""
        self._transport.write(out)

    def _refuse(self, status: int, message: str) -> None:
        """What came is no HTTP: say so, if that can be said, and hang up."""
        if self._h11.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self._send(Refusal(status or 400, message).response(), close=True)
        else:
            self.close()

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _upgrade(self, request: Request) -> None:
        try:
            protocol, headers = self._site.upgrade(request)
        except Refusal as refusal:
            self._send(refusal.response())
            return
        self._write(h11.InformationalResponse(status_code=101, headers=headers))
        transport, self._transport = self._transport, None
        self._site.leave(self)
        if transport is not None:
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
            if rest := self._h11.trailing_data[0]:
                protocol.data_received(rest)


def _request(head: h11.Request, peer: str, body: bytes) -> Request:
    path, _, query = head.target.decode("latin-1").partition("?")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
    return Request(head.method.decode("ascii"), path, query, headers, peer, body)


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"a request body has {most} bytes at most", "TooLarge")
