"""The sealed contents of a card file: proven whole when opened, sealed record by record when written."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bsim.ports import Rng
from bsim.store import schema
from bsim.store.errors import DamagedError, LockedError
from bsim.store.seal import (
    CARD_ID_LENGTH,
    KEY_LENGTH,
    Header,
    Key,
    Manifest,
    Seal,
    Sealer,
    Unsealable,
    unwrap,
    wrap,
)

_MANIFEST = "INSERT OR REPLACE INTO meta VALUES ('manifest', ?)"


@dataclass(frozen=True, slots=True)
class Sealing:
    """What an open card file is known by: its header, its sealer and the manifest of the last commit."""

    header: Header
    sealer: Sealer
    manifest: Manifest

    def open_all(self, sealed: Mapping[str, tuple[int, bytes]]) -> dict[str, bytes]:
        """Open all records; DamagedError unless they are exactly those of the manifest."""
        if sealed.keys() != self.manifest.seals.keys():
            raise DamagedError("damaged: a record is missing, or one too many")
        return {name: self._open(name, *sealed[name]) for name in sealed}

    def write(self, database: sqlite3.Connection, changes: Mapping[str, bytes | None]) -> "Sealing":
        """Write changes and the new manifest within the caller's transaction; answers what holds once it commits."""
        version, seals = self.manifest.commits + 1, dict(self.manifest.seals)
        for name, value in changes.items():
            if value is None:
                database.execute("DELETE FROM record WHERE name = ?", (name,))
                seals.pop(name, None)
            else:
                sealed = self.sealer.seal(name, version, value)
                database.execute("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", (name, version, sealed))
                seals[name] = Seal.of(version, sealed)
        manifest = Manifest(version, seals)
        database.execute(_MANIFEST, (self.sealer.seal_manifest(manifest),))
        return replace(self, manifest=manifest)

    def reopened(self, contents: schema.Contents) -> "Sealing":
        """Open a snapshot of this very card and prove it whole; DamagedError if it is another's, or altered."""
        if contents.header.card_id != self.header.card_id:
            raise DamagedError("the snapshot is of another card, or from before the card was rekeyed")
        try:
            before = replace(self, manifest=self.sealer.open_manifest(contents.manifest))
        except Unsealable as fault:
            raise DamagedError("the snapshot's list of records was altered") from fault
        before.open_all(contents.records)
        return before

    def _open(self, name: str, version: int, sealed: bytes) -> bytes:
        seal = self.manifest.seals[name]
        try:
            if version != seal.version:
                raise Unsealable("another version")
            return self.sealer.open(name, seal, sealed)
        except Unsealable as fault:
            raise DamagedError(f"damaged: the record {name} was altered") from fault


def begin(key: Key, card_id: bytes, commits: int, rng: Rng) -> Sealing:
    """Make a new card key, wrapped by `key`, for a file that had so many commits before."""
    card_key = rng(KEY_LENGTH)
    header = wrap(key, card_id, card_key, rng)
    return Sealing(header, Sealer(card_id, card_key, rng), Manifest(commits, {}))


def new_card_id(rng: Rng) -> bytes:
    """Answer 16 random bytes."""
    return rng(CARD_ID_LENGTH)


def unlock(contents: schema.Contents, secret: bytes, rng: Rng) -> Sealing:
    """Open what is stored and prove it whole; LockedError or DamagedError says why that cannot be."""
    header = contents.header
    try:
        card_key = unwrap(header, secret)
    except Unsealable as fault:
        if not secret:
            raise DamagedError("damaged: its header was altered") from fault
        raise LockedError(f"wrong {header.wrapping}, or the file's header was altered") from fault
    sealer = Sealer(header.card_id, card_key, rng)
    try:
        sealing = Sealing(header, sealer, sealer.open_manifest(contents.manifest))
    except Unsealable as fault:
        raise DamagedError("damaged: its list of records was altered") from fault
    sealing.open_all(contents.records)
    return sealing
