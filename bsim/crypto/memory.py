"""Overwriting secrets. docs/security.md says how far that reaches, and what stays."""

from ctypes import memset
from typing import Final

Secret = bytes | bytearray | memoryview
"""What secrets are taken as; those made here are bytearrays, which can be wiped."""

_CACHED: Final = 1  # CPython keeps one object for each bytes value up to this length, and everybody shares it


def wipe(secret: bytearray) -> None:
    """Overwrite a buffer of ours with zeros; its length stays."""
    secret[:] = bytes(len(secret))


def wipe_unshared(secret: bytes) -> None:
    """Overwrite a bytes object with zeros. It must be the caller's alone, and nobody may use it afterwards.

    Python's hashes answer bytes and nothing else. Dropped as it is, an answer would lie readable in memory that the
    interpreter may hand out again in a microsecond or never. Where this interpreter copies instead of lending its
    memory (not CPython), nothing is overwritten and no harm is done.
    """
    if len(secret) > _CACHED:
        memset(secret, 0, len(secret))  # type: ignore[arg-type]
