"""Who answers the card's dialogues: the AT client that takes them, or else the user of the phone.

A client takes them once it has used +CUSATA, +CUSATR, +CUSATE or +CUSATT. 3GPP TS 27.007 12.
"""

from typing import Final, Protocol

from bsim.applets.proactive import CommandType, ProactiveCommand, Result, TerminalResponse
from bsim.handset import Reply, User
from bsim.handset.phone import Respond
from bsim.links.modem_results import Cme, CmeError

# How long a client may leave a dialogue open; then the phone gives up, as if its user did not answer.
_PATIENCE_SECONDS: Final = 120.0


class Client(Protocol):
    """Who is at a port."""

    def tell(self, line: str) -> None:
        """Hear an unsolicited result code; from any thread."""
        ...


class Toolkit:
    """The user of the modem's phone."""

    def __init__(self, user: User | None) -> None:
        self._user: Final = user
        self._clients: Final[list[Client]] = []
        self._taker: Client | None = None
        self._open: tuple[ProactiveCommand, Respond] | None = None

    def asked(self, command: ProactiveCommand, respond: Respond) -> None:
        """See a dialogue: it goes to the client that takes dialogues, or else to the user, or else to all clients."""
        if self._taker is None and self._user is not None:
            self._user.asked(command, respond)
            return
        self._open = command, respond
        respond(Reply(Result.NO_RESPONSE_FROM_USER), _PATIENCE_SECONDS)
        self._tell(proactive_line(command))

    def answer(self, raw: bytes) -> None:
        """Carry a client's terminal response; TlvError or CmeError where it answers nothing."""
        response = TerminalResponse.parse(raw)
        if response.type == CommandType.SET_UP_MENU:
            return  # which the modem has answered, when the card asked for it
        command, respond = self._open or (None, None)
        if command is None or respond is None or (response.number, response.type) != (command.number, command.type):
            raise CmeError(Cme.OPERATION_NOT_ALLOWED)
        self._open = None
        respond(Reply(response.result, response.text, response.item), 0.0)
        if self._open is None:
            self._tell("+CUSATEND")

    def end(self) -> None:
        """The user of the client leaves the dialogue; CmeError if none is open."""
        opened, self._open = self._open, None
        if opened is None:
            raise CmeError(Cme.OPERATION_NOT_ALLOWED)
        opened[1](Reply(Result.TERMINATED_BY_USER), 0.0)
        if self._open is None:
            self._tell("+CUSATEND")

    def take(self, client: Client) -> None:
        """Dialogues go to this client from now on."""
        self._taker = client

    def takes(self, client: Client) -> bool:
        """Whether dialogues go to this client."""
        return self._taker is client

    def enter(self, client: Client) -> None:
        """A client is there."""
        self._clients.append(client)

    def leave(self, client: Client) -> None:
        """A client has gone; what it was asked nobody answers any more."""
        self._clients.remove(client)
        if self._taker is not client and self._clients:
            return
        self._taker = None
        opened, self._open = self._open, None
        if opened is not None:
            opened[1](Reply(Result.NO_RESPONSE_FROM_USER), 0.0)

    def forget(self) -> None:
        """The card was reset, and its dialogue is gone."""
        if self._open is not None:
            self._open = None
            self._tell("+CUSATEND")

    def _tell(self, line: str) -> None:
        for client in list(self._clients) if self._taker is None else [self._taker]:
            client.tell(line)


def proactive_line(command: ProactiveCommand) -> str:
    """The result code that carries a proactive command."""
    return f"+CUSATP: {command.encode().hex().upper()}"
