"""A terminal at a port of a modem: sends a line, reads until its result, and keeps what it is told unasked."""

from collections.abc import Callable

from helpers import BPIN, WALLET_AID, bare_card, derive, select

from bsim.applets.proactive import ProactiveCommand, Result, TerminalResponse
from bsim.handset import ScriptedUser
from bsim.links.modem_phone import Phone
from bsim.links.modem_port import Port
from bsim.ports import Card

UNASKED = ("+CUSATP: ", "+CUSATEND")
FINAL = ("OK", "ERROR", "+CME ERROR: ")


class Terminal:
    """`exchange` sends bytes and answers all that comes back, at least up to a result code."""

    def __init__(self, exchange: Callable[[bytes], bytes]) -> None:
        self.exchange = exchange
        self.told: list[str] = []
        self.lines("ATE0")

    def lines(self, command: str) -> list[str]:
        """What is answered, the result code last."""
        answer: list[str] = []
        for line in self.exchange(command.encode() + b"\r").decode().split("\r\n"):
            if line.startswith(UNASKED):
                self.told.append(line)
            elif line:
                answer.append(line)
        return answer

    def ok(self, command: str) -> list[str]:
        """What is answered by a command that must be done."""
        *answer, result = self.lines(command)
        assert result == "OK", f"{command}: {result}"
        return answer

    def one(self, command: str) -> str:
        """The one line of such an answer."""
        (line,) = self.ok(command)
        return line

    def refused(self, command: str) -> str:
        """How a command that must not be done ends, with nothing before that."""
        (result,) = self.lines(command)
        assert result.startswith(FINAL[1:]), f"{command}: {result}"
        return result

    def open(self, aid: bytes = WALLET_AID) -> int:
        """Open a channel with an application on it."""
        return int(self.one(f'AT+CCHO="{aid.hex()}"').removeprefix("+CCHO: "))

    def apdu(self, channel: int, command: bytes) -> bytes:
        """Exchange an APDU with +CGLA."""
        digits = command.hex().upper()
        head, length, answer = self.one(f'AT+CGLA={channel},{len(digits)},"{digits}"').replace(": ", ",").split(",")
        assert (head, int(length), answer[0], answer[-1]) == ("+CGLA", len(answer) - 2, '"', '"')
        return bytes.fromhex(answer.strip('"'))

    def dialogue(self) -> ProactiveCommand:
        """The proactive command that was told of last."""
        line = self.told.pop()
        assert line.startswith("+CUSATP: "), line
        return ProactiveCommand.parse(bytes.fromhex(line.removeprefix("+CUSATP: ")))

    def respond(
        self,
        command: ProactiveCommand,
        text: str | None = None,
        item: int | None = None,
        result: int = Result.PERFORMED,
    ) -> None:
        """Answer a proactive command."""
        response = TerminalResponse(command.number, command.type, command.qualifier, result, text, item)
        self.ok(f"AT+CUSATT={response.encode().hex()}")


def prepared(**options: object) -> Card:
    """The test card with one key of Ethereum's."""
    card = bare_card(**options)  # type: ignore[arg-type]
    select(card)
    derive(card)
    return card


def modem(script: str | None = "right", **options: object) -> tuple[Phone, Terminal]:
    """The test card with one key in a modem, and a terminal at it. `script` is the phone's user, None for nobody."""
    phone = Phone.around(prepared(**options), ScriptedUser(script, BPIN) if script else None)
    return phone, Terminal(Port(phone).feed)
