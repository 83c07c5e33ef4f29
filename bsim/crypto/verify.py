"""The client's side of ECDSA over secp256k1: strict DER, and verification and recovery by python-ecdsa.

It is not the engine that signs, unless it was chosen to be. Signatures are taken with s in either half, as
the real card's client takes them; `recoverable` answers the lower.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from bsim.crypto.ecdsa import ORDER

if TYPE_CHECKING:
    from ecdsa.ellipticcurve import PointJacobi


def canonical(s: int) -> int:
    """Answer s or n - s, whichever is in the lower half (EIP-2, BIP-62 rule 5)."""
    return min(s, ORDER - s)


def parse_der(der: bytes, order: int = ORDER) -> tuple[int, int]:
    """Parse DER `SEQUENCE { INTEGER r, INTEGER s }` (8-72 bytes) strictly; both are 1 to order-1, or ValueError.

    BIP-66's reading of ITU-T X.690 8.3 and 10.1: shortest form, nothing negative, nothing after.
    """
    if not 8 <= len(der) <= 72 or der[0] != 0x30 or der[1] != len(der) - 2:
        raise ValueError("not one DER SEQUENCE of the length it names")
    r, rest = _parse_integer(der[2:], order)
    s, rest = _parse_integer(rest, order)
    if rest:
        raise ValueError("bytes after s")
    return r, s


def _parse_integer(data: bytes, order: int) -> tuple[int, bytes]:
    if len(data) < 3 or data[0] != 0x02 or not 1 <= data[1] <= len(data) - 2:
        raise ValueError("not a DER INTEGER of the length it names")
    body, rest = data[2 : 2 + data[1]], data[2 + data[1] :]
    if body[0] & 0x80:
        raise ValueError("negative INTEGER in a signature")
    if len(body) > 1 and body[0] == 0 and not body[1] & 0x80:
        raise ValueError("INTEGER with a superfluous zero")
    value = int.from_bytes(body, "big")
    if not 0 < value < order:
        raise ValueError("r or s out of range")
    return value, rest


def encode_der(r: int, s: int, order: int = ORDER) -> bytes:
    """Encode DER `SEQUENCE { INTEGER r, INTEGER s }`; ValueError if either is not 1 to order-1."""
    if not (0 < r < order and 0 < s < order):
        raise ValueError("r or s out of range")
    body = b"".join(_encode_integer(value) for value in (r, s))
    return bytes((0x30, len(body))) + body


def _encode_integer(value: int) -> bytes:
    # One bit more than the number has keeps the sign bit clear.
    body = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return bytes((0x02, len(body))) + body


def verify(public_key: bytes, digest: bytes, der: bytes) -> bool:
    """Say whether `der` signs the 32-byte digest under the public key (65 or 33 bytes).

    False for a signature that is wrong or not strict DER; ValueError for a key or digest that is none.
    """
    from ecdsa import SECP256k1  # noqa: PLC0415 - 17 ms, paid by those who verify
    from ecdsa.ellipticcurve import INFINITY  # noqa: PLC0415

    key, number = _point(public_key), _number(digest)
    try:
        r, s = parse_der(der)
    except ValueError:
        return False
    # SEC 1 4.1.4, steps 4 to 8. python-ecdsa's own method stumbles over a sum at infinity.
    inverse = pow(s, -1, ORDER)
    point = SECP256k1.generator.mul_add(number * inverse % ORDER, key, r * inverse % ORDER)
    return bool(point != INFINITY and point.x() % ORDER == r)


def recover(digest: bytes, der: bytes, recovery: int) -> bytes:
    """Answer the 65-byte public key that made `der` over the 32-byte digest (SEC 1 4.1.6).

    `recovery` is 0-3: bit 0 is the parity of the nonce point's y, bit 1 says that its x was n or more.
    ValueError if there is no such point.
    """
    return _recover(digest, *parse_der(der), recovery)


def recover_elsewhere(digest: bytes, r: int, s: int, recovery: int) -> bytes:
    """The same by libsecp256k1, forty times as fast; ImportError where there is no coincurve."""
    from coincurve import PublicKey  # noqa: PLC0415

    _number(digest)  # judges its length
    compact = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((recovery,))
    return PublicKey.from_signature_and_message(compact, digest, hasher=None).format(compressed=False)


def recovery_id(digest: bytes, der: bytes, public_key: bytes) -> int:
    """Answer the recovery id (0-3) that leads from `der` to the key (65 or 33 bytes); ValueError if none."""
    return _recovery_id(digest, *parse_der(der), public_key)


def recoverable(digest: bytes, der: bytes, public_key: bytes) -> tuple[int, int, int]:
    """Answer r, the lower s and the recovery id that goes with it: what a chain wants of a signature."""
    r, s = parse_der(der)
    low = canonical(s)
    return r, low, _recovery_id(digest, r, low, public_key)


def _recovery_id(digest: bytes, r: int, s: int, public_key: bytes) -> int:
    # Which id leads to a known key is no verdict: it may be said by the library that signed.
    try:
        return _leading(recover_elsewhere, digest, r, s, public_key)
    except ImportError:
        return _leading(_recover, digest, r, s, public_key)


def _leading(recovered: Callable[[bytes, int, int, int], bytes], digest: bytes, r: int, s: int, wanted: bytes) -> int:
    for recovery in range(4):
        try:
            key = recovered(digest, r, s, recovery)
        except ValueError:
            continue  # no point of the curve has this x
        if wanted in {key, bytes((2 + (key[-1] & 1),)) + key[1:33]}:  # SEC 1 2.3.3
            return recovery
    raise ValueError("the signature is not of this key")


def _recover(digest: bytes, r: int, s: int, recovery: int) -> bytes:
    from ecdsa import SECP256k1  # noqa: PLC0415
    from ecdsa.ellipticcurve import INFINITY  # noqa: PLC0415

    number, x = _number(digest), r + ORDER * (recovery >> 1)
    if not 0 <= recovery <= 3 or x >= SECP256k1.curve.p():
        raise ValueError("no such recovery id for this signature")
    nonce = _point(bytes((2 + (recovery & 1),)) + x.to_bytes(32, "big"))
    inverse = pow(r, -1, ORDER)
    point = nonce * (s * inverse % ORDER) + SECP256k1.generator * (-number * inverse % ORDER)
    if point == INFINITY:
        raise ValueError("the signature is of no key")
    return bytes(point.to_bytes("uncompressed"))


def _point(encoded: bytes) -> "PointJacobi":
    from ecdsa import SECP256k1  # noqa: PLC0415
    from ecdsa.ellipticcurve import PointJacobi  # noqa: PLC0415
    from ecdsa.errors import MalformedPointError  # noqa: PLC0415

    # SEC 1 2.3.4; the hybrid and the bare encodings are not ones a card exports.
    forms = ("uncompressed", "compressed")
    try:
        point = PointJacobi.from_bytes(SECP256k1.curve, encoded, valid_encodings=forms, order=ORDER)
    except MalformedPointError:
        raise ValueError("not a point of secp256k1") from None
    if not SECP256k1.curve.contains_point(point.x(), point.y()):
        raise ValueError("not a point of secp256k1")
    return point


def _number(digest: bytes) -> int:
    if len(digest) != 32:
        raise ValueError(f"a digest is 32 bytes, not {len(digest)}")
    return int.from_bytes(digest, "big")
