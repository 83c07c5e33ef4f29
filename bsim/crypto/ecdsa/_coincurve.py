"""The default engine: libsecp256k1 through coincurve's `lib` and `ffi`, without coincurve's objects.

Where the C extension is there, it makes the signatures: the same ones, without what cffi costs.

Constant work: no line here branches on a secret. Secrets go into libsecp256k1's constant-time calls only, straight
from the buffer they lie in; what they answer about a secret is whether it is one, and for a card's keys it always is.
"""

from collections.abc import Callable
from typing import Any, Final

from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT

from bsim.crypto.ecdsa import Signer
from bsim.crypto.ecdsa._common import BAD_SECRET
from bsim.crypto.ecdsa._extension import native_signers
from bsim.crypto.memory import Secret
from bsim.crypto.scalars import BAD_SUM

_DER_LENGTH: Final = 72

# The one place where cffi's untyped objects enter; what leaves this module is bytes.
_CONTEXT: Final[Any] = GLOBAL_CONTEXT.ctx
_BYTES: Final[Any] = ffi.typeof("unsigned char[]")
_BYTES32: Final[Any] = ffi.typeof("unsigned char[32]")
_BYTES65: Final[Any] = ffi.typeof("unsigned char[65]")
_BYTES_DER: Final[Any] = ffi.typeof(f"unsigned char[{_DER_LENGTH}]")
_SIGNATURE: Final[Any] = ffi.typeof("secp256k1_ecdsa_signature *")
_PUBLIC_KEY: Final[Any] = ffi.typeof("secp256k1_pubkey *")
_SIZE: Final[Any] = ffi.typeof("size_t *")


def _lend(secret: Secret) -> Any:
    """Let libsecp256k1 read and write the buffer itself: no copy is made that would have to be wiped."""
    return ffi.from_buffer(_BYTES, secret)


def _sign_with(key: Any) -> Callable[[bytes], bytes]:
    """Bind everything one signature needs, so that signing looks nothing up and allocates only its answer."""
    context, null, new = _CONTEXT, ffi.NULL, ffi.new
    ecdsa_sign, serialize = lib.secp256k1_ecdsa_sign, lib.secp256k1_ecdsa_signature_serialize_der
    # coincurve lets go of the GIL inside each call, hence buffers for each signer and not one for all.
    signature, der, length = new(_SIGNATURE), new(_BYTES_DER), new(_SIZE)
    view = ffi.buffer(der)

    def sign(digest: bytes) -> bytes:
        # Constant work: what is decided here is whether the key was wiped, and never what it is.
        # With no nonce function named, libsecp256k1 takes RFC 6979's; it answers s in the lower half always.
        if not ecdsa_sign(context, signature, digest, key, null, null):
            raise ValueError("this key was wiped")
        length[0] = _DER_LENGTH
        serialize(context, der, length, signature)
        answer: bytes = view[: length[0]]
        return answer

    return sign


class CoincurveSigner:
    """A secret in a buffer of ours, and the call that signs with it. That it is a secret is trusted."""

    __slots__ = ("_key", "sign")

    def __init__(self, secret: Secret) -> None:
        self._key: Any = ffi.new(_BYTES32)
        ffi.memmove(self._key, secret, 32)
        self.sign: Callable[[bytes], bytes] = _sign_with(self._key)

    def wipe(self) -> None:
        """Overwrite the secret; signing afterwards is a ValueError, as zero is not a secret."""
        ffi.memmove(self._key, bytes(32), 32)


class CoincurveEngine:
    """libsecp256k1, as coincurve built it; it signs through the C extension if that is wanted and can be used."""

    __slots__ = ("_make", "means")
    name: Final = "coincurve"

    def __init__(self, *, native: bool = True) -> None:
        found = native_signers(_CONTEXT, CoincurveSigner) if native else None
        self._make, self.means = found or (CoincurveSigner, "cffi")

    def signer(self, secret: Secret) -> Signer:
        """Make ready to sign with `secret` (32 bytes, 1 to n-1; ValueError otherwise)."""
        if len(secret) != 32 or not lib.secp256k1_ec_seckey_verify(_CONTEXT, _lend(secret)):
            raise ValueError(BAD_SECRET)
        return self._make(secret)

    def public_key(self, secret: Secret) -> bytes:
        """Answer the 65-byte uncompressed point of `secret` (32 bytes, 1 to n-1; ValueError otherwise)."""
        point = ffi.new(_PUBLIC_KEY)
        if len(secret) != 32 or not lib.secp256k1_ec_pubkey_create(_CONTEXT, point, _lend(secret)):
            raise ValueError(BAD_SECRET)
        encoded, length = ffi.new(_BYTES65), ffi.new(_SIZE, 65)
        lib.secp256k1_ec_pubkey_serialize(_CONTEXT, encoded, length, point, lib.SECP256K1_EC_UNCOMPRESSED)
        answer: bytes = ffi.buffer(encoded)[:]
        return answer

    def add(self, secret: Secret, tweak: Secret) -> bytearray:
        """Answer secret + tweak mod n; ValueError if either is out of range or the sum is 0."""
        if len(secret) != 32 or len(tweak) != 32:
            raise ValueError(BAD_SECRET)
        total = bytearray(secret)
        # BIP-32 wants to know whether there is such a child: the answer is no once in 2^127.
        if not lib.secp256k1_ec_seckey_tweak_add(_CONTEXT, _lend(total), _lend(tweak)):
            raise ValueError(BAD_SUM)
        return total
