"""Result codes: how a command line ended, in the words of V.250 5.7 and 3GPP TS 27.007 9."""

from enum import IntEnum
from typing import Final

from bsim.sw import SW

_OK: Final = ("OK", "0")
_ERROR: Final = ("ERROR", "4")


class Cme(IntEnum):
    """+CME ERROR. 3GPP TS 27.007 9.2."""

    OPERATION_NOT_ALLOWED = 3
    OPERATION_NOT_SUPPORTED = 4
    SIM_NOT_INSERTED = 10
    SIM_PIN_REQUIRED = 11
    SIM_PUK_REQUIRED = 12
    SIM_FAILURE = 13
    INCORRECT_PASSWORD = 16
    MEMORY_FULL = 20
    NOT_FOUND = 22
    NO_NETWORK = 30
    INCORRECT_PARAMETERS = 50

    @property
    def words(self) -> str:
        """What is told with +CMEE=2."""
        text = self.name.replace("_", " ").lower()
        return text.replace("sim", "SIM").replace("pin", "PIN").replace("puk", "PUK")


class CmeError(Exception):
    """A command is refused."""

    def __init__(self, code: Cme) -> None:
        super().__init__(code.words)
        self.code: Final = code


class Format:
    """How one port wants its answers: ATV, ATQ, +CMEE."""

    __slots__ = ("errors", "quiet", "verbose")

    def __init__(self) -> None:
        self.verbose = True
        self.quiet = False
        self.errors = 0

    def information(self, lines: list[str]) -> bytes:
        """Lines a command answers. V.250 5.7.1."""
        if not lines:
            return b""
        head = "\r\n" if self.verbose else ""
        return (head + "\r\n".join(lines) + "\r\n").encode("latin-1", "replace")

    def unsolicited(self, line: str) -> bytes:
        """A line that nobody asked for."""
        return b"" if self.quiet else self.information([line])

    def done(self) -> bytes:
        """OK."""
        return self._final(_OK)

    def refused(self, code: Cme | None = None) -> bytes:
        """ERROR, or what went wrong where that was asked for with +CMEE. 3GPP TS 27.007 9.1."""
        if code is None or not self.errors:
            return self._final(_ERROR)
        told = f"+CME ERROR: {code.words if self.errors == 2 else int(code)}"
        return self._final((told, told))

    def _final(self, result: tuple[str, str]) -> bytes:
        if self.quiet:
            return b""
        words, numeric = result
        return f"\r\n{words}\r\n".encode() if self.verbose else f"{numeric}\r".encode()


_REFUSALS: Final = {
    SW.SECURITY_STATUS_NOT_SATISFIED: Cme.SIM_PIN_REQUIRED,
    SW.AUTHENTICATION_METHOD_BLOCKED: Cme.SIM_PUK_REQUIRED,
    SW.REFERENCE_DATA_NOT_USABLE: Cme.OPERATION_NOT_ALLOWED,
    SW.CONDITIONS_NOT_SATISFIED: Cme.OPERATION_NOT_ALLOWED,
    SW.FUNCTION_NOT_SUPPORTED: Cme.OPERATION_NOT_ALLOWED,
    SW.TOOLKIT_BUSY: Cme.OPERATION_NOT_ALLOWED,
    SW.WRONG_DATA: Cme.INCORRECT_PARAMETERS,
    SW.FILE_NOT_FOUND: Cme.NOT_FOUND,
    SW.REFERENCED_DATA_NOT_FOUND: Cme.NOT_FOUND,
    SW.CHANNEL_NOT_SUPPORTED: Cme.MEMORY_FULL,
}


def refusal(sw: int) -> Cme:
    """What a card's status word means to a terminal. 3GPP TS 27.007 9.2.1."""
    if sw & 0xFFF0 == 0x63C0:
        return Cme.INCORRECT_PASSWORD if sw & 15 else Cme.SIM_PUK_REQUIRED
    return _REFUSALS.get(SW(sw), Cme.SIM_FAILURE) if sw in set(SW) else Cme.SIM_FAILURE
