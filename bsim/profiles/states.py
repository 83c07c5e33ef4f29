"""Awkward cards by name: the states of a card's life that apps meet in the field, ready-made for tests."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from bsim.applets.keys import Keys
from bsim.applets.wallet_state import MAX_SLOTS, Slot, WalletState
from bsim.crypto.algorithm import Algorithm

_ETHEREUM: Final = 60


@dataclass(frozen=True, slots=True)
class ReadyMade:
    """A named state: what it is, whether the card has no seed, and what is changed on a new card to get there."""

    title: str
    blank: bool
    adjust: Callable[[WalletState, Keys], WalletState]


def ready_made(name: str) -> ReadyMade:
    """Answer a named state; ValueError names those there are."""
    if name not in STATES:
        raise ValueError(f"no state {name!r}; there is {', '.join(STATES)}")
    return STATES[name]


def _own_bpin(state: WalletState, _keys: Keys) -> WalletState:
    return replace(state, bpin_is_default=False)


def _default_bpin(state: WalletState, _keys: Keys) -> WalletState:
    return replace(state, bpin_is_default=True)


def _with_key(state: WalletState, keys: Keys, count: int = 1) -> WalletState:
    """The BPIN is its user's own, and the first slots hold Ethereum keys."""
    algorithm = Algorithm.SECP256K1
    slots = tuple(
        Slot(_ETHEREUM, algorithm, keys.public_key(state.seed, _ETHEREUM, number, algorithm))
        for number in range(1, count + 1)
    )
    return replace(state, bpin_is_default=False, slots=slots)


STATES: Final = {
    "factory": ReadyMade("no seed, and the BPIN it was shipped with", True, _default_bpin),
    "recovery": ReadyMade("no seed, a BPIN of its user's: waits for RESTORE SEED", True, _own_bpin),
    "bpin-unset": ReadyMade("a seed and no keys, and the BPIN it was shipped with", False, _default_bpin),
    "one-try-left": ReadyMade(
        "one key; one BPIN try left", False, lambda state, keys: replace(_with_key(state, keys), tries=1)
    ),
    "locked": ReadyMade(
        "one key; no BPIN try left", False, lambda state, keys: replace(_with_key(state, keys), tries=0)
    ),
    "full-127": ReadyMade("a key in every slot", False, lambda state, keys: _with_key(state, keys, MAX_SLOTS)),
    "terminated": ReadyMade(
        "for ever out of use", False, lambda state, keys: replace(_with_key(state, keys), terminated=True)
    ),
}
