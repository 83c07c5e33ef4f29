"""Assets as JSON: what `bsim assets list --json` prints and the web server answers."""

from datetime import UTC, datetime
from typing import Final

from bsim.chains import addresses
from bsim.chains.asset import Asset, Policy, Standard


class Words(dict[str, int]):
    """What a coded value is called, and back."""

    def parse(self, value: object) -> int:
        """Look a name up; ValueError says which there are."""
        if not isinstance(value, str) or value not in self:
            raise ValueError(f"one of {', '.join(self)} is wanted")
        return self[value]

    def name(self, code: int) -> str:
        """Name a code; the number where it is not known."""
        return next((name for name, known in self.items() if known == code), str(code))


FAMILIES: Final = Words({"evm": 1, "conflux": 2, "chainmaker": 3, "fisco-bcos": 4})
STANDARDS: Final = Words(
    {
        "ERC-721": Standard.ERC721,
        "ERC-1155": Standard.ERC1155,
        "CRC-721": Standard.CRC721,
        "CRC-1155": Standard.CRC1155,
        "permissioned": Standard.PERMISSIONED,
    }
)
POLICIES: Final = Words(
    {"transferable": Policy.TRANSFERABLE, "gift-only": Policy.GIFT_ONLY, "not-for-resale": Policy.NOT_FOR_RESALE}
)


def asset_json(asset: Asset) -> dict[str, object]:
    """One asset for machines; numbers that JSON's readers may not hold are text."""
    return {
        "number": asset.number,
        "slot": asset.slot,
        "family": FAMILIES.name(asset.family),
        "chain_id": addresses.write_chain_id(asset.family, asset.chain_id),
        "contract": contract_of(asset),
        "token_id": str(int.from_bytes(asset.token_id, "big")),
        "standard": STANDARDS.name(asset.standard),
        "amount": str(asset.amount),
        "name": asset.name,
        "media": asset.media,
        "issuer": asset.issuer,
        "policy": policies(asset.policy),
        "acquired_at": time_of(asset.acquired_at),
        "state": asset.state.name.lower(),
    }


def contract_of(asset: Asset) -> str:
    """The contract as its chain writes it."""
    return addresses.write(asset.family, asset.chain_id, asset.contract)


def time_of(seconds: int) -> str:
    """Seconds since 1970 as RFC 3339; a time that Python's calendar does not reach, as the number."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, OSError, ValueError):
        return str(seconds)


def policies(policy: Policy) -> list[str]:
    """The flags that are set, by name."""
    return [name for name, flag in POLICIES.items() if flag & policy]
