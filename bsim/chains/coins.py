"""The table of coin types."""

from collections.abc import Callable
from typing import Final, NamedTuple

from bsim.chains import core_account, evm_account, solana
from bsim.crypto.algorithm import Algorithm


class Coin(NamedTuple):
    """A coin type: its SLIP-44 name, its algorithm, and how a key of that becomes an address, where known."""

    name: str
    algorithm: Algorithm
    address: Callable[[bytes], str] | None = None


COINS: Final[dict[int, Coin]] = {
    0: Coin("Bitcoin", Algorithm.SECP256K1),
    60: Coin("Ether", Algorithm.SECP256K1, evm_account.address),
    354: Coin("Polkadot", Algorithm.ED25519),
    501: Coin("Solana", Algorithm.ED25519, solana.address),
    503: Coin("Conflux", Algorithm.SECP256K1, core_account.address),
}


def coin_name(coin_type: int) -> str:
    """Answer the SLIP-44 name of a coin type, or "coin" and its number."""
    coin = COINS.get(coin_type)
    return coin.name if coin else f"coin {coin_type}"


def address(coin_type: int, algorithm: int, public_key: bytes) -> str | None:
    """Answer the address of a slot's public key, or None where the coin has none for that algorithm here."""
    coin = COINS.get(coin_type)
    if coin is None or coin.address is None or coin.algorithm != algorithm:
        return None
    return coin.address(public_key)
