"""Signing engines against published vectors, against each other, and against libraries that did not sign."""

import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from typing import Any

import helpers
import pytest
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from vectors import load

import bsim
from bsim import profiles
from bsim.crypto import ecdsa, ed25519, verify
from bsim.crypto.ecdsa import ORDER, Engine
from bsim.crypto.memory import Secret

RFC6979 = load("rfc6979_secp256k1")
SCALARS = st.integers(1, ORDER - 1)
# Each engine, and coincurve's again without the C extension.
ENGINES: dict[str, Callable[[], Engine]] = {name: partial(ecdsa.engine, name) for name in ecdsa.NAMES}
ENGINES["coincurve, cffi"] = partial(ecdsa.engine, "coincurve", native=False)
EDGES = (0, 1, ORDER - 1, ORDER, ORDER + 1, 2**256 - 1)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return ENGINES[request.param]()


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
    engines = [make() for make in ENGINES.values()]
    for _ in range(10):
        secret = rng.randrange(1, ORDER).to_bytes(32, "big")
        (public_key,) = {engine.public_key(secret) for engine in engines}
        signers = [engine.signer(secret) for engine in engines]
        for number in range(1000):
            digest = rng.randbytes(32)
            (der,) = {signer.sign(digest) for signer in signers}
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
        make().signer(secret.to_bytes(32, "big")).sign(number.to_bytes(32, "big")) for make in ENGINES.values()
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
            answer = ecdsa.engine(name).add(*arguments)
            assert answer == total.to_bytes(32, "big")
            assert type(answer) is bytearray  # the caller's, to be wiped
        else:
            with pytest.raises(ValueError, match="their sum is 0"):
                ecdsa.engine(name).add(*arguments)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_secrets_are_taken_from_any_buffer(engine: Engine, kind: Callable[[bytes], Secret]) -> None:
    secret, tweak, digest = b"\7" * 32, b"\5" * 32, sha256("a buffer")
    assert engine.signer(kind(secret)).sign(digest) == engine.signer(secret).sign(digest)
    assert engine.public_key(kind(secret)) == engine.public_key(secret)
    assert engine.add(kind(secret), kind(tweak)) == b"\x0c" * 32
    assert secret == b"\7" * 32
    assert tweak == b"\5" * 32


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


def test_signers_do_not_share_buffers(engine: Engine) -> None:
    one, other = (engine.signer(number.to_bytes(32, "big")) for number in (1, 2))
    first = one.sign(bytes(32))
    assert other.sign(bytes(32)) != first
    assert one.sign(bytes(32)) == first


def test_engine_names() -> None:
    assert ecdsa.NAMES == ("coincurve", "cryptography", "ecdsa")
    assert ecdsa.engine().name == "coincurve"
    assert tuple(ecdsa.engine(name).name for name in ecdsa.NAMES) == ecdsa.NAMES
    with pytest.raises(ValueError, match="no signing engine 'openssl'; there is coincurve, cryptography, ecdsa"):
        ecdsa.engine("openssl")


def test_without_coincurve_the_next_engine_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "bsim.crypto.ecdsa._coincurve", raising=False)
    monkeypatch.setitem(sys.modules, "coincurve._libsecp256k1", None)
    assert ecdsa.engine().name == "cryptography"
    with pytest.raises(ImportError):
        ecdsa.engine("coincurve")

    # An OpenSSL before 3.2 has no RFC 6979: that counts as an engine that cannot be imported.
    def unsupported(*_: object, **__: object) -> None:
        raise UnsupportedAlgorithm("no deterministic signatures")

    monkeypatch.delitem(sys.modules, "bsim.crypto.ecdsa._cryptography", raising=False)
    monkeypatch.setattr(ec, "ECDSA", unsupported)
    with pytest.raises(ImportError, match=r"OpenSSL 3\.2"):
        ecdsa.engine("cryptography")
    assert ecdsa.engine().name == "ecdsa"


def by_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """BSIM_ENGINE is read once a process: forget what was read, now and after the test."""
    monkeypatch.setenv("BSIM_ENGINE", name)
    monkeypatch.setattr(profiles, "default_engine", cache(profiles.default_engine.__wrapped__))


@pytest.mark.parametrize("name", ecdsa.NAMES)
def test_a_card_signs_with_each_engine(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    by_environment(monkeypatch, name)
    card = helpers.verified_card()
    helpers.derive(card)
    assert profiles.default_engine().name == name
    assert helpers.expect(card, "EXPORT_PUBKEYS", part="FIRST") == helpers.record(helpers.ETHEREUM, 1)
    for _ in range(2):
        assert helpers.sign(card) == helpers.signature(helpers.ETHEREUM, 1)
        card.reset()
        helpers.select(card)
        helpers.expect(card, "VERIFY_BPIN")


def test_no_card_is_made_with_an_engine_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    by_environment(monkeypatch, "openssl")
    with pytest.raises(ValueError, match="BSIM_ENGINE: no signing engine 'openssl'; there is coincurve, crypt"):
        bsim.new_card()

    by_environment(monkeypatch, "coincurve")
    monkeypatch.delitem(sys.modules, "bsim.crypto.ecdsa._coincurve", raising=False)
    monkeypatch.setitem(sys.modules, "coincurve._libsecp256k1", None)
    with pytest.raises(ValueError, match="BSIM_ENGINE: signing engine 'coincurve' cannot be used here"):
        bsim.new_card()

    by_environment(monkeypatch, "")
    assert profiles.default_engine().name == "cryptography"


@pytest.mark.parametrize("name", ["openssl", "ecdsa"])
def test_the_environment_of_a_process_chooses(name: str) -> None:
    program = "import bsim; bsim.new_card(); from bsim.profiles import default_engine as e; print(e().name)"
    environment = os.environ | {"BSIM_ENGINE": name}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if name in ecdsa.NAMES:
        assert (result.returncode, result.stdout.strip()) == (0, name)
    else:
        assert result.stderr.strip().splitlines()[-1].startswith("ValueError: BSIM_ENGINE: no signing engine 'openssl'")


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


def test_the_recovery_id_is_found_without_coincurve_too(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = b"\7" * 32
    public_key, signer = ecdsa.engine().public_key(secret), ecdsa.engine().signer(secret)
    signed = [(digest, signer.sign(digest)) for digest in map(sha256, ("one", "two", "three", "four"))]
    found = [verify.recoverable(digest, der, public_key) for digest, der in signed]
    monkeypatch.setitem(sys.modules, "coincurve", None)
    assert [verify.recoverable(digest, der, public_key) for digest, der in signed] == found
    with pytest.raises(ValueError, match="not of this key"):
        verify.recovery_id(sha256("another"), signed[0][1], public_key)


def wycheproof(name: str) -> list[Any]:
    content = load(name)
    tests = [
        pytest.param(bytes.fromhex(group["publicKey"]), test, id=f"{test['tcId']}-{test['comment'][:40]}")
        for group in content["groups"]
        for test in group["tests"]
    ]
    assert len(tests) == content["numberOfTests"]
    return tests


@pytest.mark.parametrize(("public_key", "test"), wycheproof("wycheproof_ecdsa_secp256k1_sha256"))
def test_wycheproof(public_key: bytes, test: dict[str, Any]) -> None:
    digest, der = hashlib.sha256(bytes.fromhex(test["msg"])).digest(), bytes.fromhex(test["sig"])
    # Nothing in this edition is left to taste; a later one with "acceptable" tests must be judged by its flags first.
    assert test["result"] in {"valid", "invalid"}
    assert verify.verify(public_key, digest, der) is (test["result"] == "valid")
    if test["result"] == "valid":
        assert verify.recover(digest, der, verify.recovery_id(digest, der, public_key)) == public_key


@pytest.mark.parametrize(("public_key", "test"), wycheproof("wycheproof_ecdsa_secp256k1_sha256_bitcoin"))
def test_wycheproof_for_low_s(public_key: bytes, test: dict[str, Any]) -> None:
    digest, der = hashlib.sha256(bytes.fromhex(test["msg"])).digest(), bytes.fromhex(test["sig"])
    assert test["result"] in {"valid", "invalid"}
    valid = verify.verify(public_key, digest, der)
    low = valid and verify.parse_der(der)[1] <= ORDER // 2
    assert low is (test["result"] == "valid")
    if valid:
        # The client takes either half, as the real card's does; what a chain is given is the lower.
        r, s, _ = verify.recoverable(digest, der, public_key)
        assert (verify.encode_der(r, s) == der) is low
    # 388 is a high s by one: its flag tells of the arithmetic, its comment of the malleability.
    assert (valid and not low) is ("SignatureMalleabilityBitcoin" in test["flags"] or test["tcId"] == 388)


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
