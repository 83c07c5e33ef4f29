"""Transactions of FISCO BCOS 2: a list in RLP, signed with secp256k1 over Keccak-256 or with SM2 over SM3.

The signer's key tells which. FISCO BCOS 3 hashes fields of its own TARS structures and is not covered.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from bsim.chains import rlp, transaction_json
from bsim.chains.actions import action
from bsim.chains.evm_account import address as evm_address
from bsim.chains.evm_account import checksum, parse_address
from bsim.chains.family import Line, Names, Signature, Summary, called, nobody
from bsim.chains.fields import U64, U256, Fields, hex_bytes
from bsim.chains.items import Items
from bsim.chains.signatures import recoverable
from bsim.crypto import sm2, sm2_curve
from bsim.crypto.algorithm import Algorithm
from bsim.crypto.curves import algorithm_of
from bsim.crypto.keccak import keccak256
from bsim.crypto.sm3 import sm3

_LAYOUT: Final = (
    *("randomid", "gasPrice", "gasLimit", "blockLimit", "to", "value", "data"),
    *("fiscoChainId", "groupId", "extraData"),
)
_IDS: Final = 1 << 31  # the node keeps both ids in an int
_FIRST_V: Final = 27


def address(public_key: bytes) -> str:
    """Answer the account of a key: Ethereum's for secp256k1, the last 20 bytes of SM3 of the point for SM2."""
    if _algorithm(public_key) is Algorithm.SECP256K1:
        return evm_address(public_key)
    return checksum(sm3(public_key[1:])[12:])


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction without its signature. `to` is 20 bytes, or empty where a contract is made."""

    random_id: int
    gas_price: int
    gas_limit: int
    block_limit: int
    to: bytes
    value: int
    data: bytes
    chain_id: int
    group_id: int
    extra_data: bytes
    _items: list[rlp.Decoded] = field(repr=False)

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read an unsigned payload: the RLP of the ten fields; ValueError names the field."""
        return cls._read(rlp.decode(payload))

    @classmethod
    def from_json(cls, fields: Mapping[str, object]) -> Self:
        """Make one of the fields' names as the SDKs have them; ValueError names the one that is missing or wrong."""
        parsers = transaction_json.parsers(parse_address) | {"extraData": hex_bytes}
        given = Fields({"extraData": "0x", **fields}, {})
        return cls._read(transaction_json.items(given, _LAYOUT, parsers))

    @classmethod
    def _read(cls, items: rlp.Decoded) -> Self:
        read = Items(_LAYOUT, items, "transaction")
        found = cls(
            random_id=read.number("randomid", U256),
            gas_price=read.number("gasPrice", U256),
            gas_limit=read.number("gasLimit", U256),
            block_limit=read.number("blockLimit", U64),
            to=read.data("to", 0, 20),
            value=read.number("value", U256),
            data=read.data("data"),
            chain_id=read.number("fiscoChainId", _IDS, 1),
            group_id=read.number("groupId", _IDS, 1),
            extra_data=read.data("extraData"),
            _items=items if isinstance(items, list) else [],
        )
        if not found.to and not found.data:
            raise ValueError("to: missing, and there is no data to make a contract of")
        return found

    def unsigned(self) -> bytes:
        """Answer the payload: what is hashed to be signed."""
        return rlp.encode(self._items)

    def digest(self, public_key: bytes) -> bytes:
        """Answer Keccak-256 for a key of secp256k1; for one of SM2 its e over SM3 of the payload, as nodes verify."""
        if _algorithm(public_key) is Algorithm.SECP256K1:
            return keccak256(self.unsigned())
        return sm2.digest(public_key, sm3(self.unsigned()))

    def summary(self, names: Names = nobody) -> Summary:
        """Say what it does, and every other field."""

        def write(account: bytes) -> str:
            return called(names, checksum(account))

        told = action(self.to, self.data, f"{self.value} units", write)
        return Summary(told.title, (*told.lines, *self._terms()), told.hidden)

    def _terms(self) -> Iterator[Line]:
        yield Line("Chain", f"FISCO BCOS chain {self.chain_id}, group {self.group_id}")
        yield Line("Valid until block", str(self.block_limit))
        yield Line("Gas limit", str(self.gas_limit))
        yield Line("Gas price", str(self.gas_price))
        yield Line("Random id", str(self.random_id))
        yield Line("Extra data", f"0x{self.extra_data.hex()}" if self.extra_data else "none")

    def signed(self, signature: Signature, public_key: bytes) -> bytes:
        """Answer the raw transaction: v, r, s after the fields; with SM2 the key's 64 bytes stand where v stands."""
        if _algorithm(public_key) is Algorithm.SM2:
            r, s, _ = signature
            if not (0 < r < sm2_curve.ORDER and 0 < s < sm2_curve.ORDER):
                raise ValueError("r or s is out of range")
            return rlp.encode([*self._items, public_key[1:], rlp.integer(r), rlp.integer(s)])
        r, s, recovery_id = recoverable(signature)
        return rlp.encode([*self._items, *map(rlp.integer, (_FIRST_V + recovery_id, r, s))])


def _algorithm(public_key: bytes) -> Algorithm:
    algorithm = algorithm_of(public_key)
    if algorithm is Algorithm.P256:
        raise ValueError("FISCO BCOS's keys are of secp256k1 or SM2")
    return algorithm


def decode(payload: bytes) -> Transaction:
    """Read an unsigned payload; ValueError for everything that is not one."""
    return Transaction.decode(payload)
