"""Amounts as people read them, every digit of them."""

from typing import Final

GWEI: Final = 9
ETHER: Final = 18

_EVERYTHING: Final = (1 << 256) - 1
_MORE_THAN_ANY: Final = 1 << 128  # ours: no token has so many units, so to allow them is to allow all


def decimal(value: int, places: int) -> str:
    """Write value / 10^places exactly, without zeros that say nothing: decimal(1500, 3) is "1.5"."""
    whole, part = divmod(value, 10**places)
    digits = f"{part:0{places}}".rstrip("0") if part else ""
    return f"{whole}.{digits}" if digits else str(whole)


def allowance(value: int) -> str:
    """Write how many units a spender may take; one that is no limit is said to be none."""
    if value == _EVERYTHING:
        return f"UNLIMITED ({value})"
    return f"practically UNLIMITED ({value})" if value >= _MORE_THAN_ANY else str(value)
