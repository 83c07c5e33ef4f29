"""From one seed to every key: BIP-32 for secp256k1, SLIP-0010 for Ed25519; private derivation only.

bsim.crypto.slip10 has the other curves.
"""

import hmac
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

from bsim.crypto.ecdsa import Engine
from bsim.crypto.memory import Secret, wipe, wipe_unshared

Path = tuple[int, ...]
HARDENED: Final = 0x8000_0000  # BIP-32 "Extended keys": indexes from here on are hardened
_MAX_DEPTH: Final = 255  # BIP-32 "Serialization format" gives depth one byte
_ZERO: Final = bytes(32)
_STEP: Final = re.compile(r"([0-9]{1,10})(['hH]?)")


@dataclass(frozen=True, slots=True)
class Node:
    """An extended private key: secret and chain code, 32 bytes each. Its repr shows neither.

    Whoever holds one wipes it, or uses it in a `with`, which does.
    """

    secret: bytearray = field(repr=False)
    chain_code: bytearray = field(repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wipe()

    def wipe(self) -> None:
        """Overwrite both."""
        wipe(self.secret)
        wipe(self.chain_code)


def parse_path(text: str) -> Path:
    """Read "m/44'/60'/0'/0/1" (' or h or H for hardened); ValueError says which step is wrong."""
    root, *steps = text.split("/")
    if root != "m":
        raise ValueError("a derivation path starts with m")
    if len(steps) > _MAX_DEPTH:
        raise ValueError(f"a derivation path has at most {_MAX_DEPTH} steps")
    return tuple(_parse_step(number, step) for number, step in enumerate(steps, 1))


def _parse_step(number: int, step: str) -> int:
    match = _STEP.fullmatch(step)
    if match is None:
        raise ValueError(f"step {number} of the derivation path is no number: {step!r}")
    index = int(match[1])
    if index >= HARDENED:
        raise ValueError(f"step {number} of the derivation path is above 2147483647: {step!r}")
    return index + HARDENED if match[2] else index


class Scheme(ABC):
    """How one curve's keys grow from a seed. It keeps nothing: seeds and nodes are the caller's."""

    __slots__ = ()
    _salt: ClassVar[bytes]

    def master(self, seed: bytes) -> Node:
        """Answer the root of a seed of 16-64 bytes (BIP-32 "Master key generation"); ValueError otherwise."""
        if not 16 <= len(seed) <= 64:
            raise ValueError("a seed is 16 to 64 bytes")
        digest = hmac.digest(self._salt, seed, "sha512")
        try:
            return self._root(digest)
        finally:
            wipe_unshared(digest)

    def derive(self, seed: bytes, path: str | Iterable[int]) -> Node:
        """Answer the node at `path` under the seed's root; ValueError if seed or path is wrong."""
        node = self.master(seed)
        for index in parse_path(path) if isinstance(path, str) else path:
            with node as parent:
                node = self.child(parent, index)
        return node

    def child(self, node: Node, index: int) -> Node:
        """Answer the child of that index (0 to 2^32-1, hardened from 2^31); ValueError if there is none."""
        message = self._message(node, index)
        digest = hmac.digest(node.chain_code, message, "sha512")
        wipe(message)
        try:
            return self._child(node, index, digest)
        finally:
            wipe_unshared(digest)

    @abstractmethod
    def _root(self, digest: bytes) -> Node:
        """Make the root of the 64 bytes I."""

    @abstractmethod
    def _message(self, node: Node, index: int) -> bytearray:
        """Write what is hashed for a child: 37 bytes, to be wiped."""

    @abstractmethod
    def _child(self, node: Node, index: int, digest: bytes) -> Node:
        """Make the child of the 64 bytes I."""

    @abstractmethod
    def account_path(self, coin_type: int, slot: int) -> Path:
        """Answer where the key of a card's slot lives; ValueError if coin type or slot is above 2^31-1."""


def account(coin_type: int, slot: int) -> tuple[int, int, int]:
    """Answer m/44'/c'/0' (BIP-44): what both schemes' paths begin with."""
    if not 0 <= coin_type < HARDENED:
        raise ValueError(f"coin type {coin_type} is above 2147483647: it cannot be hardened")
    if not 0 <= slot < HARDENED:
        raise ValueError(f"slot {slot} is above 2147483647")
    return 44 + HARDENED, coin_type + HARDENED, HARDENED


def halves(digest: bytes) -> tuple[memoryview, memoryview]:
    """Look at I as its halves, without a copy that would have to be wiped."""
    whole = memoryview(digest)
    return whole[:32], whole[32:]


def _hardened(node: Node, index: int) -> bytearray:
    """Write what both standards hash for a hardened child: 00, the secret, and the index."""
    message = bytearray(37)
    message[1:33] = node.secret
    message[33:] = index.to_bytes(4, "big")
    return message


def point_or_hardened(node: Node, index: int, public_key: Callable[[Secret], bytes]) -> bytearray:
    """Write what both standards hash for any child: of one that is not hardened the compressed point, and the index."""
    if HARDENED <= index <= 0xFFFF_FFFF:
        return _hardened(node, index)
    if not 0 <= index < HARDENED:
        raise ValueError("a child index is 0 to 2^32-1")
    point = public_key(node.secret)
    return bytearray((2 + (point[64] & 1),)) + point[1:33] + index.to_bytes(4, "big")


class Bip32(Scheme):
    """BIP-32 private derivation over secp256k1."""

    __slots__ = ("_add", "_public_key")
    _salt = b"Bitcoin seed"

    def __init__(self, engine: Engine) -> None:
        self._add = engine.add
        self._public_key = engine.public_key

    def _root(self, digest: bytes) -> Node:
        left, right = halves(digest)
        # BIP-32 "Master key generation": a root of 0 or n and above is invalid; such a seed has no keys. The library
        # judges that, adding nothing: a comparison of our own would be one of secrets.
        try:
            return Node(self._add(left, _ZERO), bytearray(right))
        except ValueError:
            raise ValueError("this seed has no secp256k1 master key") from None

    def _message(self, node: Node, index: int) -> bytearray:
        return point_or_hardened(node, index, self._public_key)

    def _child(self, node: Node, index: int, digest: bytes) -> Node:  # noqa: ARG002 - see below
        # BIP-32 CKDpriv. Where it says "proceed with the next value for i" (once in 2^127) this is a ValueError: a
        # slot's path names its key, and another index would be another slot's.
        left, right = halves(digest)
        return Node(self._add(node.secret, left), bytearray(right))

    def account_path(self, coin_type: int, slot: int) -> Path:
        """m/44'/c'/0'/0/i, where the wallet app takes the key of slot i to live (known)."""
        return (*account(coin_type, slot), 0, slot)


class Slip10Ed25519(Scheme):
    """SLIP-0010 for Ed25519: every step is hardened, and every digest is a key: nothing is tried again."""

    __slots__ = ()
    _salt = b"ed25519 seed"

    def _root(self, digest: bytes) -> Node:
        left, right = halves(digest)
        return Node(bytearray(left), bytearray(right))

    def _message(self, node: Node, index: int) -> bytearray:
        if not HARDENED <= index <= 0xFFFF_FFFF:
            raise ValueError("Ed25519 keys have hardened children only")
        return _hardened(node, index)

    def _child(self, node: Node, index: int, digest: bytes) -> Node:  # noqa: ARG002 - SLIP-0010: digest is child
        return self._root(digest)

    def account_path(self, coin_type: int, slot: int) -> Path:
        """m/44'/c'/0'/0'/i' (chosen)."""
        return (*account(coin_type, slot), HARDENED, slot + HARDENED)
