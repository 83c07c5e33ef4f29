"""A card as a modem uses it: commands by their names, TPDUs, logical channels; and a card that is lost."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from bsim.apdu import CLAS, ResponseApdu, cla_on_channel
from bsim.card import T0
from bsim.links.modem_results import Cme, CmeError, refusal
from bsim.ports import Card, CardLost
from bsim.spec import Command, encode, spec

_COMMANDS: Final = {**spec().applets["uicc"].commands, **spec().applets["usim"].commands}
_OPEN, _CLOSE = 0x00, 0x80
_CHAINED: Final = 0x10


class ModemCard:
    """One card, behind its handset. CmeError says that it is lost; it is looked for again with every command."""

    def __init__(self, card: Card) -> None:
        self._card: Final = T0(card)
        self._apdus: Final = card
        self._lost = False
        self.channels: Final[dict[int, object]] = {}
        """Open channels, and who opened each."""

    def reset(self) -> None:
        """Power-cycle the card; all channels are closed."""
        self.channels.clear()
        self._lost = False
        self._try(self._card.reset)

    def tpdu(self, command: bytes) -> bytes:
        """Carry one command TPDU; 61xx and 6Cxx are the client's."""
        return self._transmit(self._card.transmit, command)

    def apdu(self, command: bytes, channel: int = 0) -> ResponseApdu:
        """Carry one command APDU on a channel, whatever channel its class byte names."""
        if command:
            cla = CLAS[command[0]]
            if cla.valid:
                moved = cla_on_channel(cla.base, channel) | cla.chaining * _CHAINED
                command = bytes((moved,)) + command[1:]
        return ResponseApdu.parse(self._transmit(self._apdus.transmit, command))

    def call(self, name: str, channel: int = 0, /, **values: int | bytes) -> ResponseApdu:
        """Send a command by the name of its declaration."""
        encoded = encode(_COMMANDS[name], values)
        return self.apdu(replace(encoded, cla=cla_on_channel(encoded.cla, channel)).encode(), channel)

    def open(self, owner: object) -> int:
        """Open a logical channel; CmeError if there is none left."""
        opened = self.call("MANAGE_CHANNEL", operation=_OPEN, channel=0)
        if not opened.ok or len(opened.data) != 1:
            raise CmeError(refusal(opened.sw))
        self.channels[opened.data[0]] = owner
        return opened.data[0]

    def close(self, channel: int) -> None:
        """Close a logical channel."""
        self.channels.pop(channel, None)
        self.call("MANAGE_CHANNEL", operation=_CLOSE, channel=channel)

    def _transmit(self, transmit: Callable[[bytes], bytes], command: bytes) -> bytes:
        if self._lost:
            self.reset()
        return self._try(lambda: transmit(command))

    def _try(self, do: Callable[[], bytes]) -> bytes:
        try:
            return do()
        except CardLost as loss:
            self._lost = True
            raise CmeError(Cme.SIM_NOT_INSERTED) from loss


def instruction(name: str) -> Command:
    """The declaration of a command of the UICC or the USIM."""
    return _COMMANDS[name]
