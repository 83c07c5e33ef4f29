"""Which curve a public key is of: a chain that takes several algorithms tells them apart by the key."""

from typing import Final, NamedTuple

from bsim.crypto import sm2_curve
from bsim.crypto.algorithm import Algorithm


class _Curve(NamedTuple):
    """y^2 = x^3 + ax + b modulo p."""

    p: int
    a: int
    b: int


# SEC 2 2.4.1 and 2.4.2, GM/T 0003.5.
_P256_P: Final = 0xFFFFFFFF_00000001_00000000_00000000_00000000_FFFFFFFF_FFFFFFFF_FFFFFFFF
_CURVES: Final = {
    Algorithm.SECP256K1: _Curve((1 << 256) - (1 << 32) - 977, 0, 7),
    Algorithm.P256: _Curve(
        _P256_P, _P256_P - 3, 0x5AC635D8_AA3A93E7_B3EBBD55_769886BC_651D06B0_CC53B0F6_3BCE3C3E_27D2604B
    ),
    Algorithm.SM2: _Curve(sm2_curve.P, sm2_curve.A, sm2_curve.B),
}


def algorithm_of(public_key: bytes) -> Algorithm:
    """Answer the algorithm of a 65-byte uncompressed point; ValueError if it is on none of the card's curves."""
    if len(public_key) == 65 and public_key[0] == 4:
        x, y = int.from_bytes(public_key[1:33], "big"), int.from_bytes(public_key[33:], "big")
        for algorithm, (p, a, b) in _CURVES.items():
            if x < p and y < p and (y * y - (x * x + a) * x - b) % p == 0:
                return algorithm
    raise ValueError("the public key is a 65-byte point of none of the card's curves")
