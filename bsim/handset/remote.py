"""A user who is elsewhere: dialogues wait here until a program, or a person at the console, answers them by number."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import RLock
from typing import Final

from bsim.applets.proactive import ProactiveCommand, Result
from bsim.handset.phone import Reply, Respond, User


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What is on the phone's screen. Numbers begin at 1 and are never used again."""

    number: int
    command: ProactiveCommand
    respond: Respond = field(repr=False, compare=False)


Opened = Callable[[Dialogue, bool], None]
"""Is told of a dialogue, and whether somebody has to answer it: a script does that by itself."""
Closed = Callable[[Dialogue, int | None], None]
"""Is told how a dialogue ended: its general result, or None where the phone was powered off under it."""


def _nobody(_dialogue: Dialogue, _how: object) -> None:
    """Nobody is told."""


class RemoteUser:
    """Holds what the card asks until `answer`; while it follows a script, that answers.

    `opened` and `closed` are called in the thread that talks to the card, in the middle of its command.
    """

    def __init__(self, script: User | None = None, *, opened: Opened = _nobody, closed: Closed = _nobody) -> None:
        self._opened: Final = opened
        self._closed: Final = closed
        self._numbers: Final = itertools.count(1)
        self._lock: Final = RLock()
        self._open: dict[int, Dialogue] = {}
        self._script = script

    def asked(self, command: ProactiveCommand, respond: Respond) -> None:
        """Show a dialogue. The card asks one thing at a time: what was there before is over."""
        self.gone()
        dialogue = Dialogue(next(self._numbers), command, respond)
        with self._lock:
            self._open[dialogue.number] = dialogue
            script = self._script
        self._opened(dialogue, script is None)
        if script is not None:
            self._read_out(script, dialogue)

    def pending(self) -> list[Dialogue]:
        """What is on the screen, oldest first."""
        with self._lock:
            return list(self._open.values())

    def answer(self, number: int, reply: Reply, after: float = 0.0) -> None:
        """Answer a dialogue, so many seconds from now; KeyError if it is not open. May make the card ask the next."""
        with self._lock:
            dialogue = self._open.pop(number)
        self._closed(dialogue, reply.result)
        dialogue.respond(reply, after)

    def follow(self, script: User | None) -> None:
        """Follow a script from now on, and let it answer what is open; None: wait for answers again."""
        with self._lock:
            self._script = script
        for dialogue in self.pending() if script is not None else ():
            self._read_out(script, dialogue)  # type: ignore[arg-type]  # not None, as the line before says

    def gone(self) -> None:
        """The phone lost its power, or shows something else: nothing is open."""
        with self._lock:
            dialogues, self._open = list(self._open.values()), {}
        for dialogue in dialogues:
            self._closed(dialogue, None)

    def _read_out(self, script: User, dialogue: Dialogue) -> None:
        def respond(reply: Reply, after: float = 0.0) -> None:
            with self._lock:
                if self._open.pop(dialogue.number, None) is None:
                    return
            self._closed(dialogue, reply.result)
            dialogue.respond(reply, after)

        script.asked(dialogue.command, respond)


YES: Final = Reply(Result.PERFORMED, "\1")
NO: Final = Reply(Result.PERFORMED, "\0")
OK: Final = Reply(Result.PERFORMED)
CANCEL: Final = Reply(Result.TERMINATED_BY_USER)
BACK: Final = Reply(Result.BACKWARD_MOVE)
SILENCE: Final = Reply(Result.NO_RESPONSE_FROM_USER)
