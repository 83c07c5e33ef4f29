"""The modem link: AT commands over a pseudo-terminal, or over TCP, where each connection is a port of the one modem.

One thread serves all ports. A terminal that sends and does not read is not read from, until it does.
"""

import logging
import os
import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from bsim.links.apart import Apart
from bsim.links.modem_phone import Phone
from bsim.links.modem_port import Port
from bsim.links.modem_wires import Listener, PseudoTerminal

_log: Final = logging.getLogger(__name__)

_CHUNK: Final = 4_096  # at once, so that one terminal does not hold up the others for long
_MOST_PORTS: Final = 16


class _Connection:
    """One terminal: its port, and what it has not read yet."""

    def __init__(self, descriptor: int, port: Port, close: Callable[[], None]) -> None:
        self.descriptor: Final = descriptor
        self.port: Final = port
        self.close: Final = close
        self._unsent = bytearray()

    def receive(self) -> bool:
        """Take what has come, and answer; False when the terminal has gone."""
        try:
            data = os.read(self.descriptor, _CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return bool(data) and self.send(self.port.feed(data))

    def send(self, data: bytes = b"") -> bool:
        """Send as much as the terminal takes; False when it has gone."""
        self._unsent += data
        try:
            while self._unsent:
                del self._unsent[: os.write(self.descriptor, self._unsent)]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    @property
    def events(self) -> int:
        """What is waited for."""
        return selectors.EVENT_WRITE if self._unsent else selectors.EVENT_READ


class ModemLink:
    """Serves a modem until `stop`.

    `run` blocks; as a context manager the link runs in a thread of its own. `stop` may come from any thread. `ready` is
    set when terminals may come.
    """

    def __init__(self, phone: Phone, wire: Listener | PseudoTerminal) -> None:
        self.ready = threading.Event()
        self._phone: Final = phone
        self._wire: Final = wire
        self._selector: Final = selectors.DefaultSelector()
        self._connections: Final[dict[int, _Connection]] = {}
        self._stopping = False
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._apart: Final = Apart(self.run, f"modem {wire.place}")

    @property
    def place(self) -> str:
        """Where terminals find the modem: a device, or host and port."""
        return self._wire.place

    def __enter__(self) -> Self:
        self._apart.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._apart.join()

    def stop(self) -> None:
        """End `run`, as soon as the command that may be under way is done."""
        self._stopping = True
        self._wake()

    def run(self) -> None:
        """Serve all terminals."""
        self._selector.register(self._woken, selectors.EVENT_READ)
        try:
            self._begin()
            self.ready.set()
            self._apart.settle()
            while not self._stopping:
                for key, _ in self._selector.select():
                    self._serve(key.fd)
                self._tell()
        finally:
            self._end()

    def _begin(self) -> None:
        if isinstance(self._wire, PseudoTerminal):
            self._enter(self._wire.fileno(), lambda: None)  # closed with the wire
        else:
            self._selector.register(self._wire.fileno(), selectors.EVENT_READ)

    def _end(self) -> None:
        for connection in list(self._connections.values()):
            self._leave(connection)
        self._selector.close()
        self._wire.close()
        self._waker.close()
        self._woken.close()

    def _serve(self, descriptor: int) -> None:
        connection = self._connections.get(descriptor)
        if connection is not None:
            there = connection.send() if connection.events & selectors.EVENT_WRITE else connection.receive()
            self._settle(connection, there=there)
        elif isinstance(self._wire, Listener) and descriptor == self._wire.fileno():
            self._accept(self._wire)
        else:
            with suppress(BlockingIOError):
                self._woken.recv(_CHUNK)

    def _accept(self, listener: Listener) -> None:
        try:
            terminal = listener.accept()
        except OSError as fault:  # gone before it was accepted, or no descriptors left
            _log.info("a terminal could not connect to the modem at %s: %s", self.place, fault.strerror)
            return
        if len(self._connections) == _MOST_PORTS:
            _log.info("the modem at %s has %d ports, and no more", self.place, _MOST_PORTS)
            terminal.close()
            return
        self._enter(terminal.fileno(), terminal.close)

    def _enter(self, descriptor: int, close: Callable[[], None]) -> None:
        connection = _Connection(descriptor, Port(self._phone, self._wake), close)
        self._selector.register(descriptor, connection.events)
        self._connections[descriptor] = connection

    def _leave(self, connection: _Connection) -> None:
        del self._connections[connection.descriptor]
        self._selector.unregister(connection.descriptor)
        connection.close()
        connection.port.hang_up()

    def _tell(self) -> None:
        """Send all terminals what they are told unasked."""
        for connection in list(self._connections.values()):
            if told := connection.port.pending():
                self._settle(connection, there=connection.send(told))

    def _settle(self, connection: _Connection, *, there: bool) -> None:
        if there:
            self._selector.modify(connection.descriptor, connection.events)
        else:
            self._leave(connection)

    def _wake(self) -> None:
        with suppress(OSError):  # woken already, or over
            self._waker.send(b"\0")
