"""The fuzzer: it finds nothing on the card as it is, does the same for the same seed, and reads what it writes."""

import json
import random
import secrets
from itertools import product
from pathlib import Path

import pytest

from bsim.applets import file_tree
from bsim.applets.assets_state import MAX_CONTACTS, AssetsState
from bsim.applets.file_tree import MOST_CHANGED, FilesState
from bsim.applets.issuer import IssuerState
from bsim.applets.key_sets import KeySet
from bsim.applets.signing_state import MAX_POLICIES, SigningState
from bsim.applets.wallet_state import MAX_SLOTS, WalletState
from bsim.card import Uicc
from bsim.chains import evm
from bsim.crypto.scp import Keys as ScpKeys
from bsim.crypto.scp.scp03 import Scp03
from bsim.fuzz import cards, export, parsers
from bsim.fuzz.campaign import Campaign, Options
from bsim.fuzz.coverage import Lines
from bsim.fuzz.emulated_rig import EmulatedRig
from bsim.fuzz.engine import Kind
from bsim.fuzz.examples import examples, tree
from bsim.fuzz.files import Folder, Seed, read_seeds
from bsim.fuzz.finding import Finding, FindingError, parse
from bsim.fuzz.grammar import grammar
from bsim.fuzz.minimise import Minimiser
from bsim.fuzz.mutate import MUTATIONS
from bsim.fuzz.oracles import CHECKS, Judge
from bsim.fuzz.oracles.leak import Secrets
from bsim.fuzz.regress import check
from bsim.fuzz.replay import Replayer
from bsim.fuzz.shrink import reach, smallest_cover
from bsim.fuzz.steps import ANSWERS, OPENS, POWER_CYCLE, PROVES, SECURES, StepError, cut, cut_of, send, text
from bsim.fuzz.steps import parse as parse_step
from bsim.spec import Cost, domains
from bsim.spec import Kind as FieldKind
from bsim.sw import OK

CORPUS = Path(__file__).parent / "corpus"
FOUND = Path(__file__).parent / "found"
SELECT = bytes.fromhex("00A4040010A000000533C000FF860000000000054D")
FINDING = Finding(
    "access-control",
    "right bpin",
    "SIGN answered 9000 without the right 'bpin'",
    "one-try-left",
    (send(SELECT), POWER_CYCLE, cut(b"\x80\xac\0\0\1\0", 2, after=True), send(b"", ANSWERS)),
    ("SELECT", "RESET", "SIGN", "?"),
    ("9000", "", "6700", ""),
    7,
    "state",
    "ram",
    "01234567",
    "0.1.0",
    42,
)

# What was found once, and is mended.
A_CHAIN_IN_A_CHANNEL = """\
# what: a chain ended the routes of a secure channel in which nothing need be secured
# key: metamorphic/IMPORT_SEED in a chain
# card: operational
SELECT                       00A4040C 08A000000533C000FF
WALLET_INITIALIZE_UPDATE     80503000 080000000000000000
WALLET_EXTERNAL_AUTHENTICATE 84820000 1000000000000000000000000000000000 ~channel
IMPORT_SEED                  80D10000 0200FF
"""
A_LOCKED_APPLICATION = """\
# what: an application that was locked was taken for selected on another channel
# key: sw-conformance/no command 6A82
# card: operational
SELECT                   00A4040C
GP_INITIALIZE_UPDATE     80500100 080001020304050607
GP_EXTERNAL_AUTHENTICATE 84820000 1000000000000000000000000000000000 ~channel
MANAGE_CHANNEL           00700003 00
SELECT                   03A4040C 08A000000533C000FF
GP_SET_STATUS            80F04083 10A000000533C000FF860000000000054D
?                        03DC7E1B 0172
"""
A_WARNING_OVER_T0 = """\
# what: the last of the bytes came with the warning of the command they answer
# key: sw-conformance/GET_RESPONSE 6300
# card: t0
SELECT          00A40400 08A000000533C000FF
GET_CERTIFICATE 80DF0000
GET_RESPONSE    00C00000 00
"""
IN_A_SECURE_CHANNEL = """\
# what: the version came without a MAC
# key: response-schema/forged
# card: operational
SELECT                       00A4040C 08A000000533C000FF
WALLET_INITIALIZE_UPDATE     80503000 080000000000000000
WALLET_EXTERNAL_AUTHENTICATE 84823300 1000000000000000000000000000000000 ~channel
GET_VERSION                  00CA0000 02 ~secured
"""


def run(**options: object) -> Campaign:
    campaign = Campaign(Options(**{"seed": 1, "max_apdus": 3_000, **options}))
    campaign.run()
    return campaign


def test_a_bounded_run_finds_nothing() -> None:
    seed = secrets.randbelow(1 << 32)
    print(f"bsim fuzz run --seed {seed} --max-apdus 20000")  # shown by pytest where the test fails
    campaign = Campaign(Options(seed=seed, max_apdus=20_000))
    report = campaign.run()
    assert not report.findings, "\n".join(one.text() for one in report.findings)
    assert not report.notes
    assert report.stability == 1.0
    assert report.coverage.commands_seen == report.coverage.commands
    assert report.coverage.percent >= 92, report.coverage.missing


def test_every_phase_keeps_to_the_budget() -> None:
    assert run(max_apdus=300).explorer.apdus < 400


def test_keys_that_were_put_are_secrets_too() -> None:
    key = bytes(range(0x30, 0x40))
    put = IssuerState(bytes(10), key_sets=(KeySet(0x30, ScpKeys(key, bytes(16), bytes(16))),))
    rig = EmulatedRig(grammar(), "operational")
    rig.states = [put]
    for before, after, at in product(range(12), range(12), range(9)):  # wherever it is in the answer
        assert Secrets().find(rig, bytes(before) + key[at : at + 8] + bytes(after))
        assert not Secrets().find(rig, bytes(before) + key[at : at + 7] + bytes(after))


def test_only_chosen_commands_are_tried() -> None:
    campaign = run(commands=("GET_VERSION", "GET_CHALLENGE"), max_apdus=500)
    names = {grammar().entries[index].name for index, _ in campaign.explorer.pairs}
    assert {"GET_VERSION", "GET_CHALLENGE", "SELECT"} <= names  # what leads to them is sent too
    assert not names & {"SIGN", "GP_PUT_KEY", "CREATE_FILE", "AUTHENTICATE"}


@pytest.mark.parametrize("file", sorted(FOUND.glob("*.txt")), ids=lambda file: file.stem)
def test_what_was_found_once_stays_mended(file: Path) -> None:
    check(file.read_text())


def test_the_corpus_finds_nothing() -> None:
    seeds = list(read_seeds(CORPUS))
    assert seeds
    judge = Judge()
    replayer = Replayer(grammar(), judge)
    with cards.quick_backups(), replayer.ready():
        for seed in seeds:
            hit, used = replayer.run(seed.root, seed.steps)
            assert hit is None, f"{seed.name}, step {used}: {hit}"


@pytest.mark.parametrize("found", [A_CHAIN_IN_A_CHANNEL, A_LOCKED_APPLICATION, A_WARNING_OVER_T0])
def test_what_was_found_is_mended(found: str) -> None:
    check(found)


def test_an_answer_that_is_not_secured_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # On a card as it is nothing is wrong: what the host puts on a command the card takes off, and the other way round.
    check(IN_A_SECURE_CHANNEL)
    monkeypatch.setattr(Scp03, "wrap", lambda _self, response: response)
    with pytest.raises(AssertionError, match="MAC or padding"):
        check(IN_A_SECURE_CHANNEL)


def test_what_is_secured_is_told_and_made_small_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scp03, "wrap", lambda _self, response: response)
    told = parse(IN_A_SECURE_CHANNEL)
    replayer = Replayer(grammar(), Judge())
    with replayer.ready():
        needless = send(b"\x80\xd2\0\0\x04" + bytes(4), SECURES)
        minimiser = Minimiser(replayer, told.root, [*told.steps[:3], needless, told.steps[3]], told.key)
        minimiser.run()
        name, data, sw = replayer.trace(minimiser.root, minimiser.steps)[-1]
    assert len(minimiser.steps) == 4
    assert minimiser.steps[-1] == send(bytes.fromhex("00CA000002"), SECURES)
    assert (name, data, sw) == ("GET_VERSION", b"\x00\x51", 0x9000)


@pytest.mark.parametrize("kind", Kind)
def test_the_same_seed_makes_the_same_run(kind: Kind) -> None:
    options = {"engine": kind, "max_apdus": 1_500, "phases": ("explore",)}
    one, other = (run(seed=5, **options) for _ in range(2))
    assert (one.explorer.apdus, one.explorer.pairs) == (other.explorer.apdus, other.explorer.pairs)
    assert one.explorer.pairs
    assert run(seed=6, **options).explorer.pairs != one.explorer.pairs


MADE_ANEW = [send(SELECT, link) for link in (PROVES, OPENS, SECURES)]


@pytest.mark.parametrize("step", [*FINDING.steps, *MADE_ANEW, cut(SELECT, 1, after=False, link=ANSWERS)])
def test_steps_are_read_as_they_are_written(step: tuple[int, bytes, int]) -> None:
    assert parse_step(text(step)) == step


@pytest.mark.parametrize("line", ["", "80 AC 0", "SIGN", "CUT before x: 00"])
def test_what_is_no_step_is_told(line: str) -> None:
    with pytest.raises((StepError, ValueError)):
        assert parse_step(line or "?")


def test_cuts_carry_their_write() -> None:
    assert [cut_of(cut(b"", write, after=after)[0]) for write in (1, 2, 3) for after in (False, True)] == [
        (write, after) for write in (1, 2, 3) for after in (False, True)
    ]
    assert cut_of(POWER_CYCLE[0]) is None


def test_one_call_sends_all_between_two_resets() -> None:
    """A card may be reset between two calls of opensc-tool: what is left out parts none."""
    steps = [send(SELECT), cut(b"\0\xca\0\0", 1, after=False), send(b"\0\xca\0\0\2"), POWER_CYCLE, send(SELECT)]
    script = export.opensc_script("x", ["SELECT", "GET_VERSION", "GET_VERSION", "RESET", "SELECT"], steps)
    calls = [line for line in script.replace("\\\n", "").splitlines() if line.startswith("opensc-tool")]
    assert [call.count(" -s ") for call in calls] == [2, 0, 1]


def test_a_finding_is_read_as_it_is_written() -> None:
    assert parse(FINDING.text()) == FINDING
    assert json.loads(json.dumps(FINDING.as_json()))["key"] == "access-control/right bpin"
    compile(export.pytest(FINDING), "test", "exec")
    script = export.opensc(FINDING)
    assert f"-s {SELECT.hex().upper()}" in script
    assert "opensc-tool --reset" in script
    assert "not with a reader" in script


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("# key: crash/x\nSELECT 00A40400", "card missing"),
        ("# key: crash/x\n# card: full\n", "steps missing"),
        ("# key: crush/x\n# card: full\nSELECT 00A40400", "no check 'crush'"),
        ("# key: crash/x\n# card: full\nSELECT 00A4040", "line 3"),
    ],
)
def test_what_is_no_finding_is_told(written: str, words: str) -> None:
    with pytest.raises(FindingError, match=words):
        parse(written)


def test_a_folder_keeps_what_was_found_and_goes_on(tmp_path: Path) -> None:
    campaign = Campaign(Options(seed=1, max_apdus=3_000, folder=tmp_path))
    report = campaign.run()
    folder = Folder(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["apdus"] == report.apdus
    seeds = folder.seeds()
    assert {seed.why for seed in seeds} >= {"SELECT 9000", "SIGN 6982"}
    copied = folder.save_finding(FINDING).with_name("mine.txt")
    copied.write_text(FINDING.text())
    assert folder.findings() == [FINDING]
    replayer = Replayer(grammar(), Judge())
    with cards.quick_backups():
        assert folder.heal(replayer, keep=True) == [(FINDING, "fixed")]
        assert folder.findings()
        assert folder.heal(replayer) == [(FINDING, "fixed")]
    assert not list((tmp_path / "findings").iterdir())
    again = run(seeds=seeds, phases=())
    assert set(again.explorer.pairs) >= set(campaign.explorer.pairs)


def test_a_smaller_corpus_reaches_as_much() -> None:
    long = (send(SELECT), POWER_CYCLE, send(SELECT), send(b"\0\xca\0\0\2"))
    seeds = [Seed("operational", long, ""), Seed("operational", long[2:], ""), Seed("operational", long[:1], "")]
    replayer = Replayer(grammar(), Judge())
    with replayer.ready():
        kept = smallest_cover(replayer, seeds)
        assert frozenset().union(*(reach(replayer, one) for one in kept)) == frozenset().union(
            *(reach(replayer, one) for one in seeds)
        )
        assert len(kept) < len(seeds)
        assert smallest_cover(replayer, seeds[:1]) == seeds[:1]


def test_every_entry_has_domains_and_costs() -> None:
    for entry in grammar().entries:
        for field, domain in zip(entry.command.data, entry.domains, strict=True):
            assert domain.legal
            assert set(domain.boundary) <= set(domain.legal) | {bytes(field.maximum), b"\xff" * field.maximum}
            assert not set(domain.illegal) & set(domain.legal)
        assert entry.command.nv_writes == 0 or not entry.safe
    assert grammar().by_name["SIGN"].command.crypto is Cost.SIGNATURE
    assert "bpin" in grammar().by_name["VERIFY_BPIN"].makes


@pytest.mark.parametrize("length", [0, 1, 2, 255, 256, 65_535, 70_000])
def test_any_command_is_spoiled_whatever_its_length(length: int) -> None:
    lc = bytes((length,)) if 0 < length < 256 else b"\0" + (length & 0xFFFF).to_bytes(2, "big") if length else b""
    rng = random.Random(length)
    for entry in grammar().entries:
        for raw in (b"", b"\x80", bytes((0x80, entry.command.ins, 0, 0)) + lc + bytes(length)):
            for spoil in MUTATIONS:
                assert len(spoil(rng, entry, raw)) <= len(raw) + 65_542


def test_domains_of_a_field() -> None:
    coded = domains.field("algorithm", FieldKind.U8, 1, 1, (1, 2))
    assert (coded.legal, b"\0" in coded.illegal) == ((b"\1", b"\2"), True)
    text_field = domains.field("key2", FieldKind.BYTES, 1, 255, ())
    assert [len(value) for value in text_field.illegal] == [0, 256]
    assert {len(value) for value in text_field.boundary} == {1, 255}
    assert domains.parameter((0, 1)).illegal == (b"\2", b"\xff")


def test_every_kind_of_card_is_made() -> None:
    for name in cards.ROOTS:
        rig = EmulatedRig(grammar(), name)
        rig.do(send(SELECT))
        assert rig.sw in {0x9000, 0x6114}
        assert rig.pin() == cards.BPIN.encode()


def test_full_cards_are_full() -> None:
    states = [state for name in ("full", "brim") for state in EmulatedRig(grammar(), name).uicc.states]
    (slots,) = {len(one.slots) for one in states if isinstance(one, WalletState) and one.slots}
    contacts = max(len(one.contacts) for one in states if isinstance(one, AssetsState))
    sites = max(len(one.policies) for one in states if isinstance(one, SigningState))
    files = max(len(file_tree.encode(one.changed)) for one in states if isinstance(one, FilesState))
    assert (slots, contacts, sites, files) == (MAX_SLOTS, MAX_CONTACTS, MAX_POLICIES, MOST_CHANGED - 1)


def test_examples_name_the_account_of_the_cards_own_seed() -> None:
    state = next(one for one in EmulatedRig(grammar(), "full").uicc.states if isinstance(one, WalletState))
    assert evm.checksum(evm.address_bytes(state.slots[0].public_key)).encode() == cards.ACCOUNT
    assert all(cards.ACCOUNT in raw for raw in grammar().by_name["LOGIN"].examples)


def test_a_tree_sends_what_several_examples_have_before_them_once() -> None:
    found = {f"{one.entry.name}.{one.number}": one for one in examples(grammar())}
    signed, listed = found["SIGN_TRANSACTION.1"], found["ADD_ASSET.1"]
    assert [one.entry.name for one in signed.before] == ["SELECT", "DERIVE_KEY", "VERIFY_BPIN"]
    (select,) = tree([signed, listed]).items()
    (derive,) = select[1][1].items()
    (verify,) = derive[1][1].items()
    assert (select[0], derive[0], verify[0]) == signed.before
    assert not verify[1][0]
    assert verify[1][1] == {signed: (True, {}), listed: (True, {})}


def test_checks_have_levels_and_numbers() -> None:
    assert {check.level for check in CHECKS.values()} <= {"error", "warning", "note"}
    assert all(check.cwe > 0 for check in CHECKS.values())


def test_parsers_refuse_or_answer() -> None:
    generator = random.Random(11)
    found = [parsers.try_one(parsers.targets(), generator.randbytes(generator.randrange(60))) for _ in range(3_000)]
    assert not [one for one in found if one is not None]


def test_a_parser_that_breaks_is_told() -> None:
    def breaks(data: bytes) -> int:
        return data[5]

    assert parsers.try_one({"breaks": breaks}, b"\0ab") == parsers.Broken(
        "breaks", "IndexError: index out of range", b"ab"
    )
    assert parsers.try_one({"breaks": breaks}, b"") is None


def test_lines_of_the_card_are_counted_once() -> None:
    lines, rig = Lines(), EmulatedRig(grammar(), "operational")
    start = rig.snapshot()
    assert lines.follow(lambda: rig.do(send(SELECT))) > 5
    start.restore()  # from elsewhere another applet's routes answer, which may not know the header yet
    assert lines.follow(lambda: rig.do(send(SELECT))) == 0
    assert lines.follow(lambda: None) == 0
    assert all("/bsim/" in path for path, _ in lines.seen)


@pytest.mark.parametrize(
    ("answer", "key"),
    [
        (b"", "crash/SIGN without an answer"),
        (b"\x90", "crash/SIGN without an answer"),
        (ValueError("of the card"), "crash/ValueError in rig.send"),
    ],
)
def test_what_is_no_answer_is_told_and_the_run_goes_on(
    answer: bytes | Exception, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Uicc.transmit

    def answered(self: Uicc, command: bytes) -> bytes:
        if command[1:2] != b"\xac":
            return whole(self, command)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(Uicc, "transmit", answered)
    report = Campaign(Options(seed=1, max_apdus=3_000, roots=("operational",))).run()
    assert report.apdus >= 3_000
    assert [one.key for one in report.findings] == [key]


def test_a_hang_of_another_form_of_a_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Uicc.transmit

    def answered(self: Uicc, command: bytes) -> bytes:
        while len(command) > 7 and command[1] == 0xA8 and command[4] == 0:
            pass
        return whole(self, command)

    monkeypatch.setattr(Uicc, "transmit", answered)
    report = Campaign(Options(seed=1, max_apdus=60_000, max_failures=1, roots=("operational",))).run()
    assert [one.oracle for one in report.findings] == ["hang"]


def test_a_card_that_takes_a_malformed_part_of_a_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Uicc.transmit

    def answered(self: Uicc, command: bytes) -> bytes:
        return OK if len(command) > 4 and command[0] & 0x10 else whole(self, command)

    monkeypatch.setattr(Uicc, "transmit", answered)
    rig, judge = EmulatedRig(grammar(), "operational"), Judge()
    command = grammar().by_name["ADD_ASSET"].command
    rig.do(send(bytes.fromhex("00A4040C08A000000533C000FF")))
    rig.do(send(bytes((command.cla[0] | 0x10, command.ins, command.p1.legal[0], command.p2.legal[0], 5, 1))))
    hit = judge(rig)
    assert hit is not None
    assert hit.key == "sw-conformance/what is malformed, in a chain"
