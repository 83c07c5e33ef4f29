"""A real card in a PC/SC reader, as a `Card`: whole APDUs in, whole responses out, T=0 done in here.

pyscard is an extra (`pip install 'bsim[pcsc]'`) and is imported by the first call that needs it.
"""

from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Final

from bsim.lab.t0_client import ProtocolError, exchange

# pcsc-lite's names without their SCARD_; what a person can do about each.
_WORDS: Final = {
    "E_NO_SERVICE": "no service is running; start it: sudo systemctl start pcscd, or sudo pcscd",
    "E_SERVICE_STOPPED": "the service has stopped; start it: sudo systemctl start pcscd, or sudo pcscd",
    "E_NO_ACCESS": "the service does not let you in; ask for access to pcscd (polkit), or use root",
    "W_SECURITY_VIOLATION": "the service does not let you in; ask for access to pcscd (polkit), or use root",
    "E_READER_UNAVAILABLE": "the reader has gone; plug it in again",
    "E_UNKNOWN_READER": "the reader has gone; plug it in again",
    "E_NO_SMARTCARD": "no card is in the reader; put one in",
    "W_REMOVED_CARD": "the card was taken out of the reader; put it in again",
    "W_UNRESPONSIVE_CARD": "the card is mute: it gives no answer to reset; is it the right way round?",
    "W_UNPOWERED_CARD": "the card has no power; take it out and put it in again",
    "W_UNSUPPORTED_CARD": "the card's answer to reset is one the reader does not understand",
    "W_RESET_CARD": "the card was reset by another program; try again",
    "E_SHARING_VIOLATION": "the reader is in use by another program; end that one first",
    "E_PROTO_MISMATCH": "the card speaks neither T=0 nor T=1",
}
_NO_CARD: Final = frozenset({"E_NO_SMARTCARD", "W_REMOVED_CARD"})


class ReaderError(Exception):
    """A reader or its card cannot be used; the message says why and what to do."""


class NoCardError(ReaderError):
    """There is a reader, and no card in it."""


def readers() -> list[str]:
    """Answer the names of the readers there are; ReaderError if PC/SC itself is not there."""
    context = _establish()
    try:
        return _list(context)
    finally:
        _scard().SCardReleaseContext(context)


class ReaderCard:
    """The card in one reader, which is named by its number in `readers()`, its name, or a part of its name."""

    def __init__(self, name_or_index: str | int) -> None:
        scard = _scard()
        self._context: int | None = _establish()
        try:
            self.name: Final = _choose(_list(self._context), name_or_index, self._context)
            result, self._handle, self._protocol = scard.SCardConnect(
                self._context, self.name, scard.SCARD_SHARE_SHARED, _protocols()
            )
            _check(result, self.name)
        except BaseException:
            scard.SCardReleaseContext(self._context)
            raise

    def reset(self) -> bytes:
        """Take the power away and give it back; answers the ATR."""
        scard = _scard()
        self._open()
        result, self._protocol = scard.SCardReconnect(
            self._handle, scard.SCARD_SHARE_SHARED, _protocols(), scard.SCARD_UNPOWER_CARD
        )
        _check(result, self.name)
        result, _, _, _, atr = scard.SCardStatus(self._handle)
        _check(result, self.name)
        return bytes(atr)

    def transmit(self, command: bytes) -> bytes:
        """Carry one command APDU; ReaderError if reader or card are gone."""
        self._open()
        if len(command) < 4:
            raise ReaderError("a command APDU has at least four bytes")
        try:
            # T=1 carries whole APDUs; T=0 is for the client to follow. ISO/IEC 7816-3 12.2.
            if self._protocol == _scard().SCARD_PROTOCOL_T1:
                return self._send(command)
            return exchange(self._send, command)
        except ProtocolError as fault:
            raise ReaderError(f"{self.name}: {fault}") from fault

    def close(self) -> None:
        """Let go of card and reader. The card is reset: what was verified on it is not left to the next program."""
        if self._context is None:
            return
        scard = _scard()
        context, self._context = self._context, None
        scard.SCardDisconnect(self._handle, scard.SCARD_RESET_CARD)
        scard.SCardReleaseContext(context)

    def _open(self) -> None:
        if self._context is None:
            raise ReaderError(f"{self.name}: closed already")

    def _send(self, command: bytes) -> bytes:
        result, response = _scard().SCardTransmit(self._handle, self._protocol, list(command))
        _check(result, self.name)
        return bytes(byte & 0xFF for byte in response)


@cache
def _scard() -> ModuleType:
    try:
        from smartcard import scard  # noqa: PLC0415 - an extra, and 50 ms
    except ModuleNotFoundError:
        raise ReaderError("readers need pyscard: pip install 'bsim[pcsc]'") from None
    except ImportError as fault:
        raise ReaderError(f"pyscard cannot be loaded ({fault}); apt-get install libpcsclite1") from fault
    module: ModuleType = scard
    return module


def _protocols() -> int:
    scard = _scard()
    return int(scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1)


def _establish() -> int:
    scard = _scard()
    result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    _check(result, "PC/SC")
    return int(context)


def _list(context: int) -> list[str]:
    scard = _scard()
    result, names = scard.SCardListReaders(context, [])
    if result == scard.SCARD_E_NO_READERS_AVAILABLE:
        return []
    _check(result, "PC/SC")
    return [str(name) for name in names]


def _choose(names: Sequence[str], wanted: str | int, context: int) -> str:
    if not names:
        raise ReaderError("no reader is connected; plug one in, or serve a card with bsim serve")
    listed = "; ".join(f"{number}: {name}" for number, name in enumerate(names))
    if isinstance(wanted, int) or (wanted.isascii() and wanted.isdigit()):
        if int(wanted) < len(names):
            return names[int(wanted)]
        raise ReaderError(f"no reader {wanted}; there is {listed}")
    found = [name for name in names if name == wanted] or [name for name in names if wanted.lower() in name.lower()]
    if not found:
        raise ReaderError(f"no reader {wanted!r}; there is {listed}")
    # One reader with several slots has one name: the slot that has a card is meant.
    filled = found if len(found) == 1 else [name for name in found if _holds_card(context, name)]
    if len(filled) > 1:
        raise ReaderError(f"{wanted!r} fits several readers with cards; name one by its number: {listed}")
    return (filled or found)[0]


def _holds_card(context: int, name: str) -> bool:
    scard = _scard()
    result, states = scard.SCardGetStatusChange(context, 0, [(name, scard.SCARD_STATE_UNAWARE)])
    return result == 0 and bool(states[0][1] & scard.SCARD_STATE_PRESENT)


def _check(result: int, where: str) -> None:
    scard = _scard()
    if result == scard.SCARD_S_SUCCESS:
        return
    for name, words in _WORDS.items():
        if result == getattr(scard, f"SCARD_{name}", None):
            raise (NoCardError if name in _NO_CARD else ReaderError)(f"{where}: {words}")
    raise ReaderError(f"{where}: {scard.SCardGetErrorMessage(result)}")
