"""Assets and contacts of cards of the extended profile, as typed calls."""

from dataclasses import dataclass, replace
from typing import Final

from bsim.applets.assets_state import encode_new_contact, parse_contacts
from bsim.applets.registry import MAX_ASSETS
from bsim.chains import FAMILIES, asset_stream
from bsim.chains import asset as assets
from bsim.chains.asset import Asset
from bsim.chains.asset_layout import MAX_NEW
from bsim.chains.asset_transfer import Purpose, Terms, transaction, transferable
from bsim.client.signing import Signed, SigningCalls
from bsim.spec import spec

_COMMANDS: Final = spec().applets["wallet"].commands
_SEGMENT: Final = 256
# As many segments as all the assets there can be, of the longest there are, would fill.
_MOST: Final = MAX_ASSETS * (MAX_NEW + 16) // _SEGMENT
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
        holds = {
            "CHAIN": asset_stream.of_chain,
            "CONTRACT": asset_stream.of_contract,
            "SLOT": asset_stream.of_slot,
        }
        return self.filter == "ALL" or holds[self.filter](self.value, asset.identity)


ALL: Final = Wanted()


class AssetCalls(SigningCalls):
    """The assets and contacts of a card. What changes them, and the contacts, want the BPIN verified."""

    def add_asset(self, asset: Asset) -> int:
        """List an asset on the card; answers its number. CardError 6985 if it is listed already."""
        return int.from_bytes(self.call("ADD_ASSET", asset=asset.encode_new()), "big")

    def remove_asset(self, number: int) -> None:
        """Take an asset off the list; CardError 6A88 if there is none of this number."""
        self.call("REMOVE_ASSET", number=number)

    def assets(self, wanted: Wanted = ALL) -> list[Asset]:
        """Answer the assets by number; ValueError if the card's answer is malformed."""
        selected = _COMMANDS["LIST_ASSETS"].p1.values[wanted.filter]
        return assets.parse_all(self.stream("LIST_ASSETS", most=_MOST, filter=selected, wanted=wanted.value))

    def asset(self, number: int) -> Asset:
        """Answer one asset; CardError 6A88 if there is none, ValueError if the card's answer is malformed."""
        segments = []
        for page in range(_PAGES):
            segment, more = self.segment("GET_ASSET", page=page, number=number)
            segments.append(segment)
            if not more:
                break
        return assets.parse(b"".join(segments))

    def count_assets(self, wanted: Wanted = ALL) -> int:
        """Answer how many assets there are, without reading them."""
        selected = _COMMANDS["COUNT_ASSETS"].p1.values[wanted.filter]
        return int.from_bytes(self.call("COUNT_ASSETS", filter=selected, wanted=wanted.value), "big")

    def transfer_asset(
        self, number: int, terms: Terms, purpose: Purpose = Purpose.GIFT, *, again: bool = False
    ) -> Signed:
        """Have the transfer of an asset shown and signed; the card marks it as leaving.

        Waits while the user types the BPIN, reads and decides; CardError 6985 if the answer is no, or one was signed
        before and this is not `again`, 6986 if the asset's policy forbids it. ValueError for terms no transaction has.
        An amount of 0 is all there is.
        """
        asset = self.asset(number)
        account = self.account(asset.slot)
        if not transferable(asset):
            raise ValueError("transfers are built of ERC and CRC tokens only, each on a chain of its own kind")
        terms = replace(terms, amount=terms.amount or asset.amount)
        signable = transaction(asset, account.public_key, terms)
        numbers = (terms.amount, terms.nonce, terms.gas, terms.max_fee, terms.max_priority_fee)
        names = [field.name for field in _COMMANDS["TRANSFER_ASSET"].data][2:]
        encoded = map(_minimal, (*numbers, terms.storage_limit, terms.epoch_height))
        values: dict[str, int | bytes] = dict(zip(names, encoded, strict=True))
        self._when_verified(
            "TRANSFER_ASSET", purpose=purpose, attempt=again, number=number.to_bytes(4, "big"), to=terms.to, **values
        )
        return self._result(account, FAMILIES[asset.family], signable)

    def contacts(self) -> dict[str, str]:
        """Answer the contacts: addresses by name. ValueError if the card's answer is malformed."""
        action = _COMMANDS["CONTACTS"].p1.values["LIST"]
        return dict(parse_contacts(self.stream("CONTACTS", most=_MOST, action=action, contact=b"")))

    def add_contact(self, name: str, address: str) -> None:
        """Have summaries show an address by a name; CardError 6985 if either is taken."""
        self._change_contact("PUT", name, address)

    def remove_contact(self, name: str, address: str) -> None:
        """Take out a contact; CardError 6A88 if there is no such one."""
        self._change_contact("REMOVE", name, address)

    def _change_contact(self, action: str, name: str, address: str) -> None:
        changed = _COMMANDS["CONTACTS"].p1.values[action]
        self.call("CONTACTS", action=changed, part=0, contact=encode_new_contact(name, address))


def _minimal(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
