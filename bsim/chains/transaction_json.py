"""JSON transaction objects as wallets and libraries write them: what is the same on every chain with contracts."""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from bsim.chains import rlp
from bsim.chains.fields import Fields, hex_bytes, integer, sequence

Parse: TypeAlias = Callable[[object], rlp.Decoded]

# EIP-2718's types by the names that viem gives them; those that are not signed here are named in the refusal only.
_TYPES: Final = {"legacy": 0, "eip2930": 1, "eip1559": 2, "eip4844": 3, "eip7702": 4}
_ALIASES: Final = {"gasLimit": "gas", "input": "data"}
# What libraries write as null where a transaction is not of the type that has it, or not signed yet.
_NULLS: Final = (
    *("type", "from", "accessList", "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas", "hash", "signature", "sig"),
    *("v", "r", "s", "yParity", "maxFeePerBlobGas", "blobVersionedHashes", "authorizationList"),
)
_DEFAULTS: Final[dict[str, rlp.Decoded]] = {"to": b"", "value": b"", "data": b"", "accessList": []}


def fields(given: Mapping[str, object]) -> Fields:
    """Take an object's fields, under one name each and without the nulls that libraries write."""
    found = Fields(given, _ALIASES)
    found.drop_nulls(_NULLS)
    return found


def kind(given: Fields, signed: tuple[int, ...]) -> int:
    """Answer the type that is named, or the one whose fields are there; ValueError if it is none of `signed`."""
    if "authorizationList" in given:
        told = _TYPES["eip7702"]
    elif "gasPrice" in given and "maxFeePerGas" not in given:
        told = _TYPES["eip2930" if "accessList" in given else "legacy"]
    else:
        told = _TYPES["eip1559"]
    number = given.read("type", _type, told)
    if number not in signed:
        raise ValueError(f"type: {number} is not signed here: only {', '.join(map(str, signed))} are")
    return number


def _type(value: object) -> int:
    return _TYPES[value] if isinstance(value, str) and value in _TYPES else integer(value)


def items(given: Fields, layout: tuple[str, ...], parsers: Mapping[str, Parse]) -> list[rlp.Decoded]:
    """Read the fields of a layout, numbers where `parsers` has none; all that is not asked for is refused."""
    encoded: list[rlp.Decoded] = [given.read(name, parsers.get(name, number), _DEFAULTS.get(name)) for name in layout]
    given.finish()
    return encoded


def parsers(address: Callable[[object], bytes]) -> dict[str, Parse]:
    """Answer how the fields that are no numbers are read, on a chain with these addresses."""
    return {"to": _recipient(address), "data": hex_bytes, "accessList": _access_list(address)}


def number(value: object) -> rlp.Decoded:
    """Read a number as an RLP item."""
    return rlp.integer(integer(value))


def _recipient(address: Callable[[object], bytes]) -> Parse:
    return lambda value: b"" if value in (None, "", "0x") else address(value)


def _access_list(address: Callable[[object], bytes]) -> Parse:
    def access(value: object) -> rlp.Decoded:
        if not isinstance(value, Mapping) or value.keys() != {"address", "storageKeys"}:
            raise ValueError("an entry has an address and storageKeys, and nothing else")
        keys: list[rlp.Decoded] = [hex_bytes(key) for key in sequence(value["storageKeys"])]
        return [address(value["address"]), keys]

    return lambda value: [access(one) for one in sequence(value)]
