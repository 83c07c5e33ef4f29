"""A real card in a PC/SC reader, as a `Card`: whole APDUs in, whole responses out, T=0 done in here.

A card that was taken out or reset by another is told of once, at the exchange that met it; the next `reset` or
`transmit` connects anew. What the card was told before is gone then, as after any reset.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from bsim.lab import pcsc
from bsim.lab.pcsc import MuteCardError, NoCardError, ReaderError, check, readers
from bsim.lab.t0_client import ProtocolError, exchange
from bsim.lab.watchdog import Watchdog

__all__ = ["MuteCardError", "NoCardError", "Protocol", "ReaderCard", "ReaderError", "ReaderOptions", "readers"]

T = TypeVar("T")
# ISO/IEC 7816-3 lets a T=0 card ask for more time as often as it likes; a minute is more than any command here needs.
_PATIENCE: Final = 60.0


class Protocol(StrEnum):
    """The transmission protocol: one of ISO/IEC 7816-3, or what the card prefers."""

    AUTO = "auto"
    T0 = "t0"
    T1 = "t1"


@dataclass(frozen=True, slots=True)
class ReaderOptions:
    """How a reader is used. `raw` leaves 61xx and 6Cxx to the caller; `timeout` None waits as long as the driver."""

    protocol: Protocol = Protocol.AUTO
    exclusive: bool = False
    raw: bool = False
    timeout: float | None = _PATIENCE


_DEFAULT: Final = ReaderOptions()


class ReaderCard:
    """The card in one reader, which is named by its number in `readers()`, its name, or a part of its name."""

    def __init__(self, name_or_index: str | int, options: ReaderOptions = _DEFAULT) -> None:
        self._options: Final = options
        self._closed = False
        self._context: int | None = None
        self._handle: int | None = None
        self._protocol = 0
        self._watchdog: Watchdog | None = None
        self._establish()
        try:
            self.name: Final = pcsc.choose(self._established, name_or_index)
            self._connect()
        except BaseException:
            self._release()
            raise

    def reset(self) -> bytes:
        """Take the power away and give it back; answers the ATR."""
        self._ready()
        scard = pcsc.scard()
        result, self._protocol = self._watched(
            lambda: scard.SCardReconnect(self._handle, self._share, self._protocols, scard.SCARD_UNPOWER_CARD)
        )
        self._check(result)
        result, _, _, _, atr = self._watched(lambda: scard.SCardStatus(self._handle))
        self._check(result)
        return bytes(atr)

    def transmit(self, command: bytes) -> bytes:
        """Carry one command APDU; ReaderError if reader or card are gone, and the next exchange connects anew."""
        if self._handle is None:
            self._ready()
        if len(command) < 4:
            raise ReaderError("a command APDU has at least four bytes")
        try:
            # T=1 carries whole APDUs; T=0 is for the client to follow. ISO/IEC 7816-3 12.2.
            if self._options.raw or self._protocol == pcsc.scard().SCARD_PROTOCOL_T1:
                return self._send(command)
            return exchange(self._send, command)
        except ProtocolError as fault:
            raise ReaderError(f"{self.name}: {fault}") from fault

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep other programs from the card inside; waits until they let it go themselves."""
        self._ready()
        scard = pcsc.scard()
        self._check(self._watched(lambda: scard.SCardBeginTransaction(self._handle)))
        try:
            yield
        finally:
            if self._handle is not None:
                self._watched(lambda: scard.SCardEndTransaction(self._handle, scard.SCARD_LEAVE_CARD))

    def close(self) -> None:
        """Let go of card and reader. The card is reset: what was verified on it is not left to the next program."""
        self._closed = True
        self._release(pcsc.scard().SCARD_RESET_CARD)

    @property
    def _established(self) -> int:
        if self._context is None:
            raise ReaderError(f"{self.name}: closed already")
        return self._context

    @property
    def _protocols(self) -> int:
        scard = pcsc.scard()
        either = {Protocol.T0: scard.SCARD_PROTOCOL_T0, Protocol.T1: scard.SCARD_PROTOCOL_T1}
        return int(either.get(self._options.protocol, scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1))

    @property
    def _share(self) -> int:
        scard = pcsc.scard()
        return int(scard.SCARD_SHARE_EXCLUSIVE if self._options.exclusive else scard.SCARD_SHARE_SHARED)

    def _ready(self) -> None:
        """Connect anew what was lost."""
        if self._closed:
            raise ReaderError(f"{self.name}: closed already")
        if self._context is None:
            self._establish()
        if self._handle is None:
            self._connect()

    def _establish(self) -> None:
        if self._options.timeout is None:
            self._context = pcsc.establish()
            return
        self._watchdog = Watchdog(self._options.timeout)
        with self._watchdog.finding():
            self._context = pcsc.establish()

    def _connect(self) -> None:
        scard, context = pcsc.scard(), self._established
        result, handle, protocol = self._watched(
            lambda: scard.SCardConnect(context, self.name, self._share, self._protocols)
        )
        self._check(result)
        self._handle, self._protocol = handle, protocol

    def _send(self, command: bytes) -> bytes:
        watchdog = self._watchdog
        if watchdog is None:
            result, response = pcsc.scard().SCardTransmit(self._handle, self._protocol, list(command))
        else:
            watchdog.deadline = watchdog.start()
            result, response = pcsc.scard().SCardTransmit(self._handle, self._protocol, list(command))
            watchdog.deadline = watchdog.idle
        if result or not response:
            # A driver whose card went in the middle of it may report success and no bytes, as vpcd's does.
            self._check(result or pcsc.scard().SCARD_E_NOT_TRANSACTED)
        return bytes(response)

    def _watched(self, call: Callable[[], T]) -> T:
        if self._watchdog is None:
            return call()
        with self._watchdog.watching():
            return call()

    def _check(self, result: int) -> None:
        """Judge the result of a call; after a failure, let go of what does not serve any more."""
        try:
            check(result, self.name)
        except ReaderError as fault:
            if self._watchdog is not None and self._watchdog.fired:
                self._release()
                waited = f"no answer in {self._options.timeout:g} s"
                raise MuteCardError(f"{self.name}: the card is mute: {waited}; take it out and put it in") from fault
            self._release()
            raise

    def _release(self, disposition: int = 0) -> None:
        """Let go of everything; the card is left as it is (SCARD_LEAVE_CARD is 0) unless it is to be reset."""
        scard = pcsc.scard()
        context, self._context = self._context, None
        handle, self._handle = self._handle, None
        watchdog, self._watchdog = self._watchdog, None
        if handle is not None:
            scard.SCardDisconnect(handle, disposition)
        if context is not None:
            scard.SCardReleaseContext(context)
        if watchdog is not None:
            watchdog.close()
