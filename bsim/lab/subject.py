"""What is examined: cards made anew for each case where that costs nobody anything, or the one card there is.

A card in a reader is somebody's: whatever is done to it stays done, and a guard stands before it. A card file is copied
into memory and never written; `ram` is the test card of the declaration's examples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bsim import tlv
from bsim.card import T0
from bsim.lab.cases import Slot
from bsim.lab.guard import EVERYTHING, Guard, Permit
from bsim.lab.reader import ReaderOptions
from bsim.lab.t0_client import exchange
from bsim.lab.targets import RAM, SUFFIX, OpenCard, is_real, open_target, records_of
from bsim.ports import Card
from bsim.profiles import personalisation, personalise, power_on, stored_profile
from bsim.spec import encode, spec
from bsim.store import RamStore, Unlock
from bsim.sw import SW

# The test card of applet_spec/README.md.
MNEMONIC: Final = "test test test test test test test test test test test junk"
ICCID: Final = "8985203021088899971"
_MOST_SEGMENTS: Final = 64
_HEAD: Final = 6
_ANY: Final = "any"


class OverT0:
    """A card as a T=0 reader shows it, whole responses; itself a card. Twins are compared over the same protocol."""

    def __init__(self, card: Card) -> None:
        self._card: Final = T0(card)

    def reset(self) -> bytes:
        """Power-cycle the card; answers the ATR."""
        return self._card.reset()

    def transmit(self, command: bytes) -> bytes:
        """Carry one APDU as TPDUs."""
        return exchange(self._card.transmit, command)


@dataclass(frozen=True, slots=True)
class Seen:
    """What reading a card tells of it: the keys in its slots, and whether it has a seed (None: it does not say)."""

    slots: tuple[Slot, ...]
    blank: bool | None


class Subject:
    """A card to be examined. `known` says that its examples must be answered byte for byte.

    `extended` says that it has what this project adds to the real card's commands.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[str], Card | None],
        *,
        known: bool = False,
        lasting: bool = False,
        over_t0: bool = False,
        extended: bool = True,
        permit: Permit = EVERYTHING,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.name: Final = name
        self.known: Final = known
        self.lasting = lasting
        self.over_t0 = over_t0
        self.extended: Final = extended
        self.permit: Final = permit
        self.close: Final = close
        self._make: Final = make
        self._kept: dict[str, Card | None] = {}

    def powered(self, kind: str) -> Card | None:
        """Answer the card for a case, just reset; None if it is no card of that kind (`test`, `blank`, `any`)."""
        card = self._one(kind) if self.lasting else self._make(kind)
        if card is not None:
            # A reader speaks T=0 itself.
            card = OverT0(card) if self.over_t0 and not isinstance(card, Guard) else card
            card.reset()
        return card

    def keep(self) -> None:
        """Use one card from now on, as its twin is one that cannot be made anew."""
        self.lasting = True

    def _one(self, kind: str) -> Card | None:
        """The one card of a kind; what is done to it for one case is there in the next."""
        if kind == _ANY:
            return self._one("test") or self._make(_ANY)
        if kind not in self._kept:
            self._kept[kind] = self._make(kind)
        return self._kept[kind]

    def look(self) -> Seen:
        """Read the card: nothing is changed."""
        card = self.powered(_ANY)
        return see(card) if card is not None else Seen((), None)


def subject(
    target: str,
    permit: Permit,
    unlock: Unlock | None = None,
    options: ReaderOptions | None = None,
    *,
    test: bool = False,
) -> Subject:
    """Answer the card that a target names, to be examined; TargetError if there is none. `test`: the test card."""
    if target == RAM:
        made = {"test": _records(blank=False), "blank": _records(blank=True)}
        return Subject(target, lambda kind: power_on(RamStore(made.get(kind, made["test"]))), known=True)
    if target.endswith(SUFFIX):
        return _of_records(target, records_of(target, unlock), test)
    card = open_target(target, unlock, options)
    return real(target, card, permit if is_real(target) else EVERYTHING, over_t0=is_real(target), test=test)


def real(name: str, card: OpenCard, permit: Permit, *, over_t0: bool = True, test: bool = False) -> Subject:
    """A card that there is one of; what is done to it stays done."""
    guarded = Guard(card, permit)

    def make(kind: str) -> Card | None:
        guarded.reset()
        blank = see(guarded).blank
        return guarded if kind == _ANY or blank is None or blank == (kind == "blank") else None

    made = Subject(name, make, known=test, over_t0=over_t0, extended=permit.extended, permit=permit, close=card.close)
    made.keep()
    return made


def see(card: Card) -> Seen:
    """Read the keys of a card through EXPORT PUBKEYS; a card that refuses has shown none."""
    wallet = spec().applets["wallet"]
    select, export = spec().applets["uicc"].commands["SELECT"], wallet.commands["EXPORT_PUBKEYS"]
    card.transmit(encode(select, {"method": 4, "control": 12, "identifier": wallet.aids[0]}).encode())
    stream, sw = b"", SW.MORE_DATA.encoded
    for part in (0, *[1] * _MOST_SEGMENTS):
        if sw != SW.MORE_DATA.encoded:
            break
        answer = card.transmit(encode(export, {"part": part}).encode())
        stream, sw = stream + answer[:-2], answer[-2:]
    if sw != SW.OK.encoded:
        return Seen((), True if sw == SW.REFERENCED_DATA_NOT_FOUND.encoded else None)
    try:
        found = [one.value for one in tlv.parse(stream) if len(one.value) > _HEAD]
    except tlv.TlvError:
        return Seen((), False)
    return Seen(tuple(Slot(value[4], int.from_bytes(value[:4], "big"), value[5]) for value in found), False)


def common(seen: Sequence[Seen]) -> tuple[Slot, ...]:
    """Answer the slots that all of some cards have."""
    first, *others = seen
    return tuple(slot for slot in first.slots if all(slot in other.slots for other in others))


def _of_records(name: str, records: Mapping[str, bytes], test: bool) -> Subject:
    blank = see(_reset(power_on(RamStore(records)))).blank

    def make(kind: str) -> Card | None:
        return power_on(RamStore(records)) if kind == _ANY or blank == (kind == "blank") else None

    return Subject(name, make, known=test, extended=stored_profile(RamStore(records)).rules.extended)


def _reset(card: Card) -> Card:
    card.reset()
    return card


def _records(*, blank: bool) -> Mapping[str, bytes]:
    store = RamStore()
    personalise(store, personalisation(mnemonic=None if blank else MNEMONIC, blank=blank, iccid=ICCID))
    return dict(store.read())
