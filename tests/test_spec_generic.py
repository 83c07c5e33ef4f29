"""Every command of every applet, from its declaration alone: refusals, their order, lengths, and its examples.

A command declared later is tested here without a line being added, unless it brings a new condition or right: then
`LACK` must say how a card comes to lack it.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import pytest
from helpers import (
    BPIN,
    COMMANDS,
    SPEC,
    WALLET_AID,
    bare_card,
    card_for,
    derive,
    entries,
    exchange,
    expect,
    export,
    iso_cla,
    open_card,
    run,
    select,
)
from scp_host import Host03

from bsim.apdu import CommandApdu
from bsim.applets.pins import DEFAULT as PINS
from bsim.applets.pins import LAYOUT as PINS_LAYOUT
from bsim.applets.pins import PinsState
from bsim.applets.wallet_session import WalletRules
from bsim.handset import in_handset
from bsim.ports import Card
from bsim.profiles import PROFILES, TEST_OPENING_KEY, Profile
from bsim.spec import Applet, Command, Example, Kind, LeRule

ALL = [pytest.param(command, id=name) for name, command in COMMANDS.items()]
GUARDED = [pytest.param(c, id=name) for name, c in COMMANDS.items() if c.when or c.needs]


def judged_by_response(command: Command) -> bool:
    """Whether Le is judged by the response that came, as its length varies."""
    varies = sum(field.encoded_minimum for field in command.response) != command.response_maximum
    return varies and command.le is LeRule.RESPONSE


# What is left judges Le in its handler: test_toolkit and test_t0.
JUDGED_LE = [pytest.param(c, id=n) for n, c in COMMANDS.items() if not c.le_asked and not judged_by_response(c)]
LE_BY_RESPONSE = [pytest.param(c, id=n) for n, c in COMMANDS.items() if judged_by_response(c)]
APPLETS = [pytest.param(applet, id=name) for name, applet in SPEC.applets.items()]
EXAMPLES = [
    pytest.param(example, id=f"{name}.{number}")
    for name, command in COMMANDS.items()
    for number, example in enumerate(command.examples, 1)
]


@dataclass(frozen=True)
class State:
    """What a card is before a command."""

    blank: bool = False
    bpin_set: bool = False
    opening_demanded: bool = False
    opened: str = ""  # before the last reset, or in this session
    blocked: bool = False
    verified: bool = True
    pin1_asked: bool = False
    directory: str = ""  # selected by its path from the master file, after the applet
    secured: bool = False
    out_of_use: bool = False
    guarded: bool = False


@dataclass(frozen=True)
class Lack:
    """A change that takes away what a command needs, and the refusal that follows."""

    values: dict[str, object]
    sw: int

    def __call__(self, state: State) -> State:
        return replace(state, **self.values)  # type: ignore[arg-type]


LACK = {
    "no_seed": [Lack({"blank": False}, 0x6985)],
    "default_bpin": [Lack({"bpin_set": True}, 0x6985)],
    "not_opened": [Lack({"opened": "before"}, 0x6985)],
    "opened": [Lack({"opening_demanded": True}, 0x6982)],
    "bpin": [Lack({"verified": False}, 0x6982), Lack({"blocked": True}, 0x6983)],
    "bpin_usable": [Lack({"blocked": True}, 0x6983)],
    "restore": [Lack({"verified": False}, 0x6982), Lack({"blocked": True}, 0x6983)],
    "issuer_session": [Lack({"opened": ""}, 0x6982)],
    "application": [Lack({"directory": "7F10"}, 0x6985)],
    "pin1": [Lack({"pin1_asked": True}, 0x6982)],
    "gsm_directory": [Lack({"directory": "7F10"}, 0x6985)],
    "chv1": [Lack({"pin1_asked": True}, 0x9804)],
    "card_in_use": [Lack({"out_of_use": True}, 0x6985)],
    "secure_channel": [Lack({"secured": False}, 0x6982)],
    "import_channel": [Lack({"guarded": True}, 0x6982)],
}
# What a card must be that has it, where that is not how every card is.
HAVE: dict[str, dict[str, object]] = {
    "no_seed": {"blank": True},
    "issuer_session": {"opened": "in session"},
    "gsm_directory": {"directory": "7F20"},
    "secure_channel": {"secured": True},
}
# Where no application has commands of its own, those of the file system are answered.
FILE_SYSTEM = frozenset({"uicc", "usim", "gsm"})
MOST_PAIRS = 3_000


@pytest.fixture(autouse=True)
def _profile_that_demands_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, guarded in (("opening", False), ("opening and guarded", True)):
        rules = WalletRules(opening_required=True, secure_import=guarded)
        monkeypatch.setitem(PROFILES, name, Profile(name, "as the default, but to be opened first", rules=rules))


def good_state(command: Command) -> State:
    state = State()
    for name in (*command.when, *command.needs):
        state = replace(state, **HAVE.get(name, {}))  # type: ignore[arg-type]
    return state


def card_in(state: State, applet: str) -> Card:
    """A card in a state, in a phone whose user knows the BPIN, with an applet selected (none for the card's own)."""
    records = {
        "wallet.opened": bytes((state.opened == "before",)),
        "wallet.bpin_is_default": bytes((not state.bpin_set,)),
    }
    if state.blocked:
        records["wallet.tries"] = b"\0"
    if state.pin1_asked:
        records |= PINS_LAYOUT.changes(None, PinsState(tuple(replace(code, enabled=True) for code in PINS.codes)))  # type: ignore[arg-type]
    demands = {"opening": state.opening_demanded, "guarded": state.guarded}
    profile = " and ".join(name for name, demanded in demands.items() if demanded) or "extended"
    bare = bare_card(blank=state.blank, profile=profile, records=records)
    card = in_handset(bare, "right", BPIN)
    select(card)
    if state.opened == "in session":
        open_card(card)
    if not state.opening_demanded or state.opened:
        if state.verified and not state.blocked:
            expect(card, "VERIFY_BPIN")
        if not state.blank:
            derive(card)
    choose(card, applet)
    if state.directory:
        path = bytes.fromhex(state.directory)
        expect(card, "SELECT", method="PATH_FROM_MF", control=0x0C, identifier=path)
    if state.secured:
        assert Host03(card, (TEST_OPENING_KEY,) * 3).open(0x00) == 0x9000
    if state.out_of_use:
        assert Host03(card, (TEST_OPENING_KEY,) * 3).open(0x00) == 0x9000
        expect(card, "GP_SET_STATUS", what="ISSUER_DOMAIN", state=0xFF, aid=b"")
        if not state.secured:
            choose(card, applet)
    return card


def choose(card: Card, applet: str, on: int = 0) -> None:
    """Select an applet; where it is the card's own commands, none."""
    if aids := SPEC.applets[applet].aids:
        select(card, aids[0], on=on)
    else:
        expect(card, "SELECT", on=on, method="FILE_ID", control=0x0C, identifier=b"")


def good_card(command: Command) -> Card:
    return card_in(good_state(command), command.applet)


def header(command: Command) -> bytes:
    return bytes((command.cla[0], command.ins, command.p1.legal[0], command.p2.legal[0]))


def sample(command: Command) -> bytes:
    """An APDU of the shortest good length, which is all that matters where it is refused before its handler."""
    return CommandApdu(*header(command), bytes(command.lc_minimum)).encode()


def available(applet: str) -> list[Command]:
    """What the card answers while an applet is selected: that applet's commands and its own."""
    applets = FILE_SYSTEM if applet in FILE_SYSTEM else {applet, "uicc"}
    return [command for command in COMMANDS.values() if command.applet in applets]


def kinds(applet: str) -> set[tuple[bool, int]]:
    return {iso_cla(cla).kind for command in available(applet) for cla in command.cla}  # type: ignore[union-attr]


def class_refusal(value: int, command: Command) -> int | None:
    """What a class byte on a card with only the basic channel open is refused with; None where it is right."""
    cla = iso_cla(value)
    if cla is None:
        return 0x6E00
    if cla.channel:
        return 0x6881
    known = kinds(command.applet)
    if cla.kind not in known:
        proprietary, messaging = cla.kind
        return 0x6882 if 0 < messaging < 4 and any(kind[0] == proprietary for kind in known) else 0x6E00
    if not any(entry in available(command.applet) for entry in entries(bytes((value, command.ins, 0, 0)))):
        return 0x6D00
    if cla.chaining and not command.chaining:
        return 0x6884
    return None


def legality(command: Command) -> Callable[[int, int], bool]:
    """Whether P1 and P2 are those of a command that answers there and shares this one's class and instruction."""
    there = [*available(command.applet), *SPEC.applets["uicc"].commands.values()]
    sharing = [c for c in there if c.ins == command.ins and command.cla[0] in c.cla]
    legal = {(p1, p2) for c in sharing for p1 in c.p1.legal for p2 in c.p2.legal}
    return lambda p1, p2: (p1, p2) in legal


@pytest.mark.parametrize("example", EXAMPLES)
def test_example(example: Example) -> None:
    run(card_for(example), example)


def test_examples_have_titles_of_their_own() -> None:
    for name, command in COMMANDS.items():
        titles = [example.title for example in command.examples]
        assert len(set(titles)) == len(titles), name


def test_lack_is_known_for_every_condition_and_right() -> None:
    declared = {name for applet in SPEC.applets.values() for name in (*applet.conditions, *applet.rights)}
    assert set(LACK) == declared
    used = {name for command in COMMANDS.values() for name in (*command.when, *command.needs)}
    assert used == declared, "a condition or right that no command names"


@pytest.mark.parametrize("command", ALL)
def test_every_class_byte(command: Command) -> None:
    card = good_card(command)
    raw = sample(command)
    refused = 0
    for value in range(256):
        refusal = class_refusal(value, command)
        if refusal is not None:
            refused += 1
            assert exchange(card, bytes((value,)) + raw[1:]) == (b"", refusal), f"{value:02X}"
    assert refused >= 256 - 3 * 2  # three classes at most, each with and without chaining


@pytest.mark.parametrize("command", ALL)
def test_right_class_on_every_open_channel(command: Command) -> None:
    card, is_legal = good_card(command), legality(command)
    for channel in range(1, 20):
        expect(card, "MANAGE_CHANNEL", operation="OPEN", channel=channel)
        choose(card, command.applet, channel)
    heard = 0
    for value in range(256):
        cla = iso_cla(value)
        if cla is None or cla.chaining or cla.kind not in {iso_cla(own).kind for own in command.cla}:  # type: ignore[union-attr]
            continue
        # P1 and P2 are judged after class and instruction, so 6A86 says that both were right.
        wrong = next((v for v in range(256) if not is_legal(v, 0)), None)
        assert wrong is not None
        assert exchange(card, bytes((value, command.ins, wrong, 0))) == (b"", 0x6A86), f"{value:02X}"
        heard += 1
    assert heard == sum(4 if cla == 0xA0 else 20 for cla in command.cla)  # class A0 has no coding for more than four


@pytest.mark.parametrize("applet", APPLETS)
def test_every_instruction_the_applet_has_not(applet: Applet) -> None:
    card = card_in(State(), applet.name)
    known = available(applet.name)
    for cla in {cla for command in known for cla in command.cla}:
        for ins in range(256):
            if any(command in known for command in entries(bytes((cla, ins, 0, 0)))):
                continue
            assert exchange(card, bytes((cla, ins, 0, 0))) == (b"", 0x6D00), f"{cla:02X} {ins:02X}"


@pytest.mark.parametrize("blank", [False, True])
def test_the_strict_profile_has_nothing_that_extends_an_applet(blank: bool) -> None:
    card = in_handset(bare_card(profile="strict", blank=blank), "right", BPIN)
    select(card)
    own = {(cla, c.ins) for c in available("wallet") if not c.extension for cla in c.cla}
    added = {(cla, c.ins) for c in available("wallet") if c.extension for cla in c.cla}
    assert added
    # INITIALIZE UPDATE and EXTERNAL AUTHENTICATE have their instructions from GlobalPlatform.
    assert {ins for _, ins in added} <= {*range(0xD0, 0xE0), 0x50, 0x82}
    for cla, ins in {*added, *((0x80, ins) for ins in range(0xD0, 0xE0))} - own:
        for rest in ("0000", "FFFF", "000000", "000001AA", "0001"):
            assert exchange(card, bytes((cla, ins)) + bytes.fromhex(rest)) == (b"", 0x6D00), f"{cla:02X} {ins:02X}"
        assert exchange(card, bytes((cla | 0x10, ins, 0, 0, 1, 0))) == (b"", 0x6D00), "in a chain"


@pytest.mark.parametrize("command", ALL)
def test_every_p1_and_p2_that_is_not_legal(command: Command) -> None:
    card = good_card(command)
    head, rest, is_legal = header(command)[:2], sample(command)[4:], legality(command)
    one_wrong = [(p1, p2) for p1 in range(256) for p2 in command.p2.legal if not is_legal(p1, p2)]
    one_wrong += [(p1, p2) for p1 in command.p1.legal for p2 in range(256) if not is_legal(p1, p2)]
    generator = random.Random(f"P1 and P2 of {command.name}")
    both = [(generator.randrange(256), generator.randrange(256)) for _ in range(500)]
    wrong = [(p1, p2) for p1, p2 in both if p1 not in command.p1.legal and p2 not in command.p2.legal]
    both_wrong = [(p1, p2) for p1, p2 in wrong if not is_legal(p1, p2)]
    assert both_wrong or one_wrong
    if len(one_wrong) > MOST_PAIRS:
        one_wrong = generator.sample(one_wrong, MOST_PAIRS)
    for p1, p2 in one_wrong + both_wrong:
        assert exchange(card, head + bytes((p1, p2)) + rest) == (b"", 0x6A86), f"{p1:02X} {p2:02X}"


@pytest.mark.parametrize("command", ALL)
def test_every_length_outside_the_bounds(command: Command) -> None:
    card = good_card(command)
    outside = [n for n in range(command.lc_maximum + 3) if not command.lc_minimum <= n <= command.lc_maximum]
    assert command.lc_maximum + 1 in outside
    for length in outside:
        raw = CommandApdu(*header(command), bytes(length)).encode()
        assert exchange(card, raw) == (b"", 0x6700), length
        if 0 < length < 256:  # as an extended APDU too
            extended = header(command) + b"\0" + length.to_bytes(2, "big") + bytes(length)
            assert exchange(card, extended) == (b"", 0x6700), length


@pytest.mark.parametrize("command", ALL)
def test_both_bounds_are_legal_lengths(command: Command) -> None:
    for length in {command.lc_minimum, command.lc_maximum}:
        card = good_card(command)
        _, sw = exchange(card, CommandApdu(*header(command), bytes(length)).encode())
        assert sw != 0x6700, length


@pytest.mark.parametrize("command", ALL)
def test_lengths_that_do_not_fit_the_apdu(command: Command) -> None:
    card = good_card(command)
    head = header(command)
    broken = (
        b"\x09" + bytes(8),
        b"\x01" + bytes(3),
        b"\0\0",
        b"\0\0\0\0",
        b"\0\0\x05" + bytes(4),
        b"\0\0\x05" + bytes(8),
    )
    for tail in broken:
        assert exchange(card, head + tail) == (b"", 0x6700), tail.hex()


@pytest.mark.parametrize("command", LE_BY_RESPONSE)
def test_an_le_shorter_than_the_response_names_its_length_and_changes_nothing(command: Command) -> None:
    example = next(example for example in command.examples if example.sw == "9000" and example.response)
    whole = replace(CommandApdu.parse(example.command), le=256)
    length = len(exchange(card_for(example), whole.encode())[0])
    card = card_for(example)
    for le in sorted({1, length // 2, length - 1} - {0, length}):
        assert exchange(card, replace(whole, le=le).encode()) == (b"", 0x6C00 | length)
    data, sw = exchange(card, replace(whole, le=length).encode())
    assert (len(data), sw) == (length, 0x9000)


@pytest.mark.parametrize("command", JUDGED_LE)
def test_every_le_that_is_too_short(command: Command) -> None:
    most = command.response_maximum
    card = good_card(command)
    answer = (0x6C00 | most & 0xFF) if most else 0x6700
    for le in range(1, most or 256):
        raw = CommandApdu(*header(command), bytes(command.lc_minimum), le).encode()
        assert exchange(card, raw) == (b"", answer), le


@pytest.mark.parametrize("command", ALL)
def test_short_headers(command: Command) -> None:
    card = good_card(command)
    for size in range(4):
        assert exchange(card, header(command)[:size]) == (b"", 0x6700)


@pytest.mark.parametrize("command", GUARDED)
def test_whatever_is_missing_is_missed(command: Command) -> None:
    for name in (*command.when, *command.needs):
        for lack in LACK[name]:
            card = card_in(lack(good_state(command)), command.applet)
            assert command.allows(lack.sw), f"{name} is refused with {lack.sw:04X}, which is not declared"
            assert exchange(card, sample(command)) == (b"", lack.sw), name


@pytest.mark.parametrize("command", ALL)
def test_nothing_missing_is_no_refusal(command: Command) -> None:
    """The other half of the test above: with all it needs, a command gets as far as its length."""
    raw = CommandApdu(*header(command), bytes(command.lc_maximum + 1)).encode()
    assert exchange(good_card(command), raw) == (b"", 0x6700)


@dataclass(frozen=True)
class Defect:
    """One way in which a command can be wrong: its place in the fixed order, its refusal, and how it is made."""

    name: str
    sw: int
    head: Callable[[bytes], bytes] = lambda head: head
    state: Callable[[State], State] = lambda state: state
    data: Callable[[bytes], bytes] = lambda data: data


def defects(command: Command) -> Iterator[Defect]:
    """Every way a command can be wrong that its declaration tells of, in the order of the refusals."""
    yield Defect("no class", 0x6E00, lambda head: b"\xff" + head[1:])
    yield Defect("closed channel", 0x6881, lambda head: bytes((head[0] | 1,)) + head[1:])
    if command.applet not in FILE_SYSTEM:
        yield Defect("class of GSM", 0x6E00, lambda head: b"\xa0" + head[1:])
    yield Defect("secure messaging", 0x6882, lambda head: bytes((head[0] & 0x90 | 0x0C,)) + head[1:])
    yield Defect("instruction", 0x6D00, lambda head: head[:1] + b"\x02" + head[2:])
    if not command.chaining and command.cla[0] != 0xA0:
        yield Defect("chaining", 0x6884, lambda head: bytes((head[0] | 0x10,)) + head[1:])
    for at, parameter in ((2, command.p1), (3, command.p2)):
        if len(parameter.legal) == 256:
            continue
        wrong = bytes((next(v for v in range(255, -1, -1) if v not in parameter.legal),))
        yield Defect(f"P{at - 1}", 0x6A86, lambda head, at=at, wrong=wrong: head[:at] + wrong + head[at + 1 :])
    for name in (*command.when, *command.needs):
        for lack in LACK[name]:
            yield Defect(name, lack.sw, state=lack)
    yield Defect("length", 0x6700, data=lambda _: bytes(command.lc_maximum + 1))
    if command.lc_minimum > 1:
        yield Defect("shorter", 0x6700, data=lambda _: bytes(command.lc_minimum - 1))
    if any(field.values or field.kind is Kind.TLV for field in command.data):
        # All FF is no value of a coded field here, and no data object.
        yield Defect("data", 0x6A80, data=lambda _: b"\xff" * command.lc_minimum)


def conflicting(first: Defect, second: Defect) -> bool:
    """Whether no command can have both."""
    if first.name == "class of GSM" and second.name in {"secure messaging", "chaining"}:
        return True
    if first.data(b"") and second.data(b""):
        return True
    states = [set(d.state.values) if isinstance(d.state, Lack) else set() for d in (first, second)]
    return first.name == second.name or bool(states[0] & states[1])


@pytest.mark.parametrize("command", ALL)
def test_refusals_come_in_the_fixed_order(command: Command) -> None:
    order = list(defects(command))
    pairs = 0
    for first, second in combinations(order, 2):
        if conflicting(first, second):
            continue
        pairs += 1
        state, head, data = good_state(command), header(command), bytes(command.lc_minimum)
        for defect in (second, first):  # where both are made in one byte, the later one leaves room
            state, head, data = defect.state(state), defect.head(head), defect.data(data)
        card = card_in(state, command.applet)
        found = exchange(card, CommandApdu(*head, data).encode())
        assert found == (b"", first.sw), f"{first.name} and {second.name}: {found[1]:04X}"
    assert pairs >= len(order)


@pytest.mark.parametrize("command", ALL)
def test_each_defect_alone(command: Command) -> None:
    for defect in defects(command):
        card = card_in(defect.state(good_state(command)), command.applet)
        data = defect.data(bytes(command.lc_minimum))
        found = exchange(card, CommandApdu(*defect.head(header(command)), data).encode())
        assert found == (b"", defect.sw), f"{defect.name}: {found[1]:04X}"


def test_refused_commands_change_nothing() -> None:
    """All the refusals above, one after the other on one card: its slots, BPIN and channels are as they were."""
    card = card_in(State(), "wallet")
    before = export(card)
    for command in COMMANDS.values():
        for defect in defects(command):
            if defect.state is not Defect.state and isinstance(defect.state, Lack):
                continue
            data = defect.data(bytes(command.lc_minimum))
            exchange(card, CommandApdu(*defect.head(header(command)), data).encode())
    assert export(card) == before
    assert exchange(card, "80F2000100") == (b"\x84\x10" + WALLET_AID, 0x9000)
    assert exchange(card, "0170000001") == (b"", 0x6881)
