"""Where the demo plays: a card in a phone, behind a real PC/SC stack if this machine can run one."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from bsim.card import T0
from bsim.cli.common import UsageError
from bsim.cli.phone import WatchedUser
from bsim.handset import Handset, ScriptedUser
from bsim.lab.reader import NoCardError, ReaderCard, ReaderError, readers
from bsim.links.pcscd import PcscUnavailable, PrivatePcscd
from bsim.links.vpcd import VpcdLink
from bsim.ports import Card
from bsim.profiles import DEFAULT_BPIN, personalisation, ram_card

# Known to everybody, from the documentation of Hardhat, Foundry and Ganache: nothing to keep.
_MNEMONIC: Final = "test test test test test test test test test test test junk"
_NEW_BPIN: Final = "480716"
_SECONDS: Final = 5.0  # pcscd sees a card within 0.4 s


class Traced:
    """A card whose exchanges are written down."""

    def __init__(self, card: Card) -> None:
        self._card = card
        self.exchanges: list[tuple[bytes, bytes]] = []

    def reset(self) -> bytes:
        """Power-cycle the card; the trace begins anew."""
        self.exchanges.clear()
        return self._card.reset()

    def transmit(self, command: bytes) -> bytes:
        """Carry one APDU, and write it down with its response."""
        response = self._card.transmit(command)
        self.exchanges.append((command, response))
        return response


@dataclass(frozen=True, slots=True)
class Stage:
    """The card as an app reaches it, the trace taken at the card itself, and who holds the phone."""

    card: Card
    traced: Traced
    user: WatchedUser
    through: str
    path: str


@contextmanager
def stage(through: str) -> Iterator[Stage]:
    """Build the stage: `pcsc`, `memory`, or `auto`; PcscUnavailable or ReaderError where `pcsc` cannot be."""
    traced = Traced(_card())
    user = WatchedUser(ScriptedUser("right", DEFAULT_BPIN, _NEW_BPIN))
    in_phone = Handset(user).insert(traced)
    reason = "as asked"
    with ExitStack() as stack:
        if through != "memory":
            try:
                card, path = stack.enter_context(_reader(in_phone))
            except (PcscUnavailable, ReaderError) as fault:
                if through == "pcsc":
                    raise
                reason = str(fault).partition("\n")[0]
            else:
                yield Stage(card, traced, user, "pcsc", path)
                return
        path = f"called in this process's memory, not through PC/SC: {reason}"
        yield Stage(in_phone, traced, user, "memory", path)


def _card() -> Card:
    try:
        return ram_card(personalisation(mnemonic=_MNEMONIC))
    except ValueError as fault:  # BSIM_ENGINE names no engine
        raise UsageError(str(fault)) from fault


@contextmanager
def _reader(card: Card) -> Iterator[tuple[Card, str]]:
    """Put the card into a reader of a pcscd of our own."""
    with PrivatePcscd() as pcscd:
        # Read once in a process's life, at its first use of PC/SC: nothing here has used it before.
        os.environ.update(pcscd.environment)
        with VpcdLink(T0(card), port=pcscd.ports[0]) as link:
            link.ready.wait(_SECONDS)
            found = _insert(pcscd.readers[0])
            try:
                yield found, f"reached through PC/SC (pcscd and vpcd, T=0): reader {found.name!r}"
            finally:
                found.close()


def _insert(name: str) -> ReaderCard:
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            if name in readers():
                return ReaderCard(name)
        except NoCardError:
            if time.monotonic() > deadline:
                raise
        if time.monotonic() > deadline:
            raise ReaderError(f"{name}: not among the readers")
        time.sleep(0.02)
