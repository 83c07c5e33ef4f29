"""The composition root: which applets, AIDs, ATR and limits make one kind of card, and how one is personalised."""

import os
import secrets
from dataclasses import dataclass, field, replace
from functools import cache, partial, reduce
from operator import xor
from typing import TYPE_CHECKING, Final, NamedTuple

from bsim.applets import assets_state, file_tree, issuer, pins, signing_state, subscriber, wallet_state
from bsim.applets.assets_state import AssetsState
from bsim.applets.bpin import is_bpin
from bsim.applets.contacts import Contacts
from bsim.applets.device import Device
from bsim.applets.file_session import ApplicationDirectory, FileSystem
from bsim.applets.file_tree import FileTree
from bsim.applets.installed import Application
from bsim.applets.issuer import IssuerDomain, IssuerState
from bsim.applets.keys import Keys
from bsim.applets.menu import WalletMenu
from bsim.applets.pins import Pins
from bsim.applets.registry import Registry
from bsim.applets.subscriber import Subscriber, swapped
from bsim.applets.wallet_session import WalletApplet, WalletRules
from bsim.applets.wallet_state import MAX_TRIES, WalletState, with_seed
from bsim.card.commands import (
    FILE_ROUTES,
    ISSUER_ROUTES,
    STRICT_ISSUER_ROUTES,
    STRICT_WALLET_ROUTES,
    WALLET_ROUTES,
)
from bsim.card.uicc import Uicc
from bsim.crypto import mnemonic as bip39
from bsim.crypto.ecdsa import Engine, engine
from bsim.ports import Rng, Store
from bsim.profiles.authority import certify
from bsim.profiles.defaults import DEFAULT_BPIN, TEST_OPENING_KEY
from bsim.profiles.life import as_new
from bsim.profiles.subscription import Subscription, new_files, subscription
from bsim.spec import file_system, spec
from bsim.spec.digits import swapped_digits
from bsim.store import Cell, Memory, RamStore, StoreError

if TYPE_CHECKING:
    from bsim.profiles.states import ReadyMade

__all__ = [
    "DEFAULT_BPIN",
    "PROFILES",
    "TEST_OPENING_KEY",
    "Personalisation",
    "Profile",
    "check_iccid",
    "default_engine",
    "encode_iccid",
    "personalisation",
    "personalise",
    "power_on",
    "profile_named",
    "ram_card",
    "random_iccid",
    "stored_profile",
    "subscription",
]

_PROFILE_RECORD: Final = "card.profile"
# The package the wallet applet would have come in; nothing tells the real one's name.
_WALLET_LOAD_FILE: Final = bytes.fromhex("A000000533C000FF8600000000")


class Profile(NamedTuple):
    """One kind of card."""

    name: str
    title: str
    version: bytes = b"\x00\x51"
    channels: int = 20
    historical: bytes = b"BSIM"
    rules: WalletRules = WalletRules()

    @property
    def atr(self) -> bytes:
        """The answer to reset of a UICC with T=0. ISO/IEC 7816-3 8.2, ETSI TS 102 221 6.3."""
        # T0: TD1 follows. TD1: T=0, TD2 follows. TD2: T=15, TA3 follows. TA3: clock stop, classes A, B and C.
        interface = bytes((0x80, 0x1F, 0xC7))
        # ISO/IEC 7816-4 12.1.1: category 80; service data (31); capabilities (73): DF names in full and part, by
        # file id; chaining and extended lengths; channels given by card or client, eight or more of them.
        tail = bytes((0x80, 0x31, 0xE0, 0x73, 0xFE, 0x21, 0xDF)) + self.historical
        body = bytes((0x80 | len(tail),)) + interface + tail
        # TCK is there because T=15 is: the exclusive-or of all bytes from T0 on is zero. ISO/IEC 7816-3 8.2.5.
        return b"\x3b" + body + bytes((reduce(xor, body),))


PROFILES: Final = {
    profile.name: profile
    for profile in (
        Profile("strict", "the real card's commands and nothing else", rules=WalletRules(extended=False)),
        Profile("extended", "the real card's commands, and this project's at INS D0-DF"),
        Profile("guarded", "as extended; IMPORT SEED wants a secure channel", rules=WalletRules(secure_import=True)),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Personalisation:
    """What is written to one card before it is handed out. Without entropy the card is blank."""

    profile: Profile
    iccid: bytes
    entropy: bytes = field(repr=False)
    bpin: str = field(repr=False)
    state: "ReadyMade | None" = None
    subscription: Subscription = field(default_factory=Subscription)


def profile_named(name: str) -> Profile:
    """Answer a profile; ValueError names those there are."""
    if name not in PROFILES:
        raise ValueError(f"no profile {name!r}; there is {', '.join(PROFILES)}")
    return PROFILES[name]


def personalisation(
    *,
    mnemonic: str | None = None,
    blank: bool = False,
    bpin: str = DEFAULT_BPIN,
    profile: str = "extended",
    iccid: str | None = None,
    state: str | None = None,
    sim: Subscription | None = None,
    rng: Rng = secrets.token_bytes,
) -> Personalisation:
    """Check what a new card is to hold; ValueError says what is wrong, and never repeats a secret."""
    ready = _ready_made(state) if state is not None else None
    if ready is not None:
        if blank and not ready.blank:
            raise ValueError(f"a card in state {state} has a seed")
        blank = ready.blank
    if blank and mnemonic is not None:
        raise ValueError("a blank card has no mnemonic")
    if not is_bpin(bpin.encode()):
        raise ValueError("a BPIN has six digits")
    default_engine()  # nobody is to make a card first and learn then that nothing here can sign
    entropy = b"" if blank else (bip39.to_entropy(mnemonic) if mnemonic is not None else rng(32))
    encoded = encode_iccid(iccid) if iccid is not None else random_iccid(rng)
    return Personalisation(
        profile=profile_named(profile),
        iccid=encoded,
        entropy=entropy,
        bpin=bpin,
        state=ready,
        subscription=sim or Subscription(),
    )


def _ready_made(name: str) -> "ReadyMade":
    from bsim.profiles.states import ready_made  # noqa: PLC0415 - most cards are not awkward

    return ready_made(name)


def personalise(store: Store, card: Personalisation) -> None:
    """Write a new card into an empty store."""
    state = WalletState(
        version=card.profile.version,
        entropy=b"",
        seed=b"",
        bpin=card.bpin.encode(),
        bpin_is_default=card.bpin == DEFAULT_BPIN,
        tries=MAX_TRIES,
        opening_key=TEST_OPENING_KEY,
        opened=False,
        terminated=False,
        slots=(),
    )
    state = with_seed(state, card.entropy)
    if card.state is not None:
        keys = Keys(default_engine())
        state = card.state.adjust(state, keys)
        keys.wipe()
    changes = wallet_state.LAYOUT.changes(None, state)
    changes |= issuer.LAYOUT.changes(None, IssuerState(card.iccid))
    changes |= card.subscription.records(swapped_digits(card.iccid))
    store.write(changes | {_PROFILE_RECORD: card.profile.name.encode()})


def stored_profile(store: Store) -> Profile:
    """Answer the profile of the card that a store holds; StoreError if it holds none."""
    try:
        return profile_named(store.read()[_PROFILE_RECORD].decode())
    except (KeyError, ValueError) as fault:
        raise StoreError("this store holds no card of a kind known here") from fault


def power_on(
    store: Store, rng: Rng = secrets.token_bytes, *, rules: WalletRules | None = None, keys_engine: Engine | None = None
) -> Uicc:
    """Build the card that a store holds; StoreError if it holds none.

    `rules` are others than its profile's; `keys_engine` is another engine than the default one.
    """
    profile = stored_profile(store)
    memory = Memory(store)
    applets = spec().applets
    issued = memory.cell(issuer.LAYOUT)
    assets, signing = memory.cell(assets_state.LAYOUT), memory.cell(signing_state.LAYOUT)
    rules = rules or profile.rules
    extended = rules.extended
    wallet = WalletApplet(
        applets["wallet"].aids,
        WALLET_ROUTES if extended else STRICT_WALLET_ROUTES,
        memory.cell(wallet_state.LAYOUT),
        Keys(keys_engine or default_engine()),
        rules,
        domain=issued,
        registry=Registry(assets, memory.shelf(assets_state.BLOCKS)),
        contacts=Contacts(assets),
        signing=signing,
        device=Device(signing, lambda: issued.value.iccid, certify),
    )

    managed = (Application(wallet.aids[0], _WALLET_LOAD_FILE, partial(_erase, wallet, assets)),)
    issuer_routes = ISSUER_ROUTES if extended else STRICT_ISSUER_ROUTES
    domain = IssuerDomain(applets["issuer"].aids, issuer_routes, issued, managed)
    files = _files(memory, issued)
    directories = (ApplicationDirectory(files, one.path) for one in file_system().applications())
    card = Uicc(profile.atr, (domain, wallet, *directories), memory, rng, profile.channels, files=files)
    card.toolkit.menu = WalletMenu(wallet)
    return card


def _erase(wallet: WalletApplet, assets: Cell[AssetsState]) -> None:
    """Take all that a wallet holds, as deleting an application does. GlobalPlatform Card Specification 2.3.1, 11.2."""
    wallet.keys.wipe()
    wallet.registry.clear()
    assets.put(replace(assets.value, contacts=()))
    wallet.signing.put(wallet.signing.value.without_policies())
    wallet.cell.put(as_new(wallet.cell.value))


def _files(memory: Memory, issued: Cell[IssuerState]) -> FileSystem:
    """Build the file system of a card, with its PINs and its subscriber."""
    who = Subscriber(memory.cell(subscriber.LAYOUT), issued)
    tree = FileTree(file_system(), new_files(), memory.cell(file_tree.LAYOUT), who.content)
    return FileSystem(FILE_ROUTES, tree, Pins(memory.cell(pins.LAYOUT)), who)


def ram_card(card: Personalisation, rng: Rng = secrets.token_bytes) -> Uicc:
    """Make a card that lives in memory."""
    store = RamStore()
    personalise(store, card)
    return power_on(store, rng)


@cache
def default_engine() -> Engine:
    """The signing engine BSIM_ENGINE names, or the fastest there is; ValueError if that name leads to none.

    BSIM_NATIVE=0 does without the C extension, as where it was not built.
    """
    name, native = os.environ.get("BSIM_ENGINE"), os.environ.get("BSIM_NATIVE") != "0"
    if not name:
        return engine(native=native)
    try:
        return engine(name, native=native)
    except ValueError as fault:
        raise ValueError(f"BSIM_ENGINE: {fault}") from fault
    except ImportError as fault:
        raise ValueError(f"BSIM_ENGINE: signing engine {name!r} cannot be used here ({fault})") from fault


def encode_iccid(digits: str) -> bytes:
    """Write an ICCID of 19 or 20 digits as EF.ICCID: BCD, nibbles swapped, padded with F. ETSI TS 102 221 13.2."""
    if not digits.isascii() or not digits.isdigit() or len(digits) not in {19, 20}:
        raise ValueError("an ICCID has 19 or 20 digits")
    return swapped(digits)


def random_iccid(rng: Rng) -> bytes:
    """Make up an ICCID: telecom, China, China Telecom's digits, and a check digit that is right. ITU-T E.118."""
    digits = "898603" + str(int.from_bytes(rng(8), "big") % 10**12).zfill(12)
    return encode_iccid(digits + check_digit(digits))


def check_iccid(iccid: str) -> None:
    """Refuse an ICCID of another length, or whose check digit is wrong; ValueError says which one would be right."""
    encode_iccid(iccid)
    right = check_digit(iccid[:-1])
    if iccid[-1] != right:
        raise ValueError(f"the last digit of an ICCID checks the others: here it would be {right}")


def check_digit(digits: str) -> str:
    """Answer the Luhn digit. ISO/IEC 7812-1 annex B."""
    doubled = (sum(divmod(int(digit) * (2 - at % 2), 10)) for at, digit in enumerate(reversed(digits)))
    return str(-sum(doubled) % 10)
