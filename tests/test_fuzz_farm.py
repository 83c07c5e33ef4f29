"""Cards in several readers: a worker for each, within safe mode's rules, and every card let go of as it was."""

import pytest
from fake_ray import FakeRay
from test_fuzz_learn import Reader
from test_fuzz_safe import tries

from bsim.cli import main
from bsim.fuzz import cards
from bsim.fuzz.reports.load import load
from bsim.fuzz.result import Exit
from bsim.lab.reader import ReaderError

ICCIDS = (cards.ICCID, "8986030000000000080")


@pytest.fixture
def farm(monkeypatch, tmp_path):
    """Two readers with a card each, a third without; actors instead of processes, as those see no fixture."""
    readers = {}
    for number in range(2):
        monkeypatch.setattr(cards, "ICCID", ICCIDS[number])
        readers[f"reader:{number}"] = Reader(cards.make("operational")[0])

    def opened(target, *_):
        if target not in readers:
            raise ReaderError(f"no card in {target}")
        return readers[target]

    ray = FakeRay()
    monkeypatch.setattr("bsim.fuzz.farm.open_target", opened)
    monkeypatch.setattr("bsim.fuzz.cluster.connect", lambda *_: ray)
    monkeypatch.setattr("bsim.fuzz.workers.SLICE", 0.05)
    monkeypatch.setattr("bsim.fuzz.ledger.os.fsync", lambda _: None)
    words = ["--cluster", "local", "--dir", str(tmp_path / "run"), "--ledger", str(tmp_path / "ledgers"), "--seed", "1"]
    words += [word for iccid in ICCIDS for word in ("--allow-card", iccid)]
    return readers, ray, [*words, "--bpin", cards.BPIN, "--tries-left", "10"]


def test_each_reader_has_its_worker(farm, tmp_path):
    readers, ray, words = farm
    assert main(["fuzz", "run", "--on", "reader:0,reader:1", "--max-apdus", "600", *words]) == 0
    report = load(tmp_path / "run")
    assert report.target == "reader:0,reader:1"
    assert report.workers == 2
    assert report.safety is not None
    assert report.safety["sent"] == report.apdus >= 600
    assert report.safety["irreversible"] == 0
    assert report.safety["lowest_tries"] >= 9
    for reader in readers.values():
        assert reader.closed
        assert len(reader.sent) > 100
        assert (reader.lowest >= 9, tries(reader.uicc)) == (True, 10)
    assert {index: len(calls) > 0 for index, calls in ray.told.items()} == {0: True, 1: True}
    assert len(list((tmp_path / "run").glob("journal-*.txt"))) == 2


def test_a_reader_without_a_card_stops_its_worker_alone(farm, tmp_path, capsys):
    readers, ray, words = farm
    assert main(["fuzz", "run", "--on", "reader:0,reader:7", "--max-apdus", "300", *words]) == 3
    report = load(tmp_path / "run")
    assert report.exit is Exit.SAFETY
    assert report.notes == ("reader:7: no card in reader:7",)
    assert report.apdus >= 300
    assert len(ray.told[1]) == 1
    assert readers["reader:0"].closed
    capsys.readouterr()


def test_why_nothing_is_typed_is_told_of_each(farm, tmp_path):
    _, _, words = farm
    untold = words[: words.index("--tries-left")]
    assert main(["fuzz", "run", "--on", "reader:0,reader:1", "--max-apdus", "300", *untold]) == 0
    notes = load(tmp_path / "run").notes
    assert [note.partition(": ")[0] for note in notes] == ["reader:0", "reader:1"]
    assert all("--tries-left" in note for note in notes)


def test_a_card_that_is_not_named_is_not_touched(farm, tmp_path, capsys):
    readers, _, words = farm
    named = [word for word in words if word != "--allow-card" and word not in ICCIDS]
    assert main(["fuzz", "run", "--on", "reader:0,reader:1", "--max-apdus", "300", *named]) == 3
    assert "--allow-card" in " ".join(load(tmp_path / "run").notes)
    assert all(reader.closed and len(reader.sent) <= 2 for reader in readers.values())
    capsys.readouterr()


def test_the_rules_hold_for_all(farm, capsys):
    _, _, words = farm
    assert main(["fuzz", "run", "--on", "reader:0,reader:1", *words, "--unsafe"]) == 2
    assert "--unsafe is for one card" in capsys.readouterr().err


def test_two_cards_that_cannot_be_told_apart_are_not_both_fuzzed(farm, tmp_path, capsys):
    _, _, words = farm
    assert main(["fuzz", "run", "--on", "reader:0,reader:0", "--max-apdus", "300", *words]) == 3
    assert load(tmp_path / "run").notes == (
        "reader:0: a card of the same ATR and ICCID is in another reader, or another run uses it",
    )
    assert not list((tmp_path / "ledgers").glob("*-lock"))
    capsys.readouterr()
