"""The cards that are fuzzed: canaries, whose secrets are nobody's and are known, in every state of a card's life.

Each starts from a fixed seed and takes its randomness from a counter: the same steps get the same answers.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Final

from bsim.applets import assets_state, pins, signing_state
from bsim.applets.assets_state import MAX_CONTACTS, AssetsState
from bsim.applets.signing_state import MAX_POLICIES, Policy, SigningState
from bsim.applets.wallet_session import WalletRules
from bsim.card import Uicc
from bsim.crypto import envelope
from bsim.crypto import mnemonic as bip39
from bsim.crypto.ecdsa import Engine, engine
from bsim.lab.powercut import FaultyStore
from bsim.profiles import TEST_OPENING_KEY, personalisation, personalise, power_on
from bsim.spec import file_system
from bsim.store import RamStore

BPIN: Final = "739154"
NEW_BPIN: Final = "846205"
OPENING_KEY: Final = TEST_OPENING_KEY
ICCID: Final = "8986030000000000072"
ACCOUNT: Final = b"0x610E0835a53264a8Aaa33A19f6Ae58FE25a493c7"
"""The account of these cards' first Ethereum key."""
CARD: Final = "card"
"""What findings of a card in a reader name as its kind: there is one, and none is made here."""
_TEST_ACCOUNT: Final = b"0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


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
    before: Callable[[], Iterable[bytes]] = tuple
    """Commands that were sent to it before it is fuzzed."""
    records: Callable[[], Mapping[str, bytes | None]] = dict
    """What is stored otherwise than on a new card."""


def _wrong_pins() -> Iterator[bytes]:
    """What blocks every PIN of the file system, and what would unblock it."""
    # PIN1 is disabled on a new card, and no wrong value of a disabled PIN counts. ETSI TS 102 221 9.5.1.
    yield b"\0\x28\0\x01\x08" + pins.DEFAULT.codes[0].value
    wrong = b"99999999"
    for code in pins.DEFAULT.codes:
        for _ in range(code.tries):
            yield bytes((0, 0x20, 0, code.reference, 8)) + wrong
        for _ in range(code.unblocking_tries if code.unblocking else 0):
            yield bytes((0, 0x2C, 0, code.reference, 16)) + wrong + wrong


def _files_to_the_brim() -> Iterator[bytes]:
    """What fills the memory for files, but for a byte: large ones, then ever smaller ones, in the master file."""
    adm = next(code for code in pins.DEFAULT.codes if code.reference == pins.ADM)
    yield bytes((0, 0x20, 0, adm.reference, 8)) + adm.value
    for number, size in enumerate((0x7FFF, *(1 << bits for bits in range(13, 6, -1)))):
        control = bytes.fromhex("82024121 83022F") + bytes((0x80 + number,)) + bytes.fromhex("8A0105 8B032F0601 8002")
        template = control + size.to_bytes(2, "big") + b"\x88\0"
        yield b"\0\xe0\0\0" + bytes((len(template) + 2, 0x62, len(template))) + template


def _full_lists() -> Mapping[str, bytes | None]:
    """As many contacts and sites to log in to by itself as a card can have."""
    contacts = AssetsState(contacts=tuple((f"Friend {n}", f"0x{n:040x}") for n in range(1, MAX_CONTACTS + 1)))
    sites = [Policy(n, 1, 1, 2, 1_900_000_000, 1_600_000_000, f"site{n}.example") for n in range(1, MAX_POLICIES + 1)]
    return {
        **assets_state.LAYOUT.changes(AssetsState(), contacts),
        **signing_state.LAYOUT.changes(SigningState(), SigningState(policies=tuple(sites))),
    }


def _deactivated_files() -> Iterator[bytes]:
    """What deactivates every second file that an administrator may deactivate."""
    adm = next(code for code in pins.DEFAULT.codes if code.reference == pins.ADM)
    yield bytes((0, 0x20, 0, adm.reference, 8)) + adm.value
    for path in list(file_system().files)[::2]:
        below = path[2:]
        if below:
            yield bytes((0, 0xA4, 0x08, 0x0C, len(below))) + below
            yield b"\0\x04\0\0"


_EACH_TIME: Final = WalletRules(verified_for_one_signature=True, ask_each_time=True)
ROOTS: Final = {
    root.name: root
    for root in (
        Root("operational", "a seed and a BPIN of its user's", None),
        Root("factory", "no seed, and the BPIN it was shipped with", "factory", True),
        Root("personalised", "a seed, and the BPIN it was shipped with", "bpin-unset"),
        Root("recovery", "no seed, and a BPIN of its user's", "recovery", True),
        Root("one-try-left", "one key, one BPIN try left", "one-try-left"),
        Root(
            "locked",
            "one key, the BPIN it was shipped with, and no try left",
            "locked",
            records=lambda: {"wallet.bpin_is_default": b"\1"},
        ),
        Root("full", "a key in every slot, all contacts and sites it can have", "full-127", records=_full_lists),
        Root("terminated", "for ever out of use", "terminated"),
        Root("opening", "no seed, to be opened first", "factory", True, WalletRules(opening_required=True)),
        Root(
            "each-time",
            "asks for the BPIN each time",
            None,
            rules=WalletRules(verified_for_one_signature=True, ask_each_time=True),
        ),
        Root("pins-blocked", "no PIN of the file system has a try left", None, before=_wrong_pins),
        Root("brim", "no memory is left for files", None, before=_files_to_the_brim),
        Root("deactivated", "every second file is deactivated", None, before=_deactivated_files),
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


def at_home(raw: bytes) -> bytes:
    """Answer an example's command with the account of the test card's seed replaced by that of these cards' seed."""
    return raw.replace(_TEST_ACCOUNT, ACCOUNT)


def make(name: str, wrap: Callable[[Uicc], None] = lambda _: None) -> tuple[Uicc, FaultyStore]:
    """Make a card of a kind, just powered on, and the store it writes to. `wrap` plants what is to be found in it."""
    root = ROOTS[name]
    words = None if root.blank else bip39.from_entropy(entropy())
    store = FaultyStore(RamStore())
    personalise(store, personalisation(mnemonic=words, blank=root.blank, bpin=BPIN, iccid=ICCID, state=root.state))
    store.write(root.records())
    card = power_on(store, CounterRng(), rules=root.rules, keys_engine=_engine())
    for command in root.before():
        card.transmit(command)
    card.reset()
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
