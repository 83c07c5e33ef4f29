"""The phone behind a modem's ports: one card in its handset, its files and PINs, and who answers its dialogues."""

from typing import Final

from bsim.handset import Handset, User
from bsim.handset.phone import CardInHandset
from bsim.links.modem_card import ModemCard
from bsim.links.modem_files import Files
from bsim.links.modem_pins import ModemPins
from bsim.links.modem_results import CmeError, refusal
from bsim.links.modem_toolkit import Toolkit, proactive_line
from bsim.ports import Card


class Phone:
    """What all ports of a modem share. `card` is the card as apps see it: `inserted`, or a wrapper of that."""

    def __init__(self, inserted: CardInHandset, toolkit: Toolkit, card: Card | None = None) -> None:
        self.toolkit: Final = toolkit
        self.card: Final = ModemCard(card or inserted)
        self.files: Final = Files(self.card)
        self.pins: Final = ModemPins(self.card, self.files)
        self.functionality = 1
        self._inserted: Final = inserted

    @classmethod
    def around(cls, card: Card, user: User | None = None) -> "Phone":
        """Put a card in a phone whose user answers what no AT client takes."""
        toolkit = Toolkit(user)
        return cls(Handset(toolkit, menu=True).insert(card), toolkit)

    @property
    def menu(self) -> str | None:
        """The result code that tells of the card's menu; None where it has none."""
        return proactive_line(self._inserted.menu) if self._inserted.menu else None

    @property
    def profile(self) -> bytes:
        """What the modem tells the card it can do."""
        return self._inserted.profile

    def reset(self) -> None:
        """Power-cycle the card; its channels and dialogues are gone."""
        self.toolkit.forget()
        self.card.reset()

    def envelope(self, envelope: bytes) -> bytes:
        """Tell the card of an event; answers its data. CmeError if it refuses."""
        response = self._inserted.envelope(envelope)
        if response[-2] not in {0x90, 0x91}:
            raise CmeError(refusal(int.from_bytes(response[-2:], "big")))
        return response[:-2]
