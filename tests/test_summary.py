"""What is shown is what is signed: every field of a known call is in the summary, and no change goes unseen."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payloads import PAYLOADS, Fields, account, chainmaker_fields, conflux_fields, evm_fields, fisco_fields, number
from payloads import call as known_call

from bsim.chains import FAMILIES, abi, calls, chainmaker, conflux, evm, fisco
from bsim.chains.amounts import allowance, decimal
from bsim.chains.calls import CALLS, Standard
from bsim.chains.evm.networks import NETWORKS, amount, network
from bsim.chains.family import Signable, Summary, nobody
from bsim.crypto import ecdsa, sm2
from bsim.crypto.algorithm import Algorithm

SECP256K1, SM2 = ecdsa.engine().public_key(b"\7" * 32), sm2.public_key(b"\7" * 32)
TO = b"\x1a" + b"\x22" * 19
MINIMAL: Fields = {"chainId": 1, "nonce": 7, "maxPriorityFeePerGas": 1, "maxFeePerGas": 2, "gas": 21000}
SEEDS = st.integers(0, 2**32)


def shown(summary: Summary) -> str:
    return "\n".join([summary.title, *(f"{label}: {text}" for label, text in summary.lines)])


def told(data: bytes, **more: object) -> Summary:
    fields = {**MINIMAL, "to": evm.checksum(TO), "data": "0x" + data.hex(), **more}
    return evm.Transaction.from_json(fields).summary()


def is_known(fields: Fields) -> bool:
    """Whether the transaction's data is a call that the card knows, or nothing, to somebody."""
    data = bytes.fromhex(str(fields["data"])[2:])
    return "to" in fields and (not data or calls.tell(data, evm.checksum) is not None)


def numbers_of(fields: Fields) -> list[str]:
    """The numbers of a transaction as its summary writes them."""
    places = {"value": 18, "gasPrice": 9, "maxFeePerGas": 9, "maxPriorityFeePerGas": 9}
    own = ("nonce", "gas", "storageLimit", "epochHeight", "chainId", *places)
    return [decimal(int(str(fields[name])), places.get(name, 0)) for name in own if name in fields]


@settings(max_examples=300, deadline=None)
@given(SEEDS, st.sampled_from(["evm", "conflux"]))
def test_every_field_of_a_known_call_is_shown(seed: int, family: str) -> None:
    rng = Random(seed)
    fields = evm_fields(rng) if family == "evm" else conflux_fields(rng)
    data = bytes.fromhex(str(fields["data"])[2:])
    signable: Signable = (evm if family == "evm" else conflux).Transaction.from_json(fields)
    summary, text = signable.summary(), shown(signable.summary())
    assert all(one in text for one in numbers_of(fields))
    assert str(fields.get("to", "")) in text
    for entry in fields.get("accessList", []):  # type: ignore[attr-defined]
        assert all(one in text for one in (entry["address"], *entry["storageKeys"]))
    for entry in fields.get("authorizationList", []):  # type: ignore[attr-defined]
        assert all(one in text for one in (entry["address"], f"{entry['r']:064x}", f"{entry['s']:064x}"))
    if not is_known(fields):
        assert summary.hidden == ("data",)
        assert f"{len(data)} bytes" in text
        return
    assert summary.hidden == ()
    if data:
        types = tuple(CALLS[data[:4]].arguments.values())
        for kind, value in zip(types, abi.decode(types, data[4:]), strict=True):
            assert _written(kind, value, signable) in text


def _written(kind: abi.Type, value: abi.Value, signable: Any) -> str:
    if isinstance(value, bytes):
        if kind is not abi.Type.ADDRESS:
            return value.hex()
        return conflux.encode(value, signable.chain_id) if hasattr(signable, "epoch_height") else evm.checksum(value)
    if isinstance(value, bool):
        return "YES" if value else "no longer"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_every_field_of_a_permissioned_chain_is_shown(seed: int) -> None:
    rng = Random(seed)
    fields = chainmaker_fields(rng)
    parameters: Any = fields.pop("parameters")
    text = shown(chainmaker.Payload.from_json({**fields, "parameters": parameters}).summary())
    kinds = ("INVOKE_CONTRACT", "QUERY_CONTRACT", "SUBSCRIBE", "ARCHIVE")
    fields |= {"tx_type": kinds[int(str(fields["tx_type"]))], "expiration_time": fields["expiration_time"] or "never"}
    assert all(str(value) in text for value in fields.values())
    assert all(f"Parameter {one['key']}: {one['value']}" in text for one in parameters)
    fields = fisco_fields(rng)
    summary = fisco.Transaction.from_json(fields).summary()
    extra = str(fields.pop("extraData"))
    data = fields.pop("data")
    assert all(str(value) in shown(summary) for value in fields.values())
    assert (extra if extra != "0x" else "Extra data: none") in shown(summary)
    assert (summary.hidden == ("data",)) == (not is_known({**fields, "data": data}))


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.sampled_from([0x14, 0x15]))
def test_every_line_of_a_sign_in_is_shown(seed: int, code: int) -> None:
    message = PAYLOADS[code](Random(seed))
    text = shown(FAMILIES[code].decode(message).summary())
    first, *lines = message.decode().split("\n")
    assert f"Site: {first.split(' wants')[0]}" in text
    assert all(line.removeprefix("- ") in text for line in lines if line != "Resources:")


READ: dict[str, tuple[Callable[[Random], Fields], Callable[[Fields], Signable]]] = {
    "evm": (evm_fields, evm.Transaction.from_json),
    "conflux": (conflux_fields, conflux.Transaction.from_json),
    "chainmaker": (chainmaker_fields, chainmaker.Payload.from_json),
    "fisco-bcos": (fisco_fields, fisco.Transaction.from_json),
}


@settings(max_examples=300, deadline=None)
@given(SEEDS, st.sampled_from(sorted(READ)), st.data())
def test_a_field_that_changes_is_seen(seed: int, name: str, data: st.DataObject) -> None:
    """One field of one transaction as in another: the summary changes where it does not hide it, the digest always."""
    make, read = READ[name]
    rng = Random(seed)
    fields, other = make(rng), make(rng)
    field = data.draw(st.sampled_from(sorted(set(fields) & set(other) - {"type", "chainId"})))
    changed = fields | {field: other[field]}
    try:
        before, after = read(fields), read(changed)
    except ValueError:
        return  # a fee above its maximum, or a contract without code
    same = before.unsigned() == after.unsigned()  # type: ignore[attr-defined]
    assert (
        before.digest(SM2 if name == "chainmaker" else SECP256K1)
        == after.digest(SM2 if name == "chainmaker" else SECP256K1)
    ) == same
    assert (before.summary() == after.summary()) == same


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.data())
def test_a_value_of_typed_data_that_changes_is_seen(seed: int, data: st.DataObject) -> None:
    rng = Random(seed)
    top = json.loads(PAYLOADS[0x11](rng))
    part = data.draw(st.sampled_from(["domain", "message"]))
    names = [name for name, value in top[part].items() if isinstance(value, str | bool)]
    if not names:
        return
    name = data.draw(st.sampled_from(names))
    value = top[part][name]
    changes = {True: False, False: True}
    top[part][name] = (
        changes[value] if isinstance(value, bool) else value + "x" if "x" not in value else value[:-1] + "0"
    )
    payload = json.dumps(top, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    try:
        after = FAMILIES[0x11].decode(payload)
    except ValueError:
        return
    before = FAMILIES[0x11].decode(PAYLOADS[0x11](Random(seed)))
    same = before.digest(b"") == after.digest(b"")
    assert (before.summary() == after.summary()) == same


@pytest.mark.parametrize("code", FAMILIES, ids=lambda code: FAMILIES[code].name)
def test_summaries_are_for_people(code: int) -> None:
    rng = Random(code)
    for _ in range(100):
        summary = FAMILIES[code].decode(PAYLOADS[code](rng)).summary(nobody)
        assert summary.title
        assert summary.lines
        assert set(summary.hidden) <= {"data"}
        assert all(line.label for line in summary.lines)


def test_friends_are_shown_by_name() -> None:
    address = evm.checksum(TO)
    fields = {**MINIMAL, "to": address, "value": 10**18}
    summary = evm.Transaction.from_json(fields).summary({address: "Alice"}.get)
    assert ("To", f"Alice ({address})") in summary.lines
    core = conflux.encode(TO, 1029)
    fields = {"chainId": 1029, "nonce": 1, "gas": 21000, "gasPrice": 1, "to": core, "storageLimit": 0, "epochHeight": 1}
    assert ("To", f"Alice ({core})") in conflux.Transaction.from_json(fields).summary({core: "Alice"}.get).lines


def test_selectors() -> None:
    # As Etherscan and the standards' interface ids (EIP-165) have them.
    known = {"a9059cbb", "095ea7b3", "23b872dd", "42842e0e", "b88d4fde", "f242432a", "2eb2c2d6", "a22cb465"}
    assert {selector.hex() for selector in CALLS} == known


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (5, "5"), (2**128 - 1, str(2**128 - 1)), (2**128, "practically UNLIMITED"), (2**256 - 1, "UNLIMITED (")],
)
def test_allowances_in_words(value: int, words: str) -> None:
    assert allowance(value).startswith(words)
    assert str(value) in allowance(value)
    (approve,) = [one for one in CALLS.values() if one.name == "approve"]
    assert ("Units or token id", allowance(value)) in told(calls.encode(approve, TO, value)).lines


def test_all_nfts() -> None:
    (call,) = [one for one in CALLS.values() if one.name == "setApprovalForAll"]
    assert "YES, ALL NFTs" in shown(told(calls.encode(call, TO, True)))
    assert "no longer" in shown(told(calls.encode(call, TO, False)))


def test_pairs_that_do_not_match_are_not_understood() -> None:
    (call,) = [one for one in CALLS.values() if one.name == "safeBatchTransferFrom"]
    assert told(calls.encode(call, TO, TO, (1, 2), (3, 4), b"")).hidden == ()
    assert told(calls.encode(call, TO, TO, (1, 2), (3,), b"")).hidden == ("data",)


def test_unknown_calls_and_contracts() -> None:
    summary = told(bytes.fromhex("deadbeef") + bytes(32))
    assert summary.hidden == ("data",)
    assert "NOT UNDERSTOOD" in summary.title
    assert "0xdeadbeef, 36 bytes" in shown(summary)
    assert "3 bytes" in shown(told(b"abc"))
    made = evm.Transaction.from_json({**MINIMAL, "data": f"0x{bytes(range(40)).hex()}"}).summary()
    assert (made.title, made.hidden) == ("Create a contract", ("data",))
    assert ("Code", "not understood, 40 bytes") in made.lines  # its first bytes are no selector
    assert "Call" not in {line.label for line in made.lines}


def test_code_that_is_put_into_an_account_is_in_the_title() -> None:
    """A transfer of nothing may carry it: what stands first says so, and so does what comes before fees and nonces."""
    entry = {"chainId": 0, "address": evm.checksum(TO), "nonce": 0, "yParity": 0, "r": 1, "s": 1}
    summary = told(b"", authorizationList=[entry])
    assert summary.title == "Send 0 ETH, and put code into accounts (1)"
    labels = [line.label for line in summary.lines]
    assert labels.index("Puts code into an account") < labels.index("Fee at most")
    assert "put code into accounts (2)" in told(b"abcd", authorizationList=[entry, entry]).title


@settings(max_examples=200, deadline=None)
@given(SEEDS, st.data())
def test_calls_have_one_encoding(seed: int, data: st.DataObject) -> None:
    """A known call with one byte changed is another call that encodes to these very bytes, or is not known."""
    content = known_call(Random(seed))
    at = data.draw(st.integers(4, len(content) - 1))
    changed = content[:at] + bytes((content[at] ^ data.draw(st.integers(1, 255)),)) + content[at + 1 :]
    types = tuple(CALLS[content[:4]].arguments.values())
    for spoilt in (changed, content[:-1], content + bytes(32), content + b"\0"):
        try:
            values = abi.decode(types, spoilt[4:])
        except ValueError:
            assert calls.tell(spoilt, evm.checksum) is None
        else:
            assert abi.encode(types, values) == spoilt[4:]


def test_arguments_of_another_type_are_a_bug_of_the_caller() -> None:
    for kind, value in ((abi.Type.UINT256, (1,)), (abi.Type.BYTES, 7)):
        with pytest.raises(TypeError, match="argument is"):
            abi.encode((kind,), (value,))


def test_networks_and_amounts() -> None:
    assert network(1030) == "Conflux eSpace (1030)"
    assert network(71).startswith("Conflux eSpace Testnet")
    assert (amount(1, 15 * 10**17), amount(56, 1)) == ("1.5 ETH", "0.000000000000000001 BNB")
    assert (network(987654), amount(987654, 10**18)) == ("chain 987654", "1 coins of chain 987654")
    assert len({one.name for one in NETWORKS.values()}) == len(NETWORKS)
    assert [decimal(value, 3) for value in (0, 1, 10, 1000, 12340)] == ["0", "0.001", "0.01", "1", "12.34"]


@given(SEEDS, st.sampled_from([721, 1155]))
def test_nft_transfers(seed: int, standard: int) -> None:
    rng = Random(seed)
    owner, to, contract = account(rng), account(rng), account(rng)
    token_id, units = number(rng, 1 << 256), 1 if standard == 721 else number(rng, 1 << 256, 1)
    common: dict[str, Any] = {"standard": standard, "contract": contract, "token_id": token_id, "amount": units}
    common |= {"owner": owner, "to": to, "nonce": 7, "gas": 90_000, "max_fee": 5, "max_priority_fee": 1}
    transaction = evm.Transaction.decode(evm.nft_transfer(chain_id=1030, **common))
    core = conflux.Transaction.decode(conflux.nft_transfer(chain_id=1029, storage_limit=128, epoch_height=9, **common))
    for made, write in ((transaction, evm.checksum), (core, conflux.encode)):
        summary = made.summary()
        assert (made.to, summary.hidden) == (contract, ())
        assert str(token_id) in summary.title
        assert {("Contract", write(contract)), ("From", write(owner)), ("To", write(to))} <= set(summary.lines)
        assert (("Units", str(units)) in summary.lines) == (standard == 1155)


@pytest.mark.parametrize(
    ("standard", "token_id", "units"),
    [(721, 1, 2), (721, 1, 0), (1155, 1, 0), (1155, -1, 1), (721, 1 << 256, 1), (20, 1, 1)],
)
def test_nft_transfers_that_are_none(standard: int, token_id: int, units: int) -> None:
    with pytest.raises(ValueError, match=r"amount|token id|Standard"):
        calls.safe_transfer(Standard(standard), TO, TO, token_id, units)


def test_unlimited_permits() -> None:
    permit = {
        "types": {"Permit": [{"name": "spender", "type": "address"}, {"name": "value", "type": "uint256"}]},
        "primaryType": "Permit",
        "domain": {"name": "USD Coin", "chainId": 1},
        "message": {"spender": evm.checksum(TO), "value": str(2**256 - 1)},
    }
    from bsim.chains import typed_data

    summary = typed_data.decode(typed_data.from_json(permit)).summary()
    assert summary.title == "Sign Permit for USD Coin"
    assert ("value", f"UNLIMITED ({2**256 - 1})") in summary.lines


def test_families() -> None:
    codes = [0x01, 0x02, 0x03, 0x04, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15]
    assert list(FAMILIES) == codes
    assert len({family.name for family in FAMILIES.values()}) == len(codes)
    for code, family in FAMILIES.items():
        assert (family.code, bool(family.title), bool(family.algorithms)) == (code, True, True)
    assert FAMILIES[0x03].algorithms == {Algorithm.SM2, Algorithm.P256}
    assert FAMILIES[0x02].coin_types == {503}
