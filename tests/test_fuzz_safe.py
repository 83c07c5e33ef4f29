"""A card that somebody needs again: what the fuzzer may do to it, and what it never does."""

import errno
import json
import os
import shlex
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, ClassVar
from unittest import SkipTest

import pytest
from helpers import BPIN, ICCID, apdu, bare_card, by_hand, fetch, respond, select

from bsim.applets.proactive import ProactiveCommand, TerminalResponse
from bsim.card import Uicc
from bsim.cli import main
from bsim.fuzz import cards
from bsim.fuzz.campaign import Options
from bsim.fuzz.card_engine import CardExplorer
from bsim.fuzz.card_replay import CardReplayer
from bsim.fuzz.card_run import CardCampaign, NotAllowed, Place, check_allowed, digits
from bsim.fuzz.files import Folder
from bsim.fuzz.grammar import grammar
from bsim.fuzz.identity import identity
from bsim.fuzz.ledger import Journal, Ledger, LedgerError
from bsim.fuzz.minimise import Minimiser
from bsim.fuzz.oracles import OUTSIDE, Judge
from bsim.fuzz.policy import Policy, SafetyStop
from bsim.fuzz.regress import check
from bsim.fuzz.result import Exit
from bsim.fuzz.safe import SafeCard
from bsim.fuzz.steps import ANSWERS, POWER_CYCLE, TYPES, send
from bsim.fuzz.typist import answer
from bsim.lab.guard import Unsafe, danger_of
from bsim.lab.subject import OverT0
from bsim.ports import Card, CardLost, CardMute, CardRemoved
from bsim.spec import Danger


class Watched:
    """A card that takes down what it is sent, and the lowest BPIN tries it ever had; it can be pulled."""

    def __init__(self, uicc: Uicc) -> None:
        self.uicc = uicc
        self.card: Card = OverT0(uicc)
        self.sent: list[bytes] = []
        self.lowest = 99
        self.pull_at: set[int] = set()
        self.out = False

    def reset(self) -> bytes:
        self.out = False
        return self.card.reset()

    def transmit(self, command: bytes) -> bytes:
        self.sent.append(command)
        if len(self.sent) in self.pull_at:
            self.out = True
        if self.out:
            raise CardRemoved("pulled")
        response = self.card.transmit(command)
        self.lowest = min(self.lowest, tries(self.uicc))
        return response


def tries(uicc: Uicc) -> int:
    return next(state.tries for state in uicc.states if hasattr(state, "bpin"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "ledgers", tmp_path / "journal.txt")


@pytest.fixture
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bsim.fuzz.ledger.os.fsync", lambda _: None)


Guard = Callable[[Policy, Card], SafeCard]


@pytest.fixture
def guarded(place: Place) -> Iterator[Guard]:
    """Puts a guard before a card; each has an account of its own run, closed at the end."""
    with ExitStack() as stack:

        def put(policy: Policy, card: Card) -> SafeCard:
            ledger, journal = Ledger(place.ledgers, b"card"), Journal(place.journal)
            stack.callback(journal.close)
            return SafeCard(card, policy, ledger, journal)

        yield put


def test_a_guarded_run_leaves_the_card_as_it_was(place: Place, no_fsync: None) -> None:
    uicc, store = cards.make("operational")
    card = Watched(uicc)
    card.pull_at = {1_000, 2_500}
    with cards.quick_backups():
        campaign = CardCampaign(
            card, Options(seed=10, max_apdus=6_000), Policy(cards.BPIN, 10, max_writes=1_500), place, "sim"
        )
        report = campaign.run()
    assert report.exit is Exit.CLEAN, report.findings
    assert report.safety is not None
    assert report.safety["irreversible"] == 0
    assert report.safety["recovered"] == 2
    assert report.safety["tries_spent"] > 0
    assert report.safety["writes"] <= 1_500
    assert store.writes <= 1_500
    assert card.lowest >= 9
    assert tries(uicc) == 10
    assert report.coverage.commands_seen >= 10
    assert len(place.journal.read_text().splitlines()) >= report.safety["sent"]
    assert cards.BPIN.encode().hex().upper() not in place.journal.read_text()


class InReader(Watched):
    """A card in a reader, as the command line sees it; `wrong` answers replace its own, by class and instruction."""

    wrong: ClassVar[dict[bytes, bytes]] = {}

    def transmit(self, command: bytes) -> bytes:
        response = super().transmit(command)
        return self.wrong.get(command[:2], response) if response[-2:] == b"\x90\0" else response

    def close(self) -> None:
        self.out = True


@pytest.fixture
def diff(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, no_fsync: None) -> Callable[..., int]:
    """Compares a card with another kind's seed, BPIN and randomness in a reader with an emulated one."""

    def run(card: InReader, *words: str, on: tuple[str, ...] = ("ram", "reader:0")) -> int:
        monkeypatch.setattr("bsim.lab.targets.open_target", lambda *_: card)
        monkeypatch.chdir(tmp_path)
        own = ["--allow-card", ICCID, "--bpin", BPIN, "--tries-left", "10", "--ledger", str(tmp_path)]
        own += ["--sequences", "100", *words]
        return main(["fuzz", "diff", *(word for target in on for word in ("--on", target)), *own])

    return run


@pytest.mark.parametrize("on", [("ram", "reader:0"), ("reader:0", "t0")])
def test_a_card_in_a_reader_is_as_the_emulated_one(
    diff: Callable[..., int], on: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    card = InReader(bare_card().card)
    assert diff(card, on=on) == 0
    assert "0 differences" in capsys.readouterr().err
    assert card.lowest == tries(card.uicc) == 10
    assert card.out
    assert len({command[:2] for command in card.sent}) > 25
    assert {danger_of(command) for command in card.sent} <= {Danger.SAFE, Danger.WRITES, Danger.CONSUMES_TRY}
    typed = [command for command in card.sent if command[1] == 0x14 and b"\x8d\x07" in command]
    assert typed
    assert all(command.endswith(BPIN.encode()) for command in typed)


def test_where_it_answers_otherwise_is_told_without_its_data(
    diff: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, sent in (("EXPORT_PUBKEYS", "80C80000 00"), ("GET_VERSION", "00CA0000 00")):
        head = f"# bsim fuzz corpus\n# card: operational\n# why: {name} 9000\n"
        (tmp_path / f"{name}.txt").write_text(f"{head}SELECT 00A40400 08A000000533C000FF\n{name} {sent}\n")
    card = InReader(bare_card().card)
    card.wrong = {b"\x80\xc8": b"\x6a\x88", b"\0\xca": bytes(6) + b"\x90\0"}
    assert diff(card, "--json", "--corpus", str(tmp_path)) == 1
    found = {one["command"]: (one["first"], one["second"]) for one in json.loads(capsys.readouterr().out)}
    assert found["EXPORT_PUBKEYS"][0].startswith("9000, ")
    assert found["EXPORT_PUBKEYS"][1] == "6A88, 0 bytes"
    assert found["GET_VERSION"] == ("9000, 2 bytes", "9000, 6 bytes")


def test_cards_are_compared_within_the_rules_only(diff: Callable[..., int]) -> None:
    card = InReader(bare_card().card)
    assert diff(card, "--unsafe", "--i-own-this-card", ICCID) == 2
    assert diff(card, on=("reader:0", "reader:1")) == 2
    assert not card.sent


@pytest.mark.parametrize(("patience", "words"), [(30.0, "is back"), (0.0, "the card is lost")])
def test_a_card_that_is_pulled_ends_the_comparison(
    diff: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    patience: float,
    words: str,
) -> None:
    """What was found until then is told, and 3 is another code than that of cards that differ."""
    monkeypatch.setattr("bsim.fuzz.safe._PATIENCE", patience)
    chosen = "SELECT 00A40400 08A000000533C000FF\n"
    for name, steps in (("a", f"{chosen}GET_VERSION 00CA000000\n"), ("b", 60 * chosen)):
        (tmp_path / f"{name}.txt").write_text(f"# card: operational\n{steps}")
    card = InReader(bare_card().card)
    card.pull_at = {50}
    card.wrong = {b"\0\xca": b"\x6a\x88"}
    assert diff(card, "--json", "--corpus", str(tmp_path)) == 3
    told = capsys.readouterr()
    assert [one["command"] for one in json.loads(told.out)] == ["GET_VERSION"]
    assert words in told.err


def test_a_corpus_is_cut_off_where_a_pin_would_lose_a_try(diff: Callable[..., int], tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    wrong = "VERIFY_PIN 002000010831323334FFFFFFFF"
    (folder / "a.txt").write_text(f"# card: operational\nRESET\nGET_VERSION 00CA000000\n{wrong}\n")
    card = InReader(bare_card().card)
    assert diff(card, "--corpus", str(folder)) == 0
    assert bytes.fromhex("00CA000000") in card.sent
    assert not any(command[1] == 0x20 for command in card.sent)


def test_what_is_known_of_a_cards_secrets_is_looked_for_in_its_answers(place: Place, no_fsync: None) -> None:
    class Telling(Watched):
        def transmit(self, command: bytes) -> bytes:
            response = super().transmit(command)
            return cards.BPIN.encode() + response if command[1] == 0xF2 and response[-2:] == b"\x90\0" else response

    uicc, _ = cards.make("operational")
    with cards.quick_backups():
        campaign = CardCampaign(Telling(uicc), Options(seed=5, max_apdus=1_000), Policy(cards.BPIN), place, "sim")
        found = campaign.run().findings
    assert "secret-leak/bpin in STATUS" in {one.key for one in found}


Fuzz = Callable[..., int]


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, no_fsync: None) -> Fuzz:
    """Types a command line at a card in a reader, which is the user's own, and whose BPIN is the usual one."""
    monkeypatch.chdir(tmp_path)

    def run(card: InReader, *words: str) -> int:
        monkeypatch.setattr("bsim.lab.targets.open_target", lambda *_: card)
        return main(["fuzz", words[0], "--on", "reader:0", "--allow-card", ICCID, *words[1:]])

    return run


RUN = ("run", "--seed", "2", "--max-apdus", "2000", "--ledger", "ledger", "--dir", "out", "-q")


def report_of(folder: str = "out") -> dict[str, Any]:
    report: dict[str, Any] = json.loads(Path(folder, "run.json").read_text())
    return report


class Dying(InReader):
    """A card that gives `last` for an answer to EXPORT_PUBKEYS, and none at all (None) before it is reset, or ever."""

    last: ClassVar[bytes | None] = None
    for_good = False
    dead = False

    def reset(self) -> bytes:
        if self.dead and self.for_good:
            raise CardMute("mute")
        self.dead = False
        return super().reset()

    def transmit(self, command: bytes) -> bytes:
        response = super().transmit(command)
        if command[:2] == b"\x80\xc8":
            if self.last is not None:
                return self.last
            self.dead = True
        if self.dead:
            raise CardMute("mute")
        return response


@pytest.mark.parametrize("last", [None, b"", b"\x90"])
def test_a_card_that_goes_mute_is_a_finding(fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch, last: bytes | None) -> None:
    monkeypatch.setattr(Dying, "last", last)
    card = Dying(bare_card().card)
    assert fuzz(card, *RUN) == 1
    found = report_of()["findings"]
    assert found
    assert all(one["key"].startswith("crash/") and one["key"].endswith(" without an answer") for one in found)
    assert all(one["steps"][-1]["command"] == "EXPORT_PUBKEYS" for one in found)
    assert card.out


def test_a_card_that_dies_of_a_command_is_a_finding(fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bsim.fuzz.safe._PATIENCE", 0.0)
    monkeypatch.setattr(Dying, "for_good", True)
    card = Dying(bare_card().card)
    assert fuzz(card, *RUN) == 3
    report = report_of()
    (found,) = report["findings"]
    assert found["steps"][-1]["command"] == "EXPORT_PUBKEYS"
    assert f"{found['id']} was not verified: the card does not come back" in report["notes"]
    assert Path("out", "findings", f"{found['id']}.txt").exists()


def test_a_card_that_refuses_everything_is_not_taken_for_a_good_one(fuzz: Fuzz) -> None:
    class Closed(InReader):
        def transmit(self, command: bytes) -> bytes:
            response = super().transmit(command)
            return b"\x6e\x00" if len(self.sent) > 300 else response

    assert fuzz(Closed(bare_card().card), *RUN, "--checks", "crash") == 3
    assert "the card answers STATUS with 6E00" in " ".join(report_of()["notes"])


class Undeclared(InReader):
    """A card that answers every change with a status word that is not declared."""

    mended = False

    def transmit(self, command: bytes) -> bytes:
        response = super().transmit(command)
        changes = not self.mended and response[-2:] == b"\x90\0" and danger_of(command) is Danger.WRITES
        return b"\x6a\x99" if changes else response


def test_a_finding_outlives_the_budget_it_is_minimised_with(fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bsim.fuzz.card_run._SLICE", 1)
    assert fuzz(Undeclared(bare_card().card), *RUN, "--max-failures", "1", "--no-shrink", "--ledger", "other") == 1
    spent = report_of()["safety"]["writes"]
    shutil.rmtree("out")
    assert fuzz(Undeclared(bare_card().card), *RUN, "--max-nv-writes", str(spent + 1)) == 1
    report = report_of()
    (found,) = report["findings"]
    assert found["steps"][-1]["answer"] == "6A99"
    (note,) = [note for note in report["notes"] if f"budget of {spent + 1} writes" in note]
    assert note.startswith(f"{found['id']} might be smaller")
    assert Path("out", "findings", f"{found['id']}.txt").exists()


def test_a_finding_outlives_the_end_of_the_run(fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Minimiser) -> None:
        assert len(list(Path("out", "findings").glob("*.txt"))) == 1  # one that is killed here has it as well
        raise KeyboardInterrupt

    monkeypatch.setattr(Minimiser, "run", interrupted)
    assert fuzz(Undeclared(bare_card().card), *RUN) == 130
    (found,) = report_of()["findings"]
    assert found["steps"][-1]["answer"] == "6A99"
    assert Path("out", "findings", f"{found['id']}.txt").exists()


def test_what_an_earlier_run_found_is_told_again(fuzz: Fuzz, capsys: pytest.CaptureFixture[str]) -> None:
    card = Undeclared(bare_card().card)
    words = ("campaign", *RUN[1:], "--max-failures", "1")
    assert fuzz(card, *words) == 1
    first = report_of()["findings"]
    card.mended = True
    capsys.readouterr()
    assert fuzz(card, *words) == 1
    assert report_of()["findings"] == first
    assert f"{first[0]['id']} {first[0]['key']}: kept: replay it with --on reader:0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--engine", "random"], "--engine: not with one card"),
        (["--phases", "smoke", "-j", "2"], "--phases, --jobs: not with"),
        (["--cluster", "local"], "--cluster: not with"),
        (["--include", "SET_BPIN|TERMINATE"], "no command is left that may be sent"),
        (["--on", "reader:0,reader:1", "--seeds", "."], "--seeds: not with cards in several readers"),
    ],
)
def test_what_would_not_be_done_in_a_reader_is_refused(
    fuzz: Fuzz, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    card = InReader(bare_card().card)
    assert fuzz(card, *RUN, *words) == 2
    assert told in capsys.readouterr().err
    assert not card.sent
    assert not Path("out").exists()


def test_the_commands_that_are_named_are_used_and_no_others(place: Place, no_fsync: None) -> None:
    options = Options(seed=1, commands=("SELECT", "GET_VERSION", "SET_BPIN"))
    campaign = CardCampaign(Watched(bare_card().card), options, Policy(BPIN), place, "sim")
    assert {entry.name for entry in campaign.explorer.generator.commands} == {"SELECT", "GET_VERSION"}
    campaign.tear_down()


def test_seeds_are_sent_as_far_as_they_may_be(fuzz: Fuzz, tmp_path: Path) -> None:
    (tmp_path / "seeds").mkdir()
    never = apdu("SET_BPIN", bpin=b"111111").hex()
    steps = f"SELECT 00A40400 08A000000533C000FF\nSET_BPIN {never}\nGET_VERSION 00CA0000 00\n"
    (tmp_path / "seeds" / "a.txt").write_text(f"# card: operational\n{steps}")
    card = InReader(bare_card().card)
    assert fuzz(card, *RUN, "--seeds", "seeds", "--max-apdus", "5") == 0
    assert bytes.fromhex("00CA000000") in card.sent
    assert not any(danger_of(command) is Danger.IRREVERSIBLE for command in card.sent)


def test_without_shrinking_nothing_is_minimised(fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Minimiser, "run", lambda _: pytest.fail("minimised"))
    assert fuzz(Undeclared(bare_card().card), *RUN, "--max-failures", "1", "--no-shrink") == 1


@pytest.mark.parametrize("more", [[], ["--no-shrink"]])
def test_what_is_found_in_a_reader_is_told_where_the_disk_is_full(
    fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out/findings/a")

    monkeypatch.setattr(Folder, "save_finding", full)
    assert fuzz(Undeclared(bare_card().card), *RUN, "--max-failures", "1", *more) == 2
    err = capsys.readouterr().err.splitlines()
    assert err[-1] == "bsim: out/findings/a: No space left on device; what was written until then is there"
    assert sum(line.startswith("found ") for line in err) == 1
    assert any(" -> " in line for line in err)


def test_the_line_of_a_finding_in_a_reader_works(fuzz: Fuzz, capsys: pytest.CaptureFixture[str]) -> None:
    card = Undeclared(bare_card().card)
    assert fuzz(card, *RUN, "--max-failures", "1", "--tries-left", "10") == 1
    lines = capsys.readouterr().out.splitlines()
    assert not any(line.startswith("pytest ") for line in lines)
    assert not list(Path("out", "findings").glob("*.py"))
    (line,) = [shlex.split(line) for line in lines if line.startswith("bsim fuzz replay ")]
    assert line[4:6] == ["--on", "reader:0"]
    assert line[6:8] == ["--allow-card", ICCID]
    for mended in (False, True):
        card.mended, card.out = mended, False
        assert main(line[1:]) == (0 if mended else 1)
        assert ("+ FIXED" if mended else "x FAILED") in capsys.readouterr().out
        assert card.out
    assert main([*line[1:], "--bpin", "BPIN"]) == 2
    assert "put the BPIN of your card there" in capsys.readouterr().err
    assert main([*line[1:], "--on", "card.bsim"]) == 2
    path = line[3]
    assert main(["fuzz", "replay", path]) == 2
    assert "to be replayed with --on reader:0" in capsys.readouterr().out
    assert main(["fuzz", "replay", path, "--allow-card", ICCID]) == 2
    assert main(["fuzz", "tmin", path]) == 2
    assert main(["fuzz", "show", path, "--format", "pytest"]) == 2
    assert "bsim fuzz replay" in capsys.readouterr().err
    with pytest.raises(SkipTest, match="reader:0"):
        check(Path(path).read_text())


@pytest.mark.parametrize(
    ("card", "step", "told"),
    [
        ("card", apdu("SET_BPIN", bpin=b"111111").hex(), "not replayed to its end"),
        ("operational", "00CA0000 00", "to be replayed with no --on"),
        ("golden", "00CA0000 00", "no kind of card 'golden'"),
    ],
)
def test_what_cannot_be_replayed_is_not_called_mended(
    fuzz: Fuzz, capsys: pytest.CaptureFixture[str], card: str, step: str, told: str
) -> None:
    Path("one.txt").write_text(f"# key: crash/here\n# card: {card}\n# target: ram\nX {step}\n")
    assert fuzz(InReader(bare_card().card), "replay", "one.txt", "--ledger", "ledger") == 2
    assert told in capsys.readouterr().out


def test_what_the_twin_would_lose_is_not_sent(guarded: Guard) -> None:
    """Whatever the declaration says of it."""
    heads = ("00A4040008A000000533C000FF", "801000000170", "807C000000", "8012000020")
    asked = [bytes.fromhex(head) for head in heads]
    types = bytes.fromhex("8014000015810301230482028281830100") + b"\x8d\x07\x04" + cards.BPIN.encode()
    path = [*map(send, asked), send(types, TYPES)]
    lost, kept = (send(grammar().by_name[name].examples[0]) for name in ("RESTORE_SEED", "EXPORT_PUBKEYS"))
    card = Watched(bare_card().card)
    safe = guarded(Policy(BPIN), card)
    for pretest in (True, False):
        explorer = CardExplorer(grammar(), Judge(OUTSIDE), safe, BPIN, 1, pretest=pretest)
        assert explorer._permitted([*path, kept])
        assert explorer._permitted([*path, lost]) is not pretest
    assert not card.sent


def test_no_path_goes_on_after_a_wrong_bpin(place: Place, no_fsync: None) -> None:
    """The guard types the right one after it, which no step says: such a path would lead elsewhere."""
    uicc, _ = cards.make("operational")
    with cards.quick_backups():
        campaign = CardCampaign(Watched(uicc), Options(seed=5, max_apdus=6_000), Policy(cards.BPIN, 10), place, "sim")
        tear_down = campaign.tear_down
        campaign.tear_down = lambda: None  # type: ignore[method-assign]
        report = campaign.run()
        assert report.safety is not None
        assert report.safety["tries_spent"] > 0
        explorer, safe = campaign.explorer, campaign.safe
        replayer = CardReplayer(grammar(), Judge(OUTSIDE), explorer.rig, safe)
        for path in explorer._paths[:150]:
            replayer.run("card", path)
            assert "wrong BPIN" not in replayer.refused
        asked = [send(apdu("VERIFY_BPIN")), send(bytes.fromhex("8012000020"))]
        wrong = send(bytes.fromhex("8014000015810301230482028281830100") + b"\x8d\x07\x04000000", ANSWERS)
        profile = [send(bytes.fromhex("801000000170")), send(bytes.fromhex("00A4040008A000000533C000FF"))]
        assert replayer.run("card", [*profile, *asked, wrong, POWER_CYCLE]) == (None, 6)
        assert "wrong BPIN was typed" in replayer.refused
        tear_down()
    assert tries(uicc) == 10


def test_without_known_tries_nothing_is_typed(place: Place, no_fsync: None) -> None:
    uicc, _ = cards.make("one-try-left")
    card = Watched(uicc)
    with cards.quick_backups():
        CardCampaign(card, Options(seed=4, max_apdus=3_000), Policy(cards.BPIN), place, "sim").run()
    assert card.lowest == tries(uicc) == 1
    assert not any(command[1] == 0x14 and b"\x8d" in command for command in card.sent)
    assert not any(command[1:2] in {b"\x7a", b"\x76", b"\x72"} for command in card.sent)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (apdu("SET_BPIN", bpin=b"111111"), "nothing brings back"),
        (apdu("GENERATE_SEED"), "nothing brings back"),
        (bytes.fromhex("80F80C0000"), "nothing brings back"),
        (bytes.fromhex("0020000108") + b"12345678", "nothing brings back|never guessed"),
        (bytes.fromhex("8482000010") + bytes(16), "nothing brings back|never guessed"),
        (b"\x80", "no|none"),
        (apdu("DERIVE_KEY", coin_type=60, algorithm="SECP256K1"), "uses up"),
        (bytes.fromhex("00E00000026200"), "uses up"),
        (apdu("EXPORT_SEED", key2=b"Passw0rd"), "a secret"),
    ],
)
def test_what_is_never_sent(guarded: Guard, command: bytes, words: str) -> None:
    card = Watched(bare_card().card)
    with pytest.raises(Unsafe, match=words):
        guarded(Policy(BPIN, 10), card).transmit(command)
    assert not card.sent


def asked(safe: SafeCard, name: str = "VERIFY_BPIN") -> ProactiveCommand:
    """Have a card that was reset ask for its BPIN."""
    safe.reset()
    safe.transmit(apdu("TERMINAL_PROFILE", profile=b"\xff\xff\xff\xff"))
    select(safe)
    return fetch(safe, safe.transmit(apdu(name)))


WRONG = "000000"


class Mishap(Watched):
    """A card to which something happens when a wrong BPIN is typed, or the right one; `at` says with which of them."""

    def __init__(self, uicc: Uicc, happens: Callable[["Mishap", bytes], bytes], typed: str = WRONG) -> None:
        super().__init__(uicc)
        self.happens, self.typed, self.armed = happens, typed.encode(), True

    def transmit(self, command: bytes) -> bytes:
        response = super().transmit(command)
        if self.armed and command[1] == 0x14 and command.endswith(self.typed):
            self.armed = False
            return self.happens(self, response)
        return response


def lost(_card: Mishap, _response: bytes) -> bytes:
    raise CardRemoved("pulled")


def interrupted(_card: Mishap, _response: bytes) -> bytes:
    raise KeyboardInterrupt


def signalled(_card: Mishap, response: bytes) -> bytes:
    signal.raise_signal(signal.SIGINT)
    return response


def signalled_and_lost(card: Mishap, response: bytes) -> bytes:
    return lost(card, signalled(card, response))


def signalled_and_in_other_words(card: Mishap, response: bytes) -> bytes:
    return other_words(card, signalled(card, response))


def other_words(_card: Mishap, _response: bytes) -> bytes:
    return b"\x63\x00"


def test_a_wrong_try_is_given_back_at_once(guarded: Guard) -> None:
    uicc = by_hand().card
    safe = guarded(Policy(BPIN, 10), uicc)
    safe.begin()
    respond(safe, asked(safe), WRONG)
    assert safe.account.lowest_tries == 9
    assert safe.account.pending == 0
    assert tries(uicc) == 10


def test_what_a_card_does_not_read_counts_as_typed_until_it_is_reset(guarded: Guard) -> None:
    uicc = by_hand().card
    safe = guarded(Policy(BPIN, 10), uicc)
    safe.begin()
    command = answer(asked(safe), WRONG)
    assert safe.transmit(command[:4] + bytes((command[4] + 1,)) + command[5:] + b"\0") == b"\x6a\x80"
    assert safe.account.pending == 1
    safe.reset()
    assert safe.account.pending == 0
    assert tries(uicc) == 10


@pytest.mark.parametrize(
    ("happens", "ends"),
    [
        (lost, CardLost),
        (interrupted, KeyboardInterrupt),
        (signalled, KeyboardInterrupt),
        (other_words, SafetyStop),
        (signalled_and_lost, KeyboardInterrupt),
        (signalled_and_in_other_words, SafetyStop),
    ],
)
def test_a_try_is_given_back_before_the_run_ends(
    guarded: Guard, happens: Callable[[Mishap, bytes], bytes], ends: type[BaseException]
) -> None:
    card = Mishap(by_hand().card, happens)
    safe = guarded(Policy(BPIN, 10), card)
    safe.begin()
    command = asked(safe)
    with pytest.raises(ends):
        respond(safe, command, WRONG)
    assert not card.armed
    assert card.lowest == safe.account.lowest_tries == 9
    safe.leave()
    assert (tries(card.uicc), safe.account.pending) == (10, 0)


def test_what_a_killed_run_owes_the_next_one_gives_back(place: Place, no_fsync: None) -> None:
    card = Mishap(by_hand().card, interrupted)
    ledger, journal = Ledger(place.ledgers, b"card"), Journal(place.journal)
    safe = SafeCard(card, Policy(BPIN, 10), ledger, journal)
    safe.begin()
    with pytest.raises(KeyboardInterrupt):
        respond(safe, asked(safe), WRONG)
    assert tries(card.uicc) == 9
    ledger._lock.release()  # as if it had been killed

    ledger = Ledger(place.ledgers, b"card")
    assert ledger.lost == 1
    with pytest.raises(SafetyStop, match="9 tries left, and 10 are kept; 1 of them"):
        SafeCard(card, Policy(BPIN, 10, floor=10), ledger, journal).begin()
    safe = SafeCard(card, Policy(BPIN, 10), ledger, journal)
    assert safe.account.lowest_tries == 9
    safe.begin()
    assert (tries(card.uicc), ledger.lost, card.lowest) == (10, 0, 9)
    ledger.close()
    journal.close()


@pytest.mark.parametrize(("given", "floor"), [(None, 2), (2, 2), (10, 10)])
def test_a_bpin_that_may_be_wrong_is_not_typed_at_the_floor(guarded: Guard, given: int | None, floor: int) -> None:
    card = Watched(by_hand().card)
    safe = guarded(Policy(WRONG, given, floor), card)
    safe.begin()
    assert "nothing is typed" in safe.untyped
    command = asked(safe)
    with pytest.raises(Unsafe, match="types something"):
        respond(safe, command, WRONG)
    assert (card.lowest, tries(card.uicc)) == (10, 10)


def test_a_card_that_refuses_the_bpin_is_not_fuzzed(place: Place, no_fsync: None) -> None:
    uicc, _ = cards.make("operational")
    card = Watched(uicc)
    for left in (9, 8):
        report = CardCampaign(card, Options(seed=1, max_apdus=3_000), Policy(BPIN, 10), place, "sim").run()
        assert report.exit is Exit.SAFETY
        assert report.safety is not None
        assert (report.safety["tries_spent"], report.safety["tries_pending"]) == (1, 10 - left)
        assert report.apdus < 20
        assert "does not take the BPIN" in report.notes[0]
        assert f"{left} tries left" in report.notes[0]
        assert tries(uicc) == card.lowest == left
    report = CardCampaign(card, Options(seed=1, max_apdus=500), Policy(cards.BPIN, 10), place, "sim").run()
    assert (report.exit, tries(uicc)) == (Exit.CLEAN, 10)


def test_a_run_that_cannot_give_a_try_back_is_no_clean_one(
    place: Place, no_fsync: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bsim.fuzz.safe._PATIENCE", 0.0)
    uicc, _ = cards.make("operational")
    card = Watched(uicc)
    campaign = CardCampaign(card, Options(seed=1, max_apdus=1), Policy(cards.BPIN, 10), place, "sim")
    campaign.safe.begin()
    respond(campaign.safe, asked(campaign.safe), "")  # an empty text is a wrong BPIN
    respond(campaign.safe, asked(campaign.safe, "UPDATE_BPIN"), cards.BPIN)
    assert campaign.safe.account.pending == 1
    monkeypatch.setattr(card, "reset", lambda: lost(card, b""))  # type: ignore[arg-type]
    report = campaign.run()
    assert report.exit is Exit.SAFETY
    assert report.safety is not None
    assert report.safety["tries_pending"] == 1


def test_ctrl_c_while_a_card_is_waited_for_leaves_the_report(fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: SafeCard) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SafeCard, "leave", interrupted)
    assert fuzz(Undeclared(bare_card().card), *RUN) == 130
    assert report_of()["findings"]


def test_a_card_that_is_lost_while_its_bpin_is_first_typed_is_not_typed_at_again(guarded: Guard) -> None:
    card = Mishap(by_hand().card, lost, BPIN)
    safe = guarded(Policy(BPIN, 10), card)
    with pytest.raises(SafetyStop, match="not given back: 1"):
        safe.begin()
    assert sum(command[1] == 0x14 and BPIN.encode() in command for command in card.sent) == 1
    assert safe.account.lowest_tries == 9


class Slipping(Watched):
    """A card that its reader loses at the reset after the right BPIN was typed."""

    typed = False

    def reset(self) -> bytes:
        if self.typed:
            self.typed = False
            raise CardRemoved("pulled")
        return super().reset()

    def transmit(self, command: bytes) -> bytes:
        self.typed = self.typed or (command[1] == 0x14 and BPIN.encode() in command)
        return super().transmit(command)


def test_a_card_that_is_lost_after_it_took_its_bpin_owes_nothing(guarded: Guard) -> None:
    card = Slipping(by_hand().card)
    safe = guarded(Policy(BPIN, 10), card)
    safe.begin()
    assert sum(command[1] == 0x14 and BPIN.encode() in command for command in card.sent) == 1
    assert (safe.untyped, safe.account.pending, safe.account.recovered) == ("", 0, 1)
    respond(safe, asked(safe), WRONG)


def test_the_floor_is_kept(guarded: Guard) -> None:
    uicc = by_hand(records={"wallet.tries": b"\3"}).card
    safe = guarded(Policy(BPIN, 3, floor=2), uicc)
    safe.begin()
    command = asked(safe)
    with pytest.raises(Unsafe, match="kept"):
        respond(safe, command, WRONG)
    assert tries(uicc) == 10


def test_a_counter_that_is_not_what_it_must_be_stops_the_run(guarded: Guard) -> None:
    uicc = by_hand(records={"wallet.tries": b"\7"}).card
    safe = guarded(Policy(BPIN, 12), uicc)  # the user is wrong about the card
    safe.begin()
    command = asked(safe)
    with pytest.raises(SafetyStop, match="other tries left than 11"):
        respond(safe, command, WRONG)
    assert tries(uicc) == 10


def test_a_card_that_had_lost_tries_has_more_than_was_told_once_it_took_the_right_bpin(guarded: Guard) -> None:
    uicc = by_hand(records={"wallet.tries": b"\7"}).card
    safe = guarded(Policy(BPIN, 7), uicc)
    safe.begin()
    for _ in range(2):
        respond(safe, asked(safe), WRONG)
    assert safe.account.lowest_tries == 6
    assert tries(uicc) == 10


def test_a_new_bpin_is_never_chosen(guarded: Guard) -> None:
    safe = guarded(Policy(BPIN, 10), by_hand().card)
    safe.begin()
    command = fetch(safe, respond(safe, asked(safe, "UPDATE_BPIN"), BPIN))
    with pytest.raises(Unsafe, match="change the BPIN"):
        respond(safe, command, BPIN)
    assert safe.account.pending == 0


def test_what_is_owed_in_doubt_is_no_miscount(guarded: Guard) -> None:
    """The right BPIN typed where nothing asks is refused: that no try was lost is not proven, and not unlikely."""
    card = Watched(by_hand().card)
    safe = guarded(Policy(BPIN, 10), card)
    safe.begin()
    command = asked(safe)
    respond(safe, command, BPIN)
    respond(safe, command, BPIN)
    assert (safe.account.pending, tries(card.uicc)) == (1, 10)
    command = asked(safe)
    respond(safe, command, WRONG)
    assert (safe.account.pending, tries(card.uicc), card.lowest) == (0, 10, 9)


class Misreading(Watched):
    """A card that reads the right BPIN as another one, as it may where it is in a coding that it does not know."""

    misreads = False

    def transmit(self, command: bytes) -> bytes:
        return super().transmit(command.replace(BPIN.encode(), WRONG.encode()) if self.misreads else command)


def test_the_right_bpin_that_is_taken_for_another_is_made_good(guarded: Guard) -> None:
    card = Misreading(by_hand().card)
    safe = guarded(Policy(BPIN, 10), card)
    safe.begin()
    command, card.misreads = asked(safe), True
    assert "9 tries left" in fetch(safe, respond(safe, command, BPIN)).text
    assert safe.account.pending == 1
    card.misreads = False
    safe.reset()
    assert (safe.account.pending, tries(card.uicc), card.lowest) == (0, 10, 9)


def test_the_right_bpin_that_is_refused_ends_the_run(guarded: Guard) -> None:
    card = Misreading(by_hand().card)
    safe = guarded(Policy(BPIN, 10), card)
    safe.begin()
    command, card.misreads = asked(safe), True
    fetch(safe, respond(safe, command, BPIN))
    with pytest.raises(SafetyStop, match="does not take the BPIN"):
        safe.leave()
    safe.leave()
    assert (safe.account.pending, tries(card.uicc)) == (2, 8)


def test_a_dialogue_left_open_after_a_wrong_bpin_is_made_good(guarded: Guard) -> None:
    """The right BPIN was typed, and what the card asked then was never fetched: that it took it is not proven."""
    card = Watched(by_hand().card)
    safe = guarded(Policy(BPIN, 10), card)
    safe.begin()
    respond(safe, asked(safe, "UPDATE_BPIN"), WRONG)
    assert safe.account.pending == 2
    safe.reset()
    assert (safe.account.pending, tries(card.uicc)) == (0, 10)


def test_without_writes_nothing_is_typed(guarded: Guard) -> None:
    card = Watched(by_hand().card)
    safe = guarded(Policy(BPIN, 10, writes=False), card)
    safe.begin()
    for command in (apdu("VERIFY_BPIN"), apdu("TERMINAL_RESPONSE", response=typed(BPIN)), apdu("UPDATE_BPIN")):
        with pytest.raises(Unsafe, match="changes what the card keeps"):
            safe.transmit(command)
    assert not card.sent


def typed(text: str) -> bytes:
    return TerminalResponse(1, 0x23, 4, 0, text).encode()


@pytest.mark.parametrize(("option", "bounds"), [("--tries-left", "0 to 10"), ("--max-nv-writes", "0 or more")])
def test_numbers_below_nothing_are_refused(option: str, bounds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", "run", "--on", "reader:0", option, "-1"]) == 2
    assert f"{option} is {bounds}" in capsys.readouterr().err


def test_a_ledger_has_one_user(tmp_path: Path) -> None:
    first = Ledger(tmp_path, b"card")
    with pytest.raises(LedgerError, match="another run"):
        Ledger(tmp_path, b"card")
    first.close()
    Ledger(tmp_path, b"card").close()
    assert not list(tmp_path.glob("*-lock"))


def test_writes_are_counted_over_runs(guarded: Guard) -> None:
    write = apdu("UPDATE_BPIN")
    for expected in (3, 0):
        uicc = bare_card().card
        select(uicc)
        safe = guarded(Policy(BPIN, 10, max_writes=3), uicc)
        sent = 0
        for _ in range(5):
            with suppress(Unsafe):
                safe.transmit(write)
                sent += 1
        assert sent == expected
        safe._ledger.close()


def test_a_ledger_that_was_killed_has_spent_no_less(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, b"card")
    assert ledger.write(1, 1_000)
    ledger._lock.release()  # as if it had been killed: it is never closed
    again = Ledger(tmp_path, b"card")
    assert again.writes >= 1
    again.close()
    assert Ledger(tmp_path, b"other").writes == 0
    assert Ledger(tmp_path, b"card").runs == 3


def test_a_ledger_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, b"card")
    ledger.close()
    ledger.path.write_text("{")
    with pytest.raises(LedgerError, match="cannot be read"):
        Ledger(tmp_path, b"card")


def test_a_journal_that_cannot_be_written_on_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    journal = Journal(place.journal)
    monkeypatch.setattr("bsim.fuzz.ledger.os.fsync", full)
    with pytest.raises(LedgerError, match="journal cannot be written"):
        journal.about_to("00A4")
    journal.close()


def test_only_cards_on_the_list() -> None:
    atr, iccid = identity(bare_card())
    assert digits(iccid) == "8985203021088899971"
    with pytest.raises(NotAllowed, match="--allow-card 8985203021088899971"):
        check_allowed(atr, iccid, frozenset())
    check_allowed(atr, iccid, frozenset({digits(iccid)}))
    check_allowed(atr, iccid, frozenset({atr.hex(" ")}))


@pytest.mark.parametrize("what", ["atr", "iccid"])
def test_another_card_stops_the_run(guarded: Guard, what: str) -> None:
    card = Watched(bare_card().card)
    safe = guarded(Policy(BPIN, 10), card)
    atr, iccid = identity(card)
    safe.identify(*((b"\x3b\x00", iccid) if what == "atr" else (atr, iccid[::-1])))
    safe.begin()
    card.pull_at = {len(card.sent) + 1}
    with pytest.raises(SafetyStop, match="another card"):
        safe.transmit(apdu("GET_CHALLENGE"))
    sent = len(card.sent)
    safe.leave()
    assert len(card.sent) == sent


def test_every_part_that_uses_a_card_knows_it_again(
    diff: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card, other = InReader(bare_card().card), OverT0(cards.make("operational")[0])

    class Swapped(InReader):
        def transmit(self, command: bytes) -> bytes:
            if len(self.sent) == 200:
                self.card = other
                self.pull_at = {201}
            return super().transmit(command)

    card.__class__ = Swapped
    assert diff(card) == 3
    assert "another card is in the reader" in capsys.readouterr().err
