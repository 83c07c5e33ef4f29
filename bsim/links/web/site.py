"""What one server is: its cards, its operations, its page, and who is connected. Runs in one event loop's thread."""

import asyncio
import logging
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol

from bsim.links.web.guard import TOKEN_PROTOCOL, Guard
from bsim.links.web.hosted import Hosted
from bsim.links.web.limits import DEFAULT, Limits
from bsim.links.web.message import Refusal, Request, Response, as_json
from bsim.links.web.page import pages
from bsim.links.web.parts import PARTS
from bsim.links.web.rack import Rack
from bsim.links.web.router import Router
from bsim.ports import CardLost
from bsim.store import StoreError

if TYPE_CHECKING:
    from bsim.links.web.feed import Feed
    from bsim.links.web.http import HttpConnection
    from bsim.links.web.rpc import Signers
    from bsim.links.web.sessions import Sessions

_log: Final = logging.getLogger(__name__)
_FEED: Final = ("v1", "cards", "feed")
_FIRST: Final = 10_000


class _OfCards(Protocol):
    """What a part of the API keeps for cards."""

    def drop(self, card: Hosted) -> None:
        """Forget a card: it goes."""
        ...


class Site:
    """Answers requests. `rack` may be used by other threads, everything else belongs to the event loop."""

    headers: Final = (
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-store"),
    )

    def __init__(self, token: str | None = None, origins: Sequence[str] = (), limits: Limits = DEFAULT) -> None:
        self.limits: Final = limits
        self.guarded: Final = token is not None
        self.rack: Final = Rack(limits, self._publish, self._later)
        self._of_cards: Final[list[_OfCards]] = []
        self._calls = 0
        self.router: Final = Router(PARTS)
        self._pages: Final = pages()
        self._guard: Final = Guard(token, origins, limits)
        self._connections: Final[dict[HttpConnection, None]] = {}
        self._feeds: Final[dict[str, list[Feed]]] = {}
        self._loop: AbstractEventLoop | None = None
        self._thread = 0

    @cached_property
    def sessions(self) -> "Sessions":
        """The sessions of the Open Mobile API."""
        from bsim.links.web.sessions import Sessions  # noqa: PLC0415 - for those who open one: a quick start

        sessions = Sessions(self.limits.sessions)
        self._of_cards.append(sessions)
        return sessions

    @cached_property
    def signers(self) -> "Signers":
        """What signs over JSON-RPC."""
        from bsim.links.web.rpc import Signers  # noqa: PLC0415 - as above

        signers = Signers(self.limits.approval_seconds)
        self._of_cards.append(signers)
        return signers

    def begin(self, loop: AbstractEventLoop) -> None:
        """Belong to an event loop, in its thread."""
        self._loop, self._thread = loop, threading.get_ident()

    @staticmethod
    def now() -> float:
        """The time by which connections are judged."""
        return time.monotonic()

    def admit(self, connection: "HttpConnection") -> None:
        """Take a connection in; where there is no room the one that has been idle longest goes, or else this one."""
        if len(self._connections) >= self.limits.connections:
            oldest = next((one for one in self._connections if one.idle), None)
            (oldest or connection).close()
            if oldest is None:
                return
            self._connections.pop(oldest, None)
        self._connections[connection] = None

    def leave(self, connection: "HttpConnection") -> None:
        """A connection has ended."""
        self._connections.pop(connection, None)

    def forget(self, card: Hosted) -> None:
        """Let go of all that belongs to a card that goes."""
        for part in self._of_cards:
            part.drop(card)
        for feed in self._feeds.pop(card.number, []):
            feed.close()

    def signers_busy(self, more: int) -> None:
        """Count the signatures under way; Refusal 503 if there are too many."""
        if more > 0 and self._calls >= self.limits.calls:
            raise Refusal(503, "too many signatures wait for their users", "Busy", (("Retry-After", "1"),))
        self._calls += more

    def sweep(self) -> None:
        """Hang up on everybody whose time is over."""
        now = self.now()
        for connection in [one for one in self._connections if one.deadline < now]:
            connection.close()

    def end(self) -> None:
        """Hang up on everybody, and let go of all cards."""
        self.hang_up()
        for feed in [feed for feeds in self._feeds.values() for feed in feeds]:
            feed.close()
        self.rack.close()

    def hang_up(self) -> None:
        """Close all connections there are."""
        for connection in list(self._connections):
            connection.close()

    def answer(self, request: Request) -> "Response | Awaitable[Response]":
        """Answer one request, at once if that can be."""
        try:
            outcome = self._route(request)
        except Exception as fault:  # noqa: BLE001 - what is not expected is logged and told as 500
            return self._with_cors(request, _refused(fault))
        if isinstance(outcome, Response):
            return self._with_cors(request, outcome)
        return self._later_answer(request, outcome)

    async def _later_answer(self, request: Request, outcome: Awaitable[Response]) -> Response:
        try:
            response = await outcome
        except Exception as fault:  # noqa: BLE001 - as above
            response = _refused(fault)
        return self._with_cors(request, response)

    def _route(self, request: Request) -> "Response | Awaitable[Response]":
        if request.method == "OPTIONS":
            self.router.methods(request.path)
            return self._guard.preflight(request)
        page = self._pages.get(request.path) if request.method in {"GET", "HEAD"} else None
        if page is not None:
            self._guard.admit(request, public=True)
            return page
        # Whether there is such a path is told to nobody who may not ask.
        try:
            operation, path = self.router.find(request.method, request.path)
        except Refusal:
            self._guard.admit(request)
            raise
        self._guard.admit(request, public=operation.public)
        return operation.call(self, request, path)

    def upgrade(self, request: Request) -> tuple[asyncio.Protocol, list[tuple[str, str]]]:
        """Turn a connection into the feed of a card; Refusal if it cannot be one."""
        from bsim.links.web.feed import Feed, accept  # noqa: PLC0415 - wsproto is for those who look on: a quick start

        self._guard.admit(request)
        steps = request.path.strip("/").split("/")
        key = request.headers.get("sec-websocket-key", "")
        if len(steps) != 4 or (steps[0], steps[1], steps[3]) != _FEED or request.method != "GET":
            raise Refusal(404, "a feed is at /v1/cards/{card}/feed")
        if not key or request.headers.get("sec-websocket-version") != "13":
            raise Refusal(400, "a WebSocket of version 13 is wanted", headers=(("Sec-WebSocket-Version", "13"),))
        card = self.rack.get(steps[2])
        feeds = self._feeds.setdefault(card.number, [])
        if sum(map(len, self._feeds.values())) >= self.limits.feeds:
            raise Refusal(409, f"a server has {self.limits.feeds} feeds at most", "TooManyFeeds")
        first = card.log.since(_after(request.query), _FIRST)
        feed = Feed(first, self.limits.feed, feeds.remove)
        feeds.append(feed)
        headers = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept(key))]
        asked = [one.strip() for one in request.headers.get("sec-websocket-protocol", "").split(",") if one.strip()]
        named = [one for one in asked if not one.startswith(TOKEN_PROTOCOL)]
        return feed, headers + [("Sec-WebSocket-Protocol", one) for one in named[:1]]

    def _with_cors(self, request: Request, response: Response) -> Response:
        if headers := self._guard.cors(request):
            return Response(response.status, response.body, response.content_type, [*response.headers, *headers])
        return response

    def _publish(self, card: str, text: str) -> None:
        """Hand an event to the feeds, from whatever thread it happened in."""
        if not self._feeds.get(card) or self._loop is None:
            return
        if threading.get_ident() == self._thread:
            self._put(card, text)
        else:
            self._soon(lambda: self._put(card, text))

    def _put(self, card: str, text: str) -> None:
        for feed in self._feeds.get(card, ()):
            feed.put(text)

    def _later(self, seconds: float, work: Callable[[], None]) -> None:
        loop = self._loop
        if loop is not None:
            self._soon(lambda: loop.call_later(seconds, work))

    def _soon(self, work: Callable[[], object]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(work)


def _after(query: str) -> int:
    digits = query.removeprefix("after=")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else 0


def _refused(fault: Exception) -> Response:
    """The answer to a request that was refused; what nobody expected is logged without what it carried."""
    if isinstance(fault, Refusal):
        return fault.response()
    if isinstance(fault, CardLost):
        return Refusal(409, str(fault), type(fault).__name__).response()
    from bsim.lab.replay import ReplayError  # noqa: PLC0415 - for the few whose card is a recording: a quick start
    from bsim.links.omapi import Kind, OmapiError  # noqa: PLC0415 - as above

    if isinstance(fault, OmapiError):
        status = {Kind.NO_SUCH_ELEMENT: 404, Kind.SECURITY: 403}.get(fault.kind, 409)
        return Refusal(status, str(fault), fault.kind).response()
    if isinstance(fault, StoreError | ReplayError):
        return Refusal(409, str(fault), type(fault).__name__).response()
    withheld = Exception("message withheld").with_traceback(fault.__traceback__)
    _log.error("unhandled %s", type(fault).__name__, exc_info=withheld)
    return as_json({"error": {"type": "InternalError", "message": "a bug in the server; its log has more"}}, 500)
