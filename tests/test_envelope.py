"""The backup envelope: what goes in comes out, and nothing else is taken."""

import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from bsim.crypto import envelope
from bsim.crypto.mnemonic import ENTROPY_LENGTHS

ENTROPIES = st.sampled_from(ENTROPY_LENGTHS).flatmap(lambda n: st.binary(min_size=n, max_size=n))


class CountingRng:
    """Answers 00 01 02 …, and notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, length: int, /) -> bytes:
        start = sum(self.asked)
        self.asked.append(length)
        return bytes(range(start, start + length))


@settings(max_examples=20, deadline=None)
@given(ENTROPIES, st.binary(max_size=200))
def test_round_trip(entropy: bytes, key2: bytes) -> None:
    blob = envelope.seal(entropy, key2, CountingRng())
    assert len(blob) == len(entropy) + envelope.OVERHEAD
    assert envelope.unseal(blob, key2) == entropy


def test_the_layout_is_the_one_written_down() -> None:
    rng, entropy, key2 = CountingRng(), bytes(range(100, 116)), b"Password1"
    blob = envelope.seal(entropy, key2, rng)
    assert rng.asked == [16, 12]
    assert blob[:29] == b"\1" + bytes(range(28))
    key = hashlib.pbkdf2_hmac("sha256", key2, blob[1:17], 100_000)
    assert AESGCM(key).decrypt(blob[17:29], blob[29:], blob[:17]) == entropy
    assert len(blob) == 1 + 16 + 12 + 16 + 16


@pytest.mark.parametrize("place", [1, 16, 17, 28, 29, 44, 45, 60])
def test_a_changed_byte_is_noticed(place: int) -> None:
    blob = bytearray(envelope.seal(bytes(16), b"key2", CountingRng()))
    blob[place] ^= 1
    with pytest.raises(ValueError, match="damaged, or key2 is wrong"):
        envelope.unseal(bytes(blob), b"key2")


def test_another_key2_is_noticed() -> None:
    blob = envelope.seal(bytes(16), b"key2", CountingRng())
    with pytest.raises(ValueError, match="damaged, or key2 is wrong"):
        envelope.unseal(blob, b"Key2")


def test_what_is_no_envelope_costs_no_key_derivation(monkeypatch: pytest.MonkeyPatch) -> None:
    blob = envelope.seal(bytes(16), b"key2", CountingRng())

    def untouched(*_: object) -> bytes:
        raise AssertionError("the key was derived for junk")

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", untouched)
    for junk in (b"", b"\1", blob[:-1], blob + b"\0", b"\0" + blob[1:], b"\2" + blob[1:], bytes(1000)):
        with pytest.raises(ValueError, match="not a backup envelope"):
            envelope.unseal(junk, b"key2")


@pytest.mark.parametrize("length", [0, 15, 17, 33])
def test_entropy_lengths(length: int) -> None:
    with pytest.raises(ValueError, match=f"not {length}$"):
        envelope.seal(bytes(length), b"key2", CountingRng())
