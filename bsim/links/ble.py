"""The BLE face: the card as the Bluetooth peripheral that the wallet app on an iPhone talks to. On bumble.

One app at a time, one message at a time; each connection begins with a power cycle of the card (docs/decisions/0038).
What is said on a connection is in bsim.links.ble_talk.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from bumble.core import UUID, AdvertisingData, BaseBumbleError
from bumble.device import Connection, Device
from bumble.gatt import Characteristic, CharacteristicValue, Service

from bsim.lab.link_faults import LinkFaults
from bsim.links.ble_talk import Conversation
from bsim.ports import Card

SERVICE: Final = UUID.from_16_bits(0xFF10)
WRITE: Final = UUID.from_16_bits(0xFF11)
NOTIFY: Final = UUID.from_16_bits(0xFF12)
NAME_START: Final = "CT"
"""What the app looks for when it scans."""
LONGEST_NAME: Final = 22  # legacy advertising has 31 bytes, 9 of them for the flags, the service and the name's head

_log: Final = logging.getLogger(__name__)
_INTERVAL: Final = 20.0  # ms: what Apple asks of accessories that are to be found at once
_GOODBYE_SECONDS: Final = 2.0
_FLAGS: Final = b"\x06"  # general discoverable, no BR/EDR: Supplement to the Bluetooth Core, Part A, 1.3


def checked_name(name: str) -> str:
    """A name the app finds; ValueError says what one is."""
    if not name.startswith(NAME_START) or len(name.encode()) > LONGEST_NAME:
        raise ValueError(f"a BLE card's name begins with {NAME_START} and has {LONGEST_NAME} bytes at most")
    return name


class Peripheral:
    """A card on a bumble device, from `start` to `stop`. FramingError never ends it, nor does a card that is lost."""

    def __init__(self, device: Device, card: Card, faults: LinkFaults | None = None) -> None:
        """ValueError if the device's name is not one the app looks for."""
        checked_name(device.name)
        self._device: Final = device
        self._card: Final = card
        self._faults: Final = faults
        self._answers: Final = Characteristic[bytes](
            NOTIFY, Characteristic.Properties.NOTIFY, Characteristic.READABLE, b""
        )
        # One thread: a card has one line. It is not the loop's, so that a slow card does not hold up the radio.
        self._thread: Final = ThreadPoolExecutor(1, "bsim-ble-card")
        self._talk: Conversation | None = None

    async def start(self) -> None:
        """Power the radio on and advertise; again after each app that goes."""
        device = self._device
        commands = Characteristic[bytes](
            WRITE, Characteristic.Properties.WRITE, Characteristic.WRITEABLE, CharacteristicValue(write=self._written)
        )
        device.add_service(Service(SERVICE, [commands, self._answers]))
        device.on(Device.EVENT_CONNECTION, self._connected)
        await device.power_on()
        data = AdvertisingData(
            [
                (AdvertisingData.FLAGS, _FLAGS),
                (AdvertisingData.COMPLETE_LOCAL_NAME, device.name.encode()),
                (AdvertisingData.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS, SERVICE.to_bytes()),
            ]
        )
        await device.start_advertising(
            auto_restart=True,
            advertising_data=bytes(data),
            advertising_interval_min=_INTERVAL,
            advertising_interval_max=_INTERVAL,
        )

    async def stop(self) -> None:
        """Advertise no more, and let the app go."""
        try:
            with suppress(BaseBumbleError, TimeoutError):  # the radio may be gone before us
                async with asyncio.timeout(_GOODBYE_SECONDS):
                    await self._device.stop_advertising()
                    if self._talk:
                        await self._talk.connection.disconnect()
                    await self._device.power_off()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the card, where there is no radio any more to say goodbye with."""
        if self._talk:
            self._talk.end()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _connected(self, connection: Connection) -> None:
        if self._talk:
            _log.warning("a second app connected; it is not served")
            return
        _log.info("an app connected")
        self._talk = Conversation(connection, self._card, self._faults, self._thread, self._notify)
        connection.on(Connection.EVENT_DISCONNECTION, self._disconnected)

    def _disconnected(self, _reason: int) -> None:
        _log.info("the app has gone")
        talk, self._talk = self._talk, None
        if talk:
            talk.end()

    def _written(self, connection: Connection, frame: bytes) -> None:
        if self._talk and self._talk.connection is connection:
            self._talk.written(frame)

    async def _notify(self, connection: Connection, frame: bytes) -> None:
        await self._device.notify_subscriber(connection, self._answers, frame)
