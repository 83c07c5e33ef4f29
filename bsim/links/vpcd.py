"""The vpcd link: puts a `Card` into a slot of the vpcd driver, and so behind a real PC/SC reader.

The driver listens and the card connects. Messages both ways are a length (2 bytes, big endian) and a body; a
body of one byte from the driver is one of its own orders (vsmartcard's vpcd.h), everything else is a TPDU.
"""

import logging
import queue
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from functools import partial
from types import TracebackType
from typing import Final, Self

from bsim.ports import Card, CardLost, CardMute
from bsim.sw import SW

DEFAULT_PORT: Final = 35963  # vpcd.h: VPCDPORT, the first slot; the second is on the next port

_log: Final = logging.getLogger(__name__)

_SHORTEST_WAIT: Final = 0.05
_LONGEST_WAIT: Final = 0.5
_CONNECT_SECONDS: Final = 2.0
# The driver serves one card a slot, and leaves another that connects unanswered; pcscd asks the one every 0.4 s.
_SILENT_SECONDS: Final = 2.0
_LONGEST_MESSAGE: Final = 0xFFFF
# pcscd looks for the card every 0.4 s (its STATUS_POLL_RATE); a card back before that was never seen to be out.
_OUT_SECONDS: Final = 1.0
# What a reader waits for a T=0 card: 960 x WI x Fi/f with WI = 10 and 3.58 MHz. ISO/IEC 7816-3 10.2.
_WAITING_SECONDS: Final = 1.0


class Order(IntEnum):
    """What the driver asks of the slot (vpcd.h, VPCD_CTRL_*). Only ATR is answered."""

    OFF = 0
    ON = 1
    RESET = 2
    ATR = 4


_ORDERS: Final = frozenset(Order)


class _Wire:
    """One connection to the driver: whole messages in, whole messages out."""

    __slots__ = ("_acknowledge", "_recv", "_send")

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._recv = connection.recv
        self._send = connection.sendall
        self._acknowledge: Callable[[], None] = lambda: None
        if hasattr(socket, "TCP_QUICKACK"):  # Linux
            self._acknowledge = partial(connection.setsockopt, socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def receive(self) -> bytes | None:
        """The next message; None when the driver has gone."""
        try:
            return self._exactly(int.from_bytes(self._exactly(2), "big"))
        except (OSError, EOFError):
            return None

    def send(self, message: bytes) -> bool:
        """Send a message in one piece; False when the driver has gone."""
        try:
            self._send(len(message).to_bytes(2, "big") + message)
        except OSError:
            return False
        return True

    def _exactly(self, count: int) -> bytes:
        # The driver sends length and body apart, and Nagle's algorithm keeps the body back until the length
        # is acknowledged: 40 ms with a delayed ACK. The kernel clears the flag by itself (tcp(7)), so it is
        # set anew each time.
        self._acknowledge()
        data = self._recv(count)
        while len(data) < count:
            self._acknowledge()
            more = self._recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data


class VpcdLink:
    """Keeps one card in one slot until `stop`, through every coming and going of pcscd.

    `run` blocks; as a context manager the link runs in a thread of its own. `stop` may come from any thread
    and from a signal handler. `ready` is set while the driver sees the card. A card that raises `CardLost` is out of
    the slot for `out` seconds, a mute one after `waiting` seconds of silence, and is then put in again.
    A driver that asks for nothing in `silent` seconds seems to have another card there, which is told and waited for.
    """

    def __init__(
        self,
        card: Card,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        *,
        out: float = _OUT_SECONDS,
        waiting: float = _WAITING_SECONDS,
        silent: float = _SILENT_SECONDS,
    ) -> None:
        self.ready = threading.Event()
        self._out = out
        self._waiting = waiting
        self._silent = silent
        self._gone = False  # the card was lost, and has to be seen out of the slot
        self._card = card
        self._address = (host, port)
        self._atr = b""
        self._fresh = False  # reset, and no command since: another reset would change nothing
        self._lost = False  # what the log said last
        self._stopping = False
        self._connection: socket.socket | None = None
        # Its put is reentrant, which Event.set is not: a signal handler may run in the thread that waits.
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self.run, name=f"vpcd {host}:{port}", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.join()

    def start(self) -> None:
        """Run the link in a thread."""
        self._thread.start()

    def join(self) -> None:
        """Wait until the thread has ended, after `stop` or because the card broke its contract and raised."""
        self._thread.join()

    def insert(self) -> None:
        """Put a lost card in again now, and not when its time is up."""
        self._wake.put(None)

    def stop(self) -> None:
        """Take the card out and end `run`, as soon as the command that may be under way is done."""
        self._stopping = True
        self._wake.put(None)
        if (connection := self._connection) is not None:
            with suppress(OSError):  # closed meanwhile
                connection.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        """Serve the slot; while there is no driver, try again until it is back."""
        wait = _SHORTEST_WAIT
        while not self._stopping:
            wait = _SHORTEST_WAIT if self._powered() and self._visit() else min(2 * wait, _LONGEST_WAIT)
            away, self._gone = (self._out if self._gone else wait), False
            self._sleep(away)

    def _sleep(self, seconds: float) -> None:
        """Let time pass, or `stop` come."""
        if not self._stopping:  # a wait before this one may have taken what `stop` put there
            with suppress(queue.Empty):
                self._wake.get(timeout=seconds)

    def _powered(self) -> bool:
        """Whether the card has power and is fresh: one that may come and go is waited for."""
        try:
            if not self._fresh:
                self._reset()
        except CardLost as loss:
            self._tell_lost(str(loss), "there is no card to put into")
            return False
        return True

    def _visit(self) -> bool:
        """Put the card in and serve it until the driver goes; answers whether the driver took it."""
        try:
            connection = socket.create_connection(self._address, _CONNECT_SECONDS)
        except OSError as error:
            self._tell_lost(error.strerror or type(error).__name__)
            return False
        with connection:
            self._connection = connection
            try:
                if not self._stopping:  # `stop` did not see this connection
                    self._await(connection)
                    self._serve(_Wire(connection))
            finally:
                self._connection = None
        return self._pulled()

    def _await(self, connection: socket.socket) -> None:
        """Wait for the driver's first order, and tell if it keeps silent."""
        connection.settimeout(self._silent)
        with suppress(ConnectionError):  # the driver has gone, as the next message will show
            try:
                connection.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                _log.info("the slot at %s:%d seems to hold another card; waiting until it is free", *self._address)
        connection.settimeout(None)

    def _serve(self, wire: _Wire) -> None:
        while (message := wire.receive()) is not None:
            try:
                if len(message) == 1 and message[0] in _ORDERS:
                    reply = self._obey(Order(message[0]))
                else:
                    reply = self._transmit(message)
            except CardLost as loss:
                self._lose(loss)
                return
            if reply is not None and not wire.send(reply):
                return

    def _transmit(self, command: bytes) -> bytes:
        self._fresh = False
        response = self._card.transmit(command)
        if len(response) <= _LONGEST_MESSAGE:
            return response
        _log.error("a response of %d bytes does not fit into a vpcd message", len(response))
        return SW.NO_PRECISE_DIAGNOSIS.encoded

    def _lose(self, loss: CardLost) -> None:
        """Let the client see what it sees of a real card: silence until the reader gives up, or an empty slot."""
        _log.info("%s; it comes back into the slot at %s:%d", loss, *self._address)
        self._gone = True
        self._fresh = False
        if isinstance(loss, CardMute):
            self._sleep(self._waiting)

    def _obey(self, order: Order) -> bytes | None:
        """Carry out an order. ATR changes nothing: it comes all the time, to see whether a card is there."""
        if order is Order.ATR:
            self._tell_ready()
            return self._atr
        # What dies with the power must die when it goes; and power may come back without having gone.
        if order is Order.RESET or not self._fresh:
            self._reset()
        return None

    def _reset(self) -> None:
        self._atr = self._card.reset()
        self._fresh = True

    def _pulled(self) -> bool:
        """The card is out of the slot, and without power."""
        taken = self.ready.is_set()
        self.ready.clear()
        self._powered()
        if taken and not self._gone and not self._stopping:
            self._tell_lost("the driver closed the connection")
        return taken

    def _tell_ready(self) -> None:
        if not self.ready.is_set():
            self._lost = False
            _log.info("the card is in the slot at %s:%d", *self._address)
            self.ready.set()

    def _tell_lost(self, reason: str, what: str = "no vpcd at") -> None:
        if not self._lost:
            self._lost = True
            _log.info("%s %s:%d (%s); trying until it is there", what, *self._address, reason)
