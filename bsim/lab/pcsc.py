"""PC/SC itself: the service, its readers, and clear words for everything that can be wrong with them.

pyscard is an extra (`pip install '.[pcsc]'`) and is imported by the first call that needs it.
"""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

INSTALL: Final = "pip install '.[pcsc]' in the project's folder, or pip install pyscard"
"""What brings pyscard."""
_START: Final = "start it: sudo systemctl start pcscd, or sudo pcscd"
_NOT_ALLOWED: Final = "the service does not let you in; ask for access to pcscd (polkit), or use root"
# pcsc-lite's names without their SCARD_; what a person can do about each.
_WORDS: Final = {
    "E_NO_SERVICE": f"no service is running; {_START}",
    "E_SERVICE_STOPPED": f"the service has stopped; {_START}",
    "F_COMM_ERROR": f"the service has gone in the middle of it; {_START}",
    "F_INTERNAL_ERROR": "the service failed at it; try again, or start pcscd anew",
    "E_INVALID_HANDLE": "the service was started anew meanwhile; try again",
    "E_NO_ACCESS": _NOT_ALLOWED,
    "W_SECURITY_VIOLATION": _NOT_ALLOWED,
    "E_READER_UNAVAILABLE": "the reader has gone; plug it in again",
    "E_UNKNOWN_READER": "the reader has gone; plug it in again",
    "E_NO_SMARTCARD": "no card is in the reader; put one in",
    "W_REMOVED_CARD": "the card was taken out of the reader; put it in again",
    "E_NOT_TRANSACTED": "the card gave no answer: it was taken out, or lost its power; put it in again",
    "W_UNRESPONSIVE_CARD": "the card is mute: it gives no answer to reset; is it the right way round?",
    "W_UNPOWERED_CARD": "the card has no power; take it out and put it in again",
    "W_UNSUPPORTED_CARD": "the card's answer to reset is one the reader does not understand",
    "W_RESET_CARD": "the card was reset by another program; try again",
    "E_SHARING_VIOLATION": "the reader is in use by another program; end that one first",
    "E_PROTO_MISMATCH": "the card does not speak the protocol asked for (T=0 or T=1)",
    "E_TIMEOUT": "the card is mute: it did not answer in time",
}
_NO_CARD: Final = frozenset({"E_NO_SMARTCARD", "W_REMOVED_CARD", "E_NOT_TRANSACTED"})
_SOCKET: Final = "/run/pcscd/pcscd.comm"  # pcsc-lite's PCSCLITE_CSOCK_NAME


class ReaderError(Exception):
    """A reader or its card cannot be used; the message says why and what to do."""


class NoCardError(ReaderError):
    """There is a reader, and no card in it."""


class MuteCardError(ReaderError):
    """The card does not answer."""


@cache
def scard() -> ModuleType:
    """Answer pyscard's thinnest layer; ReaderError says what installs it."""
    try:
        from smartcard import scard as module  # noqa: PLC0415 - an extra, and 50 ms
    except ModuleNotFoundError:
        raise ReaderError(f"readers need pyscard: {INSTALL}") from None
    except ImportError as fault:
        raise ReaderError(f"pyscard cannot be loaded ({fault}); apt-get install libpcsclite1") from fault
    found: ModuleType = module
    return found


def readers() -> list[str]:
    """Answer the names of the readers there are; ReaderError if PC/SC itself is not there."""
    context = establish()
    try:
        return names(context)
    finally:
        scard().SCardReleaseContext(context)


def establish() -> int:
    """Begin with PC/SC; ReaderError if there is none."""
    pcsc = scard()
    result, context = pcsc.SCardEstablishContext(pcsc.SCARD_SCOPE_USER)
    if result == pcsc.SCARD_E_NO_SERVICE and _locked_out():
        raise ReaderError(f"PC/SC: {_NOT_ALLOWED}")
    check(result, "PC/SC")
    return int(context)


def names(context: int) -> list[str]:
    """Answer the names of the readers, which may be none."""
    pcsc = scard()
    result, found = pcsc.SCardListReaders(context, [])
    if result == pcsc.SCARD_E_NO_READERS_AVAILABLE:
        return []
    check(result, "PC/SC")
    return [str(name) for name in found]


def choose(context: int, wanted: str | int) -> str:
    """Answer the reader that is meant by its number, its name, or a part of it; ReaderError lists those there are."""
    found = names(context)
    if not found:
        raise ReaderError("no reader is connected; plug one in, or serve a card with bsim serve")
    listed = "; ".join(f"{number}: {name}" for number, name in enumerate(found))
    if isinstance(wanted, int) or (wanted.isascii() and wanted.isdigit()):
        if int(wanted) < len(found):
            return found[int(wanted)]
        raise ReaderError(f"no reader {wanted}; there is {listed}")
    fitting = _fitting(found, wanted)
    if not fitting:
        raise ReaderError(f"no reader {wanted!r}; there is {listed}")
    # One reader with several slots has one name: the slot that has a card is meant.
    filled = fitting if len(fitting) == 1 else [name for name in fitting if _holds_card(context, name)]
    if len(filled) > 1:
        raise ReaderError(f"{wanted!r} fits several readers with cards; name one by its number: {listed}")
    return (filled or fitting)[0]


def check(result: int, where: str) -> None:
    """Turn a result that is no success into a ReaderError with words."""
    pcsc = scard()
    if result == pcsc.SCARD_S_SUCCESS:
        return
    for name, words in _WORDS.items():
        if result == getattr(pcsc, f"SCARD_{name}", None):
            kind = NoCardError if name in _NO_CARD else MuteCardError if "mute" in words else ReaderError
            raise kind(f"{where}: {words}")
    raise ReaderError(f"{where}: {pcsc.SCardGetErrorMessage(result)}")


def socket_path() -> Path:
    """Where pcsc-lite's service listens."""
    return Path(os.environ.get("PCSCLITE_CSOCK_NAME", _SOCKET))


def _locked_out() -> bool:
    """Whether the service is there and this user may not speak to it: libpcsclite calls both no service."""
    try:
        return socket_path().exists() and not os.access(socket_path(), os.R_OK | os.W_OK)
    except PermissionError:
        return True


def _fitting(found: Sequence[str], wanted: str) -> list[str]:
    return [name for name in found if name == wanted] or [name for name in found if wanted.lower() in name.lower()]


def _holds_card(context: int, name: str) -> bool:
    pcsc = scard()
    result, states = pcsc.SCardGetStatusChange(context, 0, [(name, pcsc.SCARD_STATE_UNAWARE)])
    return result == 0 and bool(states[0][1] & pcsc.SCARD_STATE_PRESENT)
