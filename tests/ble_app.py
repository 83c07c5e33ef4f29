"""The phone's side of a virtual BLE link: a wallet app that finds the card, writes its frames and reads the answers."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from bumble.att import ATT_Error, ErrorCode
from bumble.controller import Controller
from bumble.core import UUID, AdvertisingData
from bumble.device import Connection, Device, DeviceConfiguration, Peer
from bumble.gatt_client import CharacteristicProxy
from bumble.hci import Address
from bumble.host import Host
from bumble.link import LocalLink
from bumble.transport.common import AsyncPipeSink

from bsim.lab.link_faults import LinkFaults
from bsim.links.ble import Peripheral
from bsim.links.ble_frames import Assembler, MessageType, encode
from bsim.ports import Card

SECONDS = 20.0  # nothing here takes so long unless it hangs
TYPE, LENGTH, CHUNK = 0x02, 2, 19


def device(link: LocalLink, name: str) -> Device:
    controller = Controller(name, link=link)
    config = DeviceConfiguration(name=name, address=Address.generate_static_address())
    return Device(config=config, host=Host(controller, AsyncPipeSink(controller)))


@asynccontextmanager
async def on_air(card: Card, faults: LinkFaults | None = None) -> AsyncIterator[Device]:
    """A card on a virtual link; answers the phone's device, powered on."""
    link = LocalLink()
    peripheral = Peripheral(device(link, "CT-TEST"), card, faults)
    phone = device(link, "phone")
    async with asyncio.timeout(SECONDS):
        await peripheral.start()
        await phone.power_on()
        yield phone
        await peripheral.stop()


@dataclass
class App:
    """A connected app. `first` is where it begins to count frames."""

    connection: Connection
    write: CharacteristicProxy
    notified: "asyncio.Queue[bytes]"
    first: int = 0

    @classmethod
    async def connect(cls, phone: Device, first: int = 0) -> Self:
        """Scan for a name that begins with CT, connect, find the service and subscribe."""
        found: asyncio.Future[Address] = asyncio.get_running_loop().create_future()

        def seen(advertisement):
            name = advertisement.data.get(AdvertisingData.COMPLETE_LOCAL_NAME)
            if not found.done() and name and name.startswith("CT"):
                found.set_result(advertisement.address)

        phone.on("advertisement", seen)
        await phone.start_scanning()
        address = await found
        await phone.stop_scanning()
        phone.remove_listener("advertisement", seen)
        connection = await phone.connect(address)
        peer = Peer(connection)
        await peer.discover_services([UUID("FF10")])
        (service,) = peer.get_services_by_uuid(UUID("FF10"))
        await service.discover_characteristics()
        (write,) = service.get_characteristics_by_uuid(UUID("FF11"))
        (notify,) = service.get_characteristics_by_uuid(UUID("FF12"))
        app = cls(connection, write, asyncio.Queue(), first)
        await notify.subscribe(app.notified.put_nowait)
        return app

    async def send(self, frames: Iterable[bytes]) -> None:
        for frame in frames:
            await self.write.write_value(frame, with_response=True)

    async def send_when_taken(self, frame: bytes) -> None:
        """As an app that sends more than the card has room for: again, once there is some."""
        while True:
            try:
                return await self.send([frame])
            except ATT_Error as refusal:
                if refusal.error_code != ErrorCode.INSUFFICIENT_RESOURCES:
                    raise
                await asyncio.sleep(0.01)

    async def answer(self) -> bytes:
        """The next whole message from the card; what is notified bare is passed over, as the app does."""
        assembler = Assembler(MessageType.RESPONSE, self.first)
        while True:
            frame = await self.notified.get()
            if frame != b"\x67\x00" and (message := assembler.feed(frame)):
                return message.body

    async def exchange(self, command: bytes | str) -> bytes:
        raw = bytes.fromhex(command) if isinstance(command, str) else command
        await self.send(encode(MessageType.COMMAND, raw, self.first))
        return await self.answer()


class Modem:
    """The app's card as a blocking client sees it: itself a `Card`, from another thread than the link's."""

    def __init__(self, app: App, loop: asyncio.AbstractEventLoop) -> None:
        self._app = app
        self._loop = loop

    def reset(self) -> bytes:
        raise AssertionError("an app cannot reset the card over BLE")

    def transmit(self, command: bytes) -> bytes:
        return asyncio.run_coroutine_threadsafe(self._app.exchange(command), self._loop).result(SECONDS)
