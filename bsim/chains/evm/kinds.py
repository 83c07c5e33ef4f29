"""The types of EVM transactions, and the order of the fields that each signs (named as JSON-RPC names them)."""

from enum import IntEnum
from typing import Final

from bsim.chains.fields import U64


class Kind(IntEnum):
    """EIP-2718's type byte; a legacy transaction has none and begins with its list."""

    LEGACY = 0
    ACCESS_LIST = 1
    FEE_MARKET = 2
    SET_CODE = 4


# EIP-155: the chain id and two empty items stand where v, r and s will. A payload without them, which would be valid
# on every chain, is not read.
LEGACY_TAIL: Final = ("chainId", "r", "s")
_LEGACY: Final = ("nonce", "gasPrice", "gas", "to", "value", "data")
_FEES: Final = ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "data", "accessList")

LAYOUTS: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.LEGACY: (*_LEGACY, *LEGACY_TAIL),
    Kind.ACCESS_LIST: ("chainId", *_LEGACY, "accessList"),  # EIP-2930
    Kind.FEE_MARKET: _FEES,  # EIP-1559
    Kind.SET_CODE: (*_FEES, "authorizationList"),  # EIP-7702
}

CHAIN_IDS: Final = U64 // 2 - 36
"""EIP-2294: the first chain id that is too large, so that v = 35 + 2 * chain id + 1 fits into 64 bits."""
NONCES: Final = U64 - 1
"""EIP-2681: the first nonce that is too large."""
