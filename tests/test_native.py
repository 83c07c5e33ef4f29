"""The C extension: the same signatures as without it, nothing that crashes, and no harm where it is missing."""

import ctypes
import os
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

import helpers
import pytest
from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT

from bsim import profiles
from bsim.crypto import ecdsa
from bsim.crypto.ecdsa import ORDER, _extension

SECRET = bytes(range(1, 33))
DIGEST = bytes(range(33, 65))
SEED = 186
CFFI = ecdsa.engine("coincurve", native=False)


@pytest.fixture
def extension() -> ModuleType:
    try:
        from bsim.crypto.ecdsa import _native
    except ImportError as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason))
        pytest.skip(f"the C extension was not built: {reason}")
    return _native


@pytest.fixture
def native(extension: ModuleType) -> ecdsa.Engine:
    engine = ecdsa.engine("coincurve")
    assert engine.means == "the C extension" + " and SHA instructions" * extension.SHA
    assert type(engine.signer(SECRET)) is extension.Signer
    return engine


def test_ten_thousand_digests(native: ecdsa.Engine) -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    for _ in range(100):
        secret = rng.randrange(1, ORDER).to_bytes(32, "big")
        one, other = native.signer(secret), CFFI.signer(secret)
        for _ in range(100):
            digest = rng.randbytes(32)
            assert one.sign(digest) == other.sign(digest)


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_nonces_of_every_attempt_are_libsecp256k1s(extension: ModuleType, attempts: int) -> None:
    """In place of libsecp256k1's signing stands one that asks for nonces, as that does if the first will not do."""
    rng = random.Random(SEED + attempts)
    asked: list[tuple[bytes, bytes]] = []
    kind = "int(secp256k1_context *, secp256k1_ecdsa_signature *, const unsigned char *, const unsigned char *, "

    @ffi.callback(kind + "secp256k1_nonce_function, const void *)")  # type: ignore[untyped-decorator]
    def sign(_context: Any, _signature: Any, digest: Any, key: Any, nonce: Any, data: Any) -> int:
        assert bool(nonce) is extension.SHA
        for attempt in range(attempts):
            for algorithm in (ffi.NULL, ffi.new("unsigned char[16]", bytes(range(16)))):
                answers = [ffi.new("unsigned char[32]") for _ in range(2)]
                theirs = lib.secp256k1_nonce_function_rfc6979
                assert (nonce or theirs)(answers[0], digest, key, algorithm, data, attempt) == 1
                assert theirs(answers[1], digest, key, algorithm, ffi.NULL, attempt) == 1
                asked.append((bytes(answers[0]), bytes(answers[1])))
        return 0

    context, _, serialize, nonce = (int(ffi.cast("uintptr_t", GLOBAL_CONTEXT.ctx)), *_extension._addresses())
    library = None, context, int(ffi.cast("uintptr_t", sign)), serialize, nonce
    for digest in (rng.randbytes(32), bytes(32), ORDER.to_bytes(32, "big"), b"\xff" * 32):
        with pytest.raises(ValueError, match="wiped"):
            extension.Signer(library, rng.randbytes(32)).sign(digest)
    assert len(asked) == 4 * 2 * attempts
    assert len({ours for ours, _ in asked}) == len(asked)
    assert all(ours == theirs for ours, theirs in asked)


@pytest.mark.parametrize(
    "digest", [None, "", 0, bytearray(32), memoryview(bytes(32)), [0] * 32], ids=lambda value: type(value).__name__
)
def test_what_is_not_bytes_is_a_type_error(native: ecdsa.Engine, digest: Any) -> None:
    with pytest.raises(TypeError, match="a digest is bytes"):
        native.signer(SECRET).sign(digest)


@pytest.mark.parametrize("length", [0, 1, 31, 33, 64, 1000])
def test_another_length_is_a_value_error(native: ecdsa.Engine, length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        native.signer(SECRET).sign(bytes(length))


def test_signers_are_made_as_declared_or_not_at_all(extension: ModuleType) -> None:
    library = (None, 0, 0, 0, 0)
    for arguments in ((), (library,), (SECRET,), (library, SECRET, 1), (library[1:], SECRET), (library, "x" * 32)):
        with pytest.raises(TypeError):
            extension.Signer(*arguments)
    with pytest.raises(TypeError, match="keyword"):
        extension.Signer(library, SECRET, key=1)
    for secret in (b"", SECRET[1:], SECRET + b"\0", memoryview(SECRET)[1:]):
        with pytest.raises(ValueError, match="32 bytes"):
            extension.Signer(library, secret)
    with pytest.raises(BufferError):
        extension.Signer(library, memoryview(SECRET * 2)[::2])
    with pytest.raises(TypeError):
        type("Heir", (extension.Signer,), {})


def test_the_secret_lies_in_the_signer_until_it_is_wiped(native: ecdsa.Engine) -> None:
    signer: Any = native.signer(SECRET)
    size = type(signer).__basicsize__
    assert ctypes.string_at(id(signer), size).count(SECRET) == 1
    signer.wipe()
    assert ctypes.string_at(id(signer), size).endswith(bytes(32))
    with pytest.raises(ValueError, match="wiped"):
        signer.sign(DIGEST)


def test_nothing_is_held_on_to(native: ecdsa.Engine) -> None:
    context = GLOBAL_CONTEXT.ctx
    digest = bytes(bytearray(DIGEST))
    before = sys.getrefcount(context), sys.getrefcount(digest)
    signers = [native.signer(SECRET) for _ in range(100)]
    assert sys.getrefcount(context) == before[0] + 100
    assert sys.getrefcount(signers[0].sign(digest)) == sys.getrefcount(CFFI.signer(SECRET).sign(digest))
    for signer in signers:
        with pytest.raises(ValueError, match="32 bytes"):
            signer.sign(b"")
    del signers, signer
    assert (sys.getrefcount(context), sys.getrefcount(digest)) == before


def test_threads_may_share_a_signer_and_wipe_it(native: ecdsa.Engine) -> None:
    digests = [number.to_bytes(32, "big") for number in range(500)]
    signer, wanted = native.signer(SECRET), list(map(CFFI.signer(SECRET).sign, digests))

    def sign_all(_: int) -> int:
        made = 0
        for digest, signature in zip(digests, wanted, strict=True):
            try:
                assert signer.sign(digest) == signature  # whole, whatever the others do
            except ValueError:
                break
            made += 1
        return made

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(sign_all, range(4))) == [500] * 4
        work = [pool.submit(sign_all, number) for number in range(3)]
        pool.submit(signer.wipe)
        assert all(one.result(60) <= 500 for one in work)
    with pytest.raises(ValueError, match="wiped"):
        signer.sign(digests[0])


@pytest.mark.parametrize("value", ["", "1", "0"])
def test_the_environment_does_without(native: ecdsa.Engine, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BSIM_NATIVE", value)
    for name in ("", "coincurve"):
        monkeypatch.setenv("BSIM_ENGINE", name)
        monkeypatch.setattr(profiles, "default_engine", cache(profiles.default_engine.__wrapped__))
        assert profiles.default_engine().means == ("cffi" if value == "0" else native.means)
    card = helpers.verified_card()
    helpers.derive(card)
    assert helpers.sign(card) == helpers.signature(helpers.ETHEREUM, 1)


def sign_and_compare() -> None:
    engine = ecdsa.engine("coincurve")
    assert engine.means == "cffi"
    assert engine.signer(SECRET).sign(DIGEST) == CFFI.signer(SECRET).sign(DIGEST)


def test_where_it_was_not_built_signing_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("bsim.crypto.ecdsa._native", raising=False)
    monkeypatch.setitem(sys.modules, "bsim.crypto.ecdsa._native", None)
    sign_and_compare()


@pytest.mark.parametrize("name", ["_SIGN", "_SERIALIZE", "_NONCE"])
@pytest.mark.parametrize("kind", ["int(*)(int)", "int(*)(struct no_such *, no_such)"], ids=["another", "unknown"])
def test_a_library_of_another_shape_is_not_called(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_extension, name, kind)
    sign_and_compare()


def test_a_library_without_these_functions_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_extension, "lib", SimpleNamespace())
    sign_and_compare()


@pytest.mark.parametrize("wrong", [0, 1], ids=["always", "for some digests"])
def test_an_extension_that_signs_otherwise_is_not_used(wrong: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Signer:
        def __init__(self, _library: object, secret: bytes) -> None:
            self._right = CFFI.signer(secret)

        def sign(self, digest: bytes) -> bytes:
            return self._right.sign(digest if digest in _extension._TRIED_DIGESTS[:wrong] else bytes(32))

    fake: Any = ModuleType("bsim.crypto.ecdsa._native")
    fake.Signer, fake.SHA = Signer, False
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    monkeypatch.setattr(ecdsa, "_native", fake, raising=False)
    sign_and_compare()
