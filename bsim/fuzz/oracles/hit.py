"""What an oracle answers."""

from dataclasses import dataclass

from bsim.fuzz.watch import Hang


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that must not be: the oracle, its rule (together the root cause's name), and words for people."""

    oracle: str
    rule: str
    words: str

    @property
    def key(self) -> str:
        """What makes two hits one finding."""
        return f"{self.oracle}/{self.rule}"


def hung_in(hang: Hang) -> Hit:
    """Answer what it is when a command did not end."""
    return Hit("hang", hang.where, f"a command did not end: it was in {hang.where}")
