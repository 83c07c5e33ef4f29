"""Assets read from JSON: what `bsim assets list --json` prints, and what an indexer's export has."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial, reduce
from operator import or_
from typing import TYPE_CHECKING, Final

from bsim.chains import addresses
from bsim.chains.asset import Asset, Policy, Standard
from bsim.chains.fields import U256, Fields, integer, sequence
from bsim.cli.common import UsageError
from bsim.cli.json_file import read_json
from bsim.client.asset_json import FAMILIES, POLICIES, STANDARDS

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


_OWN: Final = ("number", "state")  # the card's to give: taken, and of no consequence
_FIELDS: Final = frozenset(
    (
        *("family", "chain_id", "contract", "token_id", "standard", "slot", "amount", "policy", "acquired_at"),
        *("name", "media", "issuer", *_OWN),
    )
)


def read_assets(file: "str | Traversable") -> list[Asset]:
    """Read a file of assets: an array, or an object with one under "assets". UsageError names what is wrong."""
    found = read_json(file)
    listed = found.get("assets") if isinstance(found, dict) else found
    if not isinstance(listed, list):
        raise UsageError(f'{file}: a list of assets is wanted, or an object that has one under "assets"')
    return [_numbered(file, number, one) for number, one in enumerate(listed, 1)]


def asset_of(given: Mapping[str, object], chain: tuple[int, bytes] | None = None) -> Asset:
    """Make an asset of its fields, and of its chain (family and id) where that is known otherwise.

    ValueError begins with the name of the field that is missing, unknown or wrong.
    """
    unknown = sorted(given.keys() - _FIELDS)
    if unknown:
        raise ValueError(f"{unknown[0]}: no field of an asset")
    fields = Fields(given, {})
    family, chain_id = chain or _chain(fields)
    return Asset(
        slot=fields.number("slot", 128, 1),
        family=family,
        chain_id=chain_id,
        contract=fields.read("contract", lambda value: addresses.read(family, chain_id, _text(value))),
        token_id=fields.number("token_id", U256).to_bytes(32, "big"),
        standard=Standard(fields.read("standard", STANDARDS.parse)),
        amount=fields.number("amount", U256, 1),
        policy=fields.read("policy", _policy, Policy.TRANSFERABLE),
        acquired_at=fields.read("acquired_at", _seconds, 0),
        name=fields.read("name", _text, ""),
        media=fields.read("media", _text, ""),
        issuer=fields.read("issuer", _text, ""),
    )


def _numbered(file: "str | Traversable", number: int, fields: object) -> Asset:
    try:
        if not isinstance(fields, dict):
            raise ValueError("an object is wanted")  # noqa: TRY004 - one fault of the file among others
        return asset_of(fields)
    except ValueError as fault:
        raise UsageError(f"{file}: asset {number}: {fault}") from fault


def _chain(fields: Fields) -> tuple[int, bytes]:
    family = fields.read("family", FAMILIES.parse)
    return family, fields.read("chain_id", partial(_chain_id, family))


def _chain_id(family: int, value: object) -> bytes:
    if not isinstance(value, int | str) or isinstance(value, bool):
        raise ValueError("a number or text is wanted")  # noqa: TRY004 - one fault of the file among others
    return addresses.read_chain_id(family, value)


def _policy(value: object) -> Policy:
    return Policy(reduce(or_, map(POLICIES.parse, sequence(value)), 0))


def _seconds(value: object) -> int:
    if not isinstance(value, str) or value.isdecimal():
        return integer(value)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("a time as 2025-01-31T12:00:00Z is wanted") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("text is wanted")  # noqa: TRY004 - one fault of the file among others
    return value
