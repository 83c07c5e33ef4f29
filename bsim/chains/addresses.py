"""Addresses and contracts of any chain as people write them, and how to tell that two of them are the same."""

from typing import Final, NamedTuple

from bsim.chains import conflux, evm

EVM: Final = 0x01
CONFLUX: Final = 0x02
FISCO_BCOS: Final = 0x04
ADDRESSED: Final = frozenset({EVM, CONFLUX, FISCO_BCOS})
"""Families whose contracts are addresses of 20 bytes; on others they have names."""
NUMBERED: Final = frozenset({EVM, CONFLUX})
"""Families whose chain ids are numbers; those of others are text."""
HEX: Final = "0x"


class Account(NamedTuple):
    """Where an address leads: its network's prefix (0x, cfx, cfxtest, net...) and the account, 20 bytes."""

    prefix: str
    account: bytes


def parse(text: str) -> Account:
    """Read an address; ValueError if it is of no form known here, or its checksum is wrong."""
    if ":" in text:
        return Account(text.partition(":")[0].lower(), _parse_conflux(text))
    return Account(HEX, evm.parse_address(text))


def write(family: int, chain_id: bytes, account: bytes) -> str:
    """Write a contract or an account as its chain does."""
    if family == CONFLUX:
        return conflux.encode(account, int.from_bytes(chain_id, "big"))
    return evm.checksum(account) if family in ADDRESSED else account.decode()


def read(family: int, text: str) -> bytes:
    """Read a contract or an account as its chain writes it; ValueError if it is none."""
    if family not in ADDRESSED:
        return text.encode()
    found = parse(text)
    if (found.prefix == HEX) == (family == CONFLUX):
        raise ValueError("an address of another chain")
    return found.account


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


_LETTERS: Final = "abcdefghjkmnprstuvwxyz0123456789"


def _parse_conflux(text: str) -> bytes:
    prefix, _, rest = text.lower().partition(":")
    payload = rest.rpartition(":")[2]
    network = {"cfx": 1029, "cfxtest": 1}.get(prefix) or int(prefix.removeprefix("net") or 0)
    value = 0
    for letter in payload[:34]:
        value = value << 5 | _LETTERS.index(letter)
    account = (value >> 2 & (1 << 160) - 1).to_bytes(20, "big")
    if text not in (text.lower(), text.upper()) or conflux.encode(account, network) != f"{prefix}:{payload}":
        raise ValueError("the address's checksum (CIP-37) is wrong")
    return account
