"""Ethereum and its kin, Conflux eSpace among them: addresses, transactions, and what their calls do."""

from bsim.chains.evm.address import address, address_bytes, checksum, parse_address
from bsim.chains.evm.transaction import Transaction

__all__ = ["Transaction", "address", "address_bytes", "checksum", "parse_address"]
