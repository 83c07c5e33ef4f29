"""Unsigned payloads that hand a collectible over on Conflux Core Space."""

from bsim.chains import rlp
from bsim.chains.calls import Standard, safe_transfer
from bsim.chains.conflux.transaction import PREFIX, Kind, Transaction


def nft_transfer(
    *,
    chain_id: int,
    standard: int,
    contract: bytes,
    token_id: int,
    amount: int,
    owner: bytes,
    to: bytes,
    nonce: int,
    gas: int,
    max_fee: int,
    max_priority_fee: int,
    storage_limit: int,
    epoch_height: int,
) -> bytes:
    """Answer a CIP-1559 payload of safeTransferFrom for a token of CRC-721 or CRC-1155 (`standard` 721 or 1155).

    Addresses are 20 bytes, fees drip per gas, the storage limit bytes; ValueError for a value that no such
    transaction has.
    """
    data = safe_transfer(Standard(standard), owner, to, token_id, amount)
    fees = map(rlp.integer, (nonce, max_priority_fee, max_fee, gas))
    terms = map(rlp.integer, (storage_limit, epoch_height, chain_id))
    payload = PREFIX + bytes((Kind.FEE_MARKET,)) + rlp.encode([*fees, contract, b"", *terms, data, []])
    return Transaction.decode(payload).unsigned()
