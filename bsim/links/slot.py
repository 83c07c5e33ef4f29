"""A card in a slot of a private pcscd, seen by a PC/SC client: put in, waited for, connected to, taken out."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from smartcard import scard
from smartcard.CardConnection import CardConnection
from smartcard.pcsc.PCSCReader import PCSCReader

from bsim.links.pcscd import PrivatePcscd
from bsim.links.vpcd import VpcdLink
from bsim.ports import Card

if TYPE_CHECKING:
    from smartcard.CardConnectionDecorator import CardConnectionDecorator

_PATIENCE_MS: Final = 30_000


class Slot:
    """One slot of a pcscd, watched through a PC/SC context of its own. RuntimeError is what PC/SC says."""

    def __init__(self, reader: str) -> None:
        self.reader: Final = reader
        status, self._context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        _check(status)

    def close(self) -> None:
        """Look no longer."""
        scard.SCardReleaseContext(self._context)

    def wait(self, *, present: bool) -> None:
        """Wait until pcscd sees that a card is in the slot, or out of it."""
        wanted = scard.SCARD_STATE_PRESENT if present else scard.SCARD_STATE_EMPTY
        state = scard.SCARD_STATE_UNAWARE
        while not state & wanted:
            status, states = scard.SCardGetStatusChange(self._context, _PATIENCE_MS, [(self.reader, state)])
            _check(status)
            state = states[0][1]


@dataclass
class Inserted:
    """A card in a slot: its reader's name, the link it hangs on, and a PC/SC client's connection to it (T=0)."""

    reader: str
    link: VpcdLink
    connection: "CardConnectionDecorator"


@contextmanager
def inserted(card: Card, pcscd: PrivatePcscd, slot: int = 0) -> Iterator[Inserted]:
    """Put a card, at TPDU level, into a slot (0 or 1); it is out again at the end."""
    with ExitStack() as stack:
        watched = Slot(pcscd.readers[slot])
        stack.callback(watched.close)
        stack.callback(watched.wait, present=False)
        link = stack.enter_context(VpcdLink(card, port=pcscd.ports[slot]))
        watched.wait(present=True)
        connection = PCSCReader(watched.reader).createConnection()
        stack.callback(connection.release)
        connection.connect(CardConnection.T0_protocol)
        yield Inserted(watched.reader, link, connection)


def _check(status: int) -> None:
    if status != scard.SCARD_S_SUCCESS:
        raise RuntimeError(scard.SCardGetErrorMessage(status))
