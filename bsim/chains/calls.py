"""Calls of tokens that the card knows: ERC-20, ERC-721 and ERC-1155; on Conflux Core Space CRC-20, -721 and -1155.

A call is known if its selector is in the table and its arguments are encoded in the one canonical way. All
arguments are shown. Where two standards share a selector the text says both: the card cannot ask the contract.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from bsim.chains import abi
from bsim.chains.abi import Type, Value
from bsim.chains.amounts import allowance
from bsim.chains.family import Line
from bsim.crypto.keccak import keccak256

WriteAddress: TypeAlias = Callable[[bytes], str]
"""How the chain and the contacts write 20 bytes."""

_SELECTOR: Final = 4


class Call(NamedTuple):
    """A known function: its name, its title for people, and its arguments in order, under their labels."""

    name: str
    title: str
    arguments: Mapping[str, Type]

    @property
    def selector(self) -> bytes:
        """The first four bytes of the call (Solidity ABI, "Function Selector")."""
        types = ",".join(kind.value for kind in self.arguments.values())
        return keccak256(f"{self.name}({types})".encode())[:_SELECTOR]


_FROM_TO: Final = {"From": Type.ADDRESS, "To": Type.ADDRESS}
SAFE_TRANSFER_721: Final = Call("safeTransferFrom", "Transfer NFT #{Token id}", _FROM_TO | {"Token id": Type.UINT256})
SAFE_TRANSFER_1155: Final = Call(
    "safeTransferFrom",
    "Transfer {Units} of NFT #{Token id}",
    _FROM_TO | {"Token id": Type.UINT256, "Units": Type.UINT256, "Message": Type.BYTES},
)
_CALLS: Final = (
    Call("transfer", "Transfer {Units} units of a token", {"To": Type.ADDRESS, "Units": Type.UINT256}),
    Call(
        "approve",
        "Allow to spend a token, or to take an NFT",
        {"Spender": Type.ADDRESS, "Units or token id": Type.UINT256},
    ),
    Call(
        "transferFrom",
        "Transfer of a token, or of an NFT: {Units or token id}",
        _FROM_TO | {"Units or token id": Type.UINT256},
    ),
    SAFE_TRANSFER_721,
    Call(
        "safeTransferFrom",
        "Transfer NFT #{Token id}",
        _FROM_TO | {"Token id": Type.UINT256, "Message": Type.BYTES},
    ),
    SAFE_TRANSFER_1155,
    Call(
        "safeBatchTransferFrom",
        "Transfer several NFTs",
        _FROM_TO | {"Token ids": Type.UINTS, "Units": Type.UINTS, "Message": Type.BYTES},
    ),
    Call(
        "setApprovalForAll",
        "Let an operator take all NFTs of the contract, or no longer",
        {"Operator": Type.ADDRESS, "Allowed": Type.BOOL},
    ),
)
CALLS: Final = {call.selector: call for call in _CALLS}


class Told(NamedTuple):
    """What a call does."""

    title: str
    lines: tuple[Line, ...]


def encode(call: Call, *values: Value) -> bytes:
    """Write a call's data."""
    return call.selector + abi.encode(tuple(call.arguments.values()), values)


class Standard(IntEnum):
    """The standards of collectibles that are transferred by a known call."""

    ERC721 = 721
    ERC1155 = 1155


def safe_transfer(standard: Standard, owner: bytes, to: bytes, token_id: int, amount: int) -> bytes:
    """Write the call that hands a collectible over; ValueError for an amount that the standard does not have."""
    if not 0 <= token_id < 1 << 256:
        raise ValueError("a token id is 0 to 2^256-1")
    if not 0 < amount < 1 << 256 or (standard is Standard.ERC721 and amount != 1):
        raise ValueError("an amount is 1 for ERC-721, and 1 to 2^256-1 for ERC-1155")
    if standard is Standard.ERC721:
        return encode(SAFE_TRANSFER_721, owner, to, token_id)
    return encode(SAFE_TRANSFER_1155, owner, to, token_id, amount, b"")


def tell(data: bytes, write: WriteAddress) -> Told | None:
    """Say what call data does; None for a call that is not known."""
    call = CALLS.get(data[:_SELECTOR])
    if call is None:
        return None
    try:
        values = abi.decode(tuple(call.arguments.values()), data[_SELECTOR:])
    except ValueError:
        return None  # whatever a contract would make of it, it is not this call as its encoder writes it
    typed = zip(call.arguments.items(), values, strict=True)
    texts = {label: _text(value, kind, write) for (label, kind), value in typed}
    if call.name == "approve" and isinstance(values[1], int):
        texts["Units or token id"] = allowance(values[1])
    if call.name == "setApprovalForAll":
        texts["Allowed"] = "YES, ALL NFTs of the contract" if values[1] else "no longer"
    if call.name == "safeBatchTransferFrom" and not _paired(values):
        return None  # ERC-1155: a list of another length makes the call fail; its pairs cannot be shown
    return Told(call.title.format_map(texts), tuple(Line(label, text) for label, text in texts.items()))


def _paired(values: tuple[Value, ...]) -> bool:
    ids, units = values[2:4]
    return isinstance(ids, tuple) and isinstance(units, tuple) and len(ids) == len(units)


def _text(value: Value, kind: Type, write: WriteAddress) -> str:
    if isinstance(value, bytes):
        return write(value) if kind is Type.ADDRESS else (f"0x{value.hex()}" if value else "none")
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def unknown(data: bytes) -> tuple[Line, ...]:
    """Say of a call's data that it is not understood: its selector, its length and its digest."""
    if len(data) < _SELECTOR:
        return _unread("Data", data, "")
    return _unread("Call", data, f": 0x{data[:_SELECTOR].hex()}")


def code(data: bytes) -> tuple[Line, ...]:
    """Say of the code that makes a contract that it is not understood: its length and its digest."""
    return _unread("Code", data, "")


def _unread(label: str, data: bytes, selector: str) -> tuple[Line, ...]:
    digest = Line("Data's Keccak-256", f"0x{keccak256(data).hex()}")
    return Line(label, f"not understood{selector}, {len(data)} bytes"), digest
