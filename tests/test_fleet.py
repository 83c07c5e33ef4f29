"""Fleets: the same cards from the same seed however they are made, small when idle, whole when used."""

import csv
import errno
import gc
import hashlib
import hmac
import io
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from helpers import (
    CONFLUX,
    DIGEST,
    ETHEREUM,
    ISSUER_AID,
    SOLANA,
    apdu,
    derive,
    expect,
    public_key,
    running,
    select,
    send,
    sign,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from bsim.cli import main
from bsim.cli.common import UsageError
from bsim.cli.fleet_serve import ports
from bsim.cli.progress import Progress, bar, progress_line
from bsim.client import Wallet
from bsim.crypto import ed25519, mnemonic
from bsim.crypto.algorithm import Algorithm
from bsim.crypto.verify import verify
from bsim.fleet import (
    COLUMNS,
    Fleet,
    FleetAccount,
    FleetCard,
    FleetError,
    SignError,
    SignJob,
    accounts,
    sign_many,
    write_csv,
    write_json,
)
from bsim.fleet.memory import pack, unpack
from bsim.fleet.workers import Workers
from bsim.handset import in_handset
from bsim.ports import Card
from bsim.profiles import encode_iccid, personalisation, ram_card

SEED: Final = "bsim test fleet"
RIGHT: Final = partial(in_handset, handset="right")
COINS: Final = ((ETHEREUM, Algorithm.SECP256K1), (SOLANA, Algorithm.ED25519), (CONFLUX, Algorithm.SECP256K1))

# Pinned: a change of these is another fleet format, and wants another salt.
GOLDEN: Final = (
    ("8986035260548947101", "0xbF956d358Ca2Ec05f92C27E0340019a097AbeDB7"),
    ("8986035260548947119", "0xcC75e087213e9474d5dE4d1A32f0fBB93e33b284"),
    ("8986035260548947127", "0x11F862dC3C9bBBe9e29258c3E8Abc838E497f458"),
)


@pytest.fixture(scope="module")
def many() -> Fleet:
    """2,000 cards, made by two processes."""
    fleet = Fleet(SEED, 2_000)
    fleet.make(processes=2)
    return fleet


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 annex B: doubled every second digit from the right, the digits' sum ends in 0."""
    doubled = (int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(digits)))
    return sum(sum(divmod(number, 10)) for number in doubled) % 10 == 0


def keys_of(card: FleetCard) -> Any:
    """The derived keys inside a powered card."""
    return card._uicc._applets[1].keys  # type: ignore[union-attr]


def test_the_first_cards_are_pinned() -> None:
    found = [(row.iccid, row.address) for row in accounts(Fleet(SEED, 3))]
    assert tuple(found) == GOLDEN


def test_others_can_repeat_the_scheme() -> None:
    """The module's docstring, followed with other libraries down to the public key."""

    def hkdf(info: bytes) -> bytes:
        return HKDF(SHA256(), 32, b"bsim fleet 1", info).derive(SEED.encode())

    for account in accounts(Fleet(SEED, 3)):
        words = mnemonic.from_entropy(hkdf(b"entropy" + account.card.to_bytes(8, "big")))
        seed = hashlib.pbkdf2_hmac("sha512", words.encode(), b"mnemonic", 2048)
        assert account.public_key == public_key(ETHEREUM, 1, 1, seed)
        digits = "898603" + str((int.from_bytes(hkdf(b"iccid"), "big") + account.card) % 10**12).zfill(12)
        assert account.iccid[:-1] == digits
        assert luhn(account.iccid)


def test_a_card_is_the_same_in_any_fleet_of_its_seed(many: Fleet) -> None:
    alone = Fleet(SEED.encode(), 1_500)
    rows = {row.card: row for row in accounts(many)}
    for number in (1_499, 0, 777):  # in any order, with no other card made
        wallet = Wallet(alone[number])
        assert wallet.iccid() == rows[number].iccid
        assert [account.address for account in wallet.accounts()] == [rows[number].address]
    assert sum(alone.memory.made(number) for number in range(len(alone))) == 3


def test_a_made_card_is_one_that_was_told_to_derive() -> None:
    fleet = Fleet(SEED, 2, coins=COINS)
    words = mnemonic.from_entropy(fleet.plan.entropy(1))
    told = Wallet(ram_card(personalisation(mnemonic=words)))
    for coin_type, algorithm in COINS:
        told.derive(coin_type, algorithm)
    assert Wallet(fleet[1]).accounts() == told.accounts()


def test_no_two_cards_share_anything(many: Fleet) -> None:
    rows = list(accounts(many))
    for column in ("iccid", "public_key", "address"):
        assert len({getattr(row, column) for row in rows}) == len(many) == 2_000
    assert all(luhn(row.iccid) for row in rows)
    assert all(encode_iccid(row.iccid) == many.plan.iccid(row.card) for row in rows[::100])
    assert {Fleet("another", 1).plan.entropy(0), Fleet(SEED, 1).plan.entropy(0)}.isdisjoint({many.plan.entropy(1)})


def test_it_is_a_sequence_of_cards() -> None:
    fleet = Fleet(SEED, 5, coins=())
    assert len(fleet) == 5
    assert list(fleet) == [fleet[number] for number in range(5)]
    assert fleet[-1] is fleet[4]
    for number in (5, -6):
        with pytest.raises(IndexError, match="cards 0 to 4"):
            fleet[number]
    with pytest.raises(TypeError):
        fleet["0"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seed": b""}, "seed"),
        ({"size": 0}, "1 to"),
        ({"size": 10**12 + 1}, "1 to"),
        ({"coins": ((1 << 31, Algorithm.SECP256K1),)}, "coin type"),
        ({"coins": ((60, 127),)}, "algorithm"),
        ({"coins": ((60, Algorithm.SM2),), "profile": "strict"}, "algorithm"),
        ({"coins": ((60, Algorithm.SECP256K1),) * 128}, "127 slots"),
        ({"profile": "none"}, "no profile"),
        ({"bpin": "12345"}, "six digits"),
        ({"powered": 0}, "at least one"),
    ],
)
def test_what_cannot_be_says_why(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Fleet(**{"seed": SEED, "size": 1, **options})


def test_nothing_shows_the_seed() -> None:
    fleet = Fleet("a secret", 1, bpin="271828")
    for value in (fleet, fleet.plan, fleet[0], fleet.memory):
        assert "a secret" not in repr(value)
        assert "271828" not in repr(value)


def test_a_held_card_never_loses_power() -> None:
    fleet = Fleet(SEED, 6, powered=2, phone=RIGHT)
    held = fleet[0]
    Wallet(held).verify_bpin()
    for number in range(1, 6):
        select(fleet[number])
    assert held.powered
    assert fleet[0] is held
    sign(held)


def test_a_card_nobody_holds_stays_powered_for_a_while_and_then_loses_power_and_keys() -> None:
    fleet = Fleet(SEED, 6, powered=2, phone=RIGHT)
    Wallet(fleet[0]).verify_bpin()
    sign(fleet[0])
    keys = keys_of(fleet[0])
    key = keys.ready[1]
    select(fleet[1])
    sign(fleet[0])  # one of the two last asked for
    select(fleet[2])
    select(fleet[3])
    assert not keys.ready
    with pytest.raises(ValueError, match="wiped"):
        key.sign(DIGEST)
    assert not fleet[0].powered
    select(fleet[0])
    sign(fleet[0], sw=0x6982)


def test_no_more_cards_stay_powered_than_were_allowed() -> None:
    fleet = Fleet(SEED, 40, coins=(), powered=7)
    for card in fleet:
        select(card)
    del card
    assert sum(card.powered for card in list(fleet._held.values())) == 7


def test_what_a_card_keeps_outlives_its_power() -> None:
    fleet = Fleet(SEED, 3, powered=1)
    select(fleet[0])
    derive(fleet[0], CONFLUX)
    expect(fleet[0], "SET_BPIN", bpin=b"271828")
    before = Wallet(fleet[0]).accounts()
    for number in (1, 2):
        select(fleet[number])
    assert not fleet[0].powered
    assert Wallet(fleet[0]).accounts() == before
    assert [account.coin_type for account in before] == [ETHEREUM, CONFLUX]
    expect(fleet[0], "SET_BPIN", 0x6985, bpin=b"314159")
    assert [row.slot for row in accounts(fleet)] == [1, 2, 1, 1]  # the table tells cards as they are now


def test_a_wrong_bpin_costs_a_try_over_power_loss() -> None:
    """Ten tries, with the power gone after each: what is spent stays spent."""
    fleet = Fleet(SEED, 2, coins=(), powered=1, phone=partial(in_handset, handset="wrong,cancel"))
    for _ in range(10):
        select(fleet[0])
        send(fleet[0], "VERIFY_BPIN")
        fleet[0].close()
    select(fleet[0])
    expect(fleet[0], "VERIFY_BPIN", 0x6983)


def test_close_takes_the_power_and_the_card_can_be_used_again() -> None:
    with Fleet(SEED, 2, phone=RIGHT) as fleet:
        card = fleet[0]
        atr = card.reset()
        wallet = Wallet(card)
        wallet.verify_bpin()
        wallet.sign(ETHEREUM, 1, DIGEST)
        card.close()
        card.close()
        assert not card.powered
        select(card)
        sign(card, sw=0x6982)
        assert card.reset() == atr
    assert not card.powered


def test_a_fleet_that_is_dropped_leaves_no_key() -> None:
    fleet = Fleet(SEED, 1, phone=RIGHT)
    Wallet(fleet[0]).verify_bpin()
    sign(fleet[0])
    key = keys_of(fleet[0]).ready[1]
    del fleet
    with pytest.raises(ValueError, match="wiped"):
        key.sign(DIGEST)


def test_threads_may_ask_for_the_same_cards() -> None:
    fleet = Fleet(SEED, 8, coins=(), powered=2)
    faults: list[BaseException] = []

    def use(first: int) -> None:
        try:
            for turn in range(40):
                assert fleet[(first + turn) % 8].reset()
        except BaseException as fault:  # noqa: BLE001
            faults.append(fault)

    threads = [threading.Thread(target=use, args=(first,)) for first in (0, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


NAMES: Final = st.text(min_size=1, max_size=20)
RECORDS: Final = st.dictionaries(NAMES, st.binary(max_size=300), max_size=6)


@settings(max_examples=50)
@given(RECORDS, RECORDS)
def test_packed_records_are_unpacked_again(blank: dict[str, bytes], records: dict[str, bytes]) -> None:
    assert unpack(blank, pack(blank, records)) == records


def test_an_idle_card_is_small(many: Fleet) -> None:
    """Each with a derived key; measured over all of them, made anew so that every byte is counted."""
    packed = [many.memory.packed(number) for number in range(len(many))]
    gc.collect()
    tracemalloc.start()
    try:
        fleet = Fleet(SEED, len(many))
        for number, one in enumerate(packed):
            fleet.memory.fill(number, bytes(bytearray(one)))
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / len(fleet) <= 1024


def test_used_cards_are_small_again(many: Fleet) -> None:
    used = 500
    fleet = Fleet(SEED, used, powered=4)
    for number in range(used):
        fleet.memory.fill(number, many.memory.packed(number))
    select(fleet[0])
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(used):
            select(fleet[number])
            derive(fleet[number], CONFLUX)
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / used <= 1024
    fleet.close()


def told(card: Card) -> list[tuple[Any, ...]]:
    """The rows of a card by its own answers."""
    wallet = Wallet(card)
    return [
        (wallet.iccid(), a.slot, a.coin_type, a.coin, a.algorithm.name.lower(), a.public_key.hex(), a.address)
        for a in wallet.accounts()
    ]


@pytest.mark.parametrize("processes", [1, 2])
def test_the_table_is_what_the_cards_answer(processes: int) -> None:
    fleet = Fleet(SEED, 130, coins=(*COINS, (999, Algorithm.SECP256K1)))
    rows = list(accounts(fleet, processes))
    as_csv, as_json = io.StringIO(), io.StringIO()
    write_csv(rows, as_csv)
    write_json(rows, as_json)
    from_csv = list(csv.DictReader(io.StringIO(as_csv.getvalue())))
    from_json = json.loads(as_json.getvalue())
    assert [{k: "" if v is None else str(v) for k, v in row.items()} for row in from_json] == from_csv
    assert all(tuple(row) == COLUMNS for row in from_json)
    assert [row["address"] for row in from_json[3::4]] == [None] * 130
    for number in (0, 63, 64, 129):
        own = [tuple(row.values())[1:] for row in from_json if row["card"] == number]
        assert own == told(fleet[number])


def test_a_table_of_no_keys_is_a_table() -> None:
    rows = accounts(Fleet(SEED, 2, coins=()))
    stream = io.StringIO()
    write_json(rows, stream)
    assert json.loads(stream.getvalue()) == []


def jobs_for(cards: int, count: int) -> list[SignJob]:
    return [SignJob(at * 7 % cards, 1, ETHEREUM, hashlib.sha256(bytes((at % 256,))).digest()) for at in range(count)]


@pytest.mark.parametrize(("processes", "threads"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_signatures_are_in_order_and_of_the_cards(many: Fleet, processes: int, threads: int) -> None:
    fleet = Fleet(SEED, 40, phone=RIGHT, powered=8)
    jobs = jobs_for(40, 3_000)
    signatures = list(sign_many(fleet, iter(jobs), processes=processes, threads=threads))
    assert len(signatures) == len(jobs)
    keys = {row.card: row.public_key for row in accounts(many) if row.card < 40}
    for job, signature in list(zip(jobs, signatures, strict=True))[::97]:
        assert verify(keys[job.card], job.digest, signature)
    again = dict(zip(jobs, signatures, strict=True))
    assert [again[job] for job in jobs] == signatures  # RFC 6979: one digest, one signature


def test_cards_sign_with_the_slots_they_have_now() -> None:
    fleet = Fleet(SEED, 4, phone=RIGHT)
    select(fleet[3])
    derive(fleet[3], SOLANA, Algorithm.ED25519)
    (message,) = sign_many(fleet, [SignJob(3, 2, SOLANA, b"any message")], processes=2)
    key = Wallet(fleet[3]).accounts()[1].public_key
    assert ed25519.verify(key, b"any message", message)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_refusal_names_the_card(processes: int) -> None:
    fleet = Fleet(SEED, 4, phone=RIGHT)
    with pytest.raises(SignError, match="card 2 refused to sign: 6A88") as refusal:
        list(sign_many(fleet, [*jobs_for(4, 2), SignJob(2, 9, ETHEREUM, DIGEST)], processes=processes))
    assert (refusal.value.card, refusal.value.sw) == (2, 0x6A88)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_job_for_no_card_is_told(processes: int) -> None:
    fleet = Fleet(SEED, 4, phone=RIGHT)
    with pytest.raises(IndexError, match="cards 0 to 3"):
        list(sign_many(fleet, jobs_for(5, 5), processes=processes))


def test_a_user_who_does_not_type_is_a_refusal() -> None:
    fleet = Fleet(SEED, 1, phone=partial(in_handset, handset="cancel"))
    with pytest.raises(SignError, match="6982"):
        list(sign_many(fleet, jobs_for(1, 1)))


def test_signing_wants_phones_and_hands() -> None:
    with pytest.raises(FleetError, match="phone="):
        sign_many(Fleet(SEED, 1), [])
    for options in ({"processes": 0}, {"threads": 0}):
        with pytest.raises(ValueError, match="at least one"):
            sign_many(Fleet(SEED, 1, phone=RIGHT), [], **options)
    with pytest.raises(ValueError, match="at least one"):
        next(accounts(Fleet(SEED, 1), 0))


def test_progress_counts_up_to_all() -> None:
    seen: list[tuple[int, int]] = []
    Fleet(SEED, 100, coins=()).make(progress=lambda done, total: seen.append((done, total)))
    assert seen == [(64, 100), (100, 100)]


def test_a_table_left_half_read_ends_its_processes() -> None:
    rows = accounts(Fleet(SEED, 400), 2)
    assert next(rows).card == 0
    rows.close()  # type: ignore[attr-defined]
    assert not [one for one in threading.enumerate() if one.name.startswith("ThreadPoolExecutor")]


def test_a_worker_that_dies_is_told() -> None:
    with Workers[int, None](die, 1) as workers, pytest.raises(FleetError, match=f"exit code -{signal.SIGKILL}"):
        workers.submit(0, 1).result()


def die(_work: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


SCRIPT: Final = """
from functools import partial
from bsim.fleet import Fleet, FleetError, SignJob, sign_many
from bsim.handset import in_handset

def run():
    fleet = Fleet("spawn", 130, phone=partial(in_handset, handset="right"))
    fleet.make(processes=2)
    print(len(list(sign_many(fleet, [SignJob(card, 1, 60, bytes(32)) for card in range(130)], processes=2))))

"""


def python(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT + textwrap.dedent(text))
    command = [sys.executable, "-W", "error", str(script)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_script_may_use_processes(tmp_path: Path) -> None:
    done = python(tmp_path, 'if __name__ == "__main__":\n    run()\n')
    assert (done.returncode, done.stdout, done.stderr) == (0, "130\n", "")


def test_a_script_without_its_guard_is_told(tmp_path: Path) -> None:
    """The processes it begins would begin it again; they end instead, and it says why."""
    done = python(tmp_path, "try:\n    run()\nexcept FleetError as fault:\n    print(fault)\n")
    assert '__name__ == "__main__"' in done.stdout


def exported(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["fleet", "export", *words])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_the_verb_writes_the_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = exported(capsys, "--seed", SEED, "--cards", "3")
    assert (code, err) == (0, "")
    assert tuple((row["iccid"], row["address"]) for row in csv.DictReader(io.StringIO(out))) == GOLDEN
    assert SEED not in out
    file = tmp_path / "accounts.json"
    words = ("--seed", "0x" + SEED.encode().hex(), "--cards", "3", "--format", "json", "--output", str(file))
    assert exported(capsys, *words, "--coin", "eth", "--coin", "solana", "--processes", "1") == (0, "", "")
    rows = json.loads(file.read_text())
    assert [(row["coin"], row["algorithm"]) for row in rows[:2]] == [("Ether", "secp256k1"), ("Solana", "ed25519")]
    assert tuple((row["iccid"], row["address"]) for row in rows[::2]) == GOLDEN
    assert exported(capsys, *words)[0] == 2  # never overwritten
    assert len(json.loads(file.read_text())) == 6


def test_the_seed_may_come_from_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert exported(capsys, "--cards", "1")[0] == 2
    monkeypatch.setenv("BSIM_FLEET_SEED", SEED)
    assert GOLDEN[0][1] in exported(capsys, "--cards", "1")[1]


@pytest.mark.parametrize(
    "words",
    [
        ("--seed", "", "--cards", "1"),
        ("--seed", "0xsecret", "--cards", "1"),
        ("--seed", "s", "--cards", "0"),
        ("--seed", "s", "--cards", "1", "--coin", "nothing"),
        ("--seed", "s", "--cards", "1", "--processes", "0"),
        ("--seed", "s", "--cards", "1", "--output", "/nowhere/at/all"),
    ],
)
def test_wrong_usage_is_told(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    code, out, err = exported(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("bsim: ")
    assert "secret" not in err


def test_a_table_that_breaks_off_leaves_no_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Iterator[FleetAccount]:
        yield next(accounts(Fleet(SEED, 1)))
        raise FleetError("broken off")

    monkeypatch.setattr("bsim.fleet.accounts", broken)
    file = tmp_path / "accounts.csv"
    code, _, err = exported(capsys, "--seed", "s", "--cards", "2", "--output", str(file))
    assert (code, err) == (1, "bsim: broken off\n")
    assert not file.exists()


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit(143), OSError(errno.ENOSPC, "No space left on device")])
def test_a_table_that_is_not_written_to_its_end_leaves_no_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: BaseException
) -> None:
    """Whoever ends it, or the disk."""

    def broken(*_: object) -> Iterator[FleetAccount]:
        yield next(accounts(Fleet(SEED, 1)))
        raise end

    monkeypatch.setattr("bsim.fleet.accounts", broken)
    file = tmp_path / "accounts.csv"
    code, _, err = exported(capsys, "--seed", "s", "--cards", "2", "--output", str(file))
    full = isinstance(end, OSError)
    assert code == (2 if full else 143 if isinstance(end, SystemExit) else 130)
    assert err == (f"bsim: {file}: cannot be written (No space left on device); it is removed\n" if full else "")
    assert list(tmp_path.iterdir()) == []


def test_progress_is_a_line_on_a_terminal_only() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        with Progress(2, stream) as progress:
            progress(1)
            progress(2)
    assert file.getvalue() == ""
    assert terminal.getvalue().count("\r") == 2
    assert "\r2/2  " in terminal.getvalue()
    assert "[" + "#" * 30 + "]" in terminal.getvalue()
    assert bar(1, 3) == "[" + "#" * 10 + "." * 20 + "]"
    assert progress_line(12_345, 100_000, 2.857) == "12,345/100,000  4,321/s  ETA 00:20"
    assert progress_line(0, 10, 1.0) == "0/10  0/s  ETA --:--"


def test_slots_for_served_cards() -> None:
    local = "127.0.0.1"
    assert ports(None, 2) == [(local, 35963), (local, 35964)]
    assert ports(["35963", "h:40000"], 3) == [(local, 35963), (local, 35964), ("h", 40000)]
    assert ports(["h:40000-40009"], 10) == [("h", port) for port in range(40000, 40010)]
    for given_, cards in ((None, 3), (["1:2:x"], 1), (["70000"], 1), (["5-4"], 1), (["9000", "9001"], 2)):
        with pytest.raises(UsageError):
            ports(given_, cards)


def test_a_fleet_is_served_in_many_slots() -> None:
    """`bsim serve --cards`, with the driver's side of three slots played here."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        taken = [listener.getsockname()[1] for listener in listeners]
        words = [word for port in taken for word in ("--vpcd", f"127.0.0.1:{port}-{port}")]
        serve = ("serve", "--cards", "3", "--fleet-seed", SEED, "--json")
        served = stack.enter_context(running("-m", "bsim", *serve, *words))
        slots = []
        for listener in listeners:
            listener.settimeout(30)
            slots.append(stack.enter_context(listener.accept()[0]))
        atrs = {over(slot, b"\x04").hex().upper() for slot in slots}
        assert served.stdout is not None
        line = json.loads(served.stdout.readline())
        assert line["ready"]
        assert {line["atr"]} == atrs
        assert line["vpcd"] == [f"127.0.0.1:{port}" for port in taken]
        for slot, (iccid, _) in zip(slots, GOLDEN, strict=True):
            over(slot, apdu("SELECT", method="DF_NAME", control=0x0C, identifier=ISSUER_AID))
            assert over(slot, bytes.fromhex("80CA00110C")).hex()[4:24] == encode_iccid(iccid).hex()
        served.terminate()
        assert served.wait(30) == 0


def over(slot: socket.socket, message: bytes) -> bytes:
    """A message to the card in a slot, and its answer."""
    slot.settimeout(30)
    slot.sendall(len(message).to_bytes(2, "big") + message)
    stream = slot.makefile("rb")
    return stream.read(int.from_bytes(stream.read(2), "big"))


@pytest.mark.soak
def test_a_hundred_thousand_cards(capsys: pytest.CaptureFixture[str]) -> None:
    """All made, all addresses derived, none equal."""
    import time

    cards = 100_000
    fleet, seen, began = Fleet(SEED, cards), set[bytes](), time.monotonic()
    for row in accounts(fleet, processes=os.cpu_count() or 1):
        assert row.address is not None
        seen.add(hmac.digest(b"", row.address.encode(), "sha256")[:16])
    seconds = time.monotonic() - began
    assert len(seen) == cards
    size = sum(sys.getsizeof(fleet.memory.packed(number)) + 8 for number in range(cards)) / cards
    assert size <= 1024
    with capsys.disabled():
        print(f"\n{cards:,} cards, {cards / seconds:,.0f} a second, {size:.0f} bytes each, no two addresses equal")
