"""What making a card costs, in time and in memory."""

import gc
import hashlib
import tempfile
import tracemalloc
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Final, Self

import bsim
from bsim.bench.cards import DERIVE, MNEMONIC, SELECT, chosen, must, powered, sign_commands, stored
from bsim.bench.runner import Contestant, Fresh, Loop, Plan, Result, Row, interleave
from bsim.card import Uicc
from bsim.lab.testbed import BenchCard, Wanted
from bsim.profiles import power_on
from bsim.store import RamStore, SqliteStore

_FLOOR: Final = "PBKDF2 of BIP-39, hashlib"
CARDS: Final = 32
"""Over so many cards memory is counted."""


def bench(plan: Plan) -> Result:
    """Cards from mnemonics; power-on of cards in memory and in files; a write; memory."""
    result = Result("personalise", "cards", _FLOOR, plan.rounds)
    records = stored(1).read()
    with tempfile.TemporaryDirectory(prefix="bsim-bench-") as folder, chosen(plan.engine), _Opened() as opened:
        path = Path(folder, "card.bsim")
        stored(1, SqliteStore(path, create=True)).close()
        numbers = count()
        contestants: dict[str, Contestant] = {
            _FLOOR: Loop(
                plan, lambda text: hashlib.pbkdf2_hmac("sha512", text, b"mnemonic", 2048), (MNEMONIC.encode(),)
            ),
            "new_card(mnemonic)": Loop(plan, lambda text: bsim.new_card(mnemonic=text), (MNEMONIC,)),
            "new_card(blank)": Loop(plan, lambda blank: bsim.new_card(blank=blank), (True,)),
            "bsim_card, pytest": Loop(plan, lambda wanted: BenchCard(wanted).close(), (Wanted(),)),
            "power_on, memory": Loop(plan, lambda _: power_on(RamStore(records)), (0,)),
            "power_on, file": Loop(plan, lambda _: power_on(SqliteStore(path)).close(), (0,)),
            "DERIVE KEY, memory": Fresh(plan, lambda: _selected(RamStore(records)), lambda card: must(card, DERIVE)),
            "DERIVE KEY, file": Fresh(
                plan,
                lambda: _selected(opened.only(_file(Path(folder, f"{next(numbers)}.bsim")))),
                lambda card: must(card, DERIVE),
            ),
        }
        result.add(interleave(contestants, plan))
    result.rows += [Row(f"memory: {name}", memory(make), "bytes") for name, make in _kinds().items()]
    return result


class _Opened:
    """The one card file that is open: the one before is closed when the next is made, outside what is timed."""

    def __init__(self) -> None:
        self._store: SqliteStore | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def only(self, store: SqliteStore) -> SqliteStore:
        """Take the next one, and close the one before."""
        self._close()
        self._store = store
        return store

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None


def _file(path: Path) -> SqliteStore:
    return _stored_once(SqliteStore(path, create=True))


def _stored_once(store: SqliteStore) -> SqliteStore:
    store.write(stored(1).read())
    return store


def _selected(store: RamStore | SqliteStore) -> Uicc:
    card = power_on(store)
    must(card, SELECT)
    return card


def _kinds() -> dict[str, Callable[[], object]]:
    """What a card may have, beside what all cards share."""
    sign = sign_commands()[0]

    def used(store: RamStore) -> object:
        card = powered(store=store)
        must(card.bare, sign)
        return card

    return {
        "a card without keys": _made(0, power_on),
        "a card with 1 slot": _made(1, power_on),
        "the same, in a phone, having signed": _made(1, used),
        "a card with 127 slots": _made(127, power_on),
    }


def _made(slots: int, make: Callable[[RamStore], object]) -> Callable[[], object]:
    """Make cards that share nothing: each has its own seed, and its own copy of what is stored."""
    records = iter([stored(slots, mnemonic=None).read() for _ in range(CARDS + 1)])
    return lambda: make(RamStore({name: bytes(bytearray(value)) for name, value in next(records).items()}))


def memory(make: Callable[[], object]) -> float:
    """The bytes that one more of these takes, as Python's allocator counts them."""
    kept = [make()]  # what the first of them leaves in caches is not every one's
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept += [make() for _ in range(CARDS)]
        gc.collect()
        return (tracemalloc.get_traced_memory()[0] - before) / CARDS
    finally:
        tracemalloc.stop()
