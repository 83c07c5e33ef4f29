"""What is being signed: one module a family, each decode, digest, address; and the table of coin types."""

from typing import TYPE_CHECKING

from bsim.late import late

if TYPE_CHECKING:
    from bsim.chains.coins import COINS, Coin, address, coin_name
    from bsim.chains.families import FAMILIES
else:
    __getattr__ = late(
        __name__,
        {
            "COINS": "bsim.chains.coins",
            "Coin": "bsim.chains.coins",
            "FAMILIES": "bsim.chains.families",
            "address": "bsim.chains.coins",
            "coin_name": "bsim.chains.coins",
        },
    )

__all__ = ["COINS", "FAMILIES", "Coin", "address", "coin_name"]
