"""Assets and contacts: one handler a command of applet_spec/collectibles.toml."""

from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Final

from bsim import tlv
from bsim.applets import pages
from bsim.applets.assets_state import encode_contact, parse_contact
from bsim.applets.registry import Meant
from bsim.applets.session import Response
from bsim.applets.transfer import Attempt, begin
from bsim.applets.wallet import Part, seeded, wallet
from bsim.applets.wallet_session import WalletSession
from bsim.chains import asset as assets
from bsim.chains import asset_stream
from bsim.chains.asset_layout import MAX_CHAIN_ID, MAX_CONTRACT
from bsim.chains.asset_transfer import Purpose
from bsim.sw import SW, SwError


class Filter(IntEnum):
    """Which assets are meant."""

    ALL = 0
    CHAIN = 1
    CONTRACT = 2
    SLOT = 3


class Action(IntEnum):
    """What CONTACTS does."""

    LIST = 0
    PUT = 1
    REMOVE = 2


# The tag of the field that is meant, how what is wanted is held against an identity, and how long it is.
_FILTERS: Final[dict[Filter, tuple[int, Callable[[bytes, bytes], bool], range]]] = {
    Filter.CHAIN: (0x82, asset_stream.of_chain, range(2, 2 + MAX_CHAIN_ID)),
    Filter.CONTRACT: (0x83, asset_stream.of_contract, range(1, 1 + MAX_CONTRACT)),
    Filter.SLOT: (0x81, asset_stream.of_slot, range(1, 2)),
}


@wallet.handles("ADD_ASSET")
def add_asset(ctx: WalletSession, asset: bytes) -> bytes:
    """A registry belongs to a seed, and one asset is in it once."""
    seeded(ctx)
    try:
        parsed = assets.parse_new(asset)
    except ValueError as fault:
        raise SwError(SW.WRONG_DATA, str(fault)) from fault
    return ctx.registry.add(parsed).to_bytes(4, "big")


@wallet.handles("REMOVE_ASSET")
def remove_asset(ctx: WalletSession, number: int) -> bytes:
    """Nothing but the entry goes: the asset is its chain's."""
    ctx.registry.remove(number)
    return b""


@wallet.handles("LIST_ASSETS")
def list_assets(ctx: WalletSession, filter: Filter, part: Part, wanted: bytes) -> bytes | Response:
    """One TLV stream, made while it is read: a page costs the same on a full card."""
    if part is Part.FIRST:
        return pages.first(ctx.paged, "LIST_ASSETS", ctx.registry.stream(_meant(filter, wanted)))
    if wanted:
        raise SwError(SW.WRONG_DATA, "the filter is given once, with the first segment")
    return pages.following(ctx.paged, "LIST_ASSETS")


@wallet.handles("GET_ASSET")
def get_asset(ctx: WalletSession, page: int, number: int) -> bytes | Response:
    """An asset may be longer than a response, and an app may want the beginning only."""
    encoded = ctx.registry.encoded(number)
    begin, end = page * pages.SEGMENT, (page + 1) * pages.SEGMENT
    if begin >= len(encoded):
        raise SwError(SW.CONDITIONS_NOT_SATISFIED, "the asset has no such page")
    segment = encoded[begin:end]
    return Response(segment, SW.MORE_DATA) if end < len(encoded) else segment


@wallet.handles("COUNT_ASSETS")
def count_assets(ctx: WalletSession, filter: Filter, wanted: bytes) -> bytes:
    """As many as LIST ASSETS would list."""
    return ctx.registry.count(_meant(filter, wanted)).to_bytes(4, "big")


@wallet.handles("TRANSFER_ASSET")
def transfer_asset(  # noqa: PLR0917 - the entry's fields
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
    """Answers at once; the user reads and decides later."""
    asset = assets.parse(ctx.registry.encoded(int.from_bytes(number, "big")))
    terms = (to, amount, nonce, gas, max_fee, max_priority_fee, storage_limit, epoch_height)
    begin(ctx, asset, purpose, attempt, terms)
    return b""


@wallet.handles("CONTACTS")
def contacts(ctx: WalletSession, action: Action, part: Part, contact: bytes) -> bytes | Response:
    """Who a friend is decides what a summary shows: nobody changes or reads it without the BPIN."""
    if action is Action.LIST:
        if contact:
            raise SwError(SW.WRONG_DATA, "a list takes no contact")
        if part is Part.NEXT:
            return pages.following(ctx.paged, "CONTACTS")
        stream = (encode_contact(name, address) for name, address in ctx.contacts.all)
        return pages.first(ctx.paged, "CONTACTS", stream)
    if part is Part.NEXT:
        raise SwError(SW.WRONG_P1_P2, "only a list has segments")
    name, address = _contact(contact)
    if action is Action.PUT:
        ctx.contacts.put(name, address)
    else:
        ctx.contacts.remove(name, address)
    return b""


def _contact(contact: bytes) -> tuple[str, str]:
    try:
        return parse_contact(contact)
    except ValueError as fault:
        raise SwError(SW.WRONG_DATA, "a contact is a name and an address") from fault


def _meant(filter: Filter, wanted: bytes) -> Meant | None:
    """Which assets are meant; None where every asset is. SwError 6A80 for no such filter."""
    if filter is Filter.ALL:
        if wanted:
            raise SwError(SW.WRONG_DATA, "all assets are meant, and something is wanted")
        return None
    tag, holds, lengths = _FILTERS[filter]
    if len(wanted) not in lengths:
        raise SwError(SW.WRONG_DATA, "what is wanted has another length")
    return Meant(partial(holds, wanted), tlv.encode(tag, wanted))


COMMANDS: Final = wallet.compile("collectibles")
TERMINATED: Final = wallet.refused_in("terminated", "collectibles")
