"""The card's side of the SIM toolkit: at most one dialogue with the user, from question to answer."""

from collections.abc import Callable
from dataclasses import replace

from bsim.applets.proactive import ProactiveCommand, TerminalResponse
from bsim.sw import SW, SwError
from bsim.tlv import TlvError

Then = Callable[[TerminalResponse], None]


class Toolkit:
    """Asks the terminal, and carries its answer to whoever asked. All of it dies on reset."""

    __slots__ = ("_command", "_number", "_then", "terminal", "waiting")

    def __init__(self) -> None:
        self._number = 0
        self.reset()

    def reset(self) -> None:
        """Forget the terminal and any dialogue with it."""
        # Nothing proactive before TERMINAL PROFILE: tools that never send one must never see 91xx.
        self.terminal = False
        self.waiting = b""
        self._command: ProactiveCommand | None = None
        self._then: Then | None = None

    @property
    def busy(self) -> bool:
        """Whether a dialogue is open: asked, and not answered yet."""
        return self._command is not None

    def ask(self, command: ProactiveCommand, then: Then) -> None:
        """Open a dialogue; SwError 6985 if there is no terminal that could show it, or one is open."""
        if not self.terminal or self.busy:
            raise SwError(SW.CONDITIONS_NOT_SATISFIED, "the card cannot ask its user now")
        self._number = self._number % 254 + 1  # ETSI TS 102 223 6.5.1: 01-FE
        self._command = replace(command, number=self._number)
        self._then = then
        self.waiting = self._command.encode()

    def fetch(self) -> bytes:
        """Hand the command that waits to the terminal; SwError 6985 if none does."""
        if not self.waiting:
            raise SwError(SW.CONDITIONS_NOT_SATISFIED, "no proactive command waits")
        command, self.waiting = self.waiting, b""
        return command

    def answer(self, raw: bytes) -> None:
        """Take a terminal response. SwError 6985 if nothing was fetched, 6A80 if it answers something else."""
        command, then = self._command, self._then
        if command is None or then is None or self.waiting:
            raise SwError(SW.CONDITIONS_NOT_SATISFIED, "nothing was fetched")
        response = TerminalResponse.parse(raw)
        if (response.number, response.type) != (command.number, command.type):
            raise TlvError("the answer to another proactive command")
        self._command = self._then = None
        then(response)
