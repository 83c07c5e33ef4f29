"""One port of a modem: bytes from a terminal in, bytes for it out. It knows no wire, and waits for nothing."""

from collections import deque
from collections.abc import Callable
from typing import Final

from bsim.links.modem_line import AtSyntaxError, Lines, parse
from bsim.links.modem_network import network
from bsim.links.modem_phone import Phone
from bsim.links.modem_results import CmeError, Format
from bsim.links.modem_settings import DEFAULTS, settings
from bsim.links.modem_sim import sim
from bsim.links.modem_table import AtTable
from bsim.ports import CardLost

_OFFERS: Final = 64

COMMANDS: Final = AtTable({"+CLAC=?": ()})
COMMANDS.include(settings)
COMMANDS.include(sim)
COMMANDS.include(network)


@COMMANDS.handles("+CLAC")
def _all_commands(_port: "Port", _arguments: tuple[str, ...]) -> list[str]:
    return COMMANDS.names


class Port:
    """A terminal's view of the modem. `wake` is called, from any thread, when there is something in `pending`."""

    def __init__(self, phone: Phone, wake: Callable[[], None] = lambda: None) -> None:
        self.phone: Final = phone
        self.format = Format()
        self.echo = True
        self.character_set = "GSM"
        self.settings = dict(DEFAULTS)
        self._lines: Final = Lines()
        self._waiting: Final[deque[str]] = deque()
        self._wake: Final = wake
        self._offers = 0
        phone.toolkit.enter(self)

    def feed(self, data: bytes) -> bytes:
        """Take what the terminal sends, in whatever pieces; answers what it is sent back, and what waits for it."""
        answer = b""
        while data:
            line, end, data = data.partition(b"\r")
            if self.echo:
                answer += line + end
            answer += self._take(line + end)
        return answer + self.pending()

    def pending(self) -> bytes:
        """Unsolicited result codes that wait; they do now no longer."""
        told = b""
        while self._waiting:
            told += self.format.unsolicited(self._waiting.popleft())
        return told

    def tell(self, line: str) -> None:
        """Have the terminal told of something, between its commands; from any thread."""
        self._waiting.append(line)
        self._wake()

    def offer_menu(self) -> None:
        """Tell of the card's menu after each of the next commands, until the terminal takes the card's dialogues."""
        self._offers = _OFFERS

    def restore(self) -> None:
        """Settings as they were at the beginning, but for the echo; channels that were opened here are closed."""
        self.format = Format()
        self.character_set = "GSM"
        self.settings = dict(DEFAULTS)
        for channel in self.channels:
            self.phone.card.close(channel)

    def hang_up(self) -> None:
        """The terminal has gone."""
        try:
            self.phone.toolkit.leave(self)
            for channel in self.channels:
                self.phone.card.close(channel)
        except (CardLost, CmeError):
            return  # the card is gone too, and its channels with it

    @property
    def channels(self) -> list[int]:
        """Logical channels that were opened here."""
        return [channel for channel, owner in self.phone.card.channels.items() if owner is self]

    def _take(self, piece: bytes) -> bytes:
        answer = b""
        lines = self._lines.feed(piece)
        while True:
            try:
                body = next(lines, None)
            except AtSyntaxError:
                answer += self.format.refused()
                lines = self._lines.feed(b"")
                continue
            if body is None:
                return answer
            answer += self._run(body)
            self._offer()
            answer += self.pending()

    def _offer(self) -> None:
        if not self._offers:
            return
        self._offers -= 1
        if self.phone.toolkit.takes(self):
            self._offers = 0
        elif self.phone.menu:
            self._waiting.append(self.phone.menu)

    def _run(self, body: str) -> bytes:
        """Do the commands of a line until one is refused. V.250 5.3."""
        answer = b""
        try:
            for command in parse(body):
                answer += self.format.information(COMMANDS.run(self, command))
        except AtSyntaxError:
            return answer + self.format.refused()
        except CmeError as refused:
            return answer + self.format.refused(refused.code)
        return answer + self.format.done()
