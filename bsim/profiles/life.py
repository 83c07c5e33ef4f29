"""The ends of a card's life, as only its maker can reach them: no command of the card leads there."""

from collections.abc import Callable
from dataclasses import replace

from bsim.applets import signing_state
from bsim.applets.assets_state import emptied
from bsim.applets.signing_state import SigningState
from bsim.applets.wallet_state import LAYOUT, MAX_TRIES, WalletState
from bsim.ports import Store
from bsim.profiles.defaults import DEFAULT_BPIN
from bsim.store import StoreError


def factory_reset(store: Store) -> None:
    """Empty the wallet of a card that has no power: no seed, slots, assets and contacts, the default BPIN, all tries.

    It is not undone. StoreError if the store cannot be read or written, or the card is terminated, which nothing
    undoes. The ICCID, the profile, the opening key and the device key stay.
    """
    if LAYOUT.load(store.read()).terminated:
        raise StoreError("the card is terminated, and stays so")
    _change(store, as_new, SigningState.without_policies)


def as_new(state: WalletState) -> WalletState:
    """Answer a wallet as new, with no seed and no slots, the default BPIN and all tries."""
    return replace(
        state,
        entropy=b"",
        seed=b"",
        slots=(),
        bpin=DEFAULT_BPIN.encode(),
        bpin_is_default=True,
        tries=MAX_TRIES,
        opened=False,
    )


def terminate(store: Store) -> None:
    """Take a card that has no power out of use for ever; StoreError if the store cannot be read or written.

    Its seed, keys, assets, contacts and device key go with it. Snapshots and copies made before still hold the card as
    it was.
    """
    _change(
        store, lambda state: replace(state, entropy=b"", seed=b"", slots=(), terminated=True), lambda _: SigningState()
    )


def _change(
    store: Store, change: Callable[[WalletState], WalletState], forget: Callable[[SigningState], SigningState]
) -> None:
    records = store.read()
    old, signing = LAYOUT.load(records), signing_state.LAYOUT.load(records)
    changes = LAYOUT.changes(old, change(old)) | signing_state.LAYOUT.changes(signing, forget(signing))
    store.write(changes | emptied(records))
