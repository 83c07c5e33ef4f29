"""What may be done to a card that somebody needs again, and how a run ends that would do more."""

from dataclasses import dataclass, field
from typing import Final

from bsim.lab.guard import FLOOR

NV_WRITES: Final = 20_000
"""Writes that a card has to last for, over all runs."""


class SafetyStop(Exception):  # noqa: N818 - a decision, told to people
    """The run is stopped by a safety rule; the message says which."""


class CardDied(SafetyStop):
    """The card is in its reader and went mute at the last command; no power cycle brings it back."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be done. `tries` are those the BPIN has left (None: not known, so nothing is typed).

    `wrong` says whether a wrong BPIN may be typed as well.
    """

    bpin: str = field(repr=False)
    tries: int | None = None
    floor: int = FLOOR
    max_writes: int = NV_WRITES
    writes: bool = True
    unsafe: bool = False
    wrong: bool = True
