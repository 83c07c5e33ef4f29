"""The power-cut sweep: every command, every write it makes, power gone just before that write and just after it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cache, partial
from hmac import compare_digest
from pathlib import Path

import helpers
import pytest
from asset_oracle import Token, add, fill, many, stream
from card_files import fast_folder
from helpers import (
    BPIN,
    COMMANDS,
    DIGEST,
    KEY2,
    WALLET_AID,
    apdu,
    bare_card,
    by_hand,
    chain,
    enter,
    example_of,
    expect,
    fetch,
    open_card,
    run,
    seal,
    select,
    send,
)

from bsim.applets.collectibles import COMMANDS as ASSETS
from bsim.applets.routes import Routes, compile_route
from bsim.applets.signing import COMMANDS as SIGNING
from bsim.applets.wallet_session import WalletSession
from bsim.applets.wallet_state import LAYOUT, MAX_TRIES, Slot, WalletState
from bsim.card.commands import COMMANDS as UICC_COMMANDS
from bsim.card.commands import WALLET_ROUTES
from bsim.crypto.algorithm import Algorithm
from bsim.crypto.mnemonic import seed as bip39_seed
from bsim.handset import in_handset
from bsim.lab.powercut import FaultyStore, PowerCut
from bsim.ports import Card, Store
from bsim.profiles import power_on
from bsim.spec import Example
from bsim.store import PER_BLOCK, RamStore, SqliteStore

NEW = "271828"
WRONG = "000000"
OTHER_ENTROPY = bytes(range(16))
Records = Mapping[str, bytes]


@dataclass(frozen=True)
class Scenario:
    """What happens to a card: made ready in a store, and then the act that power is cut in."""

    command: str
    title: str
    ready: Callable[[Store], Card]
    act: Callable[[Card], None]
    guess: bool = False
    """The act enters a BPIN first of all: right or wrong, its first write spends the try and does nothing else."""
    right: bool = False
    """The act enters the right BPIN: that, and nothing else, may give tries back."""
    several: bool = False
    """The act is several commands that write."""


@dataclass
class Report:
    """What a sweep did and found."""

    commands: set[str] = field(default_factory=set)
    scenarios: int = 0
    writes: int = 0
    cuts: int = 0
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{len(self.commands)} commands, {self.scenarios} scenarios x {self.writes} writes x 2 moments = "
            f"{self.cuts} cuts, {len(self.violations)} violations"
        )


# What happens.


def of_examples() -> Iterator[Scenario]:
    """Every example of every command, with all that is given done before."""
    for name, command in COMMANDS.items():
        for example in command.examples:

            def ready(store: Store, example: Example = example) -> Card:
                card = in_handset(bare_card(blank=example.card == "blank", store=store), "right", BPIN)
                for reference in chain(example):
                    run(card, example_of(reference)[1])
                return card

            asks = name in {"VERIFY_BPIN", "UPDATE_BPIN"}
            yield Scenario(name, example.title, ready, lambda card, e=example: run(card, e), guess=asks, right=asks)  # type: ignore[misc]


def of_dialogues() -> Iterator[Scenario]:
    """The BPIN's dialogues by hand: the act is what the user types, with FETCH and TERMINAL RESPONSE."""

    def dialogue(command: str, title: str, *typed: str, tries: int = MAX_TRIES) -> Scenario:
        def ready(store: Store) -> Card:
            return keyed(store, {"wallet.tries": bytes((tries,))})

        def act(card: Card) -> None:
            enter(card, card.transmit(apdu(command)), *typed)

        return Scenario(command, title, ready, act, guess=True, right=BPIN in typed)

    for tries in (MAX_TRIES, 5, 1):
        yield dialogue("VERIFY_BPIN", f"right, {tries} tries", BPIN, tries=tries)
        yield dialogue("VERIFY_BPIN", f"wrong, {tries} tries", WRONG, tries=tries)
        yield dialogue("VERIFY_BPIN", f"no digits, {tries} tries", "é" * 6, tries=tries)
        yield dialogue("UPDATE_BPIN", f"right, {tries} tries", BPIN, NEW, NEW, tries=tries)
        yield dialogue("UPDATE_BPIN", f"wrong, {tries} tries", WRONG, tries=tries)
    yield dialogue("VERIFY_BPIN", "wrong, wrong, right", WRONG, WRONG, BPIN)
    yield dialogue("VERIFY_BPIN", "until it is blocked", *[WRONG] * MAX_TRIES)
    yield dialogue("UPDATE_BPIN", "wrong, right, then changed", WRONG, BPIN, NEW, NEW)
    yield dialogue("UPDATE_BPIN", "the new ones differ", BPIN, NEW, WRONG)


def of_flows() -> Iterator[Scenario]:
    """Commands that depend on what went before them in ways no example has."""
    yield Scenario("SET_BPIN", "by hand", keyed, lambda card: expect(card, "SET_BPIN", bpin=NEW.encode()))
    yield Scenario("EXTERNAL_AUTHENTICATE", "right", keyed, open_card)
    for algorithm in (1, 2):
        yield Scenario(
            "DERIVE_KEY", f"three of algorithm {algorithm}", keyed, partial(derive, 3, algorithm), several=True
        )

    def asked(store: Store) -> Card:
        card = keyed(store)
        fetch(card, card.transmit(apdu("VERIFY_BPIN")))
        return card

    def restore(card: Card) -> None:
        expect(card, "RESTORE_SEED", key2=KEY2, ciphertext=seal(OTHER_ENTROPY, KEY2))

    def restored_and_used(card: Card) -> None:
        restore(card)
        derive(2, 1, card)

    yield Scenario("RESTORE_SEED", "while the BPIN is asked for", asked, restore)
    yield Scenario("RESTORE_SEED", "and what follows", asked, restored_and_used, several=True)

    def collected(store: Store) -> Card:
        card = keyed(store)
        enter(card, card.transmit(apdu("VERIFY_BPIN")), BPIN)
        fill(card, many(2 * PER_BLOCK + 3))
        return card

    def collect(card: Card) -> None:
        fill(card, [Token(10**6), Token(10**6 + 1)])
        for number in (1, PER_BLOCK, 2 * PER_BLOCK):
            expect(card, "REMOVE_ASSET", number=number)
        stream(card)
        add(card, Token(10**6 + 2))

    yield Scenario("ADD_ASSET", "several blocks of them", collected, collect, several=True)
    yield Scenario("RESTORE_SEED", "and its assets go with the seed", collected, restore)

    def attested(store: Store) -> Card:
        card = in_handset(bare_card(store=store), "right", BPIN)
        for reference in (*chain(example_of("ATTEST")[1]), "ATTEST"):
            run(card, example_of(reference)[1])
        return card

    def allowed(store: Store) -> Card:
        """A card that logs in to example.org by itself."""
        card = in_handset(bare_card(store=store), "right", BPIN)
        for reference in (*chain(example_of("LOGIN.2")[1]), "LOGIN.2"):
            run(card, example_of(reference)[1])
        return card

    def logged_in(card: Card) -> None:
        raw = example_of("LOGIN.2")[1].command
        expect_login(card, raw.replace(b"22:13:20Z", b"22:13:21Z"))

    def expect_login(card: Card, raw: bytes) -> None:
        assert card.transmit(raw) == b"\x90\0"

    yield Scenario("LOGIN", "by itself", allowed, logged_in)
    yield Scenario(
        "LOGIN", "by hand, once it is allowed", allowed, lambda card: expect_login(card, example_of("LOGIN")[1].command)
    )
    yield Scenario("RESTORE_SEED", "and its permissions go with the seed", allowed, restore)
    yield Scenario("ATTEST", "a second time", attested, lambda card: run(card, example_of("ATTEST")[1]))

    def pipelined(card: Card) -> None:
        derive(1, 1, card)
        enter(card, card.transmit(apdu("VERIFY_BPIN")), BPIN)
        expect(card, "SIGN", coin_type=60, slot=1, digest=DIGEST)
        derive(1, 1, card)

    yield Scenario("SIGN", "between two derivations", keyed, pipelined, right=True, several=True)


def keyed(store: Store, records: Records | None = None) -> Card:
    """The test card with two keys, no phone, told of a terminal."""
    card = by_hand(store=store)
    derive(2, 1, card)
    if not records:
        return card
    store.write(records)
    again = helpers.Judge(power_on(store, helpers.CountingRng()))
    expect(again, "TERMINAL_PROFILE", profile=b"\xff\xff\xff\xff")
    select(again)
    return again


def derive(count: int, algorithm: int, card: Card) -> None:
    for coin_type in (60, 60, 501)[:count]:
        expect(card, "DERIVE_KEY", coin_type=coin_type, algorithm=algorithm)


SCENARIOS = [*of_examples(), *of_dialogues(), *of_flows()]


# What must hold.


def states_along(scenario: Scenario) -> tuple[list[Records], list[Mapping[str, bytes | None]]]:
    """The act without a cut: the records before it and after each of its writes, and these writes."""
    store = FaultyStore(RamStore())
    card = scenario.ready(store)
    store.arm(None)
    states = [dict(store.read())]
    scenario.act(card)
    for changes in store.changes:
        merged = {**states[-1], **changes}
        states.append({name: value for name, value in merged.items() if value is not None})
    assert store.read() == states[-1]
    return states, list(store.changes)


def sweep(scenarios: list[Scenario], make: Callable[[], "Medium"]) -> Report:
    """Cut power at every write of every scenario, and judge what is left."""
    report = Report()
    for scenario in scenarios:
        states, writes = states_along(scenario)
        report.commands.add(scenario.command)
        report.scenarios += 1
        report.writes += len(writes)
        where = f"{scenario.command}, {scenario.title}"
        before = LAYOUT.load(states[0])
        if scenario.guess and (not writes or writes[0] != {"wallet.tries": bytes((before.tries - 1,))}):
            report.violations.append(f"{where}: a BPIN is compared before its try is spent")
        for number in range(1, len(writes) + 1):
            for after in (False, True):
                report.cuts += 1
                left = cut(scenario, make(), number, after=after)
                moment = f"{where}, {'after' if after else 'before'} write {number}"
                if left != states[number - 1 + after]:
                    report.violations.append(f"{moment}: neither what was written so far nor less")
                report.violations += [f"{moment}: {fault}" for fault in faults(scenario, states, left)]
    return report


def cut(scenario: Scenario, medium: "Medium", number: int, *, after: bool) -> Records:
    """Lose power at one write; answers the records that are there when it comes back."""
    store = FaultyStore(RamStore())
    card = scenario.ready(store)
    store.store = medium.begin(store.read())
    store.arm(number, after=after)
    with pytest.raises(PowerCut):
        scenario.act(card)
    return medium.end()


def faults(scenario: Scenario, states: list[Records], left: Records) -> Iterator[str]:
    """What is wrong with a card that power was taken from."""
    old, found = LAYOUT.load(states[0]), LAYOUT.load(left)
    # Between several commands what the earlier ones did stays; within one, there is only before and after.
    whole = states if scenario.several else [states[0], states[-1]]
    if replace(found, tries=0) not in [replace(LAYOUT.load(records), tries=0) for records in whole]:
        yield "neither the old state nor the new one"
    if found.tries > old.tries and not (scenario.right and found.tries == MAX_TRIES):
        yield f"tries went up from {old.tries} to {found.tries}"
    if found.seed != (bip39_seed(found.entropy) if found.entropy else b""):
        yield "a seed that is not its entropy's"
    for number, slot in enumerate(found.slots, 1):
        if exported(slot) != public_key(slot.coin_type, number, int(slot.algorithm), found.seed):
            yield f"slot {number} without its key"
    yield from granted(left, found, whole)


def granted(left: Records, found: WalletState, whole: Sequence[Records]) -> Iterator[str]:
    """Power comes back: the card works, and does without the BPIN nothing that needs it."""
    card = power_on(RamStore(left))
    if not selected(card):  # terminated, or deleted: so it must be before the command, or after it
        if all(selected(power_on(RamStore(records))) for records in whole):
            yield "a wallet that cannot be selected"
        return
    if send(card, "GET_VERSION")[1] != 0x9000:
        yield "a card that does not work"
    for number, slot in enumerate(found.slots, 1):
        if send(card, "SIGN", coin_type=slot.coin_type, slot=number, digest=DIGEST)[1] == 0x9000:
            yield "a signature without BPIN"
    if send(card, "EXPORT_SEED", key2=KEY2)[1] == 0x9000:
        yield "a seed without BPIN"


def selected(card: Card) -> bool:
    return send(card, "SELECT", method="DF_NAME", control=0x0C, identifier=WALLET_AID)[1] == 0x9000


def exported(slot: Slot) -> bytes:
    return (b"" if slot.algorithm is Algorithm.SECP256K1 else b"\x20") + slot.public_key


@cache
def public_key(coin_type: int, number: int, algorithm: int, seed: bytes) -> bytes:
    return helpers.public_key(coin_type, number, algorithm, seed)


# Where it is kept.


class Medium:
    """Memory: what was written is there."""

    def begin(self, records: Records) -> Store:
        """A store with what the card has so far."""
        self.store: Store = RamStore(records)
        return self.store

    def end(self) -> Records:
        """What is there after power was lost."""
        return dict(self.store.read())


class FileMedium(Medium):
    """A card file: what the disk holds at the cut, as a copy of it opens."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder

    def begin(self, records: Records) -> Store:
        self.store = SqliteStore(self._folder / "card.bsim", create=True)
        self.store.write(records)
        return self.store

    def end(self) -> Records:
        copy = self._folder / "copy"
        copy.mkdir()
        for suffix in ("", "-wal"):
            (copy / f"card.bsim{suffix}").write_bytes((self._folder / f"card.bsim{suffix}").read_bytes())
        self.store.close()
        with closing(SqliteStore(copy / "card.bsim")) as again:
            return dict(again.read())


# The sweep.


def test_sweep_in_memory() -> None:
    report = sweep(SCENARIOS, Medium)
    print(f"power cuts, memory: {report}")
    assert report.violations == []
    assert report.commands == {name for name, command in COMMANDS.items() if command.examples}
    assert report.cuts == 2 * report.writes >= 100


def test_sweep_in_files() -> None:
    numbers = iter(range(10**6))
    with fast_folder() as folder:
        report = sweep(SCENARIOS, lambda: FileMedium(folder / str(next(numbers))))
    print(f"power cuts, card files: {report}")
    assert report.violations == []
    assert report.cuts >= 100


def test_a_sign_writes_nothing() -> None:
    store = FaultyStore(RamStore())
    card = keyed(store)
    enter(card, card.transmit(apdu("VERIFY_BPIN")), BPIN)
    store.arm(1)
    for _ in range(100):
        expect(card, "SIGN", coin_type=60, slot=1, digest=DIGEST)
    assert store.writes == 0


def test_without_power_nothing_works() -> None:
    store = FaultyStore(RamStore(), cut_at=1)
    with pytest.raises(PowerCut):
        store.write({"a": b"1"})
    for dead in (store.read, lambda: store.write({"a": b"2"})):
        with pytest.raises(PowerCut):
            dead()
    assert store.store.read() == {}
    store.close()


# Tests of the test: what it is there to find.


def test_the_sweep_finds_a_bpin_that_is_compared_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def compare_first(session: WalletSession, digits: bytes) -> bool:
        right = compare_digest(digits, session.cell.value.bpin)
        tries = MAX_TRIES if right else session.cell.value.tries - 1
        session.cell.put(replace(session.cell.value, tries=tries))
        session.card.commit()
        return right

    monkeypatch.setattr("bsim.applets.bpin.try_bpin", compare_first)
    report = sweep(list(of_dialogues()), Medium)
    assert any("before its try is spent" in violation for violation in report.violations)


def with_handler(monkeypatch: pytest.MonkeyPatch, name: str, handler: Callable[..., bytes]) -> None:
    """Cards made from here on have another handler for a command."""
    from bsim.applets.wallet import COMMANDS as SOUND

    command = COMMANDS[name]
    table = {**SOUND, name: (command, compile_route(command, handler, (), {"algorithm": Algorithm}))}
    monkeypatch.setattr(
        "bsim.profiles.WALLET_ROUTES", WALLET_ROUTES._replace(in_use=Routes(UICC_COMMANDS, table, ASSETS, SIGNING))
    )


def derive_early(ctx: WalletSession, coin_type: int, kind: Algorithm) -> bytes:
    state = ctx.state
    ctx.cell.put(replace(state, slots=(*state.slots, Slot(coin_type, kind, b""))))
    ctx.card.commit()
    key = ctx.keys.public_key(state.seed, coin_type, len(state.slots) + 1, kind)
    ctx.cell.put(replace(state, slots=(*state.slots, Slot(coin_type, kind, key))))
    return b""


def restore_early(ctx: WalletSession, key2: bytes, ciphertext: bytes) -> bytes:
    from bsim.applets.wallet_state import with_seed
    from bsim.crypto.envelope import unseal

    ctx.cell.put(replace(ctx.state, slots=()))
    ctx.card.commit()
    ctx.keys.wipe()
    ctx.cell.put(with_seed(ctx.state, unseal(ciphertext, key2)))
    return b""


@pytest.mark.parametrize(
    ("name", "handler", "words"),
    [("DERIVE_KEY", derive_early, "without its key"), ("RESTORE_SEED", restore_early, "neither the old state")],
)
def test_the_sweep_finds_an_early_commit(
    monkeypatch: pytest.MonkeyPatch, name: str, handler: Callable[..., bytes], words: str
) -> None:
    with_handler(monkeypatch, name, handler)
    report = sweep([scenario for scenario in of_flows() if scenario.command == name], Medium)
    assert any(words in violation for violation in report.violations)


def test_the_sweep_finds_a_store_that_writes_by_halves() -> None:
    class Halves(RamStore):
        def write(self, changes: Mapping[str, bytes | None]) -> None:
            for name, value in changes.items():
                super().write({name: value})
                if name == "wallet.entropy":
                    raise PowerCut

    class HalfMedium(Medium):
        def begin(self, records: Records) -> Store:
            self.store = Halves(records)
            return self.store

    restores = [scenario for scenario in of_flows() if scenario.title == "while the BPIN is asked for"]
    assert sweep(restores, HalfMedium).violations
