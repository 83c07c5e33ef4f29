"""What engines share: words for a bad secret, the end of a wiped one, and addition where the library has none."""

from collections.abc import Callable
from typing import Final

from bsim.crypto import scalars
from bsim.crypto.ecdsa import ORDER
from bsim.crypto.memory import Secret

BAD_SECRET: Final = "a secp256k1 secret is 32 bytes, 1 to n-1"  # noqa: S105 - what is wrong, not a secret


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
    """Answer secret + tweak mod n (32 bytes each); ValueError if either is out of range or the sum is 0."""
    if len(secret) != 32 or len(tweak) != 32:
        raise ValueError(BAD_SECRET)
    return scalars.add(secret, tweak, ORDER)
