"""A Mealy machine as a value: its states and edges, as JSON, and where two of them differ."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

FORMAT: Final = 1

Edges: TypeAlias = Mapping[tuple[int, str], tuple[str, int]]
"""What a state answers to a symbol, and the state it goes to."""


class MachineError(ValueError):
    """A file that holds no machine; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A shortest word after which two machines answer its last symbol differently."""

    word: tuple[str, ...]
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Mealy:
    """A whole machine; it begins in state 0. An output may name several that are all right: `9000|6A88`."""

    alphabet: tuple[str, ...]
    edges: Edges

    @property
    def states(self) -> int:
        """How many states there are."""
        return len({state for state, _ in self.edges})

    def answers(self, word: tuple[str, ...]) -> list[str]:
        """Answer what the machine answers to each symbol of a word."""
        state, told = 0, []
        for symbol in word:
            output, state = self.edges[state, symbol]
            told.append(output)
        return told

    def as_json(self) -> dict[str, object]:
        """The JSON form, `format` 1."""
        rows = [
            {"from": state, "input": symbol, "output": output, "to": target}
            for (state, symbol), (output, target) in sorted(self.edges.items())
        ]
        return {"format": FORMAT, "alphabet": list(self.alphabet), "states": self.states, "transitions": rows}


def from_json(told: Mapping[str, Any]) -> Mealy:
    """Read what `Mealy.as_json` writes; MachineError otherwise."""
    try:
        if told["format"] != FORMAT:
            raise MachineError(f"format {told['format']}, not {FORMAT}")
        rows = told["transitions"]
        edges = {(int(row["from"]), str(row["input"])): (str(row["output"]), int(row["to"])) for row in rows}
        return Mealy(tuple(told["alphabet"]), edges)
    except (KeyError, TypeError, ValueError) as fault:
        raise MachineError(f"no machine: {fault}") from fault


def differences(first: Mealy, second: Mealy, most: int = 10) -> list[Difference]:
    """Walk both machines side by side; answers where they differ, the shortest words first, `most` at most.

    Symbols that only one of them knows are left out.
    """
    shared = [symbol for symbol in first.alphabet if symbol in second.alphabet]
    seen, waiting = {(0, 0)}, deque([((0, 0), tuple[str, ...]())])
    found: list[Difference] = []
    while waiting and len(found) < most:
        (one, other), word = waiting.popleft()
        for symbol in shared:
            said, to = first.edges[one, symbol]
            also, also_to = second.edges[other, symbol]
            if not _agree(said, also):
                found.append(Difference((*word, symbol), said, also))
            elif (to, also_to) not in seen:
                seen.add((to, also_to))
                waiting.append(((to, also_to), (*word, symbol)))
    return found[:most]


def _agree(one: str, other: str) -> bool:
    return bool(set(one.split("|")) & set(other.split("|")))
