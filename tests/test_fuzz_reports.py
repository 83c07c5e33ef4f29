"""Reports of fuzzing: each form is what its readers take, made from a run with findings or from its folder."""

import json
import os
import shlex
import signal
import subprocess
import sys
from contextlib import ExitStack, closing
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from runpy import run_path
from xml.etree import ElementTree

import jsonschema
import pytest
from vectors import load as vectors

from bsim.bench.planted import FAULTS
from bsim.cli import main
from bsim.cli.fuzz_told import LiveLine, told
from bsim.fuzz import export, reports
from bsim.fuzz.campaign import Campaign, Options
from bsim.fuzz.files import Folder
from bsim.fuzz.finding import Finding, FindingError, parse
from bsim.fuzz.oracles import CHECKS
from bsim.fuzz.reports import source
from bsim.fuzz.reports.load import load
from bsim.fuzz.result import Exit
from bsim.fuzz.steps import POWER_CYCLE, TYPES
from bsim.spec import spec

ROOT = Path(__file__).parents[1]
PLANTED = ("undeclared-sw", "length", "crash")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that found three planted faults, and its folder."""
    folder = tmp_path_factory.mktemp("run")
    with ExitStack() as planted:
        for name in PLANTED:
            planted.enter_context(FAULTS[name].plant())
        report = Campaign(Options(5, folder=folder, max_failures=3, max_apdus=300_000)).run()
    assert {finding.oracle for finding in report.findings} == {"sw-conformance", "response-schema", "crash"}
    return report, folder


@pytest.fixture
def clean(run):
    return replace(run[0], findings=(), exit=Exit.CLEAN)


def test_a_folder_is_read_back_to_the_same_report(run):
    report, folder = run
    again = load(folder)
    assert again.as_json() == report.as_json()
    assert again.findings == report.findings


def test_a_run_that_was_killed_has_its_findings(run, tmp_path):
    report, folder = run
    (tmp_path / "findings").mkdir()
    for file in (folder / "findings").glob("*.txt"):
        (tmp_path / "findings" / file.name).write_bytes(file.read_bytes())
    rest = load(tmp_path)
    assert set(rest.findings) == set(report.findings)
    assert rest.exit is Exit.INTERRUPTED
    assert "cut off" in rest.notes[0]


def test_a_folder_that_holds_no_run_is_refused(tmp_path):
    with pytest.raises(FindingError, match="no run in this folder"):
        load(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 99}')
    with pytest.raises(FindingError, match="format 99"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"seconds": "x"}, "seconds: a number is wanted"),
        ({"seconds": float("nan")}, "seconds: a number is wanted"),
        ({"apdus": 1.5}, "apdus: a whole number is wanted"),
        ({"apdus": 10**400}, "apdus: a number is wanted"),
        ({"workers": True}, "workers: a number is wanted"),
        ({"engine": None}, "engine: text is wanted"),
        ({"notes": [1]}, "notes: a list of texts is wanted"),
        ({"checks": "crash"}, "checks: a list is wanted"),
        ({"coverage": []}, "coverage: an object is wanted"),
        ({"coverage": {}}, "coverage: commands is missing"),
        ({"safety": {"writes": "x"}}, "safety: writes: a number is wanted"),
        ({"exit": 5}, "5 is not a valid Exit"),
        ({"findings": [1]}, "findings: an object is wanted"),
        ({"findings": [{"key": "crush/x", "target": "ram", "id": "A"}]}, "findings: key: no check 'crush'"),
    ],
)
def test_a_report_that_was_edited_by_hand_is_refused_in_words(run, tmp_path, capsys, changed, told):
    (tmp_path / "run.json").write_text(json.dumps(run[0].as_json() | changed))
    assert main(["fuzz", "report", str(tmp_path)]) == 2
    assert f"{tmp_path / 'run.json'}: no report of a run: {told}" in capsys.readouterr().err


@pytest.mark.parametrize("field", ["answer", "step", "command"])
def test_a_step_that_was_edited_by_hand_is_refused_in_words(run, tmp_path, capsys, field):
    report = json.loads(json.dumps(run[0].as_json()))
    for value in ("zz", 1) if field != "command" else (1,):
        report["findings"][0]["steps"][0][field] = value
        (tmp_path / "run.json").write_text(json.dumps(report))
        assert main(["fuzz", "report", str(tmp_path)]) == 2
        assert "run.json: no report of a run: " in capsys.readouterr().err


def test_what_would_move_the_cursor_is_shown_in_markdown(run):
    found = replace(run[0].findings[0], words="a\0b\x1b[2J\nc")
    text = reports.FORMATS["markdown"][1](replace(run[0], findings=(found,)))
    assert "a<0>b<1B>[2J c. " in text


def test_sarif_is_what_the_standard_says(run, clean):
    schema = vectors("sarif_2_1_0_schema")["schema"]
    for report in (run[0], clean):
        log = json.loads(reports.FORMATS["sarif"][1](report))
        jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker()).validate(log)
        assert [rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]] == list(CHECKS)
        assert len(log["runs"][0]["results"]) == len(report.findings)


def test_sarif_points_at_code_and_declaration(run):
    log = json.loads(reports.FORMATS["sarif"][1](run[0]))
    results = {result["ruleId"]: result for result in log["runs"][0]["results"]}
    result = results["sw-conformance"]
    assert text_at(result["locations"][0]) == '@wallet.handles("EXPORT_PUBKEYS")'
    assert text_at(result["relatedLocations"][0]) == 'name = "EXPORT_PUBKEYS"'
    steps = result["codeFlows"][0]["threadFlows"][0]["locations"]
    assert "6A83" in steps[-1]["location"]["message"]["text"]


def text_at(location) -> str:
    place = location["physicalLocation"]
    lines = (ROOT / place["artifactLocation"]["uri"]).read_text().splitlines()
    return lines[place["region"]["startLine"] - 1].strip()


def test_every_command_has_a_home():
    names = {name for applet in spec().applets.values() for name in applet.commands}
    assert set(source.handlers()) >= names
    assert set(source.entries()) >= names


def test_a_crash_is_at_home_where_it_happened():
    place = source.home("EXPORT_SEED", "ValueError in envelope.unseal")
    assert place.path == "bsim/crypto/envelope.py"
    assert "def unseal" in (ROOT / place.path).read_text().splitlines()[place.line - 1]


def test_junit_loads_and_counts(run, clean):
    for report, failures in ((run[0], 3), (clean, 0)):
        root = ElementTree.fromstring(reports.FORMATS["junit"][1](report))
        assert root.get("failures") == str(failures) == str(len(root.findall(".//failure")))
        assert root.get("tests") == str(len(root.findall(".//testcase")))
        assert [suite.get("name") for suite in root] == list(CHECKS)


@pytest.mark.parametrize("end", [Exit.SAFETY, Exit.INTERRUPTED])
def test_a_run_that_was_stopped_is_an_error_in_junit(clean, end):
    report = replace(clean, exit=end, notes=("the card <is gone>",))
    root = ElementTree.fromstring(reports.FORMATS["junit"][1](report))
    (error,) = root.findall(".//error")
    assert (root.get("errors"), root.get("failures")) == ("1", "0")
    assert root.get("tests") == str(len(root.findall(".//testcase"))) == str(len(CHECKS) + 1)
    assert "the card <is gone>" in str(error.get("message"))
    assert error.get("type") == end.name.lower()


def test_ndjson_has_a_line_for_each_finding(run):
    rows = [json.loads(line) for line in reports.FORMATS["ndjson"][1](run[0]).splitlines()]
    assert [row["type"] for row in rows] == ["run", "finding", "finding", "finding", "end"]
    assert rows[0]["seed"] == 5
    assert rows[-1]["exit"] == 1
    assert all(":" in row["source"] for row in rows[1:-1])


def test_what_watches_the_lines_is_told_at_once(tmp_path, capsys):
    """The file has the run before anything is found, and a finding when it is; it ends as a report made later."""
    kinds = []

    def seen(_line, finding) -> None:
        lines = [json.loads(line) for line in (tmp_path / "report.ndjson").read_text().splitlines()]
        kinds.append([line["type"] for line in lines])
        assert (lines[0]["seed"], lines[0]["target"]) == (3, "ram")
        assert finding.key not in {line.get("key") for line in lines}
        told(_line, finding)

    told = LiveLine.found
    words = ["fuzz", "run", "--seed", "3", "--report", "ndjson", "--dir", str(tmp_path), "--max-apdus", "100000"]
    with pytest.MonkeyPatch.context() as patch, ExitStack() as planted:
        patch.setattr(LiveLine, "found", seen)
        for name in PLANTED[:2]:
            planted.enter_context(FAULTS[name].plant())
        assert main([*words, "--max-failures", "2"]) == 1
    assert kinds == [["run"], ["run", "finding"]]
    report = load(tmp_path)
    whole = (tmp_path / "report.ndjson").read_text()
    assert f"report {tmp_path / 'report.ndjson'}" in capsys.readouterr().err
    assert main(["fuzz", "report", str(tmp_path), "--report", "ndjson"]) == 0
    assert (tmp_path / "report.ndjson").read_text() == whole == reports.FORMATS["ndjson"][1](report)


def test_what_an_earlier_run_found_is_in_the_lines(run, tmp_path):
    report = run[0]
    with closing(reports.Lines(tmp_path, report.seed, report.target)) as lines:
        lines.found(report.findings[1])
        lines.end(report)
    rows = [json.loads(line) for line in lines.path.read_text().splitlines()]
    assert [row["type"] for row in rows] == ["run", "finding", "finding", "finding", "end"]
    assert {row["key"] for row in rows[1:-1]} == {finding.key for finding in report.findings}
    again = [json.loads(line) for line in reports.FORMATS["ndjson"][1](report).splitlines()]
    assert (rows[0], rows[-1]) == (again[0], again[-1])


@pytest.mark.parametrize(
    "words",
    [
        ["--on", "readr:0"],
        ["--on", "reader:0,reader:1", "--unsafe"],
        ["--cluster", "nowhere"],
        ["-j", "0"],
    ],
)
def test_a_run_that_cannot_begin_leaves_the_report_of_the_last(tmp_path, words):
    (tmp_path / "report.ndjson").write_text("kept\n")
    assert main(["fuzz", "run", "--dir", str(tmp_path), "--report", "ndjson", *words]) == 2
    assert (tmp_path / "report.ndjson").read_text() == "kept\n"


def test_a_run_does_not_begin_where_its_report_cannot_be_written(tmp_path, capsys):
    (tmp_path / "report.ndjson").mkdir()
    assert main(["fuzz", "run", "--dir", str(tmp_path), "--report", "ndjson", "--max-apdus", "1"]) == 2
    assert "the reports cannot be written (Is a directory)" in capsys.readouterr().err
    assert not (tmp_path / "run.json").exists()


def test_a_report_that_cannot_be_written_after_the_run_hides_no_result(tmp_path, capsys):
    (tmp_path / "junit.xml").mkdir()
    assert main(["fuzz", "run", "--dir", str(tmp_path), "--report", "junit", "--max-apdus", "1"]) == 2
    out, err = capsys.readouterr()
    assert "nothing found" in out
    assert "the reports cannot be written (Is a directory)" in err


def test_a_report_that_cannot_be_gone_on_with_does_not_end_the_run(tmp_path, monkeypatch, capsys):
    """Whoever reads the lines goes before the first finding: the run's result is what it would have been."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "report.ndjson")
    reader = os.open(tmp_path / "report.ndjson", os.O_RDONLY | os.O_NONBLOCK)
    told = LiveLine.found

    def found(line, finding) -> None:
        os.close(reader)
        told(line, finding)

    monkeypatch.setattr(LiveLine, "found", found)
    words = ["--seed", "3", "--max-failures", "1", "--max-apdus", "100000", "--report", "ndjson", "--report-dir", "."]
    with FAULTS["length"].plant():
        assert main(["fuzz", "run", *words, "--json"]) == 1
    out, err = capsys.readouterr()
    assert len(json.loads(out)["findings"]) == 1
    assert err.count("report.ndjson: the rest of this report cannot be written (Broken pipe)") == 1
    assert "bsim: report " not in err
    assert list((tmp_path / "bsim-fuzz" / "findings").glob("*.txt"))


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag, attrs):
        if tag not in {"meta", "br"}:
            self.open.append(tag)
        self.addresses += [value for name, value in attrs if name in {"src", "href"}]
        self.ids |= {value for name, value in attrs if name == "id"}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_beside_it(run):
    text = reports.FORMATS["html"][1](run[0])
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.addresses
    assert {address.removeprefix("#") for address in page.addresses} <= page.ids
    assert "url(" not in text
    assert "@import" not in text
    assert "<script" not in text
    assert "http" not in text
    assert "color-scheme: light dark" in text


def test_markdown_tells_each_finding(run):
    text = reports.FORMATS["markdown"][1](run[0])
    assert all(f"## {finding.id}" in text for finding in run[0].findings)
    assert text.count("```") == 6


def test_what_a_real_card_was_told_is_masked(run):
    report = run[0]
    typed = bytes.fromhex("801400001281030123048202828183010" + "08D0704313233343536")
    backup = "01" + 30 * "C5A7"
    forms = reports.FORMATS.values()
    finding = replace(
        report.findings[0],
        steps=((0, typed, 0), (0, bytes.fromhex("8074000108") + b"Passw0rd", 0)),
        names=("TERMINAL_RESPONSE", "EXPORT_SEED"),
        answers=("9000", "9000 " + backup),
    )
    seen = {
        target: [make(replace(report, findings=(replace(finding, target=target),))) for _, make in forms]
        for target in ("ram", "reader:0")
    }
    assert any("313233343536" in text for text in seen["ram"])
    assert any("C5A7C5A7" in text for text in seen["ram"])
    assert not any("313233343536" in text or "C5A7C5A7" in text for text in seen["reader:0"])


TYPED = bytes.fromhex("801400001581030123048202828183010" + "08D0704313233343536")
IN_READER = Finding(
    "sw-conformance",
    "SIGN 6A83",
    "SIGN answered 6A83",
    "card",
    ((0, bytes.fromhex("807C000000"), 0), (0, TYPED, TYPES), POWER_CYCLE, (0, TYPED, 0)),
    ("VERIFY_BPIN", "TERMINAL_RESPONSE", "RESET", "TERMINAL_RESPONSE"),
    ("911C", "9000", "", "6A83"),
    1,
    "state",
    "reader:0",
    "01234567",
    "0.1.0",
)
EVIL = (
    'x"""; import os; os.abort(); """y',
    "in C:\\users \\x",
    "a\r\nCUT before: 00",
    "'''",
    "\\",
    "$(exit 1) `exit 1`",
)


def test_what_a_real_card_was_told_is_whole_in_its_own_file_alone(run, tmp_path, capsys):
    secret = "313233343536"
    folder = Folder(tmp_path / "out")
    path = folder.save_finding(IN_READER)
    report = replace(run[0], findings=(IN_READER,), target="reader:0")
    saved = folder.save_report(report)
    assert secret in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert main(["fuzz", "show", str(path), "--format", "json"]) == 0
    assert main(["fuzz", "show", str(path)]) == 0
    shown = capsys.readouterr().out
    for text in (saved.read_text(), shown, json.dumps(report.as_json()), "\n".join(told(IN_READER, tmp_path))):
        assert secret not in text
        assert "* ~bpin" in text
    page = reports.FORMATS["html"][1](report)
    assert f"findings/{IN_READER.id}.txt --on reader:0 --allow-card" in page
    assert "pytest" not in page
    again = load(tmp_path / "out")
    assert again.findings == (IN_READER,)
    assert again.as_json() == report.as_json()
    path.unlink()
    without = load(tmp_path / "out")
    assert without.findings[0].steps != IN_READER.steps
    assert "* ~bpin" in without.findings[0].lines()[1]


def test_what_leaked_is_not_told_again():
    answers = ("911C", "9000", "", "9000 313233343536")
    leak = replace(IN_READER, oracle="secret-leak", rule="bpin in STATUS", answers=answers)
    assert leak.lines()[-1].endswith("9000 ************")


def test_a_script_for_a_real_card_spends_no_try():
    script = export.opensc(IN_READER)
    assert "test cards" not in script
    assert "313233343536" not in script
    assert [line for line in script.splitlines() if not line.startswith("#")] == ["set -e", "opensc-tool --reset"]


@pytest.mark.parametrize("link", range(1, 6))
@pytest.mark.parametrize("tool", export.SCRIPTS)
def test_what_follows_from_earlier_answers_is_not_sent_as_it_was(tool, link):
    make, _ = export.SCRIPTS[tool]
    raw = bytes.fromhex("0082000008") + bytes(8)
    plain, linked = (make("x", ["EXTERNAL_AUTHENTICATE"], [(0, raw, one)]) for one in (0, link))
    assert any(raw.hex().upper() in line and not line.startswith("#") for line in plain.splitlines())
    assert all(line.startswith("#") or line == "set -e" for line in linked.splitlines())


@pytest.mark.parametrize("words", EVIL)
def test_words_of_a_finding_are_never_code(run, tmp_path, words, capsys):
    finding = replace(run[0].findings[0], words=words)
    path = Folder(tmp_path).save_finding(finding)
    module = run_path(str(path.with_name(f"test_{finding.id.lower()}.py")))
    assert module["FINDING"] == finding.text() == path.read_text()
    assert parse(module["FINDING"]).steps == finding.steps
    assert main(["fuzz", "show", str(path), "--format", "pytest"]) == 0
    capsys.readouterr()
    # What is a comment or an argument is not carried out: no tool stands behind the name.
    script = f"opensc-tool() {{ :; }}\n{export.opensc(finding)}"
    subprocess.run(["bash", "-c", script], check=True)


def test_reports_are_written_again_from_the_folder(run, tmp_path, capsys):
    assert main(["fuzz", "report", str(run[1]), "--report-dir", str(tmp_path)]) == 0
    assert {Path(line).name for line in capsys.readouterr().out.splitlines()} == {
        file for file, _ in reports.FORMATS.values()
    }
    assert all((tmp_path / file).read_text() == make(run[0]) for file, make in reports.FORMATS.values())


def test_wrong_words_are_refused_before_the_run(capsys, tmp_path):
    assert main(["fuzz", "run", "--report", "pdf"]) == 2
    assert "no report pdf; there is html" in capsys.readouterr().err
    assert main(["fuzz", "run", "--report-dir", str(tmp_path)]) == 2
    assert main(["fuzz", "report", str(tmp_path)]) == 2


def test_the_two_lines_of_a_finding_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "a folder"
    words = ["--seed", "3", "--max-failures", "1", "--max-apdus", "100000", "--report", "junit"]
    with FAULTS["length"].plant():
        for place, extra in ((Path("bsim-fuzz"), []), (folder, ["--dir", str(folder)])):
            assert main(["fuzz", "run", *words, *extra]) == 1
            assert (place / "junit.xml").exists()
            replay, test = (shlex.split(line) for line in capsys.readouterr().out.splitlines() if _copied(line))
            assert replay[0] == "bsim"
            assert main(replay[1:]) == 1
            assert "x FAILED" in capsys.readouterr().out
            (check,) = [value for name, value in run_path(test[1]).items() if name.startswith("test_")]
            with pytest.raises(AssertionError):
                check()
    assert main(replay[1:]) == 0
    words = [sys.executable, "-m", *test, "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def _copied(line: str) -> bool:
    return line.startswith(("bsim fuzz replay", "pytest"))


@pytest.mark.parametrize(
    ("jobs", "number"),
    [("1", signal.SIGINT), ("2", signal.SIGINT), ("1", signal.SIGTERM), ("1", signal.SIGHUP)],
)
def test_an_interrupted_run_writes_its_reports(tmp_path, monkeypatch, jobs, number):
    """Ctrl-C, SIGTERM, or a terminal that is closed: exit 130, and everything is there."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)
    slices = []

    def show(_line, now) -> None:
        slices.append(now.apdus)
        if len(slices) == 2:
            signal.raise_signal(number)

    monkeypatch.setattr("bsim.cli.fuzz_told.LiveLine.show", show)
    words = ["--dir", str(tmp_path), "--report", "all", "--seed", "1", "--phases", "explore", "-j", jobs]
    assert main(["fuzz", "campaign", *words]) == 130
    report = load(tmp_path)
    assert report.exit is Exit.INTERRUPTED
    assert report.apdus == slices[-1] > 0
    assert all((tmp_path / file).exists() for file, _ in reports.FORMATS.values())
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)) == before


class Killed(BaseException):
    """As kill -9: nothing is done after it."""


def killed(*_):
    raise Killed


def test_a_run_that_is_killed_loses_no_more_than_a_slice(tmp_path, monkeypatch):
    run = Campaign(Options(3, folder=tmp_path / "explore", phases=("explore",)))
    with pytest.raises(Killed):
        run.run(killed)
    assert {seed.steps for seed in Folder(tmp_path / "explore").seeds()} == {one[1] for one in run.explorer.firsts}
    run = Campaign(Options(3, folder=tmp_path / "smoke", phases=("smoke",), max_apdus=2_500))
    monkeypatch.setattr(run, "_over", lambda: run.explorer.apdus > 2_500 and killed())
    with pytest.raises(Killed):
        run.run()
    assert len(Folder(tmp_path / "smoke").seeds()) > 20


def test_what_is_met_is_kept_before_it_is_minimised(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["fuzz", "run", "--seed", "3", "--max-failures", "1", "--max-apdus", "100000", "--phases", "explore"]
    for place, fault, extra in (
        ("night", KeyboardInterrupt, ["--dir", "night"]),
        ("bsim-fuzz", Killed, []),
    ):
        with pytest.MonkeyPatch.context() as patch, FAULTS["length"].plant():
            patch.setattr("bsim.fuzz.minimise.Minimiser.run", lambda _, fault=fault: (_ for _ in ()).throw(fault))
            if fault is Killed:
                with pytest.raises(Killed):
                    main([*words, *extra])
            else:
                assert main([*words, *extra]) == 130
                assert len(load(Path(place)).findings) == 1
                assert "1 finding" in capsys.readouterr().out
            (finding,) = Folder(Path(place)).findings()
            assert finding.oracle == "response-schema"
            assert main(["fuzz", "replay", place]) == 1
