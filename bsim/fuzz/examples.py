"""The declaration's examples as a tree: what several have before them is above them, and sent once."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from bsim.fuzz import cards
from bsim.fuzz.grammar import Entry, Grammar
from bsim.spec import Example

_WELL: Final = frozenset({"90", "91", "62", "63"})


@dataclass(frozen=True, slots=True, eq=False)
class Numbered:
    """An example, the command it is of, and which of its examples it is (from 1)."""

    entry: Entry
    number: int
    example: Example
    command: bytes
    before: tuple["Numbered", ...]

    @property
    def anywhere(self) -> bool:
        """Whether it is worth sending to every kind of card: what ends well on one may not on another."""
        return not self.entry.slow and self.example.sw[:2] in _WELL


Tree: TypeAlias = dict[Numbered, tuple[bool, "Tree"]]
"""What is sent from one place: whether it is there for its own sake, and what is sent after it."""


def examples(grammar: Grammar) -> list[Numbered]:
    """Answer every example of the declaration, as it is sent to cards with the seed of those that are fuzzed."""
    made: dict[tuple[str, int], Numbered] = {}
    return [
        _made(grammar, made, entry, number)
        for entry in grammar.entries
        for number in range(1, len(entry.command.examples) + 1)
    ]


def tree(wanted: Iterable[Numbered]) -> Tree:
    """Put examples, each with what must come before it, into one tree."""
    whole: Tree = {}
    for one in wanted:
        here = whole
        for earlier in one.before:
            here = here.setdefault(earlier, (False, {}))[1]
        below = here[one][1] if one in here else {}
        here[one] = True, below
    return whole


def _made(grammar: Grammar, made: dict[tuple[str, int], Numbered], entry: Entry, number: int) -> Numbered:
    key = entry.name, number
    if key not in made:
        example = entry.command.examples[number - 1]
        before: dict[Numbered, None] = {}  # each once, and in order
        for reference in example.given:
            name, _, which = reference.partition(".")
            given = _made(grammar, made, grammar.by_name[name], int(which or 1))
            before |= dict.fromkeys((*given.before, given))
        made[key] = Numbered(entry, number, example, cards.at_home(example.command), tuple(before))
    return made[key]
