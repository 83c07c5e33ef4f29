"""The cards of one server: made, found by number, and let go of. Numbers begin at 1 and are never used again."""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from typing import Final

from bsim.handset import User
from bsim.lab.emulated import EmulatedCard
from bsim.links.web.hosted import WELL_BEHAVED, Base, Hosted, Misbehaviour, Phone, Traits, Wiring
from bsim.links.web.limits import Limits
from bsim.links.web.line import Line
from bsim.links.web.log import CardLog
from bsim.links.web.message import Refusal
from bsim.ports import Card
from bsim.profiles import personalisation, personalise
from bsim.store import RamStore

WEB: Final = "web"
READERS: Final = ("SIM1", "SIM2")
"""The phone's slots, as Android names them."""
_LEAST_LINES: Final = 256

Publish = Callable[[str, str], None]
"""Is told of an event: the card's number, and JSON text; in any thread."""


class Rack:
    """Holds the cards. `add` and `make` may be called from any thread."""

    def __init__(self, limits: Limits, publish: Publish, later: Callable[[float, Callable[[], None]], None]) -> None:
        self._limits: Final = limits
        self._publish: Final = publish
        self._later: Final = later
        self._cards: Final[dict[str, Hosted]] = {}
        self._seats: Final[dict[str, str | None]] = {}
        self._numbers: Final = itertools.count(1)
        self._lock: Final = Lock()
        self.stopping: Final = Event()
        # A thread a card at most: one that a fault keeps waiting keeps no other waiting.
        self.pool: Final = ThreadPoolExecutor(limits.cards, thread_name_prefix="bsim-card")

    def __len__(self) -> int:
        return len(self._cards)

    def __iter__(self) -> Iterator[Hosted]:
        return iter(list(self._cards.values()))

    def get(self, number: str) -> Hosted:
        """Answer a card; Refusal 404 if there is none."""
        found = self._cards.get(number)
        if found is None:
            raise Refusal(404, "there is no such card", "NoSuchCard")
        return found

    def first(self) -> Hosted:
        """Answer the oldest card; Refusal 404 if there is none."""
        for card in self:
            return card
        raise Refusal(404, "there is no card yet: POST /v1/cards makes one", "NoSuchCard")

    def in_reader(self, reader: str) -> Hosted | None:
        """Answer the card in SIM1 or SIM2 of the phone that this server is to apps."""
        return next((card for card in self if card.traits.reader == reader), None)

    def add(
        self,
        make: Base,
        *,
        name: str = "",
        target: str = "ram",
        profile: str | None = None,
        handset: str = WEB,
        script: User | None = None,
        reader: str | None = None,
        faults: Misbehaviour = WELL_BEHAVED,
        watch: Callable[[User], User] = lambda user: user,
        wrap: Callable[[Card], Card] = lambda card: card,
        close: Callable[[], None] = lambda: None,
        quick: bool = True,
    ) -> Hosted:
        """Put a card in, powered; Refusal 409 if there is no room. `make` gets the phone to put it into."""
        number, reader = self._seat(reader)
        traits = Traits(
            name=name or f"card {number}",
            target=target,
            profile=profile,
            handset=_shown(handset),
            reader=reader,
            quick=quick,
        )
        log = CardLog(self._share, lambda text: self._publish(number, text))
        wiring = Wiring(
            Line(self.pool, self._limits.waiting), log, self._later, self.stopping, self._limits.approval_seconds, close
        )
        try:
            hosted = Hosted(number, traits, make, wiring, script=script, faults=faults, watch=watch, wrap=wrap)
        except BaseException:
            self._seats.pop(number)
            raise
        self._cards[number] = hosted
        return hosted

    def make(
        self,
        *,
        mnemonic: str | None = None,
        blank: bool = False,
        bpin: str = "123456",
        profile: str = "extended",
        state: str | None = None,
        iccid: str | None = None,
        handset: str = WEB,
        name: str = "",
        reader: str | None = None,
    ) -> Hosted:
        """Make a card in memory; ValueError if something of this cannot be, and the message repeats no secret."""
        person = personalisation(mnemonic=mnemonic, blank=blank, bpin=bpin, profile=profile, state=state, iccid=iccid)
        script = scripted(handset, bpin)

        def base(phone: Phone) -> Card:
            store = RamStore()
            personalise(store, person)
            return EmulatedCard(store, phone)

        return self.add(base, name=name, profile=person.profile.name, handset=handset, script=script, reader=reader)

    def fork(self, hosted: Hosted, name: str = "") -> Hosted:
        """Put a copy of a card in, in a phone of its own whose dialogues wait; StoreError if it cannot be copied."""
        copy = hosted.emulated.fork_store()
        traits = hosted.traits
        handset = "none" if traits.handset == "none" else WEB
        return self.add(
            lambda phone: EmulatedCard(copy, phone),
            name=name or f"{traits.name}, a copy",
            profile=traits.profile,
            handset=handset,
        )

    def remove(self, number: str) -> None:
        """Take a card away for good; Refusal 404 if there is none."""
        hosted = self.get(number)
        self._cards.pop(number, None)
        self._seats.pop(number, None)
        hosted.close()

    def close(self) -> None:
        """Let go of all cards."""
        self.stopping.set()
        for hosted in self:
            self.remove(hosted.number)
        self.pool.shutdown(wait=False, cancel_futures=True)

    def _seat(self, asked: str | None) -> tuple[str, str | None]:
        """Keep a place for a card that is being made: its number, and the phone's slot if one is free."""
        with self._lock:
            if len(self._seats) >= self._limits.cards:
                raise Refusal(409, f"a server holds {self._limits.cards} cards at most: delete one", "TooManyCards")
            taken = set(self._seats.values())
            if asked is not None and asked in taken:
                raise Refusal(409, f"{asked} has a card already", "ReaderTaken")
            number = str(next(self._numbers))
            reader = self._seats[number] = asked or next((one for one in READERS if one not in taken), None)
            return number, reader

    def _share(self) -> int:
        share = self._limits.lines // max(1, len(self._cards))
        return max(_LEAST_LINES, min(share, self._limits.ring))


def _shown(handset: str) -> str:
    """A script as it may be shown: the digits that are typed are none of anybody's business."""
    return ",".join("digits" if step.strip()[:1].isdigit() else step.strip() for step in handset.split(","))


def scripted(handset: str, bpin: str = "123456", new_bpin: str | None = None) -> User | None:
    """The user a handset's name stands for: a script, or None for `web` and `none`; ValueError for what is neither."""
    if handset in {WEB, "none"}:
        return None
    from bsim.handset.script import ScriptedUser  # noqa: PLC0415 - for users that follow a script

    return ScriptedUser(handset, bpin, new_bpin)
