"""What survives power loss: both stores by the same rules, the memory over them, and files that cannot be used."""

import os
import re
import stat
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers import ETHEREUM, bare_card, derive, expect, export, record, select, send, sign

from bsim.ports import Store
from bsim.profiles import power_on
from bsim.store import Layout, Memory, RamStore, SqliteStore, StoreError

Make = Callable[[], Store]


@pytest.fixture(params=["RAM", "SQLite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    made: Store = RamStore() if request.param == "RAM" else SqliteStore(tmp_path / "card.bsim", create=True)
    yield made
    made.close()


def records(store: Store) -> dict[str, bytes]:
    return {name: value for name, value in store.read().items() if name != "card.format"}


def test_records_there_and_back(store: Store) -> None:
    assert records(store) == {}
    store.write({"a": b"\x00\xff", "b": b""})
    store.write({"b": b"2", "c": bytes(100_000)})
    assert records(store) == {"a": b"\x00\xff", "b": b"2", "c": bytes(100_000)}
    store.write({"a": None, "missing": None, "c": b"3"})
    assert records(store) == {"b": b"2", "c": b"3"}
    store.write({})
    assert records(store) == {"b": b"2", "c": b"3"}


def test_what_was_read_does_not_change_what_is_kept(store: Store) -> None:
    store.write({"a": b"1"})
    before = store.read()
    store.write({"a": b"2"})
    assert before["a"] == b"1"
    assert records(store) == {"a": b"2"}


def test_closed_twice_is_closed(store: Store) -> None:
    store.close()
    store.close()


def test_a_card_lives_in_either_store(store: Store) -> None:
    card = bare_card(store=store)
    select(card)
    derive(card, count=3)
    again = power_on(store)
    select(again)
    assert export(again) == b"".join(record(ETHEREUM, slot) for slot in (1, 2, 3))


# Files.


def test_a_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "card.bsim"
    with closing(SqliteStore(path, create=True)):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_a_card_file_outlives_the_process_that_made_it(tmp_path: Path) -> None:
    path = tmp_path / "card.bsim"
    with closing(SqliteStore(path, create=True)) as first:
        card = bare_card(store=first)
        select(card)
        derive(card, count=2)
        expect(card, "SET_BPIN", bpin=b"654321")
    with closing(SqliteStore(path)) as second:
        card = power_on(second)
        assert isinstance(card.reset(), bytes)
        select(card)
        assert export(card) == record(ETHEREUM, 1) + record(ETHEREUM, 2)
        expect(card, "SET_BPIN", 0x6985, bpin=b"111111")


def test_one_card_is_in_one_program_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "card.bsim"
    with closing(SqliteStore(path, create=True)) as first:
        first.write({"a": b"1"})
        with pytest.raises(StoreError, match="in use"):
            SqliteStore(path)
        assert records(first) == {"a": b"1"}, "the one who has it keeps it"
    with closing(SqliteStore(path)) as second:
        assert records(second) == {"a": b"1"}


def test_a_transaction_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "card.bsim"
    with closing(SqliteStore(path, create=True)) as kept:
        kept.write({"a": b"1", "b": b"1"})
        with pytest.raises((StoreError, TypeError)):
            kept.write({"a": b"2", "b": None, "c": object()})  # type: ignore[dict-item]
        assert records(kept) == {"a": b"1", "b": b"1"}
        kept.write({"a": b"3"})
        assert records(kept) == {"a": b"3", "b": b"1"}


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "card.bsim"
    path.write_bytes(b"precious")
    with pytest.raises(StoreError, match="exists already"):
        SqliteStore(path, create=True)
    assert path.read_bytes() == b"precious"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no such card file; `bsim new .*` makes one"):
        SqliteStore(tmp_path / "none.bsim")
    assert not (tmp_path / "none.bsim").exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be made"):
        SqliteStore(tmp_path / "none" / "card.bsim", create=True)


@pytest.mark.parametrize("content", [b"not a database, and long enough to be looked at" * 30, b"short"])
def test_a_file_that_is_no_card(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "card.bsim"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="not a usable card file"):
        SqliteStore(path)


def test_an_empty_file_is_no_card(tmp_path: Path) -> None:
    path = tmp_path / "card.bsim"
    path.touch()
    with pytest.raises(StoreError, match="not a usable card file"):
        SqliteStore(path)


def test_a_store_that_was_closed_refuses(tmp_path: Path) -> None:
    path = tmp_path / "card.bsim"
    closed = SqliteStore(path, create=True)
    card = bare_card(store=closed)
    select(card)
    closed.close()
    with pytest.raises(StoreError, match=re.escape(str(path))):
        closed.read()
    with pytest.raises(StoreError, match=re.escape(str(path))):
        closed.write({"a": b"1"})
    derive(card, sw=0x6581)
    assert export(card) == b""


# Memory.


@dataclass(frozen=True)
class Pair:
    left: int
    right: int


BYTE = (lambda value: bytes((value,)), lambda raw: raw[0])
LAYOUT = Layout(Pair, "pair", {"left": BYTE, "right": BYTE})
OTHER = Layout(Pair, "other", {"left": BYTE, "right": BYTE})


class Counting(RamStore):
    def __init__(self) -> None:
        super().__init__({"pair.left": b"\x01", "pair.right": b"\x02", "other.left": b"\x03", "other.right": b"\x04"})
        self.writes: list[dict[str, bytes | None]] = []

    def write(self, changes: object) -> None:
        self.writes.append(dict(changes))  # type: ignore[call-overload]
        super().write(changes)  # type: ignore[arg-type]


def test_only_what_differs_is_written_and_all_of_it_at_once() -> None:
    store = Counting()
    memory = Memory(store)
    pair, other = memory.cell(LAYOUT), memory.cell(OTHER)
    assert (pair.value, other.value) == (Pair(1, 2), Pair(3, 4))
    memory.commit()
    pair.put(Pair(1, 2))
    memory.commit()
    assert store.writes == []
    pair.put(Pair(9, 2))
    other.put(Pair(3, 8))
    assert memory.dirty
    memory.commit()
    assert not memory.dirty
    assert store.writes == [{"pair.left": b"\x09", "other.right": b"\x08"}]


def test_rollback_goes_back_to_the_last_commit() -> None:
    store = Counting()
    memory = Memory(store)
    pair = memory.cell(LAYOUT)
    pair.put(Pair(5, 5))
    memory.commit()
    pair.put(Pair(6, 6))
    memory.rollback()
    assert pair.value == Pair(5, 5)
    assert not memory.dirty
    memory.commit()
    assert len(store.writes) == 1


@pytest.mark.parametrize("records", [{}, {"pair.left": b"\x01"}])
def test_records_that_are_incomplete(records: dict[str, bytes]) -> None:
    with pytest.raises(StoreError, match="pair records are incomplete"):
        Memory(RamStore(records)).cell(LAYOUT)


@pytest.mark.parametrize(
    "slots", ["00", "0000003C0141", "0000003C7F41" + "00" * 65, "0000003C014104", "0000003C0100" * 128]
)
def test_damaged_slots(slots: str) -> None:
    store = RamStore()
    bare_card(store=store)
    store.write({"wallet.slots": bytes.fromhex(slots)})
    with pytest.raises(StoreError, match="wallet records are incomplete or damaged"):
        power_on(store)


@pytest.mark.parametrize("record", ["wallet.tries", "wallet.seed", "wallet.bpin", "issuer.iccid"])
def test_a_missing_record(record: str) -> None:
    store = RamStore()
    bare_card(store=store)
    store.write({record: None})
    with pytest.raises(StoreError):
        power_on(store)


@pytest.mark.parametrize("profile", [None, b"unheard of", b"\xff"])
def test_a_store_that_holds_no_card(profile: bytes | None) -> None:
    store = RamStore()
    bare_card(store=store)
    store.write({"card.profile": profile})
    with pytest.raises(StoreError, match="no card of a kind known here"):
        power_on(store)


def test_the_records_of_format_1(tmp_path: Path) -> None:
    """A card written down by hand in the first format ever released: it must load for ever."""
    seed = bytes.fromhex(
        "9dfc3c64c2f8bede1533b6a79f8570e5943e0b8fd1cf77107adf7b72cef42185"
        "d564a3aee24cab43f80e3c4538087d70fc824eabbad596a23c97b6ee8322ccc0"
    )
    slot = bytes.fromhex("0000003C0141") + record(ETHEREUM, 1)[8:]
    store = RamStore(
        {
            "card.profile": b"strict",
            "wallet.version": b"\x00\x51",
            "wallet.entropy": bytes.fromhex("df9bf37e6fcdf9bf37e6fcdf9bf37e3c"),
            "wallet.seed": seed,
            "wallet.bpin": b"123456",
            "wallet.bpin_is_default": b"\x01",
            "wallet.tries": b"\x07",
            "wallet.opening_key": bytes(range(0x40, 0x50)),
            "wallet.opened": b"\x00",
            "wallet.slots": slot,
            "issuer.iccid": bytes.fromhex("98580203121032547698"),
        }
    )
    card = power_on(store)
    select(card)
    assert export(card) == record(ETHEREUM, 1)
    derive(card)
    assert export(card)[73:] == record(ETHEREUM, 2)
    assert store.read()["wallet.slots"][: len(slot)] == slot
    assert send(card, "GET_VERSION") == (b"\x00\x51", 0x9000)
    sign(card, sw=0x6982)
