"""A web server on a test bench: a card as the test wants it, and what goes through it on the test's tape."""

from types import TracebackType
from typing import Final, Self

from bsim.client import Wallet
from bsim.lab.emulated import EmulatedCard
from bsim.lab.tape import Tape
from bsim.lab.testbed import MANUAL, Wanted
from bsim.links.web.hosted import Hosted, Misbehaviour
from bsim.links.web.rack import WEB, Rack
from bsim.links.web.server import WebServer


def put(server: WebServer, wanted: Wanted, tape: Tape | None = None, name: str = "") -> Hosted:
    """Put a card into a server. ValueError, or FaultError, if there can be no such card."""
    store = wanted.store()
    tape = tape or Tape(most=0)  # the server has a trace of its own
    return server.rack.add(
        lambda phone: EmulatedCard(store, phone),
        name=name,
        profile=wanted.profile,
        handset=WEB if wanted.handset == MANUAL else wanted.handset,
        script=wanted.script(),
        faults=Misbehaviour(rules=wanted.faults, seed=wanted.fault_seed),
        watch=tape.watch,
        wrap=tape.around,
    )


class BenchServer:
    """A server with one card in it, on any free port of loopback, in a thread of its own; a context manager.

    ValueError, or FaultError, on entering if there can be no such card.
    """

    def __init__(self, wanted: Wanted, tape: Tape | None = None) -> None:
        self._wanted: Final = wanted
        self._tape: Final = Tape() if tape is None else tape
        self._web: Final = WebServer()
        self.url: Final = self._web.url
        """Where it is: `http://127.0.0.1:PORT`, without a slash at the end."""
        self._card: Hosted | None = None

    @property
    def card(self) -> Hosted:
        """The first card, from when it runs."""
        if self._card is None:
            raise RuntimeError("this server does not run")
        return self._card

    @property
    def rack(self) -> Rack:
        """All its cards; `rack.make(...)` makes another."""
        return self._web.rack

    def wallet(self) -> Wallet:
        """The typed client on the server's first card, for what a test arranges and checks past HTTP."""
        return Wallet(self.card.link)

    def __enter__(self) -> Self:
        self._web.__enter__()
        try:
            self._card = put(self._web, self._wanted, self._tape)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._web.__exit__(kind, error, trace)
        self._web.close()
