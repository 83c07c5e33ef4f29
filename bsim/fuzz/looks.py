"""After which commands a card's state is looked at: where it may be new. Decision 59."""

from typing import Final

_SELDOM: Final = 8


class Looks:
    """How often the state was looked at after a command with a status word, and how often it was new."""

    __slots__ = ("_new", "_since", "_times")

    def __init__(self) -> None:
        self._times = self._new = self._since = 0

    def due(self, every: "Looks") -> bool:
        """Whether to look again: one in eight times where new states are far more seldom than after `every` command.

        What is missed is seen with the next command that is looked at, or when the same is met another time.
        """
        self._since += 1
        seldom = self._times >= _SELDOM and self._new * _SELDOM * every._times < self._times * every._new
        return not seldom or self._since >= _SELDOM

    def note(self, new: bool) -> None:
        """Take note of a look."""
        self._times += 1
        self._new += new
        self._since = 0
