"""Signing engines against published vectors, against each other, and against libraries that did not sign."""

import hashlib
import random
import subprocess
import sys
from contextlib import suppress

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from vectors import load

from bsim.crypto import ecdsa, ed25519, verify
from bsim.crypto.ecdsa import ORDER, Engine

RFC6979 = load("rfc6979_secp256k1")
SCALARS = st.integers(1, ORDER - 1)
EDGES = (0, 1, ORDER - 1, ORDER, ORDER + 1, 2**256 - 1)


@pytest.fixture(params=ecdsa.NAMES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return ecdsa.engine(request.param)


def sha256(message: str) -> bytes:
    return hashlib.sha256(message.encode()).digest()


def openssl_verifies(public_key: bytes, digest: bytes, der: bytes) -> bool:
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), public_key)
    try:
        key.verify(der, digest, ec.ECDSA(utils.Prehashed(SHA256())))
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("vector", RFC6979["signatures"], ids=lambda v: v["message"][:20])
def test_rfc6979_signatures(engine: Engine, vector: dict[str, str]) -> None:
    secret, digest = bytes.fromhex(vector["secret"]), sha256(vector["message"])
    der = engine.signer(secret).sign(digest)
    assert verify.parse_der(der) == (int(vector["r"]), int(vector["s"]))
    public_key = engine.public_key(secret)
    assert verify.recovery_id(digest, der, public_key) == vector["recovery"]
    assert verify.recover(digest, der, int(vector["recovery"])) == public_key


@pytest.mark.parametrize("vector", RFC6979["nonces"] + RFC6979["signatures"], ids=lambda v: v["message"][:20])
def test_rfc6979_nonces(engine: Engine, vector: dict[str, str]) -> None:
    der = engine.signer(bytes.fromhex(vector["secret"])).sign(sha256(vector["message"]))
    nonce_point = engine.public_key(bytes.fromhex(vector["k"]))
    assert verify.parse_der(der)[0] == int.from_bytes(nonce_point[1:33], "big") % ORDER


def test_engines_agree_on_ten_thousand_digests() -> None:
    seed = 6979
    print(f"seed {seed}")
    rng = random.Random(seed)
    coincurve, pure = ecdsa.engine("coincurve"), ecdsa.engine("ecdsa")
    for _ in range(10):
        secret = rng.randrange(1, ORDER).to_bytes(32, "big")
        public_key = coincurve.public_key(secret)
        assert pure.public_key(secret) == public_key
        one, other = coincurve.signer(secret), pure.signer(secret)
        for number in range(1000):
            digest = rng.randbytes(32)
            der = one.sign(digest)
            assert der == other.sign(digest)
            assert openssl_verifies(public_key, digest, der)
            if number < 10:
                assert verify.verify(public_key, digest, der)
                r, s, recovery = verify.recoverable(digest, der, public_key)
                assert (r, s) == verify.parse_der(der)
                assert verify.recover(digest, der, recovery) == public_key


@pytest.mark.parametrize("number", EDGES, ids=hex)
@pytest.mark.parametrize("secret", [1, 2, ORDER // 2, ORDER - 1], ids=hex)
def test_engines_agree_at_the_edges(number: int, secret: int) -> None:
    signatures = {
        ecdsa.engine(name).signer(secret.to_bytes(32, "big")).sign(number.to_bytes(32, "big")) for name in ecdsa.NAMES
    }
    assert len(signatures) == 1
    _, s = verify.parse_der(signatures.pop())
    assert s <= ORDER // 2


@given(SCALARS, st.integers(0, ORDER - 1))
def test_engines_add_alike(secret: int, tweak: int) -> None:
    arguments = secret.to_bytes(32, "big"), tweak.to_bytes(32, "big")
    total = (secret + tweak) % ORDER
    for name in ecdsa.NAMES:
        if total:
            assert ecdsa.engine(name).add(*arguments) == total.to_bytes(32, "big")
        else:
            with pytest.raises(ValueError, match="their sum is 0"):
                ecdsa.engine(name).add(*arguments)


def test_a_sum_of_zero_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="sum is 0"):
        engine.add((1).to_bytes(32, "big"), (ORDER - 1).to_bytes(32, "big"))
    with pytest.raises(ValueError, match="out of range"):
        engine.add((1).to_bytes(32, "big"), ORDER.to_bytes(32, "big"))


@pytest.mark.parametrize(
    "secret",
    [b"", bytes(31), bytes(32), bytes(33), ORDER.to_bytes(32, "big"), b"\xff" * 32],
    ids=["empty", "31", "zero", "33", "n", "ff"],
)
def test_bad_secrets_are_refused(engine: Engine, secret: bytes) -> None:
    for use in (engine.signer, engine.public_key, lambda s: engine.add(s, bytes(32))):
        with pytest.raises(ValueError, match=r"32 bytes|out of range") as refused:
            use(secret)
        assert not secret or secret.hex() not in str(refused.value)


def test_signers_keep_their_secret_to_themselves(engine: Engine) -> None:
    secret = bytes(range(1, 33))
    signer = engine.signer(secret)
    assert secret.hex() not in repr(signer)
    assert str(secret) not in repr(signer)
    signer.wipe()
    with pytest.raises(ValueError, match="wiped"):
        signer.sign(bytes(32))


def test_wiping_overwrites_the_buffer() -> None:
    from coincurve._libsecp256k1 import ffi

    from bsim.crypto.ecdsa._coincurve import CoincurveSigner

    signer = CoincurveSigner(bytes(range(1, 33)))
    buffer = signer._key
    assert bytes(ffi.buffer(buffer)) == bytes(range(1, 33))
    signer.wipe()
    assert bytes(ffi.buffer(buffer)) == bytes(32)


def test_signers_do_not_share_buffers() -> None:
    engine = ecdsa.engine("coincurve")
    one, other = (engine.signer(number.to_bytes(32, "big")) for number in (1, 2))
    first = one.sign(bytes(32))
    assert other.sign(bytes(32)) != first
    assert one.sign(bytes(32)) == first


def test_engine_names() -> None:
    assert ecdsa.engine().name == "coincurve"
    assert {ecdsa.engine(name).name for name in ecdsa.NAMES} == {"coincurve", "ecdsa"}
    with pytest.raises(ValueError, match="no signing engine 'openssl'"):
        ecdsa.engine("openssl")


def test_without_coincurve_the_pure_engine_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "bsim.crypto.ecdsa._coincurve", raising=False)
    monkeypatch.setitem(sys.modules, "coincurve._libsecp256k1", None)
    assert ecdsa.engine().name == "ecdsa"
    with pytest.raises(ImportError):
        ecdsa.engine("coincurve")


def test_importing_the_modules_loads_no_library() -> None:
    modules = "ecdsa, ed25519, derive, mnemonic, envelope, verify"
    libraries = "'coincurve', 'ecdsa', 'cryptography', 'mnemonic'"
    program = f"import sys; from bsim.crypto import {modules}; print([m for m in ({libraries}) if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@given(SCALARS, SCALARS)
def test_der_round_trip(r: int, s: int) -> None:
    der = verify.encode_der(r, s)
    assert verify.parse_der(der) == (r, s)
    assert der == utils.encode_dss_signature(r, s)


@given(st.binary(max_size=80))
def test_der_is_read_one_way_only(data: bytes) -> None:
    try:
        r, s = verify.parse_der(data)
    except ValueError:
        return
    assert verify.encode_der(r, s) == data


@given(SCALARS, SCALARS, st.data())
def test_damaged_der_is_refused_or_another_signature(r: int, s: int, data: st.DataObject) -> None:
    der = bytearray(verify.encode_der(r, s))
    place = data.draw(st.integers(0, len(der) - 1))
    der[place] ^= data.draw(st.integers(1, 255))
    with suppress(ValueError):
        assert verify.parse_der(bytes(der)) != (r, s)


@pytest.mark.parametrize(
    ("der", "why"),
    [
        ("", "SEQUENCE"),
        ("3106020101020101", "SEQUENCE"),
        ("3007020101020101", "SEQUENCE"),
        ("308106020101020101", "SEQUENCE"),  # a length in the long form
        ("300602010102010100", "SEQUENCE"),  # a byte after the sequence
        ("300702010102010100", "bytes after s"),
        ("3006030101020101", "INTEGER"),
        ("3006020001020101", "INTEGER"),
        ("3006020101020201", "INTEGER"),
        ("3006020181020101", "negative"),
        ("300702020001020101", "superfluous zero"),
        ("3006020100020101", "out of range"),
        ("3006020101020100", "out of range"),
        (f"3026022100{ORDER:064x}020101", "out of range"),
        (f"3026020101022100{ORDER:064x}", "out of range"),
    ],
)
def test_der_that_is_not_strict_is_refused(der: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        verify.parse_der(bytes.fromhex(der))
    assert not verify.verify(ecdsa.engine().public_key(b"\1" * 32), bytes(32), bytes.fromhex(der))


@pytest.mark.parametrize("pair", [(0, 1), (1, 0), (ORDER, 1), (1, ORDER), (-1, 1)])
def test_der_of_what_is_no_signature_is_not_written(pair: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        verify.encode_der(*pair)


def test_verification_takes_either_half_and_nothing_else() -> None:
    secret, digest = b"\7" * 32, sha256("either half")
    public_key = ecdsa.engine().public_key(secret)
    der = ecdsa.engine().signer(secret).sign(digest)
    r, s = verify.parse_der(der)
    high = verify.encode_der(r, ORDER - s)
    compressed = bytes((2 + (public_key[64] & 1),)) + public_key[1:33]
    assert verify.verify(public_key, digest, high)
    assert verify.verify(compressed, digest, der)
    assert verify.canonical(ORDER - s) == verify.canonical(s) == s
    assert verify.recoverable(digest, high, public_key) == verify.recoverable(digest, der, compressed)
    assert verify.recovery_id(digest, high, public_key) == verify.recovery_id(digest, der, public_key) ^ 1
    assert not verify.verify(public_key, sha256("another"), der)
    assert not verify.verify(ecdsa.engine().public_key(b"\x08" * 32), digest, der)
    with pytest.raises(ValueError, match="not of this key"):
        verify.recovery_id(sha256("another"), der, public_key)


def test_verification_refuses_what_is_no_key_and_no_digest() -> None:
    der = verify.encode_der(1, 1)
    for key in (b"", bytes(65), b"\4" + bytes(64), b"\2" + bytes(31) + b"\5", b"\6" + bytes(64)):
        with pytest.raises(ValueError, match="not a point"):
            verify.verify(key, bytes(32), der)
    with pytest.raises(ValueError, match="32 bytes"):
        verify.verify(ecdsa.engine().public_key(b"\1" * 32), bytes(31), der)


def test_a_sum_at_infinity_is_no_signature() -> None:
    # With secret 1 and digest -r, SEC 1 4.1.4's u1 G + u2 Q is the point at infinity.
    der = verify.encode_der(2, 3)
    assert not verify.verify(ecdsa.engine().public_key(bytes(31) + b"\1"), (ORDER - 2).to_bytes(32, "big"), der)

    # With the base point as the nonce's and s = digest = 1, SEC 1 4.1.6 recovers the point at infinity.
    base = int.from_bytes(ecdsa.engine().public_key(bytes(31) + b"\1")[1:33], "big")
    with pytest.raises(ValueError, match="of no key"):
        verify.recover(bytes(31) + b"\1", verify.encode_der(base, 1), 0)


def test_recovery_refuses_ids_that_lead_nowhere() -> None:
    der = verify.encode_der(1, 1)
    for recovery in (-1, 4):
        with pytest.raises(ValueError, match="recovery id"):
            verify.recover(bytes(32), der, recovery)
    with pytest.raises(ValueError, match="recovery id"):
        verify.recover(bytes(32), verify.encode_der(ORDER - 1, 1), 2)  # r + n is beyond the field
    with pytest.raises(ValueError, match="not a point"):
        verify.recover(bytes(32), verify.encode_der(5, 1), 0)  # no point of the curve has x = 5
    one = verify.parse_der(ecdsa.engine().signer(b"\1" * 32).sign(bytes(32)))
    assert verify.recover(bytes(32), verify.encode_der(*one), 0) != verify.recover(
        bytes(32), verify.encode_der(*one), 1
    )


@pytest.mark.parametrize("vector", load("rfc8032_ed25519")["vectors"], ids=lambda v: v["message"][:8])
def test_ed25519(vector: dict[str, str]) -> None:
    secret, public, message, signature = (
        bytes.fromhex(vector[name]) for name in ("secret", "public", "message", "signature")
    )
    signer = ed25519.signer(secret)
    assert signer.sign(message) == signature
    assert ed25519.public_key(secret) == public
    assert ed25519.verify(public, message, signature)
    assert not ed25519.verify(public, message + b"\0", signature)
    assert secret.hex() not in repr(signer)
    signer.wipe()
    with pytest.raises(ValueError, match="wiped"):
        signer.sign(message)


def test_ed25519_secrets_are_32_bytes() -> None:
    for secret in (b"", bytes(31), bytes(33)):
        with pytest.raises(ValueError, match="32 bytes"):
            ed25519.signer(secret)
        with pytest.raises(ValueError, match="32 bytes"):
            ed25519.public_key(secret)
