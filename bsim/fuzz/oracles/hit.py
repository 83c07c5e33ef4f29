"""What an oracle answers."""

from dataclasses import dataclass


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
