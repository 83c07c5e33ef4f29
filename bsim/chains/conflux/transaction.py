"""Transactions of Conflux Core Space, unsigned: legacy, CIP-2930 and CIP-1559, read strictly from RLP or JSON.

What is signed is the prefix (CIP-90: "cfx" and the type) and the list of fields; signed, that list stands in another
one with v, r and s.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Self

from bsim.chains import rlp, transaction_json
from bsim.chains.actions import access_lines, action
from bsim.chains.amounts import ETHER, GWEI, decimal
from bsim.chains.core_account import MAINNET, TESTNET, encode, kind, parse_address
from bsim.chains.family import Line, Names, Signature, Summary, called, nobody
from bsim.chains.fields import U64, U256, Fields
from bsim.chains.items import AccessList, Items
from bsim.chains.signatures import recoverable
from bsim.crypto.keccak import keccak256


class Kind(IntEnum):
    """The type of a transaction; legacy ones have no prefix."""

    LEGACY = 0
    ACCESS_LIST = 1
    FEE_MARKET = 2


PREFIX: Final = b"cfx"
_REST: Final = ("gas", "to", "value", "storageLimit", "epochHeight", "chainId", "data")
_LAYOUTS: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.LEGACY: ("nonce", "gasPrice", *_REST),
    Kind.ACCESS_LIST: ("nonce", "gasPrice", *_REST, "accessList"),  # CIP-90, CIP-2930
    Kind.FEE_MARKET: ("nonce", "maxPriorityFeePerGas", "maxFeePerGas", *_REST, "accessList"),  # CIP-1559
}
_TITLES: Final = {Kind.LEGACY: "legacy", Kind.ACCESS_LIST: "CIP-2930", Kind.FEE_MARKET: "CIP-1559"}
_NETWORKS: Final = {MAINNET: "Conflux Core Space", TESTNET: "Conflux Core Space Testnet"}
_CHAIN_IDS: Final = 1 << 32
_COLLATERAL: Final = 10**18 // 1024  # drip a byte of storage: 1 CFX for 1,024 (Conflux protocol specification)


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction without its signature. `to` is 20 bytes, or empty where a contract is made."""

    kind: Kind
    chain_id: int
    nonce: int
    gas: int
    to: bytes
    value: int
    storage_limit: int
    epoch_height: int
    data: bytes
    max_fee_per_gas: int
    max_priority_fee_per_gas: int
    access_list: AccessList
    _items: list[rlp.Decoded] = field(repr=False)

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read an unsigned payload: a prefix and RLP, or RLP alone for legacy; ValueError names the field."""
        if payload[: len(PREFIX)] != PREFIX:
            return cls._read(Kind.LEGACY, rlp.decode(payload))
        number = payload[len(PREFIX)] if len(payload) > len(PREFIX) else 0
        if number not in (Kind.ACCESS_LIST, Kind.FEE_MARKET):
            raise ValueError("type: not 1 or 2 after the prefix")
        return cls._read(Kind(number), rlp.decode(payload[len(PREFIX) + 1 :]))

    @classmethod
    def from_json(cls, fields: Mapping[str, object]) -> Self:
        """Make one of the fields js-conflux-sdk takes; ValueError names the field that is missing, unknown or wrong.

        Addresses are CIP-37's, of the network that is the chain id. For the rest as the EVM's.
        """
        given = transaction_json.fields(fields)
        found = Kind(transaction_json.kind(given, tuple(_LAYOUTS)))
        chain_id = Fields(fields, {}).number("chainId", _CHAIN_IDS)

        def address(value: object) -> bytes:
            return parse_address(value, chain_id)

        given.read("from", address, b"")
        return cls._read(found, transaction_json.items(given, _LAYOUTS[found], transaction_json.parsers(address)))

    @classmethod
    def _read(cls, found: Kind, items: rlp.Decoded) -> Self:
        read = Items(_LAYOUTS[found], items, "transaction")
        market = found is Kind.FEE_MARKET
        transaction = cls(
            kind=found,
            chain_id=read.number("chainId", _CHAIN_IDS, 1),
            nonce=read.number("nonce", U256),
            gas=read.number("gas", U256),
            to=read.data("to", 0, 20),
            value=read.number("value", U256),
            storage_limit=read.number("storageLimit", U64),
            epoch_height=read.number("epochHeight", U64),
            data=read.data("data"),
            max_fee_per_gas=read.number("maxFeePerGas" if market else "gasPrice", U256),
            max_priority_fee_per_gas=read.number("maxPriorityFeePerGas", U256) if market else 0,
            access_list=read.access_list("accessList") if "accessList" in read else (),
            _items=items if isinstance(items, list) else [],
        )
        transaction._check()
        return transaction

    def _check(self) -> None:
        if self.max_priority_fee_per_gas > self.max_fee_per_gas:
            raise ValueError("maxPriorityFeePerGas: above maxFeePerGas")  # CIP-1559: such a one is not valid
        if not self.to and not self.data:
            raise ValueError("to: missing, and there is no data to make a contract of")
        if self.to and kind(self.to) is None:
            raise ValueError("to: of no type of Conflux accounts")

    def unsigned(self) -> bytes:
        """Answer the payload: what is hashed to be signed."""
        return self._prefixed(self._items)

    def digest(self, public_key: bytes = b"") -> bytes:  # noqa: ARG002 - of no account here
        """Answer the 32 bytes SIGN is called with."""
        return keccak256(self.unsigned())

    def signed(self, signature: Signature, public_key: bytes = b"") -> bytes:  # noqa: ARG002 - it can be recovered
        """Answer the raw transaction; ValueError if r, s or the recovery id is not what a node takes."""
        r, s, recovery_id = recoverable(signature)
        return self._prefixed([self._items, *map(rlp.integer, (recovery_id, r, s))])

    def summary(self, names: Names = nobody) -> Summary:
        """Say what it does: the call, the amount, the fee and collateral at most, the chain, and every other field."""

        def write(account: bytes) -> str:
            return called(names, encode(account, self.chain_id))

        told = action(self.to, self.data, _cfx(self.value), write)
        lines = (*told.lines, *self._terms(), *access_lines(self.access_list, write))
        return Summary(told.title, lines, told.hidden)

    def _terms(self) -> Iterator[Line]:
        yield Line("Fee at most", _cfx(self.gas * self.max_fee_per_gas))
        yield Line("Collateral at most", f"{_cfx(self.storage_limit * _COLLATERAL)}, for {self.storage_limit} bytes")
        yield Line("Chain", f"{_NETWORKS.get(self.chain_id, 'Conflux Core Space network')} ({self.chain_id})")
        yield Line("Epoch", str(self.epoch_height))
        yield Line("Nonce", str(self.nonce))
        yield Line("Gas limit", str(self.gas))
        yield Line("Gas price at most", _gdrip(self.max_fee_per_gas))
        if self.kind is Kind.FEE_MARKET:
            yield Line("Priority fee per gas", _gdrip(self.max_priority_fee_per_gas))
        yield Line("Type", _TITLES[self.kind])

    def _prefixed(self, items: list[rlp.Decoded]) -> bytes:
        prefix = b"" if self.kind is Kind.LEGACY else PREFIX + bytes((self.kind,))
        return prefix + rlp.encode(items)


def _cfx(value: int) -> str:
    return f"{decimal(value, ETHER)} CFX"


def _gdrip(value: int) -> str:
    return f"{decimal(value, GWEI)} Gdrip"
