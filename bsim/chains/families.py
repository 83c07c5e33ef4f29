"""What a card can be given to sign: the table of families, each imported when its first payload comes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bsim.chains.family import Family, Signable
from bsim.crypto.algorithm import Algorithm


def _evm(payload: bytes) -> Signable:
    from bsim.chains.evm import Transaction  # noqa: PLC0415 - imported when the first such payload comes

    return Transaction.decode(payload)


def _core(payload: bytes) -> Signable:
    from bsim.chains.conflux import Transaction  # noqa: PLC0415

    return Transaction.decode(payload)


def _personal(payload: bytes) -> Signable:
    from bsim.chains import personal  # noqa: PLC0415

    return personal.decode(payload)


def _typed_data(payload: bytes) -> Signable:
    from bsim.chains import typed_data  # noqa: PLC0415

    return typed_data.decode(payload)


def _cip23_personal(payload: bytes) -> Signable:
    from bsim.chains import personal  # noqa: PLC0415

    return personal.decode_core(payload)


def _cip23_typed(payload: bytes) -> Signable:
    from bsim.chains import typed_data  # noqa: PLC0415

    return typed_data.decode_core(payload)


def _sign_in(payload: bytes) -> Signable:
    from bsim.chains import sign_in  # noqa: PLC0415

    return sign_in.decode(payload)


def _core_sign_in(payload: bytes) -> Signable:
    from bsim.chains import sign_in  # noqa: PLC0415

    return sign_in.decode_core(payload)


def _chainmaker(payload: bytes) -> Signable:
    from bsim.chains import chainmaker  # noqa: PLC0415

    return chainmaker.decode(payload)


def _fisco(payload: bytes) -> Signable:
    from bsim.chains import fisco  # noqa: PLC0415

    return fisco.decode(payload)


_SECP256K1: Final = frozenset({Algorithm.SECP256K1})
_CORE: Final = frozenset({503})
_TABLE: Final = (
    Family(0x01, "evm", "Transaction of Ethereum and its kin", _SECP256K1, _evm),
    Family(0x02, "conflux", "Transaction of Conflux Core Space", _SECP256K1, _core, _CORE),
    Family(0x03, "chainmaker", "Transaction of ChainMaker", frozenset({Algorithm.SM2, Algorithm.P256}), _chainmaker),
    Family(0x04, "fisco-bcos", "Transaction of FISCO BCOS 2", frozenset({Algorithm.SECP256K1, Algorithm.SM2}), _fisco),
    Family(0x10, "personal", "Message (EIP-191)", _SECP256K1, _personal),
    Family(0x11, "typed-data", "Typed data (EIP-712)", _SECP256K1, _typed_data),
    Family(0x12, "cip23-personal", "Message for Conflux Core Space (CIP-23)", _SECP256K1, _cip23_personal, _CORE),
    Family(0x13, "cip23-typed", "Typed data for Conflux Core Space (CIP-23)", _SECP256K1, _cip23_typed, _CORE),
    Family(0x14, "sign-in", "Sign-in (EIP-4361)", _SECP256K1, _sign_in),
    Family(0x15, "cfx-sign-in", "Sign-in for Conflux Core Space", _SECP256K1, _core_sign_in, _CORE),
)
FAMILIES: Final[Mapping[int, Family]] = MappingProxyType({family.code: family for family in _TABLE})
"""What a card can be given to sign, by the code that SIGN TRANSACTION names it with."""
