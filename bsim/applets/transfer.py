"""TRANSFER ASSET: a listed asset leaves, if its policy lets it and its user says yes. The rule of docs/decisions/0025."""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from bsim.applets import approval
from bsim.applets.wallet import wallet
from bsim.applets.wallet_session import WalletSession
from bsim.chains import FAMILIES
from bsim.chains import asset as assets
from bsim.chains.asset import Asset, State
from bsim.chains.asset_transfer import Purpose, Terms, Transfer, allowed, transaction, transferable
from bsim.chains.family import Line
from bsim.sw import SW, SwError

_TEXT: Final = wallet.spec.dialogue


class Attempt(IntEnum):
    """Whether a transfer of this asset was signed before."""

    FIRST = 0
    AGAIN = 1


@wallet.handles("TRANSFER_ASSET")
def transfer_asset(
    ctx: WalletSession,
    purpose: Purpose,
    attempt: Attempt,
    number: bytes,
    to: bytes,
    amount: bytes,
    nonce: bytes,
    gas: bytes,
    max_fee: bytes,
    max_priority_fee: bytes,
    storage_limit: bytes,
    epoch_height: bytes,
) -> bytes:
    """Answers at once; the user reads and decides later, and only a signed transfer marks the asset."""
    asset = assets.parse(ctx.registry.encoded(int.from_bytes(number, "big")))
    slot = approval.slot_of(ctx, asset.slot)
    if not transferable(asset) or slot.algorithm not in FAMILIES[asset.family].algorithms:
        raise SwError(SW.FUNCTION_NOT_SUPPORTED, "no transfer of such an asset, or by such a key, is built here")
    if not allowed(asset.policy, purpose):
        raise SwError(SW.COMMAND_NOT_ALLOWED, "the asset's policy forbids it")
    if asset.state is State.LEAVING and attempt is Attempt.FIRST:
        raise SwError(SW.CONDITIONS_NOT_SATISFIED, "a transfer was signed before")
    try:
        numbers = map(_integer, (nonce, gas, max_fee, max_priority_fee, storage_limit, epoch_height))
        terms = Terms(to, _integer(amount) or asset.amount, *numbers)
        signable = transaction(asset, slot.public_key, terms)
    except ValueError as fault:
        raise SwError(SW.WRONG_DATA, str(fault)) from fault
    listed = tuple(_listed(asset, purpose))
    approval.approve(ctx, asset.slot, Transfer(signable, listed), done=lambda: _leave(ctx, asset))
    return b""


def _leave(ctx: WalletSession, asset: Asset) -> None:
    """Mark what is signed for. What was taken off the list since it was shown stays off it."""
    if ctx.registry.has(asset):
        ctx.registry.replace(asset.marked(State.LEAVING))


def _listed(asset: Asset, purpose: Purpose) -> Iterator[Line]:
    """What the list says of it: claims of whoever listed it, told apart from what is signed."""
    yield Line(_TEXT["transfer_purpose"], _TEXT[f"transfer_{purpose.name.lower()}"])
    if asset.name:
        yield Line(_TEXT["transfer_name"], asset.name)
    if asset.issuer:
        yield Line(_TEXT["transfer_issuer"], asset.issuer)
    if asset.state is State.LEAVING:
        yield Line(_TEXT["transfer_before"], _TEXT["transfer_again"])


def _integer(value: bytes) -> int:
    """Read a number without leading zeros; nothing is 0."""
    if value[:1] == b"\0":
        raise ValueError("a number has no leading zeros")
    return int.from_bytes(value, "big")
