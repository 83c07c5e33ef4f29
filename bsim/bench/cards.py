"""The cards that are measured: a known seed, keys in slots, the BPIN verified."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from bsim.card import Uicc
from bsim.crypto.algorithm import Algorithm
from bsim.handset import Handset, ScriptedUser
from bsim.ports import Card, Store
from bsim.profiles import default_engine, personalisation, personalise, power_on
from bsim.spec import encode, spec
from bsim.store import RamStore
from bsim.sw import OK

# The mnemonic every Ethereum developer's test node starts with: no secret.
MNEMONIC: Final = "test test test test test test test test test test test junk"
COIN_TYPE: Final = 60
PATH: Final = f"m/44'/{COIN_TYPE}'/0'/0/1"
DIGESTS: Final = tuple(number.to_bytes(32, "big") for number in range(1, 65))

_SPEC: Final = spec()
_COMMANDS: Final = {name: command for applet in _SPEC.applets.values() for name, command in applet.commands.items()}


def apdu(name: str, **values: int | bytes) -> bytes:
    """Write a command APDU by the names of the declaration."""
    return encode(_COMMANDS[name], values).encode()


SELECT: Final = apdu("SELECT", method=4, control=0x0C, identifier=_SPEC.applets["wallet"].aids[0])
VERIFY: Final = apdu("VERIFY_BPIN")
GET_VERSION: Final = apdu("GET_VERSION")
# With the Le of exactly its answer: all that T=0 takes without asking again. ETSI TS 102 221 7.3.1.1.2.
GET_VERSION_T0: Final = GET_VERSION[:4] + bytes((2,))
DERIVE: Final = apdu("DERIVE_KEY", coin_type=COIN_TYPE, algorithm=Algorithm.SECP256K1)
EXPORT: Final = apdu("EXPORT_PUBKEYS", part=0)
EXPORT_NEXT: Final = apdu("EXPORT_PUBKEYS", part=1)


def sign_commands(slot: int = 1) -> list[bytes]:
    """SIGN with a slot's key, of one digest after another."""
    return [apdu("SIGN", coin_type=COIN_TYPE, slot=slot, digest=digest) for digest in DIGESTS]


def must(card: Card, command: bytes) -> bytes:
    """Send what has to succeed; answers the response data."""
    response = card.transmit(command)
    if response[-2:] != OK:
        raise RuntimeError(f"{command[:4].hex()} was answered with {response[-2:].hex()}")
    return response[:-2]


@dataclass(frozen=True, slots=True)
class Bench:
    """One card as it is, and as apps on a phone see it."""

    bare: Uicc
    phone: Card

    def power_on(self) -> Uicc:
        """Power-cycle, select the wallet applet and verify the BPIN."""
        self.phone.reset()
        must(self.phone, SELECT)
        must(self.phone, VERIFY)
        return self.bare


def stored(slots: int = 0, store: Store | None = None, mnemonic: str | None = MNEMONIC) -> Store:
    """Answer a store with the test card (one with a seed of its own if None), and keys in so many slots."""
    store = store or RamStore()
    personalise(store, personalisation(mnemonic=mnemonic))
    card = power_on(store)
    must(card, SELECT)
    for _ in range(slots):
        must(card, DERIVE)
    return store


def powered(slots: int = 1, engine: str | None = None, store: Store | None = None, native: bool = True) -> Bench:
    """Answer the test card, ready to sign with the keys of so many slots."""
    with chosen(engine, native):
        card = power_on(store or stored(slots))
    bench = Bench(card, Handset(ScriptedUser("right")).insert(card))
    bench.power_on()
    return bench


@contextmanager
def chosen(engine: str | None, native: bool = True) -> Iterator[None]:
    """Have cards made with this engine (the default one if None), and without the C extension if it is not wanted."""
    before = {name: os.environ.get(name) for name in ("BSIM_ENGINE", "BSIM_NATIVE")}
    _set("BSIM_ENGINE", engine or before["BSIM_ENGINE"])
    _set("BSIM_NATIVE", before["BSIM_NATIVE"] if native else "0")
    default_engine.cache_clear()
    try:
        yield
    finally:
        for name, value in before.items():
            _set(name, value)
        default_engine.cache_clear()


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
