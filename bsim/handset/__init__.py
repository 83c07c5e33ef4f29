"""The phone's side of the SIM toolkit: whatever the card asks, somebody answers, now or later."""

from bsim.handset.phone import Handset, Reply, User
from bsim.handset.script import ScriptedUser
from bsim.handset.terminal import TerminalUser
from bsim.ports import Card

__all__ = ["Handset", "Reply", "ScriptedUser", "TerminalUser", "User", "in_handset"]


def in_handset(card: Card, handset: str | Handset, bpin: str = "123456", new_bpin: str | None = None) -> Card:
    """Put a card in a phone: one given, one whose user follows a script or sits at the terminal (`ask`), or `none`."""
    if isinstance(handset, Handset):
        return handset.insert(card)
    if handset == "none":
        return card
    user: User = TerminalUser() if handset == "ask" else ScriptedUser(handset, bpin, new_bpin)
    return Handset(user).insert(card)
