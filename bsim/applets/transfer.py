"""TRANSFER ASSET: a listed asset leaves, if its policy lets it and its user says yes. docs/decisions/0025."""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Final

from bsim.applets import approval
from bsim.applets.wallet_session import WalletSession
from bsim.chains import FAMILIES
from bsim.chains.asset import Asset, State
from bsim.chains.asset_transfer import Purpose, Terms, Transfer, allowed, transaction, transferable
from bsim.chains.family import Line
from bsim.spec import spec
from bsim.sw import SW, SwError

_TEXT: Final = spec().applets["wallet"].dialogue


class Attempt(IntEnum):
    """Whether a transfer of this asset was signed before."""

    FIRST = 0
    AGAIN = 1


def begin(ctx: WalletSession, asset: Asset, purpose: Purpose, attempt: Attempt, terms: Sequence[bytes]) -> None:
    """Ask the user whether an asset is to leave; only a signed transfer marks it.

    `terms` are those of `Terms`, in its order and as they are encoded. SwError 6A88 if the asset's slot has no key,
    6A81 if its transfer cannot be built, 6986 if its policy forbids it, 6985 if one was signed before or the card
    cannot ask, 6A80 for terms no transaction has.
    """
    slot = approval.slot_of(ctx, asset.slot)
    if not transferable(asset) or slot.algorithm not in FAMILIES[asset.family].algorithms:
        raise SwError(SW.FUNCTION_NOT_SUPPORTED, "no transfer of such an asset, or by such a key, is built here")
    if not allowed(asset.policy, purpose):
        raise SwError(SW.COMMAND_NOT_ALLOWED, "the asset's policy forbids it")
    if asset.state is State.LEAVING and attempt is Attempt.FIRST:
        raise SwError(SW.CONDITIONS_NOT_SATISFIED, "a transfer was signed before")
    try:
        to, amount, *numbers = terms
        signable = transaction(
            asset, slot.public_key, Terms(to, _integer(amount) or asset.amount, *map(_integer, numbers))
        )
    except ValueError as fault:
        raise SwError(SW.WRONG_DATA, str(fault)) from fault
    listed = tuple(_listed(asset, purpose))
    approval.approve(ctx, asset.slot, Transfer(signable, listed), done=lambda: _leave(ctx, asset))


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
