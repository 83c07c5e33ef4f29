"""Learns a card by asking it: AALpy's KV algorithm, and words at random where the model might still be wrong.

A model is worth what it was tested with, so the budget of that is part of the result.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aalpy.base import SUL, Oracle
from aalpy.learning_algs import run_KV

from bsim.fuzz.learn.alphabet import RESET, Alphabet
from bsim.fuzz.learn.machine import Mealy
from bsim.fuzz.steps import POWER_CYCLE, Step

Hints = Callable[[Mealy], Iterable[tuple[str, ...]]]
"""Words that a model is likely to be wrong about."""

_DEPTH: Final = 5
WORDS: Final = 4_000
BUDGET: Final = 50_000
_COUNTED: Final = frozenset({0x61, 0x6C, 0x91})


class TooLong(Exception):  # noqa: N818 - a budget, told to people
    """The budget of commands was spent before there was a model."""


class Asked(Protocol):
    """A card to be learned: it is reset, and carries out steps."""

    sw: int

    def do(self, step: Step) -> None:
        """Carry out one step."""
        ...


@dataclass(frozen=True, slots=True)
class Learned:
    """A model, and what it cost. `tested` words of up to `depth` symbols beyond each state found nothing more."""

    machine: Mealy
    apdus: int
    words: int
    tested: int
    tested_apdus: int
    depth: int
    rounds: int


class _Card(SUL):  # type: ignore[misc]
    """The card as AALpy asks it; a word that is known already is not sent again."""

    def __init__(self, rig: Asked, symbols: Alphabet, reset: Callable[[], None], budget: int) -> None:
        super().__init__()
        self._rig: Final = rig
        self._symbols: Final = symbols
        self._reset: Final = reset
        self._budget: Final = budget
        self._known: Final[dict[tuple[str, ...], str]] = {}
        self.apdus = 0

    def query(self, word: tuple[str, ...]) -> list[str]:
        """Answer what each symbol of a word is answered, from a reset."""
        word = tuple(word)
        if word not in self._known:
            self._reset()
            self.num_queries += 1
            for at, symbol in enumerate(word, 1):
                self._known[word[:at]] = self.step(symbol)
        return [self._known[word[: at + 1]] for at in range(len(word))]

    def pre(self) -> None:
        """Words are asked whole."""

    def post(self) -> None:
        """Words are asked whole."""

    def step(self, symbol: str) -> str:
        """Carry out one symbol."""
        if self.apdus >= self._budget:
            raise TooLong(f"no model after {self.apdus:,} APDUs: take fewer symbols, or raise --max-apdus")
        self.apdus += 1
        step = self._symbols[symbol]
        self._rig.do(step)
        return RESET if step == POWER_CYCLE else output(self._rig.sw)


class _Tester(Oracle):  # type: ignore[misc]
    """Looks for a word that the model answers otherwise than the card, an equal share of them beyond each state."""

    def __init__(self, card: _Card, symbols: Alphabet, seed: int, words: int, hints: Hints) -> None:
        super().__init__(list(symbols), card)
        self._card: Final = card
        self._rng: Final = random.Random(f"bsim learn {seed}")  # noqa: S311 - to be repeated, not to be secret
        self._words: Final = words
        self._hints: Final = hints
        self.tested = self.apdus = 0

    def find_cex(self, hypothesis: Any) -> tuple[str, ...] | None:
        """Answer such a word; None if all that may be tried agree."""
        model = _machine(hypothesis, tuple(self.alphabet))
        access = _access(model)
        for word in self._hints(model):
            if (wrong := self._wrong(model, word)) is not None:
                return wrong
        self.tested, before = 0, self._card.apdus
        for number in range(self._words):
            start = access[number % len(access)]
            word = (*start, *self._rng.choices(self.alphabet, k=1 + number // len(access) % _DEPTH))
            if (wrong := self._wrong(model, word)) is not None:
                return wrong
            self.tested += 1
        self.apdus = self._card.apdus - before
        return None

    def _wrong(self, model: Mealy, word: tuple[str, ...]) -> tuple[str, ...] | None:
        """The word up to where the model is wrong: AALpy takes it that the last symbol is the one that tells."""
        pairs = zip(self._card.query(word), model.answers(word), strict=True)
        return next((word[:at] for at, (told, expected) in enumerate(pairs, 1) if told != expected), None)


def learn(
    rig: Asked,
    symbols: Alphabet,
    reset: Callable[[], None],
    *,
    seed: int,
    words: int = WORDS,
    budget: int = BUDGET,
    hints: Hints = lambda _: (),
) -> Learned:
    """Learn a card that `reset` brings back to where it begins; TooLong if `budget` APDUs are not enough.

    `hints` answers words to be tried first on each model: where another model of the card says otherwise.
    """
    card = _Card(rig, symbols, reset, budget)
    tester = _Tester(card, symbols, seed, words, hints)
    found, data = run_KV(
        list(symbols), card, tester, "mealy", cache_and_non_det_check=False, return_data=True, print_level=0
    )
    return Learned(
        _machine(found, tuple(symbols)),
        card.apdus,
        card.num_queries,
        tester.tested,
        tester.apdus,
        _DEPTH,
        int(data["learning_rounds"]),
    )


def output(sw: int) -> str:
    """Write a status word, its second byte left out where that is a length."""
    return f"{sw >> 8:02X}XX" if sw >> 8 in _COUNTED else f"{sw:04X}"


def _machine(found: Any, alphabet: tuple[str, ...]) -> Mealy:
    """AALpy's machine as ours: states numbered by how they are reached."""
    numbers, order = {id(found.initial_state): 0}, [found.initial_state]
    edges = {}
    for state in order:
        for symbol in alphabet:
            target = state.transitions[symbol]
            if id(target) not in numbers:
                numbers[id(target)] = len(order)
                order.append(target)
            edges[numbers[id(state)], symbol] = state.output_fun[symbol], numbers[id(target)]
    return Mealy(alphabet, edges)


def _access(model: Mealy) -> list[tuple[str, ...]]:
    """A shortest word to each state."""
    words: dict[int, tuple[str, ...]] = {0: ()}
    for state in range(model.states):
        for symbol in model.alphabet:
            words.setdefault(model.edges[state, symbol][1], (*words[state], symbol))
    return [words[state] for state in range(model.states)]
