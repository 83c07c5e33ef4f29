"""Secrets as numbers modulo a group's order, where no library adds them: in Python's integers.

They are not constant-time and cannot be wiped (docs/security.md). What goes in and out lies in buffers that can.
"""

from typing import Final

from bsim.crypto.memory import Secret, wipe_unshared

BAD_SUM: Final = "secret or tweak out of range, or their sum is 0"


def add(secret: Secret, tweak: Secret, order: int) -> bytearray:
    """Answer secret + tweak modulo the order, 32 bytes, to be wiped by the caller.

    ValueError if the secret is not 1 to order - 1, if the tweak is the order or more, or if the sum is 0.
    """
    left, right = int.from_bytes(secret, "big"), int.from_bytes(tweak, "big")
    total = (left + right) % order
    if not 0 < left < order or right >= order or not total:
        raise ValueError(BAD_SUM)
    encoded = total.to_bytes(32, "big")
    answer = bytearray(encoded)
    wipe_unshared(encoded)
    return answer
