"""JSON-RPC's transaction objects to the RLP items of an unsigned payload."""

from collections.abc import Mapping

from bsim.chains import rlp, transaction_json
from bsim.chains.evm import authorization
from bsim.chains.evm.kinds import LAYOUTS, LEGACY_TAIL, Kind
from bsim.chains.evm_account import parse_address
from bsim.chains.fields import Fields, sequence


def items(fields: Mapping[str, object]) -> tuple[Kind, list[rlp.Decoded]]:
    """Answer the type and the items of an unsigned payload, not yet judged; ValueError names the field."""
    given = transaction_json.fields(fields)
    kind = Kind(transaction_json.kind(given, tuple(LAYOUTS)))
    given.read("from", parse_address, b"")
    parsers = transaction_json.parsers(parse_address) | {"authorizationList": _authorizations}
    if kind is not Kind.LEGACY:
        return kind, transaction_json.items(given, LAYOUTS[kind], parsers)
    # EIP-155: r and s stand in the payload, empty, and in no JSON.
    return kind, [*transaction_json.items(given, LAYOUTS[kind][: 1 - len(LEGACY_TAIL)], parsers), b"", b""]


def _authorizations(value: object) -> rlp.Decoded:
    return [_authorization(one) for one in sequence(value)]


def _authorization(value: object) -> rlp.Decoded:
    if not isinstance(value, Mapping):
        raise ValueError("an entry is an object")
    return transaction_json.items(Fields(value, {}), authorization.LAYOUT, {"address": parse_address})
