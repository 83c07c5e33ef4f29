"""Puts a BLE card on a transport: a dongle, the Android emulator, a socket, or a virtual link that this process holds.

`run` blocks until `stop`, as every link's does.
"""

import asyncio
import itertools
import logging
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Final, Self

from bumble.device import Device, DeviceConfiguration
from bumble.hci import Address, HCI_Reset_Command
from bumble.host import Host
from bumble.transport import open_transport
from bumble.transport.common import AsyncPipeSink, Transport, TransportLostError, TransportSink, TransportSource

from bsim.lab.link_faults import LinkFaults
from bsim.links.ble import Peripheral, checked_name
from bsim.links.ble_virtual import VirtualRadio
from bsim.ports import Card

DEFAULT_NAME: Final = "CT-BSIM"
VIRTUAL: Final = "virtual"
_LISTENING: Final = frozenset({"tcp-server", "ws-server", "unix-server", "udp", "pty"})
_SOCKETS: Final = _LISTENING | {"tcp-client", "ws-client", "unix", "unix-client"}
_ANSWER_SECONDS: Final = 0.5
_TRIES: Final = 10
_LOOK_UP_SECONDS: Final = 0.1

_log: Final = logging.getLogger(__name__)
_BUMBLES_LOG: Final = logging.getLogger("bumble.host")


class BleError(Exception):
    """There is no radio behind this name; the message says why."""


class BleLink:
    """Keeps one card on the air until `stop`, which may come from any thread and from a signal handler.

    `run` blocks; as a context manager the link runs in a thread of its own, and is on the air when it is entered.

    `transport` is a name of bumble's (`usb:0`, `android-netsim`, `tcp-client:HOST:PORT`), or `virtual:HOST:PORT`: then
    this process holds a radio link of its own, and a phone's Bluetooth stack gets the other end of it as an HCI
    controller at `phone`, a transport name too. `ready` is set while the card can be found.
    """

    def __init__(
        self, card: Card, transport: str, *, name: str = DEFAULT_NAME, faults: LinkFaults | None = None
    ) -> None:
        """BleError if a virtual link's address cannot be had; ValueError if the name is not one of a card."""
        self.name: Final = checked_name(name)
        self.ready: Final = threading.Event()
        self.address: Final = Address.generate_static_address()
        self.phone = ""
        self._listener = _listener(transport)
        if self._listener is not None:
            host, port = self._listener.getsockname()[:2]
            self.phone = f"tcp-client:{host}:{port}"
        self._transport: Final = transport
        self._card: Final = card
        self._faults: Final = faults
        self._stopping = False
        self._settled: Final = threading.Event()
        self._fault: BleError | None = None
        self._thread: Final = threading.Thread(target=self._run_apart, name="bsim-ble", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._settled.wait()
        if self._fault is not None:
            raise self._fault
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._thread.join()

    def run(self) -> None:
        """Serve until `stop`; BleError if there is no radio, or it goes away."""
        try:
            asyncio.run(self._main())
        finally:
            if self._listener is not None:
                self._listener.close()

    def stop(self) -> None:
        """Go off the air, as soon as the command that may be under way is done."""
        self._stopping = True

    def _run_apart(self) -> None:
        try:
            self.run()
        except BleError as fault:
            self._fault = fault
            _log.error("%s", fault)
        finally:
            self._settled.set()

    async def _main(self) -> None:
        serving = asyncio.create_task(self._serve())
        # A signal that comes just before the loop goes to sleep does not wake it: it looks up by itself.
        while not (self._stopping or serving.done()):
            await asyncio.wait({serving}, timeout=_LOOK_UP_SECONDS)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        self.ready.clear()
        if not serving.cancelled() and (fault := serving.exception()) is not None:
            raise fault

    async def _serve(self) -> None:
        async with self._radio() as (source, sink):
            _BUMBLES_LOG.addFilter(_untold)
            host = Host(source, sink)
            device = Device(config=DeviceConfiguration(name=self.name, address=self.address), host=host)
            peripheral = Peripheral(device, self._card, self._faults)
            try:
                await self._answered(host)
                await self._on_air(peripheral)
                await asyncio.wait([source.terminated])
                raise TransportLostError
            except TransportLostError as fault:
                peripheral.close()
                raise BleError(f"{self._transport}: the radio has gone") from fault
            except asyncio.CancelledError:
                await peripheral.stop()
                raise

    async def _answered(self, host: Host) -> None:
        """Wait until there is a controller behind a socket. One that is to connect to us may come at any time."""
        scheme = self._transport.partition(":")[0]
        if scheme not in _SOCKETS:
            return
        tries = itertools.count() if scheme in _LISTENING else range(_TRIES)
        for number in tries:
            with suppress(TimeoutError):
                await host.send_sync_command(HCI_Reset_Command(), response_timeout=_ANSWER_SECONDS)
                return
            if number == 0:
                _log.info("nothing answers at %s; trying until it does", self._transport)
        raise BleError(f"no Bluetooth controller at {self._transport}: nothing answers there")

    async def _on_air(self, peripheral: Peripheral) -> None:
        try:
            await peripheral.start()
        except TransportLostError:
            raise
        except Exception as fault:
            raise BleError(f"{self._transport}: what is there is no Bluetooth controller ({_words(fault)})") from fault
        _log.info("%s is on the air as %s", self.name, self.address)
        self.ready.set()
        self._settled.set()

    @asynccontextmanager
    async def _radio(self) -> AsyncIterator[tuple[TransportSource, TransportSink]]:
        if self._listener is not None:
            radio = VirtualRadio()
            await radio.open(self._listener)
            try:
                yield radio.card, AsyncPipeSink(radio.card)
            finally:
                radio.close()
            return
        async with await self._opened() as transport:
            yield transport.source, transport.sink

    async def _opened(self) -> Transport:
        try:
            return await open_transport(self._transport)
        except ImportError as fault:  # the Android emulator's speaks gRPC, which bumble leaves to an extra of its own
            hint = "pip install 'bumble[android]'"
            raise BleError(f"no Bluetooth controller at {self._transport}: {fault}: {hint}") from fault
        except Exception as fault:  # each transport fails in its own library's way, and all that matters is told
            raise BleError(f"no Bluetooth controller at {self._transport}: {_words(fault)}") from fault


def _listener(transport: str) -> socket.socket | None:
    """Where the phone of a virtual link connects; None for other transports."""
    scheme, _, where = transport.partition(":")
    if scheme != VIRTUAL:
        return None
    host, _, port = where.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise BleError(f"a virtual link is virtual:HOST:PORT, as in virtual:127.0.0.1:0, not {transport!r}")
    try:
        return socket.create_server((host or "127.0.0.1", int(port)))
    except OSError as fault:
        raise BleError(f"{transport}: {fault.strerror or fault}") from fault


def _untold(record: logging.LogRecord) -> bool:
    """That a command found no radio any more is raised to us as well, and we say it without a traceback."""
    return record.exc_info is None or not isinstance(record.exc_info[1], TransportLostError)


def _words(fault: Exception) -> str:
    return str(fault) or type(fault).__name__
