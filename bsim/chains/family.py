"""What each family of signed things gives: strict decoding, digest, a summary that hides nothing, the signed form."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from bsim.crypto.algorithm import Algorithm


class Line(NamedTuple):
    """One line of a summary: "To" and what stands for it."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What the user is asked to sign.

    `hidden` names the signed fields whose value is not in title and lines in full; it is empty for known calls.
    """

    title: str
    lines: tuple[Line, ...]
    hidden: tuple[str, ...] = ()


class Signature(NamedTuple):
    """What a key made: r and s, and for secp256k1 the recovery id (0-3) that leads to the public key."""

    r: int
    s: int
    recovery_id: int | None


Names: TypeAlias = Callable[[str], str | None]
"""Answers the name of a contact, by the address as its chain writes it; None for a stranger."""


def nobody(_address: str) -> str | None:
    """Know no names."""
    return None


def called(names: Names, address: str) -> str:
    """Write an address, with the contact's name before it where there is one: "Alice (0x…)"."""
    name = names(address)
    return address if name is None else f"{name} ({address})"


class Signable(Protocol):
    """A payload, strictly decoded."""

    def digest(self, public_key: bytes) -> bytes:
        """Answer the 32 bytes that are signed. SM2 hashes the signer's 65-byte public key in; others ignore it."""
        ...

    def summary(self, names: Names = nobody) -> Summary:
        """Say what it does, for the user to judge."""
        ...

    def signed(self, signature: Signature, public_key: bytes) -> bytes:
        """Answer what is broadcast or handed over: the raw transaction; for messages r | s | v, 65 bytes.

        ValueError for a signature that the chain would not take.
        """
        ...


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of payload: its code, the algorithms its chain takes, and the coin types it is for (None: any).

    `decode` raises ValueError for everything malformed; the message names the field and repeats none of the payload.
    """

    code: int
    name: str
    title: str
    algorithms: frozenset[Algorithm]
    decode: Callable[[bytes], Signable]
    coin_types: frozenset[int] | None = None
