"""Card files: sealed, bound together, locked, of every format, and safe from whatever else is wrong with them."""

import errno
import hashlib
import hmac
import json
import os
import resource
import signal
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Semaphore

import pytest
from card_files import (
    GOLDEN,
    KEY_FILE,
    KEYS,
    PASSPHRASE,
    edit,
    fast_folder,
    image,
    leaks,
    load,
    make,
    rows,
    secrets,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from helpers import BPIN, apdu, by_hand, derive, enter, expect, export, fetch, record, respond, running, select, sign

from bsim.applets import wallet_state
from bsim.profiles import power_on
from bsim.store import (
    BusyError,
    DamagedError,
    Given,
    Key,
    LockedError,
    SqliteStore,
    StoreError,
    Wrapping,
)


@pytest.fixture
def folder() -> Iterator[Path]:
    with fast_folder() as made:
        yield made


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "card.bsim"


# Wrappings.


@pytest.mark.parametrize("kind", KEYS)
def test_a_file_of_each_kind(path: Path, kind: str) -> None:
    records = make(path, KEYS[kind])
    assert load(path, KEYS[kind]) == records
    assert image(path.parent).keys() == {"card.bsim"}, "a closed card is one file"
    with closing(SqliteStore(path, unlock=Given(KEYS[kind]))) as store:
        assert store.header.wrapping is KEYS[kind].wrapping
        assert "secret" not in repr(store.header)
        assert {path.stat().st_mode & 0o777 for path in path.parent.iterdir()} == {0o600}


@pytest.mark.parametrize("kind", ["key-file", "passphrase"])
def test_a_wrong_or_missing_secret_is_named(path: Path, kind: str) -> None:
    make(path, KEYS[kind])
    before = image(path.parent)
    words = KEYS[kind].wrapping.value
    with pytest.raises(LockedError, match=f"wrong {words}"):
        load(path, Key(KEYS[kind].wrapping, b"x" * 32))
    with pytest.raises(LockedError, match=f"needs its {words}"):
        load(path)
    assert image(path.parent) == before


@pytest.mark.parametrize("old", KEYS)
@pytest.mark.parametrize("new", KEYS)
def test_rekey(path: Path, old: str, new: str) -> None:
    records = make(path, KEYS[old])
    before = path.read_bytes(), rows(path)
    fresh = Key(KEYS[new].wrapping, KEYS[new].secret and KEYS[new].secret[::-1])
    with closing(SqliteStore(path, unlock=Given(KEYS[old]))) as store:
        first = store.header
        store.rekey(Given(fresh))
        assert (store.header.card_id, store.header.salt) != (first.card_id, first.salt)
        assert first.wrapped not in b"".join(image(path.parent).values()), "the old wrapping is gone, from the log too"
        store.write({"a": b"1"})
    assert load(path, fresh) == {**records, "a": b"1"}
    assert not set(before[1].values()) & set(rows(path).values())
    if "plain" not in {old, new}:
        with pytest.raises(LockedError):
            load(path, KEYS[old])
    path.write_bytes(before[0])
    assert load(path, KEYS[old]) == records, "a copy from before is what it was"


def test_a_rekey_that_fails_changes_nothing(path: Path) -> None:
    class Refuses(Given):
        def new(self, card: Path, card_id: bytes) -> Key:
            raise LockedError("no passphrase")

    records = make(path, KEY_FILE)
    with closing(SqliteStore(path, unlock=Given(KEY_FILE))) as store:
        with pytest.raises(LockedError, match="no passphrase"):
            store.rekey(Refuses())
        assert store.read() == records
        store.write({"a": b"1"})
    assert load(path, KEY_FILE) == {**records, "a": b"1"}


def test_a_file_whose_secret_cannot_be_had_is_not_made(path: Path) -> None:
    class Refuses(Given):
        def new(self, card: Path, card_id: bytes) -> Key:
            raise LockedError("the passphrases differ")

    with pytest.raises(LockedError, match="differ"):
        SqliteStore(path, create=True, unlock=Refuses())
    assert image(path.parent) == {}


# What binds records together.


def _swap(path: Path) -> None:
    sealed = rows(path)
    for name, other in (("wallet.bpin", "card.profile"), ("card.profile", "wallet.bpin")):
        edit(path, ("UPDATE record SET version = ?, value = ? WHERE name = ?", (*sealed[other], name)))


def _drop(path: Path) -> None:
    edit(path, ("DELETE FROM record WHERE name = 'wallet.tries'", ()))


def _add(path: Path) -> None:
    edit(path, ("INSERT INTO record SELECT 'wallet.more', version, value FROM record LIMIT 1", ()))


def _rename(path: Path) -> None:
    edit(path, ("UPDATE record SET name = 'wallet.triez' WHERE name = 'wallet.tries'", ()))


def _renumber(path: Path) -> None:
    edit(path, ("UPDATE record SET version = version + 1 WHERE name = 'wallet.tries'", ()))


def _negative(path: Path) -> None:
    edit(path, ("UPDATE record SET version = -1 WHERE name = 'wallet.tries'", ()))


def _text(path: Path) -> None:
    edit(path, ("UPDATE record SET value = 'text' WHERE name = 'wallet.tries'", ()))


def _no_header(path: Path) -> None:
    edit(path, ("DELETE FROM meta WHERE name = 'salt'", ()))


def _short_header(path: Path) -> None:
    edit(path, ("UPDATE meta SET value = x'00' WHERE name = 'salt'", ()))


def _wrapping(path: Path) -> None:
    edit(path, ("UPDATE meta SET value = x'2020' WHERE name = 'wrapping'", ()))


def _trigger(path: Path) -> None:
    edit(path, ("CREATE TRIGGER leak AFTER INSERT ON record BEGIN SELECT 1; END", ()))


def _table(path: Path) -> None:
    edit(path, ("CREATE TABLE more (x)", ()))


@pytest.mark.parametrize(
    "change",
    [_swap, _drop, _add, _rename, _renumber, _negative, _text, _no_header, _short_header, _wrapping, _trigger, _table],
)
def test_records_are_bound_to_name_version_and_each_other(path: Path, change: Callable[[Path], None]) -> None:
    make(path)
    change(path)
    before = image(path.parent)
    with pytest.raises(DamagedError, match=r"card\.bsim: (damaged|not a usable card file)"):
        load(path)
    assert image(path.parent) == before


def test_one_record_cannot_be_rolled_back(path: Path) -> None:
    make(path)
    with closing(SqliteStore(path)) as store:
        store.write({"wallet.tries": b"\x0a"})
    older = rows(path)["wallet.tries"]
    manifest = _meta(path, "manifest")
    with closing(SqliteStore(path)) as store:
        store.write({"wallet.tries": b"\x01"})
    after = path.read_bytes()
    put_back = ("UPDATE record SET version = ?, value = ? WHERE name = 'wallet.tries'", older)
    old_list = ("UPDATE meta SET value = ? WHERE name = 'manifest'", (manifest,))
    for changes in ([put_back], [old_list]):
        path.write_bytes(after)
        edit(path, *changes)
        with pytest.raises(DamagedError):
            load(path)


def test_records_of_two_futures_of_one_file_do_not_mix(path: Path) -> None:
    """A copy that went its own way has the same names and versions, and other seals."""
    make(path)
    twin = path.with_name("twin.bsim")
    twin.write_bytes(path.read_bytes())
    for one, tries in ((path, b"\x01"), (twin, b"\x0a")):
        with closing(SqliteStore(one)) as store:
            store.write({"wallet.tries": tries})
    assert rows(path)["wallet.tries"][0] == rows(twin)["wallet.tries"][0]
    edit(path, ("UPDATE record SET value = ? WHERE name = 'wallet.tries'", (rows(twin)["wallet.tries"][1],)))
    with pytest.raises(DamagedError):
        load(path)


def test_records_do_not_move_to_another_card(path: Path) -> None:
    other = path.with_name("other.bsim")
    make(path, KEY_FILE)
    make(other, KEY_FILE)
    version, value = rows(other)["wallet.seed"]
    edit(path, ("UPDATE record SET version = ?, value = ? WHERE name = 'wallet.seed'", (version, value)))
    with pytest.raises(DamagedError):
        load(path, KEY_FILE)
    header = {name: _meta(other, name) for name in ("card_id", "salt", "wrapped_key", "manifest")}
    edit(path, *[("UPDATE meta SET value = ? WHERE name = ?", (value, name)) for name, value in header.items()])
    with pytest.raises(DamagedError):
        load(path, KEY_FILE)


def _meta(path: Path, name: str) -> bytes:
    with closing(sqlite3.connect(path)) as database:
        value: bytes = database.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()[0]
        return value


@pytest.mark.parametrize("cost", [b"\xff\x08\x01", b"\x0f\xff\x01", b"\x0f\x08\xff", b"\x00\x08\x01", b"\x0f\x00\x01"])
def test_a_file_does_not_choose_what_it_costs(path: Path, cost: bytes) -> None:
    make(path, KEYS["passphrase"])
    edit(path, ("UPDATE meta SET value = ? WHERE name = 'cost'", (cost,)))
    with pytest.raises(LockedError):
        load(path, KEYS["passphrase"])


# Formats.


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("format-1", "plain"),
        ("format-2-plain", "plain"),
        ("format-2-key-file", "key-file"),
        ("format-2-passphrase", "passphrase"),
    ],
)
def test_every_released_format_loads_for_ever(path: Path, name: str, key: str) -> None:
    path.write_bytes((GOLDEN / f"{name}.bsim").read_bytes())
    with closing(SqliteStore(path, unlock=Given(KEYS[key]))) as store:
        state = wallet_state.LAYOUT.load(store.read())
        assert (state.tries, state.bpin_is_default, state.terminated) == (7, False, False)
        card = power_on(store)
        select(card)
        assert export(card) == record(60, 1) + record(501, 2, 2)
        expect(card, "TERMINAL_PROFILE", profile=b"\xff\xff\xff\xff")
        assert enter(card, card.transmit(apdu("VERIFY_BPIN")), "271828") == b"\x90\x00"
        sign(card)
        derive(card)
    with closing(SqliteStore(path, unlock=Given(KEYS[key]))) as store:
        assert len(wallet_state.LAYOUT.load(store.read()).slots) == 3


def read_by_the_description(path: Path, wrapping: str, secret: bytes) -> dict[str, bytes]:
    """A reader written from docs/security.md alone."""

    def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes:
        return AESGCM(key).decrypt(sealed[:12], sealed[12:], context)

    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA application_id").fetchone() == (0x4253494D,)
        assert database.execute("PRAGMA user_version").fetchone() == (2,)
        meta = dict(database.execute("SELECT * FROM meta"))
    assert meta["wrapping"] == wrapping.encode()
    if wrapping == "passphrase":
        n, r, p = meta["cost"]
        key = hashlib.scrypt(secret, salt=meta["salt"], n=1 << n, r=r, p=p, maxmem=1 << 27, dklen=32)
    else:
        info = b"bsim/2/" + wrapping.encode() + b"\1"
        key = hmac.digest(hmac.digest(meta["salt"], secret, "sha256"), info, "sha256")
    context = b"bsim/2/key" + meta["card_id"] + meta["salt"] + meta["cost"] + meta["wrapping"]
    key = unseal(key, meta["wrapped_key"], context)
    commits = meta["manifest"][:8]
    entries = unseal(key, meta["manifest"][8:], b"bsim/2/manifest" + meta["card_id"] + commits)
    expected, records = b"", {}
    for name, (version, value) in sorted(rows(path).items()):
        number = version.to_bytes(8, "big")
        expected += len(name.encode()).to_bytes(2, "big") + number + value[-16:] + name.encode()
        records[name] = unseal(key, value, b"bsim/2/record" + meta["card_id"] + number + name.encode())
    assert entries == expected
    return records


@pytest.mark.parametrize("kind", KEYS)
def test_the_description_of_the_format_is_enough(path: Path, kind: str) -> None:
    key = KEYS[kind]
    path.write_bytes((GOLDEN / f"format-2-{kind}.bsim").read_bytes())
    found = read_by_the_description(path, key.wrapping.value, key.secret)
    stored = json.loads((GOLDEN / "records.json").read_text())
    assert found == {name: bytes.fromhex(value) for name, value in stored.items()}


def test_format_1_is_migrated_and_says_so(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes((GOLDEN / "format-1.bsim").read_bytes())
    records = load(path)
    assert [entry.getMessage() for entry in caplog.records] == [
        f"{path}: brought to the present format, and NOT PROTECTED: bsim card rekey protects it"
    ]
    assert load(path) == records
    assert len(caplog.records) == 1, "once"
    with closing(SqliteStore(path)) as store:
        assert store.header.wrapping is Wrapping.PLAIN
        store.rekey(Given(KEY_FILE))
    assert leaks(b"".join(image(path.parent).values()), secrets(records)) == []


def test_a_migration_that_fails_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    path.write_bytes((GOLDEN / "format-1.bsim").read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr("bsim.store.schema.write_header", full)
        with pytest.raises(StoreError):
            load(path)
    with closing(sqlite3.connect(path)) as database:
        assert len(database.execute("SELECT * FROM record").fetchall()) == 12
    assert load(path)["wallet.tries"] == b"\x07"


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("PRAGMA user_version = 3", "another version of bsim: its format is 3"),
        ("PRAGMA application_id = 1", "another program's"),
        ("DROP TABLE record", "another program's"),
    ],
)
def test_formats_that_are_not_known(path: Path, statement: str, words: str) -> None:
    make(path)
    edit(path, (statement, ()))
    with pytest.raises(StoreError, match=words):
        load(path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE record SET value = x'32' WHERE name = 'card.format'",
        "UPDATE record SET value = 'text' WHERE name = 'wallet.bpin'",
    ],
)
def test_a_damaged_file_of_format_1(path: Path, statement: str) -> None:
    path.write_bytes((GOLDEN / "format-1.bsim").read_bytes())
    edit(path, (statement, ()))
    with pytest.raises(DamagedError, match="not a usable card file"):
        load(path)


# Who holds it.


def test_a_lock_goes_with_the_process(path: Path) -> None:
    records = make(path)
    hold = "import sys; from pathlib import Path; from bsim.store import SqliteStore\n"
    hold += (
        "kept = SqliteStore(Path(sys.argv[1])); kept.write({'a': b'1'}); print('held', flush=True); sys.stdin.read()"
    )
    with running("-c", hold, str(path), stdin=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match="in use by another program"):
            load(path)
        with (
            closing(sqlite3.connect(path, timeout=0)) as outside,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            outside.execute("SELECT * FROM record")
        child.send_signal(signal.SIGKILL)
    assert load(path) == {**records, "a": b"1"}


def test_another_program_may_hold_it(path: Path) -> None:
    records = make(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as outside:
        outside.execute("BEGIN EXCLUSIVE")
        with pytest.raises(BusyError, match="in use"):
            load(path)
        outside.execute("ROLLBACK")
    assert load(path) == records


def test_a_link_is_the_same_card(path: Path) -> None:
    records = make(path)
    link = path.with_name("link.bsim")
    link.symlink_to(path)
    with closing(SqliteStore(path)), pytest.raises(BusyError, match=r"link\.bsim"):
        load(link)
    assert load(link) == records


def test_one_holder_at_a_time_whoever_comes_and_goes(path: Path) -> None:
    records = make(path)
    holders, refused, opened = Semaphore(1), [0] * 4, [0] * 4

    def come_and_go(number: int) -> None:
        while opened[number] < 40:
            try:
                store = SqliteStore(path)
            except BusyError:
                refused[number] += 1
                continue
            assert holders.acquire(blocking=False), "two at once"
            store.write({"a": bytes((number,))})
            holders.release()
            store.close()
            opened[number] += 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(come_and_go, range(4)))
    assert sum(refused) > 0
    assert {**load(path), "a": b""} == {**records, "a": b""}


def test_a_lock_that_always_slips_away_is_given_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(path)
    monkeypatch.setattr("bsim.store.lock.FileLock._still_there", lambda _: False)
    with pytest.raises(BusyError):
        SqliteStore(path)


def test_a_folder_without_locks_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    make(path)
    monkeypatch.setattr("fcntl.flock", unsupported)
    with pytest.raises(StoreError, match=r"cannot be locked \(No locks available\)"):
        SqliteStore(path)


def test_a_lock_file_that_was_left_is_no_lock(path: Path) -> None:
    records = make(path)
    path.with_name("card.bsim-lock").touch()
    assert load(path) == records


# What else may be there, and what the disk does.


@contextmanager
def nobody() -> Iterator[None]:
    """As a user who is not root, for whom permissions count."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_or_folder_that_is_read_only(folder: Path, path: Path) -> None:
    records = make(path)
    before = image(folder)
    folder.chmod(0o777)
    path.chmod(0o444)
    with nobody(), pytest.raises(StoreError, match=r"card\.bsim: cannot be written: .* read-only"):
        load(path)
    path.chmod(0o666)
    folder.chmod(0o555)
    with nobody(), pytest.raises(StoreError, match=r"card\.bsim: cannot be locked .* folder that can be written"):
        load(path)
    folder.chmod(0o755)
    path.chmod(0o000)
    if not os.geteuid():
        folder.chmod(0o777)
        with nobody(), pytest.raises(StoreError, match="cannot be read"):
            load(path)
    path.chmod(0o600)
    assert image(folder) == before
    assert load(path) == records


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_a_refusal_and_no_more(path: Path) -> None:
    make(path)
    with closing(SqliteStore(path)) as store:
        card = power_on(store)
        select(card)
        for size in range(0, 24_000, 1000):
            before = dict(store.read())
            with disk_of(size):
                answer = card.transmit(apdu("DERIVE_KEY", coin_type=60, algorithm=1))
            assert answer in {b"\x65\x81", b"\x90\x00"}
            assert (store.read() == before) == (answer == b"\x65\x81")
        with disk_of(0), pytest.raises(StoreError, match=r"card\.bsim: cannot be written: the disk is full"):
            store.write({"a": bytes(5000)})
        derive(card)
        records = dict(store.read())
    assert load(path) == records


def test_nothing_is_left_of_a_card_that_could_not_be_made(path: Path) -> None:
    for size in (0, 1000, 5000, 9000):
        with disk_of(size), pytest.raises(StoreError, match="cannot be"):
            SqliteStore(path, create=True)
        assert image(path.parent) == {}


def test_a_card_opened_on_a_full_disk_is_not_hurt(path: Path) -> None:
    records = make(path)
    with disk_of(0):
        assert load(path) == records
    assert load(path) == records


def test_things_that_are_no_card_files(folder: Path) -> None:
    (folder / "folder.bsim").mkdir()
    os.mkfifo(folder / "pipe.bsim")
    (folder / "foreign.bsim").touch()
    edit(folder / "foreign.bsim", ("CREATE TABLE mine (x)", ()), ("INSERT INTO mine VALUES (1)", ()))
    (folder / "lost.bsim").symlink_to(folder / "nothing")
    for name, words in {
        "folder": "a folder, not a card file",
        "pipe": "not a card file",
        "foreign": "another program's database",
        "lost": "no such card file",
    }.items():
        before = image(folder)
        with pytest.raises(StoreError, match=rf"{name}\.bsim: .*{words}"):
            load(folder / f"{name}.bsim")
        assert image(folder) == before


def test_a_file_that_is_far_too_long_is_not_read(path: Path) -> None:
    with path.open("wb") as huge:
        huge.truncate(1 << 40)
    with pytest.raises(DamagedError, match="too long for one"):
        load(path)


def test_a_database_made_to_run_for_ever_is_stopped(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(path)
    monkeypatch.setattr("bsim.store.schema._PATIENCE", 10)
    with pytest.raises(DamagedError, match="interrupted"):
        load(path)


# What can be found.


def test_no_secret_is_in_the_file_its_log_or_any_message(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    seen: list[bytes] = []
    with closing(SqliteStore(path, create=True, unlock=Given(KEYS["passphrase"]))) as store:
        card = by_hand(store=store)
        derive(card, count=2)
        respond(card, fetch(card, enter(card, card.transmit(apdu("UPDATE_BPIN")), BPIN, "271828", "271828")))
        enter(card, card.transmit(apdu("VERIFY_BPIN")), "271828")
        sign(card)
        expect(card, "EXPORT_SEED", key2=b"Passw0rd")
        seen += image(path.parent).values()
        records = dict(store.read())
        store.rekey(Given(KEY_FILE))
        seen += image(path.parent).values()
        seen += [repr(store.header).encode(), repr(KEYS["passphrase"]).encode(), repr(Given(KEY_FILE)).encode()]
    seen += image(path.parent).values()
    with pytest.raises(StoreError) as caught:
        load(path, Key(Wrapping.KEY_FILE, PASSPHRASE.encode()[:32].ljust(32)))
    fault: BaseException | None = caught.value
    while fault is not None:
        seen.append(f"{fault} {fault!r} {fault.args}".encode())
        fault = fault.__cause__ or fault.__context__
    seen.append(caplog.text.encode())
    assert sum(map(len, seen)) > 50_000
    assert leaks(b"\0".join(seen), secrets(records)) == []


def test_the_search_finds_what_is_there(path: Path) -> None:
    path.write_bytes((GOLDEN / "format-1.bsim").read_bytes())
    assert set(leaks(path.read_bytes(), secrets())) == {"entropy", "seed", "new BPIN"}
    assert leaks(secrets()["private key 1"].hex().encode(), secrets()) == ["private key 1"]


def test_modes(path: Path) -> None:
    old = os.umask(0)
    try:
        with closing(SqliteStore(path, create=True)) as store:
            store.write({"a": b"1"})
            assert {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()} == {0o600}
            assert image(path.parent).keys() == {"card.bsim", "card.bsim-wal", "card.bsim-lock"}
    finally:
        os.umask(old)


def test_one_command_is_one_transaction(path: Path) -> None:
    make(path)
    with closing(SqliteStore(path)) as store:
        before = {name: version for name, (version, _) in _live(store).items()}
        card = power_on(store)
        select(card)
        derive(card)
        after = {name: version for name, (version, _) in _live(store).items()}
    assert {name: version for name, version in after.items() if before[name] != version} == {
        "wallet.slots": max(before.values()) + 1
    }


def _live(store: SqliteStore) -> dict[str, tuple[int, bytes]]:
    database = store._connected
    return {name: (version, value) for name, version, value in database.execute("SELECT * FROM record")}


def test_a_header_with_something_too_many_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "card.bsim"
    make(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("INSERT INTO meta VALUES ('extra', x'00')")
        database.commit()
    before = path.read_bytes()
    with pytest.raises(DamagedError, match="something too many"):
        SqliteStore(path)
    assert path.read_bytes() == before
