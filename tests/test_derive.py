"""BIP-32 and SLIP-0010 against the standards' own vectors, on both engines."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors import load

from bsim.crypto import ecdsa, ed25519, p256
from bsim.crypto.derive import HARDENED, Bip32, Node, Scheme, Slip10Ed25519, parse_path
from bsim.crypto.slip10 import Slip10P256, Slip10Sm2

BIP32, SLIP10 = load("bip32"), load("slip10")
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
SCHEMES: tuple[Scheme, ...] = (Bip32(ecdsa.engine()), Slip10Ed25519(), Slip10P256(), Slip10Sm2())
CURVES = {
    "secp256k1": (SCHEMES[0], ecdsa.engine().public_key),
    "ed25519": (SCHEMES[1], ed25519.public_key),
    "nist256p1": (SCHEMES[2], p256.public_key),
}


def base58check(text: str) -> bytes:
    number = 0
    for letter in text:
        number = number * 58 + BASE58.index(letter)
    raw = number.to_bytes(82, "big")
    checksum = hashlib.sha256(hashlib.sha256(raw[:-4]).digest()).digest()[:4]
    assert raw[-4:] == checksum
    return raw[:-4]


def steps(vectors: list[dict[str, Any]]) -> list[Any]:
    return [
        pytest.param(vector, step, id=f"{number}-{step['path']}")
        for number, vector in enumerate(vectors, 1)
        for step in vector["chain"]
    ]


def compressed(point: bytes) -> bytes:
    return bytes((2 + (point[64] & 1),)) + point[1:33]


# Of vector 5 only the private keys out of range concern a card, which reads no xprv and no xpub.
OUT_OF_RANGE = [vector for vector in BIP32["invalid"] if vector["why"].startswith("private key")]


@pytest.mark.parametrize("name", ecdsa.NAMES)
@pytest.mark.parametrize(("vector", "step"), steps(BIP32["vectors"]))
def test_bip32(name: str, vector: dict[str, Any], step: dict[str, str]) -> None:
    engine = ecdsa.engine(name)
    private, public = base58check(step["xprv"]), base58check(step["xpub"])
    node = Bip32(engine).derive(bytes.fromhex(vector["seed"]), step["path"])
    assert (node.chain_code, b"\0" + node.secret) == (private[13:45], private[45:])
    assert (node.chain_code, compressed(engine.public_key(node.secret))) == (public[13:45], public[45:])
    assert private[4] == len(parse_path(step["path"]))


@pytest.mark.parametrize("name", ecdsa.NAMES)
@pytest.mark.parametrize("vector", OUT_OF_RANGE, ids=lambda v: v["why"])
def test_bip32_keys_out_of_range_are_no_keys_here(name: str, vector: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"out of range|32 bytes"):
        Bip32(ecdsa.engine(name)).child(Node(base58check(vector["key"])[46:], bytes(32)), HARDENED)


@pytest.mark.parametrize(("vector", "step"), steps(SLIP10["vectors"]))
def test_slip10(vector: dict[str, Any], step: dict[str, str]) -> None:
    scheme, public_key = CURVES[vector["curve"]]
    node = scheme.derive(bytes.fromhex(vector["seed"]), step["path"])
    assert node.secret.hex() == step["private"]
    assert node.chain_code.hex() == step["chain_code"]
    if vector["curve"] == "ed25519":
        assert "00" + public_key(node.secret).hex() == step["public"]
    else:
        assert compressed(public_key(node.secret)).hex() == step["public"]


class Rigged:
    """An engine whose sums come out as told; it complains when it is asked for anything else."""

    name = "rigged"

    def signer(self, secret: bytes) -> ecdsa.Signer:
        raise AssertionError("derivation does not sign")

    def public_key(self, secret: bytes) -> bytes:
        raise AssertionError("a hardened step needs no point")

    def add(self, secret: bytes, tweak: bytes) -> bytes:
        raise ValueError("their sum is 0")


def test_an_impossible_child_is_refused() -> None:
    with pytest.raises(ValueError, match="sum is 0"):
        Bip32(Rigged()).child(Node(b"\1" * 32, bytes(32)), HARDENED)


@pytest.mark.parametrize("digest", [bytes(64), ecdsa.ORDER.to_bytes(32, "big") + bytes(32), b"\xff" * 64])
def test_an_impossible_root_is_refused(digest: bytes) -> None:
    with pytest.raises(ValueError, match="no secp256k1 master key"):
        Bip32(ecdsa.engine())._root(digest)
    assert Slip10Ed25519()._root(digest) == Node(digest[:32], digest[32:])  # SLIP-0010: all are keys


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: type(s).__name__)
def test_seed_lengths(scheme: Scheme) -> None:
    for length in (16, 32, 64):
        assert len(scheme.master(bytes(length)).secret) == 32
    for length in (0, 15, 65):
        with pytest.raises(ValueError, match="16 to 64"):
            scheme.master(bytes(length))


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("index", [-1, 1 << 32])
def test_index_range(scheme: Scheme, index: int) -> None:
    with pytest.raises(ValueError, match=r"0 to 2\^32-1|hardened"):
        scheme.child(scheme.master(bytes(16)), index)


def test_ed25519_has_hardened_children_only() -> None:
    with pytest.raises(ValueError, match="hardened children only"):
        Slip10Ed25519().derive(bytes(16), "m/0")


def test_nodes_show_nothing() -> None:
    node = SCHEMES[0].master(bytes(range(16)))
    assert repr(node) == "Node()"


def test_account_paths() -> None:
    bip32, slip10, *curves = SCHEMES
    assert {scheme.account_path(60, 1) for scheme in curves} == {bip32.account_path(60, 1)}
    assert bip32.account_path(60, 1) == parse_path("m/44'/60'/0'/0/1")
    assert slip10.account_path(501, 127) == parse_path("m/44'/501'/0'/0'/127'")
    assert bip32.account_path(HARDENED - 1, HARDENED - 1)[1:] == (0xFFFFFFFF, HARDENED, 0, HARDENED - 1)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: type(s).__name__)
def test_account_paths_refuse_what_cannot_be_hardened(scheme: Scheme) -> None:
    for coin_type in (-1, HARDENED, 0xFFFFFFFF):
        with pytest.raises(ValueError, match="coin type"):
            scheme.account_path(coin_type, 1)
    for slot in (-1, HARDENED):
        with pytest.raises(ValueError, match="slot"):
            scheme.account_path(60, slot)


@given(st.lists(st.integers(0, 0xFFFFFFFF), max_size=10).map(tuple))
def test_path_round_trip(path: tuple[int, ...]) -> None:
    for mark in "'hH":
        steps = [f"{index - HARDENED}{mark}" if index >= HARDENED else str(index) for index in path]
        assert parse_path("/".join(["m", *steps])) == path


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "starts with m"),
        ("44'/60'", "starts with m"),
        ("M/0", "starts with m"),
        ("m/", "step 1"),
        ("m//0", "step 1"),
        ("m/0/x", "step 2"),
        ("m/-1", "step 1"),
        ("m/0''", "step 1"),
        ("m/ 0", "step 1"),
        ("m/1_0", "step 1"),
        ("m/\u0661", "step 1"),
        ("m/2147483648", "above 2147483647"),
        ("m/2147483648'", "above 2147483647"),
        ("m/99999999999", "step 1"),
        ("m" + "/0" * 256, "at most 255"),
    ],
)
def test_paths_that_are_none(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_path(text)
