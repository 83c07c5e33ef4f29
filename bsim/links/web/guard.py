"""Who may ask at all: the right host, an origin that was named, the token, and not too often."""

import hmac
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from bsim.links.web.limits import Limits
from bsim.links.web.message import Refusal, Request, Response

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_ADDRESSES: Final = 4_096
_PREFLIGHT: Final = "600"
TOKEN_PROTOCOL: Final = "bsim.token."  # noqa: S105 - the beginning of a WebSocket subprotocol that carries one


def is_loopback(host: str) -> bool:
    """Whether a host, as it is bound, is this machine and nothing else."""
    return host in {"localhost", "::1"} or host.startswith("127.")


class Guard:
    """The rules of one server. Without a token it is for this machine: its names are the only ones answered.

    That is against DNS rebinding, where a page of another site reaches a server on loopback by a name of its own.
    """

    def __init__(self, token: str | None, origins: Sequence[str], limits: Limits) -> None:
        self._token: Final = token
        self._origins: Final = frozenset(origins)
        self._buckets: Final = Buckets(limits.rate, limits.burst)

    def admit(self, request: Request, *, public: bool = False) -> None:
        """Let a request in or refuse it; what is `public` (the page itself, health) needs no token."""
        if not self._buckets.take(request.peer):
            raise Refusal(429, "too many requests from this address", "TooManyRequests", (("Retry-After", "1"),))
        host = request.headers.get("host", "")
        if self._token is None and host.rpartition(":")[0] not in _LOOPBACK and host not in _LOOPBACK:
            raise Refusal(
                421, "this server answers for localhost; --token lets it be asked by other names", "WrongHost"
            )
        origin = request.headers.get("origin")
        if origin is not None and not self._known(origin, host):
            raise Refusal(403, "this origin is not let in: --cors names those that are", "ForeignOrigin")
        if not public and not self._has_token(request):
            raise Refusal(
                401, "a token is wanted: Authorization: Bearer ...", "NoToken", (("WWW-Authenticate", "Bearer"),)
            )

    def cors(self, request: Request) -> list[tuple[str, str]]:
        """The headers by which a browser lets a named origin's page read a response."""
        origin = request.headers.get("origin")
        if not self._origins:
            return []
        vary = [("Vary", "Origin")]
        return [("Access-Control-Allow-Origin", origin), *vary] if origin in self._origins else vary

    def preflight(self, request: Request) -> Response:
        """Answer what a browser asks before a page of another origin may ask."""
        self.admit(request, public=True)
        asked = request.headers.get("access-control-request-headers", "")
        headers = [
            ("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE"),
            ("Access-Control-Allow-Headers", asked or "Content-Type, Authorization"),
            ("Access-Control-Max-Age", _PREFLIGHT),
        ]
        return Response(204, b"", headers=headers)

    def _known(self, origin: str, host: str) -> bool:
        return origin in self._origins or origin in {f"http://{host}", f"https://{host}"}

    def _has_token(self, request: Request) -> bool:
        if self._token is None:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            # A browser cannot send this header with a WebSocket; its subprotocol stays out of logs, unlike its address.
            asked = request.headers.get("sec-websocket-protocol", "").split(",")
            given = next((one.strip().removeprefix(TOKEN_PROTOCOL) for one in asked if TOKEN_PROTOCOL in one), "")
        return hmac.compare_digest(given.strip().encode("latin-1"), self._token.encode())


class Buckets:
    """How often each address may ask: `rate` a second in the long run, `burst` at once. Forgets the quietest."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate: Final = rate
        self._burst: Final = burst
        self._left: Final[OrderedDict[str, tuple[float, float]]] = OrderedDict()

    def take(self, address: str) -> bool:
        """Whether this address may ask once more now."""
        now = time.monotonic()
        left, then = self._left.pop(address, (float(self._burst), now))
        left = min(self._burst, left + (now - then) * self._rate)
        self._left[address] = (max(0.0, left - 1), now)
        if len(self._left) > _ADDRESSES:
            self._left.popitem(last=False)
        return left >= 1
