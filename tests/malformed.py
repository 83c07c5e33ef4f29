"""Malformed payloads of every family: a well-formed one, broken in one way that its standard does not forgive.

`malformed(code, rng)` answers the name of the way and the payload. Each is refused by construction, so a payload
that is decoded is a fault of the decoder and not of this file.
"""

import json
from collections.abc import Callable
from random import Random
from typing import Any, Final

from payloads import PAYLOADS

from bsim.chains import FAMILIES, rlp
from bsim.chains.evm.kinds import CHAIN_IDS, LAYOUTS, Kind

Break = Callable[[bytes, Random], bytes]

# Where the numbers of an RLP payload stand, by its layout's names.
_NUMBERS: Final = {
    *("chainId", "nonce", "gasPrice", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "value", "storageLimit"),
    *("epochHeight", "randomid", "gasLimit", "blockLimit", "fiscoChainId", "groupId"),
}
_CORE: Final = ("gas", "to", "value", "storageLimit", "epochHeight", "chainId", "data")
_CONFLUX: Final = {
    0: ("nonce", "gasPrice", *_CORE),
    1: ("nonce", "gasPrice", *_CORE, "accessList"),
    2: ("nonce", "maxPriorityFeePerGas", "maxFeePerGas", *_CORE, "accessList"),
}
_FISCO: Final = (
    *("randomid", "gasPrice", "gasLimit", "blockLimit", "to", "value", "data", "fiscoChainId", "groupId", "extraData"),
)


def _parts(code: int, payload: bytes) -> tuple[bytes, tuple[str, ...], list[Any]]:
    """What stands before the RLP, the names of its items, and the items."""
    if code == 0x04:
        return b"", _FISCO, list(rlp.decode(payload))
    if code == 0x02:
        prefix = payload[:4] if payload[:3] == b"cfx" else b""
        return prefix, _CONFLUX[prefix[3] if prefix else 0], list(rlp.decode(payload[len(prefix) :]))
    prefix = payload[:1] if payload[0] < 0xC0 else b""
    return prefix, LAYOUTS[Kind(prefix[0] if prefix else 0)], list(rlp.decode(payload[len(prefix) :]))


def _head(length: int, kind: int) -> bytes:
    """A length in the long form, whatever it is: canonical for more than 55 bytes only, with a zero never."""
    size = length.to_bytes(max(1, (length.bit_length() + 7) // 8), "big")
    size = size if length <= 55 else b"\0" + size
    return bytes((kind + 55 + len(size),)) + size


def _joined(prefix: bytes, encoded: list[bytes]) -> bytes:
    body = b"".join(encoded)
    return prefix + rlp.encode([b""] * len(body))[: -len(body)] + body if body else prefix + b"\xc0"


def _with(code: int, payload: bytes, rng: Random, spoil: Callable[[str, Any], bytes | None]) -> bytes:
    """Encode the items again, one of them as `spoil` has it; None leaves that item alone and another is tried."""
    prefix, names, items = _parts(code, payload)
    places = list(range(len(items)))
    rng.shuffle(places)
    for place in places:
        spoilt = spoil(names[place], items[place])
        if spoilt is not None:
            encoded = [rlp.encode(item) for item in items]
            encoded[place] = spoilt
            return _joined(prefix, encoded)
    raise AssertionError("nothing to break")


def _rlp_breaks(code: int) -> dict[str, Break]:
    def long_form(name: str, item: Any) -> bytes:
        body = rlp.encode(item)
        if isinstance(item, bytes):
            return _head(len(item), 0x80) + item
        return _head(len(rlp.encode(item)) - _prefix_length(body), 0xC0) + body[_prefix_length(body) :]

    def leading_zero(name: str, item: Any) -> bytes | None:
        return rlp.encode(b"\0" + item) if name in _NUMBERS else None

    def oversized(name: str, item: Any) -> bytes | None:
        return rlp.encode(b"\1" + bytes(32)) if name in _NUMBERS else None

    def byte_with_prefix(name: str, item: Any) -> bytes | None:
        return b"\x81\x07" if isinstance(item, bytes) and name in _NUMBERS | {"data"} else None

    def confused(name: str, item: Any) -> bytes:
        return rlp.encode([item]) if isinstance(item, bytes) else rlp.encode(b"\7" * 20)

    def short_address(name: str, item: Any) -> bytes | None:
        return rlp.encode(b"\1" * 19) if name == "to" else None

    def chain(value: int) -> Break:
        def spoil(name: str, item: Any) -> bytes | None:
            return rlp.encode(rlp.integer(value)) if name in ("chainId", "fiscoChainId") else None

        return lambda payload, rng: _with(code, payload, rng, spoil)

    def less(payload: bytes, rng: Random) -> bytes:
        prefix, _, items = _parts(code, payload)
        del items[rng.randrange(len(items))]
        return prefix + rlp.encode(items)

    def more(payload: bytes, rng: Random) -> bytes:
        prefix, _, items = _parts(code, payload)
        items.insert(rng.randrange(len(items) + 1), rng.choice((b"", b"\1", [])))
        return prefix + rlp.encode(items)

    def nested(payload: bytes, rng: Random) -> bytes:
        prefix, _, items = _parts(code, payload)
        return prefix + rlp.encode([items])

    def of(spoil: Callable[[str, Any], bytes | None]) -> Break:
        return lambda payload, rng: _with(code, payload, rng, spoil)

    return {
        "a length that need not be long": of(long_form),
        "a leading zero": of(leading_zero),
        "an oversized integer": of(oversized),
        "a byte with a prefix": of(byte_with_prefix),
        "a list for bytes or bytes for a list": of(confused),
        "an address of 19 bytes": of(short_address),
        "no chain": chain(0),
        "a chain too large": chain(CHAIN_IDS),
        "a field too few": less,
        "a field too many": more,
        "a list in a list": nested,
        "cut short": lambda payload, rng: payload[: rng.randrange(len(payload))],
        "bytes after the end": lambda payload, rng: payload + rng.randbytes(rng.randint(1, 4)),
    }


def _prefix_length(encoded: bytes) -> int:
    return 1 if encoded[0] <= 0xF7 else 1 + encoded[0] - 0xF7


def _unknown_type(payload: bytes, rng: Random) -> bytes:
    body = payload if payload[0] >= 0xC0 else payload[1:]
    return bytes((rng.choice((0, 3, 5, 0x7F, 0x80, 0xBF)),)) + body


def _unprotected(payload: bytes, rng: Random) -> bytes:
    """Legacy without EIP-155's tail: valid on every chain."""
    return rlp.encode([b"\1", b"\1", b"\x52\x08", b"\1" * 20, b"\1", b""])


def _unknown_prefix(payload: bytes, rng: Random) -> bytes:
    body = payload[4:] if payload[:3] == b"cfx" else payload
    return rng.choice((b"cfx", b"cfx\0", b"cfx\3", b"cfy\1", b"\1", b"\2")) + body


_PROTOBUF: Final[dict[str, Break]] = {
    "cut short": lambda payload, rng: payload[: rng.choice((0, 1, 2, len(payload) - 1))],
    "bytes after the end": lambda payload, rng: payload + rng.choice((b"\0", b"\x0a", b"\x80", b"\x0a\x01a")),
    "a field that is not known": lambda payload, rng: payload + rng.choice((b"\x58\1", b"\x5a\0", b"\x98\x06\1")),
    "a field twice": lambda payload, rng: payload + payload[: 2 + payload[1]],
    "a default written": lambda payload, rng: payload[: 2 + payload[1]] + b"\x10\0" + payload[2 + payload[1] :],
    "a number longer than it need be": lambda payload, rng: b"\x0a" + bytes((payload[1] | 0x80, 0)) + payload[2:],
    "a key longer than it need be": lambda payload, rng: b"\x8a\0" + payload[1:],
    "no chain": lambda payload, rng: payload[2 + payload[1] :],
    "a wire type that no field has": lambda payload, rng: payload + rng.choice((b"\x49" + bytes(8), b"\x53\x54")),
    "a number where bytes belong": lambda payload, rng: b"\x08\1" + payload[2 + payload[1] :],
    "no UTF-8": lambda payload, rng: b"\x0a\1\xff" + payload[2 + payload[1] :],
    "a number of more than 64 bits": lambda payload, rng: payload + b"\x48" + b"\xff" * 9 + b"\x02",
}


def _json(change: Callable[[Any, Random], Any]) -> Break:
    def apply(payload: bytes, rng: Random) -> bytes:
        top = json.loads(payload)
        change(top, rng)
        return json.dumps(top, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    return apply


def _primary(top: Any) -> Any:
    return top["types"][top["primaryType"]]


def _wrong_value(top: Any, rng: Random) -> None:
    member = rng.choice(_primary(top))
    top["message"][member["name"]] = rng.choice((None, {"x": 1}, [{"x": 1}, None, 7]))


_TYPED: Final[dict[str, Break]] = {
    "cut short": lambda payload, rng: payload[: rng.randrange(len(payload))],
    "bytes after the end": lambda payload, rng: payload + rng.choice((b" ", b"\n", b"{}", b"\0")),
    "spaces": lambda payload, rng: payload.replace(b":", b": ", 1),
    "keys that are not sorted": lambda payload, rng: json.dumps(
        dict(reversed(json.loads(payload).items())), separators=(",", ":"), ensure_ascii=False
    ).encode(),
    "a name twice": lambda payload, rng: payload[:-1] + b',"types":{}}',
    "no UTF-8": lambda payload, rng: payload[:1] + b'"\xff":1,' + payload[1:],
    "no object": lambda payload, rng: rng.choice((b"[]", b"1", b"null", b'""', b"[" * 5000, b'{"a":' * 3000)),
    "a fraction": _json(lambda top, rng: top["message"].update(x=1.5)),
    "a member too many": _json(lambda top, rng: top["message"].update(unknown="1")),
    "a member too few": _json(lambda top, rng: top["message"].pop(rng.choice(_primary(top))["name"])),
    "a value of another kind": _json(_wrong_value),
    "a type that is not there": _json(lambda top, rng: rng.choice(_primary(top)).update(type="Nowhere")),
    "a type that nothing is of": _json(lambda top, rng: top["types"].update(Unused=[])),
    "a member twice": _json(lambda top, rng: _primary(top).append(_primary(top)[0])),
    "an array without end": _json(lambda top, rng: rng.choice(_primary(top)).update(type="uint8" + "[1]" * 60)),
    "no domain": _json(lambda top, rng: top.pop("domain")),
    "a domain that is another": _json(lambda top, rng: top["domain"].update(chain="1")),
    "a field beside the four": _json(lambda top, rng: top.update(extra=1)),
    "a primary type that is none": _json(lambda top, rng: top.update(primaryType=rng.choice(("Nowhere", 1, None)))),
    "a number too large": _json(lambda top, rng: top["domain"].update(chainId=2**53)),
}


def _lines(change: Callable[[list[str], Random], None]) -> Break:
    def apply(payload: bytes, rng: Random) -> bytes:
        lines = payload.decode().split("\n")
        change(lines, rng)
        return "\n".join(lines).encode()

    return apply


def _swap(lines: list[str], rng: Random) -> None:
    place = next(at for at, line in enumerate(lines) if line.startswith("URI: "))
    lines[place], lines[place + 1] = lines[place + 1], lines[place]


def _replace(start: str, line: str) -> Callable[[list[str], Random], None]:
    def change(lines: list[str], rng: Random) -> None:
        place = next(at for at, one in enumerate(lines) if one.startswith(start))
        lines[place : place + 1] = [line] if line else []

    return change


def _mistyped(lines: list[str], rng: Random) -> None:
    """The address with one letter's case changed: wrong in EIP-55, and mixed in CIP-37."""
    places = [at for at, letter in enumerate(lines[1]) if letter.isalpha() and at > 1]
    at = rng.choice(places)
    lines[1] = lines[1][:at] + lines[1][at].swapcase() + lines[1][at + 1 :]


_SIGN_IN: Final[dict[str, Break]] = {
    "cut short": lambda payload, rng: payload[: rng.randrange(payload.index(b"Issued At: ") + 12)],
    "bytes after the end": lambda payload, rng: payload + rng.choice((b"\n", b"\nx", b"\r", b"\0")),
    "other ends of lines": lambda payload, rng: payload.replace(b"\n", b"\r\n"),
    "characters outside ASCII": lambda payload, rng: payload.replace(b"Version", "V\u00e9rsion".encode()),
    "lines in another order": _lines(_swap),
    "no URI": _lines(_replace("URI: ", "")),
    "another site's URI": _lines(_replace("URI: ", "URI: https://evil.example/login")),
    "a user's name before the host": lambda payload, rng: payload.replace(b" wants you", b"@evil.example wants you", 1),
    "another version": _lines(_replace("Version: ", "Version: 2")),
    "no chain": _lines(_replace("Chain ID: ", "")),
    "a chain that is no number": _lines(_replace("Chain ID: ", "Chain ID: 0x1")),
    "a short nonce": _lines(_replace("Nonce: ", "Nonce: 1234567")),
    "a time that is none": _lines(_replace("Issued At: ", "Issued At: 2021-02-30T16:25:24Z")),
    "an address that is mistyped": _lines(_mistyped),
    "other words": lambda payload, rng: payload.replace(b"wants you to sign in", b"wants you to log in", 1),
    "a line too many": _lines(lambda lines, rng: lines.insert(2, "more")),
}

_MESSAGE: Final[dict[str, Break]] = {
    "a sign-in": lambda payload, rng: PAYLOADS[rng.choice((0x14, 0x15))](rng),
}

BREAKS: Final[dict[int, dict[str, Break]]] = {
    0x01: _rlp_breaks(0x01) | {"a type that is none": _unknown_type, "no protection against replay": _unprotected},
    0x02: _rlp_breaks(0x02) | {"a prefix that is none": _unknown_prefix},
    0x03: _PROTOBUF,
    0x04: _rlp_breaks(0x04),
    0x10: _MESSAGE,
    0x11: _TYPED,
    0x12: _MESSAGE,
    0x13: _TYPED,
    0x14: _SIGN_IN,
    0x15: _SIGN_IN,
}
"""The ways to break a payload, by the family's code."""


def malformed(code: int, rng: Random, way: str | None = None) -> tuple[str, bytes]:
    """A payload that family must refuse, and the way it was broken (a random one if none is named)."""
    name = rng.choice(list(BREAKS[code])) if way is None else way
    return name, BREAKS[code][name](PAYLOADS[code](rng), rng)


assert BREAKS.keys() == FAMILIES.keys() == PAYLOADS.keys()
