"""Assets and contacts on a card, as apps use them: every command as a typed call."""

from dataclasses import dataclass
from typing import Final

from bsim.applets.assets_state import encode_new_contact, parse_contacts
from bsim.applets.registry import MAX_ASSETS
from bsim.chains import asset as assets
from bsim.chains import asset_stream
from bsim.chains.asset import Asset
from bsim.client import Wallet
from bsim.spec import spec

_COMMANDS: Final = spec().applets["wallet"].commands
_SEGMENT: Final = 256
# As many segments as all the assets there can be, of the longest there are, would fill.
_MOST: Final = MAX_ASSETS * (assets.MAX_NEW + 16) // _SEGMENT
_PAGES: Final = len(_COMMANDS["GET_ASSET"].p2.legal)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which assets are meant: those of a chain (family and id), of a contract, of a slot, or all."""

    filter: str = "ALL"
    value: bytes = b""

    @classmethod
    def chain(cls, family: int, chain_id: bytes) -> "Wanted":
        """Mean the assets of a chain."""
        return cls("CHAIN", assets.chain_key(family, chain_id))

    @classmethod
    def contract(cls, contract: bytes) -> "Wanted":
        """Mean the assets of a contract, on whatever chain it has this address or name."""
        return cls("CONTRACT", contract)

    @classmethod
    def slot(cls, slot: int) -> "Wanted":
        """Mean the assets of a slot (1-127)."""
        return cls("SLOT", bytes((slot,)))

    def means(self, asset: Asset) -> bool:
        """Whether an asset is one of them."""
        holds = {"CHAIN": asset_stream.of_chain, "CONTRACT": asset_stream.of_contract, "SLOT": asset_stream.of_slot}
        return self.filter == "ALL" or holds[self.filter](asset.identity, self.value)


ALL: Final = Wanted()


class Collectibles:
    """The assets and contacts of the card a wallet is on. bsim.client.CardError for every refusal of the card.

    What changes them, and the contacts, want the BPIN verified.
    """

    def __init__(self, wallet: Wallet) -> None:
        self.wallet: Final = wallet

    def add(self, asset: Asset) -> int:
        """List an asset on the card; answers its number."""
        return int.from_bytes(self.wallet.call("ADD_ASSET", asset=asset.encode_new()), "big")

    def remove(self, number: int) -> None:
        """Take an asset off the list."""
        self.wallet.call("REMOVE_ASSET", number=number)

    def list(self, wanted: Wanted = ALL) -> list[Asset]:
        """Answer the assets by number; ValueError if the card's answer is malformed."""
        selected = _COMMANDS["LIST_ASSETS"].p1.values[wanted.filter]
        return asset_stream.parse_all(
            self.wallet.stream("LIST_ASSETS", most=_MOST, filter=selected, wanted=wanted.value)
        )

    def get(self, number: int) -> Asset:
        """Answer one asset; ValueError if the card's answer is malformed."""
        segments = []
        for page in range(_PAGES):
            segment, more = self.wallet.segment("GET_ASSET", page=page, number=number)
            segments.append(segment)
            if not more:
                break
        return assets.parse(b"".join(segments))

    def count(self, wanted: Wanted = ALL) -> int:
        """Answer how many assets there are, without reading them."""
        selected = _COMMANDS["COUNT_ASSETS"].p1.values[wanted.filter]
        return int.from_bytes(self.wallet.call("COUNT_ASSETS", filter=selected, wanted=wanted.value), "big")

    def contacts(self) -> dict[str, str]:
        """Answer the contacts: addresses by name. ValueError if the card's answer is malformed."""
        action = _COMMANDS["CONTACTS"].p1.values["LIST"]
        return dict(parse_contacts(self.wallet.stream("CONTACTS", most=_MOST, action=action, contact=b"")))

    def add_contact(self, name: str, address: str) -> None:
        """Have summaries show an address by a name."""
        self._change_contact("PUT", name, address)

    def remove_contact(self, name: str, address: str) -> None:
        """Take out a contact."""
        self._change_contact("REMOVE", name, address)

    def _change_contact(self, action: str, name: str, address: str) -> None:
        changed = _COMMANDS["CONTACTS"].p1.values[action]
        self.wallet.call("CONTACTS", action=changed, part=0, contact=encode_new_contact(name, address))
