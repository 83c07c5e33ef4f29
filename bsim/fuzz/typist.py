"""Types the right BPIN from a card's reset: has the card ask for it, answers, and looks whether it was taken."""

from collections.abc import Callable
from typing import Final

from bsim import tlv
from bsim.apdu import CommandApdu
from bsim.applets.proactive import CommandType, ProactiveCommand, Result, TerminalResponse
from bsim.spec import encode, spec

CURRENT: Final = "Enter BPIN"
NEW: Final = "new BPIN"
TAKEN: Final = frozenset({b"\x90", b"\x91"})
WAITS: Final = b"\x91"
_UICC: Final = spec().applets["uicc"].commands
_WALLET: Final = spec().applets["wallet"]
_PROFILE: Final = encode(_UICC["TERMINAL_PROFILE"], {"profile": b"\xff" * 4}).encode()
_SELECT: Final = encode(_UICC["SELECT"], {"method": 4, "control": 12, "identifier": _WALLET.aids[0]}).encode()
FETCH: Final = encode(_UICC["FETCH"], {"le": 256}).encode()
_VERIFY: Final = encode(_WALLET.commands["VERIFY_BPIN"], {}).encode()
# Slots are counted from 1: with the right this is 6A88, without it 6982 or 6983, and nothing is ever signed.
_LOOK: Final = encode(_WALLET.commands["SIGN"], {"coin_type": 60, "slot": 0, "digest": bytes(32)}).encode()
_NO_RIGHT: Final = frozenset({b"\x69\x82", b"\x69\x83"})
_MOST: Final = 8  # proactive commands that a card may have waiting: its menu, and what it tells


class Typist:
    """One dialogue; `told` is what the card said last. What `send` raises goes through."""

    def __init__(self, send: Callable[[bytes], bytes]) -> None:
        self._send: Final = send
        self._looked = False
        self.told = ""

    def asked(self) -> ProactiveCommand | None:
        """Have the card, just reset, ask for its BPIN; None if it does not."""
        self._serve(self._send(_PROFILE))
        if self._send(_SELECT)[-2:-1] not in TAKEN:
            return None
        # Where the right is missing before, it shows afterwards whether it is there.
        self._looked = self._send(_LOOK)[-2:] in _NO_RIGHT
        asked = self._serve(self._send(_VERIFY))
        return asked if asked is not None and CURRENT in asked.text else None

    def taken(self, command: bytes) -> bool:
        """Send what types it; whether the card plainly took it."""
        response = self._send(command)
        if self._serve(response) is not None or response[-2:-1] not in TAKEN:
            return False
        if self._looked:
            return self._send(_LOOK)[-2:] not in _NO_RIGHT
        return self._send(_VERIFY)[-2:] == b"\x90\0"

    def _serve(self, response: bytes) -> ProactiveCommand | None:
        """Do as the card asks, until it asks for something to be typed: answers that."""
        for _ in range(_MOST):
            if response[-2:-1] != WAITS:
                return None
            command = fetched(self._send(FETCH))
            if command is None:
                return None
            self.told = command.text
            if command.type == CommandType.GET_INPUT:
                return command
            response = self._send(answer(command))
        return None


def fetched(response: bytes) -> ProactiveCommand | None:
    """Read what was fetched; None if that cannot be."""
    try:
        return ProactiveCommand.parse(response[:-2]) if response[-2:] == b"\x90\0" else None
    except tlv.TlvError:
        return None


def answer(command: ProactiveCommand, text: str | None = None) -> bytes:
    """Answer a proactive command: done as it asks, and this was typed."""
    response = TerminalResponse(command.number, command.type, command.qualifier, Result.PERFORMED, text)
    return CommandApdu(
        _UICC["TERMINAL_RESPONSE"].cla[0], _UICC["TERMINAL_RESPONSE"].ins, 0, 0, response.encode()
    ).encode()
