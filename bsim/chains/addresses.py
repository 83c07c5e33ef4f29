"""Addresses of any chain as people write them, and how to tell that two of them are the same."""

from typing import NamedTuple

from bsim.chains import evm


class Account(NamedTuple):
    """Where an address leads: its network's prefix (0x, cfx, cfxtest, net...) and the account, 20 bytes."""

    prefix: str
    account: bytes


def parse(text: str) -> Account:
    """Read an address; ValueError if its form is known nowhere here, or its checksum is wrong."""
    return Account("0x", evm.parse_address(text))
