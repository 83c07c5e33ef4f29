"""Ethereum and its kin: addresses (EIP-55), and the transaction of the fee market (EIP-1559: type 2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self, TypeAlias

from bsim.chains import rlp
from bsim.chains.fields import U64, U256, Fields, hex_bytes, integer, sequence
from bsim.crypto.ecdsa import ORDER
from bsim.crypto.keccak import keccak256

AccessList: TypeAlias = tuple[tuple[bytes, tuple[bytes, ...]], ...]

_TYPE: Final = 2
# EIP-2718's types by the names that viem gives them.
_TYPES: Final = {"legacy": 0, "eip2930": 1, "eip1559": _TYPE, "eip4844": 3, "eip7702": 4}
_ALIASES: Final = {"gasLimit": "gas", "input": "data"}
# What libraries write as null where a transaction is of this type and not signed yet.
_NULLS: Final = (
    *("type", "from", "accessList", "gasPrice", "hash", "signature", "sig", "v", "r", "s", "yParity"),
    *("maxFeePerBlobGas", "blobVersionedHashes", "authorizationList"),
)


def address_bytes(public_key: bytes) -> bytes:
    """Answer the 20-byte account of a 65-byte uncompressed public key; ValueError for another form."""
    if len(public_key) != 65 or public_key[0] != 4:
        raise ValueError("the public key is not a 65-byte uncompressed point")
    return keccak256(public_key[1:])[12:]


def address(public_key: bytes) -> str:
    """Answer the account of a 65-byte uncompressed public key as EIP-55 writes it."""
    return checksum(address_bytes(public_key))


def checksum(account: bytes) -> str:
    """Write 20 bytes as 0x and 40 digits, a letter large where the digest's digit is 8 or more (EIP-55)."""
    if len(account) != 20:
        raise ValueError(f"an address is 20 bytes, not {len(account)}")
    digits = account.hex()
    digest = keccak256(digits.encode()).hex()
    return "0x" + "".join(d.upper() if mark >= "8" else d for d, mark in zip(digits, digest, strict=False))


def parse_address(text: object) -> bytes:
    """Read 0x and 40 digits; letters of both cases must bear out EIP-55's checksum. ValueError otherwise."""
    account = hex_bytes(text)
    if len(account) != 20:
        raise ValueError(f"an address is 20 bytes, not {len(account)}")
    digits = str(text)[2:]
    if digits not in (digits.lower(), digits.upper()) and checksum(account)[2:] != digits:
        raise ValueError("the address's checksum (EIP-55) is wrong")
    return account


@dataclass(frozen=True, slots=True)
class Transaction:
    """An EIP-1559 transaction without its signature. `to` is 20 bytes, or empty where a contract is made."""

    chain_id: int
    nonce: int
    max_priority_fee_per_gas: int
    max_fee_per_gas: int
    gas: int
    to: bytes
    value: int
    data: bytes
    access_list: AccessList

    @classmethod
    def from_json(cls, fields: Mapping[str, object]) -> Self:
        """Make one of JSON-RPC's fields; ValueError names the field that is missing, unknown or wrong.

        Numbers are ints, decimal strings or 0x-hex; bytes are 0x-hex. `gasLimit` and `input` may stand for
        `gas` and `data`. Nonce, gas and fees are never guessed; `type`, where it is given, is 2 or "eip1559".
        `from` is not signed: it has to be an address, and is ignored.
        """
        given = Fields(fields, _ALIASES)
        given.drop_nulls(_NULLS)
        _check_type(given)
        given.read("from", parse_address, b"")
        transaction = cls(
            chain_id=given.number("chainId", U256),
            nonce=given.number("nonce", U64 - 1),  # EIP-2681
            max_priority_fee_per_gas=given.number("maxPriorityFeePerGas", U256),
            max_fee_per_gas=given.number("maxFeePerGas", U256),
            gas=given.number("gas", U64),
            to=given.read("to", _recipient, b""),
            value=given.number("value", U256, 0),
            data=given.read("data", hex_bytes, b""),
            access_list=given.read("accessList", _access_list, ()),
        )
        given.finish()
        transaction._check()
        return transaction

    def _check(self) -> None:
        if self.max_priority_fee_per_gas > self.max_fee_per_gas:
            raise ValueError("maxPriorityFeePerGas: above maxFeePerGas")  # EIP-1559: such a one is not valid
        if not self.to and not self.data:
            raise ValueError("to: missing, and there is no data to make a contract of")

    def unsigned(self) -> bytes:
        """Answer what is signed: 02 | rlp of the nine fields (EIP-1559 "Specification")."""
        return bytes((_TYPE,)) + rlp.encode(self._items())

    def digest(self) -> bytes:
        """Answer the 32 bytes SIGN is called with."""
        return keccak256(self.unsigned())

    def signed(self, r: int, s: int, y_parity: int) -> bytes:
        """Answer the raw transaction; ValueError if r, s or y_parity is out of range.

        EIP-2: a chain refuses s in the upper half. Recovery ids 2 and 3 have no encoding.
        """
        if not (0 < r < ORDER and 0 < s <= ORDER // 2 and y_parity in (0, 1)):
            raise ValueError("r, s or y_parity is not what a chain takes")
        return bytes((_TYPE,)) + rlp.encode([*self._items(), *map(rlp.integer, (y_parity, r, s))])

    def _items(self) -> list[rlp.Item]:
        numbers = (self.chain_id, self.nonce, self.max_priority_fee_per_gas, self.max_fee_per_gas, self.gas)
        return [*map(rlp.integer, numbers), self.to, rlp.integer(self.value), self.data, self.access_list]


def _check_type(given: Fields) -> None:
    number = given.read("type", _type, _TYPE)
    if number != _TYPE:
        raise ValueError(f"type: {number} is not signed here: only EIP-1559 here, which is type {_TYPE}")
    if "gasPrice" in given and "maxFeePerGas" not in given:
        raise ValueError("gasPrice: of a legacy transaction: only EIP-1559 here, which has maxFeePerGas")


def _type(value: object) -> int:
    return _TYPES[value] if isinstance(value, str) and value in _TYPES else integer(value)


def _recipient(value: object) -> bytes:
    return b"" if value in (None, "", "0x") else parse_address(value)


def _access_list(value: object) -> AccessList:
    """EIP-2930: addresses of 20 bytes, each with storage keys of 32."""
    return tuple(_access(one) for one in sequence(value))


def _access(value: object) -> tuple[bytes, tuple[bytes, ...]]:
    if not isinstance(value, Mapping) or value.keys() != {"address", "storageKeys"}:
        raise ValueError("an entry has an address and storageKeys, and nothing else")
    keys = tuple(hex_bytes(key) for key in sequence(value["storageKeys"]))
    if any(len(key) != 32 for key in keys):
        raise ValueError("a storage key is 32 bytes")
    return parse_address(value["address"]), keys
