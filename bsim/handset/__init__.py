"""The phone's side of the SIM toolkit: whatever the card asks, somebody answers, now or later."""

from typing import TYPE_CHECKING

from bsim.handset.phone import Handset, Reply, User
from bsim.late import late
from bsim.ports import Card

if TYPE_CHECKING:
    from bsim.handset.script import ScriptedUser
    from bsim.handset.terminal import TerminalUser
else:
    __getattr__ = late(__name__, {"ScriptedUser": "bsim.handset.script", "TerminalUser": "bsim.handset.terminal"})

__all__ = ["Handset", "Reply", "ScriptedUser", "TerminalUser", "User", "in_handset"]


def in_handset(card: Card, handset: str | Handset, bpin: str = "123456", new_bpin: str | None = None) -> Card:
    """Put a card in a phone: one given, one whose user follows a script or sits at the terminal (`ask`), or `none`."""
    if isinstance(handset, Handset):
        return handset.insert(card)
    if handset == "none":
        return card
    if handset == "ask":
        from bsim.handset.terminal import TerminalUser  # noqa: PLC0415 - for people at a terminal

        return Handset(TerminalUser()).insert(card)
    from bsim.handset.script import ScriptedUser  # noqa: PLC0415 - for users that follow a script

    return Handset(ScriptedUser(handset, bpin, new_bpin)).insert(card)
