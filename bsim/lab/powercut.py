"""Power that goes at a chosen write: the store a card is tested with when it must survive that."""

from collections.abc import Mapping
from types import MappingProxyType

from bsim.ports import Store


class PowerCut(BaseException):
    """Power is gone. No `Exception`: a card does not catch it and answer, it has no power to."""


class FaultyStore:
    """A store that counts its writes, and cuts power just before or just after one of them takes effect.

    After a cut nothing works any more, as without power; what was written is in the store underneath.
    """

    __slots__ = ("_after", "_cut_at", "_off", "changes", "store")

    def __init__(self, store: Store, cut_at: int | None = None, *, after: bool = False) -> None:
        self.store = store
        self.changes: tuple[Mapping[str, bytes | None], ...] = ()
        self.arm(cut_at, after=after)

    @property
    def writes(self) -> int:
        """How many writes took effect since it was armed."""
        return len(self.changes)

    def arm(self, cut_at: int | None, *, after: bool = False) -> None:
        """Count from here, and cut power at the write of this number (the first is 1; None: at none)."""
        self._cut_at = cut_at
        self._after = after
        self._off = False
        self.changes = ()

    def read(self) -> Mapping[str, bytes]:
        """Answer every record."""
        self._need_power()
        return self.store.read()

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Make all the changes or none, or lose power."""
        self._need_power()
        due = self.writes + 1 == self._cut_at
        if due and not self._after:
            self._cut()
        self.store.write(changes)
        self.changes += (MappingProxyType(dict(changes)),)
        if due:
            self._cut()

    def close(self) -> None:
        """Close the store underneath."""
        self.store.close()

    def _cut(self) -> None:
        self._off = True
        raise PowerCut

    def _need_power(self) -> None:
        if self._off:
            raise PowerCut
