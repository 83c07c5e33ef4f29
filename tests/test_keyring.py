"""Where secrets come from, and the command line around sealed card files."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from card_files import GOLDEN, PASSPHRASE, image, leaks, make, rows, secrets
from helpers import KEY2, MNEMONIC, WALLET_AID

import bsim
from bsim.cli import main
from bsim.lab.targets import TargetError
from bsim.store import Keyring, LockedError, StoreError, Wrapping

ID = bytes(16)
CARD = Path("card.bsim")


def never(prompt: str) -> str:
    raise AssertionError(f"asked: {prompt}")


class Person:
    """Types these, one a question, and no more."""

    def __init__(self, *typed: str) -> None:
        self.typed = list(typed)
        self.asked: list[str] = []

    def __call__(self, prompt: str) -> str:
        self.asked.append(prompt)
        return self.typed.pop(0)


def test_the_order_of_sources(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_bytes(b"from the file\r\nnot this\n")
    env = {"BSIM_PASSPHRASE": "from the environment", "XDG_CONFIG_HOME": str(tmp_path)}
    rings = {
        b"given": Keyring(passphrase="given", passphrase_file=file, ask=never, environment=env),
        b"from the file": Keyring(passphrase_file=file, ask=never, environment=env),
        b"from the environment": Keyring(ask=never, environment=env),
    }
    for secret, ring in rings.items():
        assert ring.secret(CARD, Wrapping.PASSPHRASE, ID) == secret
        assert ring.new(CARD, ID).secret == secret
        assert ring.secret(CARD, Wrapping.PLAIN, ID) == b""
    assert not (tmp_path / "bsim").exists()


def test_a_person_is_asked_once_a_card_and_twice_for_a_new_one(tmp_path: Path) -> None:
    env = {"XDG_CONFIG_HOME": str(tmp_path)}
    person = Person("e\u0301")
    ring = Keyring(ask=person, environment=env)
    assert ring.secret(CARD, Wrapping.PASSPHRASE, ID) == ring.secret(CARD, Wrapping.PASSPHRASE, ID) == "é".encode()
    assert person.asked == ["Passphrase of card.bsim: "]
    key = Keyring(ask=Person("new", "new"), environment=env).new(CARD, ID)
    assert (key.wrapping, key.secret) == (Wrapping.PASSPHRASE, b"new")
    with pytest.raises(LockedError, match="the passphrases differ"):
        Keyring(ask=Person("new", "old"), environment=env).new(CARD, ID)
    assert Keyring(ask=Person(""), environment=env).new(CARD, ID).wrapping is Wrapping.KEY_FILE


def test_a_key_file_is_made_for_its_owner_alone_and_found_again(tmp_path: Path) -> None:
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    ring = Keyring(environment=env)
    key = ring.new(CARD, ID)
    assert ring.made == tmp_path / "config" / "bsim" / "keys" / f"{ID.hex()}.key"
    assert ring.made.read_bytes() == key.secret
    assert len(key.secret) == 32
    assert ring.made.stat().st_mode & 0o777 == 0o600
    assert ring.made.parent.stat().st_mode & 0o777 == 0o700
    assert Keyring(environment=env).secret(CARD, Wrapping.KEY_FILE, ID) == key.secret
    assert key.secret.hex() not in repr(key)
    assert str(key.secret) not in repr(key)
    ring.forget()
    ring.forget()
    assert not list((tmp_path / "config" / "bsim" / "keys").iterdir())


def test_an_empty_passphrase_is_not_taken_for_none(tmp_path: Path) -> None:
    ring = Keyring(ask=never, environment={"XDG_CONFIG_HOME": str(tmp_path), "BSIM_PASSPHRASE": ""})
    for ask in (lambda: ring.new(CARD, ID).secret, lambda: ring.secret(CARD, Wrapping.PASSPHRASE, ID)):
        with pytest.raises(LockedError, match="BSIM_PASSPHRASE is set and empty"):
            ask()
    assert list(tmp_path.iterdir()) == []


def test_a_key_file_that_is_there_is_used_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "own.key"
    path.write_bytes(bytes(32))
    ring = Keyring(key_file=path, environment={})
    assert ring.new(CARD, ID).secret == bytes(32)
    ring.forget()
    assert path.exists()


def test_without_xdg_the_key_folder_is_in_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for env in ({}, {"XDG_CONFIG_HOME": ""}, {"XDG_CONFIG_HOME": "relative"}):
        assert Keyring(environment=env).key_path(ID) == tmp_path / ".config" / "bsim" / "keys" / f"{ID.hex()}.key"


def test_what_is_missing_or_wrong_is_named(tmp_path: Path) -> None:
    env = {"XDG_CONFIG_HOME": str(tmp_path)}
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "short").write_bytes(b"x")
    (tmp_path / "bsim").touch()

    def secret(wrapping: Wrapping, **options: Path) -> Callable[[], bytes]:
        return lambda: Keyring(environment=env, **options).secret(CARD, wrapping, ID)  # type: ignore[arg-type]

    for ask, words in {
        secret(Wrapping.PASSPHRASE): "needs its passphrase: --passphrase-file FILE or BSIM_PASSPHRASE",
        secret(Wrapping.PASSPHRASE, passphrase_file=tmp_path / "none"): "none: the passphrase cannot be read",
        secret(Wrapping.PASSPHRASE, passphrase_file=tmp_path / "empty"): "empty: the passphrase is the first line",
        secret(Wrapping.PASSPHRASE, passphrase_file=tmp_path / "binary"): "not UTF-8",
        secret(Wrapping.KEY_FILE): "needs its key file, and .* cannot be read .*--key-file names another",
        secret(Wrapping.KEY_FILE, key_file=tmp_path / "short"): "no key file, which has 32 bytes",
        lambda: Keyring(environment=env).new(CARD, ID).secret: "the key file cannot be made",
    }.items():
        with pytest.raises(StoreError, match=words):
            ask()


def test_without_a_home_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("bsim.store.keyring.Path.home", homeless)
    with pytest.raises(LockedError, match="--key-file names a key file"):
        Keyring(environment={}).new(CARD, ID)


# The command line.


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    def command(*words: str | Path) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def test_new_without_a_terminal_makes_a_key_file_and_says_so_in_a_line(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "card.bsim"
    code, out, err = run("new", path)
    assert code == 0
    assert "sealed under the key file" in err.splitlines()[0]
    key_file = Path(err.splitlines()[0].partition("key file ")[2].partition(";")[0])
    assert key_file.stat().st_mode & 0o777 == 0o600
    code, out, _ = run("card", "info", path, "--json")
    facts = json.loads(out)
    assert (facts["wrapping"], facts["slots"], facts["tries"]) == ("key file", 0, 10)
    assert key_file.name == f"{facts['card_id']}.key"
    assert run("wallet", "derive", "ethereum", "--on", path)[0] == 0
    moved = key_file.rename(tmp_path / "elsewhere.key")
    code, out, err = run("wallet", "accounts", "--on", path)
    assert code == 2
    assert "needs its key file" in err
    assert run("wallet", "accounts", "--on", path, "--key-file", moved)[0] == 0
    assert run("card", "check", path, "--key-file", moved)[1] == f"{path}: whole, 28 records\n"


def test_a_card_that_is_not_made_leaves_no_key(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    key = tmp_path / "own.key"
    (tmp_path / "card.bsim-lock").mkdir()
    assert run("new", tmp_path / "card.bsim", "--key-file", key)[0] == 2
    assert run("new", tmp_path / "no" / "card.bsim", "--key-file", key)[0] == 2
    assert image(tmp_path) == {}


def test_a_passphrase_card(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    path, file = tmp_path / "card.bsim", tmp_path / "passphrase"
    file.write_text(PASSPHRASE)
    code, out, err = run("new", path, "--passphrase-file", file, "--json")
    assert json.loads(out)["wrapping"] == "passphrase"
    assert "without it the card is lost" in err
    code, _, err = run("wallet", "derive", "ethereum", "--on", path)
    assert (code, "needs its passphrase" in err) == (2, True)
    assert run("wallet", "derive", "ethereum", "--on", path, "--passphrase-file", file)[0] == 0
    monkeypatch.setenv("BSIM_PASSPHRASE", "wrong")
    code, _, err = run("card", "info", path)
    assert (code, "wrong passphrase" in err) == (2, True)
    monkeypatch.setenv("BSIM_PASSPHRASE", PASSPHRASE)
    assert run("card", "info", path)[0] == 0
    card = bsim.open_card(str(path), passphrase=PASSPHRASE, handset="none")
    card.close()  # type: ignore[attr-defined]
    with pytest.raises(TargetError, match="wrong passphrase"):
        bsim.open_card(str(path), passphrase="wrong")


def test_asked_on_a_terminal(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    path, person = tmp_path / "card.bsim", Person("one", "one", "one", "one", "two", "two", "two")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", person)
    assert run("new", path)[0] == 0
    assert run("card", "info", path)[0] == 0
    assert run("card", "rekey", path)[0] == 0
    assert run("card", "check", path)[0] == 0
    assert person.typed == []
    assert [prompt.split()[0] for prompt in person.asked] == [
        "New",
        "The",
        "Passphrase",
        "Passphrase",
        "New",
        "The",
        "Passphrase",
    ]


def test_plain_is_shouted_about(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "card.bsim"
    assert "NOT PROTECTED" in run("new", path, "--insecure-plain")[2]
    assert "NOT PROTECTED" in run("card", "info", path)[2]
    code, out, err = run("card", "rekey", path, "--new-key-file", tmp_path / "new.key")
    assert (code, out) == (0, f"{path}: sealed anew, under the key file {tmp_path / 'new.key'}\n")
    assert "copies of the file made before" in err
    assert run("card", "check", path)[0] == 2
    assert json.loads(run("card", "check", path, "--key-file", tmp_path / "new.key", "--json")[1])["ok"] is True
    code, out, err = run("card", "rekey", path, "--key-file", tmp_path / "new.key", "--insecure-plain", "--json")
    assert json.loads(out) == {"card": str(path), "wrapping": "plain"}
    assert "NOT PROTECTED" in err


def test_rekey_by_the_environment(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "card.bsim"
    make(path)
    monkeypatch.setenv("BSIM_NEW_PASSPHRASE", "next")
    assert "under the new passphrase" in run("card", "rekey", path)[1]
    monkeypatch.setenv("BSIM_PASSPHRASE", "next")
    assert run("card", "check", path)[0] == 0


def test_check_says_what_is_wrong_and_ends_with_1(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "card.bsim"
    make(path)
    sealed = rows(path)["wallet.seed"][1]
    path.write_bytes(path.read_bytes().replace(sealed, sealed[:-1] + bytes((sealed[-1] ^ 1,))))
    code, out, err = run("card", "check", path)
    assert (code, out) == (1, "")
    assert "the record wallet.seed was altered" in err
    path.write_bytes(b"")
    assert run("card", "check", path)[0] == 1
    assert run("card", "check", tmp_path / "none.bsim")[0] == 2
    assert run("card", "check", tmp_path / "none")[0] == 2


def test_check_finds_states_that_do_not_decode(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from contextlib import closing

    from bsim.store import SqliteStore

    path = tmp_path / "card.bsim"
    make(path)
    with closing(SqliteStore(path)) as store:
        store.write({"wallet.slots": b"\1"})
    code, _, err = run("card", "check", path)
    assert (code, "wallet records are incomplete or damaged" in err) == (1, True)


def test_a_card_of_format_1_is_served(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "card.bsim"
    path.write_bytes((GOLDEN / "format-1.bsim").read_bytes())
    code, out, _ = run("wallet", "accounts", "--on", path, "--json")
    assert code == 0
    assert len(out.splitlines()) >= 1
    assert "format      2" in run("card", "info", path)[1]


def test_no_secret_in_what_the_command_line_says_or_leaves(  # type: ignore[no-untyped-def]
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    path = tmp_path / "card.bsim"
    monkeypatch.setenv("BSIM_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("BSIM_KEY2", KEY2.decode())
    monkeypatch.setattr(sys, "stdin", io.StringIO(MNEMONIC))
    said = ["".join(run("new", path, "--mnemonic", "-")[1:])]
    on = ("--on", path)
    select = f"00A4040010{WALLET_AID.hex()}"
    for words in (
        ("wallet", "derive", "ethereum", *on),
        ("wallet", "derive", "60", *on),
        ("wallet", "sign", "--slot", "1", "9c" * 32, *on),
        ("wallet", "backup", tmp_path / "backup.json", *on),
        ("wallet", "restore", tmp_path / "backup.json", *on),
        ("wallet", "bpin", "change", "--new-bpin", "271828", *on),
        ("wallet", "sign", "--slot", "1", "9c" * 32, "--bpin", "000000", *on),
        ("apdu", select, "807A000006313233343536", "8074000108" + KEY2.hex(), *on),
        ("card", "info", path),
        ("card", "check", path),
    ):
        code, out, err = run(*words)
        said += [out, err]
        assert code in {0, 1}, err
    secrets_ = secrets()
    left = b"\0".join(image(tmp_path).values())
    assert len(left) > 10_000
    assert leaks(left, secrets_) == []
    assert leaks("\0".join([*said, caplog.text]).encode(), secrets_) == []
