"""The server: a socket, an event loop, and the site. `run` blocks; as a context manager it has a thread of its own."""

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from types import TracebackType
from typing import Final, Self

from bsim.links.apart import Apart
from bsim.links.web.guard import is_loopback
from bsim.links.web.limits import DEFAULT, Limits
from bsim.links.web.rack import Rack
from bsim.links.web.site import Site

_BACKLOG: Final = 1_024
_SWEEP: Final = 1.0
_TURNS: Final = 4  # of the loop, until who was just being accepted, or answered, is hung up on too

__all__ = ["Limits", "WebServer"]


class WebServer:
    """Cards over HTTP. It listens from the beginning (port 0: any that is free), and answers once it runs.

    ValueError for an address that is not loopback without a `token`; OSError where the address cannot be had;
    ModuleNotFoundError without the extra `web`, whose module is first imported when a client comes.
    `origins` are those whose pages may ask. Cards are put into `rack` before or while it runs, from any thread.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        token: str | None = None,
        origins: Sequence[str] = (),
        limits: Limits = DEFAULT,
    ) -> None:
        if find_spec("h11") is None:
            raise ModuleNotFoundError("a web server wants h11: pip install 'bsim[web]'", name="h11")
        if token is None and not is_loopback(host):
            raise ValueError("only this machine may ask without a token")
        self.site: Final = Site(token, origins, limits)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket: Final = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        self.host: Final = host
        self.port: Final[int] = self._socket.getsockname()[1]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = threading.Event()
        self._apart: Final = Apart(lambda: self.run(self._apart.settle), "bsim-web")

    @property
    def rack(self) -> Rack:
        """The cards."""
        return self.site.rack

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    def __enter__(self) -> Self:
        self._apart.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._apart.join()

    def stop(self) -> None:
        """End `run`; may be called from any thread and from a signal handler."""
        self._stop.set()
        if (loop := self._loop) is not None:
            with suppress(RuntimeError):  # closed meanwhile
                loop.call_soon_threadsafe(lambda: None)

    def close(self) -> None:
        """Let go of the address and of all cards: of a server that has run, or never will."""
        self._socket.close()
        self.rack.close()

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop`; `ready` is called once the server answers."""
        try:
            asyncio.run(self._serve(ready))
        finally:
            self._socket.close()

    async def _serve(self, ready: Callable[[], None]) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self.site.begin(loop)
        self._quiet_accepts(loop)
        server = await loop.create_server(self._connection, sock=self._socket, backlog=_BACKLOG)
        ready()
        try:
            while not self._stop.is_set():
                await self._nap(loop)
                self.site.sweep()
        finally:
            server.close()
            self.site.end()
            for _ in range(_TURNS):
                await asyncio.sleep(0)
                self.site.hang_up()

    def _connection(self) -> asyncio.Protocol:
        from bsim.links.web.http import HttpConnection  # noqa: PLC0415 - when the first client comes: a quick start

        return HttpConnection(self.site)

    async def _nap(self, loop: asyncio.AbstractEventLoop) -> None:
        """A second, or less if `stop` comes."""
        end = loop.time() + _SWEEP
        while not self._stop.is_set() and loop.time() < end:
            await asyncio.sleep(min(0.1, max(0.0, end - loop.time())))

    @staticmethod
    def _quiet_accepts(loop: asyncio.AbstractEventLoop) -> None:
        """Running out of descriptors is a client's doing: asyncio waits a second and goes on, and need not shout."""

        def handle(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
            if not isinstance(context.get("exception"), OSError):
                loop.default_exception_handler(context)

        loop.set_exception_handler(handle)
