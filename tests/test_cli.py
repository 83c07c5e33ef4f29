"""The command line: what it prints, what it answers, what it never tells."""

import errno
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from helpers import BPIN, MNEMONIC, running

from bsim import __version__
from bsim.cli import VERBS, main
from bsim.cli.phone import WatchedUser
from bsim.crypto import ecdsa
from bsim.handset import ScriptedUser

KEY2 = "Kr3uzberg"
DIGEST = "9c" * 32
NEW_BPIN = "604289"
RUN = '{"format": "bsim-backup-1", "ciphertext": "00", "runs": [{"coin_type": 60, "algorithm": "x", "count": 1}]}'
# Account 1 of the test mnemonic, as Hardhat's documentation prints it.
ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
OTHER = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
COLUMNS = 100
TX = {
    "chainId": 1030,
    "nonce": "0x3",
    "maxPriorityFeePerGas": 1,
    "maxFeePerGas": 100,
    "gas": 21000,
    "to": ADDRESS,
    "value": "12",
}


class Said:
    """How a command line ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)


def assert_no_secret(text: str) -> None:
    """Look for every secret as text and as hex. Six digits may stand in any hex by chance, but not alone."""
    for word in (MNEMONIC, NEW_BPIN, KEY2):
        assert re.search(rf"(?<![0-9A-Fa-f]){word}(?![0-9A-Fa-f])", text) is None
    for word in (MNEMONIC, BPIN, NEW_BPIN, KEY2):
        assert word.encode().hex() not in text.lower()


@pytest.fixture
def bsim(capsys, monkeypatch):
    """Runs command lines in this process, and looks for secrets in all they say."""
    monkeypatch.delenv("BSIM_KEY2", raising=False)

    def run(*words: str, code: int | None = 0, stdin: str = "", secret: bool = False) -> Said:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        ended = main(words)
        out, err = capsys.readouterr()
        said = Said(ended, out, err)
        assert code in {None, ended}, err
        assert "Traceback" not in err
        if code:
            assert err.startswith(("bsim: ", "usage: "))
        if not secret:
            assert_no_secret(out + err)
        return said

    return run


@pytest.fixture
def card(bsim, tmp_path) -> str:
    path = str(tmp_path / "card.bsim")
    bsim("new", path, "--mnemonic", "-", stdin=MNEMONIC)
    return path


@pytest.fixture
def keyed(bsim, card) -> str:
    for coin in ("ethereum", "sol", "503"):
        bsim("wallet", "derive", coin, "--on", card)
    return card


def _blank(bsim, tmp_path) -> str:
    path = str(tmp_path / "blank.bsim")
    bsim("new", path, "--blank")
    return path


# --- the frame ---------------------------------------------------------------------------------------------------


def test_version_and_help(bsim):
    assert bsim("--version").out == f"bsim {__version__}\n"
    assert all(verb in bsim("--help").out for verb in VERBS)
    assert "VERB" in bsim(code=2).err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_examples(bsim, verb):
    said = bsim(verb, "--help")
    assert "examples:" in said.out
    assert f"bsim {verb}" in said.out.partition("examples:")[2]


@pytest.mark.parametrize("verb", VERBS)
def test_epilogues_fit_a_terminal(bsim, verb):
    from importlib import import_module

    wide = [
        line
        for line in import_module(f"bsim.cli.{verb.replace('-', '_')}").EXAMPLES.splitlines()
        if len(line) > COLUMNS
    ]
    assert wide == []
    usage = bsim("--help").out.partition("a TARGET is")[2]
    assert [line for line in usage.splitlines() if len(line) > COLUMNS] == []


@pytest.mark.parametrize("what", ["accounts", "derive", "sign", "bpin", "backup", "restore", "version", "iccid"])
def test_every_wallet_verb_has_help_with_examples(bsim, what):
    assert f"bsim wallet {what}" in bsim("wallet", what, "--help", secret=True).out


def test_wrong_usage(bsim):
    assert "invalid choice" in bsim("nonsense", code=2).err
    assert "WHAT" in bsim("wallet", code=2).err
    assert "--on" in bsim("wallet", "accounts", code=2).err
    assert "unrecognized" in bsim("demo", "--nonsense", code=2).err


def test_an_interrupt_is_130(monkeypatch):
    def interrupted(_words):
        raise KeyboardInterrupt

    monkeypatch.setattr("bsim.cli._run", interrupted)
    assert main(["spec"]) == 130


def test_a_bug_is_not_hidden(monkeypatch):
    def broken(_words):
        raise ZeroDivisionError

    monkeypatch.setattr("bsim.cli._run", broken)
    with pytest.raises(ZeroDivisionError):
        main(["spec"])


# --- new ---------------------------------------------------------------------------------------------------------


def test_new_makes_a_card_and_never_overwrites(bsim, tmp_path):
    path = tmp_path / "a.bsim"
    said = bsim("new", str(path))
    assert "ICCID 898603" in said.out
    assert "not to hold real funds" in said.err
    assert "sealed under the key file" in said.err
    assert path.stat().st_mode & 0o077 == 0
    before = path.read_bytes()
    assert "never overwritten" in bsim("new", str(path), code=2).err
    assert path.read_bytes() == before


def test_new_as_json(bsim, tmp_path):
    made = bsim("new", str(tmp_path / "a.bsim"), "--blank", "--profile", "strict", "--json").json
    assert made["profile"] == "strict"
    assert made["seeded"] is False
    assert len(made["iccid"]) == 19


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--mnemonic", "abandon abandon"], "12, 15, 18, 21 or 24 words"),
        (["--mnemonic", MNEMONIC.replace("junk", "zoo")], "checksum"),
        (["--bpin", "12345"], "six digits"),
        (["--profile", "other"], "strict, extended"),
        (["--mnemonic", "x", "--blank"], "not allowed with"),
    ],
)
def test_new_refuses_what_cannot_be(bsim, tmp_path, words, reason):
    assert reason in bsim("new", str(tmp_path / "a.bsim"), *words, code=2).err
    assert list(tmp_path.iterdir()) == []


def test_new_wants_a_card_file_that_can_be_made(bsim, tmp_path):
    assert "FILE.bsim" in bsim("new", str(tmp_path / "card.db"), code=2).err
    assert "cannot be made" in bsim("new", str(tmp_path / "no" / "card.bsim"), code=2).err


# --- wallet ------------------------------------------------------------------------------------------------------


def test_keys(bsim, card):
    assert "no keys yet" in bsim("wallet", "accounts", "--on", card).out
    made = bsim("wallet", "derive", "ethereum", "--on", card, "--json").json
    assert (made["slot"], made["address"], made["algorithm"]) == (1, ADDRESS, "secp256k1")
    assert bsim("wallet", "derive", "solana", "--on", card, "--json").json["algorithm"] == "ed25519"
    bsim("wallet", "derive", "solana", "--algorithm", "secp256k1", "--on", card)
    listed = bsim("wallet", "accounts", "--on", card, "--json").json
    assert [(one["coin_type"], one["algorithm"]) for one in listed] == [
        (60, "secp256k1"),
        (501, "ed25519"),
        (501, "secp256k1"),
    ]
    assert ADDRESS in bsim("wallet", "accounts", "--on", card).out
    assert "SLIP-44" in bsim("wallet", "derive", "gold", "--on", card, code=2).err
    assert "below 2^31" in bsim("wallet", "derive", str(2**31), "--on", card, code=2).err


def test_sign(bsim, keyed):
    said = bsim("wallet", "sign", "--slot", "1", "--on", keyed, f"0x{DIGEST}", "--json").json
    assert said["verified"] is True
    assert said["signature"].startswith("30")
    assert said["recovery_id"] in {0, 1}
    assert bsim("wallet", "sign", "--slot", "2", "--on", keyed, "6869", "--json").json["verified"] is True
    assert "recovery_id" in bsim("wallet", "sign", "--slot", "1", "--coin", "eth", "--on", keyed, DIGEST).out


def test_what_sign_refuses(bsim, keyed):
    def refused(*words: str, code: int) -> str:
        return bsim("wallet", "sign", "--on", keyed, *words, code=code).err

    assert "slots 1 to 3" in refused("--slot", "9", DIGEST, code=2)
    assert "not hexadecimal" in refused("--slot", "1", "xyz", code=2)
    assert "32 bytes" in refused("--slot", "1", "aabb", code=2)
    assert "6A88" in refused("--slot", "1", "--coin", "cfx", DIGEST, code=1)
    assert "--handset ask" in refused("--slot", "1", "--handset", "none", DIGEST, code=1)
    assert "9 tries left" in refused("--slot", "1", "--bpin", "000000", DIGEST, code=1)
    assert "BPIN was not verified" in refused("--slot", "1", "--handset", "cancel", DIGEST, code=1)
    assert "six digits" in refused("--slot", "1", "--bpin", "1", DIGEST, code=2)
    assert "right, wrong, yes, no, cancel" in refused("--slot", "1", "--handset", "maybe", DIGEST, code=2)
    assert "terminal" in refused("--slot", "1", "--handset", "ask", DIGEST, code=2)


def test_bpin(bsim, card):
    assert bsim("wallet", "bpin", "verify", "--on", card, "--json").json["verified"] is True
    assert "--new-bpin" in bsim("wallet", "bpin", "change", "--on", card, code=2).err
    assert "six digits" in bsim("wallet", "bpin", "change", "--new-bpin", "1", "--on", card, code=2).err
    said = bsim("wallet", "bpin", "change", "--new-bpin", NEW_BPIN, "--on", card)
    assert "phone: BPIN changed" in said.out
    assert "9 tries left" in bsim("wallet", "bpin", "verify", "--on", card, code=1).err
    assert bsim("wallet", "bpin", "verify", "--bpin", NEW_BPIN, "--on", card).out.endswith("is verified\n")
    assert "6985" in bsim("wallet", "bpin", "verify", "--handset", "none", "--on", card, code=1).err
    assert (
        "not changed"
        in bsim("wallet", "bpin", "change", "--new-bpin", BPIN, "--handset", "cancel", "--on", card, code=1).err
    )


def test_a_slow_user_is_waited_for(bsim, keyed, monkeypatch):
    slow = ("--handset", "right@300ms", "--on", keyed)
    monkeypatch.setattr("bsim.cli.phone.time.sleep", lambda _seconds: threading.Event().wait(0.35))
    said = bsim("wallet", "sign", "--slot", "1", *slow, DIGEST)
    assert "waiting" in said.err
    assert "changed" in bsim("wallet", "bpin", "change", "--new-bpin", NEW_BPIN, *slow).out


def test_who_gave_up_is_not_waited_for(bsim, keyed):
    slow = ("--handset", "cancel@10s", "--on", keyed)
    assert "given up" in bsim("wallet", "sign", "--slot", "1", *slow, DIGEST, code=1).err
    assert "not changed" in bsim("wallet", "bpin", "change", "--new-bpin", NEW_BPIN, *slow, code=1).err


def test_a_wrong_bpin_costs_one_try_and_a_blocked_card_says_so(bsim, card):
    for left in (9, 8):
        assert f"{left} tries left" in bsim("wallet", "bpin", "verify", "--bpin", "000000", "--on", card, code=1).err
    assert "blocked" in bsim("wallet", "bpin", "verify", "--handset", "wrong", "--on", card, code=1).err
    assert "6983" in bsim("wallet", "bpin", "verify", "--on", card, code=1).err


def test_a_script_on_a_real_card_types_once():
    class Dialogue:
        type, text, hidden = 0x23, "PIN?", True

    replies = []
    user = WatchedUser(ScriptedUser("right"), once=True)
    for _ in range(2):
        user.asked(Dialogue(), lambda reply, after=0.0: replies.append(reply.text))
    assert replies == [BPIN, None]


def test_version_and_iccid(bsim, card):
    assert bsim("wallet", "version", "--on", card).out == "0051\n"
    assert bsim("wallet", "iccid", "--on", card, "--json").json["iccid"].startswith("898603")


def test_backup_and_restore(bsim, keyed, tmp_path, monkeypatch):
    before = bsim("wallet", "accounts", "--on", keyed, "--json").json
    key2, file, other = tmp_path / "key2", tmp_path / "backup.json", str(tmp_path / "other.bsim")
    key2.write_text(KEY2 + "\n", encoding="utf-8")
    bsim("wallet", "backup", str(file), "--on", keyed, "--key2-file", str(key2))
    assert file.stat().st_mode & 0o077 == 0
    assert "never overwritten" in bsim("wallet", "backup", str(file), "--on", keyed, "--key2", KEY2, code=2).err
    bsim("new", other, "--blank")
    assert (
        "key2 is not this backup's"
        in bsim("wallet", "restore", str(file), "--on", other, "--key2", "wrong", code=1).err
    )
    monkeypatch.setenv("BSIM_KEY2", KEY2)
    assert bsim("wallet", "restore", str(file), "--on", other, "--json").json == before
    # A card that has a seed gives it up to whoever knows the BPIN, and to nobody else.
    assert "6982" in bsim("wallet", "restore", str(file), "--on", other, "--bpin", "000000", code=1).err
    assert bsim("wallet", "restore", "-", "--on", other, "--json", stdin=file.read_text()).json == before


def test_a_blank_card_is_restored_without_a_phone(bsim, keyed, tmp_path):
    made = bsim("wallet", "backup", "--on", keyed, "--key2", "-", stdin=KEY2 + "\n").out
    file, other = tmp_path / "backup.json", str(tmp_path / "other.bsim")
    file.write_text(made, encoding="utf-8")
    bsim("new", other, "--blank")
    words = ("wallet", "restore", str(file), "--on", other, "--key2", KEY2, "--handset", "none")
    assert ADDRESS in bsim(*words).out
    assert "6982" in bsim(*words, code=1).err


def test_where_key2_comes_from(bsim, card, tmp_path):
    def backup(*words: str, code: int = 0) -> Said:
        return bsim("wallet", "backup", "--on", card, *words, code=code)

    assert "BSIM_KEY2" in backup(code=2).err
    assert "cannot be read" in backup("--key2-file", str(tmp_path), code=2).err
    assert "1 to 255" in backup("--key2", "", code=2).err
    assert "Latin-1" in backup("--key2", "日本", code=2).err
    assert "8 characters" in backup("--key2", "weak").err
    assert "6A88" in bsim("wallet", "backup", "--on", _blank(bsim, tmp_path), "--key2", KEY2, code=1).err


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no json", "Expecting"),
        ("[]", "not a backup"),
        ('{"format": "bsim-backup-1", "ciphertext": "00"}', "runs is missing"),
        ('{"format": "bsim-backup-1", "ciphertext": 1, "runs": []}', "ciphertext: text"),
        ('{"format": "bsim-backup-1", "ciphertext": "zz", "runs": []}', "hexadecimal"),
        ('{"format": "bsim-backup-1", "ciphertext": "00", "runs": [1]}', ""),
        (RUN, "no algorithm x"),
        (RUN.replace('"x"', '"ed25519"').replace(": 1}", ": 1000}"), "1 to 127"),
        (RUN.replace('"x"', '"ed25519"').replace("60", "-1"), "below 2^31"),
    ],
)
def test_a_bad_backup_is_named(bsim, card, tmp_path, text, reason):
    file = tmp_path / "backup.json"
    file.write_text(text, encoding="utf-8")
    said = bsim("wallet", "restore", str(file), "--on", card, "--key2", KEY2, code=2)
    assert "backup.json: " in said.err
    assert reason in said.err


def test_a_target_that_is_none(bsim, tmp_path):
    for target, reason in {"x": "FILE.bsim", str(tmp_path / "x.bsim"): "bsim new"}.items():
        assert reason in bsim("wallet", "accounts", "--on", target, code=2).err


# --- apdu --------------------------------------------------------------------------------------------------------

SELECT = "00A4040010 A000000533C000FF860000000000054D"


def test_apdu_explains(bsim):
    said = bsim("apdu", SELECT, "80A80002 05 0000003C 01", "80C8000000")
    for words in ("DERIVE_KEY", "coin_type", "SECP256K1", "C2 public key", "the slot after the last is filled"):
        assert words in said.out
    assert "\x1b[" not in said.out


def test_apdu_from_stdin(bsim, card):
    text = f"# a comment\n\n{SELECT} # another\n00CA000002\nreset\n80F2000100\n"
    lines = bsim("apdu", "--on", card, "--raw", stdin=text).out.splitlines()
    assert lines[2:4] == ["> 00CA000002", "< 00519000"]
    assert lines[4].startswith("< 3B")
    assert lines[6] == "< 9000"
    assert "line 2" in bsim("apdu", stdin="00CA000002\nxx\n", code=2).err


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("807A 0006 313233343536 xx", "character 24 is a letter after F"),
        (" 0x00A4.0400", "character 8 is neither a digit nor a letter"),
        ("807A000006 60428\u0969", "character 17 is not ASCII"),
        ("807A00000660428", "an odd number of digits"),
    ],
)
def test_hex_that_is_none_is_not_repeated(bsim, text, where):
    for words, stdin, what in (([text], "", "argument 1"), ([], text.strip(), "line 1")):
        said = bsim("apdu", *words, stdin=stdin, code=2)
        assert what in said.err
        assert words == [] or where in said.err
        assert re.search(r"31323|60428", said.err) is None


def test_a_script_that_is_none_is_not_repeated(bsim):
    said = bsim("apdu", "00CA000002", "--handset", "right,60428 9", code=2)
    assert "handset script: entry 2 is none of" in said.err
    assert "6042" not in said.err


def test_apdu_as_json(bsim):
    lines = bsim("apdu", SELECT, "reset", "80AC00002500", "--json", code=None).out.splitlines()
    selected, reset, refused = map(json.loads, lines)
    assert (selected["name"], selected["sw"], selected["ok"]) == ("SELECT", "9000", True)
    assert reset["atr"].startswith("3B")
    assert (refused["name"], refused["ok"]) == ("SIGN", False)


def test_a_refusal_is_exit_code_1(bsim):
    assert "instruction not supported" in bsim("apdu", "80AA000000", code=None).out
    assert bsim("apdu", "80AA000000", code=None).code == 1
    assert "empty" in bsim("apdu", "", code=2).err


def test_apdu_masks_secrets(bsim):
    hexed = NEW_BPIN.encode().hex()
    for form in ([], ["--raw"], ["--json"]):
        said = bsim("apdu", SELECT, f"807A000006{hexed}", *form)
        assert "************" in said.out
    assert hexed in bsim("apdu", SELECT, f"807A000006{hexed}", "--show-secrets", secret=True).out
    assert KEY2.encode().hex().upper() not in bsim("apdu", SELECT, f"8074000109{KEY2.encode().hex()}", code=None).out


def test_apdu_with_a_phone_and_without(bsim):
    assert "< 9000" in bsim("apdu", SELECT, "807C000000").out
    assert "< 6985" in bsim("apdu", SELECT, "807C000000", "--handset", "none", code=None).out


# --- spec, readers, doctor ---------------------------------------------------------------------------------------


def test_spec(bsim):
    assert "EXPORT_PUBKEYS" in bsim("spec").out
    assert "m/44'/c'" in bsim("spec", "derive-key").out
    assert "did you mean SIGN" in bsim("spec", "SIGM", code=2).err
    assert "lists them" in bsim("spec", "zzzzzz", code=2).err
    assert bsim("spec", "SIGN", "--json", secret=True).json[0]["ins"] == "AC"
    assert len(bsim("spec", "--json", secret=True).json) > 20


def test_readers(bsim, monkeypatch):
    monkeypatch.setattr("bsim.lab.reader.readers", lambda: ["A", "B"])
    assert bsim("readers").out == "0  A\n1  B\n"
    assert bsim("readers", "--json").json == ["A", "B"]
    monkeypatch.setattr("bsim.lab.reader.readers", list)
    assert "no reader" in bsim("readers").err


def test_doctor(bsim, monkeypatch):
    monkeypatch.setattr("bsim.lab.reader.readers", lambda: ["A"])
    found = bsim("doctor", "--json").json
    assert found["ok"] is True
    assert {one["name"] for one in found["findings"]} >= {"Python", "signing engine", "pyscard", "pcscd", "gcc"}
    monkeypatch.setattr("bsim.cli.doctor.shutil.which", lambda *_, **__: None)
    assert "apt-get install pcscd" in bsim("doctor").out


@pytest.mark.parametrize(("wish", "hint"), [("", True), ("0", False)])
def test_doctor_says_how_signatures_are_made(bsim, monkeypatch, wish, hint):
    monkeypatch.setattr("bsim.lab.reader.readers", list)
    monkeypatch.setenv("BSIM_NATIVE", wish)
    engine = ecdsa.engine("coincurve", native=False)
    monkeypatch.setattr("bsim.profiles.default_engine", lambda: engine)
    (said,) = [line for line in bsim("doctor").out.splitlines() if "signing engine" in line]
    assert "through cffi, signs and verifies" in said
    assert ("a C compiler" in said) is hint


def test_doctor_finds_what_is_broken(bsim, monkeypatch, capsys):
    monkeypatch.setattr("bsim.lab.reader.readers", list)
    monkeypatch.setattr("bsim.crypto.verify.verify", lambda *_: False)
    assert main(["doctor"]) == 1
    assert "does not verify" in capsys.readouterr().out


# --- demo --------------------------------------------------------------------------------------------------------


def test_demo_in_memory(bsim):
    said = bsim("demo", "--through", "memory")
    assert "the card's account" in said.out
    assert ADDRESS in said.out
    assert "memory" in said.out
    assert "phone: BPIN changed" in said.out
    assert b"480716".hex() not in said.out
    assert "TERMINAL_RESPONSE" in said.out


def test_demo_with_a_transaction_of_the_users(bsim, tmp_path):
    file = tmp_path / "tx.json"
    file.write_text(json.dumps(TX), encoding="utf-8")
    made = bsim("demo", "--through", "memory", "--tx", str(file), "--json").json
    assert made["proven"] is True
    assert made["sender"] == ADDRESS
    assert made["transaction"] == TX
    assert made["raw"].startswith("0x02")
    assert [one["coin"] for one in made["accounts"]] == ["Ether", "Conflux", "Solana"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "cannot be read"),
        ("{", "not JSON"),
        ("[]", "an object"),
        (json.dumps(TX | {"gas": "much"}), "gas: "),
        (json.dumps({name: value for name, value in TX.items() if name != "nonce"}), "nonce: missing"),
        (json.dumps(TX | {"to": ADDRESS.replace("C5", "c5")}), "to: "),
        (json.dumps(TX | {"colour": 1}), "colour: "),
    ],
)
def test_demo_names_what_is_wrong_with_a_transaction(bsim, tmp_path, text, reason):
    file = tmp_path / "tx.json"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    said = bsim("demo", "--through", "memory", "--tx", str(file), code=2)
    assert f"tx.json: {reason}" in said.err


def test_demo_with_transactions_as_libraries_write_them(bsim, tmp_path):
    file = tmp_path / "tx.json"

    def told(fields: dict[str, object], encoding: str = "utf-8") -> str:
        file.write_text(json.dumps(fields), encoding=encoding)
        return bsim("demo", "--through", "memory", "--tx", str(file)).out

    nulls = {"gasPrice": None, "v": None, "hash": None, "signature": None, "accessList": None}
    assert "None" not in told(TX | nulls | {"type": "eip1559"}, "utf-8-sig")
    assert "not the card's" not in told(TX | {"from": ADDRESS.lower()})
    assert f"\n   from is {OTHER}, which is not the card's account\n" in told(TX | {"from": OTHER.lower()})
    long = "0x" + "60" * 300
    for to in ({"to": None}, {"to": ""}, {"to": "0x"}):
        out = told(TX | to | {"data": long})
        assert re.search(r"\n   to +contract creation\n", out)
        assert long not in re.sub("0x02[0-9a-f]+", "", out)


def test_the_demo_is_read_from_stdin_too(bsim):
    assert bsim("demo", "--through", "memory", "--tx", "-", "--json", stdin="\ufeff" + json.dumps(TX)).json["proven"]


DEEP = "[" * 200_000 + "]" * 200_000
TWICE = json.dumps(TX)[:-1] + ', "nonce": 9}'


@pytest.mark.parametrize(("text", "reason"), [(DEEP, "nested too deeply"), (TWICE, "'nonce' is there twice")])
def test_json_that_is_not_guessed_at(bsim, card, tmp_path, text, reason):
    file = tmp_path / "one.json"
    file.write_text(text, encoding="utf-8")
    for words in (
        ("demo", "--through", "memory", "--tx", str(file)),
        ("wallet", "restore", str(file), "--on", card, "--key2", KEY2),
    ):
        said = bsim(*words, code=2)
        assert "one.json: not JSON" in said.err
        assert reason in said.err
        assert said.err.count("\n") == 1


def test_deep_json_where_another_library_has_raised_the_recursion_limit(tmp_path):
    """eth-account does, and Python's JSON reader then runs out of stack: no file and no payload may get that far."""
    file = tmp_path / "deep.json"
    file.write_text(DEEP, encoding="utf-8")
    program = f"""
import sys
sys.setrecursionlimit(10**6)
from bsim.chains import typed_data
from bsim.cli import main
for payload in (b"[" * 65000, b'{{"a":' * 9000, b'"' * 9000, b'"' + b"\\\\" * 9000):
    try:
        typed_data.decode(payload)
    except ValueError as fault:
        print(fault)
sys.exit(main(["demo", "--through", "memory", "--tx", {str(file)!r}]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.count("not JSON")) == (2, 4), done.stderr
    assert "nested too deeply" in done.stderr


def test_the_demo_fits_a_terminal(bsim):
    lines = bsim("demo", "--through", "memory").out.splitlines()
    assert [line for line in lines if len(line) > COLUMNS and "0x02" not in line] == []


def test_the_demo_recovers_with_a_library_that_did_not_sign(bsim, monkeypatch):
    from bsim.profiles import default_engine

    for engine, checker in (("ecdsa", "coincurve"), ("coincurve", "python-ecdsa")):
        monkeypatch.setenv("BSIM_ENGINE", engine)
        default_engine.cache_clear()
        try:
            made = bsim("demo", "--through", "memory", "--json").json
        finally:
            monkeypatch.delenv("BSIM_ENGINE")
            default_engine.cache_clear()
        assert made["checker"].startswith(f"{checker} ")
        assert made["checker"].endswith("did not sign")
        assert made["proven"] is True


def test_the_demo_says_if_the_library_that_checks_signed_too(bsim, monkeypatch):
    from bsim.profiles import default_engine

    monkeypatch.setenv("BSIM_ENGINE", "ecdsa")
    monkeypatch.setitem(sys.modules, "coincurve", None)
    default_engine.cache_clear()
    try:
        made = bsim("demo", "--through", "memory", "--json").json
    finally:
        default_engine.cache_clear()
    assert made["checker"].startswith("python-ecdsa ")
    assert "signed too" in made["checker"]


def test_demo_without_pcsc_says_why(bsim, monkeypatch):
    from bsim.links.pcscd import PcscUnavailable

    def unavailable():
        raise PcscUnavailable("missing: pcscd\nand more")

    monkeypatch.setattr("bsim.cli.demo_stage.PrivatePcscd", unavailable)
    assert "not through PC/SC: missing: pcscd" in bsim("demo").out
    assert "missing: pcscd" in bsim("demo", "--through", "pcsc", code=2).err


# --- processes of their own --------------------------------------------------------------------------------------


def process(*words: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bsim", *words],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        **options,
    )


def test_a_process_of_its_own(tmp_path):
    made = process("new", "card.bsim", cwd=tmp_path)
    assert (made.returncode, made.stdout[:10]) == (0, "card.bsim:")
    derived = process("wallet", "derive", "eth", "--on", "card.bsim", "--json", cwd=tmp_path)
    assert json.loads(derived.stdout)["slot"] == 1
    assert process("wallet", "accounts", "--on", "none.bsim", cwd=tmp_path).returncode == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.bsim"]


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_output_in_an_encoding_that_lacks_characters(encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    told = process("demo", "--through", "memory", env=environment)
    assert (told.returncode, told.stderr) == (0, "")
    assert "the card's account" in told.stdout
    assert json.loads(process("demo", "--through", "memory", "--json", env=environment).stdout)["proven"]


def test_an_empty_passphrase_in_the_environment_makes_no_card(tmp_path):
    environment = {**os.environ, "BSIM_PASSPHRASE": "", "XDG_CONFIG_HOME": str(tmp_path / "config")}
    said = process("new", "card.bsim", cwd=tmp_path, env=environment)
    assert said.returncode == 2
    assert said.stderr.startswith("bsim: card.bsim: BSIM_PASSPHRASE is set and empty")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("words", [["spec"], ["apdu", "--json", "00CA000002"], ["--version"], ["new", "card.bsim"]])
def test_output_that_cannot_be_written(tmp_path, words):
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config"), "PYTHONUNBUFFERED": ""}
    with open("/dev/full", "wb") as full:
        run = subprocess.run(
            [sys.executable, "-m", "bsim", *words],
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=environment,
            text=True,
            check=False,
        )
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1] == "bsim: the output: No space left on device"
    assert "Traceback" not in run.stderr


def test_a_file_that_cannot_be_written_is_named(bsim, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a/file")

    monkeypatch.setattr("bsim.cli.spec.run", full)
    assert bsim("spec", code=2).err == "bsim: a/file: No space left on device\n"


def test_another_fault_of_the_machine_is_no_full_disk(monkeypatch):
    def other(_):
        raise ConnectionResetError(errno.ECONNRESET, "reset")

    monkeypatch.setattr("bsim.cli.spec.run", other)
    with pytest.raises(ConnectionResetError):
        main(["spec"])


class Driver:
    """vpcd's side of a slot."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(30)  # a link that never comes is a failure, and no reason to wait for ever
        self.port = self.listener.getsockname()[1]

    def ask(self, connection: socket.socket, message: bytes) -> bytes:
        connection.settimeout(30)
        connection.sendall(len(message).to_bytes(2, "big") + message)
        length = int.from_bytes(connection.recv(2, socket.MSG_WAITALL), "big")
        return connection.recv(length, socket.MSG_WAITALL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_when_it_is_ready_and_stops_cleanly(tmp_path, number):
    process("new", "card.bsim", cwd=tmp_path)
    driver = Driver()
    words = ["serve", "--on", "card.bsim", "--vpcd", f"127.0.0.1:{driver.port}", "--json"]
    with (
        driver.listener,
        running("-m", "bsim", *words, stderr=subprocess.PIPE, cwd=tmp_path) as run,
    ):
        connection, _ = driver.listener.accept()
        with connection:
            atr = driver.ask(connection, b"\x04")
            ready = json.loads(run.stdout.readline())
            assert ready == {
                "ready": True,
                "vpcd": f"127.0.0.1:{driver.port}",
                "card": "card.bsim",
                "atr": atr.hex().upper(),
                "profile": "extended",
            }
            assert driver.ask(connection, bytes.fromhex(SELECT)) == b"\x61\x14"
            assert driver.ask(connection, b"\x80\x7c\0\0\0") == b"\x90\x00"
            run.send_signal(number)
            out, err = run.communicate(timeout=30)
        assert run.returncode == 0, err
        assert out == ""
        assert "Traceback" not in err


def test_serve_waits_for_the_driver():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with running("-m", "bsim", "serve", "--vpcd", f"127.0.0.1:{port}", stderr=subprocess.PIPE) as run:
        assert "trying until it is there" in run.stderr.readline()
        run.send_signal(signal.SIGTERM)
        assert run.communicate(timeout=30)[0] == ""
    assert run.returncode == 0


def test_serve_refuses_what_cannot_be(bsim):
    for address in ("here", "here:port", "127.0.0.1:0", "127.0.0.1:70000"):
        assert "HOST:PORT" in bsim("serve", "--vpcd", address, code=2).err
    assert "FILE.bsim" in bsim("serve", "--on", "x", code=2).err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--ble", "nonsense"], "no Bluetooth controller at nonsense"),
        (["--ble", "virtual:x"], "virtual:HOST:PORT"),
        (["--ble", "virtual:127.0.0.1:0", "--ble-name", "BSIM"], "begins with CT"),
        (["--ble", "usb:0", "--vpcd", "127.0.0.1:1"], "for one card"),
        (["--ble", "usb:0", "--cards", "2"], "for one card"),
        (["--ble", "nonsense", "--http", "127.0.0.1:0"], "no Bluetooth controller at nonsense"),
        (["--fault", "on SIGN lose-frame 1"], "bsim serve --ble"),
        (["--fault", "on SIGN answer 6985 then disconnect"], "not on both"),
    ],
)
def test_serve_over_bluetooth_refuses_what_cannot_be(bsim, words, reason):
    assert reason in bsim("serve", *words, code=2).err


def test_bluetooth_without_its_library_says_what_to_install(bsim, monkeypatch):
    monkeypatch.delitem(sys.modules, "bsim.links.ble_link", raising=False)
    monkeypatch.setitem(sys.modules, "bumble.device", None)
    assert "pip install 'bsim[ble]'" in bsim("serve", "--ble", "usb:0", code=2).err


def test_addresses_of_slots():
    from bsim.cli.fleet_serve import ports
    from bsim.cli.serve import address_of
    from bsim.cli.slots import place

    for text, address in {
        "[::1]:35963": ("::1", 35963),
        "localhost:35964": ("localhost", 35964),
        ":35963": ("127.0.0.1", 35963),
    }.items():
        assert address_of([text]) == address
        assert ports([text], 1) == [address]
        assert address_of([place(*address)]) == address


def test_serve_in_this_process(bsim):
    driver = Driver()

    def slot() -> None:
        connection, _ = driver.listener.accept()
        with connection:
            driver.ask(connection, b"\x04")
            ended.wait(30)

    ended = threading.Event()
    thread = threading.Thread(target=slot)
    thread.start()
    with driver.listener:
        from bsim.links.vpcd import VpcdLink

        def stop(link: VpcdLink) -> None:
            link.ready.wait(30)
            # What is said of it is said by a thread of its own; a link that stopped before would be nothing to tell of.
            for announcing in (one for one in threading.enumerate() if one.name == "bsim-ready"):
                announcing.join(30)
            link.stop()
            ended.set()

        original = VpcdLink.run

        def run(link: VpcdLink) -> None:
            stopper = threading.Thread(target=stop, args=(link,))
            stopper.start()
            original(link)
            stopper.join()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(VpcdLink, "run", run)
            said = bsim("serve", "--vpcd", f":{driver.port}")
    thread.join()
    assert said.out.startswith("ready: ram is in the reader")


@pytest.mark.pcsc
def test_demo_through_a_real_pcsc_stack():
    pytest.importorskip("smartcard.scard")
    from bsim.links.pcscd import PcscUnavailable, PrivatePcscd

    try:
        with PrivatePcscd():
            pass
    except PcscUnavailable as fault:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(fault))
    # In a process of its own: libpcsclite keeps to the first pcscd it met.
    run = process("demo", "--json", cwd=Path(__file__).parent)
    assert run.returncode == 0, run.stderr
    made = json.loads(run.stdout)
    assert (made["through"], made["proven"]) == ("pcsc", True)
