"""A stream that is longer than a response: handed out in segments, cut where they fall, and made as it is asked for."""

from collections.abc import Iterable, Iterator
from typing import Final

from bsim.applets.session import Response
from bsim.sw import SW, SwError

SEGMENT: Final = 256


class Pages:
    """What is left of a stream."""

    __slots__ = ("_at", "_buffer", "_rest")

    def __init__(self, stream: Iterable[bytes]) -> None:
        """`stream` is read piece by piece, no further than the segments need."""
        self._rest: Final[Iterator[bytes]] = iter(stream)
        self._buffer = b""
        self._at = 0

    def next(self) -> bytes | Response:
        """Answer the next segment: 256 bytes and 6300 where more follow, else the last, of at most 256 bytes."""
        begin, end = self._at, self._at + SEGMENT
        if len(self._buffer) <= end:
            self._fill()
            begin, end = 0, SEGMENT
        self._at = end
        segment = self._buffer[begin:end]
        return Response(segment, SW.MORE_DATA) if len(self._buffer) > end else segment

    def _fill(self) -> None:
        """Read on until there is more than a segment, or nothing more to read."""
        parts = [self._buffer[self._at :]]
        size = len(parts[0])
        for part in self._rest:
            parts.append(part)
            size += len(part)
            if size > SEGMENT:
                break
        self._buffer = b"".join(parts)
        self._at = 0


def first(paged: dict[str, Pages], command: str, stream: Iterable[bytes]) -> bytes | Response:
    """Begin a stream that a command pages through, and answer its first segment."""
    paged[command] = Pages(stream)
    return following(paged, command)


def following(paged: dict[str, Pages], command: str) -> bytes | Response:
    """Answer a command's next segment; SwError 6985 if none is left."""
    pages = paged.get(command)
    if pages is None:
        raise SwError(SW.CONDITIONS_NOT_SATISFIED, "no segment is left")
    segment = pages.next()
    if type(segment) is bytes:
        del paged[command]
    return segment
