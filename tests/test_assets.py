"""The registry of assets and the contacts, through the card: lists of every length, and a model of what is there."""

from dataclasses import replace
from functools import partial

import pytest
from asset_oracle import BAYC, FailingStore, Token, add, count, expected, fill, many, segments, stream
from helpers import (
    ENTROPY,
    KEY2,
    apdu,
    bare_card,
    derive,
    exchange,
    expect,
    new_card,
    open_channel,
    seal,
    select,
    verified_card,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from bsim.applets import assets_state
from bsim.card import T0
from bsim.chains import asset
from bsim.chains.asset_layout import MAX_NEW
from bsim.client import Wallet
from bsim.client.assets import Wanted
from bsim.fleet import Fleet
from bsim.handset import in_handset
from bsim.lab.powercut import FaultyStore
from bsim.lab.t0_client import exchange as exchange_t0
from bsim.ports import Card, Store
from bsim.profiles import power_on
from bsim.profiles.life import factory_reset, terminate
from bsim.store import PER_BLOCK, RamStore, Shelf, StoreError

OTHER = bytes(range(16))
ALICE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
BOB = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
CORE = "cfx:acg158kvr8zanb1bs048ryb6rtrhr283ma70vz70tx"


def holder(store: Store | None = None, profile: str = "extended") -> Card:
    """A card whose BPIN is verified, without anybody looking over its answers: for what is done by the thousand."""
    store = store or RamStore()
    bare = bare_card(store=store, profile=profile)
    card = in_handset(bare.card, "right")
    select(card)
    expect(card, "VERIFY_BPIN")
    return card


def again(store: Store) -> Card:
    """The card of a store after power came back, BPIN verified."""
    card = in_handset(power_on(store), "right")
    select(card)
    expect(card, "VERIFY_BPIN")
    return card


# Lists.


@pytest.mark.parametrize("size", [0, 1, 255, 10_000])
def test_list_of(size: int) -> None:
    card = holder()
    tokens = fill(card, many(size))
    found = segments(card)
    assert b"".join(found) == expected(tokens)
    assert all(len(segment) == 256 for segment in found[:-1])
    assert len(found[-1]) <= 256
    assert count(card) == size
    assert asset.parse_all(b"".join(found)) == [asset.parse(tokens[n].listed(n)) for n in sorted(tokens)]


@pytest.mark.parametrize("length", [0x7F, 0x80, 0xFF, 0x100])
def test_lengths_around_those_of_tlv(length: int) -> None:
    """The asset as a whole, and the texts in it as far as they may go."""
    card = verified_card()
    head = {0x7F: 2, 0x100: 4}.get(length, 3)
    whole = Token(1).sized(1, length + head)
    texts = Token(2, name=b"n" * min(length, 0x80), media=b"m:" + b"x" * (length - 2), issuer=b"i" * 64)
    tokens = fill(card, [whole, texts])
    found = stream(card)
    assert found == expected(tokens)
    assert int.from_bytes(found[2 - (head == 2) : head], "big") in {length, 0x81 << 8 | length}


# No data object has 259 bytes: 3 and 255 are 258, 4 and 256 are 260.
@pytest.mark.parametrize("size", sorted({*range(250, 262), *range(506, 518)} - {259}))
def test_segments_are_cut_where_they_fall(size: int) -> None:
    """The second asset begins around the end of a segment: its tag, its length or its first field is split."""
    card = verified_card()
    tokens = fill(card, [Token(1).sized(1, size), Token(2).sized(2, 300), Token(3)])
    found = segments(card)
    assert b"".join(found) == expected(tokens)
    assert [len(segment) for segment in found[:-1]] == [256] * (len(found) - 1)


def test_a_stream_that_fills_its_last_segment_ends_with_it() -> None:
    card = verified_card()
    tokens = fill(card, [Token(1).sized(1, 256), Token(2).sized(2, 256)])
    assert [len(segment) for segment in segments(card)] == [256, 256]
    assert stream(card) == expected(tokens)
    expect(card, "LIST_ASSETS", 0x6985, filter="ALL", part="NEXT", wanted=b"")


@pytest.mark.parametrize("size", [100, 3000])
def test_a_segment_costs_the_same_on_a_full_card(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many assets there are, a segment looks at the blocks it needs, and takes none of them apart."""
    card, costs, looked = holder(), [], 0
    fill(card, many(size))
    after = Shelf.after

    def counted(self: Shelf, block: int) -> tuple[int, bytes] | None:
        nonlocal looked
        looked += 1
        return after(self, block)

    monkeypatch.setattr(Shelf, "after", counted)
    monkeypatch.setattr(Shelf, "split", None)
    _, sw = exchange(card, apdu("LIST_ASSETS", filter="ALL", part="FIRST", wanted=b""))
    while sw == 0x6300:
        costs.append(looked)
        looked = 0
        _, sw = exchange(card, apdu("LIST_ASSETS", filter="ALL", part="NEXT", wanted=b""))
    assert 0 < max(costs) <= 2


def test_filters() -> None:
    card = holder()
    tokens = fill(card, many(60))
    for name, values in (
        ("CHAIN", {token.chain for token in tokens.values()}),
        ("CONTRACT", {token.contract for token in tokens.values()}),
        ("SLOT", {bytes((token.slot,)) for token in tokens.values()}),
    ):
        for value in values:
            field = {"CHAIN": lambda t: t.chain, "CONTRACT": lambda t: t.contract, "SLOT": lambda t: bytes((t.slot,))}[
                name
            ]
            meant = {number: token for number, token in tokens.items() if field(token) == value}
            assert stream(card, name, value) == expected(meant)
            assert count(card, name, value) == len(meant) > 0
    for name, value in (("CHAIN", b"\x01\x02"), ("CONTRACT", BAYC), ("SLOT", b"\x63")):
        assert stream(card, name, value) == b""
        assert count(card, name, value) == 0
    # A chain that another's name begins with is another chain.
    assert stream(card, "CHAIN", b"\x04dd") == b""
    assert stream(card, "CHAIN", b"\x01\x04") == b""


def test_a_filter_reads_no_block_that_has_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    card = holder()
    tokens = fill(card, many(200))
    rare = replace(tokens[1], slot=99)
    fill(card, [rare])
    read: list[bytes] = []
    split = Shelf.split
    monkeypatch.setattr(Shelf, "split", lambda shelf, block: read.append(block) or split(shelf, block))
    assert stream(card, "SLOT", b"\x62") == b""
    assert read == []
    assert stream(card, "SLOT", b"\x63") != b""
    assert len(read) == 1


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("ALL", b"\x01"), ("CHAIN", b""), ("CHAIN", b"\x01"), ("CHAIN", bytes(34)), ("CONTRACT", b""), ("SLOT", b"")],
)
def test_filters_that_are_none(name: str, wanted: bytes) -> None:
    card = verified_card()
    for command, more in (("LIST_ASSETS", {"part": "FIRST"}), ("COUNT_ASSETS", {})):
        expect(card, command, 0x6A80, filter=name, wanted=wanted, **more)
    expect(card, "LIST_ASSETS", 0x6A80, filter="ALL", part="NEXT", wanted=b"\x01")


def test_what_changes_while_it_is_read() -> None:
    """An asset is read when its turn comes; what is in the buffer of a reader stays what it was."""
    card = holder()
    tokens = fill(card, many(4 * PER_BLOCK))
    found, sw = exchange(card, apdu("LIST_ASSETS", filter="ALL", part="FIRST", wanted=b""))
    expect(card, "REMOVE_ASSET", number=4 * PER_BLOCK)
    late = Token(10**6)
    tokens[add(card, late)] = late
    del tokens[4 * PER_BLOCK]
    while sw == 0x6300:
        data, sw = exchange(card, apdu("LIST_ASSETS", filter="ALL", part="NEXT", wanted=b""))
        found += data
    assert (found, sw) == (expected(tokens), 0x9000)


def test_each_channel_reads_for_itself() -> None:
    card = verified_card()
    tokens = fill(card, many(20))
    first, _ = exchange(card, apdu("LIST_ASSETS", filter="ALL", part="FIRST", wanted=b""))
    number = open_channel(card)
    select(card, on=number)
    expect(card, "LIST_ASSETS", 0x6985, on=number, filter="ALL", part="NEXT", wanted=b"")
    assert b"".join(segments(card, on=number)) == expected(tokens)
    second, _ = exchange(card, apdu("LIST_ASSETS", filter="ALL", part="NEXT", wanted=b""))
    assert first + second == expected(tokens)[:512]
    select(card)
    expect(card, "LIST_ASSETS", 0x6985, filter="ALL", part="NEXT", wanted=b"")


def test_public_keys_and_assets_are_paged_apart() -> None:
    card = verified_card()
    derive(card, count=10)
    fill(card, many(20))
    keys, _ = exchange(card, apdu("EXPORT_PUBKEYS", part="FIRST"))
    exchange(card, apdu("LIST_ASSETS", filter="ALL", part="FIRST", wanted=b""))
    more, _ = exchange(card, apdu("EXPORT_PUBKEYS", part="NEXT"))
    assert (keys + more)[::73] == b"\xc2" * len((keys + more)[::73])


# One asset.


@pytest.mark.parametrize("size", [111, 255, 256, 257, 512, 513, 900])
def test_get(size: int) -> None:
    card = verified_card()
    token = Token(1).sized(1, size)
    fill(card, [token])
    found = b""
    for page in range(6):
        data, sw = exchange(card, apdu("GET_ASSET", page=page, number=1))
        found += data
        assert (len(data) == 256) or sw == 0x9000
        if sw == 0x9000:
            expect(card, "GET_ASSET", 0x6985, page=page + 1, number=1)
            break
    assert found == token.listed(1)


def test_the_longest_asset_there_is() -> None:
    token = longest((1 << 256) - 1)
    assert len(token.new()) == MAX_NEW
    card = verified_card()
    assert add(card, token) == 1
    assert stream(card) == token.listed(1)
    expect(card, "GET_ASSET", page=5, number=1)


def test_an_asset_comes_in_a_command_chain_too() -> None:
    card = verified_card()
    token = Token(1).sized(1, 700)
    data = token.new()
    parts = [data[at : at + 255] for at in range(0, len(data), 255)]
    for part in parts[:-1]:
        assert exchange(card, b"\x90\xd8\0\0" + bytes((len(part),)) + part) == (b"", 0x9000)
    assert count(card) == 0
    for part in parts[:-1]:
        exchange(card, b"\x90\xd8\0\0" + bytes((len(part),)) + part)
    assert exchange(card, b"\x80\xd8\0\0" + bytes((len(parts[-1]),)) + parts[-1]) == (bytes((0, 0, 0, 1)), 0x9000)
    assert stream(card) == token.listed(1)


def test_over_t0() -> None:
    """Segments of 256 bytes, filters and long assets where the fifth byte is the length of one direction only."""

    class OverT0:
        def __init__(self, card: Card) -> None:
            self.card = T0(card)

        def reset(self) -> bytes:
            return self.card.reset()

        def transmit(self, command: bytes) -> bytes:
            assert len(command) <= 261, "no extended APDU"
            return exchange_t0(self.card.transmit, command)

    card = OverT0(holder())
    wallet = Wallet(card)
    tokens = dict(enumerate([*many(30), longest(7)], 1))
    for number, token in tokens.items():
        assert wallet.add_asset(asset.parse_new(token.new())) == number
    assert stream(card) == expected(tokens)
    assert stream(card, "SLOT", b"\x7f") == tokens[31].listed(31)
    assert wallet.assets(Wanted.slot(127)) == [wallet.asset(31)]
    assert wallet.assets(Wanted.chain(4, b"ddc")) == [one for one in wallet.assets() if one.chain_id == b"ddc"]
    assert wallet.count_assets(Wanted.contract(b"k" * 64)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"slot": 0},
        {"slot": 128},
        {"chain": b"\0\1"},
        {"chain": b"\1\0\1"},
        {"chain": b"\x03\xff"},
        {"contract": bytes(19)},
        {"contract": bytes(21)},
        {"chain": b"\x03chain1", "contract": b"\xff" * 20},
        {"standard": 0},
        {"standard": 6},
        {"amount": b"\0"},
        {"amount": b"\2"},
        {"amount": b"\0\2", "standard": 2},
        {"policy": 8},
        {"name": b"\xff"},
        {"name": "a\u202eb".encode()},
        {"name": b"line\nline"},
        {"name": b"n" * 129},
        {"media": b"no uri"},
        {"media": b"1x:y"},
        {"issuer": b"\xed\xa0\x80"},
    ],
)
def test_assets_that_are_none(change: dict[str, object]) -> None:
    card = verified_card()
    add(card, replace(Token(1), **change), 0x6A80)  # type: ignore[arg-type]
    assert count(card) == 0


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_one_encoding_for_each_asset(data: st.DataObject) -> None:
    """Whatever is changed in an asset's bytes: it is refused, or it is what would be written for what it says."""
    whole = Token(7, name="敦煌".encode(), media=b"ipfs://x", issuer=b"i").new()
    at = data.draw(st.integers(0, len(whole) - 1))
    edit = data.draw(st.sampled_from(["replace", "delete", "insert", "cut", "append"]))
    byte = bytes((data.draw(st.integers(0, 255)),))
    changed = {
        "replace": whole[:at] + byte + whole[at + 1 :],
        "delete": whole[:at] + whole[at + 1 :],
        "insert": whole[:at] + byte + whole[at:],
        "cut": whole[:at],
        "append": whole + byte,
    }[edit]
    try:
        found = asset.parse_new(changed)
    except ValueError:
        return
    assert found.encode_new() == changed
    assert asset.parse(found.numbered(9).encode()).numbered(9) == found


# What is written.


def test_an_added_asset_is_two_records_and_a_removed_one_is_one() -> None:
    store = FaultyStore(RamStore())
    card = holder(store)
    fill(card, many(500))
    for number in (1, 250, 500):
        store.arm(None)
        expect(card, "REMOVE_ASSET", number=number)
        assert [len(changes) for changes in store.changes] == [1]
    store.arm(None)
    add(card, Token(10**6))
    assert [set(changes) for changes in store.changes] == [{"assets.last", f"asset.{501 // PER_BLOCK:06x}"}]
    store.arm(None)
    stream(card)
    count(card)
    assert not store.changes


def test_a_card_without_assets_keeps_no_record_of_them() -> None:
    store = RamStore()
    card = holder(store)
    assert not [name for name in store.read() if name.startswith("asset")]
    fill(card, many(40))
    for number in range(1, 41):
        expect(card, "REMOVE_ASSET", number=number)
    assert [name for name in store.read() if name.startswith("asset")] == ["assets.last"]
    assert add(card, Token(1)) == 41


def test_a_store_that_fails_leaves_all_as_it_was() -> None:
    store = FailingStore()
    card = holder(store)
    tokens = fill(card, many(70))
    store.broken = True
    add(card, Token(10**6), 0x6581)
    expect(card, "REMOVE_ASSET", 0x6581, number=3)
    assert (stream(card), count(card)) == (expected(tokens), 70)
    store.broken = False
    add(card, many(70)[5], 0x6985)
    assert add(card, Token(10**6)) == 71


def test_a_damaged_record_is_a_memory_failure() -> None:
    store = RamStore()
    fill(holder(store), many(3))
    whole = store.read()["asset.000000"]
    for damaged in (b"\xe1\x05junk", whole[:-1], whole[:12] + b"\x7f" + whole[13:], whole[:16] + b"\x7f" + whole[17:]):
        store.write({"asset.000000": damaged})
        expect(again(store), "COUNT_ASSETS", 0x6581, filter="ALL", wanted=b"")
    store.write({"asset.000000": b"\xe1\x05junk"})
    card = again(store)
    expect(card, "GET_ASSET", 0x6581, page=0, number=1)
    with pytest.raises(StoreError):
        assets_state.listed(store.read())
    store.write({"asset.what": b""})
    with pytest.raises(StoreError):
        power_on(store)


def test_a_full_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bsim.applets.registry.MAX_ASSETS", 3)
    card = verified_card()
    fill(card, many(3))
    add(card, Token(99), 0x6A84)
    add(card, many(3)[0], 0x6985)
    expect(card, "REMOVE_ASSET", number=2)
    assert add(card, Token(99)) == 4


# A model.

_CHAINS = st.sampled_from([b"\x01\x01", b"\x01\x04\x06", b"\x02\x04\x05", b"\x03chain1"])
_TOKENS = st.builds(
    Token,
    token_id=st.integers(0, 5),
    slot=st.integers(1, 2),
    chain=_CHAINS,
    contract=st.sampled_from([BAYC, b"a" * 20]),
    name=st.sampled_from([b"", "藏品".encode(), b"n" * 128]),
    media=st.sampled_from([b"", b"ipfs://x", b"data:" + b"x" * 400]),
    policy=st.integers(0, 7),
).map(lambda token: replace(token, contract=b"a" * 20) if token.chain[0] == 3 else token)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), _TOKENS),
        st.tuples(st.just("remove"), st.integers(0, 30)),
        st.tuples(st.just("power"), st.none()),
        st.tuples(
            st.just("list"),
            st.sampled_from([("ALL", b""), ("CHAIN", b"\x01\x01"), ("SLOT", b"\2"), ("CONTRACT", BAYC)]),
        ),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(_STEPS)
def test_random_registries(steps: list[tuple[str, object]]) -> None:
    store, model, last = RamStore(), {}, 0
    card = holder(store)
    for step, value in steps:
        if step == "add":
            there = value.key in {token.key for token in model.values()}  # type: ignore[attr-defined]
            number = add(card, value, 0x6985 if there else 0x9000)  # type: ignore[arg-type]
            if not there:
                last += 1
                assert number == last
                model[last] = value
        elif step == "remove":
            expect(card, "REMOVE_ASSET", 0x9000 if value in model else 0x6A88, number=value)
            model.pop(value, None)
        elif step == "power":
            card = again(store)
        else:
            name, wanted = value  # type: ignore[misc]
            field = {"ALL": b"", "CHAIN": 1, "SLOT": 0, "CONTRACT": 2}[name]
            meant = {
                n: token for n, token in model.items()
                if name == "ALL" or (bytes((token.slot,)), token.chain, token.contract)[field] == wanted
            }  # fmt: skip
            assert stream(card, name, wanted) == expected(meant)
            assert count(card, name, wanted) == len(meant)
    assert stream(card) == expected(model)


# A card's life.


def restored(card: Card, entropy: bytes) -> None:
    expect(card, "RESTORE_SEED", key2=KEY2, ciphertext=seal(entropy, KEY2))


def test_assets_stay_with_their_seed() -> None:
    store = RamStore()
    card = holder(store)
    derive(card)
    tokens = fill(card, many(50))
    expect(card, "CONTACTS", action="PUT", part="FIRST", contact=contact("Alice", ALICE))
    restored(card, ENTROPY)
    assert (stream(card), count(card)) == (expected(tokens), 50)
    restored(card, OTHER)
    assert (stream(card), count(card)) == (b"", 0)
    assert listed_contacts(card) == [("Alice", ALICE)]
    card = again(store)
    assert count(card) == 0
    assert add(card, many(1)[0]) == 51


def longest(number: int) -> Token:
    """An asset of which there is no longer one."""
    return Token(
        number, 127, b"\xff" + b"c" * 32, b"k" * 64, 5, b"\xff" * 32, 7, (1 << 64) - 1,
        b"n" * 128, b"m:" + b"x" * 1022, b"i" * 64,
    )  # fmt: skip


def test_a_card_of_a_fleet_keeps_them() -> None:
    """Two blocks of the longest there are, over power loss; another card of the fleet keeps no byte more."""
    fleet = Fleet("collectors", 2, phone=partial(in_handset, handset="right"))
    idle = len(fleet.memory.packed(1))
    card = fleet[0]
    select(card)
    expect(card, "VERIFY_BPIN")
    tokens = fill(card, map(longest, range(PER_BLOCK + 1)))
    card.close()
    select(card)
    assert (stream(card), count(card)) == (expected(tokens), PER_BLOCK + 1)
    assert len(fleet.memory.packed(1)) == idle == len(Fleet("collectors", 2).memory.packed(1))


def test_a_reset_and_a_snapshot_keep_them() -> None:
    import bsim

    card = bsim.new_card()
    select(card)
    expect(card, "VERIFY_BPIN")
    before = fill(card, many(40))
    card.snapshot("before")
    add(card, Token(99))
    expect(card, "REMOVE_ASSET", number=1)
    card.restore("before")
    select(card)
    assert (stream(card), count(card)) == (expected(before), 40)
    fork = card.fork()
    select(fork)
    assert stream(fork) == expected(before)


@pytest.mark.parametrize("end", [factory_reset, terminate])
def test_the_ends_of_a_cards_life_take_them(end: object) -> None:
    store = RamStore()
    card = holder(store)
    fill(card, many(40))
    expect(card, "CONTACTS", action="PUT", part="FIRST", contact=contact("Alice", ALICE))
    end(store)  # type: ignore[operator]
    assert {name: value for name, value in store.read().items() if name.startswith("asset") and any(value)} == {}


def test_a_strict_card_has_none_of_it() -> None:
    card = holder(profile="strict")
    for name, values in (
        ("LIST_ASSETS", {"filter": "ALL", "part": "FIRST", "wanted": b""}),
        ("COUNT_ASSETS", {"filter": "ALL", "wanted": b""}),
        ("ADD_ASSET", {"asset": Token().new()}),
        ("CONTACTS", {"action": "LIST", "part": "FIRST", "contact": b""}),
    ):
        expect(card, name, 0x6D00, **values)  # type: ignore[arg-type]


# Contacts.


def contact(name: str, address: str) -> bytes:
    """As CONTACTS takes it, written from its notes."""
    return b"".join(bytes((tag, len(text.encode()))) + text.encode() for tag, text in ((0x80, name), (0x81, address)))


def put(card: Card, name: str, address: str, sw: int = 0x9000) -> None:
    expect(card, "CONTACTS", sw, action="PUT", part="FIRST", contact=contact(name, address))


def listed_contacts(card: Card) -> list[tuple[str, str]]:
    found, sw = exchange(card, apdu("CONTACTS", action="LIST", part="FIRST", contact=b""))
    while sw == 0x6300:
        data, sw = exchange(card, apdu("CONTACTS", action="LIST", part="NEXT", contact=b""))
        found += data
    contacts = []
    while found:
        assert found[0] == 0xE2
        body, found = found[2 : 2 + found[1]], found[2 + found[1] :]
        size = body[1]
        contacts.append((body[2 : 2 + size].decode(), body[4 + size :].decode()))
    return contacts


def test_a_name_has_one_address_and_an_address_one_name() -> None:
    card = verified_card()
    put(card, "Alice", ALICE)
    put(card, "Alice", ALICE)
    put(card, "Alice", ALICE.lower())
    put(card, "Alice", BOB, 0x6985)
    put(card, "Carol", ALICE, 0x6985)
    put(card, "Carol", ALICE.lower(), 0x6985)
    for alike in ("ALICE", "alice", "\uff21lice"):
        put(card, alike, BOB, 0x6985)
    put(card, "陈", CORE)
    put(card, "Chen", CORE.upper(), 0x6985)
    assert listed_contacts(card) == [("Alice", ALICE), ("陈", CORE)]
    expect(card, "CONTACTS", 0x6A88, action="REMOVE", part="FIRST", contact=contact("Alice", BOB))
    expect(card, "CONTACTS", action="REMOVE", part="FIRST", contact=contact("Alice", ALICE))
    put(card, "Carol", ALICE)
    assert listed_contacts(card) == [("陈", CORE), ("Carol", ALICE)]


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("", ALICE),
        (" ", ALICE),
        ("a\nb", ALICE),
        ("n" * 49, ALICE),
        (" Alice", ALICE),
        ("Alice ", ALICE),
        ("Ann  Lee", ALICE),
        ("Al\u3164ice", ALICE),
        ("Alice\ufe0f", ALICE),
        (BOB, ALICE),
        (f"x{BOB[2:]}", ALICE),
        ("Bob (0x3C44CdDd", ALICE),
        ("Bob (\uff10\uff58", ALICE),
        ("cfx:aanc7psgu815", ALICE),
        ("Chain: 1", ALICE),
        ("A", ALICE.replace("A", "a")),
        ("A", ALICE[:-1]),
        ("A", CORE[:-1] + "a"),
        ("A", "cfx:"),
        ("A", ":"),
        ("A", "netx:aa"),
        ("A", "alice.eth"),
    ],
)
def test_contacts_that_are_none(name: str, address: str) -> None:
    card = verified_card()
    put(card, name, address, 0x6A80)
    assert listed_contacts(card) == []


def test_contacts_are_paged_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bsim.applets.contacts.MAX_CONTACTS", 20)
    card = verified_card()
    known = [(f"friend {number}", f"0x{number:040x}") for number in range(20)]
    for name, address in known:
        put(card, name, address)
    put(card, "one more", ALICE, 0x6A84)
    assert listed_contacts(card) == known
    expect(card, "CONTACTS", 0x6985, action="LIST", part="NEXT", contact=b"")
    expect(card, "CONTACTS", 0x6A86, action="PUT", part="NEXT", contact=contact("x", ALICE))
    expect(card, "CONTACTS", 0x6A80, action="LIST", part="FIRST", contact=b"\x80\0")
    expect(card, "CONTACTS", 0x6A80, action="PUT", part="FIRST", contact=b"junk")


def test_contacts_are_nobodys_business_without_the_bpin() -> None:
    card = new_card()
    for action in ("LIST", "PUT", "REMOVE"):
        expect(card, "CONTACTS", 0x6982, action=action, part="FIRST", contact=b"")
