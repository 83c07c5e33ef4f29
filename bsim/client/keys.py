"""The keys in a card's slots, as calls."""

from typing import Final

from bsim import tlv
from bsim.client.account import Account
from bsim.client.connection import CardError, Connection
from bsim.crypto.algorithm import Algorithm
from bsim.sw import SW

_MOST_SEGMENTS: Final = 64  # the wallet app gives up after so many


class KeyCalls(Connection):
    """Slots are filled and read."""

    def derive(self, coin_type: int, algorithm: Algorithm = Algorithm.SECP256K1) -> Account:
        """Make the key of the next free slot, and answer it."""
        self.call("DERIVE_KEY", coin_type=coin_type, algorithm=algorithm)
        return self.accounts()[-1]

    def accounts(self) -> list[Account]:
        """Answer the keys of all slots, in their order."""
        return [Account.parse(part) for part in tlv.parse(self.stream("EXPORT_PUBKEYS", most=_MOST_SEGMENTS))]

    def account(self, slot: int) -> Account:
        """Answer the key of a slot (1-127); CardError 6A88 if there is none."""
        found = next((account for account in self.accounts() if account.slot == slot), None)
        if found is None:
            raise CardError("EXPORT_PUBKEYS", SW.REFERENCED_DATA_NOT_FOUND)
        return found
