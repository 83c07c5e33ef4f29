"""What a card says of itself, read on a channel of its own: app, trace and faults see nothing of it."""

from contextlib import suppress
from typing import Final

from bsim.client import Account, CardError, Wallet
from bsim.links.omapi import OnChannel, Session
from bsim.links.web.hosted import Hosted, Power
from bsim.links.web.schema import Schema, flag, listed, maybe, obj, text, whole
from bsim.ports import CardRemoved
from bsim.tlv import TlvError

SLOT: Final[Schema] = obj(
    ("slot", "coin_type", "coin", "algorithm", "public_key", "address"),
    slot=whole(),
    coin_type=whole("SLIP-0044"),
    coin=text(),
    algorithm=text(),
    public_key=text(),
    address=maybe(text("in the chain's own form, where it is known here")),
)
STATE: Final[Schema] = obj(
    ("version", "iccid", "slots", "seed"),
    version=maybe(text("of the wallet applet")),
    iccid=maybe(text()),
    seed=maybe(flag("whether it has a seed; null where it does not say")),
    slots=listed(SLOT),
)


def state(card: Hosted) -> dict[str, object]:
    """Read the card; CardRemoved if there is none."""
    if card.power is not Power.ON:
        raise CardRemoved("the card is not there, or has no power")
    session = Session(card.base)
    found: dict[str, object] = {"version": None, "iccid": None, "seed": None, "slots": []}
    try:
        channel = session.open_logical_channel(None)
        if channel is not None:
            _read(Wallet(OnChannel(card.base.transmit, channel.number), wait=0), found)
    except (CardError, TlvError):
        pass  # a card that does not answer these has told what it tells
    finally:
        session.close()
    return found


def _read(wallet: Wallet, found: dict[str, object]) -> None:
    with suppress(CardError):
        found["version"] = wallet.version().hex().upper()
    with suppress(CardError):
        found["iccid"] = wallet.iccid()
    with suppress(CardError):
        found["slots"] = [_slot(account) for account in wallet.accounts()]
        found["seed"] = True


def _slot(account: Account) -> dict[str, object]:
    return {
        "slot": account.slot,
        "coin_type": account.coin_type,
        "coin": account.coin,
        "algorithm": account.algorithm.name.lower(),
        "public_key": account.public_key.hex(),
        "address": account.address,
    }
