"""A thousand random transactions, and messages, signed here, read and recovered by eth-account."""

import json
from random import Random

import pytest
from eth_account import Account
from eth_account.messages import _hash_eip191_message, encode_defunct, encode_typed_data
from payloads import PAYLOADS, evm_fields

from bsim.chains import FAMILIES, evm
from bsim.chains.family import Signable, Signature
from bsim.crypto import ecdsa, verify
from bsim.crypto.keccak import keccak256

SECRET = b"\x17" * 32
SIGNER, PUBLIC_KEY = ecdsa.engine().signer(SECRET), ecdsa.engine().public_key(SECRET)
ADDRESS = evm.address(PUBLIC_KEY)


def signed(signable: Signable) -> bytes:
    digest = signable.digest(PUBLIC_KEY)
    signature = Signature(*verify.recoverable(digest, SIGNER.sign(digest), PUBLIC_KEY))
    return signable.signed(signature, PUBLIC_KEY)


@pytest.mark.parametrize("kind", [0, 1, 2, 4])
def test_transactions(kind: int) -> None:
    rng = Random(kind)
    for _ in range(250):
        transaction = evm.Transaction.from_json(evm_fields(rng, kind))
        assert evm.Transaction.decode(transaction.unsigned()) == transaction
        assert Account.recover_transaction(signed(transaction)) == ADDRESS


def test_transactions_it_would_sign_too() -> None:
    """eth-account makes the same raw transaction of the same fields: its nonces are RFC 6979's as well."""
    rng = Random(4)
    for kind in [0, 1, 2] * 5:  # it takes only such authorizations of type 4 as it signed itself
        fields = evm_fields(rng, kind) | ({"type": hex(kind)} if kind else {})
        if not kind:
            del fields["type"]
        transaction = evm.Transaction.from_json(fields)
        theirs = Account.from_key(SECRET).sign_transaction(fields)
        assert signed(transaction) == theirs.raw_transaction
        assert keccak256(signed(transaction)) == theirs.hash


def test_messages() -> None:
    rng = Random(191)
    for _ in range(100):
        message = PAYLOADS[0x10](rng)
        signature = signed(FAMILIES[0x10].decode(message))
        assert Account.recover_message(encode_defunct(message), signature=signature) == ADDRESS


def test_typed_data() -> None:
    rng = Random(712)
    for _ in range(150):
        payload = PAYLOADS[0x11](rng)
        found = FAMILIES[0x11].decode(payload)
        message = encode_typed_data(full_message=json.loads(payload))
        assert found.digest(PUBLIC_KEY) == _hash_eip191_message(message)
        assert Account.recover_message(message, signature=signed(found)) == ADDRESS


def test_sign_ins() -> None:
    rng = Random(4361)
    for _ in range(50):
        text = PAYLOADS[0x14](rng)
        signature = signed(FAMILIES[0x14].decode(text))
        assert Account.recover_message(encode_defunct(text), signature=signature) == ADDRESS
