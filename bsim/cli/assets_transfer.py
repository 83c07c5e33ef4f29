"""`bsim assets transfer`: the card builds the transfer, its user reads it on the phone, and it signs on yes."""

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bsim.chains import addresses
from bsim.chains.asset import Asset, State
from bsim.chains.asset_transfer import Purpose, Terms, owner
from bsim.cli.assets_change import address_of
from bsim.cli.assets_list import number_of
from bsim.cli.common import CheckFailed, Style, UsageError, print_json
from bsim.cli.phone import Session, opened, require_bpin
from bsim.client import CardError, Wallet
from bsim.crypto import verify
from bsim.sw import SW

_UNITS: Final = {"": 1, "wei": 1, "drip": 1, "gwei": 10**9, "gdrip": 10**9}
_FEE: Final = re.compile(r"(\d{1,30})([a-z]*)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options: what a transaction needs is never guessed."""
    parser.add_argument("number", metavar="NUMBER", type=int, help="the asset, as `bsim assets list` numbers it")
    parser.add_argument("--to", required=True, metavar="NAME|ADDRESS", help="a contact's name, or an address")
    parser.add_argument("--amount", type=int, help="how many of it (default: all)")
    parser.add_argument(
        "--purpose", choices=[one.name.lower() for one in Purpose], default="gift", help="default: gift"
    )
    parser.add_argument("--again", action="store_true", help="sign although a transfer of it was signed before")
    parser.add_argument("--nonce", type=int, required=True)
    parser.add_argument("--gas", type=int, required=True, help="the gas limit")
    parser.add_argument("--max-fee", metavar="FEE", required=True, help="per gas, in wei or drip, or 30gwei, 20gdrip")
    parser.add_argument("--max-priority-fee", metavar="FEE", required=True, help="of it, for who includes it")
    parser.add_argument("--storage-limit", type=int, default=0, help="Conflux Core Space: bytes (default: 0)")
    parser.add_argument("--epoch-height", type=int, default=0, help="Conflux Core Space: of the node asked last")


def transfer(args: argparse.Namespace) -> int:
    """Have it signed, check the signature, and print what is to be broadcast."""
    number, purpose = number_of(args.number), Purpose[args.purpose.upper()]
    with opened(args) as session:
        wallet = session.wallet()
        asset = wallet.asset(number)
        if asset.state is State.LEAVING and not args.again:
            raise CheckFailed(f"a transfer of asset {number} was signed before; --again signs another")
        require_bpin(session, wallet)
        terms = _terms(args, _recipient(wallet, asset, args.to))
        with _explained(session):
            signed = wallet.transfer_asset(number, terms, purpose, again=args.again)
    proven = verify.verify(signed.account.public_key, signed.digest, signed.der)
    found = {
        "number": number,
        "from": addresses.write(asset.family, asset.chain_id, owner(asset, signed.account.public_key)),
        "to": addresses.write(asset.family, asset.chain_id, terms.to),
        "title": signed.summary.title,
        "digest": signed.digest.hex(),
        "verified": proven,
        "raw": f"0x{signed.raw.hex()}",
    }
    if args.json:
        print_json(found)
    else:
        style = Style()
        for text in session.user.shown if session.user else []:
            print(style.dim("phone: " + text.replace("\n", "\n       ")))
        for name, value in found.items():
            print(f"{name:<10}{'yes' if value is True else 'no' if value is False else value}")
    if not proven:
        raise CheckFailed("the signature is not one of this slot's key")
    return 0


def fee(text: str) -> int:
    """Read a fee per gas: a number of wei or drip, or with a unit; UsageError says how it is written."""
    found = _FEE.fullmatch(text.lower())
    if found is None or found[2] not in _UNITS:
        raise UsageError(f"a fee is a whole number, of wei unless it ends with {', '.join(filter(None, _UNITS))}")
    return int(found[1]) * _UNITS[found[2]]


def _recipient(wallet: Wallet, asset: Asset, text: str) -> bytes:
    """Who gets it: an address, or a friend whose address the card knows."""
    try:
        looks_like_one = text.startswith("0x") or ":" in text
        address = text if looks_like_one else address_of(wallet.contacts(), text)
        return addresses.read(asset.family, asset.chain_id, address)
    except ValueError as fault:
        raise UsageError(f"--to {text}: no address of the asset's chain ({fault})") from fault


def _terms(args: argparse.Namespace, to: bytes) -> Terms:
    if args.amount == 0:
        raise UsageError("--amount 0: nothing would be transferred; without --amount it is all")
    numbers = (args.amount or 0, args.nonce, args.gas, fee(args.max_fee), fee(args.max_priority_fee))
    terms = Terms(to, *numbers, args.storage_limit, args.epoch_height)
    if min(*numbers, terms.storage_limit, terms.epoch_height) < 0:
        raise UsageError("a transaction has no negative numbers")
    return terms


@contextmanager
def _explained(session: Session) -> Iterator[None]:
    """Say why nothing was signed."""
    try:
        yield
    except ValueError as fault:
        raise UsageError(str(fault)) from fault
    except CardError as refusal:
        if (refusal.command, refusal.sw) == ("GET_RESULT", SW.CONDITIONS_NOT_SATISFIED):
            raise CheckFailed(f"nothing was signed: the user did not say yes{session.last_shown}") from refusal
        raise
