"""A card as the client reaches it: commands by the names of the declaration, whole or in segments, and patience."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from bsim import tlv
from bsim.apdu import CommandApdu, ResponseApdu
from bsim.ports import Card
from bsim.spec import Command, encode, spec
from bsim.sw import SW, describe

_UICC: Final = spec().applets["uicc"]
_WALLET: Final = spec().applets["wallet"]
DEFAULT_WAIT: Final = 30.0
# The wallet app asks once a second while the user types.
_PAUSE: Final = 1.0
_CHAINING: Final = 0x10  # ISO/IEC 7816-4 5.4.1
_MOST_LC: Final = 255


class CardError(Exception):
    """The card refused a command; `sw` is its status word."""

    def __init__(self, command: str, sw: int) -> None:
        super().__init__(f"{command}: the card answered {sw:04X} ({describe(sw)})")
        self.command = command
        self.sw = sw


class Connection:
    """The wallet applet of a card, on the basic channel. CardError for every refusal."""

    def __init__(self, card: Card, *, wait: float = DEFAULT_WAIT, sleep: Callable[[float], None] = time.sleep) -> None:
        """`wait` is how many seconds the user may take; `sleep` passes the time meanwhile."""
        self.card: Final = card
        self._wait: Final = wait
        self._sleep: Final = sleep
        self.select()

    def select(self) -> None:
        """Select the wallet applet."""
        self._select(_WALLET.aids[0])

    def call(self, name: str, **values: int | bytes) -> bytes:
        """Send a command of the wallet applet by the names of its declaration; answers the response data."""
        return self._send(_WALLET.commands[name], **values)

    def ask(self, name: str, **values: int | bytes) -> dict[str, bytes]:
        """Send a command, and take its response apart by the declaration; ValueError if it does not keep to that."""
        return fields(name, self.call(name, **values))

    def segment(self, name: str, **values: int | bytes) -> tuple[bytes, bool]:
        """Send a command that answers in segments; answers this one, and whether more follow."""
        command = _WALLET.commands[name]
        response = self._exchange(command, **values)
        if not response.ok and response.sw != SW.MORE_DATA:
            raise CardError(command.name, response.sw)
        return response.data, response.sw == SW.MORE_DATA

    def stream(self, name: str, *, most: int, **values: int | bytes) -> bytes:
        """Read all segments of a command that has a `part` in P2, as far as `most`; later ones take no data."""
        segments = []
        nothing: dict[str, int | bytes] = {field.name: b"" for field in _WALLET.commands[name].data}
        asked = {**values, "part": 0}
        for _ in range(most + 1):
            segment, more = self.segment(name, **asked)
            segments.append(segment)
            if not more:
                break
            asked = {**asked, **nothing, "part": 1}
        return b"".join(segments)

    def _patiently(self, name: str, **values: int | bytes) -> bytes:
        """Send a command until the user has done what it waits for (6982 before), or has taken too long."""
        refusals: list[CardError] = []

        def done() -> bool:
            try:
                answers.append(self.call(name, **values))
            except CardError as refusal:
                if refusal.sw != SW.SECURITY_STATUS_NOT_SATISFIED:
                    raise
                refusals.append(refusal)
            return bool(answers)

        answers: list[bytes] = []
        if not self.wait_for(done):
            raise refusals[-1]
        return answers[0]

    def wait_for(self, done: Callable[[], bool]) -> bool:
        """Ask once a second, for as long as the user may take; answers whether it was done."""
        waited = 0.0
        while not done():
            if waited >= self._wait:
                return False
            self._sleep(_PAUSE)
            waited += _PAUSE
        return True

    def _select(self, aid: bytes) -> None:
        select = _UICC.commands["SELECT"]
        self._send(select, method=select.p1.values["DF_NAME"], control=0, identifier=aid)

    def _send(self, command: Command, **values: int | bytes) -> bytes:
        response = self._exchange(command, **values)
        if not response.ok:
            raise CardError(command.name, response.sw)
        return response.data

    def _exchange(self, command: Command, **values: int | bytes) -> ResponseApdu:
        apdu = encode(command, values)
        if command.chaining:
            # What is longer than one short APDU goes as a chain: T=0 has no extended ones. ISO/IEC 7816-4 5.3.3.
            while len(apdu.data) > _MOST_LC:
                part, rest = apdu.data[:_MOST_LC], apdu.data[_MOST_LC:]
                response = self._transmit(replace(apdu, cla=apdu.cla | _CHAINING, data=part))
                if not response.ok:
                    return response
                apdu = replace(apdu, data=rest)
        return self._transmit(apdu)

    def _transmit(self, apdu: CommandApdu) -> ResponseApdu:
        return ResponseApdu.parse(self.card.transmit(apdu.encode()))


def fields(name: str, data: bytes) -> dict[str, bytes]:
    """Take a response apart by the declaration of its command; TlvError or ValueError if it does not keep to that."""
    command = _WALLET.commands[name]
    if all(field.tag is not None for field in command.response):
        values = [part.value for part in tlv.parse(data)]
    else:
        values, at = [], 0
        for field in command.response[:-1]:
            values.append(data[at : at + field.maximum])
            at += field.maximum
        values.append(data[at:])
    fits = [field.minimum <= len(value) <= field.maximum for field, value in zip(command.response, values, strict=True)]
    if not all(fits):
        raise ValueError(f"{command.name}: the card answered something else than its declaration says")
    return {field.name: value for field, value in zip(command.response, values, strict=True)}
