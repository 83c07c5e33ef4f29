"""The benchmarks measure what they say; how long it takes is no test's business."""

import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import MNEMONIC, running, secp256k1_secret

from bsim.bench import assets, cards, derive, dispatch, fleet, keccak, peers, personalise, plot, report, sign, start
from bsim.bench.runner import BenchError, Fresh, Home, Loop, Plan, Ratio, Result, Row, interleave, one_core, ratio
from bsim.cli import main
from bsim.crypto import verify
from bsim.crypto.derive import Bip32
from bsim.crypto.ecdsa import engine
from bsim.links.pcscd import PcscUnavailable
from bsim.links.pcscd import Tools as PcscTools

TINY = Plan(rounds=1, slices=1, seconds=1e-9)
SAMPLES = {"floor": [10.0, 20.0, 10.0], "ours": [11.0, 21.0, 12.0], "peer": [100.0, 300.0, 50.0]}


def found() -> Result:
    result = Result("made", "made up <&>", "floor", 3)
    result.add(SAMPLES, {"peer"})
    result.at_most(SAMPLES, "ours", "floor", 1.1)
    result.at_least(SAMPLES, "peer", "ours", 20)
    result.rows.append(Row("memory", 332.4, "bytes"))
    result.missing["other"] = "not installed"
    result.notes.append("a note")
    return result


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    # The second round was slow for all: no ratio shows it.
    assert ratio(SAMPLES, "ours", "floor") == Ratio(1.1, 1.05, 1.2)
    assert ratio(SAMPLES, "peer", "floor") == Ratio(10, 5, 15)


def test_rounds_of_different_number_are_not_compared():
    with pytest.raises(ValueError, match="zip"):
        ratio({"a": [1.0], "b": [1.0, 2.0]}, "a", "b")


def test_targets_are_judged_by_the_median():
    result = found()
    assert [(t.name, t.target, t.met) for t in result.targets] == [
        ("ours / floor", "<= 1.1", True),
        ("peer / ours", ">= 20", False),
    ]


def test_contestants_take_turns_and_a_disturbed_slice_does_not_count():
    turns: list[str] = []

    def contestant(name: str, times: list[float]) -> Callable[[], float]:
        def run() -> float:
            turns.append(name)
            return times[turns.count(name) - 1]

        return run

    plan = Plan(rounds=2, slices=3)
    two = {"a": contestant("a", [1, 99, 1, 2, 2, 2]), "b": contestant("b", [3, 3, 3, 5, 99, 4])}
    assert interleave(two, plan) == {"a": [1, 2], "b": [3, 4]}
    assert "".join(turns) == "abbaab" + "baabba"


@pytest.mark.parametrize(
    "words", [("bsim", "serve", "--http", "127.0.0.1:0", "--json"), ("bsim.bench.pcsc_cards", "ours", "1")]
)
def test_what_a_bench_starts_ends_with_a_bench_that_is_killed(words: tuple[str, ...]):
    code = (
        "import sys; from bsim.bench.child import child\n"
        "with child(*sys.argv[1:]) as process:\n"
        "    if '--json' in sys.argv: process.stdout.readline()\n"
        "    print(process.pid, flush=True); sys.stdin.read()"
    )
    with running("-c", code, *words, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as bench:
        assert bench.stdout is not None
        started = int(bench.stdout.readline())
        bench.kill()
        try:
            bench.communicate(timeout=30)  # its stderr is open for as long as a process of its is there
        except subprocess.TimeoutExpired:
            os.kill(started, signal.SIGKILL)
            raise


def test_a_loop_hands_out_the_inputs_in_turn():
    seen: list[int] = []
    slice_of_it = Loop(replace(TINY, seconds=1e-3), seen.append, (1, 2, 3))
    seen.clear()
    assert slice_of_it() > 0
    assert len(seen) > 3
    assert seen[:6] == [1, 2, 3, 1, 2, 3]


def test_what_is_made_fresh_is_made_for_each():
    made, used = iter(range(100)), list[int]()
    assert Fresh(TINY, lambda: next(made), used.append)() > 0
    assert used == list(range(len(used)))


def test_one_core_is_given_back():
    before = os.sched_getaffinity(0)
    with one_core():
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


def test_a_result_as_json():
    value = json.loads(json.dumps(report.as_json(found())))
    assert list(value) == [
        *("bench", "title", "floor", "rounds", "rows", "targets", "missing", "notes", "environment"),
    ]
    assert value["rows"][0] == {
        "name": "floor",
        "value": 10,
        "unit": "us",
        "ratio": {"median": 1, "low": 1, "high": 1},
        "peer": False,
    }
    assert [row["peer"] for row in value["rows"]] == [False, False, True, False]
    assert value["rows"][-1]["ratio"] is None
    assert value["targets"][1] == {
        "name": "peer / ours",
        "ratio": {"median": pytest.approx(100 / 11), "low": pytest.approx(50 / 12), "high": pytest.approx(300 / 21)},
        "target": ">= 20",
        "met": False,
    }
    assert {"python", "cores", "signing through", "coincurve"} <= value["environment"].keys()


def test_a_result_as_a_table():
    text = report.table(found())
    assert "median of 3 rounds, ratio to floor" in text
    assert "1.100  (1.05 to 1.2)" in text
    assert "met     ours / floor: 1.1, to be <= 1.1" in text
    assert "MISSED  peer / ours: 9.091, to be >= 20" in text
    assert "not measured: other: not installed" in text


def test_the_generated_part_of_a_document_is_replaced():
    text = "before\n<!-- generated by `tools/bench --update`: begin -->\nold\n<!-- generated: end -->\nafter\n"
    once = report.update(text, [found()])
    assert once.startswith("before\n<!-- generated")
    assert once.endswith("<!-- generated: end -->\nafter\n")
    assert "| ours | 1.1 | 1.05 to 1.2 |" in once
    assert "old" not in once
    assert report.update(once, [found()]) == once
    with pytest.raises(BenchError, match="no line"):
        report.update("no such part", [found()])


def test_the_chart_is_well_formed(tmp_path: Path):
    path = tmp_path / "chart.svg"
    plot.write(path, [found(), Result("empty", "nothing with a ratio", "floor", 1)])
    root = ET.fromstring(path.read_text("utf-8"))
    texts = [node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "made: made up <&>; times floor" in texts
    assert {"floor", "ours", "peer", "1.1", "10"} <= set(texts)
    assert len([*root.iter("{http://www.w3.org/2000/svg}rect")]) == 1 + 3
    for node in root.iter("{http://www.w3.org/2000/svg}rect"):
        assert float(node.get("width", "")) > 0


@pytest.mark.parametrize("name", ["chart.gif", "chart"])
def test_a_chart_of_another_kind_is_refused(tmp_path: Path, name: str):
    with pytest.raises(BenchError, match="svg"):
        plot.write(tmp_path / name, [found()])


def test_png_takes_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(BenchError, match="pip install matplotlib"):
        plot.write(tmp_path / "chart.png", [found()])


def test_the_floor_and_the_card_sign_with_the_same_key():
    assert MNEMONIC == cards.MNEMONIC
    assert int.from_bytes(peers.SECRET, "big") == secp256k1_secret(cards.COIN_TYPE, 1)
    response = cards.powered().bare.transmit(cards.sign_commands()[0])
    assert response[:-2] == engine("ecdsa").signer(peers.SECRET).sign(cards.DIGESTS[0])
    assert verify.verify(engine().public_key(peers.SECRET), cards.DIGESTS[0], response[:-2])
    assert sign.bare()(cards.DIGESTS[0]) == 1


def test_a_chosen_engine_makes_the_cards_and_is_forgotten(monkeypatch: pytest.MonkeyPatch):
    from bsim.profiles import default_engine

    monkeypatch.delenv("BSIM_ENGINE", raising=False)
    monkeypatch.delenv("BSIM_NATIVE", raising=False)
    with cards.chosen("ecdsa"):
        assert default_engine().name == "ecdsa"
    assert default_engine().name == "coincurve"
    with cards.chosen(None, native=False):
        assert (default_engine().name, default_engine().means) == ("coincurve", "cffi")
    assert "BSIM_NATIVE" not in os.environ


def test_the_whole_stream_is_exported():
    assert len(derive.export(cards.powered(127))) == 127 * 73


@pytest.mark.parametrize(
    ("bench", "rows"),
    [
        (sign.bench, {sign.FLOOR, sign.OURS, sign.IN_PHONE, sign.PLAIN, "ecdsa", "cryptography"}),
        (dispatch.bench, {"GET VERSION", "VERIFY BPIN, verified", "unknown INS"}),
        (derive.bench, {"first SIGN after power-on, slot 1", "SIGN, slot 127 of 127", "BIP-32 step, normal"}),
        (keccak.bench, {"bsim"}),
        (personalise.bench, {"new_card(mnemonic)", "power_on, file", "memory: a card with 127 slots"}),
        (lambda plan: assets.bench(plan, many=200), {"a page, 100 assets", "the list, 200 assets"}),
        (
            lambda plan: fleet.bench(plan, sizes=(1, 3), jobs=12),
            {"memory a card, fleet of 3", "sign, 1 process", "sign, 2 processes"},
        ),
        (start.bench, {start.FLOOR, start.READY}),
    ],
    ids=["sign", "dispatch", "derive", "keccak", "personalise", "assets", "fleet", "start"],
)
def test_each_bench_runs(bench: Callable[[Plan], Result], rows: set[str]):
    result = bench(TINY)
    assert rows <= {row.name for row in result.rows}
    assert all(row.value > 0 for row in result.rows)
    assert result.rounds == 1
    assert report.table(result)
    assert report.markdown(result)


def test_card_files_are_closed(monkeypatch: pytest.MonkeyPatch):
    from bsim.store import SqliteStore

    opened: list[SqliteStore] = []
    closed: list[SqliteStore] = []

    class Counted(SqliteStore):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            opened.append(self)

        def close(self) -> None:
            super().close()
            closed.append(self)

    monkeypatch.setattr(personalise, "SqliteStore", Counted)
    personalise.bench(TINY)
    assert {id(store) for store in opened} == {id(store) for store in closed}


def test_commands_measured_are_those_they_are_said_to_be():
    card = cards.powered().bare
    assert card.transmit(cards.GET_VERSION) == bytes.fromhex("00519000")
    assert card.transmit(cards.VERIFY) == bytes.fromhex("9000")
    assert card.transmit(dispatch.unknown_instruction()) == bytes.fromhex("6D00")


def test_a_peer_that_is_not_there_is_named_with_the_reason():
    missing: dict[str, str] = {}
    plan = replace(TINY, home=Home(missing={"node": "no npm"}))
    absent = {"node": peers.Job("node", bool, node=True), "program": peers.Job("x", bool, program="no-such-program")}
    absent["module"] = replace(peers.SIGN["ecdsa"], name="no-such-job")
    with peers.at_work(absent, plan, missing) as others:
        assert not others
    assert missing == {"node": "no npm", "program": "no-such-program is not installed", "module": missing["module"]}
    assert "no-such-job" in missing["module"]


def test_a_peer_that_answers_wrongly_is_not_measured():
    missing: dict[str, str] = {}
    liar = replace(peers.SIGN["ecdsa"], check=lambda _: False)
    with peers.at_work({"liar": liar}, TINY, missing) as others:
        assert not others
    assert missing == {"liar": "its answer is wrong"}


def test_a_signature_is_checked_against_the_digest_a_peer_names():
    good = engine("ecdsa").signer(peers.SECRET).sign(cards.DIGESTS[1])
    r, s = verify.parse_der(good)
    shown = f"{r:064x}{s:064x}"
    assert peers.SIGN["ecdsa"].check(f"{shown} {cards.DIGESTS[1].hex()}")
    assert not peers.SIGN["ecdsa"].check(shown)
    assert bytes(Bip32(engine()).derive(peers.SEED, cards.PATH).secret) == peers.SECRET


def test_the_verb_prints_json_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    chart, text = tmp_path / "chart.svg", tmp_path / "performance.md"
    text.write_text("<!-- generated by `tools/bench --update`: begin -->\n<!-- generated: end -->\n", "utf-8")
    words = ["bench", "dispatch", "keccak", "--rounds", "1", "--json", "--plot", str(chart), "--update", str(text)]
    assert main(words) == 0
    assert [json.loads(line)["bench"] for line in capsys.readouterr().out.splitlines()] == ["dispatch", "keccak"]
    ET.parse(chart)
    assert "### dispatch" in text.read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "no bench nonsense; there is sign"),
        (["sign", "--rounds", "0"], "1 or more"),
        (["sign", "--plot", "x.gif"], ".svg or .png"),
    ],
)
def test_the_verb_refuses_what_cannot_be(words: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    assert main(["bench", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_bench_that_cannot_run_here_is_left_out_unless_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def measure(name: str, _plan: Plan) -> Result:
        if name == "pcsc":
            raise BenchError("no pcscd")
        return found()

    monkeypatch.setattr(report, "measure", measure)
    assert main(["bench"]) == 0
    assert "pcsc was left out: no pcscd" in capsys.readouterr().err
    assert main(["bench", "pcsc"]) == 2


@pytest.mark.pcsc
def test_the_pcsc_bench_runs():
    # In a process of its own: libpcsclite knows one pcscd in the life of a process.
    try:
        PcscTools.find()
        from smartcard import scard  # noqa: F401
    except (PcscUnavailable, ImportError) as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason))
        pytest.skip(str(reason))
    code = "from bsim.bench import pcsc, report; from bsim.bench.runner import Plan;"
    code += "import json; print(json.dumps(report.as_json(pcsc.bench(Plan(rounds=1), exchanges=2))))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    rows = {row["name"] for row in json.loads(done.stdout)["rows"]}
    assert rows == {"ours", "echo", "naive", "bridge", "10 TPDUs of full exports"}
