"""Thousands of independent cards in one process: powered while they are used, a few hundred bytes while they are not.

When a card has power:
- `fleet[i]` answers a card, the same one as long as anybody holds it. It gets power with its first command.
- As long as anybody holds it (a variable, a phone, a link), the fleet never takes its power: no dialogue is torn.
- Of the cards that nobody holds, the `powered` last asked for stay as they are, BPIN verified and keys derived; the
  others lose power: keys are wiped, and what a card keeps over power loss is kept. Hold a card for as long as what
  you verified has to last.
- `close` takes the power of a card, or of all, at once; the next command is the first after a power-on.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from operator import index
from threading import Lock, RLock
from types import TracebackType
from typing import Final, Protocol, Self
from weakref import WeakValueDictionary

from bsim.card import Uicc
from bsim.crypto.algorithm import Algorithm
from bsim.fleet.memory import CardRecords, FleetMemory, MakeCards
from bsim.fleet.plan import ETHER, Plan
from bsim.fleet.workers import Workers
from bsim.ports import Card
from bsim.profiles import DEFAULT_BPIN, power_on

Progress = Callable[[int, int], None]
"""Is told how many cards are done, and of how many."""

POWERED: Final = 256
_CHUNK: Final = 64


class Phone(Protocol):
    """Puts a card into a phone, and answers it as apps see it: functools.partial(in_handset, handset="right")."""

    def __call__(self, card: Card, /, *, bpin: str) -> Card:
        """Insert the card; the phone's user types this BPIN."""
        ...


class FleetCard:
    """One card of a fleet; itself a card, and powered while it is used. For one thread at a time, as a card is."""

    __slots__ = ("__weakref__", "_bpin", "_card", "_lock", "_phone", "_records", "_uicc")

    def __init__(self, records: CardRecords, phone: Phone | None, bpin: str) -> None:
        self._uicc: Uicc | None = None
        self._card: Card | None = None
        self._lock: Final = Lock()
        self._records: Final = records
        self._phone: Final = phone
        self._bpin: Final = bpin

    def __del__(self) -> None:
        # Nobody holds it any more. It may be half made, or a part of the interpreter gone already.
        with suppress(AttributeError, TypeError):
            self.close()

    @property
    def powered(self) -> bool:
        """Whether the card has power."""
        return self._uicc is not None

    def reset(self) -> bytes:
        """Power-cycle the card; answers the ATR."""
        return (self._card or self._power_on()).reset()

    def transmit(self, command: bytes) -> bytes:
        """Carry one command APDU; a card without power is powered on before."""
        return (self._card or self._power_on()).transmit(command)

    def close(self) -> None:
        """Take the power: keys are wiped, what was verified is forgotten. The card can be used again."""
        uicc, self._uicc, self._card = self._uicc, None, None
        if uicc is not None:
            uicc.close()

    def _power_on(self) -> Card:
        with self._lock:
            if self._card is None:
                uicc = power_on(self._records)
                self._card = uicc if self._phone is None else self._phone(uicc, bpin=self._bpin)
                self._uicc = uicc
            return self._card


class Fleet:
    """Cards 0 to size - 1, made from one seed (text counts as its UTF-8 bytes); ValueError if they cannot be.

    Each has a slot for each of `coins`. They are bare cards, or in phones where `phone` is given. `powered` is how many
    stay powered that nobody holds. Safe for several threads, each card for one at a time.
    """

    def __init__(
        self,
        seed: bytes | str,
        size: int,
        *,
        coins: Iterable[tuple[int, Algorithm]] = ETHER,
        profile: str = "extended",
        bpin: str = DEFAULT_BPIN,
        powered: int = POWERED,
        phone: Phone | None = None,
    ) -> None:
        if powered < 1:
            raise ValueError("a fleet keeps at least one card powered")
        self.plan: Final = Plan(seed.encode() if isinstance(seed, str) else seed, size, tuple(coins), profile, bpin)
        self.memory: Final = FleetMemory(self.plan)
        self.powered: Final = powered
        self.phone: Final = phone
        self._held: Final[WeakValueDictionary[int, FleetCard]] = WeakValueDictionary()
        self._recent: Final[OrderedDict[int, FleetCard]] = OrderedDict()
        self._lock: Final = RLock()

    def __len__(self) -> int:
        return self.plan.size

    def __getitem__(self, number: int) -> FleetCard:
        """Answer card `number`, counted from the end where negative; IndexError where there is none."""
        at = self.number(number)
        with self._lock:
            card = self._held.get(at)
            if card is None:
                card = self._held[at] = FleetCard(CardRecords(self.memory, at), self.phone, self.plan.bpin)
            self._recent[at] = card
            self._recent.move_to_end(at)
            if len(self._recent) > self.powered:
                self._recent.popitem(last=False)
        return card

    def __iter__(self) -> Iterator[FleetCard]:
        return (self[number] for number in range(len(self)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def number(self, number: int) -> int:
        """Answer the number of a card as it is counted from 0; IndexError where there is none."""
        at, size = index(number), self.plan.size
        if not -size <= at < size:
            raise IndexError(f"this fleet has cards 0 to {size - 1}, and no card {at}")
        return at % size

    def close(self) -> None:
        """Take the power of every card, those included that somebody holds."""
        with self._lock:
            self._recent.clear()
            for card in list(self._held.values()):
                card.close()

    def make(self, processes: int = 1, progress: Progress | None = None) -> None:
        """Make all cards that were not made yet, which is otherwise done one by one when each is first used.

        It is 2,048 rounds of HMAC a card (BIP-39), so more processes are worth it; see `bsim.fleet.workers`.
        """
        for made in self.making(processes):
            if progress is not None:
                progress(made.stop, len(self))

    def making(self, processes: int = 1) -> Iterator[range]:
        """Make all cards in order; answers the numbers of those that are there, some at a time."""
        if processes < 1:
            raise ValueError("work takes at least one process")
        chunks = [range(at, min(at + _CHUNK, len(self))) for at in range(0, len(self), _CHUNK)]
        processes = min(processes, len(chunks))
        return self._made_here(chunks) if processes == 1 else self._made_elsewhere(chunks, processes)

    def _made_here(self, chunks: list[range]) -> Iterator[range]:
        for chunk in chunks:
            for number in chunk:
                self.memory.packed(number)
            yield chunk

    def _made_elsewhere(self, chunks: list[range], processes: int) -> Iterator[range]:
        missing = [[number for number in chunk if not self.memory.made(number)] for chunk in chunks]
        with Workers(MakeCards(self.plan), processes) as workers:
            made = workers.map(numbers for numbers in missing if numbers)
            for chunk, numbers in zip(chunks, missing, strict=True):
                for packed in islice(made, 1) if numbers else ():
                    for number, one in zip(numbers, packed, strict=True):
                        self.memory.fill(number, one)
                yield chunk
