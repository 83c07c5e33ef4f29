"""What a card costs among many: memory, making, and signing in one process and in two.

Nothing here is kept on one core: what two of them give is the question.
"""

import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from time import perf_counter
from typing import Final

from bsim.bench import peers
from bsim.bench.cards import COIN_TYPE, DIGESTS, chosen
from bsim.bench.runner import Plan, Ratio, Result, Row, Target, interleave, ratio
from bsim.fleet import Fleet, SignJob, accounts, sign_many
from bsim.handset import in_handset

SIZES: Final = (1, 10, 1_000)
FULL: Final = 100_000
JOBS: Final = 60_000
_SEED: Final = "bench"
_ONE: Final = "sign, 1 process"
_TWO: Final = "sign, 2 processes"
_MACHINE_ONE: Final = "other library, 1 process"
_MACHINE_TWO: Final = "other library, 2 processes"
_MOST_BYTES: Final = 1024


def bench(plan: Plan, sizes: Sequence[int] = SIZES, jobs: int = JOBS) -> Result:
    """Grow a fleet, and share its work out; `jobs` is how many signatures a process makes in a round."""
    result = Result("fleet", "many cards", _ONE, plan.rounds)
    with chosen(plan.engine):
        for size in (*sizes, FULL) if plan.full else sizes:
            _grow(result, size)
        # One slice a round: it is a long one, and processes are started for it.
        once, most = replace(plan, slices=1), max(sizes)
        crew = [peers.Worker(peers.SIGN["cryptography"], plan.home) for _ in range(2)]
        with closing(crew[0]), closing(crew[1]):
            for worker in crew:
                worker.start(plan)
            samples = interleave(
                {f"sign, fleet of {size:,}": _signing(1, jobs // 3, size) for size in sizes}
                | {_ONE: _signing(1, jobs, 10), _TWO: _signing(2, jobs, 10)}
                | {_MACHINE_ONE: lambda: _together(crew[:1], jobs), _MACHINE_TWO: lambda: _together(crew, jobs)}
                | {f"make {most:,} cards, {_processes(count)}": _making(count, most) for count in (1, 2)},
                once,
            )
    result.add(samples, {_MACHINE_ONE, _MACHINE_TWO})
    result.at_least(samples, _ONE, _TWO, 1.7)
    given = ratio(samples, _MACHINE_ONE, _MACHINE_TWO)
    result.notes.append(
        f"in this run the machine gave two processes that have nothing to do with each other {given.median:.2f} times "
        f"the work of one ({given.low:.2f} to {given.high:.2f}); on an idle one with two cores that is near 2"
    )
    return result


def _grow(result: Result, size: int) -> None:
    """Make a fleet, and count what its cards take while none has power."""
    processes = 2 if size == FULL else 1
    if size != FULL:
        # Apart from the counting of memory, which takes time; cards made in other processes are not slowed by it.
        seconds = _making(processes, size)() * size / 1e6
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        fleet = Fleet(_SEED, size)
        begin = perf_counter()
        fleet.make(processes)
        if size == FULL:
            seconds = perf_counter() - begin
        taken = (tracemalloc.get_traced_memory()[0] - before) / size
    finally:
        tracemalloc.stop()
    result.rows.append(Row(f"memory a card, fleet of {size:,}", taken, "bytes"))
    result.rows.append(Row(f"made, fleet of {size:,}, {_processes(processes)}", size / seconds, "cards/s"))
    if size >= max(SIZES):
        found = taken / _MOST_BYTES
        result.targets.append(Target(f"KB a card, fleet of {size:,}", Ratio(found, found, found), "<= 1", found <= 1))
    if size == FULL:
        different = len({account.address for account in accounts(fleet)})
        result.notes.append(f"{size:,} cards have {different:,} different addresses")


def _processes(count: int) -> str:
    return f"{count} process{'es' if count > 1 else ''}"


def _signing(processes: int, jobs: int, cards: int) -> Callable[[], float]:
    """Sign with one card after another, all of them powered; microseconds a signature, once all is started."""
    fleet = Fleet(_SEED, cards, powered=cards, phone=partial(in_handset, handset="right"))
    fleet.make()

    def work() -> Iterator[SignJob]:
        numbers, digests = cycle(range(cards)), cycle(DIGESTS)
        return (SignJob(next(numbers), 1, COIN_TYPE, next(digests)) for _ in range(jobs * processes))

    def run() -> float:
        signatures = sign_many(fleet, work(), processes=processes)
        # Whoever is to work has started, and every card was verified, once a tenth is there. What the processes are
        # ahead of us then is two hundredths of all, in their favour.
        early = sum(1 for _ in islice(signatures, max(jobs * processes // 10, cards)))
        begin = perf_counter()
        rest = sum(1 for _ in signatures)
        return (perf_counter() - begin) * 1e6 / max(rest, 1) if early else 0.0

    return run


def _making(processes: int, cards: int) -> Callable[[], float]:
    """Make a fleet anew; microseconds a card, the start of the processes included."""

    def run() -> float:
        fleet = Fleet(_SEED, cards)
        begin = perf_counter()
        fleet.make(processes)
        return (perf_counter() - begin) * 1e6 / cards

    return run


def _together(crew: Sequence[peers.Worker], jobs: int) -> float:
    """What this machine gives to processes that have nothing to do with each other; microseconds a signature."""
    count = max(1, jobs // 20)
    begin = perf_counter()
    for worker in crew:
        worker.ask(count)
    for worker in crew:
        worker.answer()
    return (perf_counter() - begin) * 1e6 / count / len(crew)
