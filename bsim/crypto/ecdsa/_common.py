"""What engines share: words for a bad secret, the end of a wiped one, and addition where the library has none."""

from collections.abc import Callable
from typing import Final

from bsim.crypto.ecdsa import ORDER
from bsim.crypto.memory import Secret, wipe_unshared

BAD_SECRET: Final = "a secp256k1 secret is 32 bytes, 1 to n-1"  # noqa: S105 - what is wrong, not a secret
BAD_SUM: Final = "secret or tweak out of range, or their sum is 0"


def _wiped(_digest: bytes) -> bytes:
    """Stand where signing was."""
    raise ValueError("this key was wiped")


class HeldSigner:
    """A secret inside a library's own key, and the call that signs with it."""

    __slots__ = ("sign",)

    def __init__(self, sign: Callable[[bytes], bytes]) -> None:
        self.sign: Callable[[bytes], bytes] = sign

    def wipe(self) -> None:
        """Let go of the key, all one can do from here; signing afterwards is a ValueError."""
        self.sign = _wiped


def add(secret: Secret, tweak: Secret) -> bytearray:
    """Answer secret + tweak mod n (32 bytes each); ValueError if either is out of range or the sum is 0.

    In Python's integers, which are not constant-time and cannot be wiped: not for the default engine.
    """
    if len(secret) != 32 or len(tweak) != 32:
        raise ValueError(BAD_SECRET)
    left, right = int.from_bytes(secret, "big"), int.from_bytes(tweak, "big")
    total = (left + right) % ORDER
    if not 0 < left < ORDER or right >= ORDER or not total:
        raise ValueError(BAD_SUM)
    encoded = total.to_bytes(32, "big")
    answer = bytearray(encoded)
    wipe_unshared(encoded)
    return answer
