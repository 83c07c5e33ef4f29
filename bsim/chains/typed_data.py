"""Typed data: EIP-712, and CIP-23 for Conflux Core Space, which names the domain's type differently.

The payload is canonical JSON (RFC 8785 for what may occur here: no fractions, whole numbers within 2^53). All of it
is signed and shown; what would not be signed, such as a type that is not used, is refused.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from bsim.chains.core_account import encode
from bsim.chains.evm_account import checksum, parse_address
from bsim.chains.family import Line, Names, Signature, Summary, called, nobody
from bsim.chains.fields import hex_bytes, nesting
from bsim.chains.personal import CFX_PREFIX, ETH_PREFIX, signed
from bsim.chains.typed_types import Types, array, atomic
from bsim.crypto.keccak import keccak256


class Kind(NamedTuple):
    """One of the two standards: the name of its domain's type, and the one whose libraries' signatures it has."""

    domain: str
    prefix: bytes


ETHEREUM: Final = Kind("EIP712Domain", ETH_PREFIX)
CONFLUX: Final = Kind("CIP23Domain", CFX_PREFIX)

# EIP-712 "Definition of domainSeparator": these, in this order, those that do not apply left out.
_DOMAIN: Final = {
    "name": "string",
    "version": "string",
    "chainId": "uint256",
    "verifyingContract": "address",
    "salt": "bytes32",
}
_MAX_DEPTH: Final = 32  # ours
_SAFE: Final = 1 << 53  # RFC 8785 3.2.2.3, RFC 7493 2.2: larger numbers are written as strings
_WHOLE: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,77})|0x[0-9a-fA-F]{1,64}")
_UNLIMITED_BITS: Final = 160  # allowances are uint256 (EIP-2612) or uint160 (Permit2); smaller ones are times

Write = Callable[[bytes], str]


@dataclass(frozen=True, slots=True)
class TypedData:
    """One message under its domain. `domain` and `message` are JSON values that fit their types."""

    kind: Kind
    types: Types
    primary: str
    domain: dict[str, object]
    message: object
    hash: bytes

    def digest(self, public_key: bytes = b"") -> bytes:  # noqa: ARG002 - of no account here
        """Answer keccak256(19 01 | domainSeparator | hashStruct(message))."""
        return self.hash

    def summary(self, names: Names = nobody) -> Summary:
        """Show each value of domain and message under its path, and the type that says what they are."""
        walk = _Walk(self.types, self._write(names))
        walk.struct(self.kind.domain, self.domain, "Domain ")
        walk.struct(self.primary, self.message, "")
        name = self.domain.get("name")
        title = f"Sign {self.primary}" + (f" for {name}" if name else "")
        return Summary(title, (*walk.lines, Line("Type", self.types.written(self.primary))))

    def signed(self, signature: Signature, public_key: bytes = b"") -> bytes:  # noqa: ARG002 - it can be recovered
        """Answer r | s | v, 65 bytes."""
        return signed(self.kind.prefix, signature)

    def _write(self, names: Names) -> Write:
        network = _number(self.domain.get("chainId", 0))
        if self.kind is CONFLUX and 0 < network < 1 << 32:
            return lambda account: called(names, encode(account, network))
        return lambda account: called(names, checksum(account))


class _Walk:
    """One way through a value by its type: hashes it as `encodeData` does, and writes a line for each part."""

    def __init__(self, types: Types, write: Write = checksum) -> None:
        self.lines: list[Line] = []
        self._types = types
        self._write = write
        self._hashes: dict[str, bytes] = {}

    def struct(self, name: str, value: object, path: str) -> bytes:
        """Answer `hashStruct`; ValueError names the path of what does not fit."""
        members = self._types.structs[name]
        if not isinstance(value, dict) or value.keys() != {member.name for member in members}:
            raise ValueError(f"{path or 'message'}: not an object with the members of its type and no others")
        if not members:
            self.lines.append(Line(path or "message", "(nothing)"))
        prefix = f"{path}." if path and not path.endswith(" ") else path
        encoded = [self._value(member.type, value[member.name], prefix + member.name) for member in members]
        if name not in self._hashes:
            self._hashes[name] = self._types.hash(name)
        return keccak256(self._hashes[name] + b"".join(encoded))

    def _value(self, name: str, value: object, path: str) -> bytes:
        """Answer the 32 bytes of `encodeData` for one value."""
        if name in self._types.structs:
            return self.struct(name, value, path)
        found = array(name)
        if found is None:
            encoded, text = _atom(name, value, path, self._write)
            self.lines.append(Line(path, text))
            return encoded
        element, length = found
        if not isinstance(value, list) or (length is not None and len(value) != length):
            raise ValueError(f"{path}: not a list, or not as long as its type has it")
        if not value:
            self.lines.append(Line(path, "(empty list)"))
        return keccak256(b"".join(self._value(element, one, f"{path}[{at}]") for at, one in enumerate(value)))


def _atom(name: str, value: object, path: str, write: Write) -> tuple[bytes, str]:
    """Answer the 32 bytes of a value of an atomic or dynamic type, and its text."""
    try:
        if name in ("string", "bytes"):
            return _dynamic(name, value)
        if name == "address":
            account = parse_address(value)
            return account.rjust(32, b"\0"), write(account)
        if name == "bool":
            if not isinstance(value, bool):
                raise ValueError("neither true nor false")
            return int(value).to_bytes(32, "big"), "yes" if value else "no"
        return _sized(name, value)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _dynamic(name: str, value: object) -> tuple[bytes, str]:
    if name == "bytes":
        content = hex_bytes(value)
        return keccak256(content), f"0x{content.hex()}"
    if not isinstance(value, str):
        raise ValueError("not a string")
    return keccak256(value.encode()), value or "(empty)"


def _sized(name: str, value: object) -> tuple[bytes, str]:
    match = atomic(name)
    if match is None:
        raise ValueError("of a type that is not there")
    if match["length"]:
        content = hex_bytes(value)
        if len(content) != int(match["length"]):
            raise ValueError(f"not {match['length']} bytes")
        return content.ljust(32, b"\0"), f"0x{content.hex()}"
    number, bits = _number(value), int(match["bits"])
    least, most = (0, (1 << bits) - 1) if match["unsigned"] else (-1 << (bits - 1), (1 << (bits - 1)) - 1)
    if not least <= number <= most:
        raise ValueError(f"not within {name}")
    unlimited = match["unsigned"] and number == most and bits >= _UNLIMITED_BITS
    return number.to_bytes(32, "big", signed=number < 0), f"UNLIMITED ({number})" if unlimited else str(number)


def _number(value: object) -> int:
    """Read a whole number below 2^53, or a text of one: decimal, or 0x and hex digits."""
    if isinstance(value, int) and not isinstance(value, bool) and -_SAFE < value < _SAFE:
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value) and value != "-0":
        return int(value, 0)
    raise ValueError("neither a whole number below 2^53 nor a text of one")


def _decode(payload: bytes, kind: Kind) -> TypedData:
    top = _canonical(payload)
    if not isinstance(top, dict) or top.keys() != {"types", "primaryType", "domain", "message"}:
        raise ValueError("typed data: not an object of types, primaryType, domain and message")
    types, primary, domain = Types.parse(top["types"]), top["primaryType"], top["domain"]
    if not isinstance(primary, str) or primary not in types.structs or primary == kind.domain:
        raise ValueError("primaryType: not one of the types, or the domain's")
    _check_domain(types, kind)
    if types.structs.keys() != types.reached(primary) | {kind.domain}:
        raise ValueError("types: a type that nothing is of")
    if kind.domain in types.reached(primary) or not isinstance(domain, dict):
        raise ValueError("domain: not an object, or part of the message")
    walk = _Walk(types)
    separator = walk.struct(kind.domain, domain, "Domain ")
    struct = walk.struct(primary, top["message"], "")
    return TypedData(kind, types, primary, domain, top["message"], keccak256(b"\x19\x01" + separator + struct))


def _check_domain(types: Types, kind: Kind) -> None:
    members = types.structs.get(kind.domain)
    if not members:
        raise ValueError(f"types: no {kind.domain}, or one without members")
    names = [member.name for member in members]
    if any(_DOMAIN.get(member.name) != member.type for member in members) or names != [
        n for n in _DOMAIN if n in names
    ]:
        raise ValueError(f"types: {kind.domain} has a member that is not the standard's, or another order")


def _canonical(payload: bytes) -> object:
    """Read canonical JSON; ValueError for any other writing of it."""
    try:
        text = payload.decode()
        if nesting(text) > _MAX_DEPTH + 1:
            raise ValueError(f"nested deeper than {_MAX_DEPTH}")
        value: object = json.loads(text, parse_float=_refuse, parse_constant=_refuse)
        _check_depth(value, 0)
        written = _written(value)
    except (ValueError, RecursionError):
        # Raised anew: the library's words quote the payload.
        raise ValueError("typed data: not JSON, or with fractions, or nested too deep") from None
    if written != payload:
        raise ValueError("typed data: not canonical JSON: sorted keys, no spaces, UTF-8, no name twice")
    return value


def _refuse(_text: str) -> object:
    raise ValueError("a number that is not whole")


def _check_depth(value: object, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError(f"nested deeper than {_MAX_DEPTH}")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        _check_depth(one, depth + 1)


def _written(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def decode(payload: bytes) -> TypedData:
    """Read typed data of EIP-712; ValueError names what is wrong by its path."""
    return _decode(payload, ETHEREUM)


def decode_core(payload: bytes) -> TypedData:
    """Read typed data of CIP-23; ValueError names what is wrong by its path."""
    return _decode(payload, CONFLUX)


def from_json(fields: Mapping[str, object], kind: Kind = ETHEREUM) -> bytes:
    """Write the payload of typed data as libraries have it; ValueError where `decode` would refuse it.

    Large numbers become strings, a domain's type that was left out is added, types that nothing is of are dropped.
    """
    types, domain = fields.get("types"), fields.get("domain")
    if not isinstance(types, Mapping) or not isinstance(domain, Mapping):
        raise ValueError("typed data: types and domain are objects")
    told = {kind.domain: [{"name": name, "type": _DOMAIN[name]} for name in _DOMAIN if name in domain], **types}
    primary = fields.get("primaryType")
    if isinstance(primary, str) and primary in told:
        used = Types.parse(told).reached(primary) | {kind.domain}
        told = {name: members for name, members in told.items() if name in used}
    try:
        payload = _written(_portable({**fields, "types": told}))
    except (ValueError, TypeError, RecursionError):
        raise ValueError("typed data: not what JSON can write") from None
    _decode(payload, kind)
    return payload


def _portable(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _portable(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_portable(one) for one in value]
    large = isinstance(value, int) and not -_SAFE < value < _SAFE
    return str(value) if large else value
