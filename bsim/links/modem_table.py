"""The table of AT commands: a name, what is done with it, and the function that does it."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from bsim.links.modem_line import AtCommand, Form
from bsim.links.modem_results import Cme, CmeError, refusal
from bsim.ports import CardLost
from bsim.sw import SwError

if TYPE_CHECKING:
    from bsim.links.modem_port import Port

Handler = Callable[["Port", tuple[str, ...]], Iterable[str]]
"""Does a command for a port and answers lines. ValueError for arguments that do not fit, CmeError for a refusal."""


class AtTable:
    """AT commands of one kind. `fixed` are answers that never change, by what is typed: `+CGMI`, `+CSQ=?`."""

    def __init__(self, fixed: dict[str, tuple[str, ...]] | None = None) -> None:
        self._handlers: Final[dict[tuple[str, Form], Handler]] = {}
        for typed, lines in (fixed or {}).items():
            name = typed.rstrip("=?")
            self._handlers[name, Form(typed[len(name) :])] = _answering(lines)

    def handles(self, name: str, form: Form = Form.RUN) -> Callable[[Handler], Handler]:
        """Enter a function."""

        def enter(handler: Handler) -> Handler:
            self._handlers[name, form] = handler
            return handler

        return enter

    def include(self, other: "AtTable") -> None:
        """Take another table's commands."""
        self._handlers.update(other._handlers)

    @property
    def names(self) -> list[str]:
        """All commands there are."""
        return sorted({name for name, _ in self._handlers})

    def run(self, port: "Port", command: AtCommand) -> list[str]:
        """Do a command and answer its lines; CmeError if there is none, or it is refused."""
        handler = self._handlers.get((command.name, command.form))
        if handler is None:
            raise CmeError(Cme.OPERATION_NOT_SUPPORTED)
        try:
            return list(handler(port, command.arguments))
        except CardLost:
            raise CmeError(Cme.SIM_NOT_INSERTED) from None
        except SwError as refused:
            raise CmeError(refusal(refused.sw)) from None
        except ValueError:
            raise CmeError(Cme.INCORRECT_PARAMETERS) from None


def _answering(lines: tuple[str, ...]) -> Handler:
    def answer(_port: "Port", _arguments: tuple[str, ...]) -> tuple[str, ...]:
        return lines

    return answer
