"""From one seed to every key of P-256 and SM2: SLIP-0010, private derivation only."""

import hmac
from collections.abc import Callable
from typing import ClassVar

from bsim.crypto import p256, scalars, sm2, sm2_curve
from bsim.crypto.derive import Node, Path, Scheme, account, halves, point_or_hardened
from bsim.crypto.memory import Secret, wipe, wipe_unshared


class _Slip10Curve(Scheme):
    """SLIP-0010 for a curve of prime order: BIP-32's steps, and a digest that gives no key is hashed again."""

    __slots__ = ()
    _order: ClassVar[int]
    _public_key: ClassVar[Callable[[Secret], bytes]]

    def _root(self, digest: bytes) -> Node:
        left, right = halves(digest)
        if 0 < int.from_bytes(left, "big") < self._order:
            return Node(bytearray(left), bytearray(right))
        again = hmac.digest(self._salt, digest, "sha512")  # "Master key generation", step 5
        try:
            return self._root(again)
        finally:
            wipe_unshared(again)

    def _message(self, node: Node, index: int) -> bytearray:
        return point_or_hardened(node, index, type(self)._public_key)

    def _child(self, node: Node, index: int, digest: bytes) -> Node:
        left, right = halves(digest)
        try:
            return Node(scalars.add(node.secret, left, self._order), bytearray(right))
        except ValueError:
            # "Private parent key to private child key", step 5.
            message = bytearray(b"\1") + right + index.to_bytes(4, "big")
            again = hmac.digest(node.chain_code, message, "sha512")
            wipe(message)
        try:
            return self._child(node, index, again)
        finally:
            wipe_unshared(again)

    def account_path(self, coin_type: int, slot: int) -> Path:
        """m/44'/c'/0'/0/i (chosen)."""
        return (*account(coin_type, slot), 0, slot)


class Slip10P256(_Slip10Curve):
    """SLIP-0010 for NIST P-256."""

    __slots__ = ()
    _salt = b"Nist256p1 seed"
    _order = p256.ORDER
    _public_key = p256.public_key


class Slip10Sm2(_Slip10Curve):
    """The same construction over the curve of SM2, under a salt of its own (chosen: docs/decisions/0012)."""

    __slots__ = ()
    _salt = b"SM2 seed"
    _order = sm2_curve.ORDER
    _public_key = sm2.public_key
