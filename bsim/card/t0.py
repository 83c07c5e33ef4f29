"""The T=0 layer: what a TPDU client sees of a card, 61xx, 6Cxx and GET RESPONSE. Applets know nothing of it.

ETSI TS 102 221 7.3.1.1: the fifth byte is the length of one direction only, so a response to data waits to be fetched.
"""

from typing import Final

from bsim.ports import Card
from bsim.sw import bytes_available, exact_length, gsm_bytes_available

_GET_RESPONSE: Final = b"\xc0\0\0"
_MOST: Final = 256
_GSM: Final = 0xA0  # with one of four channels


class T0:
    """A card as TPDU links see it; itself a card."""

    __slots__ = ("_asked", "_card", "_held")

    def __init__(self, card: Card) -> None:
        self._card: Final = card
        self._held = b""
        self._asked = b""

    def reset(self) -> bytes:
        """Power-cycle the card; what waited is gone."""
        self._held = self._asked = b""
        return self._card.reset()

    def transmit(self, command: bytes) -> bytes:
        """Carry one command TPDU (CLA INS P1 P2 P3 and, where P3 is Lc, data); a whole APDU is taken as well."""
        held, asked = self._held, self._asked
        self._held = self._asked = b""
        # What waits is for the same command again after 6Cxx, or for GET RESPONSE (under any class) after 61xx.
        if held and len(command) == 5 and (command[:4] == asked if asked else command[1:4] == _GET_RESPONSE):
            return self._answer(asked, held, command[4] or _MOST)
        response = self._card.transmit(command)
        if len(response) == 2:
            return response
        if len(command) == 5:
            return self._answer(command[:4], response, command[4] or _MOST)
        if len(command) > 5 and command[4] == 0:
            # An extended APDU, which only a client that does not speak T=0 sends: it gets its answer whole.
            return response
        return self._hold(b"", response, gsm=command[0] & 0xFC == _GSM)

    def _answer(self, header: bytes, response: bytes, le: int) -> bytes:
        """Answer with exactly `le` bytes, or with the length there is: T=0 knows no fewer. TS 102 221 7.3.1.1.5."""
        data, sw = response[:-2], response[-2:]
        if le > len(data):
            self._asked, self._held = header, response
            return exact_length(len(data))
        if le == len(data):
            return response
        return data[:le] + self._hold(b"", data[le:] + sw)

    def _hold(self, header: bytes, response: bytes, *, gsm: bool = False) -> bytes:
        self._asked, self._held = header, response
        return (gsm_bytes_available if gsm else bytes_available)(len(response) - 2)
