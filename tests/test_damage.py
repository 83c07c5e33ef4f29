"""Damaged card files by the thousand: refused with a clear error, or loaded as they were; never half, never touched."""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from card_files import KEY_FILE, KEYS, fast_folder, image, leaks, make, secrets

from bsim.store import Given, Key, SqliteStore, StoreError

SEED = int(os.environ.get("BSIM_TEST_SEED", "20260401"))
Records = dict[str, bytes]
Damage = Callable[[random.Random, bytes], bytes]


@pytest.fixture
def folder() -> Iterator[Path]:
    with fast_folder() as made:
        yield made


def flip(rng: random.Random, data: bytes) -> bytes:
    """One bit."""
    at = rng.randrange(len(data) * 8)
    return data[: at // 8] + bytes((data[at // 8] ^ 1 << at % 8,)) + data[at // 8 + 1 :]


def truncate(rng: random.Random, data: bytes) -> bytes:
    """The end is missing."""
    return data[: rng.randrange(len(data))]


def garble(rng: random.Random, data: bytes) -> bytes:
    """A run of bytes is something else."""
    at, length = rng.randrange(len(data)), rng.choice((2, 16, 512, 4096))
    return (data[:at] + rng.randbytes(length) + data[at + length :])[: len(data)]


def blank(rng: random.Random, data: bytes) -> bytes:
    """A sector is zeros, as after a write that never came."""
    at = rng.randrange(len(data) // 512) * 512
    return data[:at] + bytes(512) + data[at + 512 :]


KINDS: tuple[Damage, ...] = (flip, flip, flip, flip, truncate, garble, blank)


def outcome(path: Path, key: Key) -> Records | str:
    """What opening a file comes to: its records, or the words it is refused with. Anything else is a failure."""
    try:
        with closing(SqliteStore(path, unlock=Given(key))) as store:
            return dict(store.read())
    except StoreError as fault:
        words = str(fault)
    if not words.startswith(f"{path}: "):
        pytest.fail(f"a refusal that does not name the file: {words}")
    return words


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("plain", 1500),
        ("key-file", 1500),
        ("passphrase", 20),
        pytest.param("plain", 5000, marks=pytest.mark.soak),
        pytest.param("key-file", 5000, marks=pytest.mark.soak),
        pytest.param("passphrase", 300, marks=pytest.mark.soak),
    ],
)
def test_a_damaged_file_is_refused_or_what_it_was(folder: Path, kind: str, count: int) -> None:
    path, key, rng = folder / "card.bsim", KEYS[kind], random.Random(SEED)
    records = make(path, key)
    sound = path.read_bytes()
    said: dict[str, int] = {}
    for number in range(count):
        damaged = rng.choice(KINDS)(rng, sound)
        path.write_bytes(damaged)
        found = outcome(path, key)
        assert image(folder) == {"card.bsim": damaged}, f"seed {SEED}, case {number}: something was written"
        if isinstance(found, str):
            words = found.removeprefix(f"{path}: ").partition("(")[0][:60]
            said[words] = said.get(words, 0) + 1
        else:
            assert found == records, f"seed {SEED}, case {number}: loaded, and another card"
            said["loaded as it was"] = said.get("loaded as it was", 0) + 1
    print(f"damage, {kind}, seed {SEED}: {count} cases: {said}")
    assert leaks(repr(said).encode(), secrets(records)) == []


def test_a_damaged_file_that_loads_can_be_used(folder: Path) -> None:
    path, rng, used = folder / "card.bsim", random.Random(SEED), 0
    records = make(path, KEY_FILE)
    sound = path.read_bytes()
    for number in range(300):
        path.write_bytes(rng.choice(KINDS)(rng, sound))
        try:
            with closing(SqliteStore(path, unlock=Given(KEY_FILE))) as store:
                store.write({"wallet.slots": bytes(3000), "more": bytes((number & 0xFF,)) * 3000})
        except StoreError:
            continue
        used += 1
        expected = {**records, "wallet.slots": bytes(3000), "more": bytes((number & 0xFF,)) * 3000}
        assert outcome(path, KEY_FILE) == expected, f"seed {SEED}, case {number}"
    assert used > 100


@pytest.fixture
def torn(folder: Path) -> tuple[Path, dict[str, bytes], list[Records]]:
    """A folder for copies, a card file and its log as they are in the middle of its life, and all states it had."""
    path = folder / "life" / "card.bsim"
    path.parent.mkdir()
    with closing(SqliteStore(path, create=True, unlock=Given(KEY_FILE))) as store:
        states = [dict(store.read())]
        for number in range(6):
            store.write({"a": bytes((number,)) * 100, f"b{number % 3}": None if number == 4 else bytes((number,))})
            states.append(dict(store.read()))
        files = image(path.parent)
    assert len(files["card.bsim-wal"]) > 10_000
    copy = folder / "copy"
    copy.mkdir()
    return copy, files, states


def judge(folder: Path, files: dict[str, bytes], log: bytes, states: list[Records]) -> int | None:
    """Which state a card with this log is in; None if it is refused, and then nothing may have been written."""
    for old in folder.iterdir():
        old.unlink()
    path, wal = folder / "card.bsim", folder / "card.bsim-wal"
    path.write_bytes(files["card.bsim"])
    wal.write_bytes(log)
    found = outcome(path, KEY_FILE)
    if isinstance(found, str):
        assert image(folder) == {"card.bsim": files["card.bsim"], "card.bsim-wal": log}, "refused, and touched"
        return None
    assert found in states, "half of something"
    assert outcome(path, KEY_FILE) == found, "another state when it is opened again"
    return states.index(found)


@pytest.mark.parametrize("step", [211, pytest.param(1, marks=pytest.mark.soak)])
def test_a_log_cut_off_anywhere(torn: tuple[Path, dict[str, bytes], list[Records]], step: int) -> None:
    folder, files, states = torn
    log = files["card.bsim-wal"]
    lengths = sorted({*range(0, len(log), step), *frames(log), *(at - 1 for at in frames(log)), len(log)})
    found = [judge(folder, files, log[:length], states) for length in lengths]
    known = [state for state in found if state is not None]
    print(f"torn log: {len(lengths)} lengths, {found.count(None)} refused, states {sorted(set(known))}")
    assert known == sorted(known), "a longer log is never an older state"
    assert known[-1] == len(states) - 1, "the whole log is the last state"
    assert set(known) == set(range(len(states)))


@pytest.mark.parametrize("count", [150, pytest.param(5000, marks=pytest.mark.soak)])
def test_a_garbled_log(torn: tuple[Path, dict[str, bytes], list[Records]], count: int) -> None:
    folder, files, states = torn
    rng = random.Random(SEED)
    found = [judge(folder, files, rng.choice(KINDS)(rng, files["card.bsim-wal"]), states) for _ in range(count)]
    tally = {state: found.count(state) for state in [None, *range(len(states))]}
    print(f"garbled log, seed {SEED}: {count} cases, refused and by state: {tally}")


def frames(log: bytes) -> list[int]:
    """Where the frames of a log begin. https://sqlite.org/fileformat2.html, 4.1: 32 bytes, then 24 and a page each."""
    return list(range(32, len(log), 24 + 4096))
