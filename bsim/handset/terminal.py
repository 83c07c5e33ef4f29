"""A user at the terminal: dialogues appear there, and are answered whenever the user likes."""

import atexit
import sys
from getpass import getpass
from threading import Thread

from bsim.applets.confirm import visible
from bsim.applets.proactive import CommandType, ProactiveCommand, Result
from bsim.handset.phone import Reply, Respond


def _keep_terminal() -> None:
    """Put the terminal back as it was at the end, even if that comes while a hidden entry has its echo off."""
    try:
        import termios  # noqa: PLC0415 - not on every platform
    except ImportError:
        return
    descriptor = sys.stdin.fileno()
    atexit.register(termios.tcsetattr, descriptor, termios.TCSADRAIN, termios.tcgetattr(descriptor))


class TerminalUser:
    """Shows each dialogue on the terminal and reads the answer in a thread of its own, so that the card goes on."""

    def __init__(self) -> None:
        if not sys.stdin.isatty():
            raise ValueError("the handset `ask` needs a terminal; use a script such as `right` instead")
        _keep_terminal()

    def asked(self, command: ProactiveCommand, respond: Respond) -> None:
        """Show a dialogue; Ctrl-D or an empty answer cancels it."""
        if command.type == CommandType.DISPLAY_TEXT:
            print(f"\n[phone] {visible(command.text)}", file=sys.stderr)
            respond(Reply(Result.PERFORMED), 0.0)
            return
        Thread(target=self._ask, args=(command, respond), name="bsim-handset", daemon=True).start()

    def _ask(self, command: ProactiveCommand, respond: Respond) -> None:
        for number, text in command.items:
            print(f"[phone] {number}: {text}", file=sys.stderr)
        yes_no = command.type == CommandType.GET_INKEY
        prompt = f"\n[phone] {visible(command.text)}{' (y/n)' if yes_no else ''}: "
        try:
            typed = getpass(prompt) if command.hidden else input(prompt)
        except EOFError:
            typed = ""
        if not typed:
            respond(Reply(Result.TERMINATED_BY_USER), 0.0)
        elif command.items:
            item = int(typed) if typed.isdigit() and int(typed) in dict(command.items) else None
            respond(Reply(Result.TERMINATED_BY_USER if item is None else Result.PERFORMED, item=item), 0.0)
        elif yes_no:
            respond(Reply(Result.PERFORMED, "\1" if typed.lower().startswith("y") else "\0"), 0.0)
        elif len(typed) > command.maximum:
            self._ask(command, respond)  # GET INPUT takes no more than that, so it is asked for again
        else:
            respond(Reply(Result.PERFORMED, typed), 0.0)
