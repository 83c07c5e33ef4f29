"""What happened to one card, newest last: JSON texts in a ring, and the feeds that look on.

Only decoded, masked exchanges get in (bsim.spec.decode): what comes out of here may be shown to anybody.
"""

import itertools
import time
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Final

from bsim.applets.proactive import CommandType, Result
from bsim.handset.remote import Dialogue
from bsim.links.web.message import encode
from bsim.ports import Card, CardLost, CardMute, CardRemoved
from bsim.spec.late_decoder import LateDecoder

Tell = Callable[[str], None]
"""Is told of an event, in whatever thread it happens."""


class CardLog:
    """The ring of one card. `share` says how many lines it may keep just now."""

    def __init__(self, share: Callable[[], int], tell: Tell) -> None:
        self._share: Final = share
        self._tell: Final = tell
        self._lines: Final[deque[tuple[int, str]]] = deque()
        self._numbers: Final = itertools.count(1)
        self._began: Final = time.monotonic()
        self._lock: Final = Lock()
        self.last = 0

    def add(self, kind: str, /, **values: object) -> None:
        """Note an event; nothing secret may be in it."""
        at = round(time.monotonic() - self._began, 6)
        with self._lock:
            number = self.last = next(self._numbers)
            text = encode({"n": number, "at": at, "type": kind, **values}).decode()
            self._lines.append((number, text))
            while len(self._lines) > self._share():
                self._lines.popleft()
        self._tell(text)

    def since(self, number: int, most: int) -> list[str]:
        """The last events after a number, `most` at most, oldest first."""
        with self._lock:
            found = list(itertools.takewhile(lambda line: line[0] > number, reversed(self._lines)))
        return [text for _, text in reversed(found[:most])]

    def clear(self) -> None:
        """Forget all lines; numbers go on."""
        with self._lock:
            self._lines.clear()

    def opened(self, dialogue: Dialogue, waits: bool, seconds: float) -> None:
        """A dialogue came up."""
        self.add("dialogue", state="open", waits=waits, expires_in=seconds, **dialogue_json(dialogue))

    def closed(self, dialogue: Dialogue, result: int | None) -> None:
        """A dialogue ended."""
        named = None if result is None else Result(result).name if result in set(Result) else f"{result:02X}"
        self.add("dialogue", state="closed", result=named, **dialogue_json(dialogue))


class Tap:
    """A card whose exchanges are logged as the app sees them; itself a card. For one thread at a time, as a card is."""

    def __init__(self, card: Card, log: CardLog) -> None:
        self._card: Final = card
        self._log: Final = log
        self._decoder: Final = LateDecoder()

    def reset(self) -> bytes:
        """Power-cycle the card."""
        begun = time.perf_counter()
        atr = self._card.reset()
        self._decoder.reset()
        self._log.add("reset", atr=atr.hex().upper(), took=round(time.perf_counter() - begun, 6))
        return atr

    def transmit(self, command: bytes) -> bytes:
        """Carry one APDU."""
        decoded = self._decoder.command(command)
        begun = time.perf_counter()
        try:
            response = self._card.transmit(command)
        except CardLost as loss:
            kind = (CardMute if isinstance(loss, CardMute) else CardRemoved).__name__
            self._log.add("lost", name=decoded.name, command=decoded.shown.replace(" ", ""), lost=kind)
            raise
        took = round(time.perf_counter() - begun, 6)
        self._log.add("exchange", took=took, **self._decoder.exchange_json(decoded, response))
        return response


def dialogue_json(dialogue: Dialogue) -> dict[str, object]:
    """A dialogue as it is on the screen; what is typed is never in it."""
    command = dialogue.command
    kind = CommandType(command.type).name if command.type in set(CommandType) else f"{command.type:02X}"
    lengths = {"min": command.minimum, "max": command.maximum} if command.type == CommandType.GET_INPUT else {}
    return {"id": dialogue.number, "kind": kind, "text": command.text, "hidden": command.hidden, **lengths}
