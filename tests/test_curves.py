"""SM3, SM2 and P-256 against the standards' examples and against libraries that did not make the signatures."""

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from gmssl.sm2 import CryptSM2
from hypothesis import given, settings
from hypothesis import strategies as st
from vectors import load

from bsim.crypto import p256, sm2, sm2_curve, sm3
from bsim.crypto.derive import Scheme
from bsim.crypto.slip10 import Slip10P256, Slip10Sm2
from bsim.crypto.verify import encode_der, parse_der

GMT, RFC6979 = load("sm2_sm3"), load("rfc6979_p256")
EXAMPLE = {name: bytes.fromhex(value) for name, value in GMT["sm2"].items()}
SECRETS = st.integers(1, sm2_curve.ORDER - 2).map(lambda number: number.to_bytes(32, "big"))


def verified_elsewhere(public_key: bytes, message: bytes, der: bytes) -> bool:
    r, s = parse_der(der, sm2_curve.ORDER)
    checker = CryptSM2(private_key="", public_key="")
    checker.public_key = public_key[1:].hex()  # its constructor strips digits of keys that begin with 04
    return bool(checker.verify_with_sm3(f"{r:064x}{s:064x}", message))


@pytest.mark.parametrize("vector", GMT["sm3"], ids=lambda v: str(len(v["message"])))
def test_sm3(vector: dict[str, str]) -> None:
    message = bytes.fromhex(vector["message"])
    assert sm3.sm3(message).hex() == sm3.sm3_by_python(message).hex() == vector["digest"]


@pytest.mark.parametrize("length", range(0, 200, 7))
def test_sm3_in_both_ways(length: int) -> None:
    assert sm3.sm3(bytes(range(length))) == sm3.sm3_by_python(bytes(range(length)))


def test_sm3_where_openssl_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str, data: bytes) -> None:
        raise ValueError(f"unsupported hash type {name}")

    monkeypatch.setattr(hashlib, "new", without)
    assert sm3.sm3(b"abc").hex() == GMT["sm3"][0]["digest"]


@given(st.binary(max_size=64), st.binary(max_size=150))
def test_hmac_sm3(key: bytes, message: bytes) -> None:
    assert sm3.hmac_sm3(key, message) == hmac.digest(key, message, "sm3")


def test_sm2_example() -> None:
    assert sm2.public_key(EXAMPLE["private"]) == EXAMPLE["public"]
    digest = sm2.digest(EXAMPLE["public"], EXAMPLE["message"], EXAMPLE["user_id"])
    assert digest == EXAMPLE["e"] == sm2.digest(EXAMPLE["public"], EXAMPLE["message"])
    signature = sm2.signer(EXAMPLE["private"]).sign_with(digest, int.from_bytes(EXAMPLE["k"], "big"))
    assert signature == (int.from_bytes(EXAMPLE["r"], "big"), int.from_bytes(EXAMPLE["s"], "big"))
    assert sm2.verify(EXAMPLE["public"], digest, encode_der(*signature, sm2_curve.ORDER))


@settings(max_examples=20, deadline=None)
@given(SECRETS, st.binary(max_size=100))
def test_sm2_signatures_verify_elsewhere(secret: bytes, message: bytes) -> None:
    public_key = sm2.public_key(secret)
    digest = sm2.digest(public_key, message)
    signature = sm2.signer(secret).sign(digest)
    assert signature == sm2.signer(secret).sign(digest)
    assert verified_elsewhere(public_key, message, signature)
    assert sm2.verify(public_key, digest, signature)
    assert not sm2.verify(public_key, bytes(32), signature)
    assert not verified_elsewhere(public_key, message + b"!", signature)


@pytest.mark.parametrize("number", [1, 2, 63, 64, 65, 4095, 4096, 1 << 252, sm2_curve.ORDER - 2])
def test_multiples_of_the_base_point(number: int) -> None:
    reference = CryptSM2(private_key="", public_key="00")
    found = "".join(f"{coordinate:064x}" for coordinate in sm2_curve.times_base(number))
    assert found == reference._kg(number, reference.ecc_table["g"])


def test_sums_of_points() -> None:
    order, base = sm2_curve.ORDER, sm2_curve.G
    assert sm2_curve.combine(1, 1, base) == sm2_curve.times_base(2)  # the same point twice
    assert sm2_curve.combine(1, order - 1, base) is None  # a point and its opposite
    assert sm2_curve.combine(5, 7, sm2_curve.times_base(3)) == sm2_curve.times_base(26)


@pytest.mark.parametrize("nonce", ["r is 0", "r + k is n"])
def test_nonces_that_sm2_passes_over(nonce: str) -> None:
    point = sm2_curve.times_base(7)[0]
    e = -point if nonce == "r is 0" else -7 - point
    signer = sm2.signer(EXAMPLE["private"])
    assert signer.sign_with((e % sm2_curve.ORDER).to_bytes(32, "big"), 7) is None


def test_sm2_nonces_do_not_repeat() -> None:
    taken = sm2.nonces(EXAMPLE["private"], EXAMPLE["e"])
    first = [next(taken) for _ in range(3)]
    assert len(set(first)) == 3
    assert next(sm2.nonces(EXAMPLE["private"], EXAMPLE["e"])) == first[0]
    assert next(sm2.nonces(EXAMPLE["private"], bytes(32))) not in first


@pytest.mark.parametrize("number", [0, sm2_curve.ORDER - 1, sm2_curve.ORDER, (1 << 256) - 1])
def test_sm2_secrets_that_are_none(number: int) -> None:
    for use in (sm2.signer, sm2.public_key):
        for secret in (number.to_bytes(32, "big"), b"\1" * 31, b"\1" * 33):
            with pytest.raises(ValueError, match="32 bytes, 1 to n-2"):
                use(secret)


def test_sm2_refuses_what_is_no_key_or_signature() -> None:
    good = sm2.signer(EXAMPLE["private"]).sign(EXAMPLE["e"])
    for wrong in (EXAMPLE["public"][1:], b"\2" + EXAMPLE["public"][1:33], EXAMPLE["public"][:-1] + b"\0", b""):
        with pytest.raises(ValueError, match="point"):
            sm2.verify(wrong, EXAMPLE["e"], good)
    for wrong in (EXAMPLE["public"][1:], b"\2" + EXAMPLE["public"][1:33]):
        with pytest.raises(ValueError, match="65-byte"):
            sm2.digest(wrong, b"")
    r, s = parse_der(good, sm2_curve.ORDER)
    for der in (b"", good[:-1], encode_der(r, sm2_curve.ORDER - r, sm2_curve.ORDER), encode_der(s, r, sm2_curve.ORDER)):
        assert not sm2.verify(EXAMPLE["public"], EXAMPLE["e"], der)


@pytest.mark.parametrize("vector", RFC6979["vectors"], ids=lambda v: v["message"])
def test_p256(vector: dict[str, str]) -> None:
    secret, public_key = bytes.fromhex(RFC6979["private"]), bytes.fromhex(RFC6979["public"])
    assert p256.public_key(secret) == public_key
    digest = hashlib.sha256(vector["message"].encode()).digest()
    signature = p256.signer(secret).sign(digest)
    assert parse_der(signature, p256.ORDER) == (int(vector["r"], 16), int(vector["s"], 16))
    assert p256.verify(public_key, digest, signature)
    assert not p256.verify(public_key, bytes(32), signature)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
    key.verify(signature, digest, ec.ECDSA(utils.Prehashed(SHA256())))


@pytest.mark.parametrize("secret", [bytes(32), p256.ORDER.to_bytes(32, "big"), b"\xff" * 32, b"\1" * 31, b"\1" * 33])
def test_p256_secrets_that_are_none(secret: bytes) -> None:
    for use in (p256.signer, p256.public_key):
        with pytest.raises(ValueError, match="P-256 secret"):
            use(secret)


def test_wiped_keys_do_not_sign() -> None:
    ours = sm2.signer(EXAMPLE["private"])
    buffers = ours._secret, ours._inverse
    for signer in (ours, p256.signer(EXAMPLE["private"])):
        signer.wipe()
        signer.wipe()
        with pytest.raises(ValueError, match="wiped"):
            signer.sign(bytes(32))
    with pytest.raises(ValueError, match="wiped"):
        ours.sign_with(bytes(32), 1)
    assert [bytes(buffer or b"?") for buffer in buffers] == [bytes(32)] * 2


@pytest.mark.parametrize("scheme", [Slip10P256(), Slip10Sm2()], ids=lambda s: type(s).__name__)
def test_a_digest_that_is_no_key_is_hashed_again(scheme: Scheme) -> None:
    node = scheme.master(bytes(16))
    for digest in (bytes(64), b"\xff" * 64, scheme._order.to_bytes(32, "big") + bytes(32)):
        root = scheme._root(digest)
        assert 0 < int.from_bytes(root.secret, "big") < scheme._order
        assert root.secret == scheme._root(hmac.digest(scheme._salt, digest, "sha512")).secret
    opposite = (scheme._order - int.from_bytes(node.secret, "big")).to_bytes(32, "big")
    for left in (b"\xff" * 32, opposite):
        message = b"\1" + bytes(32) + (7).to_bytes(4, "big")
        again = hmac.digest(node.chain_code, message, "sha512")
        assert scheme._child(node, 7, left + bytes(32)) == scheme._child(node, 7, again)
