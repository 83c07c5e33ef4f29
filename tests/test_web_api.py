"""The HTTP API: cards, APDUs, OMAPI sessions, dialogues, faults and traces, over real connections."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from helpers import BPIN, ISSUER_AID, WALLET_AID
from web_client import DERIVE, SELECT, SIGN, VERIFY, Client, serving

import bsim
from bsim.lab.record import Recorder
from bsim.lab.targets import open_target
from bsim.links.web.operation import Operation
from bsim.links.web.parts import PARTS
from bsim.links.web.router import Part, Router
from bsim.ports import Card

pytest.importorskip("wsproto")


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with serving() as (_, client):
        yield client


def test_health_and_the_document(client: Client) -> None:
    assert client.get("/healthz")[1]["status"] == "ok"
    status, document = client.get("/v1/openapi.json")
    assert status == 200
    every = Router(PARTS).operations
    assert sum(len(methods) for methods in document["paths"].values()) == len(every) + 1  # and the page


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.paths[0])
def test_a_part_is_found_by_its_paths_alone(part: Part) -> None:
    for operation in part.load():
        path = operation.path.replace("{", "").replace("}", "")
        assert Router(PARTS).find(operation.method, path)[0].name == operation.name


def test_a_part_that_could_not_be_loaded_is_tried_again() -> None:
    whole, faults = PARTS[0], [OSError("too many open files")]

    def load() -> Sequence[Operation]:
        if faults:
            raise faults.pop()
        return whole.load()

    router, operation = Router([Part(whole.paths, load)]), whole.load()[0]
    path = operation.path.replace("{", "").replace("}", "")
    with pytest.raises(OSError, match="too many open files"):
        router.find(operation.method, path)
    assert router.find(operation.method, path)[0].name == operation.name


def test_a_card_is_made_listed_and_deleted(client: Client) -> None:
    card = client.card(name="mine", profile="strict", handset="none")
    found = client.get(card)[1]
    assert (found["name"], found["profile"], found["handset"]) == ("mine", "strict", "none")
    assert found in client.get("/v1/cards")[1]["cards"]
    assert client.call("DELETE", card)[0] == 204
    assert client.get(card)[0] == 404


@pytest.mark.parametrize(
    "options",
    [{"profile": "other"}, {"mnemonic": "no words"}, {"blank": True}, {"bpin": "12"}, {"handset": "??"}, {"more": 1}],
    ids=str,
)
def test_a_card_that_cannot_be_is_refused(client: Client, options: dict[str, object]) -> None:
    status, answer = client.post("/v1/cards", {"mnemonic": "test " * 11 + "junk", **options})
    assert status in {400, 409}
    assert "junk" not in str(answer)


def test_an_app_signs_while_the_user_types(client: Client) -> None:
    card = client.card()
    client.apdu(card, SELECT)
    client.apdu(card, DERIVE)
    assert client.apdu(card, VERIFY) == "9000"
    assert client.apdu(card, SIGN) == "6982"
    (dialogue,) = client.get(f"{card}/dialogues")[1]["dialogues"]
    assert (dialogue["kind"], dialogue["hidden"]) == ("GET_INPUT", True)
    assert client.done(f"{card}/dialogues/{dialogue['id']}", {"text": BPIN}) == {"dialogues": []}
    assert client.apdu(card, SIGN).endswith("9000")
    events = client.get(f"{card}/trace")[1]["events"]
    assert [event["sw"] for event in events if event.get("name") == "SIGN"] == ["6982", "9000"]
    assert BPIN not in str(events)


def test_what_a_dialogue_does_not_offer_is_refused(client: Client) -> None:
    card = client.card()
    client.apdu(card, SELECT)
    client.apdu(card, VERIFY)
    path = f"{card}/dialogues/1"
    assert client.post(path, {"action": "yes"})[0] == 409
    assert client.post(path, {"text": "12"})[0] == 409
    assert client.post(path, {})[0] == 409
    assert client.post(f"{card}/dialogues/9", {"action": "cancel"})[0] == 404
    assert client.done(path, {"action": "cancel"}) == {"dialogues": []}
    assert client.post(path, {"action": "cancel"})[0] == 404


def test_a_wrong_bpin_is_told_with_the_tries_left(client: Client) -> None:
    card = client.card()
    client.apdu(card, SELECT)
    client.apdu(card, VERIFY)
    (again,) = client.done(f"{card}/dialogues/1", {"text": "000000"})["dialogues"]
    assert "9" in again["text"]


def test_a_phone_gives_up_by_itself() -> None:
    with serving(approval_seconds=0.05) as (_, client):
        card = client.card()
        client.apdu(card, SELECT)
        client.apdu(card, VERIFY)
        while client.get(f"{card}/dialogues")[1]["dialogues"]:
            pass
        closed = [event for event in client.get(f"{card}/trace")[1]["events"] if event.get("state") == "closed"]
        assert [event["result"] for event in closed] == ["NO_RESPONSE_FROM_USER"]
        assert client.apdu(card, VERIFY) == "9000"


def test_a_script_takes_over_and_gives_back(client: Client) -> None:
    card = client.card()
    client.apdu(card, SELECT)
    client.apdu(card, DERIVE)
    client.apdu(card, VERIFY)
    assert client.call("PUT", f"{card}/script", {"script": "right"}) == (200, {"scripted": True})
    assert client.get(f"{card}/dialogues")[1] == {"dialogues": []}
    assert client.apdu(card, SIGN).endswith("9000")
    assert client.call("PUT", f"{card}/script", {"script": None}) == (200, {"scripted": False})
    assert client.call("PUT", f"{card}/script", {"script": "maybe"})[0] == 409


def test_hex_in_hex_out(client: Client) -> None:
    card = client.card()
    status, headers, body = client.raw("POST", f"{card}/apdu", SELECT.encode(), Content_Type="text/plain")
    assert (status, body[-5:]) == (200, b"9000\n")
    assert headers["content-type"].startswith("text/plain")
    spaced = b" ".join(SELECT.encode()[at : at + 2] for at in range(0, len(SELECT), 2)) + b"\r\n"
    assert client.raw("POST", f"{card}/apdu", spaced, Content_Type="text/plain")[2] == body
    for wrong in (b"xyz", b"00A", b"0 0A4", b"  ", b"00A4\xff", b"00" * 100_001):
        assert client.raw("POST", f"{card}/apdu", wrong, Content_Type="text/plain")[0] == 400
    assert client.raw("POST", f"{card}/apdu", b"{}", Content_Type="text/html")[0] == 415


def test_tpdus_show_61xx(client: Client) -> None:
    card = client.card()
    waiting = client.apdu(card, SELECT, "tpdu")
    assert waiting[:2] == "61"
    assert client.apdu(card, f"00C00000{waiting[2:]}", "tpdu").endswith("9000")


def test_snapshot_restore_and_fork(client: Client) -> None:
    card = client.card()
    client.apdu(card, SELECT)
    client.done(f"{card}/snapshots", {"name": "empty"}, 201)
    client.apdu(card, DERIVE)
    fork = client.done(f"{card}/fork", {"name": "twin"}, 201)
    client.done(f"{card}/restore", {"name": "empty"})
    assert client.get(f"{card}/state")[1]["slots"] == []
    (slot,) = client.get(f"/v1/cards/{fork['id']}/state")[1]["slots"]
    assert slot["address"] == "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    assert client.get(f"{card}/snapshots")[1] == {"snapshots": ["empty"]}
    assert client.post(f"{card}/restore", {"name": "other"})[0] == 409


def test_power_and_removal(client: Client) -> None:
    card = client.card()
    assert client.done(f"{card}/power", {"on": False})["power"] == "off"
    assert client.post(f"{card}/apdu", {"apdu": SELECT})[0] == 409
    assert client.get(f"{card}/state")[0] == 409
    assert client.done(f"{card}/power", {"on": True})["power"] == "on"
    assert client.done(f"{card}/remove")["power"] == "removed"
    status, answer = client.post(f"{card}/apdu", {"apdu": SELECT})
    assert (status, answer["error"]["type"]) == (409, "CardRemoved")
    assert client.done(f"{card}/insert")["power"] == "on"
    assert client.apdu(card, SELECT).endswith("9000")
    assert client.done(f"{card}/reset")["atr"].startswith("3B")


def test_faults_come_and_go(client: Client) -> None:
    card = client.card()
    client.apdu(card, SELECT)
    number = client.done(f"{card}/faults", {"rule": "on DERIVE_KEY answer 6A84"}, 201)["id"]
    assert client.apdu(card, DERIVE) == "6A84"
    (rule,) = client.get(f"{card}/faults")[1]["faults"]
    assert (rule["fired"], rule["rule"]) == (1, "on DERIVE_KEY answer 6A84")
    assert client.call("DELETE", f"{card}/faults/{number}")[0] == 204
    assert client.call("DELETE", f"{card}/faults/{number}")[0] == 404
    assert client.apdu(card, DERIVE) == "9000"
    assert client.post(f"{card}/faults", {"rule": "now and then"})[0] == 409
    client.done(f"{card}/faults", {"rule": "on DERIVE_KEY remove-card"}, 201)
    assert client.post(f"{card}/apdu", {"apdu": DERIVE})[1]["error"]["type"] == "CardRemoved"


def test_a_slow_card_keeps_nobody_else_waiting(client: Client) -> None:
    slow, quick = client.card(), client.card()
    client.done(f"{slow}/faults", {"rule": "on * delay 60s"}, 201)
    other = Client(f"http://{client.connection.host}:{client.connection.port}")
    other.connection.request("POST", f"{slow}/apdu", f'{{"apdu":"{SELECT}"}}', {"Content-Type": "application/json"})
    assert client.apdu(quick, SELECT).endswith("9000")
    other.close()


def test_the_trace_is_paged(client: Client) -> None:
    card = client.card()
    for _ in range(5):
        client.apdu(card, SELECT)
    all_events = client.get(f"{card}/trace")[1]
    assert all_events["last"] == len(all_events["events"]) == 6
    assert [event["n"] for event in client.get(f"{card}/trace?after=3&limit=2")[1]["events"]] == [5, 6]
    assert client.get(f"{card}/trace?limit=x")[0] == 400
    assert client.get(f"{card}/trace?{'&'.join(['limit=1'] * 21)}")[0] == 400
    assert client.get(f"{card}/trace?other=1")[0] == 400
    assert client.call("DELETE", f"{card}/trace")[0] == 204
    assert client.get(f"{card}/trace")[1]["events"] == []


def test_omapi_as_android_does_it() -> None:
    with serving() as (_, client):
        status, answer = client.post("/v1/sessions", {"reader": "SIM1"})
        assert (status, answer["error"]["type"]) == (409, "IOException")
        card = client.card()
        readers = client.get("/v1/readers")[1]["readers"]
        assert [(one["name"], one["present"]) for one in readers] == [("SIM1", True), ("SIM2", False)]
        session = client.done("/v1/sessions", {"reader": "SIM1"}, 201)
        path = f"/v1/sessions/{session['session']}"
        opened = client.done(f"{path}/channels", {"aid": WALLET_AID.hex()}, 201)
        assert (opened["channel"], opened["select_response"][-4:]) == (1, "9000")
        transmit = f"{path}/channels/1/transmit"
        assert client.done(transmit, {"apdu": "00CA000002"})["response"] == "00519000"
        assert client.done(transmit, {"apdu": "00CA000001"})["response"] == "00519000"  # 6C02 is resolved
        for command, thrown in (
            ("00A4040000", "SecurityException"),
            ("0070000001", "SecurityException"),
            ("00CA", "IllegalArgumentException"),
            ("FFCA000002", "IllegalArgumentException"),
            ("0061000000", "IllegalArgumentException"),
        ):
            assert client.post(transmit, {"apdu": command})[1]["error"]["type"] == thrown
        assert client.done(f"{path}/channels/1/select-next")["selected"] is False
        assert client.get(path)[1]["channels"] == [1]
        client.done(f"{card}/reset")
        assert client.post(transmit, {"apdu": "00CA000002"})[1]["error"]["type"] == "IllegalStateException"
        assert client.call("DELETE", path)[0] == 204
        assert client.get(path)[0] == 404


def test_omapi_refusals(client: Client) -> None:
    card = client.card()
    number = card.rpartition("/")[2]
    session = client.done("/v1/sessions", {"card": number, "refuse": [ISSUER_AID.hex()]}, 201)["session"]
    channels = f"/v1/sessions/{session}/channels"
    for body, status, thrown in (
        ({"aid": "A0000000000000"}, 404, "NoSuchElementException"),
        ({"aid": "A000"}, 409, "IllegalArgumentException"),
        ({"aid": WALLET_AID.hex(), "p2": 1}, 409, "UnsupportedOperationException"),
        ({"aid": ISSUER_AID.hex()}, 403, "SecurityException"),
    ):
        found, answer = client.post(channels, body)
        assert (found, answer["error"]["type"]) == (status, thrown)
    assert client.done(channels, {"basic": True}, 201)["channel"] is None
    numbers = [client.done(channels, {"aid": WALLET_AID.hex()}, 201)["channel"] for _ in range(20)]
    assert numbers == [*range(1, 20), None]  # the card has 20 channels, and 6881 for the next
    assert client.call("DELETE", f"{channels}/7")[0] == 204
    assert client.done(channels, {"aid": WALLET_AID.hex()}, 201)["channel"] == 7


def test_other_links_share_a_card(client: Client) -> None:
    with serving() as (server, _):
        hosted = server.rack.make(handset="right")
        card: Card = hosted.link
        assert card.reset() == hosted.atr
        assert card.transmit(bytes.fromhex(SELECT))[-2:] == b"\x90\x00"
        with pytest.raises(ValueError, match="six digits"):
            server.rack.make(bpin="1")


def test_digits_of_a_script_are_not_shown(client: Client) -> None:
    card = client.card(handset="wrong,123456@1s")
    assert client.get(card)[1]["handset"] == "wrong,digits"


def test_a_card_that_goes_takes_its_sessions_along(client: Client) -> None:
    card = client.card()
    session = client.done("/v1/sessions", {"card": card.rpartition("/")[2]}, 201)["session"]
    status, headers, body = client.raw("DELETE", card)
    assert (status, body) == (204, b"")
    assert "content-length" not in headers
    assert client.get(f"/v1/sessions/{session}")[0] == 404


def test_a_slow_phone_gives_up_too() -> None:
    with serving(approval_seconds=0.05) as (_, client):
        card = client.card()
        client.apdu(card, SELECT)
        client.done(
            f"{card}/faults", {"rule": "on SIGN mute"}, 201
        )  # a card with rules is never waited for in the loop
        client.apdu(card, VERIFY)
        while client.get(f"{card}/dialogues")[1]["dialogues"]:
            pass


def test_a_recording_is_left_to_its_app(tmp_path: Path) -> None:
    trace = tmp_path / "run.bsimtrace"
    with Recorder(bsim.new_card(), trace) as recorder:
        recorder.reset()
        recorder.transmit(bytes.fromhex(SELECT))
    with serving() as (server, client):
        server.rack.add(
            lambda phone: phone(open_target(f"replay:{trace}")), target=f"replay:{trace}", handset="none", quick=False
        )
        assert client.get("/v1/cards/1/state")[1]["slots"] == []
        assert client.apdu("/v1/cards/1", SELECT).endswith("9000")
        status, answer = client.post("/v1/cards/1/apdu", {"apdu": DERIVE})
        assert (status, answer["error"]["type"]) == (409, "ReplayError")


def test_a_slot_of_the_phone_has_one_card() -> None:
    with serving() as (_, client):
        assert client.post("/v1/cards", {"reader": "SIM2", "mnemonic": "no words"})[0] == 409
        client.card(reader="SIM2")
        assert client.post("/v1/cards", {"reader": "SIM2"})[1]["error"]["type"] == "ReaderTaken"
        assert [client.get(client.card())[1]["reader"] for _ in range(2)] == ["SIM1", None]
        assert client.call("DELETE", "/v1/cards/1")[0] == 204
        assert client.get(client.card())[1]["reader"] == "SIM2"
