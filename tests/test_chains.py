"""RLP, EIP-1559 transactions and addresses against published vectors."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors import load

from bsim import chains
from bsim.chains import conflux, evm, rlp, solana
from bsim.chains.family import Signature
from bsim.crypto import ecdsa, mnemonic, verify
from bsim.crypto.algorithm import Algorithm
from bsim.crypto.derive import Bip32
from bsim.crypto.keccak import keccak256

RLP, EIP1559, CIP37 = load("rlp"), load("eip1559"), load("cip37")
ITEMS = st.recursive(st.binary(max_size=70), lambda inner: st.lists(inner, max_size=6), max_leaves=30)
MINIMAL = {"chainId": 1, "nonce": 0, "maxPriorityFeePerGas": 1, "maxFeePerGas": 2, "gas": 21000, "to": "0x" + "11" * 20}


def item(value: Any) -> rlp.Item:
    """Ethereum's tests write numbers as numbers and bytes as text."""
    if isinstance(value, list):
        return [item(one) for one in value]
    return rlp.integer(value) if isinstance(value, int) else value.encode()


def test_keccak() -> None:
    # The empty code's hash, known from every Ethereum account (Yellow Paper, 4.1).
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


@pytest.mark.parametrize("vector", RLP["valid"], ids=lambda v: v["name"])
def test_rlp(vector: dict[str, Any]) -> None:
    encoding = bytes.fromhex(vector["encoding"])
    assert rlp.encode(item(vector["value"])) == encoding
    assert rlp.decode(encoding) == item(vector["value"])
    if isinstance(vector["value"], int):
        assert rlp.as_integer(rlp.decode(encoding)) == vector["value"]


@pytest.mark.parametrize("vector", RLP["invalid"], ids=lambda v: v["name"])
def test_rlp_that_is_none(vector: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="RLP"):
        rlp.decode(bytes.fromhex(vector["encoding"]))


@given(ITEMS)
def test_rlp_round_trip(value: rlp.Decoded) -> None:
    assert rlp.decode(rlp.encode(value)) == value


@given(st.binary(max_size=120))
def test_rlp_is_read_one_way_only(data: bytes) -> None:
    try:
        value = rlp.decode(data)
    except ValueError:
        return
    assert rlp.encode(value) == data


@given(st.integers(0, 2**300))
def test_rlp_integers(value: int) -> None:
    assert rlp.as_integer(rlp.integer(value)) == value


def test_rlp_bounds() -> None:
    deep = b"\xc0"
    for _ in range(rlp.MAX_DEPTH - 1):
        deep = rlp.encode([rlp.decode(deep)])
    with pytest.raises(ValueError, match="deeper"):
        rlp.encode([rlp.decode(deep)])
    with pytest.raises(ValueError, match="deeper"):
        rlp.decode(bytes((0xC0 + len(deep),)) + deep)
    with pytest.raises(ValueError, match="longer"):
        rlp.decode(bytes(rlp.MAX_LENGTH + 1))
    with pytest.raises(ValueError, match="ends"):
        rlp.decode(b"")
    with pytest.raises(ValueError, match="negative"):
        rlp.integer(-1)
    for wrong in (b"\0", b"\0\1", [b""]):
        with pytest.raises(ValueError, match="leading zero"):
            rlp.as_integer(wrong)


def sign(secret: bytes, transaction: evm.Transaction) -> Signature:
    der = ecdsa.engine().signer(secret).sign(transaction.digest())
    return Signature(*verify.recoverable(transaction.digest(), der, ecdsa.engine().public_key(secret)))


@pytest.mark.parametrize("vector", EIP1559["raw"]["vectors"], ids=lambda v: str(v["transaction"]["nonce"]))
def test_eip1559_raw_transactions(vector: dict[str, Any]) -> None:
    transaction = evm.Transaction.from_json(vector["transaction"])
    raw = rlp.decode(bytes.fromhex(vector["raw"]))  # published inside an RLP string, as it stands in a block
    assert transaction.signed(sign(bytes.fromhex(EIP1559["raw"]["secret"]), transaction)) == raw


@pytest.mark.parametrize("vector", EIP1559["mnemonic"]["vectors"], ids=lambda v: v["name"])
def test_eip1559_from_mnemonic_to_signature(vector: dict[str, Any]) -> None:
    node = Bip32(ecdsa.engine()).derive(mnemonic.seed(EIP1559["mnemonic"]["mnemonic"]), vector["path"])
    transaction = evm.Transaction.from_json(vector["transaction"])
    expected = int(vector["r"], 16), int(vector["s"], 16), vector["y_parity"]
    assert sign(node.secret, transaction) == expected


def test_eip1559_with_an_access_list() -> None:
    vector = EIP1559["access_list"]
    transaction = evm.Transaction.from_json(vector["transaction"])
    signature = Signature(int(vector["r"]), int(vector["s"]), vector["y_parity"])
    assert sign(bytes.fromhex(vector["secret"]), transaction) == signature
    assert keccak256(transaction.signed(signature)).hex() == vector["hash"]


def test_fields_may_be_written_in_three_ways_and_under_two_names() -> None:
    one = evm.Transaction.from_json(MINIMAL)
    hexadecimal = {name: hex(value) if isinstance(value, int) else value for name, value in MINIMAL.items()}
    decimal = {name: str(value) for name, value in MINIMAL.items()}
    aliased = {**MINIMAL, "gasLimit": "0x5208", "input": "0x", "accessList": [], "value": 0, "type": "0x2"}
    del aliased["gas"]
    for other in (hexadecimal, decimal, aliased, {**MINIMAL, "gasLimit": 21000}):
        assert evm.Transaction.from_json(other) == one


def test_a_contract_is_made_without_a_recipient() -> None:
    for to in ({}, {"to": None}, {"to": ""}, {"to": "0x"}):
        fields = {name: value for name, value in MINIMAL.items() if name != "to"} | {"data": "0x6000"} | to
        assert evm.Transaction.from_json(fields).to == b""


def test_transactions_as_libraries_write_them() -> None:
    plain = evm.Transaction.from_json(MINIMAL)
    nulls = dict.fromkeys(["accessList", "gasPrice", "v", "r", "s", "hash", "signature", "sig", "from"])
    account = "0x" + "11" * 20
    for more in ({"type": 2, **nulls}, {"type": "eip1559"}, {"type": "0x2"}, {"type": None}, {"from": account}):
        assert evm.Transaction.from_json({**MINIMAL, **more}) == plain
    for wrong in (account[:-2], "me", 1, ""):
        with pytest.raises(ValueError, match=r"^from: "):
            evm.Transaction.from_json({**MINIMAL, "from": wrong})
    for name in nulls:
        with pytest.raises(ValueError, match=f"^{name}: "):
            evm.Transaction.from_json({**MINIMAL, name: "0x1"})


@pytest.mark.parametrize("kind", [3, "0x3", "eip4844", 5, 127, "0xff"])
def test_another_type_is_named_before_the_fields_it_lacks(kind: object) -> None:
    with pytest.raises(ValueError, match=r"^type: \d+ is not signed here: only 0, 1, 2, 4 are"):
        evm.Transaction.from_json({"type": kind, "gasPrice": 1})


def test_the_type_is_told_by_the_fields() -> None:
    legacy = {name: value for name, value in MINIMAL.items() if not name.startswith("max")} | {"gasPrice": 2}
    authorization = {"chainId": 0, "address": "0x" + "22" * 20, "nonce": 1, "yParity": 0, "r": 1, "s": 1}
    fields: list[dict[str, Any]] = [legacy, legacy | {"accessList": []}, MINIMAL]
    fields.append(MINIMAL | {"authorizationList": [authorization]})
    for kind, one in zip((0, 1, 2, 4), fields, strict=True):
        transaction = evm.Transaction.from_json(one)
        assert transaction.kind == kind
        assert evm.Transaction.from_json(one | {"type": kind}) == transaction
        assert evm.Transaction.decode(transaction.unsigned()) == transaction
    for wrong in (
        {"authorizationList": []},
        {"authorizationList": [1]},
        {"authorizationList": [authorization | {"yParity": 2}]},
        {"authorizationList": [authorization | {"s": ecdsa.ORDER // 2 + 1}]},
        {"authorizationList": [authorization | {"more": 1}]},
    ):
        with pytest.raises(ValueError, match=r"^authorizationList: |^yParity: |^s: "):
            evm.Transaction.from_json(MINIMAL | wrong)
    with pytest.raises(ValueError, match=r"^to: missing; a transaction of type 4"):
        evm.Transaction.from_json({**MINIMAL, "to": None, "data": "0x00", "authorizationList": [authorization]})


@pytest.mark.parametrize("chain_id", [0, 2**63 - 36, 2**256])
def test_chains_that_are_none(chain_id: int) -> None:
    with pytest.raises(ValueError, match=r"^chainId: not from 1"):
        evm.Transaction.from_json({**MINIMAL, "chainId": chain_id})
    assert evm.Transaction.from_json({**MINIMAL, "chainId": 2**63 - 37}).chain_id == 2**63 - 37


@pytest.mark.parametrize("name", ["chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas"])
def test_missing_fields_are_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: missing"):
        evm.Transaction.from_json({key: value for key, value in MINIMAL.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("chainId", "nonce", "gas", "value") for value in (-1, 1.5, True, None, [], "")),
        *(("nonce", value) for value in ("-1", "1_0", " 1", "0x", "0x_1", "0xg", "1e3", "\u0661", 2**64 - 1)),
        *(("nonce", "9" * length) for length in (79, 5000)),
        ("gas", 1 << 64),
        ("value", 1 << 256),
        ("maxPriorityFeePerGas", 3),
        ("to", "0x" + "11" * 19),
        ("to", "11" * 20),
        ("to", "0x"),
        ("to", 17),
        ("to", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed"),
        ("to", None),
        ("data", "6000"),
        ("data", "0x600"),
        ("data", "0x60 00"),
        ("data", "0xzz"),
        ("data", b"\x60"),
        ("accessList", "0x"),
        ("accessList", [[]]),
        ("accessList", [{"address": "0x" + "11" * 20}]),
        ("accessList", [{"address": None, "storageKeys": []}]),
        ("accessList", [{"address": "0x" + "11" * 20, "storageKeys": ["0x01"]}]),
        ("accessList", [{"address": "0x" + "11" * 20, "storageKeys": "0x01"}]),
        ("gasPrice", 1),
        ("gasLimit", 21001),
    ],
)
def test_wrong_fields_are_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        evm.Transaction.from_json({**MINIMAL, name: value})


@pytest.mark.parametrize(
    "signature", [(0, 1, 0), (1, 0, 0), (ecdsa.ORDER, 1, 0), (1, ecdsa.ORDER // 2 + 1, 0), (1, 1, 2)]
)
def test_signatures_no_chain_takes(signature: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="not what a chain takes"):
        evm.Transaction.from_json(MINIMAL).signed(Signature(*signature))


@pytest.mark.parametrize("text", load("eip55")["addresses"])
def test_eip55(text: str) -> None:
    account = bytes.fromhex(text[2:])
    assert evm.checksum(account) == text
    for form in (text, text.lower(), "0x" + text[2:].upper()):
        assert evm.parse_address(form) == account


def test_a_mistyped_address_is_noticed() -> None:
    text = load("eip55")["addresses"][4]
    with pytest.raises(ValueError, match="EIP-55"):
        evm.parse_address(text.replace("B", "b", 1))
    for length in (0, 19, 21):
        with pytest.raises(ValueError, match="20 bytes"):
            evm.checksum(bytes(length))
        with pytest.raises(ValueError, match="20 bytes"):
            conflux.encode(bytes(length))


@pytest.mark.parametrize("vector", CIP37["addresses"], ids=lambda v: v["account"][:8])
def test_cip37(vector: dict[str, str]) -> None:
    account = bytes.fromhex(vector["account"])
    assert conflux.encode(account) == vector["mainnet"]
    assert conflux.encode(account, conflux.TESTNET) == vector["testnet"]


@pytest.mark.parametrize("vector", CIP37["networks"], ids=lambda v: str(v["network"]))
def test_cip37_networks(vector: dict[str, Any]) -> None:
    assert conflux.encode(bytes.fromhex(vector["account"]), vector["network"]) == vector["address"]


@pytest.mark.parametrize("network", [-1, 0, 1 << 32])
def test_cip37_networks_that_are_none(network: int) -> None:
    with pytest.raises(ValueError, match="network"):
        conflux.encode(bytes(20), network)


@pytest.mark.parametrize("vector", CIP37["accounts"], ids=lambda v: v["ethereum"])
def test_accounts_of_a_public_key(vector: dict[str, str]) -> None:
    public_key = bytes.fromhex(vector["public"])
    assert evm.address(public_key) == vector["ethereum"]
    assert conflux.address(public_key) == vector["mainnet"]
    assert conflux.address(public_key, conflux.TESTNET) == vector["testnet"]
    for wrong in (public_key[1:], b"\2" + public_key[1:33], b"\6" + public_key[1:]):
        for use in (evm.address, conflux.address):
            with pytest.raises(ValueError, match="65-byte"):
                use(wrong)


def test_solana() -> None:
    # The system program's address is 32 zero bytes (Solana documentation, "Native programs").
    assert solana.address(bytes(32)) == "1" * 32
    # draft-msporny-base58-03, section 5.
    assert solana.base58(b"Hello World!") == "2NEpo7TZRRrLZSi2U"
    assert solana.base58(bytes.fromhex("0000287fb4cd")) == "11233QC4"
    with pytest.raises(ValueError, match="32 bytes"):
        solana.address(bytes(33))


def test_coins() -> None:
    public_key = ecdsa.engine().public_key(b"\1" * 32)
    assert chains.address(60, Algorithm.SECP256K1, public_key) == evm.address(public_key)
    assert chains.address(503, 1, public_key) == conflux.address(public_key)
    assert chains.address(501, 2, bytes(32)) == "1" * 32
    for coin_type, algorithm in ((60, 2), (501, 1), (0, 1), (354, 2), (7, 1)):
        assert chains.address(coin_type, algorithm, public_key) is None
    names = [chains.coin_name(coin_type) for coin_type in (0, 60, 354, 501, 503, 7)]
    assert names == ["Bitcoin", "Ether", "Polkadot", "Solana", "Conflux", "coin 7"]
