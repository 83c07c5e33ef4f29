"""Every malformed payload is a ValueError, never anything else, and its words repeat none of the payload."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from malformed import BREAKS, malformed
from payloads import PAYLOADS

from bsim.chains import FAMILIES
from bsim.crypto import ecdsa, p256, sm2
from bsim.crypto.algorithm import Algorithm

KEYS = {
    Algorithm.SECP256K1: ecdsa.engine().public_key(b"\7" * 32),
    Algorithm.SM2: sm2.public_key(b"\7" * 32),
    Algorithm.P256: p256.public_key(b"\7" * 32),
}
WAYS = [pytest.param(code, way, id=f"{code:02x}-{way}") for code, ways in BREAKS.items() for way in ways]


@pytest.mark.parametrize("code", FAMILIES, ids=lambda code: FAMILIES[code].name)
def test_what_is_broken_was_whole(code: int) -> None:
    rng, family = Random(code), FAMILIES[code]
    for _ in range(200):
        signable = family.decode(PAYLOADS[code](rng))
        digests = {signable.digest(KEYS[algorithm]) for algorithm in family.algorithms}
        assert {len(digest) for digest in digests} == {32}
        assert len(digests) == len(family.algorithms)


@pytest.mark.parametrize(("code", "way"), WAYS)
def test_malformed_payloads(code: int, way: str) -> None:
    rng = Random(f"{code} {way}")
    for _ in range(30):
        _, payload = malformed(code, rng, way)
        with pytest.raises(ValueError, match=r"\w") as caught:
            FAMILIES[code].decode(payload)
        assert caught.type is ValueError, caught.value  # UnicodeDecodeError and its like quote what they read
        words = str(caught.value)
        assert len(words) < 200
        parts = {payload[at : at + 12] for at in range(len(payload) - 11)} - {b"\xff" * 12}  # which a limit is
        assert not any(part.hex() in words for part in parts), words


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(FAMILIES)), st.binary(max_size=200))
def test_noise(code: int, payload: bytes) -> None:
    try:
        FAMILIES[code].decode(payload).summary()
    except ValueError:
        return


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FAMILIES)), st.integers(0, 2**32), st.data())
def test_one_byte_changed(code: int, seed: int, data: st.DataObject) -> None:
    """Either it is refused, or its digest is another, or it says the same in other letters and shows the same."""
    payload = PAYLOADS[code](Random(seed)) or b"x"
    at = data.draw(st.integers(0, len(payload) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != payload[at]))
    key = KEYS[max(FAMILIES[code].algorithms)]
    try:
        changed = FAMILIES[code].decode(payload[:at] + bytes((byte,)) + payload[at + 1 :])
    except ValueError as error:
        assert type(error) is ValueError  # noqa: PT017
        return
    before = FAMILIES[code].decode(payload)
    assert changed.digest(key) != before.digest(key) or changed.summary() == before.summary()
