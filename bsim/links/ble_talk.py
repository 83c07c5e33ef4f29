"""One app's connection to a BLE card: its frames in, its messages through the card in turn, their answers out.

Whatever the frames, the card and the link do, the next good message is carried.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from bumble.att import ATT_Error
from bumble.core import BaseBumbleError
from bumble.device import Connection

from bsim.lab.fault_rules import Action, Kind
from bsim.lab.link_faults import LinkFaults, altered
from bsim.lab.t0_client import ProtocolError, follow
from bsim.links.ble_frames import Assembler, FramingError, Message, MessageType, encode
from bsim.ports import Card, CardLost, CardRemoved
from bsim.sw import SW

_log: Final = logging.getLogger(__name__)
_APPLICATION_ERROR: Final = 0x80  # the first of ATT's application errors: Bluetooth Core, Vol 3, Part F, 3.4.1.1
_INSUFFICIENT_RESOURCES: Final = 0x11
_MOST_WAITING: Final = 8  # messages of an app that does not wait for answers


@dataclass(frozen=True, slots=True)
class _Job:
    """A message for the card, or, without one, a refusal that waits for its turn."""

    message: Message | None = field(repr=False)
    first: int
    actions: tuple[Action, ...] = ()

    def early(self, kind: Kind) -> bool:
        return any(action.kind is kind and not action.late for action in self.actions)


class Conversation:
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
