"""One card on the server: in a phone whose dialogues wait for answers, with faults, a log and one line.

From the outside in: gate (is there a card, has it power), log, faults, phone, card.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from threading import Condition, Event
from typing import TYPE_CHECKING, Final, NamedTuple

from bsim.card import T0
from bsim.handset import Handset, User
from bsim.handset.remote import SILENCE, Dialogue, RemoteUser
from bsim.lab.emulated import EmulatedCard
from bsim.lab.faults import Faults
from bsim.links.web.line import Line, OnLine
from bsim.links.web.log import CardLog, Tap
from bsim.ports import Card, CardRemoved
from bsim.spec import spec
from bsim.store import StoreError

if TYPE_CHECKING:
    from bsim.lab.fault_rules import Rule

# What takes a millisecond and more, by PBKDF2: never in the event loop.
_SLOW: Final = frozenset(
    bytes((command.ins,))
    for command in spec().applets["wallet"].commands.values()
    if command.name in {"EXPORT_SEED", "RESTORE_SEED", "GENERATE_SEED", "IMPORT_SEED"}
)


class Power(StrEnum):
    """Where a card is."""

    ON = "on"
    OFF = "off"
    REMOVED = "removed"


class Traits(NamedTuple):
    """What is told of a card and never changes; `quick`: no command takes longer than others may be kept waiting."""

    name: str
    target: str = "ram"
    profile: str | None = None
    handset: str = "web"
    reader: str | None = None
    quick: bool = True


class Misbehaviour(NamedTuple):
    """The faults a card begins with."""

    rules: "tuple[Rule | str, ...]" = ()
    seed: int | None = None


WELL_BEHAVED: Final = Misbehaviour()
Phone = Callable[[Card], Card]
Base = Callable[[Phone], Card]
"""Makes a card in a phone: an EmulatedCard, which can be snapshot, or any other."""
Later = Callable[[float, Callable[[], None]], None]
"""Does something after so many seconds, in the event loop."""


def _nothing() -> None:
    """There is nothing to let go of."""


@dataclass(slots=True)
class Wiring:
    """What the server lends to each card."""

    line: Line
    log: CardLog
    later: Later
    stopping: Event
    patience: float
    close: Callable[[], None] = field(default=_nothing)


class Hosted:
    """A card, and everything around it. Whatever touches `card` goes through `line`."""

    def __init__(
        self,
        number: str,
        traits: Traits,
        make: Base,
        wiring: Wiring,
        *,
        script: User | None = None,
        faults: Misbehaviour = WELL_BEHAVED,
        watch: Callable[[User], User] = lambda user: user,
        wrap: Callable[[Card], Card] = lambda card: card,
    ) -> None:
        self.number: Final = number
        self.traits: Final = traits
        self.line: Final = wiring.line
        self.log: Final = wiring.log
        self.power = Power.ON
        self.epoch = 0
        self.scripted = script is not None
        self.snapshots: list[str] = []
        self._moved: Final = Condition()
        self.user: Final = RemoteUser(script, opened=self._opened, closed=self._closed)
        self._wiring: Final = wiring
        bare = traits.handset == "none"
        handset = Handset(watch(self.user))
        self.base: Final = make((lambda card: card) if bare else handset.insert)
        rules: Iterable[Rule | str] = faults.rules
        # A delay ends when the server does.
        self.faults: Final = Faults(
            _Screen(self.base, self.user),
            rules,
            seed=faults.seed,
            sleep=lambda seconds: _wait(wiring.stopping, seconds),
        )
        self.card: Final = _Gate(Tap(wrap(self.faults), self.log), self)
        self.tpdu: Final = T0(self.card)
        self.atr = self.card.reset()
        self._quick: Final = traits.quick

    @property
    def link(self) -> Card:
        """The card for other links: a reader's slot."""
        return OnLine(self.card, self.line)

    @property
    def emulated(self) -> EmulatedCard:
        """The card as one of ours; StoreError for another."""
        if not isinstance(self.base, EmulatedCard):
            raise StoreError("only an emulated card has snapshots and forks")
        return self.base

    def slow(self, command: bytes = b"") -> bool:
        """Whether this may take longer than others should have to wait for."""
        return not self._quick or not self.faults.quiet or command[1:2] in _SLOW

    def reset(self) -> bytes:
        """Power-cycle the card, in its reader again if it was out; answers the ATR."""
        self.power = Power.ON
        self.atr = self.card.reset()
        return self.atr

    def cut(self, power: Power) -> None:
        """Take the card's power, or the card: what is volatile is gone at once."""
        if self.power is Power.ON:
            self.card.reset()
        self.power = power
        self.log.add("power", power=str(power))

    def restore(self, name: str) -> bytes:
        """Go back to a snapshot; answers the ATR. StoreError if there is none."""
        self.emulated.restore(name)
        return self.reset()

    def snapshot(self, name: str) -> None:
        """Keep the card's contents under a name."""
        self.emulated.snapshot(name)
        self.snapshots = [*(one for one in self.snapshots if one != name), name]
        self.log.add("snapshot", name=name)

    def close(self) -> None:
        """Let go of everything the card holds."""
        self.user.gone()
        with self._moved:
            self._moved.notify_all()
        if isinstance(self.base, EmulatedCard):
            self.base.close()
        self._wiring.close()

    def _opened(self, dialogue: Dialogue, waits: bool) -> None:
        self.log.opened(dialogue, waits, self._wiring.patience)
        if waits:
            self._wiring.later(self._wiring.patience, partial(self._expire, dialogue.number))

    def _closed(self, dialogue: Dialogue, result: int | None) -> None:
        self.log.closed(dialogue, result)
        with self._moved:
            self._moved.notify_all()

    def moved(self, seconds: float) -> None:
        """Let time pass until the user has done something, or so many seconds are over; CardRemoved once all ends."""
        with self._moved:
            self._moved.wait(seconds)
        if self._wiring.stopping.is_set():
            raise CardRemoved("the server ends")

    def _expire(self, number: int) -> None:
        """A phone gives up by itself where nobody answers. ETSI TS 102 223 6.4.1, "no response from user"."""
        if any(dialogue.number == number for dialogue in self.user.pending()):
            self.line.begin(lambda: self._give_up(number), slow=self.slow())

    def _give_up(self, number: int) -> None:
        if any(dialogue.number == number for dialogue in self.user.pending()):
            self.user.answer(number, SILENCE)


class _Gate:
    """What is not there, or has no power, does not answer; itself a card. Every power-on is a new epoch."""

    def __init__(self, card: Card, hosted: Hosted) -> None:
        self._card: Final = card
        self._hosted: Final = hosted

    def reset(self) -> bytes:
        if self._hosted.power is Power.REMOVED:
            raise CardRemoved("the card is out of its reader; insert it")
        self._hosted.power = Power.ON
        self._hosted.epoch += 1
        return self._card.reset()

    def transmit(self, command: bytes) -> bytes:
        if self._hosted.power is Power.ON:
            return self._card.transmit(command)
        if self._hosted.power is Power.REMOVED:
            raise CardRemoved("the card is out of its reader; insert it")
        raise CardRemoved("the card has no power; reset it")


class _Screen:
    """The phone's screen goes dark with its power; itself a card."""

    def __init__(self, card: Card, user: RemoteUser) -> None:
        self.transmit: Final = card.transmit
        self._card: Final = card
        self._user: Final = user

    def reset(self) -> bytes:
        self._user.gone()
        return self._card.reset()


def _wait(stopping: Event, seconds: float) -> None:
    stopping.wait(seconds)
