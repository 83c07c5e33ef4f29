"""`bsim fuzz` as people and CI type it: exit codes, JSON, files that can be used again."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import pytest
from test_fuzz import FINDING

from bsim.bench.planted import FAULTS
from bsim.cli import main
from bsim.cli.fuzz_options import most_jobs
from bsim.fuzz import files
from bsim.fuzz.compare import Difference


def test_a_clean_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", "run", "--seed", "3", "--max-apdus", "1500", "--json"]) == 0
    told = capsys.readouterr()
    assert "seed 3" in told.err
    report = json.loads(told.out)
    assert (report["format"], report["seed"], report["exit"], report["findings"]) == (1, 3, 0, [])


def test_the_seed_is_always_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", "run", "--max-apdus", "300", "--phases", "explore", "--engine", "random"]) == 0
    told = capsys.readouterr()
    assert told.err.startswith("bsim: seed ")
    assert "nothing found" in told.out
    assert "not seen: " in told.out


def test_what_is_not_seen_is_named_but_not_without_end(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fuzz", "run", "--seed", "1", "--max-apdus", "300"]
    assert main(words) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("not seen: ")]
    named, _, others = line.removeprefix("not seen: ").partition(" and ")
    assert main([*words, "--json"]) == 0
    missing = json.loads(capsys.readouterr().out)["coverage"]["missing"]
    assert named.split(", ") == missing[:12]
    assert others == f"{len(missing) - 12} more, which --json names"


@pytest.mark.parametrize("more", [[], ["-j", "2"]])
def test_a_long_run_tells_where_it_is_in_a_log_too(
    more: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fuzz", "run", "--seed", "1", "--max-apdus", "4000", "--phases", "explore", *more]
    assert main(words) == 0
    assert " APDU  " not in capsys.readouterr().err
    monkeypatch.setattr("bsim.cli.fuzz_told._TOLD", 0.0)
    assert main(words) == 0
    told = capsys.readouterr().err
    assert " APDU  " in told
    assert "\r" not in told
    assert main([*words, "--quiet"]) == 0
    assert " APDU  " not in capsys.readouterr().err


def test_options_that_do_nothing_here_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", "run", "--max-apdus", "100", "--phases", "explore", "--tries-left", "3", "--no-writes"]) == 0
    assert "--tries-left, --no-writes: for a card in a reader" in capsys.readouterr().err


def test_findings_and_their_two_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], card_bugs: list[logging.LogRecord]
) -> None:
    command = ["fuzz", "run", "--seed", "1", "--max-failures", "1", "--dir", str(tmp_path)]
    with FAULTS["crash"].plant():
        assert main(command) == 1
        lines = capsys.readouterr().out.splitlines()
        replay = next(line for line in lines if line.startswith("bsim fuzz replay "))
        test = next(line for line in lines if line.startswith("pytest "))
        assert main(replay.split()[1:]) == 1
        assert "x FAILED" in capsys.readouterr().out
        assert main(["fuzz", "tmin", replay.split()[-1], "--output", str(tmp_path)]) == 2
        assert "it cannot be written (Is a directory)" in capsys.readouterr().err
        assert main(["fuzz", "tmin", replay.split()[-1]]) == 0
        card_bugs.clear()
    namespace: dict[str, object] = {}
    exec(Path(test.split()[-1]).read_text(), namespace)
    for name, value in namespace.items():
        if name.startswith("test_") and callable(value):
            value()  # the fault is mended
    assert main(["fuzz", "replay", str(tmp_path)]) == 0
    assert "+ FIXED" in capsys.readouterr().out
    assert main(["fuzz", "tmin", replay.split()[-1]]) == 0
    assert main(["fuzz", "campaign", "--dir", str(tmp_path), "--max-apdus", "400", "-q"]) == 0
    assert "fixed" in capsys.readouterr().err
    assert not list((tmp_path / "findings").glob("*"))


@pytest.mark.parametrize(("card", "code", "told"), [("card", 1, "kept: replay it"), ("golden", 2, "no kind of card")])
def test_a_finding_of_no_card_that_is_made_here_is_told(
    card: str, code: int, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "findings"
    folder.mkdir()
    (folder / "one.txt").write_text(FINDING.text().replace("one-try-left", card))
    assert main(["fuzz", "run", "--seed", "1", "--max-apdus", "200", "--dir", str(tmp_path)]) == code
    assert told in capsys.readouterr().err
    assert main(["fuzz", "tmin", str(folder / "one.txt")]) == 2
    assert main(["fuzz", "replay", str(tmp_path)]) == 2


@pytest.mark.parametrize("form", ["text", "json", "pytest", "opensc"])
def test_show(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "one.txt"
    path.write_text(FINDING.text())
    assert main(["fuzz", "show", str(path), "--format", form]) == 0
    assert "right bpin" in capsys.readouterr().out


def test_replay_tells_what_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.txt").write_text(FINDING.text())
    (tmp_path / "two.txt").write_text("nothing")
    assert main(["fuzz", "replay", str(tmp_path), "--json"]) == 2
    one, two = json.loads(capsys.readouterr().out)
    assert (one["outcome"], two["outcome"]) == ("fixed", "error")
    assert one["changed"][0]["was"] == "9000"


def test_cmin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = Path(__file__).parent / "corpus"
    assert main(["fuzz", "cmin", str(corpus), "--output", str(tmp_path)]) == 0
    assert 0 < len(list(tmp_path.iterdir())) <= len(list(corpus.iterdir()))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "--checks", "crush"], "no check crush"),
        (["run", "--include", "NOTHING"], "no command is left"),
        (["run", "--include", "("], "no regular expression"),
        (["run", "-j", "no"], "-j is a number"),
        (["run", "-j", "\u00b2"], "-j is a number"),
        (["run", "-j", "9" * 5000], "-j is a number"),
        (["run", "--max-time", "inf"], "--max-time is a number of seconds"),
        (["learn", "--words", "0"], "--words is 1 or more"),
        (["learn", "--against", "nosuch"], "nosuch: cannot be read (No such file or directory)"),
        (["scan", "--aid", ""], "--aid has 1 to 16 bytes"),
        (["scan", "--aid", "00" * 17], "--aid has 1 to 16 bytes"),
        (["scan", "--on", "reader:0", "--tries-left", "11"], "--tries-left is 0 to 10"),
        *(
            ([*verb, "--on", "replay:run.bsimtrace"], "--on replay:run.bsimtrace: a recording answers what it was")
            for verb in (["run"], ["campaign"], ["scan"], ["learn"], ["diff", "--on", "ram"])
        ),
        (["run", "--phases", "smok"], "no phase smok; there is smoke, boundary, explore"),
        (["run", "--phases", ","], "--phases wants"),
        (["run", "--phases", "smoke", "--engine", "model"], "--engine model only explores"),
        (["run", "--max-apdus", "-5"], "--max-apdus is more than 0"),
        (["run", "--max-time", "-1"], "--max-time is more than 0"),
        (["run", "--max-time", "nan"], "--max-time is more than 0"),
        (["run", "--max-time", "0", "--engine", "atheris"], "--max-time is more than 0"),
        (["run", "--max-failures", "0"], "--max-failures is more than 0"),
        (["run", "--checks", "crash", "--exclude-checks", "crash"], "no check is left"),
        (["run", "--checks", "atomicity", "--on", "reader:0"], "none of these can be told of a card in a reader"),
        (["run", "--dir", "/proc/x"], "/proc/x: nothing can be written there"),
        (["run", "--report", "junit", "--report-dir", "/proc/x"], "/proc/x: nothing can be written there"),
        (["run", "--on", "ram,ram"], "no reader: 'ram', 'ram'"),
        (["bench", "--seeds", "0"], "--seeds is 1 or more"),
        (["diff", "--on", "ram", "--on", "t0", "--sequences", "0"], "--sequences is 1 or more"),
        (["replay", "nowhere"], "no such file"),
        (["show", "nowhere"], "nowhere"),
        (["bench", "--faults", "none"], "no fault none"),
        (["bench", "--engines", "none"], "no engine none"),
        (["cmin", "."], "no corpus"),
        (["run", "--seeds", "nowhere", "--max-apdus", "1"], "nowhere: no corpus"),
        (["run", "--seeds", ".", "--max-apdus", "1"], "no corpus"),
        (["diff", "--on", "ram", "--on", "t0", "--corpus", "nowhere"], "nowhere: no corpus"),
        (["diff", "--on", "ram", "--on", "t0", "--tries-left", "3", "--unsafe"], "--tries-left, --unsafe: for a card"),
        (["diff", "--on", "ram", "--on", "t0", "--protocol", "t1"], "--protocol: for a card"),
    ],
)
def test_wrong_usage(words: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert main(["fuzz", *words]) == 2
    finally:
        os.chdir(before)
    assert told in capsys.readouterr().err


def test_no_slip_of_the_finger_brings_the_machine_down(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert most_jobs() >= 64
    monkeypatch.setattr("bsim.cli.fuzz_options.most_jobs", lambda: 2)
    for verb in ("run", "campaign"):
        assert main(["fuzz", verb, "-j", "3", "--max-apdus", "1"]) == 2
        assert "-j 3: 2 processes at most on this machine" in capsys.readouterr().err


def test_a_campaign_has_no_time_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", "campaign", "--help"]) == 0
    assert "a campaign goes on until Ctrl-C" in " ".join(capsys.readouterr().out.split())


def test_one_difference_is_told_as_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    one = Difference("SIGN", bytes(4), "9000", "6A80", 3)
    monkeypatch.setattr("bsim.cli.fuzz_diff._differences", lambda _: iter([one]))
    assert main(["fuzz", "diff", "--on", "ram", "--on", "t0"]) == 1
    assert capsys.readouterr().err == "bsim: seed 1: 1 difference\n"


def test_what_is_fixed_is_no_fault_of_tmin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "one.txt"
    file.write_text(FINDING.text())
    assert main(["fuzz", "replay", str(file)]) == main(["fuzz", "tmin", str(file)]) == 0
    assert "nothing to minimise" in capsys.readouterr().out
    assert file.read_text() == FINDING.text()


def test_tmin_with_a_planted_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--seed", "1", "--max-failures", "1", "--no-shrink", "-q", "--dir", str(tmp_path)]
    assert main(["fuzz", "run", "--plant", "length", *words]) == 1
    (file,) = (tmp_path / "findings").glob("*.txt")
    assert main(["fuzz", "tmin", str(file), "--plant", "length"]) == 0
    assert " steps, now " in capsys.readouterr().out
    assert main(["fuzz", "replay", str(file), "--plant", "length"]) == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("# seed: ", "# seed: x"), "one.txt: seed: a number is wanted"),
        (("# apdus: ", "# apdus: x"), "one.txt: apdus: a number is wanted"),
        (("RESET", "garbage"), "line 12: no step: 'garbage'"),
        (("  ->  ", "  ->  x"), "step 1: the answer is a status word and hex"),
    ],
)
def test_where_a_finding_cannot_be_read_is_told(
    change: tuple[str, str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.txt").write_text(FINDING.text().replace(*change))
    assert main(["fuzz", "show", str(tmp_path / "one.txt")]) == 2
    assert told in capsys.readouterr().err


def test_an_entry_of_a_corpus_is_read_or_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = next((Path(__file__).parent / "corpus").glob("*.txt"))
    assert main(["fuzz", "show", str(entry)]) == 2
    assert f"{entry.name}: an entry of a corpus, and no finding; `bsim fuzz run --seeds" in capsys.readouterr().err
    (tmp_path / "one.txt").write_text("# bsim fuzz corpus\n# card: operational\n# why: x\ngarbage\n")
    assert main(["fuzz", "cmin", str(tmp_path)]) == 2
    assert f"{tmp_path / 'one.txt'}: line 4: no step: 'garbage'" in capsys.readouterr().err


def test_names_may_have_blanks_between(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fuzz", "run", "--seed", "1", "--json", "-q", "--checks", "crash, hang", "--max-apdus", "30000"]
    apdus = []
    for phases in ("smoke", "smoke, boundary"):
        assert main([*words, "--phases", phases]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["checks"] == ["crash", "hang"]
        apdus.append(report["apdus"])
    assert apdus[0] < apdus[1]


@pytest.mark.skipif(os.name != "posix", reason="a file where a folder is to be")
def test_where_nothing_can_be_written_nothing_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "findings").write_text("no folder")
    assert main(["fuzz", "run", "--dir", str(tmp_path), "--max-apdus", "100"]) == 2
    assert f"{tmp_path}: nothing can be written there (Not a directory)" in capsys.readouterr().err
    assert not (tmp_path / "run.json").exists()


def _full(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Have a run's folder on a disk that takes so many files more."""
    left = iter([True] * room)

    def opened(descriptor: int, *args: str, **options: str) -> IO[Any]:
        if next(left, False):
            return open(descriptor, *args, **options)
        os.close(descriptor)
        return open("/dev/full", *args, **options)

    monkeypatch.setattr(files, "open", opened, raising=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("room", [0, 1, 2])
def test_what_is_found_is_told_where_the_disk_is_full(
    room: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    card_bugs: list[logging.LogRecord],
) -> None:
    _full(monkeypatch, room)
    words = ["--seed", "1", "--checks", "crash", "--phases", "smoke", "--max-failures", "1", "--dir", str(tmp_path)]
    with FAULTS["crash"].plant():
        assert main(["fuzz", "run", *words]) == 2
    card_bugs.clear()
    err = capsys.readouterr().err.splitlines()
    assert err[-1].startswith(f"bsim: {tmp_path}/")
    assert err[-1].endswith(": No space left on device; what was written until then is there")
    whole = [one for one in (tmp_path / "findings").iterdir() if one.suffix == ".txt"]
    assert len(whole) == (room == 2)
    assert any("EXPORT_SEED " in line and "->" in line for line in err) == (room < 2)
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_two_processes_whose_disk_is_full(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _full(monkeypatch, 3)
    assert main(["fuzz", "run", "--seed", "5", "-j", "2", "--max-apdus", "3000", "--dir", str(tmp_path), "-q"]) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith(f"bsim: {tmp_path}/corpus/")
    assert err.endswith(": No space left on device; what was written until then is there")
    assert len(list((tmp_path / "corpus").iterdir())) == 3


def test_two_processes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command = ["fuzz", "run", "--seed", "5", "-j", "2", "--max-apdus", "3000", "--dir", str(tmp_path), "--json", "-q"]
    assert main(command) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["apdus"] >= 3000
    assert not report["findings"]
    assert list((tmp_path / "corpus").iterdir())


def test_bench(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", "bench", "--faults", "length", "--engines", ""]) == 0
    told = capsys.readouterr().out
    assert "a byte too many" in told
    assert "minimal percent 100.0" in told


def test_two_cards_alike(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", "diff", "--on", "ram", "--on", "t0", "--sequences", "40"]) == 0
    assert "0 differences" in capsys.readouterr().err


def test_two_cards_that_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blank = tmp_path / "blank.bsim"
    assert main(["new", str(blank), "--blank", "--insecure-plain"]) == 0
    capsys.readouterr()
    assert main(["fuzz", "diff", "--on", "ram", "--on", str(blank), "--sequences", "60", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert any(one["command"] == "DERIVE_KEY" and one["second"] == "6A88" for one in found)
    assert main(["fuzz", "diff", "--on", "ram"]) == 2


def test_readers_without_pcsc_are_told_before_the_run(tmp_path: Path) -> None:
    # libpcsclite takes its socket's name from the first who asks in a process, so another one asks.
    words = [sys.executable, "-m", "bsim", "fuzz", "run", "--on", "reader:0,reader:1", "--max-apdus", "10"]
    environment = os.environ | {"PCSCLITE_CSOCK_NAME": str(tmp_path / "nobody")}
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "PC/SC" in done.stderr) == (2, True), done.stderr


def test_a_card_file_is_fuzzed_as_a_copy(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "card.bsim", "--insecure-plain"]) == 0
    before = Path("card.bsim").read_bytes()
    words = ["--on", "card.bsim", "--tries-left", "10", "--ledger", "ledger", "--dir", "run"]
    assert main(["fuzz", "run", *words, "--max-apdus", "300", "--seed", "1"]) == 0
    assert json.loads(Path("run/run.json").read_text())["safety"]["writes"] > 0
    assert "a copy of card.bsim in memory" in capsys.readouterr().err
    assert Path("card.bsim").read_bytes() == before
