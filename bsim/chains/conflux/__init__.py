"""Conflux Core Space: addresses of CIP-37 and transactions. (Conflux eSpace is an EVM chain.)"""

from bsim.chains.conflux.nft import nft_transfer
from bsim.chains.conflux.transaction import Transaction
from bsim.chains.core_account import (
    MAINNET,
    TESTNET,
    address,
    address_bytes,
    decode,
    encode,
    parse_address,
)

__all__ = [
    "MAINNET",
    "TESTNET",
    "Transaction",
    "address",
    "address_bytes",
    "decode",
    "encode",
    "nft_transfer",
    "parse_address",
]
