"""The card's side of the SIM toolkit: at most one dialogue with the user, from question to answer, and a menu.

The rule of the file: the menu is shown when nobody else wants the user. A dialogue takes its place while it waits to
be fetched, and comes right after it while the terminal sets it up.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from bsim.applets.proactive import ProactiveCommand, TerminalResponse, shows_menus
from bsim.sw import SW, SwError
from bsim.tlv import TlvError

if TYPE_CHECKING:
    from bsim.applets.session import Platform

Then = Callable[[TerminalResponse], None]


class Menu(Protocol):
    """What a phone without an app offers of a card."""

    def set_up(self) -> ProactiveCommand | None:
        """Answer the SET UP MENU; None where there is nothing to offer."""
        ...

    def chosen(self, card: "Platform", item: int) -> None:
        """Do what an item is for; SwError 6A80 if there is none of this number."""
        ...


class Toolkit:
    """Asks the terminal, and carries its answer to whoever asked. All of it dies on reset, but for what the menu is."""

    __slots__ = ("_command", "_next", "_number", "_offer", "_then", "menu", "terminal", "waiting")

    def __init__(self) -> None:
        self.menu: Menu | None = None
        self._number = 0
        self.reset()

    def reset(self) -> None:
        """Forget the terminal and any dialogue with it."""
        # Nothing proactive before TERMINAL PROFILE: tools that never send one must never see 91xx.
        self.terminal = False
        self.waiting = b""
        self._command: ProactiveCommand | None = None
        self._then: Then | None = None
        self._offer: ProactiveCommand | None = None  # the menu, until the terminal has fetched it
        self._next: tuple[ProactiveCommand, Then] | None = None  # a dialogue, while the terminal sets up the menu

    @property
    def busy(self) -> bool:
        """Whether a dialogue is open: asked, and not answered yet. A menu is none."""
        return self._next is not None or (self._command is not None and not self._shows_menu)

    def begin(self, profile: bytes) -> None:
        """There is a terminal, which says what it can do; one that can show the menu is offered it once."""
        self.terminal = True
        if self.menu is not None and shows_menus(profile):
            self._offer = self.menu.set_up()
            self._go_on()

    def ask(self, command: ProactiveCommand, then: Then) -> None:
        """Open a dialogue; SwError 6985 if there is no terminal that could show it, or one is open."""
        if not self.terminal or self.busy:
            raise SwError(SW.CONDITIONS_NOT_SATISFIED, "the card cannot ask its user now")
        if self._shows_menu and not self.waiting:
            self._next = command, then
        else:
            self._start(command, then)

    def fetch(self) -> bytes:
        """Hand the command that waits to the terminal; SwError 6985 if none does."""
        if not self.waiting:
            raise SwError(SW.CONDITIONS_NOT_SATISFIED, "no proactive command waits")
        command, self.waiting = self.waiting, b""
        if self._shows_menu:
            self._offer = None
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
        try:
            then(response)
        finally:
            self._go_on()

    @property
    def _shows_menu(self) -> bool:
        return self._then is _nothing

    def _go_on(self) -> None:
        """Begin what comes after a dialogue that has ended."""
        if self._command is not None:
            return
        if self._next is not None:
            self._start(*self._next)
        elif self._offer is not None:
            self._start(self._offer, _nothing)

    def _start(self, command: ProactiveCommand, then: Then) -> None:
        self._next = None
        self._number = self._number % 254 + 1  # ETSI TS 102 223 6.5.1: 01-FE
        self._command = replace(command, number=self._number)
        self._then = then
        self.waiting = self._command.encode()


def _nothing(_response: TerminalResponse) -> None:
    """Whatever the terminal made of the menu: an item it shows may be chosen."""
