"""SM2 signatures (GM/T 0003.2-2012) over the recommended curve (GM/T 0003.5-2012), in Python.

No library at hand signs with a nonce of ours. Python's integers are not constant-time and cannot be overwritten;
docs/security.md says what stays.
"""

from collections.abc import Iterator
from typing import Final

from bsim.crypto import sm3
from bsim.crypto.memory import Secret, wipe, wipe_unshared
from bsim.crypto.sm2_curve import ORDER, A, B, G, combine, on_curve, times_base
from bsim.crypto.verify import encode_der, parse_der

USER_ID: Final = b"1234567812345678"
"""GM/T 0009-2012 10: the signer's identity where nobody agreed on another."""


def digest(public_key: bytes, message: bytes, user_id: bytes = USER_ID) -> bytes:
    """Answer e = SM3(Z | message), what is signed (GM/T 0003.2 6.1 A1 and A2; Z: 5.5).

    The key is a 65-byte uncompressed point; ValueError for another form.
    """
    if len(public_key) != 65 or public_key[0] != 4:
        raise ValueError("the public key is not a 65-byte uncompressed point")
    length = (8 * len(user_id)).to_bytes(2, "big")
    curve = b"".join(number.to_bytes(32, "big") for number in (A, B, *G))
    return sm3.sm3(sm3.sm3(length + user_id + curve + public_key[1:]) + message)


class Sm2Signer:
    """One secret key, ready to sign: the secret d and (1 + d)^-1, in two buffers."""

    __slots__ = ("_inverse", "_secret")

    def __init__(self, secret: Secret) -> None:
        number = _number(secret)
        self._secret: bytearray | None = bytearray(secret)
        self._inverse = bytearray(pow(number + 1, -1, ORDER).to_bytes(32, "big"))

    def sign(self, digest: bytes) -> bytes:
        """Sign a 32-byte e: DER `SEQUENCE { INTEGER r, INTEGER s }` (GM/T 0009 7.3). ValueError once wiped."""
        if self._secret is None:
            raise ValueError("this key was wiped")
        tries = (self.sign_with(digest, nonce) for nonce in nonces(self._secret, digest))
        return encode_der(*next(signature for signature in tries if signature is not None), ORDER)

    def sign_with(self, digest: bytes, nonce: int) -> tuple[int, int] | None:
        """Answer r and s under a nonce (GM/T 0003.2 6.1 A4 to A6); None where another nonce is to be taken."""
        if self._secret is None:
            raise ValueError("this key was wiped")
        r = (int.from_bytes(digest, "big") + times_base(nonce)[0]) % ORDER
        product = r * int.from_bytes(self._secret, "big")
        s = int.from_bytes(self._inverse, "big") * (nonce - product) % ORDER
        return (r, s) if r and s and r + nonce != ORDER else None

    def wipe(self) -> None:
        """Overwrite both buffers; signing afterwards is a ValueError."""
        if self._secret is not None:
            wipe(self._secret)
            wipe(self._inverse)
            self._secret = None


def nonces(secret: Secret, digest: bytes) -> Iterator[int]:
    """Answer the nonces of RFC 6979 3.2 with HMAC-SM3 and the order of this curve, as many as are taken (chosen)."""
    # 2.3.4: bits2octets reduces the digest once; order and digest have 256 bits.
    seed = bytes(secret) + (int.from_bytes(digest, "big") % ORDER).to_bytes(32, "big")
    value, key = b"\1" * 32, bytes(32)
    for mark in (b"\0", b"\1"):
        key = sm3.hmac_sm3(key, value + mark + seed)
        value = sm3.hmac_sm3(key, value)
    wipe_unshared(seed)
    while True:
        value = sm3.hmac_sm3(key, value)
        nonce = int.from_bytes(value, "big")
        if 0 < nonce < ORDER:
            yield nonce
        key = sm3.hmac_sm3(key, value + b"\0")
        value = sm3.hmac_sm3(key, value)


def signer(secret: Secret) -> Sm2Signer:
    """Make ready to sign with a secret of 32 bytes, 1 to n-2; ValueError otherwise."""
    return Sm2Signer(secret)


def public_key(secret: Secret) -> bytes:
    """Answer the 65-byte uncompressed point of a secret; ValueError if it is none."""
    x, y = times_base(_number(secret))
    return b"\4" + x.to_bytes(32, "big") + y.to_bytes(32, "big")


def verify(public_key: bytes, digest: bytes, der: bytes) -> bool:
    """Say whether `der` signs the 32-byte e under the 65-byte key (GM/T 0003.2 7.1); ValueError for no key."""
    point = int.from_bytes(public_key[1:33], "big"), int.from_bytes(public_key[33:], "big")
    if len(public_key) != 65 or public_key[0] != 4 or not on_curve(point):
        raise ValueError("not a point of the SM2 curve")
    try:
        r, s = parse_der(der, ORDER)
    except ValueError:
        return False
    t = (r + s) % ORDER
    found = combine(s, t, point) if t else None
    return found is not None and (int.from_bytes(digest, "big") + found[0]) % ORDER == r


def _number(secret: Secret) -> int:
    number = int.from_bytes(secret, "big")
    # GM/T 0003.1 6.1: up to n-2, as 1 + d must have an inverse.
    if len(secret) != 32 or not 0 < number < ORDER - 1:
        raise ValueError("an SM2 secret is 32 bytes, 1 to n-2")
    return number
