"""Snapshots, forks, ready-made awkward cards, and what each state of a card's life allows."""

import json
import os
import stat

import pytest
from helpers import MNEMONIC

import bsim
import bsim.cli
import bsim.client
from bsim.cli.new import STATES as OFFERED
from bsim.lab.targets import TargetError
from bsim.profiles.states import STATES
from bsim.spec import spec, sw_matches
from bsim.store import StoreError

WALLET = spec().applets["wallet"]
SELECT = "00A4040C10A000000533C000FF860000000000054D"
# One well-formed command each; WRITE SESSION KEY and EXTERNAL AUTHENTICATE are refused for lack of a session elsewhere.
COMMANDS = {name: command.examples[0].command for name, command in WALLET.commands.items()}


def send(card, command):
    return card.transmit(bytes.fromhex(command))


def used(*, bpin="123456", handset="right", **options):
    """A card that was derived on and asked for its BPIN, as often as it takes to block it if the user is wrong."""
    card = bsim.new_card(bpin=bpin, handset=handset, **options)
    send(card, SELECT)
    send(card, "80A80002050000003C01")
    send(card, "807C000000")
    return card


CARDS = {
    "factory": [lambda: used(state="factory")],
    "recovery": [lambda: used(state="recovery")],
    "personalised": [used],
    "operational": [lambda: used(bpin="654321")],
    "blocked": [
        lambda: used(state="locked"),
        lambda: used(handset="wrong"),
        lambda: used(handset="wrong", blank=True),
        lambda: used(handset="wrong", bpin="654321", blank=True),
    ],
    "terminated": [lambda: used(state="terminated")],
}
# Refused in every state for want of a session, an asset or a payload that another command brings.
WANT_MORE = {
    "EXTERNAL_AUTHENTICATE": "6984",
    "WRITE_SESSION_KEY": "6982",
    "WALLET_EXTERNAL_AUTHENTICATE": "6985",
    "REMOVE_ASSET": "6A88",
    "GET_ASSET": "6A88",
    "TRANSFER_ASSET": "6A88",
    "GET_RESULT": "6985",
    "LOGIN": "6A80",  # the example is for the account of the test card's seed
    "GET_CERTIFICATE": "6300",  # more segments follow
}


@pytest.mark.parametrize("state", WALLET.life_cycle)
@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_state_refuses_is_what_the_declaration_says(state, name):
    answers = [make().transmit(COMMANDS[name])[-2:].hex().upper() for make in CARDS[state]]
    refused = WALLET.life_cycle[state].refuses.get(name)
    if refused:
        assert all(sw_matches(refused, int(sw, 16)) for sw in answers), answers
    else:
        assert WANT_MORE.get(name, "9000") in answers


def test_a_terminated_card_still_judges_class_instruction_and_parameters():
    card = used(state="terminated")
    answers = {command: card.transmit(bytes.fromhex(command)).hex() for command in ("A0AC0000", "80FF0000", "80AC0100")}
    assert list(answers.values()) == ["6e00", "6d00", "6a86"]
    assert card.transmit(bytes.fromhex("00CA000002")).hex() == "00519000"


def test_every_state_is_offered_and_an_unknown_one_is_named():
    assert set(OFFERED) == set(STATES)
    with pytest.raises(ValueError, match="no state 'odd'; there is factory"):
        bsim.new_card(state="odd")
    with pytest.raises(ValueError, match="has a seed"):
        bsim.new_card(state="locked", blank=True)
    with pytest.raises(ValueError, match="no mnemonic"):
        bsim.new_card(state="factory", mnemonic=MNEMONIC)


def test_one_try_left_is_one_try():
    card = bsim.new_card(state="one-try-left", handset="wrong")
    send(card, SELECT)
    assert card.transmit(bytes.fromhex("807C000000")).hex() == "9000"
    assert card.transmit(bytes.fromhex("807C000000")).hex() == "6983"


def test_a_full_card_takes_no_more_keys():
    wallet = bsim.Wallet(bsim.new_card(state="full-127"))
    assert len({account.public_key for account in wallet.accounts()}) == 127
    with pytest.raises(bsim.client.CardError) as refusal:
        wallet.derive(60)
    assert refusal.value.sw == 0x6A84


@pytest.fixture(params=["memory", "file"])
def card(request, tmp_path, monkeypatch):
    """A card with one key, in memory and in a file sealed under a passphrase."""
    monkeypatch.setenv("BSIM_PASSPHRASE", "correct horse")
    if request.param == "memory":
        made = bsim.new_card(mnemonic=MNEMONIC)
    else:
        assert bsim.cli.main(["new", str(tmp_path / "card.bsim"), "--mnemonic", MNEMONIC]) == 0
        made = bsim.open_card(str(tmp_path / "card.bsim"))
    bsim.Wallet(made).derive(60)
    yield made
    made.close()


def slots(card):
    return [account.coin_type for account in bsim.Wallet(card).accounts()]


def test_restore_goes_back_and_power_cycles(card):
    card.snapshot("before")
    wallet = bsim.Wallet(card)
    wallet.verify_bpin()
    wallet.derive(503)
    wallet.restore(b"Passw0rd", wallet.backup(b"Passw0rd"))
    assert slots(card) == []
    assert card.restore("before") == card.reset()
    assert slots(card) == [60]
    assert send(card, "80AC0000250000003C01" + "00" * 32) == b"\x69\x82"
    wallet = bsim.Wallet(card)
    wallet.verify_bpin()
    assert wallet.sign(60, 1, bytes(32))[0] == 0x30


def test_a_snapshot_can_be_used_often_and_replaced(card):
    card.snapshot("name")
    bsim.Wallet(card).derive(503)
    for _ in range(2):
        card.restore("name")
        assert slots(card) == [60]
    bsim.Wallet(card).derive(0)
    card.snapshot("name")
    bsim.Wallet(card).derive(501)
    card.restore("name")
    assert slots(card) == [60, 0]


def card_is_file(card):
    try:
        card.fork().close()
    except StoreError:
        return True
    return False


def test_a_fork_goes_its_own_way(card, tmp_path):
    fork = card.fork(tmp_path / "fork.bsim") if card_is_file(card) else card.fork()
    try:
        bsim.Wallet(fork).derive(503)
        bsim.Wallet(card).derive(0)
        assert (slots(fork), slots(card)) == ([60, 503], [60, 0])
    finally:
        fork.close()


@pytest.mark.parametrize("name", ["unknown", "../up", "", "a/b"])
def test_a_snapshot_that_is_not_there_changes_nothing(card, name):
    with pytest.raises(StoreError):
        card.restore(name)
    assert slots(card) == [60]


@pytest.fixture
def file_card(tmp_path, monkeypatch):
    monkeypatch.setenv("BSIM_PASSPHRASE", "correct horse")
    path = tmp_path / "card.bsim"
    assert bsim.cli.main(["new", str(path), "--mnemonic", MNEMONIC]) == 0
    card = bsim.open_card(str(path))
    yield card
    card.close()


def test_a_snapshot_of_a_file_is_a_card_file_of_its_own(file_card, tmp_path):
    bsim.Wallet(file_card).derive(60)
    file_card.snapshot("one")
    path = tmp_path / "card@one.bsim"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    bsim.Wallet(file_card).derive(503)
    copy = bsim.open_card(str(path))
    assert slots(copy) == [60]
    copy.close()


def test_a_snapshot_of_another_card_or_a_damaged_one_is_refused(file_card, tmp_path):
    file_card.snapshot("good")
    assert bsim.cli.main(["new", str(tmp_path / "other.bsim")]) == 0
    (tmp_path / "other.bsim").replace(tmp_path / "card@other.bsim")
    with pytest.raises(StoreError, match="another card"):
        file_card.restore("other")
    damaged = bytearray((tmp_path / "card@good.bsim").read_bytes())
    at = damaged.rindex(b"wallet.seed") + 20
    damaged[at] ^= 1
    (tmp_path / "card@bad.bsim").write_bytes(damaged)
    with pytest.raises(StoreError):
        file_card.restore("bad")
    assert slots(file_card) == []


def test_a_fork_never_overwrites(file_card, tmp_path):
    (tmp_path / "there.bsim").write_bytes(b"something")
    with pytest.raises(StoreError, match="exists already"):
        file_card.fork(tmp_path / "there.bsim")
    assert (tmp_path / "there.bsim").read_bytes() == b"something"
    with pytest.raises(StoreError, match="name one"):
        file_card.fork()


def test_new_makes_ready_made_cards(tmp_path, monkeypatch):
    monkeypatch.setenv("BSIM_PASSPHRASE", "correct horse")
    for name in STATES:
        path = str(tmp_path / f"{name}.bsim")
        assert bsim.cli.main(["new", path, "--state", name]) == 0
        bsim.open_card(path).close()
    with pytest.raises(TargetError, match="no such card"):
        bsim.open_card(str(tmp_path / "none.bsim"))


def answers(capsys):
    return json.loads(capsys.readouterr().out)


def test_the_ends_of_a_cards_life(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BSIM_PASSPHRASE", "correct horse")
    path = str(tmp_path / "card.bsim")
    run = bsim.cli.main
    assert run(["new", path, "--state", "full-127", "--bpin", "654321"]) == 0
    assert run(["card", "snapshot", path, "full"]) == 0
    assert run(["card", "factory-reset", path]) == 2
    assert "cannot be undone" in capsys.readouterr().err
    assert run(["card", "factory-reset", path, "--yes"]) == 0
    capsys.readouterr()
    assert run(["card", "info", path, "--json"]) == 0
    emptied = answers(capsys)
    assert (emptied["life_cycle"], emptied["slots"], emptied["seeded"]) == ("factory", 0, False)
    assert run(["card", "terminate", path, "--yes", "--json"]) == 0
    assert answers(capsys)["done"] == "terminate"
    card = bsim.open_card(path)
    send(card, SELECT)
    assert [send(card, c).hex() for c in ("00CA000002", "80C8000000", "807C000000")] == ["00519000", "6985", "6985"]
    card.close()
    assert run(["card", "factory-reset", path, "--yes"]) == 2
    assert "stays so" in capsys.readouterr().err
    card = bsim.open_card(path)
    card.restore("full")
    assert len(slots(card)) == 127
    card.close()
    assert run(["card", "restore", path, "never"]) == 2
    assert "no snapshot" in capsys.readouterr().err
