"""ECDSA over secp256k1: one narrow interface, and the engines behind it.

An engine does what a card needs and no more: sign, name the public key, add a tweak (BIP-32). It is imported
when it is first asked for, so that a program that never signs never loads libsecp256k1. Verification is not
here: it is done by a library that did not sign (`bsim.crypto.verify`).
"""

from collections.abc import Callable
from typing import Final, Protocol

# SEC 2 2.4.1: the order n of the base point, and so the first number that is too large for a secret.
ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


class Signer(Protocol):
    """One secret key, ready to sign. Not to be shared between threads: its buffers are its own."""

    @property
    def sign(self) -> Callable[[bytes], bytes]:
        """Sign: 32-byte digest in, DER `SEQUENCE { INTEGER r, INTEGER s }` (at most 71 bytes) out.

        The nonce is RFC 6979's with SHA-256, s is in the lower half. The length of the digest is trusted.
        """
        ...

    def wipe(self) -> None:
        """Overwrite the secret wherever it lies in memory of ours; signing afterwards is a ValueError."""
        ...


class Engine(Protocol):
    """A library that computes on secp256k1. Secrets are 32 bytes, 1 to n-1; anything else is a ValueError."""

    @property
    def name(self) -> str:
        """The name `engine` knows it by."""
        ...

    def signer(self, secret: bytes) -> Signer:
        """Make ready to sign with `secret`."""
        ...

    def public_key(self, secret: bytes) -> bytes:
        """Answer the public key as the 65-byte uncompressed point 04 | x | y (SEC 1 2.3.3)."""
        ...

    def add(self, secret: bytes, tweak: bytes) -> bytes:
        """Answer secret + tweak mod n; ValueError if the tweak (32 bytes) is above n-1 or the sum is 0."""
        ...


def _make_coincurve() -> Engine:
    from bsim.crypto.ecdsa._coincurve import CoincurveEngine  # noqa: PLC0415 - 14 ms, paid by those who sign

    return CoincurveEngine()


def _make_pure() -> Engine:
    from bsim.crypto.ecdsa._pure import PureEngine  # noqa: PLC0415 - 17 ms, paid where coincurve has no wheel

    return PureEngine()


_ENGINES: Final[dict[str, Callable[[], Engine]]] = {"coincurve": _make_coincurve, "ecdsa": _make_pure}
NAMES: Final = tuple(_ENGINES)


def engine(name: str | None = None) -> Engine:
    """Answer the engine of that name; unnamed, coincurve, or `ecdsa` where coincurve cannot be imported."""
    if name is None:
        try:
            return _make_coincurve()
        except ImportError:
            return _make_pure()
    if name not in _ENGINES:
        raise ValueError(f"no signing engine {name!r}; there is {', '.join(NAMES)}")
    return _ENGINES[name]()
