"""The demo's gallery: an indexer's export goes onto the card, and the card lists it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bsim.chains.asset import Asset
from bsim.cli.assets_json import read_assets
from bsim.cli.assets_list import table
from bsim.client import Wallet
from bsim.client.asset_json import asset_json

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

SAMPLE: Final = "assets.json"


@dataclass(frozen=True, slots=True)
class Gallery:
    """What the card lists: every asset of it, and one of each contract to be shown."""

    assets: tuple[Asset, ...]

    @property
    def shown(self) -> list[Asset]:
        """The first asset of each contract."""
        first: dict[bytes, Asset] = {}
        for asset in self.assets:
            first.setdefault(asset.contract, asset)
        return list(first.values())

    def as_json(self) -> dict[str, object]:
        """The same for machines."""
        return {"assets": len(self.assets), "shown": [asset_json(asset) for asset in self.shown]}

    def told(self) -> Iterator[str]:
        """The same for people, in less than a hundred columns."""
        yield from (f"   {line}" for line in table(self.shown, without=("slot", "standard", "issuer")))
        yield f"   one of each collection; the card lists {len(self.assets)} assets"


def collect(wallet: Wallet, file: "Traversable") -> Gallery:
    """List a file's assets on a card whose BPIN is verified, and read back what the card lists."""
    for asset in read_assets(file):
        wallet.add_asset(asset)
    return Gallery(tuple(wallet.assets()))
