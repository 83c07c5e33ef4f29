"""The framing of the BLE card: messages cut into numbered frames and put together again. Pure: no I/O, no clock.

A message is type (1) | length (2, big endian) | body; a frame is (frames << 4 | sequence) | chunk of 1 to 19 bytes.
Whether the sequence begins with 0 or 1 is the app's choice, and the card answers alike: docs/decisions/0037.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

LONGEST_CHUNK: Final = (
    19  # an ATT value of 20 bytes: what every phone carries, ATT_MTU 23 (Bluetooth Core, Vol 3, Part F)
)
MOST_FRAMES: Final = 15  # a nibble
_HEAD: Final = 3
LONGEST_BODY: Final = MOST_FRAMES * LONGEST_CHUNK - _HEAD
"""The most bytes of an APDU or a response that pass: 282."""


class MessageType(IntEnum):
    """The first byte of a message."""

    COMMAND = 0x02
    RESPONSE = 0x12


class FramingError(Exception):
    """What does not keep to the framing; the message says where, and repeats no data."""


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message: its body (0-282 bytes), and the sequence number (0 or 1) its frames began with."""

    body: bytes = field(repr=False)
    first: int


def encode(kind: MessageType, body: bytes, first: int = 0) -> tuple[bytes, ...]:
    """Cut a message into its frames (2-20 bytes each, 15 at most); FramingError if the body has over 282 bytes."""
    if len(body) > LONGEST_BODY:
        raise FramingError(
            f"a body of {len(body)} bytes does not pass: {LONGEST_BODY} is the most {MOST_FRAMES} frames carry"
        )
    message = bytes((kind,)) + len(body).to_bytes(2, "big") + body
    chunks = [message[at : at + LONGEST_CHUNK] for at in range(0, len(message), LONGEST_CHUNK)]
    return tuple(bytes((len(chunks) << 4 | first + at,)) + chunk for at, chunk in enumerate(chunks))


class Assembler:
    """Puts the messages of one connection together again, whatever comes. It never waits for what cannot come.

    A broken message is told once; what follows of it is passed over until the next message begins. A message that
    was not complete when the next began is forgotten.
    """

    def __init__(self, kind: MessageType, first: int | None = None) -> None:
        """`first` is the sequence number messages begin with; None learns it from two good ones in a row."""
        self._kind: Final = kind
        self._first = first
        self._sure = first is not None
        self._count = 0  # frames of the message under way; 0 where there is none
        self._begun = 0
        self._next = 0
        self._message = b""
        self._last = b""
        self._broken = False

    def feed(self, frame: bytes) -> Message | None:
        """Take a frame; answers the message it completes. FramingError where a message is found to be broken."""
        if not 2 <= len(frame) <= LONGEST_CHUNK + 1:
            raise self._fault(f"a chunk has 1 to {LONGEST_CHUNK} bytes, not {max(len(frame) - 1, 0)}")
        count, number, chunk = frame[0] >> 4, frame[0] & 0x0F, frame[1:]
        if self._count and number == self._next and count == self._count:
            self._message += chunk
        elif self._begins(number, chunk):
            self._begin(count, number, chunk)
        elif self._broken or frame == self._last:
            return None  # the rest of what was told already; or a frame that came twice in a row
        else:
            raise self._unexpected(count, number)
        self._last, self._next = frame, self._next + 1
        self._judge()
        return self._whole() if self._next - self._begun == self._count else None

    def _begins(self, number: int, chunk: bytes) -> bool:
        if self._sure:
            return number == self._first
        # Not learnt yet. 1 may also be the second frame of a message whose first was lost: then its type is missing.
        return number == 0 or (number == 1 and chunk[0] == self._kind)

    def _begin(self, count: int, number: int, chunk: bytes) -> None:
        if count == 0:
            raise self._fault("a message of 0 frames")
        self._broken = False
        self._count, self._begun, self._next = count, number, number
        self._message = chunk

    def _judge(self) -> None:
        """Refuse a message as soon as it cannot become a good one."""
        message = self._message
        if message[0] != self._kind:
            raise self._fault(f"type {message[0]:02X} where {self._kind:02X} is wanted")
        if len(message) < _HEAD:
            return
        length = int.from_bytes(message[1:_HEAD], "big")
        if length > LONGEST_BODY:
            raise self._fault(f"a body of {length} bytes does not pass: {LONGEST_BODY} is the most")
        if _HEAD + length > self._count * LONGEST_CHUNK:
            raise self._fault(f"a body of {length} bytes does not fit into {self._count} frames")
        if len(message) > _HEAD + length:
            raise self._fault(f"{len(message) - _HEAD} bytes or more where the length says {length}")

    def _whole(self) -> Message:
        message = self._message
        if len(message) < _HEAD or len(message) - _HEAD != int.from_bytes(message[1:_HEAD], "big"):
            raise self._fault("all frames are there, and fewer bytes than the length says")
        self._sure = self._sure or self._first == self._begun
        self._first, self._count = self._begun, 0
        return Message(message[_HEAD:], self._begun)

    def _unexpected(self, count: int, number: int) -> FramingError:
        if not self._count:
            return self._fault(f"frame {number} of {count} where a message begins")
        if count != self._count:
            return self._fault(f"frame {number} of {count} in a message of {self._count} frames")
        if number - self._begun >= self._count:
            return self._fault(f"sequence {number} is beyond the {self._count} frames there are")
        return self._fault(f"frame {number} where {self._next} is wanted")

    def _fault(self, words: str) -> FramingError:
        self._count, self._message, self._broken = 0, b"", True
        return FramingError(words)
