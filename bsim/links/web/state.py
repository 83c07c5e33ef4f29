"""What a card says of itself, read on a channel of its own: app, trace and faults see nothing of it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from bsim.client import Account, CardError, Wallet
from bsim.links.omapi import OnChannel, Session
from bsim.links.web.hosted import Hosted, Power
from bsim.links.web.operation import Call, Operation
from bsim.links.web.schema import Schema, flag, listed, maybe, obj, text, whole
from bsim.ports import CardRemoved
from bsim.tlv import TlvError

_SLOT: Final[Schema] = obj(
    ("slot", "coin_type", "coin", "algorithm", "public_key", "address"),
    slot=whole(),
    coin_type=whole("SLIP-0044"),
    coin=text(),
    algorithm=text(),
    public_key=text(),
    address=maybe(text("in the chain's own form, where it is known here")),
)
_STATE: Final[Schema] = obj(
    ("version", "iccid", "slots", "seed", "life_cycle", "tries", "assets"),
    version=maybe(text("of the wallet applet")),
    iccid=maybe(text()),
    seed=maybe(flag("whether it has a seed; null where it does not say")),
    slots=listed(_SLOT),
    life_cycle=maybe(text("factory, recovery, personalised, operational, blocked, terminated; null: it does not say")),
    tries=maybe(whole("of the BPIN, left")),
    assets=maybe(whole("how many collectibles it lists")),
)


def _state(call: Call) -> object:
    card = call.card
    return card.line.run(lambda: _said(card), slow=card.slow())


def _said(card: Hosted) -> dict[str, object]:
    """Read the card; CardRemoved if there is none."""
    found: dict[str, object] = dict.fromkeys(("version", "iccid", "seed", "life_cycle", "tries", "assets"))
    found["slots"] = []
    with on_own_channel(card) as wallet, suppress(TlvError, ValueError):
        if wallet is not None:
            _read(wallet, found)
    return found


@contextmanager
def on_own_channel(card: Hosted) -> Iterator[Wallet | None]:
    """The card's wallet on a channel that is closed again; None where it has none left or no wallet."""
    if card.power is not Power.ON:
        raise CardRemoved("the card is not there, or has no power")
    session = Session(card.base)
    try:
        # A recording answers what it was asked, and nothing else.
        channel = None if card.traits.target.startswith("replay:") else session.open_logical_channel(None)
        wallet = None
        if channel is not None:
            with suppress(CardError):
                wallet = Wallet(OnChannel(card.base.transmit, channel.number), wait=0)
        yield wallet
    finally:
        session.close()


def _read(wallet: Wallet, found: dict[str, object]) -> None:
    with suppress(CardError):
        found["version"] = wallet.version().hex().upper()
    with suppress(CardError):
        found["iccid"] = wallet.iccid()
    with suppress(CardError):
        found["slots"] = [_slot(account) for account in wallet.accounts()]
        found["seed"] = True
    with suppress(CardError):
        status = wallet.status()
        found |= {"life_cycle": status.life_cycle, "tries": status.tries, "seed": status.seed}
    with suppress(CardError):
        found["assets"] = wallet.count_assets()


def _slot(account: Account) -> dict[str, object]:
    return {
        "slot": account.slot,
        "coin_type": account.coin_type,
        "coin": account.coin,
        "algorithm": account.algorithm.name.lower(),
        "public_key": account.public_key.hex(),
        "address": account.address,
    }


OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/cards/{card}/state",
        "cardState",
        "What the card says of itself",
        _state,
        _STATE,
        refusals=(404, 409, 503),
    ),
)
