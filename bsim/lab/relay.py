"""Relay: a card between an app and itself. What a link needs of a card in a reader, and a place to watch from."""

from collections.abc import Callable
from typing import Final, Protocol

from bsim.lab.reader import MuteCardError, ReaderError
from bsim.ports import Card, CardLost, CardMute, CardRemoved
from bsim.spec import spec
from bsim.spec.decode import Answer, Decoded, Decoder
from bsim.sw import SW

_SHORTEST: Final = 4


class Relay:
    """A card that may come and go, as links take it; itself a card. What its reader says of its loss is CardLost.

    `reset` raises too while there is no card: a link then tries again until one is put in.
    """

    def __init__(self, card: Card) -> None:
        self.card: Final = card

    def reset(self) -> bytes:
        """Power-cycle the card, the same or another that was put in."""
        return self._lost(self.card.reset)

    def transmit(self, command: bytes) -> bytes:
        """Carry one APDU."""
        if len(command) < _SHORTEST:
            return SW.WRONG_LENGTH.encoded  # no reader carries it, and the app must not think the card gone
        return self._lost(lambda: self.card.transmit(command))

    @staticmethod
    def _lost(do: Callable[[], bytes]) -> bytes:
        try:
            return do()
        except MuteCardError as fault:
            raise CardMute(str(fault)) from fault
        except ReaderError as fault:
            raise CardRemoved(str(fault)) from fault


class Watcher(Protocol):
    """Who is shown what goes between app and card."""

    def reset(self, atr: bytes) -> None:
        """See a power cycle."""
        ...

    def exchange(self, command: Decoded, answer: Answer) -> None:
        """See an exchange, secrets masked."""
        ...

    def lost(self, command: Decoded, loss: CardLost) -> None:
        """See a command that got no answer."""
        ...


class Watched:
    """A card whose conversation somebody watches; itself a card."""

    def __init__(self, card: Card, watcher: Watcher) -> None:
        self.card: Final = card
        self._watcher: Final = watcher
        self._decoder: Final = Decoder(spec())

    def reset(self) -> bytes:
        """Power-cycle the card."""
        atr = self.card.reset()
        self._decoder.reset()
        self._watcher.reset(atr)
        return atr

    def transmit(self, command: bytes) -> bytes:
        """Carry one APDU."""
        decoded = self._decoder.command(command)
        try:
            response = self.card.transmit(command)
        except CardLost as loss:
            self._watcher.lost(decoded, loss)
            raise
        self._watcher.exchange(decoded, self._decoder.response(decoded, response))
        return response
