"""Ethereum and its kin, Conflux eSpace among them: addresses, transactions, and what their calls do."""

from bsim.chains.evm.nft import nft_transfer
from bsim.chains.evm.transaction import Transaction
from bsim.chains.evm_account import address, address_bytes, checksum, parse_address

__all__ = ["Transaction", "address", "address_bytes", "checksum", "nft_transfer", "parse_address"]
