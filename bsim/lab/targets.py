"""What `--on` and `open_card` take: one syntax for every card there is."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, TypeVar

from bsim.lab.emulated import EmulatedCard, Phone
from bsim.lab.reader import ReaderCard, ReaderError, ReaderOptions
from bsim.lab.replay import ReplayCard
from bsim.lab.trace import TraceError
from bsim.ports import Card
from bsim.profiles import personalisation, power_on, ram_card, stored_profile
from bsim.store import Keyring, SqliteStore, StoreError, Unlock

Powered = TypeVar("Powered")
SUFFIX: Final = ".bsim"
RAM: Final = "ram"
_READER: Final = "reader:"
_REPLAY: Final = "replay:"
_TOLERANT: Final = "tolerant:"
SYNTAX: Final = "FILE.bsim, reader:NAME, replay:FILE or ram"


class TargetError(Exception):
    """A target that names no card that can be used; the message says what is wrong and what to do."""


class OpenCard(Card, Protocol):
    """A card that is held open, and let go of by `close`."""

    def close(self) -> None:
        """Let go of the file or the reader."""
        ...


def is_real(target: str) -> bool:
    """Whether a target names a card in a reader, where a wrong BPIN costs a real try."""
    return target.startswith(_READER)


def is_recording(target: str) -> bool:
    """Whether a target names a recorded card."""
    return target.startswith(_REPLAY)


def comes_bare(target: str) -> bool:
    """Whether a target is left without a phone unless one is asked for: a real card, or a replay, which had its own."""
    return is_real(target) or is_recording(target)


def open_target(target: str, unlock: Unlock | None = None, options: ReaderOptions | None = None) -> OpenCard:
    """Open the card that a target names, powered and with no phone around it; TargetError if that cannot be.

    `unlock` knows the secrets of card files; None has what the environment and the user's key folder hold.
    `options` say how a reader is used.
    """
    try:
        if target == RAM:
            return ram_card(personalisation())
        if is_real(target):
            return _reader(target, options)
        if is_recording(target):
            return _replay(target)
        return _powered(target, unlock, power_on)
    except (StoreError, ReaderError, TraceError, ValueError) as fault:  # ValueError: BSIM_ENGINE names no engine
        raise TargetError(str(fault)) from fault


def profile_name(target: str, unlock: Unlock | None = None) -> str | None:
    """Answer the profile of an emulated card; None for one that does not tell. TargetError as above."""
    if comes_bare(target):
        return None
    if target == RAM:
        return personalisation(blank=True).profile.name
    try:
        store = open_file(target, unlock)
        try:
            return stored_profile(store).name
        finally:
            store.close()
    except StoreError as fault:
        raise TargetError(str(fault)) from fault


def card_path(target: str) -> Path:
    """Read the name of a card file, which ends in .bsim; TargetError for another."""
    if not target.endswith(SUFFIX):
        raise TargetError(f"{target!r} is no card: a target is {SYNTAX}")
    return Path(target)


def open_file(target: str, unlock: Unlock | None = None) -> SqliteStore:
    """Open a card file as it is stored, for the caller to close; StoreError or TargetError says what is wrong."""
    return SqliteStore(card_path(target), unlock=unlock or Keyring())


def records_of(target: str, unlock: Unlock | None = None) -> dict[str, bytes]:
    """Read all that a card file holds, for a copy in memory: the file itself is not written. Errors as `open_file`."""
    store = open_file(target, unlock)
    try:
        return dict(store.read())
    finally:
        store.close()


def emulated(target: str, phone: Phone, unlock: Unlock | None = None) -> EmulatedCard:
    """Open a card file with a phone around it; TargetError if that cannot be."""
    try:
        return _powered(target, unlock, lambda store: EmulatedCard(store, phone))
    except StoreError as fault:
        raise TargetError(str(fault)) from fault


def _powered(target: str, unlock: Unlock | None, power: Callable[[SqliteStore], Powered]) -> Powered:
    """Power on the card of a file, or let go of the file again."""
    store = open_file(target, unlock)
    try:
        return power(store)
    except BaseException as fault:
        store.close()
        if isinstance(fault, StoreError):
            words = str(fault)
            raise TargetError(words if words.startswith(target) else f"{target}: {words}") from fault
        raise


def _replay(target: str) -> OpenCard:
    name = target.removeprefix(_REPLAY)
    return ReplayCard(name.removeprefix(_TOLERANT), tolerant=name.startswith(_TOLERANT))


def _reader(target: str, options: ReaderOptions | None) -> OpenCard:
    name = target.removeprefix(_READER)
    if not name:
        raise TargetError("reader: wants a name, a part of one or a number, as in reader:0; `bsim readers` lists them")
    return ReaderCard(name, options or ReaderOptions())
