"""The optional C extension: whether it may be used here, and signers made with it.

It was compiled by a compiler nobody here tested and calls a libsecp256k1 nobody here built. So it is used only where
that library has the functions it expects, and once it has signed as the library does by itself.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from coincurve._libsecp256k1 import ffi, lib

from bsim.crypto.ecdsa import Signer
from bsim.crypto.memory import Secret

_TRIED_SECRET: Final = bytes(range(1, 33))
# Versions of libsecp256k1 differ in what they make of a digest that is not below the order.
_TRIED_DIGESTS: Final = bytes(range(33, 65)), b"\xff" * 32
# What the extension calls, as secp256k1.h declares it.
_CONTEXT: Final = "const secp256k1_context *"
_SIGNATURE: Final = "secp256k1_ecdsa_signature"
_BYTES: Final = "const unsigned char *"
_SIGN: Final = f"int(*)({_CONTEXT}, {_SIGNATURE} *, {_BYTES}, {_BYTES}, secp256k1_nonce_function, const void *)"
_SERIALIZE: Final = f"int(*)({_CONTEXT}, unsigned char *, size_t *, const {_SIGNATURE} *)"
_NONCE: Final = f"int(*)(unsigned char *, {_BYTES}, {_BYTES}, {_BYTES}, void *, unsigned int)"


def native_signers(context: Any, plain: Callable[[Secret], Signer]) -> tuple[Callable[[Secret], Signer], str] | None:
    """Answer what makes signers in C, and how they sign, in words; None where the extension cannot be used.

    `plain` makes signers that it must agree with. What is handed to the native ones must be a secret.
    """
    try:
        from bsim.crypto.ecdsa import _native  # noqa: PLC0415 - is not built everywhere

        library = (context, _number(context), *_addresses())
    except (ImportError, AttributeError, TypeError, ffi.error):
        return None
    make = partial(_native.Signer, library)
    one, other = make(_TRIED_SECRET), plain(_TRIED_SECRET)
    if any(one.sign(digest) != other.sign(digest) for digest in _TRIED_DIGESTS):
        return None
    return make, "the C extension" + (" and SHA instructions" if _native.SHA else "")


def _addresses() -> tuple[int, int, int]:
    """Where libsecp256k1 has its functions; TypeError if they are not as expected."""
    found = (
        (ffi.addressof(lib, "secp256k1_ecdsa_sign"), _SIGN),
        (ffi.addressof(lib, "secp256k1_ecdsa_signature_serialize_der"), _SERIALIZE),
        (lib.secp256k1_nonce_function_rfc6979, _NONCE),
    )
    for function, kind in found:
        if ffi.typeof(function) is not ffi.typeof(kind):
            raise TypeError(f"{function} is not {kind}")
    if ffi.sizeof(_SIGNATURE) != 64:
        raise TypeError("a signature has another size")
    sign, serialize, nonce = (_number(function) for function, _ in found)
    return sign, serialize, nonce


def _number(pointer: Any) -> int:
    return int(ffi.cast("uintptr_t", pointer))
