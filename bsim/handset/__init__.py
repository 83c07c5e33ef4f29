"""The phone's side of the SIM toolkit: whatever the card asks, somebody answers, now or later."""

from bsim.handset.phone import Handset, Reply, User
from bsim.handset.script import ScriptedUser
from bsim.ports import Card

__all__ = ["Handset", "Reply", "ScriptedUser", "User", "in_handset"]


def in_handset(card: Card, handset: str | Handset, bpin: str = "123456", new_bpin: str | None = None) -> Card:
    """Put a card in a phone: one given, one whose user follows a script or sits at the terminal (`ask`), or `none`."""
    if isinstance(handset, Handset):
        return handset.insert(card)
    if handset == "none":
        return card
    if handset == "ask":
        from bsim.handset.terminal import TerminalUser  # noqa: PLC0415 - for people at a terminal

        return Handset(TerminalUser()).insert(card)
    return Handset(ScriptedUser(handset, bpin, new_bpin)).insert(card)
