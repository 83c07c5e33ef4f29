"""What a run has done to a card that somebody needs again."""

from dataclasses import dataclass

from bsim.fuzz.tries import Tries


@dataclass(slots=True)
class Account:
    """Counts of one run; `tries` are those of the card's BPIN."""

    tries: Tries
    sent: int = 0
    refused: int = 0
    writes: int = 0
    irreversible: int = 0
    recovered: int = 0

    @property
    def lowest_tries(self) -> int | None:
        """Answer the fewest tries there were; None where nobody knows."""
        return self.tries.lowest

    @property
    def pending(self) -> int:
        """Answer how many tries were spent, or may have been, and were not given back."""
        return self.tries.owed

    def as_dict(self) -> dict[str, int]:
        """For reports."""
        told = {"sent": self.sent, "refused": self.refused, "writes": self.writes, "tries_spent": self.tries.wrong}
        told |= {"tries_pending": self.pending, "irreversible": self.irreversible, "recovered": self.recovered}
        return told if self.lowest_tries is None else told | {"lowest_tries": self.lowest_tries}
