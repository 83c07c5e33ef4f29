"""The ends of a card's life, as only its maker can reach them: no command of the card leads there."""

from collections.abc import Callable
from dataclasses import replace

from bsim.applets.wallet_state import LAYOUT, MAX_TRIES, WalletState
from bsim.ports import Store
from bsim.profiles.defaults import DEFAULT_BPIN


def factory_reset(store: Store) -> None:
    """Empty the wallet of a card that has no power: no seed, no slots, the default BPIN and all tries. Not undone.

    StoreError if the store cannot be read or written. The ICCID, the profile and the opening key stay.
    """
    _change(
        store,
        lambda state: replace(
            state,
            entropy=b"",
            seed=b"",
            slots=(),
            bpin=DEFAULT_BPIN.encode(),
            bpin_is_default=True,
            tries=MAX_TRIES,
            opened=False,
            terminated=False,
        ),
    )


def terminate(store: Store) -> None:
    """Take a card that has no power out of use for ever; StoreError if the store cannot be read or written.

    Its secrets go with it: a terminated card is looked at, and never used again.
    """
    _change(store, lambda state: replace(state, entropy=b"", seed=b"", slots=(), terminated=True))


def _change(store: Store, change: Callable[[WalletState], WalletState]) -> None:
    old = LAYOUT.load(store.read())
    store.write(LAYOUT.changes(old, change(old)))
