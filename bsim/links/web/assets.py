"""The collectibles a card lists, for the gallery."""

from typing import Final

from bsim.chains import addresses
from bsim.chains.asset import Asset, Policy
from bsim.client import CardError, Wallet
from bsim.links.web.message import Refusal
from bsim.links.web.operation import Call, Operation
from bsim.links.web.schema import listed, obj, text, whole
from bsim.links.web.state import on_own_channel

_FAMILIES: Final = {1: "evm", 2: "conflux", 3: "chainmaker", 4: "fisco-bcos"}


def _assets(call: Call) -> object:
    card = call.card

    def read() -> object:
        with on_own_channel(card) as wallet:
            return {"assets": [_asset_json(asset) for asset in _listed(wallet)]}

    return card.line.run(read, slow=True)


def _listed(wallet: Wallet | None) -> list[Asset]:
    if wallet is None:
        raise Refusal(409, "the card has no channel left to be asked on", "NoChannel")
    try:
        return wallet.assets()
    except CardError:
        return []  # a card of the strict profile lists nothing


def _asset_json(asset: Asset) -> dict[str, object]:
    """One asset; numbers that JSON's readers may not hold are text."""
    return {
        "number": asset.number,
        "slot": asset.slot,
        "family": _FAMILIES.get(asset.family, str(asset.family)),
        "chain_id": str(addresses.write_chain_id(asset.family, asset.chain_id)),
        "contract": addresses.write(asset.family, asset.chain_id, asset.contract),
        "token_id": str(int.from_bytes(asset.token_id, "big")),
        "standard": asset.standard.name,
        "amount": str(asset.amount),
        "name": asset.name,
        "media": asset.media,
        "issuer": asset.issuer,
        "policy": [str(flag.name).lower() for flag in Policy if flag & asset.policy],
        "acquired_at": asset.acquired_at,
        "state": asset.state.name.lower(),
    }


_ASSET: Final = obj(
    ("number", "name", "media", "state"),
    number=whole(),
    slot=whole(),
    family=text(),
    chain_id=text(),
    contract=text(),
    token_id=text(),
    standard=text(),
    amount=text(),
    name=text(),
    media=text("a URI; data: URIs hold the picture itself"),
    issuer=text(),
    policy=listed(text()),
    acquired_at=whole("seconds since 1970"),
    state=text("held, or leaving"),
)

OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/cards/{card}/assets",
        "listAssets",
        "The collectibles the card lists",
        _assets,
        obj(("assets",), assets=listed(_ASSET)),
        refusals=(404, 409, 503),
    ),
)
