"""bsim: the BSIM blockchain SIM card as software, the card you can pip install.

card = bsim.new_card()
wallet = bsim.Wallet(card)
wallet.derive(60)
wallet.verify_bpin()
signature = wallet.sign(60, 1, digest)
"""

from functools import partial
from typing import TYPE_CHECKING

from bsim.late import late

if TYPE_CHECKING:
    from collections.abc import Callable

    from bsim.apdu import CommandApdu, ResponseApdu
    from bsim.client import Wallet
    from bsim.handset import Handset
    from bsim.lab.emulated import EmulatedCard
    from bsim.ports import Card
else:  # `import bsim` costs next to nothing, and every pytest run does it
    __getattr__ = late(
        __name__,
        {
            "Card": "bsim.ports",
            "CommandApdu": "bsim.apdu",
            "ResponseApdu": "bsim.apdu",
            "Wallet": "bsim.client",
        },
    )

__all__ = ["Card", "CommandApdu", "ResponseApdu", "Wallet", "new_card", "open_card"]
__version__ = "0.1.0"


def new_card(
    *,
    mnemonic: str | None = None,
    blank: bool = False,
    bpin: str = "123456",
    profile: str = "extended",
    state: str | None = None,
    handset: "str | Handset" = "right",
) -> "EmulatedCard":
    """Make a card in memory, seeded unless `blank`, inside a phone unless `handset` is "none".

    `handset` is a script (`right`, `wrong,wrong,right`, `cancel`, `silent`, each with a delay if wished: `right@1.5s`),
    "none", or a Handset. `state` names an awkward card, ready-made: `one-try-left`, `locked`, `recovery`, `full-127`,
    `factory`, `bpin-unset`, `terminated`. ValueError if something of this cannot be; the message repeats no secret.
    """
    from bsim.lab.emulated import EmulatedCard
    from bsim.profiles import personalisation, personalise
    from bsim.store import RamStore

    store = RamStore()
    personalise(store, personalisation(mnemonic=mnemonic, blank=blank, bpin=bpin, profile=profile, state=state))
    return EmulatedCard(store, _phone(handset, bpin))


def open_card(
    target: str = "ram",
    *,
    handset: "str | Handset | None" = None,
    bpin: str = "123456",
    passphrase: str | None = None,
) -> "Card":
    """Open the card that a target names: `FILE.bsim`, `reader:NAME`, `replay:FILE` or `ram`.

    bsim.lab.targets.TargetError says what is wrong. `handset` is as in `new_card` and types `bpin`; None puts an
    emulated card into a phone and leaves a replay bare, and a real one: a wrong guess at its BPIN costs a try.
    `passphrase` opens a sealed card file; without it BSIM_PASSPHRASE does, or the key file in the user's key folder.
    """
    from bsim.lab.targets import RAM, comes_bare, emulated, open_target
    from bsim.store import Keyring

    if target == RAM:
        return new_card(handset=handset or "right", bpin=bpin)
    if comes_bare(target):
        return _phone(handset or "none", bpin)(open_target(target))
    return emulated(target, _phone(handset or "right", bpin), Keyring(passphrase=passphrase))


def _phone(handset: "str | Handset", bpin: str) -> "Callable[[Card], Card]":
    from bsim.handset import in_handset

    return partial(in_handset, handset=handset, bpin=bpin)
