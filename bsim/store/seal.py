"""Sealing: AES-256-GCM over every record and over the list of them, and the card key wrapped by a secret.

docs/security.md describes each byte. What is authenticated cannot be swapped, rolled back by itself or moved.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from struct import Struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from bsim.ports import Rng

KEY_LENGTH: Final = 32
CARD_ID_LENGTH: Final = 16
SALT_LENGTH: Final = 16
NONCE_LENGTH: Final = 12
TAG_LENGTH: Final = 16
# 2^15, 8, 1: some 90 ms and 32 MiB a guess. RFC 7914.
DEFAULT_COST: Final = bytes((15, 8, 1))
NO_COST: Final = bytes(3)
_MAX_COST: Final = bytes((20, 16, 4))  # a file may not ask for more than 2 GiB: it is not trusted yet

_COUNTER: Final = Struct(">Q")
_ENTRY: Final = Struct(f">HQ{TAG_LENGTH}s")  # length of the name, version, tag; the name follows


class Wrapping(StrEnum):
    """What wraps the card key."""

    PASSPHRASE = "passphrase"  # noqa: S105 - a word
    KEY_FILE = "key file"
    PLAIN = "plain"
    """Nothing that is secret: whoever has the file has the card."""


@dataclass(frozen=True, slots=True)
class Key:
    """What wraps a card key: passphrase (UTF-8), contents of a key file (32 bytes), or nothing."""

    wrapping: Wrapping
    secret: bytes = field(repr=False)


PLAIN: Final = Key(Wrapping.PLAIN, b"")


@dataclass(frozen=True, slots=True)
class Header:
    """What a card file tells in the clear: card id (16 bytes), wrapping, salt (16), cost (3), wrapped key (60).

    The cost is log2 N, r and p of scrypt, and zeros where the wrapping is no passphrase.
    """

    card_id: bytes
    wrapping: Wrapping
    salt: bytes
    cost: bytes
    wrapped: bytes = b""

    @property
    def context(self) -> bytes:
        """What the wrapped key is bound to: all else that stands in the clear."""
        return b"bsim/2/key" + self.card_id + self.salt + self.cost + self.wrapping.encode()


class Unsealable(ValueError):  # noqa: N818 - the property of what was given, told without its contents
    """A wrong key, or sealed bytes that were altered; which of them, nobody can tell."""


@dataclass(frozen=True, slots=True)
class Seal:
    """What the manifest knows of one record: in which commit it was written, and the tag it ended with (16 bytes)."""

    version: int
    tag: bytes

    @classmethod
    def of(cls, version: int, sealed: bytes) -> "Seal":
        """Note down a record that was sealed."""
        return cls(version, sealed[-TAG_LENGTH:])


@dataclass(frozen=True, slots=True)
class Manifest:
    """Every record there is, and how many commits there were."""

    commits: int
    seals: Mapping[str, Seal]


class Sealer:
    """Seals and opens what belongs to one card. Nonces are random: NIST SP 800-38D 8.2.2 allows 2^32 of them a key."""

    __slots__ = ("_aead", "_card_id", "_rng")

    def __init__(self, card_id: bytes, card_key: bytes, rng: Rng = secrets.token_bytes) -> None:
        self._card_id: Final = card_id
        self._aead: Final = AESGCM(card_key)
        self._rng: Final = rng

    def seal(self, name: str, version: int, value: bytes) -> bytes:
        """Answer nonce, ciphertext and tag: 28 bytes more than the value."""
        return self._encrypt(value, self._record_context(name, version))

    def open(self, name: str, seal: Seal, sealed: bytes) -> bytes:
        """Answer a record's value; Unsealable unless it is the one the manifest means."""
        if sealed[-TAG_LENGTH:] != seal.tag:
            raise Unsealable("not the record the manifest lists")
        return self._decrypt(sealed, self._record_context(name, seal.version))

    def seal_manifest(self, manifest: Manifest) -> bytes:
        """Answer the number of commits (8 bytes), nonce, ciphertext and tag."""
        entries = (
            _ENTRY.pack(len(encoded), seal.version, seal.tag) + encoded
            for encoded, seal in sorted((name.encode(), seal) for name, seal in manifest.seals.items())
        )
        counter = _COUNTER.pack(manifest.commits)
        return counter + self._encrypt(b"".join(entries), self._manifest_context(counter))

    def open_manifest(self, sealed: bytes) -> Manifest:
        """The inverse of `seal_manifest`; Unsealable as above."""
        counter, rest = sealed[: _COUNTER.size], sealed[_COUNTER.size :]
        encoded, at = self._decrypt(rest, self._manifest_context(counter)), 0
        seals = {}
        while at < len(encoded):
            length, version, tag = _ENTRY.unpack_from(encoded, at)
            at += _ENTRY.size + length
            seals[encoded[at - length : at].decode()] = Seal(version, tag)
        return Manifest(_COUNTER.unpack(counter)[0], seals)

    def _record_context(self, name: str, version: int) -> bytes:
        return b"bsim/2/record" + self._card_id + _COUNTER.pack(version) + name.encode()

    def _manifest_context(self, counter: bytes) -> bytes:
        return b"bsim/2/manifest" + self._card_id + counter

    def _encrypt(self, value: bytes, context: bytes) -> bytes:
        nonce = self._rng(NONCE_LENGTH)
        return nonce + self._aead.encrypt(nonce, value, context)

    def _decrypt(self, sealed: bytes, context: bytes) -> bytes:
        return _open(self._aead, sealed, context)


def wrap(key: Key, card_id: bytes, card_key: bytes, rng: Rng = secrets.token_bytes) -> Header:
    """Wrap a card key (32 bytes) by a secret, under a new salt."""
    cost = DEFAULT_COST if key.wrapping is Wrapping.PASSPHRASE else NO_COST
    bare = Header(card_id, key.wrapping, rng(SALT_LENGTH), cost)
    nonce = rng(NONCE_LENGTH)
    wrapped = nonce + AESGCM(_wrapping_key(bare, key.secret)).encrypt(nonce, card_key, bare.context)
    return Header(bare.card_id, bare.wrapping, bare.salt, bare.cost, wrapped)


def unwrap(header: Header, secret: bytes) -> bytes:
    """Answer the card key (32 bytes); Unsealable if the secret is wrong or the header was altered."""
    return _open(AESGCM(_wrapping_key(header, secret)), header.wrapped, header.context)


def _wrapping_key(header: Header, secret: bytes) -> bytes:
    """Make the key that wraps: by scrypt (RFC 7914) of a passphrase, by HKDF (RFC 5869) of what is random."""
    if header.wrapping is not Wrapping.PASSPHRASE:
        # `plain` goes the same way with an empty secret: anybody can do what is done here.
        return HKDF(SHA256(), KEY_LENGTH, header.salt, b"bsim/2/" + header.wrapping.encode()).derive(secret)
    if not all(1 <= asked <= most for asked, most in zip(header.cost, _MAX_COST, strict=True)):
        raise Unsealable("scrypt parameters out of range")
    log_n, r, p = header.cost
    try:
        return Scrypt(salt=header.salt, length=KEY_LENGTH, n=1 << log_n, r=r, p=p).derive(secret)
    except (ValueError, MemoryError) as fault:
        raise Unsealable("scrypt parameters out of range") from fault


def _open(aead: AESGCM, sealed: bytes, context: bytes) -> bytes:
    try:
        return aead.decrypt(sealed[:NONCE_LENGTH], sealed[NONCE_LENGTH:], context)
    except (InvalidTag, ValueError) as fault:
        raise Unsealable("wrong key, or altered") from fault
