"""Coins and algorithms as people write them."""

from typing import Final

from bsim.chains import COINS, coin_name
from bsim.cli.common import UsageError
from bsim.crypto.algorithm import Algorithm

# Names people use beside those of SLIP-0044.
_ALIASES: Final = {
    "btc": 0,
    "eth": 60,
    "ethereum": 60,
    "dot": 354,
    "sol": 501,
    "cfx": 503,
}
_DIGITS: Final = 20
_MOST: Final = 0x7FFF_FFFF  # SLIP-0044: the hardened bit is not part of a coin type


def coin(text: str) -> int:
    """Read a SLIP-0044 number or a name; UsageError says which names there are."""
    word = text.strip().lower()
    if word.isascii() and word.isdigit() and len(word) < _DIGITS and int(word) <= _MOST:
        return int(word)
    named = {coin.name.lower(): number for number, coin in COINS.items()} | _ALIASES
    if word not in named:
        raise UsageError(f"no coin {text!r}: a SLIP-44 number below 2^31, or one of {', '.join(sorted(named))}")
    return named[word]


def algorithm(text: str | None, coin_type: int) -> Algorithm:
    """Read an algorithm, or answer the coin's own."""
    if text is not None:
        return Algorithm[text.upper()]
    known = COINS.get(coin_type)
    return known.algorithm if known else Algorithm.SECP256K1


def label(coin_type: int) -> str:
    """A coin's name and number."""
    name = coin_name(coin_type)
    return f"{name} ({coin_type})" if coin_type in COINS else str(coin_type)
