"""Commands sent from a card's power-on, by a terminal that serves it: what the phases before exploring are made of."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from bsim.fuzz.engine import Explorer, Sequel
from bsim.fuzz.grammar import Grammar
from bsim.fuzz.steps import PLAIN, POWER_CYCLE, PROVES, Step, send
from bsim.fuzz.terminal import Terminal

_PROFILE: Final = b"\xff" * 4
_STEPS: Final = 40  # what one command may lead to: pages of a transaction, segments over T=0


class Lead:
    """One card of a kind, and the terminal it is in."""

    def __init__(self, sequel: Sequel, grammar: Grammar) -> None:
        self.grammar: Final = grammar
        self.terminal: Final = Terminal(grammar)
        self._do: Final = sequel
        self._proves: Final = grammar.by_name["EXTERNAL_AUTHENTICATE"].command

    def send(self, raw: bytes) -> None:
        """Send a command, and do as a user does who wants it, until the card asks for nothing more."""
        self.alone(raw)
        for _ in range(_STEPS):
            step = self.terminal.next(self._do.rig)
            if step is None:
                return
            self._do(step)

    def alone(self, raw: bytes) -> None:
        """Send a command, and leave what comes of it as it is."""
        proves = raw[1:2] == bytes((self._proves.ins,)) and raw[0] == self._proves.cla[0]
        self.step(send(raw, PROVES if proves else PLAIN))

    def step(self, step: Step) -> None:
        """Carry out a step."""
        self._do(step)

    def reset(self) -> None:
        """Power-cycle the card; no terminal tells it anything."""
        self._do(POWER_CYCLE)

    def here(self) -> Callable[[], None]:
        """Answer what brings the card back to where it is now."""
        return self._do.here()


@contextmanager
def begun(explorer: Explorer, grammar: Grammar, root: str) -> Iterator[Lead]:
    """Put a card of a kind into a terminal that shows no menu."""
    with explorer.sequence(root) as sequel:
        lead = Lead(sequel, grammar)
        lead.step(lead.terminal.profile(_PROFILE))
        yield lead
