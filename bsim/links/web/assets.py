"""The collectibles a card lists, for the gallery."""

from typing import Final

from bsim.chains.asset import Asset
from bsim.client import CardError, Wallet
from bsim.client.asset_json import asset_json
from bsim.links.web.message import Refusal
from bsim.links.web.operation import Call, Operation
from bsim.links.web.schema import listed, obj, text, whole
from bsim.links.web.state import on_own_channel


def _assets(call: Call) -> object:
    card = call.card

    def read() -> object:
        with on_own_channel(card) as wallet:
            return {"assets": [asset_json(asset) for asset in _listed(wallet)]}

    return card.line.run(read, slow=True)


def _listed(wallet: Wallet | None) -> list[Asset]:
    if wallet is None:
        raise Refusal(409, "the card has no channel left to be asked on", "NoChannel")
    try:
        return wallet.assets()
    except CardError:
        return []  # a card of the strict profile lists nothing


_ASSET: Final = obj(
    ("number", "name", "media", "state"),
    number=whole(),
    slot=whole(),
    family=text(),
    chain_id={"type": ["integer", "string"]},
    contract=text(),
    token_id=text(),
    standard=text(),
    amount=text(),
    name=text(),
    media=text("a URI; data: URIs hold the picture itself"),
    issuer=text(),
    policy=listed(text()),
    acquired_at=text("RFC 3339"),
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
