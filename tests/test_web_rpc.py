"""The JSON-RPC signer: what it signs is verified by libraries that did not make it; refusals as EIP-1193 has them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import BPIN
from web_client import DERIVE, SELECT, Client, serving

pytest.importorskip("wsproto")
ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
TRANSFER = {
    "from": ADDRESS,
    "to": "0x3535353535353535353535353535353535353535",
    "value": "0xde0b6b3a7640000",
    "gas": "0x5208",
    "nonce": "0x0",
    "maxFeePerGas": "0x4a817c800",
    "maxPriorityFeePerGas": "0x1",
    "type": "0x2",
}
TYPED: dict[str, Any] = {
    "types": {"EIP712Domain": [{"name": "name", "type": "string"}], "Note": [{"name": "text", "type": "string"}]},
    "primaryType": "Note",
    "domain": {"name": "Test"},
    "message": {"text": "hello"},
}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with serving() as (_, client):
        yield client


@pytest.fixture(scope="module")
def card(client: Client) -> str:
    return _with_keys(client, handset="right")


def _with_keys(client: Client, **options: object) -> str:
    card = client.card(**options)
    client.apdu(card, SELECT)
    client.apdu(card, DERIVE)
    client.apdu(card, "80A8000205000001F701")
    return card


def rpc(client: Client, card: str, method: str, *params: object) -> Any:
    answer = client.done(f"{card}/rpc", {"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
    assert answer["id"] == 7
    return answer["result"] if "result" in answer else answer["error"]


def test_accounts_and_chains(client: Client, card: str) -> None:
    assert rpc(client, card, "eth_accounts") == [ADDRESS]
    assert rpc(client, card, "cfx_accounts")[0].startswith("cfx:")
    assert rpc(client, card, "eth_chainId") == "0x1"
    assert rpc(client, card, "wallet_switchEthereumChain", {"chainId": "0x47"}) is None
    assert (rpc(client, card, "eth_chainId"), rpc(client, card, "net_version")) == ("0x47", "71")
    rpc(client, card, "wallet_switchEthereumChain", {"chainId": "0x1"})


def test_messages_are_signed_for_their_address(client: Client, card: str) -> None:
    account = pytest.importorskip("eth_account").Account
    messages = pytest.importorskip("eth_account.messages")
    for message, text in (("0xhello", "0xhello"), ("0x123", "0x123"), ("0x68656c6c6f", "hello"), ("hello", "hello")):
        signature = rpc(client, card, "personal_sign", message, ADDRESS.lower())
        assert account.recover_message(messages.encode_defunct(text=text), signature=signature) == ADDRESS
    assert rpc(client, card, "eth_sign", ADDRESS, "0x68656c6c6f") == signature


def test_typed_data_is_signed_as_object_and_as_text(client: Client, card: str) -> None:
    account = pytest.importorskip("eth_account").Account
    messages = pytest.importorskip("eth_account.messages")
    one = rpc(client, card, "eth_signTypedData_v4", ADDRESS, TYPED)
    assert rpc(client, card, "eth_signTypedData_v4", ADDRESS, json.dumps(TYPED)) == one
    assert account.recover_message(messages.encode_typed_data(full_message=TYPED), signature=one) == ADDRESS


def test_transactions_are_signed_for_their_chain(client: Client, card: str) -> None:
    account = pytest.importorskip("eth_account").Account
    raw = rpc(client, card, "eth_signTransaction", {**TRANSFER, "chainId": "0x406"})
    assert account.recover_transaction(raw) == ADDRESS
    assert rpc(client, card, "eth_signTransaction", TRANSFER) != raw


def test_conflux_signs_in_its_own_form(client: Client, card: str) -> None:
    (address,) = rpc(client, card, "cfx_accounts")
    transaction = {
        "from": address,
        "to": address,
        "value": "0x1",
        "gas": "0x5208",
        "gasPrice": "0x1",
        "nonce": "0x0",
        "storageLimit": "0x0",
        "epochHeight": "0x1",
        "chainId": "0x405",
        "data": "0x",
    }
    assert rpc(client, card, "cfx_signTransaction", transaction).startswith("0x")
    message = rpc(client, card, "cfx_sign", address, "0x68656c6c6f")
    assert message == rpc(client, card, "personal_sign", "0x68656c6c6f", address)
    assert message != rpc(client, card, "personal_sign", "0x68656c6c6f", ADDRESS)


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("eth_nothing", [], -32601),
        ("eth_sign", [], -32602),
        ("eth_sign", ["0x12", "0x00"], -32602),
        ("eth_sign", ["0x" + "11" * 20, "0x00"], 4100),
        ("eth_sign", [ADDRESS, ""], -32602),
        ("eth_signTransaction", [{**TRANSFER, "value": "one"}], -32602),
        ("eth_signTransaction", [{**TRANSFER, "more": 1}], -32602),
        ("eth_signTransaction", [7], -32602),
        ("eth_sendTransaction", [TRANSFER], 4200),
        ("eth_signTypedData_v4", [ADDRESS, "{"], -32602),
        ("wallet_switchEthereumChain", [{"chainId": "no"}], -32602),
    ],
    ids=str,
)
def test_refusals(client: Client, card: str, method: str, params: list[object], code: int) -> None:
    assert rpc(client, card, method, *params)["code"] == code


def test_batches_notifications_and_what_is_neither(client: Client, card: str) -> None:
    call = {"jsonrpc": "2.0", "id": "a", "method": "eth_chainId"}
    quiet = {"jsonrpc": "2.0", "method": "eth_chainId"}
    (answer,) = client.done(f"{card}/rpc", [call, quiet])
    assert answer == {"jsonrpc": "2.0", "id": "a", "result": "0x1"}
    assert client.post(f"{card}/rpc", quiet) == (204, None)
    assert client.done(f"{card}/rpc", [7])[0]["error"]["code"] == -32600
    assert client.post(f"{card}/rpc", [])[0] == 400


def test_the_user_decides() -> None:
    with serving() as (_, client):
        card = _with_keys(client)
        other = Client(f"http://{client.connection.host}:{client.connection.port}")
        for answers, outcome in (("yes", str), ("no", 4001), ("cancel", 4001)):
            other.connection.request(
                "POST",
                "/",  # the first card, at the root
                json.dumps({"id": 1, "method": "eth_signTransaction", "params": [TRANSFER]}),
                {"Content-Type": "application/json"},
            )
            _answer(client, card, answers)
            answer = json.loads(other.connection.getresponse().read())
            if outcome is str:
                assert answer["result"].startswith("0x02")
            else:
                assert answer["error"]["code"] == outcome
        other.close()


def _answer(client: Client, card: str, last: str) -> None:
    """Type the BPIN, read every page, and answer the last."""
    while True:
        for dialogue in client.get(f"{card}/dialogues")[1]["dialogues"]:
            path = f"{card}/dialogues/{dialogue['id']}"
            if dialogue["kind"] == "GET_INKEY":
                client.done(path, {"action": last})
                return
            client.done(path, {"text": BPIN} if dialogue["kind"] == "GET_INPUT" else {"action": "ok"})


def test_a_strict_card_says_that_it_cannot(client: Client) -> None:
    card = _with_keys(client, profile="strict", handset="right")
    assert rpc(client, card, "personal_sign", "0x01", ADDRESS)["code"] == 4200


def test_web3py_gets_the_form_of_geth(client: Client, card: str) -> None:
    body = {"id": 1, "method": "eth_signTransaction", "params": [TRANSFER]}
    answer = client.post(f"{card}/rpc", body, User_Agent="web3.py/7.0")[1]
    assert answer["result"]["raw"].startswith("0x02")


def test_the_gallery(client: Client, card: str) -> None:
    assert client.get(f"{card}/assets")[1] == {"assets": []}
    state = client.get(f"{card}/state")[1]
    assert (state["life_cycle"], state["tries"], state["assets"], len(state["slots"])) == ("personalised", 10, 0, 2)
