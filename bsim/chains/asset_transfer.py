"""The transaction that hands a listed asset over, and what the list knows of it beside what is signed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from bsim.chains import FAMILIES, addresses, conflux, evm
from bsim.chains.asset import Asset, Policy, Standard
from bsim.chains.family import Line, Names, Signable, Signature, Summary, nobody

_STANDARDS: Final[Mapping[tuple[int, Standard], int]] = {
    (addresses.EVM, Standard.ERC721): 721,
    (addresses.EVM, Standard.ERC1155): 1155,
    (addresses.CONFLUX, Standard.CRC721): 721,
    (addresses.CONFLUX, Standard.CRC1155): 1155,
}
_OWNERS: Final[Mapping[int, Callable[[bytes], bytes]]] = {
    addresses.EVM: evm.address_bytes,
    addresses.CONFLUX: conflux.address_bytes,
}


class Purpose(IntEnum):
    """Why an asset leaves, as the app says and the user is told: no chain tells a gift from a sale."""

    GIFT = 0
    SALE = 1
    OTHER = 2


_FORBIDDEN: Final = {
    Purpose.GIFT: Policy(0),
    Purpose.SALE: Policy.GIFT_ONLY | Policy.NOT_FOR_RESALE,
    Purpose.OTHER: Policy.GIFT_ONLY,
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a transfer is made of beside the asset. Fees are wei or drip per gas; the last two are Core Space's."""

    to: bytes
    amount: int
    nonce: int
    gas: int
    max_fee: int
    max_priority_fee: int
    storage_limit: int = 0
    epoch_height: int = 0


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer as the user is shown it: `listed` is what the card's list says, all else is what is signed."""

    transaction: Signable
    listed: Sequence[Line]

    def digest(self, public_key: bytes) -> bytes:
        """Answer the transaction's digest."""
        return self.transaction.digest(public_key)

    def summary(self, names: Names = nobody) -> Summary:
        """Say what the transaction does, and before it what it is about."""
        told = self.transaction.summary(names)
        return replace(told, lines=(*self.listed, *told.lines))

    def signed(self, signature: Signature, public_key: bytes) -> bytes:
        """Answer the raw transaction."""
        return self.transaction.signed(signature, public_key)


def allowed(policy: Policy, purpose: Purpose) -> bool:
    """Whether a policy lets an asset leave for a purpose."""
    return Policy.TRANSFERABLE in policy and not policy & _FORBIDDEN[purpose]


def transferable(asset: Asset) -> bool:
    """Whether its chain and standard are of those whose transfers can be built here."""
    return (asset.family, asset.standard) in _STANDARDS


def owner(asset: Asset, public_key: bytes) -> bytes:
    """Answer the account (20 bytes) that a 65-byte public key has on the chain of a `transferable` asset."""
    return _OWNERS[asset.family](public_key)


def transaction(asset: Asset, public_key: bytes, terms: Terms) -> Signable:
    """Build safeTransferFrom of an asset that is `transferable`, from the account of a 65-byte public key.

    ValueError for terms that no such transaction has.
    """
    if not 0 < terms.amount <= asset.amount:
        raise ValueError("amount: more than there is, or nothing")
    if asset.family == addresses.EVM and (terms.storage_limit or terms.epoch_height):
        raise ValueError("storage limit and epoch height: of Conflux Core Space only")
    return FAMILIES[asset.family].decode(_payload(asset, owner(asset, public_key), terms))


def _payload(asset: Asset, account: bytes, terms: Terms) -> bytes:
    token = {
        "chain_id": int.from_bytes(asset.chain_id, "big"),
        "standard": _STANDARDS[asset.family, asset.standard],
        "token_id": int.from_bytes(asset.token_id, "big"),
        "amount": terms.amount,
        "nonce": terms.nonce,
        "gas": terms.gas,
        "max_fee": terms.max_fee,
        "max_priority_fee": terms.max_priority_fee,
    }
    if asset.family == addresses.EVM:
        return evm.nft_transfer(contract=asset.contract, owner=account, to=terms.to, **token)
    return conflux.nft_transfer(
        contract=asset.contract,
        owner=account,
        to=terms.to,
        storage_limit=terms.storage_limit,
        epoch_height=terms.epoch_height,
        **token,
    )
