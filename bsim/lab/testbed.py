"""A card on a test bench: made as a test wants it, in a phone the test holds, with faults, and all of it on a tape."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Final

from bsim.applets.proactive import Result
from bsim.handset import Handset, Reply, ScriptedUser, User
from bsim.handset.remote import CANCEL, NO, YES, Dialogue, RemoteUser
from bsim.lab.emulated import EmulatedCard, SnapshotStore
from bsim.lab.faults import Faults
from bsim.lab.tape import Tape
from bsim.profiles import DEFAULT_BPIN, personalisation, personalise
from bsim.profiles.states import ready_made
from bsim.store import RamStore

MANUAL: Final = "manual"
NONE: Final = "none"
TEST_MNEMONIC: Final = "test test test test test test test test test test test junk"
"""The seed every card on a bench has unless it is told otherwise: the same keys in every run."""
TEST_ICCID: Final = "8985203021088899971"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a test wants: the options of `bsim.new_card`, `handset="manual"` for a test that answers itself, faults."""

    mnemonic: str | None = field(default=None, repr=False)
    blank: bool = False
    bpin: str = field(default=DEFAULT_BPIN, repr=False)
    new_bpin: str | None = field(default=None, repr=False)
    profile: str = "extended"
    state: str | None = None
    iccid: str = TEST_ICCID
    handset: str = "right"
    faults: tuple[str, ...] = ()
    fault_seed: int = 0

    @classmethod
    def of(cls, options: Mapping[str, object]) -> "Wanted":
        """Read options by name; `fault` is a rule or several. ValueError for one there is not."""
        given = dict(options)
        fault = given.pop("fault", ())
        names = {one.name for one in fields(cls)} - {"faults"}
        for name in given:
            if name not in names:
                raise ValueError(f"no option {name!r}; there is fault, {', '.join(sorted(names))}")
        rules = (fault,) if isinstance(fault, str) else tuple(fault)  # type: ignore[arg-type]  # judged by the parser
        return cls(faults=rules, **given)  # type: ignore[arg-type]  # judged by whoever uses each

    def store(self) -> RamStore:
        """A store with such a card in it."""
        # What is not on the card makes no other card.
        return RamStore(_records(replace(self, handset=NONE, new_bpin=None, faults=(), fault_seed=0)))

    def script(self) -> User | None:
        """Who answers the phone's dialogues; None for the test itself, or for no phone."""
        return None if self.handset in {MANUAL, NONE} else ScriptedUser(self.handset, self.bpin, self.new_bpin)


@lru_cache(64)
def _records(wanted: Wanted) -> dict[str, bytes]:
    """What a new card holds. Kept: a seed costs a millisecond, the 127 keys of a full card six."""
    state = wanted.state
    blank = wanted.blank or (state is not None and ready_made(state).blank)
    store = RamStore()
    personalise(
        store,
        personalisation(
            mnemonic=wanted.mnemonic or (None if blank else TEST_MNEMONIC),
            blank=blank,
            bpin=wanted.bpin,
            profile=wanted.profile,
            state=state,
            iccid=wanted.iccid,
        ),
    )
    return dict(store.read())


class BenchPhone:
    """The phone on the bench: what it shows, and what its user does. `manual` waits for the test to do it."""

    def __init__(self, wanted: Wanted, tape: Tape) -> None:
        self._wanted: Final = wanted
        self.user: Final = RemoteUser(wanted.script(), opened=self._opened)
        self.insert: Final = Handset(tape.watch(self.user)).insert
        self.shown: Final[list[str]] = []
        """Every text that was shown, the newest last."""

    @property
    def text(self) -> str | None:
        """What is on the screen and waits for an answer."""
        waiting = self.user.pending()
        return waiting[-1].command.text if waiting else None

    def script(self, script: str) -> None:
        """Follow a script from now on, beginning with what is on the screen; `manual` waits for the test again."""
        bpin, new_bpin = self._wanted.bpin, self._wanted.new_bpin
        self.user.follow(None if script == MANUAL else ScriptedUser(script, bpin, new_bpin))

    def type(self, digits: str) -> None:
        """Type an entry; ValueError if nothing waits for one."""
        self._answer(Reply(Result.PERFORMED, digits))

    def confirm(self) -> None:
        """Say yes."""
        self._answer(YES)

    def deny(self) -> None:
        """Say no."""
        self._answer(NO)

    def cancel(self) -> None:
        """End the session."""
        self._answer(CANCEL)

    def _answer(self, reply: Reply) -> None:
        waiting = self.user.pending()
        if not waiting:
            raise ValueError("the phone shows nothing that waits for an answer")
        self.user.answer(waiting[-1].number, reply)

    def _opened(self, dialogue: Dialogue, _waits: bool) -> None:
        self.shown.append(dialogue.command.text)


class BenchCard:
    """A card on the bench; itself a card, with an emulated card's snapshots and forks."""

    def __init__(self, wanted: Wanted, tape: Tape | None = None, store: SnapshotStore | None = None) -> None:
        """ValueError, or FaultError, if there can be no such card."""
        self._wanted: Final = wanted
        self.tape: Final = Tape() if tape is None else tape
        self.phone: Final = None if wanted.handset == NONE else BenchPhone(wanted, self.tape)
        self._store: Final = wanted.store() if store is None else store
        self._card: Final = EmulatedCard(self._store, self.phone.insert if self.phone else lambda card: card)
        self.faults: Final = Faults(self._card, wanted.faults, seed=wanted.fault_seed)
        """What it misbehaves by: `add`, `remove` and `list` while the test runs."""
        self._plug: Final = self.tape.around(self.faults)
        self.transmit: Final = self._plug.transmit

    def reset(self) -> bytes:
        """Power-cycle the card; answers the ATR."""
        if self.phone:
            self.phone.user.gone()
        return self._plug.reset()

    def snapshot(self, name: str) -> None:
        """Keep what survives power loss under a name."""
        self._card.snapshot(name)

    def restore(self, name: str) -> bytes:
        """Go back to a snapshot, power-cycled; StoreError if there is none of that name."""
        self._card.restore(name)
        return self.reset()

    def fork(self) -> "BenchCard":
        """Another card with the same contents, in a phone of its own, on the same tape."""
        return BenchCard(self._wanted, self.tape, self._store.fork())

    def close(self) -> None:
        """Power off for good."""
        self._card.close()
