"""Every family against vectors that others published, or made with other libraries."""

import json
from typing import Any

import pytest
from vectors import load

from bsim.chains import FAMILIES, chainmaker, conflux, evm, fisco, rlp, sign_in, timestamp, typed_data
from bsim.chains.family import Signable, Signature
from bsim.chains.typed_types import Types
from bsim.crypto import ecdsa, p256, sm2, sm2_curve, verify
from bsim.crypto.keccak import keccak256

EIP155, EIP191, EIP712, CIP23 = load("eip155"), load("eip191"), load("eip712"), load("cip23")
CONFLUX, CHAINMAKER, FISCO = load("conflux"), load("chainmaker"), load("fisco_bcos")


def signed_with(secret: bytes, signable: Signable) -> tuple[Signature, bytes]:
    public_key = ecdsa.engine().public_key(secret)
    digest = signable.digest(public_key)
    signature = Signature(*verify.recoverable(digest, ecdsa.engine().signer(secret).sign(digest), public_key))
    return signature, signable.signed(signature, public_key)


def test_eip155() -> None:
    transaction = evm.Transaction.from_json(EIP155["transaction"])
    assert transaction.unsigned().hex() == EIP155["signing_data"]
    assert evm.Transaction.decode(bytes.fromhex(EIP155["signing_data"])) == transaction
    assert transaction.digest().hex() == EIP155["hash"]
    signature, raw = signed_with(bytes.fromhex(EIP155["secret"]), transaction)
    assert (signature.r, signature.s) == (EIP155["r"], EIP155["s"])
    assert raw.hex() == EIP155["raw"]


@pytest.mark.parametrize("vector", load("eth_account")["vectors"], ids=lambda v: v["raw"][2:4] + v["hash"][:8])
def test_typed_transactions(vector: dict[str, Any]) -> None:
    fields = dict(vector["transaction"])
    r, s, y_parity = (int(str(fields.pop(name)), 0) for name in "rsv")
    kind = int(vector["raw"][2:4], 16)
    transaction = evm.Transaction.from_json({"type": kind, **fields})
    raw = transaction.signed(Signature(r, s, y_parity))
    assert "0x" + raw.hex() == vector["raw"]
    assert "0x" + transaction.digest().hex() == vector["hash"]
    assert evm.Transaction.decode(transaction.unsigned()) == transaction


def test_eip191() -> None:
    message = FAMILIES[0x10].decode(EIP191["message"].encode())
    assert message.digest(b"").hex() == EIP191["hash"]
    assert signed_with(bytes.fromhex(EIP191["secret"]), message)[1].hex() == EIP191["signature"]


def test_eip712_example() -> None:
    (mail,) = [one["data"] for one in EIP712["valid"] if one["name"] == "valid_eip712_example"]
    found = typed_data.decode(typed_data.from_json(mail))
    assert found.hash.hex() == EIP712["mail"]["hash"]
    assert found.types.written("Mail") == EIP712["mail"]["type"]
    assert found.types.hash("Mail").hex() == EIP712["mail"]["type_hash"]
    assert signed_with(keccak256(b"cow"), found)[1].hex() == EIP712["mail"]["signature"]


@pytest.mark.parametrize("vector", EIP712["valid"], ids=lambda v: v["name"])
def test_eip712(vector: dict[str, Any]) -> None:
    payload = typed_data.from_json(vector["data"])
    assert typed_data.decode(payload).hash.hex() == vector["hash"].removeprefix("0x")
    assert typed_data.from_json(json.loads(payload)) == payload


@pytest.mark.parametrize("vector", EIP712["invalid"], ids=lambda v: v["name"])
def test_eip712_that_is_none(vector: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        typed_data.from_json(vector["data"])


def test_types_that_are_none() -> None:
    member = {"name": "x", "type": "uint8"}
    good = {"A": [member]}
    assert Types.parse(good).written("A") == "A(uint8 x)"
    for wrong in (
        *(None, [], {}, {f"A{number}": [member] for number in range(65)}),
        *({"A": None}, {"A": [None]}, {"A": [{"name": "x"}]}, {"A": [member | {"more": 1}]}, {"A": [member, member]}),
        *({name: [member]} for name in ("", "1A", "A B", "uint8", "uint", "bytes33", "address", "A[]", "\u00c4")),
        *({"A": [{"name": name, "type": "uint8"}]} for name in ("", "x y", "1", 7)),
        *(
            {"A": [{"name": "x", "type": kind}]}
            for kind in ("", "uint", "int", "uint7", "uint264", "bytes0", "bytes33")
        ),
        *(
            {"A": [{"name": "x", "type": kind}]}
            for kind in ("B", "uint8[", "uint8[0]", "uint8[-1]", "uint8[1", "[]", 7)
        ),
        {"A": [{"name": "x", "type": "uint8" + "[1]" * 100}]},
    ):
        with pytest.raises(ValueError, match="types: "):
            Types.parse(wrong)


@pytest.mark.parametrize("number", range(3))
def test_cip23_typed_data(number: int) -> None:
    payload = typed_data.from_json(CIP23["typed"][number], typed_data.CONFLUX)
    assert FAMILIES[0x13].decode(payload).digest(b"").hex() == CIP23["hashes"][number]
    with pytest.raises(ValueError, match="EIP712Domain"):
        FAMILIES[0x11].decode(payload)


def test_cip23_personal() -> None:
    vector = CIP23["personal"]
    message = FAMILIES[0x12].decode(vector["message"].encode())
    assert signed_with(bytes.fromhex(vector["secret"]), message)[1].hex() == vector["signature"]


@pytest.mark.parametrize("vector", CONFLUX["vectors"], ids=lambda v: v["hash"][:8])
def test_conflux(vector: dict[str, Any]) -> None:
    secret = bytes.fromhex(CONFLUX["secret"])
    transaction = conflux.Transaction.from_json(vector["fields"] | {"from": None})
    assert transaction.unsigned().hex() == vector["unsigned"]
    assert conflux.Transaction.decode(bytes.fromhex(vector["unsigned"])) == transaction
    raw = signed_with(secret, transaction)[1]
    assert (raw.hex(), keccak256(raw).hex()) == (vector["raw"], vector["hash"])
    assert conflux.address(ecdsa.engine().public_key(secret), conflux.TESTNET) == CONFLUX["address"]


@pytest.mark.parametrize("vector", load("cip37")["addresses"], ids=lambda v: v["account"][:8])
def test_cip37_both_ways(vector: dict[str, str]) -> None:
    account = bytes.fromhex(vector["account"])
    for network, text in ((conflux.MAINNET, vector["mainnet"]), (conflux.TESTNET, vector["testnet"])):
        for form in (text, text.upper(), conflux.encode(account, network, typed=True)):
            assert conflux.decode(form) == (network, account)
            assert conflux.decode(form.lower()) == (network, account)
        assert conflux.parse_address(text, network) == account
        with pytest.raises(ValueError, match="another network"):
            conflux.parse_address(text, network + 1)
        for at in range(len(text)):
            if text[at] != ":":
                with pytest.raises(ValueError, match="address"):
                    conflux.decode(text[:at] + ("x" if text[at] != "x" else "z") + text[at + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "cfx", "cfx:", "net:", "net1:", "net1029:", "net0:", "net4294967296:", "net01:", "eth:"),
        *("cfx:aa", None, 7, b"cfx:", "net1:aasm4c231py7j34fghntcfkdt2nm9xv1tu6jd3r1s7"),
        "cfxtest:type.contract:aasm4c231py7j34fghntcfkdt2nm9xv1tu6jd3r1s7",
        "cfxtest:refund.user:aasm4c231py7j34fghntcfkdt2nm9xv1tu6jd3r1s7",
        "cfxtest:AASM4c231py7j34fghntcfkdt2nm9xv1tu6jd3r1s7",
    ],
)
def test_cip37_that_is_none(text: object) -> None:
    with pytest.raises(ValueError, match="address"):
        conflux.decode(text)


def test_accounts_of_no_type() -> None:
    with pytest.raises(ValueError, match="no type"):
        conflux.encode(b"\x20" * 20, typed=True)
    assert conflux.encode(bytes(20), typed=True).startswith("CFX:TYPE.NULL:")


@pytest.mark.parametrize("vector", CHAINMAKER["vectors"], ids=lambda v: v["fields"]["tx_id"][:4])
def test_chainmaker(vector: dict[str, Any]) -> None:
    payload = chainmaker.Payload.from_json(vector["fields"])
    assert payload.unsigned().hex() == vector["payload"]
    assert chainmaker.decode(bytes.fromhex(vector["payload"])) == payload
    for module, order in ((sm2, sm2_curve.ORDER), (p256, p256.ORDER)):
        public_key = module.public_key(b"\5" * 32)
        der = module.signer(b"\5" * 32).sign(payload.digest(public_key))
        request = payload.signed(Signature(*verify.parse_der(der, order), None), public_key)
        length = len(payload.unsigned())
        assert request.startswith(bytes.fromhex(vector["request"])[: request.index(payload.unsigned()) + length])
        assert request.endswith(der)
        assert b"-----BEGIN PUBLIC KEY-----\nMFkw" in request
        assert module.verify(public_key, payload.digest(public_key), der)
    with pytest.raises(ValueError, match="SM2 or P-256"):
        payload.digest(ecdsa.engine().public_key(b"\5" * 32))


def test_fisco_bcos() -> None:
    raw = bytes.fromhex(FISCO["raw"])
    assert keccak256(raw).hex() == FISCO["hash"]
    items = list(rlp.decode(raw))
    transaction = fisco.decode(rlp.encode(items[:10]))
    v, r, s = (rlp.as_integer(item) for item in items[10:])
    digest = keccak256(transaction.unsigned())
    public_key = verify.recover(digest, verify.encode_der(r, s), v - 27)
    assert transaction.digest(public_key) == digest
    assert transaction.signed(Signature(r, s, v - 27), public_key) == raw
    assert (transaction.chain_id, transaction.group_id, transaction.block_limit) == (1, 1, 0x1F8)
    assert fisco.address(public_key) == evm.address(public_key)


def test_fisco_bcos_with_sm2() -> None:
    transaction = fisco.decode(rlp.encode(list(rlp.decode(bytes.fromhex(FISCO["raw"])))[:10]))
    public_key = sm2.public_key(b"\6" * 32)
    der = sm2.signer(b"\6" * 32).sign(transaction.digest(public_key))
    raw = rlp.decode(transaction.signed(Signature(*verify.parse_der(der, sm2_curve.ORDER), None), public_key))
    assert raw[10] == public_key[1:]
    assert fisco.address(public_key) != evm.address(public_key)
    for use in (transaction.digest, fisco.address):
        with pytest.raises(ValueError, match="secp256k1 or SM2"):
            use(p256.public_key(b"\6" * 32))
        with pytest.raises(ValueError, match="none of the card's curves"):
            use(public_key[:-1] + bytes((public_key[-1] ^ 1,)))
    with pytest.raises(ValueError, match="out of range"):
        transaction.signed(Signature(0, 1, None), public_key)


@pytest.mark.parametrize("name", load("eip4361")["positive"])
def test_eip4361(name: str) -> None:
    vector = load("eip4361")["positive"][name]
    fields, found = vector["fields"], sign_in.parse(vector["message"].encode())
    assert (found.domain, found.address, found.uri) == (fields["domain"], fields["address"], fields["uri"])
    assert (found.statement, found.nonce) == (fields.get("statement"), fields["nonce"])
    assert (str(found.chain_id), found.issued_at) == (fields["chainId"], 1633019124)
    assert list(found.resources) == fields.get("resources", [])
    if found.domain == "service.org":
        assert FAMILIES[0x14].decode(vector["message"].encode()) == found
    else:
        with pytest.raises(ValueError, match=r"^(domain|URI): "):
            FAMILIES[0x14].decode(vector["message"].encode())


@pytest.mark.parametrize(
    ("head", "uri", "good"),
    [
        ("example.com", "https://example.com/", True),
        ("example.com", "https://EXAMPLE.com:443/", True),
        ("example.com:443", "https://example.com", True),
        ("example.com:8443", "https://example.com:8443", True),
        ("https://example.com", "https://example.com", True),
        ("[::1]:80", "http://[::1]", True),
        ("http://example.com", "https://example.com", False),
        ("example.com", "https://example.com:8443", False),
        ("example.com", "https://example.com.evil.org", False),
        ("example.com", "https://sub.example.com", False),
        ("example.com", "https://example.com@evil.org/", False),
        ("example.com", "https://evil.org/?example.com", False),
        ("example.com", "did:key:example.com", False),
        ("example.com:80", "https://example.com", False),
    ],
)
def test_domain_and_uri_of_a_sign_in(head: str, uri: str, good: bool) -> None:
    text = load("eip4361")["positive"]["no statement"]["message"]
    message = text.replace("service.org wants", f"{head} wants").replace("https://service.org/login", uri).encode()
    assert sign_in.agrees(sign_in.parse(message)) is good
    if not good:
        with pytest.raises(ValueError, match=r"^URI: of another site"):
            sign_in.decode(message)


def test_a_sign_in_that_was_never_valid() -> None:
    text = load("eip4361")["positive"]["no statement"]["message"]
    for more in ("2021-09-30T16:25:24Z", "2021-09-30T18:25:24+02:00", "2000-01-01T00:00:00Z"):
        with pytest.raises(ValueError, match=r"^Expiration Time: before"):
            sign_in.decode(f"{text}\nExpiration Time: {more}".encode())
    good = sign_in.decode(f"{text}\nExpiration Time: 2021-09-30T16:25:25Z".encode())
    assert good.expiration_time == good.issued_at + 1
    with pytest.raises(ValueError, match=r"^Expiration Time: before"):
        sign_in.decode(f"{text}\nExpiration Time: 2021-09-30T16:25:25Z\nNot Before: 2022-01-01T00:00:00Z".encode())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        # RFC 3339 5.8; the leap second counts as the next minute's first.
        ("1985-04-12T23:20:50.52Z", 482196050),
        ("1996-12-19T16:39:57-08:00", 851042397),
        ("1990-12-31T23:59:60Z", 662688000),
        ("1937-01-01T12:00:27.87+00:20", -1041337173),
        ("1970-01-01t00:00:00z", 0),
        ("2000-02-29T00:00:00Z", 951782400),
        ("0001-01-01T00:00:00Z", -62135596800),
        ("9999-12-31T23:59:59Z", 253402300799),
    ],
)
def test_rfc3339(text: str, seconds: int) -> None:
    assert timestamp.parse(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "1985-04-12",
            "1985-04-12T23:20:50",
            "1985-04-12 23:20:50Z",
            "1985-4-12T23:20:50Z",
            "x1985-04-12T23:20:50Z",
        ),
        *("1985-13-12T23:20:50Z", "1985-00-12T23:20:50Z", "1985-04-31T23:20:50Z", "1985-04-00T23:20:50Z"),
        *("1900-02-29T00:00:00Z", "1985-04-12T24:00:00Z", "1985-04-12T23:60:50Z", "1985-04-12T23:20:61Z"),
        *("1985-04-12T23:20:50.Z", "1985-04-12T23:20:50+24:00", "1985-04-12T23:20:50+00:60", "1985-04-12T23:20:50Z\n"),
    ],
)
def test_rfc3339_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"date|time|offset"):
        timestamp.parse(text)


@pytest.mark.parametrize("signature", [(0, 1, 0), (1, 0, 0), (1, ecdsa.ORDER // 2 + 1, 0), (1, 1, 2), (1, 1, None)])
@pytest.mark.parametrize("code", [0x01, 0x02, 0x04, 0x10, 0x12])
def test_signatures_that_no_chain_takes(code: int, signature: tuple[int, int, int | None]) -> None:
    payloads = {
        0x01: bytes.fromhex(EIP155["signing_data"]),
        0x02: bytes.fromhex(CONFLUX["vectors"][0]["unsigned"]),
        0x04: rlp.encode(list(rlp.decode(bytes.fromhex(FISCO["raw"])))[:10]),
    }
    signable = FAMILIES[code].decode(payloads.get(code, b"hello"))
    with pytest.raises(ValueError, match="not what a chain takes"):
        signable.signed(Signature(*signature), ecdsa.engine().public_key(b"\1" * 32))
