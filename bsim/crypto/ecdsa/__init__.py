"""ECDSA over secp256k1: one narrow interface, and the engines behind it.

An engine does what a card needs and no more: sign, name the public key, add a tweak (BIP-32). It is imported
when it is first asked for, so that a program that never signs never loads libsecp256k1. Verification is not
here: it is done by a library that did not sign (`bsim.crypto.verify`).
"""

from collections.abc import Callable
from typing import Final, Protocol

from bsim.crypto.memory import Secret

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

    @property
    def means(self) -> str:
        """By what means it signs, in a few words for people."""
        ...

    def signer(self, secret: Secret) -> Signer:
        """Make ready to sign with `secret`."""
        ...

    def public_key(self, secret: Secret) -> bytes:
        """Answer the public key as the 65-byte uncompressed point 04 | x | y (SEC 1 2.3.3)."""
        ...

    def add(self, secret: Secret, tweak: Secret) -> bytearray:
        """Answer secret + tweak mod n, to be wiped by the caller.

        ValueError if the tweak (32 bytes) is above n-1 or the sum is 0.
        """
        ...


def _make_coincurve(native: bool) -> Engine:
    from bsim.crypto.ecdsa._coincurve import CoincurveEngine  # noqa: PLC0415 - 14 ms, paid by those who sign

    return CoincurveEngine(native=native)


def _make_cryptography(_native: bool) -> Engine:
    from bsim.crypto.ecdsa._cryptography import CryptographyEngine  # noqa: PLC0415 - 14 ms, paid by those who sign

    return CryptographyEngine()


def _make_pure(_native: bool) -> Engine:
    from bsim.crypto.ecdsa._pure import PureEngine  # noqa: PLC0415 - 17 ms, paid where there is nothing else

    return PureEngine()


# In order of preference: one signature costs 1, 15 and 24 times libsecp256k1's. `cryptography` is a dependency
# anyway, and lacks only where it was built with an OpenSSL before 3.2.
_ENGINES: Final[dict[str, Callable[[bool], Engine]]] = {
    "coincurve": _make_coincurve,
    "cryptography": _make_cryptography,
    "ecdsa": _make_pure,
}
NAMES: Final = tuple(_ENGINES)


def engine(name: str | None = None, *, native: bool = True) -> Engine:
    """Answer the engine of that name: ValueError if there is none, ImportError if its library is missing.

    Unnamed, it is the first of `NAMES` whose library can be imported: coincurve, then cryptography, then ecdsa.
    `native` lets coincurve's sign through the C extension where there is one; signatures are the same without.
    """
    if name is None:
        return _first(native)
    if name not in _ENGINES:
        raise ValueError(f"no signing engine {name!r}; there is {', '.join(NAMES)}")
    return _ENGINES[name](native)


def _first(native: bool) -> Engine:
    for make in (_make_coincurve, _make_cryptography):
        try:
            return make(native)
        except ImportError:
            continue
    return _make_pure(native)
