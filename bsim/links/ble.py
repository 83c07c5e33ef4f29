"""The BLE face: the card as the Bluetooth peripheral that the wallet app on an iPhone talks to. On bumble.

One app at a time, one message at a time; each connection begins with a power cycle of the card (docs/decisions/0038).
The framing is bsim.links.ble_frames.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from bumble.att import ATT_Error
from bumble.core import UUID, AdvertisingData, BaseBumbleError
from bumble.device import Connection, Device
from bumble.gatt import Characteristic, CharacteristicValue, Service

from bsim.lab.fault_rules import Action, Kind
from bsim.lab.link_faults import LinkFaults, altered
from bsim.lab.t0_client import ProtocolError, follow
from bsim.links.ble_frames import Assembler, FramingError, Message, MessageType, encode
from bsim.ports import Card, CardLost, CardRemoved
from bsim.sw import SW

SERVICE: Final = UUID.from_16_bits(0xFF10)
WRITE: Final = UUID.from_16_bits(0xFF11)
NOTIFY: Final = UUID.from_16_bits(0xFF12)
NAME_START: Final = "CT"
"""What the app looks for when it scans."""
LONGEST_NAME: Final = 22  # legacy advertising has 31 bytes, 9 of them for the flags, the service and the name's head

_log: Final = logging.getLogger(__name__)
_APPLICATION_ERROR: Final = 0x80  # the first of ATT's application errors: Bluetooth Core, Vol 3, Part F, 3.4.1.1
_INSUFFICIENT_RESOURCES: Final = 0x11
_MOST_WAITING: Final = 8  # messages of an app that does not wait for answers
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
        self._talk: _Conversation | None = None

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
        self._talk = _Conversation(connection, self._card, self._faults, self._thread, self._notify)
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


@dataclass(frozen=True, slots=True)
class _Job:
    """A message for the card, or, without one, a refusal that waits for its turn."""

    message: Message | None = field(repr=False)
    first: int
    actions: tuple[Action, ...] = ()

    def early(self, kind: Kind) -> bool:
        return any(action.kind is kind and not action.late for action in self.actions)


class _Conversation:
    """One app's connection: its frames in, its messages through the card in turn, their answers out."""

    def __init__(
        self,
        connection: Connection,
        card: Card,
        faults: LinkFaults | None,
        thread: ThreadPoolExecutor,
        notify: Callable[[Connection, bytes], Awaitable[None]],
    ) -> None:
        self.connection: Final = connection
        self._card: Final = card
        self._faults: Final = faults
        self._thread: Final = thread
        self._send: Final = notify
        self._assembler: Final = Assembler(MessageType.COMMAND)
        self._first = 0
        self._lost = True  # a card begins without power
        self._jobs: Final[asyncio.Queue[_Job]] = asyncio.Queue(_MOST_WAITING)
        if faults:
            faults.reset()
        self._task: Final = asyncio.create_task(self._work())

    def end(self) -> None:
        """The connection is gone; the command that is under way is carried out, and its answer goes nowhere."""
        self._task.cancel()

    def written(self, frame: bytes) -> None:
        """Take a frame; ATT_Error is what the write is answered with."""
        if self._jobs.full():
            raise ATT_Error(_INSUFFICIENT_RESOURCES)
        try:
            message = self._assembler.feed(frame)
        except FramingError as fault:
            _log.info("a message was refused: %s", fault)
            self._jobs.put_nowait(_Job(None, self._first))
            return
        if message is None:
            return
        self._first = message.first
        actions = self._faults.due(message.body) if self._faults else ()
        self._jobs.put_nowait(_Job(message, message.first, actions))
        if any(action.kind is Kind.REFUSE_WRITE for action in actions):
            raise ATT_Error(_APPLICATION_ERROR)

    async def _work(self) -> None:
        while True:
            job = await self._jobs.get()
            try:
                await self._do(job)
            except BaseBumbleError as fault:
                _log.info("the answer did not get through: %s", fault)
            except Exception as bug:  # noqa: BLE001 - one message's trouble is not the next one's
                _log.error("the answer did not get through: %s", type(bug).__name__)

    async def _do(self, job: _Job) -> None:
        if job.early(Kind.DISCONNECT):
            await self.connection.disconnect()
            return
        await self._stray(job, late=False)
        response = await self._response(job)
        if response is None:
            return
        late = [action for action in job.actions if action.late]
        frames = altered(_encoded(response, job.first), late)
        if any(action.kind is Kind.DISCONNECT for action in late):
            await self._notify(frames[: len(frames) // 2])
            await self.connection.disconnect()
            return
        await self._notify(frames)
        await self._stray(job, late=True)

    async def _response(self, job: _Job) -> bytes | None:
        """The card's answer to a message; None if it gives none, or the message never got here whole."""
        try:
            message = _arrived(job)
        except FramingError as fault:
            _log.info("a message was refused: %s", fault)
            return SW.WRONG_LENGTH.encoded
        if message is None:
            return None if job.message else SW.WRONG_LENGTH.encoded
        try:
            response = await asyncio.get_running_loop().run_in_executor(self._thread, self._carry, message.body)
        except CardLost as loss:
            _log.info("%s; it is back with the next message", loss)
            self._lost = True
            if isinstance(loss, CardRemoved):
                await self.connection.disconnect()
            return None
        if self._faults:
            self._faults.answered(response)
        return response

    def _carry(self, command: bytes) -> bytes:
        """Carry one APDU, in the card's thread. The app sees no 61xx and 6Cxx: that is this side's work."""
        if self._lost:
            self._card.reset()
            self._lost = False
            if self._faults:
                self._faults.reset()
        try:
            return follow(self._card.transmit, command)
        except CardLost:
            raise
        except ProtocolError as fault:
            _log.error("%s", fault)
        except Exception as bug:  # noqa: BLE001 - a link outlives what is wrong with its card, and tells it
            _log.error("the card raised %s", type(bug).__name__)
        return SW.NO_PRECISE_DIAGNOSIS.encoded

    async def _stray(self, job: _Job, *, late: bool) -> None:
        await self._notify([action.data for action in job.actions if action.kind is Kind.STRAY and action.late == late])

    async def _notify(self, frames: "list[bytes] | tuple[bytes, ...]") -> None:
        for frame in frames:
            await self._send(self.connection, frame)


def _arrived(job: _Job) -> Message | None:
    """The message as the link let it through; FramingError if that is none."""
    early = [action for action in job.actions if not action.late]
    if job.message is None or not early:
        return job.message
    assembler = Assembler(MessageType.COMMAND, job.first)
    messages = [assembler.feed(one) for one in altered(encode(MessageType.COMMAND, job.message.body, job.first), early)]
    return next((message for message in messages if message), None)


def _encoded(response: bytes, first: int) -> tuple[bytes, ...]:
    try:
        return encode(MessageType.RESPONSE, response, first)
    except FramingError as fault:
        _log.error("the card's answer: %s", fault)
        return encode(MessageType.RESPONSE, SW.NO_PRECISE_DIAGNOSIS.encoded, first)
