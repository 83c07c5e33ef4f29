"""A radio link in this process: the card's controller, and one for each phone's Bluetooth stack that comes over TCP."""

import asyncio
import socket
from contextlib import suppress
from typing import Final

from bumble.controller import Controller
from bumble.core import InvalidPacketError
from bumble.hci import HCI_Reset_Command, HCI_StatusReturnParameters
from bumble.link import LocalLink
from bumble.ll import TerminateInd
from bumble.transport.common import AsyncPacketReader

_CONNECTION_TIMEOUT: Final = 0x08  # Bluetooth Core, Vol 1, Part F, 2.8


class VirtualRadio:
    """The link, between `open` and `close`. A phone that goes is out of range for the card; the next may come."""

    def __init__(self) -> None:
        self._link: Final = LocalLink()  # type: ignore[no-untyped-call]  # bumble leaves its result out
        self.card: Final = Controller("card", link=self._link)
        self._server: asyncio.Server | None = None

    async def open(self, listener: socket.socket) -> None:
        """Take phones' stacks at a listening socket, each as the host of a controller of its own (HCI, H4)."""
        self._server = await asyncio.start_server(self._serve, sock=listener)

    def close(self) -> None:
        """Take no more phones."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        phone = _Phone("phone", link=self._link)
        phone.set_packet_sink(_Writer(writer))
        packets = AsyncPacketReader(reader)
        try:
            # It has gone, or speaks no HCI; or the loop ends, which asyncio's streams take for an error of ours.
            with suppress(EOFError, OSError, InvalidPacketError, asyncio.CancelledError):
                while True:
                    phone.on_packet(await packets.next_packet())
        finally:
            phone.let_go()
            self._link.remove_controller(phone)
            writer.close()


class _Phone(Controller):
    """A phone's controller. Unlike its parent it lets connections go when its host begins anew."""

    def on_hci_reset_command(self, command: HCI_Reset_Command) -> HCI_StatusReturnParameters:
        self.let_go()  # Bluetooth Core, Vol 4, Part E, 7.3.2
        return super().on_hci_reset_command(command)

    def let_go(self) -> None:
        """Be out of range: whoever is connected learns it."""
        for connection in self.le_connections.values():
            connection.send_ll_control_pdu(TerminateInd(_CONNECTION_TIMEOUT))
        self.le_connections.clear()


class _Writer:
    """Where a controller's packets go."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer: Final = writer

    def on_packet(self, packet: bytes) -> None:
        """Send a packet, if there is somebody."""
        if not self._writer.is_closing():
            self._writer.write(packet)
