"""EIP-7702's authorizations: an account lets a contract's code be its own. They come signed."""

from typing import NamedTuple

from bsim.chains import rlp
from bsim.chains.evm.kinds import NONCES
from bsim.chains.fields import U256
from bsim.chains.items import Items
from bsim.crypto.ecdsa import ORDER

LAYOUT = ("chainId", "address", "nonce", "yParity", "r", "s")


class Authorization(NamedTuple):
    """One tuple of the list: for chain id 0 it holds on every chain. `address` is the 20 bytes of the contract."""

    chain_id: int
    address: bytes
    nonce: int
    y_parity: int
    r: int
    s: int


def parse(item: rlp.Decoded) -> Authorization:
    """Read one tuple; ValueError for a signature no chain takes (it would be skipped there, EIP-7702 "Behavior")."""
    entry = Items(LAYOUT, item, "authorizationList")
    return Authorization(
        entry.number("chainId", U256),
        entry.data("address", 20),
        entry.number("nonce", NONCES),
        entry.number("yParity", 2),
        entry.number("r", ORDER, 1),
        entry.number("s", ORDER // 2 + 1, 1),
    )
