"""The cards that are fuzzed: canaries, whose secrets are nobody's and are known, in every state of a card's life.

Each starts from a fixed seed and takes its randomness from a counter: the same steps get the same answers.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Final

from bsim.applets.wallet_session import WalletRules
from bsim.card import Uicc
from bsim.crypto import envelope
from bsim.crypto import mnemonic as bip39
from bsim.crypto.ecdsa import Engine, engine
from bsim.lab.powercut import FaultyStore
from bsim.profiles import TEST_OPENING_KEY, personalisation, personalise, power_on
from bsim.store import RamStore

BPIN: Final = "739154"
NEW_BPIN: Final = "846205"
OPENING_KEY: Final = TEST_OPENING_KEY
ICCID: Final = "8986030000000000072"


class CounterRng:
    """Randomness that is different each time and the same on every run; frozen with the card."""

    __slots__ = ("calls",)

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, length: int, /) -> bytes:
        """Answer `length` bytes."""
        self.calls += 1
        # By length too: what one branch of the search drew as a seed must not be what another draws as a nonce.
        return hashlib.shake_128(b"bsim fuzz %d %d" % (self.calls, length)).digest(length)


@dataclass(frozen=True, slots=True)
class Root:
    """A kind of card to start from: its name, what it is, and how it is made."""

    name: str
    title: str
    state: str | None
    blank: bool = False
    rules: WalletRules | None = None
    over_t0: bool = False


_EACH_TIME: Final = WalletRules(verified_for_one_signature=True, ask_each_time=True)
ROOTS: Final = {
    root.name: root
    for root in (
        Root("operational", "a seed and a BPIN of its user's", None),
        Root("factory", "no seed, and the BPIN it was shipped with", "factory", True),
        Root("personalised", "a seed, and the BPIN it was shipped with", "bpin-unset"),
        Root("recovery", "no seed, and a BPIN of its user's", "recovery", True),
        Root("one-try-left", "one key, one BPIN try left", "one-try-left"),
        Root("locked", "one key, no BPIN try left", "locked"),
        Root("full", "a key in every slot", "full-127"),
        Root("terminated", "for ever out of use", "terminated"),
        Root("opening", "no seed, to be opened first", "factory", True, WalletRules(opening_required=True)),
        Root(
            "each-time",
            "asks for the BPIN each time",
            None,
            rules=WalletRules(verified_for_one_signature=True, ask_each_time=True),
        ),
        Root("t0", "over T=0: 61xx, 6Cxx, GET RESPONSE", "bpin-unset", over_t0=True),
    )
}


@cache
def _engine() -> Engine:
    """The engine of cards that are frozen: a key in the C extension cannot be seen into, and not be brought back."""
    return engine(native=False)


def entropy() -> bytes:
    """Answer the canary entropy: 32 bytes that are nobody's seed."""
    return hashlib.sha256(b"bsim fuzz canary").digest()


def make(name: str, wrap: Callable[[Uicc], None] = lambda _: None) -> tuple[Uicc, FaultyStore]:
    """Make a card of a kind, just powered on, and the store it writes to. `wrap` plants what is to be found in it."""
    root = ROOTS[name]
    words = None if root.blank else bip39.from_entropy(entropy())
    store = FaultyStore(RamStore())
    personalise(store, personalisation(mnemonic=words, blank=root.blank, bpin=BPIN, iccid=ICCID, state=root.state))
    card = power_on(store, CounterRng(), rules=root.rules, keys_engine=_engine())
    wrap(card)
    store.arm(None)
    return card, store


@contextmanager
def quick_backups() -> Iterator[None]:
    """Have key derivation under a password take one round: it costs what thousands of other commands do."""
    rounds = envelope.ITERATIONS
    envelope.ITERATIONS = 1  # type: ignore[misc]
    try:
        yield
    finally:
        envelope.ITERATIONS = rounds  # type: ignore[misc]
