"""Signing over many cards, through the cards' own SIGN: in this process, in threads, in several processes.

Work is shared out by card, never by job: a card has one line, and its derived keys and its verified BPIN stay where
they are. Other processes sign with copies of the cards. SIGN changes nothing that lasts, so nothing is brought back.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple

from bsim.fleet.cards import Fleet, FleetCard, Phone
from bsim.fleet.plan import Plan
from bsim.fleet.workers import FleetError, Workers
from bsim.spec import encode, spec
from bsim.sw import OK, describe

_WALLET: Final = spec().applets["wallet"]
_SELECT: Final = spec().applets["uicc"].commands["SELECT"]
_BATCH: Final = 1024  # jobs a process gets at a time
_BATCHES_AHEAD: Final = 2

Work = list[tuple[int, bytes]]
"""Cards and the commands they get; plain tuples, as they are what goes through pipes fastest."""
Batch = tuple[Work, dict[int, bytes]]
"""Work, and what is kept of those of its cards that the process has not seen yet."""


class SignJob(NamedTuple):
    """What a card is to sign: 32 bytes, or any 0-250 for an Ed25519 slot."""

    card: int
    slot: int
    coin_type: int
    digest: bytes


class SignError(FleetError):
    """A card refused to sign; `sw` is its status word."""

    def __init__(self, card: int, sw: int) -> None:
        super().__init__(card, sw)
        self.card = card
        self.sw = sw

    def __str__(self) -> str:
        return f"card {self.card} refused to sign: {self.sw:04X} ({describe(self.sw)})"


def sign_many(fleet: Fleet, jobs: Iterable[SignJob], *, processes: int = 1, threads: int = 1) -> Iterator[bytes]:
    """Answer the signatures in the order of the jobs, which are read a batch at a time; SignError ends it.

    The cards must be in phones whose users type the BPIN. `threads` is for each process. Where a phone does not
    survive pickling, there can be one process only. Jobs that name more cards than `fleet.powered` go fastest when
    jobs of one card are near each other, as a card that loses power has to verify its BPIN again.
    """
    phone = fleet.phone
    if phone is None:
        raise FleetError("cards sign once the BPIN is typed, so they must be in phones: Fleet(..., phone=...)")
    if processes < 1 or threads < 1:
        raise ValueError("work takes at least one process and one thread")
    work = ((fleet.number(card), _head(slot, coin, len(digest)) + digest) for card, slot, coin, digest in jobs)
    if processes == 1:
        return _sign_here(fleet, work, threads)
    return _sign_elsewhere(fleet, work, processes, _SignElsewhere(fleet.plan, fleet.powered, phone, threads))


class _SignElsewhere:
    """Signs in another process, with a copy of the fleet."""

    def __init__(self, plan: Plan, powered: int, phone: Phone, threads: int) -> None:
        self._plan: Final = plan
        self._powered: Final = powered
        self._phone: Final = phone
        self._threads: Final = threads
        self._fleet: Fleet | None = None

    def __call__(self, work: Batch) -> list[bytes]:
        """Sign a batch."""
        commands, kept = work
        fleet = self._fleet = self._fleet or self._copy()
        for card, packed in kept.items():
            fleet.memory.fill(card, packed)
        return _sign_batch(fleet, commands, self._threads)

    def _copy(self) -> Fleet:
        plan = self._plan
        return Fleet(
            plan.seed,
            plan.size,
            coins=plan.coins,
            profile=plan.profile,
            bpin=plan.bpin,
            powered=self._powered,
            phone=self._phone,
        )


def _sign_here(fleet: Fleet, work: Iterator[tuple[int, bytes]], threads: int) -> Iterator[bytes]:
    while batch := list(islice(work, _BATCH)):
        yield from _sign_batch(fleet, batch, threads)


def _sign_elsewhere(
    fleet: Fleet, work: Iterator[tuple[int, bytes]], processes: int, task: _SignElsewhere
) -> Iterator[bytes]:
    known: set[int] = set()
    pending: deque[list[tuple[list[int], Future[list[bytes]]]]] = deque()
    with Workers[Batch, list[bytes]](task, processes) as workers:
        while batch := list(islice(work, _BATCH * processes)):
            pending.append(
                [
                    (places, workers.submit(number, _with_cards(fleet, [batch[at] for at in places], known)))
                    for number, places in enumerate(_by_process(batch, processes))
                    if places
                ]
            )
            if len(pending) == _BATCHES_AHEAD:
                yield from _in_order(pending.popleft())
        while pending:
            yield from _in_order(pending.popleft())


def _by_process(batch: Work, processes: int) -> list[list[int]]:
    """The places in the batch of each process's commands. A card always goes to the same process."""
    shares: list[list[int]] = [[] for _ in range(processes)]
    for place, (card, _) in enumerate(batch):
        shares[card % processes].append(place)
    return shares


def _with_cards(fleet: Fleet, work: Work, known: set[int]) -> Batch:
    fresh = {card for card, _ in work} - known
    known |= fresh
    kept = ((card, fleet.memory.peek(card)) for card in fresh)
    return work, {card: packed for card, packed in kept if packed is not None}


def _in_order(shares: list[tuple[list[int], "Future[list[bytes]]"]]) -> list[bytes]:
    signatures = [b""] * sum(len(places) for places, _ in shares)
    for places, future in shares:
        for place, signature in zip(places, future.result(), strict=True):
            signatures[place] = signature
    return signatures


def _sign_batch(fleet: Fleet, work: Work, threads: int) -> list[bytes]:
    by_card: dict[int, list[int]] = {}
    for place, (card, _) in enumerate(work):
        by_card.setdefault(card, []).append(place)
    signatures = [b""] * len(work)

    def sign(cards: Sequence[int]) -> None:
        for number in cards:
            card = fleet[number]  # held until its last command is done
            for place in by_card[number]:
                signatures[place] = _sign(card, *work[place])

    cards = list(by_card)
    if threads == 1:
        sign(cards)
        return signatures
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(sign, [cards[first::threads] for first in range(threads)]):
            pass  # a refusal is raised here
    return signatures


def _sign(card: FleetCard, number: int, command: bytes) -> bytes:
    response = card.transmit(command)
    if response[-2:] != OK:
        # Not selected yet, not verified yet, or no longer: whichever it is, the card says so once more if it stays.
        card.transmit(_SELECT_WALLET)
        card.transmit(_VERIFY_BPIN)
        response = card.transmit(command)
    if response[-2:] != OK:
        raise SignError(number, int.from_bytes(response[-2:], "big"))
    return response[:-2]


@lru_cache(maxsize=1024)
def _head(slot: int, coin_type: int, length: int) -> bytes:
    """SIGN up to its last field. To encode a whole command by the declaration takes a quarter of a signature's time."""
    values: dict[str, int | bytes] = {"coin_type": coin_type, "slot": slot, "digest": bytes(length)}
    command = encode(_WALLET.commands["SIGN"], values).encode()
    return command[: len(command) - length]


_WALLET_NAME: Final[dict[str, int | bytes]] = {
    "method": _SELECT.p1.values["DF_NAME"],
    "control": 0,
    "identifier": _WALLET.aids[0],
}
_SELECT_WALLET: Final = encode(_SELECT, _WALLET_NAME).encode()
_VERIFY_BPIN: Final = encode(_WALLET.commands["VERIFY_BPIN"], {}).encode()
