"""Random payloads of every family, signed here, parsed and recovered by ethers, js-conflux-sdk, cip-23 and sm-crypto.

A thousand transactions of a public chain at every run; of the rest, whose libraries take up to 50 ms a signature, a
few here and a thousand in `make soak`.
"""

import json
from random import Random
from typing import Any

import pytest
from node_process import asked
from payloads import PAYLOADS, conflux_fields, evm_fields, typed_fields

from bsim.chains import FAMILIES, conflux, evm, typed_data
from bsim.chains.family import Signable, Signature
from bsim.crypto import ecdsa, sm2, sm2_curve, sm3, verify

TRANSACTIONS = 1000
SOME = [pytest.param(25, id="25"), pytest.param(1000, id="1000", marks=pytest.mark.soak)]
SECRET = b"\x2a" * 32
SIGNER = ecdsa.engine().signer(SECRET)
PUBLIC_KEY = ecdsa.engine().public_key(SECRET)
SM2_KEY = sm2.public_key(SECRET)


def signed(signable: Signable) -> str:
    digest = signable.digest(PUBLIC_KEY)
    signature = Signature(*verify.recoverable(digest, SIGNER.sign(digest), PUBLIC_KEY))
    return "0x" + signable.signed(signature, PUBLIC_KEY).hex()


def as_text(value: object) -> str | None:
    return None if value is None else str(value)


def test_evm_transactions() -> None:
    rng = Random(1)
    made = [evm_fields(rng) for _ in range(TRANSACTIONS)]
    for fields in made:
        fields["nonce"] = int(str(fields["nonce"])) % (1 << 53)  # ethers keeps it in a number of JavaScript's
    transactions = [evm.Transaction.from_json(fields) for fields in made]
    answers = asked([["evm", signed(transaction)] for transaction in transactions])
    for fields, transaction, answer in zip(made, transactions, answers, strict=True):
        assert answer["from"] == evm.address(PUBLIC_KEY)
        assert answer["to"] == fields.get("to")
        names = ("chainId", "nonce", "gas", "value", "maxFeePerGas", "maxPriorityFeePerGas")
        assert [answer[name] for name in names] == [as_text(fields.get(name)) for name in names]
        assert (answer["type"], answer["data"]) == (fields["type"], fields["data"])
        assert (answer["accessList"] or []) == fields.get("accessList", [])
        assert answer["gasPrice"] == as_text(fields.get("gasPrice"))
        listed: Any = fields.get("authorizationList", [])
        assert answer["authorizations"] == [one["address"] for one in listed]
        assert bytes.fromhex(answer["unsigned"][2:]) == transaction.unsigned()


def test_conflux_transactions() -> None:
    rng = Random(2)
    made = [conflux_fields(rng) for _ in range(TRANSACTIONS)]
    raws = [signed(conflux.Transaction.from_json(fields)) for fields in made]
    for fields, raw, answer in zip(made, raws, asked([["conflux", raw] for raw in raws]), strict=True):
        assert answer["from"] == "0x" + conflux.address_bytes(PUBLIC_KEY).hex()
        assert answer["raw"] == raw
        names = ("chainId", "nonce", "gas", "value", "storageLimit", "epochHeight", "gasPrice", "maxFeePerGas")
        assert [answer[name] for name in names] == [as_text(fields.get(name)) for name in names]
        to = fields.get("to")
        assert answer["to"] == (None if to is None else "0x" + conflux.parse_address(to).hex())
        assert answer["data"] == fields["data"]


@pytest.mark.parametrize("count", SOME)
def test_conflux_addresses(count: int) -> None:
    rng = Random(37)
    accounts = [bytes((rng.choice((0x00, 0x10, 0x8F)),)) + rng.randbytes(19) for _ in range(count)]
    networks = [rng.choice((1, 1029, rng.randint(2, 2**32 - 1))) for _ in accounts]
    cases = [["cip37", one.hex(), network] for one, network in zip(accounts, networks, strict=True)]
    for account, network, (bare, typed) in zip(accounts, networks, asked(cases), strict=True):
        assert conflux.encode(account, network) == bare.lower()
        assert conflux.encode(account, network, typed=True) == typed
        for text in (bare, typed, typed.lower()):
            assert conflux.decode(text) == (network, account)


@pytest.mark.parametrize("count", SOME)
def test_messages(count: int) -> None:
    rng = Random(191)
    texts = [PAYLOADS[0x10](rng) for _ in range(count)]
    signables = [FAMILIES[0x10].decode(text) for text in texts]
    cases = [["personal", "0x" + text.hex(), signed(one)] for text, one in zip(texts, signables, strict=True)]
    assert set(asked(cases)) == {evm.address(PUBLIC_KEY)}


@pytest.mark.parametrize("count", SOME)
def test_messages_of_core_space(count: int) -> None:
    rng = Random(23)
    texts = [f"{rng.getrandbits(100)} \u4e2d\u6587 {rng.random()}" for _ in range(count)]
    cases = [["cip23Personal", text, signed(FAMILIES[0x12].decode(text.encode()))] for text in texts]
    assert set(asked(cases)) == {"0x" + PUBLIC_KEY[1:].hex()}


@pytest.mark.parametrize("count", SOME)
def test_typed_data(count: int) -> None:
    rng = Random(712)
    made = [json.loads(typed_data.from_json(typed_fields(rng))) for _ in range(count)]
    signables = [typed_data.decode(typed_data.from_json(fields)) for fields in made]
    cases = [["typedData", fields, signed(one)] for fields, one in zip(made, signables, strict=True)]
    for one, answer in zip(signables, asked(cases), strict=True):
        assert answer == {"hash": "0x" + one.hash.hex(), "from": evm.address(PUBLIC_KEY)}


@pytest.mark.parametrize("count", SOME)
def test_typed_data_of_core_space(count: int) -> None:
    rng = Random(23)
    payloads = [PAYLOADS[0x13](rng) for _ in range(count)]
    answers = asked([["cip23Typed", json.loads(payload)] for payload in payloads])
    assert answers == ["0x" + typed_data.decode_core(payload).hash.hex() for payload in payloads]


@pytest.mark.parametrize("count", SOME)
def test_sm2_and_sm3(count: int) -> None:
    rng = Random(3)
    messages = [rng.randbytes(rng.randint(1, 200)) for _ in range(count)]
    signer = sm2.signer(SECRET)
    signatures = [signer.sign(sm2.digest(SM2_KEY, message)).hex() for message in messages]
    cases = [["sm2", m.hex(), s, SM2_KEY.hex()] for m, s in zip(messages, signatures, strict=True)]
    digests = [["sm3", message.hex()] for message in messages]
    answers = asked(cases + digests)
    assert answers[:count] == [True] * count
    assert answers[count:] == [sm3.sm3(message).hex() for message in messages]


@pytest.mark.parametrize("count", SOME)
@pytest.mark.parametrize("code", [0x03, 0x04], ids=["ChainMaker", "FISCO BCOS"])
def test_permissioned_chains(code: int, count: int) -> None:
    """What was signed, taken out of the signed form again, verifies over what the chain hashes."""
    rng, signer, cases = Random(code), sm2.signer(SECRET), []
    for _ in range(count):
        payload = PAYLOADS[code](rng)
        signable = FAMILIES[code].decode(payload)
        der = signer.sign(signable.digest(SM2_KEY))
        r, s = verify.parse_der(der, sm2_curve.ORDER)
        raw = signable.signed(Signature(r, s, None), SM2_KEY)
        assert payload[4:] in raw
        message = payload if code == 0x03 else sm3.sm3(payload)  # a node of FISCO BCOS verifies over the digest
        cases.append(["sm2", message.hex(), der.hex(), SM2_KEY.hex()])
    assert asked(cases) == [True] * count
