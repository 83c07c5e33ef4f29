"""A powered card is frozen and brought back whole: nothing is listed by hand, so nothing may be forgotten."""

import ast
import gc
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import (
    BPIN,
    SOLANA,
    CountingRng,
    apdu,
    bare_card,
    by_hand,
    derive,
    enter,
    expect,
    fetch,
    open_card,
    open_channel,
    select,
    sign,
)

from bsim.applets.session import Session
from bsim.card import T0, freeze, insides
from bsim.card.abstract import size
from bsim.card.freeze import Freezer
from bsim.card.insides import FreezeError
from bsim.card.uicc import Uicc
from bsim.crypto.ecdsa import engine
from bsim.profiles import personalisation, personalise, power_on
from bsim.spec import spec
from bsim.store import PLAIN, Given, SqliteStore

CARD_SIDE = ("card", "applets")


@pytest.fixture(autouse=True)
def keys_that_can_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the C extension cannot be brought back once it is wiped; cards that are frozen sign without it."""
    monkeypatch.setattr("bsim.profiles.default_engine", lambda: engine(native=False))


def lived_in() -> Uicc:
    """A card in the middle of everything: a chain, a dialogue, channels, keys in use, half an export."""
    card = by_hand()
    derive(card, count=3)
    derive(card, SOLANA, 2)
    enter(card, card.transmit(apdu("VERIFY_BPIN")), BPIN)
    sign(card)
    sign(card, 4, SOLANA)
    open_card(card)
    card.transmit(apdu("EXPORT_PUBKEYS", part="FIRST"))
    select(card, on=open_channel(card))
    fetch(card, card.transmit(apdu("UPDATE_BPIN", on=1)))
    expect(card, "GET_CHALLENGE")
    card.transmit(bytes.fromhex("9076000105B103414243"))
    return card.card


def held_by(card: Uicc) -> list[object]:
    """Every object of this project's classes that the card reaches, found by the garbage collector and not by us."""
    seen, waiting, found = set(), [card], []
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type) or (type(one).__module__ == "builtins" and callable(one)):
            continue
        seen.add(id(one))
        if isinstance(one, insides.UNCHANGING):
            continue
        if type(one).__module__.startswith("bsim."):
            found.append(one)
        waiting += gc.get_referents(one)
    return found


def test_no_slot_is_forgotten() -> None:
    card = lived_in()
    snapshot = card.snapshot()
    objects = [one for one in held_by(card) if not getattr(type(one), "__dataclass_params__", None)]
    sessions = [one for one in objects if isinstance(one, Session)]
    assert len(sessions) == 2
    before = {}
    spoiled = object()
    for one in objects:
        for name in insides.slots_of(type(one)):
            before[id(one), name] = one, getattr(one, name)
    for one, _ in list(before.values()):
        for name in insides.slots_of(type(one)):
            setattr(one, name, spoiled)
    snapshot.restore()
    for (_, name), (one, value) in before.items():
        now = getattr(one, name)
        same = list(now) == list(value) if isinstance(value, Iterator) else now is value
        assert same, f"{type(one).__name__}.{name} was forgotten"


def test_a_restored_card_behaves_as_one_that_was_never_elsewhere() -> None:
    one, other = lived_in(), lived_in()
    snapshot = one.snapshot()
    generator = random.Random(7)
    declared = [command for applet in spec().applets.values() for command in applet.commands.values()]
    commands = [example.command for command in declared for example in command.examples]
    for _ in range(20):
        for _ in range(generator.randint(1, 12)):
            one.transmit(generator.choice(commands))
        one.reset()
        snapshot.restore()
    assert one.fuzz_state() == other.fuzz_state()
    for _ in range(60):
        command = generator.choice(commands)
        assert one.transmit(command) == other.transmit(command)
        assert one.fuzz_state() == other.fuzz_state()


def test_wiped_keys_come_back() -> None:
    card = lived_in()
    snapshot = card.snapshot()
    card.transmit(apdu("TERMINAL_RESPONSE", response=bytes.fromhex("810301230482028281830110")))
    signed = sign(card), sign(card, 4, SOLANA)
    card.reset()
    snapshot.restore()
    assert (sign(card), sign(card, 4, SOLANA)) == signed


def test_others_are_frozen_with_the_card_and_what_is_left_out_is_not() -> None:
    card, rng, left = by_hand().card, CountingRng(), CountingRng()
    layer = T0(card)
    snapshot = card.snapshot(layer, rng, left, leave=[left])
    layer.transmit(apdu("GET_CHALLENGE")[:4] + b"\x03")
    rng.calls = left.calls = 5
    snapshot.restore()
    assert (rng.calls, left.calls, layer._held) == (0, 5, b"")


def test_what_cannot_be_seen_into_is_refused(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "card.bsim", unlock=Given(PLAIN), create=True)
    personalise(store, personalisation(blank=True))
    card = power_on(store)
    with pytest.raises(FreezeError, match="cannot be seen into"):
        card.snapshot()
    card.close()


class Odd:
    """A class with contents of its own kind."""

    __slots__ = ("kept",)

    def __init__(self, kept: object) -> None:
        self.kept = kept


def test_every_kind_of_container() -> None:
    one = Odd({"list": [1, 2], "set": {3}, "bytes": bytearray(b"45"), "tuple": ([6],)})
    kept = one.kept
    snapshot = Freezer(one).take()
    kept["list"].append(9)
    kept["set"].clear()
    kept["bytes"][:] = b"\0\0\0"
    kept["tuple"][0].pop()
    kept["more"] = 1
    one.kept = None
    snapshot.restore()
    assert one.kept is kept
    assert kept == {"list": [1, 2], "set": {3}, "bytes": bytearray(b"45"), "tuple": ([6],)}


def test_no_code_of_the_card_rebinds_what_it_closes_over() -> None:
    # A snapshot keeps what a closure leads to and not its cells, which only `nonlocal` writes to.
    folder = Path(freeze.__file__).parents[1]
    for file in (file for name in CARD_SIDE for file in (folder / name).glob("*.py")):
        found = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Nonlocal)]
        assert not found, file


def test_the_state_tells_what_matters() -> None:
    card = by_hand()
    states = [card.card.fuzz_state()]
    derive(card)
    states.append(card.card.fuzz_state())
    response = card.transmit(apdu("VERIFY_BPIN"))
    states.append(card.card.fuzz_state())
    enter(card, response, BPIN)
    states.append(card.card.fuzz_state())
    open_channel(card)
    states.append(card.card.fuzz_state())
    assert len(set(states)) == len(states)


def test_counters_and_lengths_are_bucketed() -> None:
    assert [size(length) for length in (0, 1, 2, 3, 4, 7, 8, 127, 128)] == [0, 1, 2, 4, 5, 5, 6, 9, 10]
    card = by_hand()
    derive(card, count=8)
    first = card.card.fuzz_state()
    derive(card)
    assert card.card.fuzz_state() == first


def test_a_refused_command_selects_nothing() -> None:
    card = bare_card()
    state = card.card.fuzz_state()
    response = card.transmit(bytes.fromhex("00A4040010A000000533C000FF860000000000054D01"))
    assert response.hex() == "6c14"
    assert card.card.fuzz_state()[0] == state[0]


class Ring:
    """Holds itself."""

    __slots__ = ("kept",)

    def __init__(self) -> None:
        self.kept = self


def test_what_goes_in_circles_has_a_state() -> None:
    card = bare_card().card
    state = card.fuzz_state()
    card.session(0).routes = Ring()
    assert card.fuzz_state() != state
