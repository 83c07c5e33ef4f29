"""Transactions of ChainMaker (Chang'an Chain): `Payload` of common/request.proto, signed with SM2 or P-256.

The signer's key tells which: SM2 signs SM3 with the identity 1234567812345678, P-256 signs SHA-256.
"""

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

from bsim.chains import protobuf
from bsim.chains.family import Line, Names, Signature, Summary, nobody
from bsim.chains.fields import U64, Fields, integer, sequence
from bsim.crypto import p256, sm2, sm2_curve
from bsim.crypto.algorithm import Algorithm
from bsim.crypto.curves import algorithm_of
from bsim.crypto.verify import encode_der

_TYPES: Final = ("INVOKE_CONTRACT", "QUERY_CONTRACT", "SUBSCRIBE", "ARCHIVE")
_PUBLIC_KEY: Final = 2  # accesscontrol/member.proto, MemberType
_TIMES: Final = 1 << 63
# RFC 5480 2.1, SubjectPublicKeyInfo with the curve's identifier (SM2: GM/T 0006); the point follows.
_SPKI: Final = {
    Algorithm.P256: bytes.fromhex("3059301306072A8648CE3D020106082A8648CE3D030107034200"),
    Algorithm.SM2: bytes.fromhex("3059301306072A8648CE3D020106082A811CCF5501822D034200"),
}
_ORDERS: Final = {Algorithm.P256: p256.ORDER, Algorithm.SM2: sm2_curve.ORDER}


@dataclass(frozen=True, slots=True)
class Payload:
    """One payload. Times are seconds since 1970; `gas_limit` is None where there is no limit at all."""

    chain_id: str
    tx_type: int
    tx_id: str
    timestamp: int
    expiration_time: int
    contract_name: str
    method: str
    parameters: tuple[tuple[str, bytes], ...]
    sequence: int
    gas_limit: int | None

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a serialized payload; ValueError names the field, or says that another writing of it is the one."""
        read = _Message(payload)
        limit = read.one(10)
        found = cls(
            chain_id=read.text(1, "chain_id"),
            tx_type=read.number(2, "tx_type", len(_TYPES)),
            tx_id=read.text(3, "tx_id"),
            timestamp=read.number(4, "timestamp", _TIMES),
            expiration_time=read.number(5, "expiration_time", _TIMES),
            contract_name=read.text(6, "contract_name"),
            method=read.text(7, "method"),
            parameters=tuple(_parameter(one) for one in read.all(8, "parameters")),
            sequence=read.number(9, "sequence", U64),
            gas_limit=None if limit is None else _limit(limit),
        )
        found._check()
        if found.unsigned() != payload:
            raise ValueError("payload: fields that are not known, repeated, out of order or longer than they need be")
        return found

    @classmethod
    def from_json(cls, fields: Mapping[str, object]) -> Self:
        """Make one of an object with the fields' names; ValueError names the field that is missing or wrong.

        `tx_type` is a name, `parameters` a list of {"key", "value"} whose values are texts; `gas_limit` stands for
        the limit.
        """
        given = Fields(fields, {})
        made = cls(
            chain_id=given.read("chain_id", _text),
            tx_type=given.read("tx_type", _type, 0),
            tx_id=given.read("tx_id", _text),
            timestamp=given.number("timestamp", _TIMES),
            expiration_time=given.number("expiration_time", _TIMES, 0),
            contract_name=given.read("contract_name", _text),
            method=given.read("method", _text),
            parameters=given.read("parameters", _pairs, ()),
            sequence=given.number("sequence", U64, 0),
            gas_limit=given.number("gas_limit", U64) if "gas_limit" in given else None,
        )
        given.finish()
        return cls.decode(made.unsigned())

    def _check(self) -> None:
        for name, value in (("chain_id", self.chain_id), ("tx_id", self.tx_id), ("contract_name", self.contract_name)):
            if not value:
                raise ValueError(f"{name}: missing")
        if self.expiration_time and self.expiration_time <= self.timestamp:
            raise ValueError("expiration_time: not after the timestamp")

    def unsigned(self) -> bytes:
        """Answer the serialized payload: what is hashed to be signed."""
        pairs = (
            protobuf.message(8, protobuf.data(1, key.encode()) + protobuf.data(2, value))
            for key, value in self.parameters
        )
        return b"".join(
            (
                protobuf.data(1, self.chain_id.encode()),
                protobuf.number(2, self.tx_type),
                protobuf.data(3, self.tx_id.encode()),
                protobuf.number(4, self.timestamp),
                protobuf.number(5, self.expiration_time),
                protobuf.data(6, self.contract_name.encode()),
                protobuf.data(7, self.method.encode()),
                *pairs,
                protobuf.number(9, self.sequence),
                b"" if self.gas_limit is None else protobuf.message(10, protobuf.number(1, self.gas_limit)),
            )
        )

    def digest(self, public_key: bytes) -> bytes:
        """Answer SM2's e for a point of that curve, SHA-256 of the payload for one of P-256; ValueError for others."""
        algorithm = _algorithm(public_key)
        payload = self.unsigned()
        return sm2.digest(public_key, payload) if algorithm is Algorithm.SM2 else hashlib.sha256(payload).digest()

    def summary(self, names: Names = nobody) -> Summary:  # noqa: ARG002 - its parties are named in parameters only
        """Say which contract is called and how, with every parameter and every other field."""
        title = f"{self.method or 'Call'} in contract {self.contract_name}"
        return Summary(title, tuple(self._lines()))

    def _lines(self) -> Iterator[Line]:
        yield Line("Chain", self.chain_id)
        yield Line("Contract", self.contract_name)
        yield Line("Method", self.method or "(none)")
        for key, value in self.parameters:
            yield _shown(key, value)
        yield Line("Type", _TYPES[self.tx_type])
        yield Line("Transaction", self.tx_id)
        yield Line("Time", str(self.timestamp))
        yield Line("Expires", str(self.expiration_time) if self.expiration_time else "never")
        yield Line("Sequence", str(self.sequence))
        yield Line("Gas limit", "none" if self.gas_limit is None else str(self.gas_limit))

    def signed(self, signature: Signature, public_key: bytes) -> bytes:
        """Answer the `TxRequest` of a sender known by its public key, outside any organisation ("Public" mode).

        Chains that know their senders by certificates take the same signature under another `Member`.
        """
        algorithm = _algorithm(public_key)
        member = protobuf.number(2, _PUBLIC_KEY) + protobuf.data(3, _pem(_SPKI[algorithm] + public_key))
        der = encode_der(signature.r, signature.s, _ORDERS[algorithm])
        sender = protobuf.message(1, member) + protobuf.data(2, der)
        return protobuf.message(1, self.unsigned()) + protobuf.message(2, sender)


class _Message:
    """The fields of one message by their numbers."""

    def __init__(self, data: bytes) -> None:
        self._fields: dict[int, list[protobuf.Value]] = {}
        for field, value in protobuf.fields(data):
            self._fields.setdefault(field, []).append(value)

    def one(self, field: int) -> protobuf.Value | None:
        return self._fields[field][-1] if field in self._fields else None

    def all(self, field: int, name: str) -> Iterator[bytes]:
        for value in self._fields.get(field, ()):
            yield _bytes(value, name)

    def data(self, field: int, name: str) -> bytes:
        value = self.one(field)
        return b"" if value is None else _bytes(value, name)

    def text(self, field: int, name: str) -> str:
        try:
            return self.data(field, name).decode()
        except UnicodeDecodeError:
            raise ValueError(f"{name}: not UTF-8") from None

    def number(self, field: int, name: str, limit: int) -> int:
        value = self.one(field) or 0
        if not isinstance(value, int) or value >= limit:
            raise ValueError(f"{name}: not a number from 0 to {limit - 1:#x}")
        return value


def _bytes(value: protobuf.Value, name: str) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError(f"{name}: a number where bytes belong")
    return value


def _parameter(data: bytes) -> tuple[str, bytes]:
    read = _Message(data)
    return read.text(1, "parameters"), read.data(2, "parameters")


def _limit(value: protobuf.Value) -> int:
    return _Message(_bytes(value, "limit")).number(1, "limit", U64)


def _shown(key: str, value: bytes) -> Line:
    try:
        return Line(f"Parameter {key}", value.decode() or "(empty)")
    except UnicodeDecodeError:
        return Line(f"Parameter {key} in hex", f"0x{value.hex()}")


def _algorithm(public_key: bytes) -> Algorithm:
    algorithm = algorithm_of(public_key)
    if algorithm not in _SPKI:
        raise ValueError("ChainMaker's keys are of SM2 or P-256")
    return algorithm


def _pem(der: bytes) -> bytes:
    """RFC 7468: the text a public key's file has."""
    body = b64encode(der)
    lines = b"\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    return b"-----BEGIN PUBLIC KEY-----\n" + lines + b"\n-----END PUBLIC KEY-----\n"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return value


def _type(value: object) -> int:
    return _TYPES.index(value) if isinstance(value, str) and value in _TYPES else integer(value)


def _pairs(value: object) -> tuple[tuple[str, bytes], ...]:
    return tuple(_pair(one) for one in sequence(value))


def _pair(value: object) -> tuple[str, bytes]:
    if not isinstance(value, Mapping) or value.keys() != {"key", "value"}:
        raise ValueError("an entry has a key and a value, and nothing else")
    return _text(value["key"]), _text(value["value"]).encode()


def decode(payload: bytes) -> Payload:
    """Read a serialized payload; ValueError for everything that is not one in its one writing."""
    return Payload.decode(payload)
