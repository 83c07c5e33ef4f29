"""Unsigned payloads that hand a collectible over on an EVM chain."""

from bsim.chains import rlp
from bsim.chains.calls import Standard, safe_transfer
from bsim.chains.evm.kinds import Kind
from bsim.chains.evm.transaction import Transaction


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
) -> bytes:
    """Answer an EIP-1559 payload of safeTransferFrom for a token of ERC-721 or ERC-1155 (`standard` 721 or 1155).

    Addresses are 20 bytes, fees wei per gas; ValueError for a value that no such transaction has.
    """
    data = safe_transfer(Standard(standard), owner, to, token_id, amount)
    numbers = map(rlp.integer, (chain_id, nonce, max_priority_fee, max_fee, gas))
    payload = bytes((Kind.FEE_MARKET,)) + rlp.encode([*numbers, contract, b"", data, []])
    return Transaction.decode(payload).unsigned()
