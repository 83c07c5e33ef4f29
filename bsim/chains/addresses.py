"""Addresses and contracts of any chain as people write them, and how to tell that two of them are the same."""

from typing import Final, NamedTuple

from bsim.chains import core_account as conflux
from bsim.chains import evm_account as evm

EVM: Final = 0x01
CONFLUX: Final = 0x02
FISCO_BCOS: Final = 0x04
ADDRESSED: Final = frozenset({EVM, CONFLUX, FISCO_BCOS})
"""Families whose contracts are addresses of 20 bytes; on others they have names."""
NUMBERED: Final = frozenset({EVM, CONFLUX})
"""Families whose chain ids are numbers; those of others are text."""


class Account(NamedTuple):
    """Where an address leads: 20 bytes, on a network of Conflux Core Space or (0) where accounts are written in hex."""

    network: int
    account: bytes


def parse(text: str) -> Account:
    """Read an address; ValueError if it is of no form known here, or its checksum is wrong."""
    return Account(*conflux.decode(text)) if ":" in text else Account(0, evm.parse_address(text))


def write(family: int, chain_id: bytes, account: bytes) -> str:
    """Write a contract or an account as its chain does."""
    if family == CONFLUX:
        return conflux.encode(account, int.from_bytes(chain_id, "big"))
    return evm.checksum(account) if family in ADDRESSED else account.decode()


def read(family: int, chain_id: bytes, text: str) -> bytes:
    """Read a contract or an account as its chain writes it; ValueError if it is none."""
    if family == CONFLUX:
        return conflux.parse_address(text, int.from_bytes(chain_id, "big"))
    return evm.parse_address(text) if family in ADDRESSED else text.encode()


def write_chain_id(family: int, chain_id: bytes) -> int | str:
    """Write a chain id as its chain does: a number, or text."""
    return int.from_bytes(chain_id, "big") if family in NUMBERED else chain_id.decode()


def read_chain_id(family: int, chain_id: int | str) -> bytes:
    """Read a chain id, a number (in decimal digits, too) or text; ValueError if it is none of the family."""
    if family not in NUMBERED:
        return str(chain_id).encode()
    number = int(chain_id)
    if number <= 0:
        raise ValueError("a chain id is 1 or more")
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
