"""EVM transactions, unsigned: legacy (EIP-155), EIP-2930, EIP-1559 and EIP-7702, read strictly from RLP or JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from bsim.chains import rlp
from bsim.chains.evm import authorization, from_json
from bsim.chains.evm.kinds import CHAIN_IDS, LAYOUTS, LEGACY_TAIL, NONCES, Kind
from bsim.chains.family import Names, Signature, Summary, nobody
from bsim.chains.fields import U64, U256
from bsim.chains.items import AccessList, Items
from bsim.chains.signatures import recoverable
from bsim.crypto.keccak import keccak256

_LISTS: Final = 0xC0  # RLP: what begins here is a list, and so a legacy transaction


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction without its signature. `to` is 20 bytes, or empty where a contract is made.

    A legacy or EIP-2930 one has a gas price, which is its maximum and has no part for a priority.
    """

    kind: Kind
    chain_id: int
    nonce: int
    gas: int
    to: bytes
    value: int
    data: bytes
    max_fee_per_gas: int
    max_priority_fee_per_gas: int
    access_list: AccessList
    authorizations: tuple[authorization.Authorization, ...]
    _items: list[rlp.Decoded] = field(repr=False)

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read an unsigned payload: a type byte and RLP, or RLP alone for legacy; ValueError names the field."""
        if not payload:
            raise ValueError("type: missing")
        if payload[0] >= _LISTS:
            return cls._read(Kind.LEGACY, rlp.decode(payload))
        if payload[0] not in LAYOUTS or payload[0] == Kind.LEGACY:
            raise ValueError("type: not 1, 2 or 4, and no legacy transaction")
        return cls._read(Kind(payload[0]), rlp.decode(payload[1:]))

    @classmethod
    def from_json(cls, fields: Mapping[str, object]) -> Self:
        """Make one of JSON-RPC's fields; ValueError names the field that is missing, unknown or wrong.

        Numbers are ints, decimal strings or 0x-hex; bytes are 0x-hex. `gasLimit` and `input` may stand for
        `gas` and `data`. Nonce, gas and fees are never guessed. `type` may be left out where the fields tell it.
        `from` is not signed: it has to be an address, and is ignored.
        """
        kind, items = from_json.items(fields)
        return cls._read(kind, items)

    @classmethod
    def _read(cls, kind: Kind, items: rlp.Decoded) -> Self:
        read = Items(LAYOUTS[kind], items, "transaction")
        price = "gasPrice" if "gasPrice" in read else "maxFeePerGas"
        transaction = cls(
            kind=kind,
            chain_id=read.number("chainId", CHAIN_IDS, 1),
            nonce=read.number("nonce", NONCES),
            max_priority_fee_per_gas=read.number("maxPriorityFeePerGas", U256) if price == "maxFeePerGas" else 0,
            max_fee_per_gas=read.number(price, U256),
            gas=read.number("gas", U64),
            to=read.data("to", 0, 20),
            value=read.number("value", U256),
            data=read.data("data"),
            access_list=read.access_list("accessList") if "accessList" in read else (),
            authorizations=tuple(map(authorization.parse, read.sequence("authorizationList")))
            if kind is Kind.SET_CODE
            else (),
            _items=items if isinstance(items, list) else [],
        )
        transaction._check(read)
        return transaction

    def _check(self, read: Items) -> None:
        if self.max_priority_fee_per_gas > self.max_fee_per_gas:
            raise ValueError("maxPriorityFeePerGas: above maxFeePerGas")  # EIP-1559: such a one is not valid
        if not self.to and not self.data:
            raise ValueError("to: missing, and there is no data to make a contract of")
        if self.kind is Kind.LEGACY:
            for name in LEGACY_TAIL[1:]:
                read.data(name, 0)  # EIP-155: empty before it is signed
        if self.kind is Kind.SET_CODE and not self.to:
            raise ValueError("to: missing; a transaction of type 4 makes no contract")  # EIP-7702
        if self.kind is Kind.SET_CODE and not self.authorizations:
            raise ValueError("authorizationList: empty")  # EIP-7702: such a one is not valid

    def unsigned(self) -> bytes:
        """Answer the payload: what is hashed to be signed."""
        return self._typed(self._items)

    def digest(self, public_key: bytes = b"") -> bytes:  # noqa: ARG002 - of no account here
        """Answer the 32 bytes SIGN is called with."""
        return keccak256(self.unsigned())

    def signed(self, signature: Signature, public_key: bytes = b"") -> bytes:  # noqa: ARG002 - it can be recovered
        """Answer the raw transaction; ValueError if r, s or the recovery id is not what a chain takes."""
        r, s, y_parity = recoverable(signature)
        if self.kind is Kind.LEGACY:
            v = 35 + 2 * self.chain_id + y_parity  # EIP-155
            return rlp.encode([*self._items[: -len(LEGACY_TAIL)], *map(rlp.integer, (v, r, s))])
        return self._typed([*self._items, *map(rlp.integer, (y_parity, r, s))])

    def summary(self, names: Names = nobody) -> Summary:
        """Say what it does: the call, the amount, the fee at most, the chain, and every other field."""
        from bsim.chains.evm.summary import summary  # noqa: PLC0415 - for those who show it

        return summary(self, names)

    def _typed(self, items: list[rlp.Decoded]) -> bytes:
        prefix = b"" if self.kind is Kind.LEGACY else bytes((self.kind,))
        return prefix + rlp.encode(items)
