"""JSON-RPC's transaction objects, as wallets and libraries write them, to the RLP items of an unsigned payload."""

from collections.abc import Callable, Mapping
from typing import Final

from bsim.chains import rlp
from bsim.chains.evm import authorization
from bsim.chains.evm.address import parse_address
from bsim.chains.evm.kinds import LAYOUTS, LEGACY_TAIL, Kind
from bsim.chains.fields import Fields, hex_bytes, integer, sequence

# EIP-2718's types by the names that viem gives them; those not in `Kind` are named in the refusal only.
_TYPES: Final = {"legacy": 0, "eip2930": 1, "eip1559": 2, "eip4844": 3, "eip7702": 4}
_ALIASES: Final = {"gasLimit": "gas", "input": "data"}
# What libraries write as null where a transaction is not of the type that has it, or not signed yet.
_NULLS: Final = (
    *("type", "from", "accessList", "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas", "hash", "signature", "sig"),
    *("v", "r", "s", "yParity", "maxFeePerBlobGas", "blobVersionedHashes", "authorizationList"),
)


def items(fields: Mapping[str, object]) -> tuple[Kind, list[rlp.Decoded]]:
    """Answer the type and the items of an unsigned payload, not yet judged; ValueError names the field."""
    given = Fields(fields, _ALIASES)
    given.drop_nulls(_NULLS)
    kind = _kind(given)
    given.read("from", parse_address, b"")
    layout = LAYOUTS[kind]
    encoded: list[rlp.Decoded] = [given.read(name, _ITEMS[name], _DEFAULTS.get(name)) for name in _signed(layout)]
    given.finish()
    return kind, encoded + [b""] * (len(layout) - len(encoded))


def _signed(layout: tuple[str, ...]) -> tuple[str, ...]:
    return layout[:-2] if layout[-3:] == LEGACY_TAIL else layout


def _kind(given: Fields) -> Kind:
    """The type that is named, or the one whose fields are there."""
    if "authorizationList" in given:
        told = Kind.SET_CODE
    elif "gasPrice" in given and "maxFeePerGas" not in given:
        told = Kind.ACCESS_LIST if "accessList" in given else Kind.LEGACY
    else:
        told = Kind.FEE_MARKET
    number = given.read("type", _type, int(told))
    if number not in LAYOUTS:
        raise ValueError(f"type: {number} is not signed here: only 0, 1, 2 and 4 are")
    return Kind(number)


def _type(value: object) -> int:
    return _TYPES[value] if isinstance(value, str) and value in _TYPES else integer(value)


def _number(value: object) -> rlp.Decoded:
    return rlp.integer(integer(value))


def _recipient(value: object) -> rlp.Decoded:
    return b"" if value in (None, "", "0x") else parse_address(value)


def access_list(value: object) -> list[rlp.Decoded]:
    """Read EIP-2930's list: objects of an address and storageKeys."""
    return [_access(one, parse_address) for one in sequence(value)]


def _access(value: object, parse: Callable[[object], bytes]) -> rlp.Decoded:
    if not isinstance(value, Mapping) or value.keys() != {"address", "storageKeys"}:
        raise ValueError("an entry has an address and storageKeys, and nothing else")
    keys: list[rlp.Decoded] = [hex_bytes(key) for key in sequence(value["storageKeys"])]
    return [parse(value["address"]), keys]


def _authorizations(value: object) -> list[rlp.Decoded]:
    return [_authorization(one) for one in sequence(value)]


def _authorization(value: object) -> rlp.Decoded:
    if not isinstance(value, Mapping):
        raise ValueError("an entry is an object")
    given = Fields(value, {})
    encoded = [given.read(name, parse_address if name == "address" else _number) for name in authorization.LAYOUT]
    given.finish()
    return encoded


_ITEMS: Final[dict[str, Callable[[object], rlp.Decoded]]] = {
    "chainId": _number,
    "nonce": _number,
    "gasPrice": _number,
    "maxPriorityFeePerGas": _number,
    "maxFeePerGas": _number,
    "gas": _number,
    "to": _recipient,
    "value": _number,
    "data": hex_bytes,
    "accessList": access_list,
    "authorizationList": _authorizations,
}
_DEFAULTS: Final[dict[str, rlp.Decoded]] = {"to": b"", "value": b"", "data": b"", "accessList": []}
