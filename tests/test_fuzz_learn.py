"""Learned machines: the emulated card has the declared one, a fault makes another, and a card in a reader is safe."""

import json
import os
import re
import shutil
from xml.etree import ElementTree

import pytest
from test_fuzz_safe import Watched, tries

from bsim.bench.planted import FAULTS
from bsim.cli import main
from bsim.fuzz import cards
from bsim.fuzz.learn import alphabet, draw, learner
from bsim.fuzz.learn.declared import Declared
from bsim.fuzz.learn.emulated import prepared
from bsim.fuzz.learn.machine import MachineError, Mealy, differences, from_json

TWO = Mealy(("a", "b"), {(0, "a"): ("9000", 1), (0, "b"): ("6985", 0), (1, "a"): ("9000", 0), (1, "b"): ("9000", 1)})


class Reader(Watched):
    """A card in a reader, as far as the command line sees it."""

    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def reader(monkeypatch, tmp_path):
    """A reader with a card of the fuzzer's kind, found by whatever name; and what must be said to use it."""
    uicc, _ = cards.make("operational")
    card = Reader(uicc)
    monkeypatch.setattr("bsim.lab.targets.open_target", lambda *_: card)
    monkeypatch.setattr("bsim.fuzz.ledger.os.fsync", lambda _: None)
    monkeypatch.chdir(tmp_path)
    card.words = ["--on", "reader:0", "--allow-card", cards.ICCID, "--bpin", cards.BPIN, "--ledger", str(tmp_path)]
    card.words += ["--tries-left", "10"]
    return card


def learn(kind, *, seed=1, words=learner.WORDS):
    symbols = alphabet.default(alphabet.LIFE[kind])
    declared = Declared(symbols, alphabet.LIFE[kind], prepared=True).machine()
    with cards.quick_backups():
        rig, reset = prepared(kind)
        found = learner.learn(
            rig,
            symbols,
            reset,
            seed=seed,
            words=words,
            hints=lambda model: [one.word for one in differences(model, declared)],
        )
    return found, declared


@pytest.mark.parametrize("kind", alphabet.LIFE)
def test_the_card_is_the_machine_that_is_declared(kind):
    found, declared = learn(kind)
    assert differences(found.machine, declared) == []
    assert len(found.machine.alphabet) <= alphabet.MOST
    assert found.apdus <= learner.BUDGET
    assert found.tested == learner.WORDS
    assert found.machine.states >= 3


@pytest.mark.parametrize(
    ("fault", "ends"), [("no-right", ("SIGN", "9000", "6982")), ("reset", ("FETCH", "9000", "6985"))]
)
def test_a_fault_is_a_difference(fault, ends):
    with FAULTS[fault].plant():
        found, declared = learn("operational", words=500)
    told = differences(found.machine, declared)
    assert ends in {(one.word[-1], one.first, one.second) for one in told}
    assert [len(one.word) for one in told] == sorted(len(one.word) for one in told)


def test_the_same_seed_asks_the_same():
    assert learn("operational", words=300)[0] == learn("operational", words=300)[0]


def test_a_machine_is_kept_and_read_again():
    again = from_json(json.loads(json.dumps(TWO.as_json())))
    assert again == TWO
    assert again.answers(("b", "a", "b")) == ["6985", "9000", "9000"]
    with pytest.raises(MachineError, match="format 2"):
        from_json(TWO.as_json() | {"format": 2})
    with pytest.raises(MachineError, match="no machine"):
        from_json({"format": 1})


def test_shortest_differences_come_first_and_patterns_agree():
    other = Mealy(TWO.alphabet, {**TWO.edges, (1, "b"): ("6985|6A88", 1)})
    assert [(one.word, one.first, one.second) for one in differences(TWO, other)] == [(("a", "b"), "9000", "6985|6A88")]
    lenient = Mealy(TWO.alphabet, {**TWO.edges, (1, "b"): ("9000|6A88", 1)})
    assert differences(TWO, lenient) == []
    assert differences(TWO, Mealy(("a",), {(0, "a"): ("9000", 0)})) == []


def test_a_machine_is_drawn():
    drawn = draw.dot(TWO, "a <card>")
    assert drawn.startswith("digraph {")
    assert "<B>a &lt;card&gt;</B>" in drawn
    assert edges_of(drawn) == {(0, 1): ["a / 9000"], (1, 0): ["a / 9000"]}
    assert "b / 9000" in drawn  # what ends well stands in its state, and what is refused nowhere
    assert "6985" not in drawn


def test_parallel_edges_are_one_and_what_is_alike_everywhere_is_in_the_title():
    three = Mealy(
        ("off", "on", "up"),
        {(at, "off"): ("RESET", 0) for at in range(3)}
        | {(0, "on"): ("9000", 1), (0, "up"): ("91XX", 1), (1, "on"): ("9000", 2), (1, "up"): ("6982", 1)}
        | {(2, "on"): ("9000", 2), (2, "up"): ("6982", 2)},
    )
    drawn = draw.dot(three, "three")
    assert edges_of(drawn) == {(0, 1): ["on / 9000", "up / 91XX"], (1, 2): ["on / 9000"]}
    assert "from every state to 0: off / RESET" in drawn


def edges_of(drawn):
    found = re.findall(r"^  (\d+) -> (\d+) \[label=<(.*)>\];$", drawn, re.MULTILINE)
    return {(int(one), int(other)): re.findall(r"&#160;(.*?)<BR", told) for one, other, told in found}


def test_graphviz_draws_what_was_learned(tmp_path, capsys):
    if shutil.which("dot") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Graphviz is missing: run tools/setup-system")
        pytest.skip("Graphviz is not there; tools/setup-system installs it")
    picture, kept = tmp_path / "card.svg", tmp_path / "card.json"
    assert main(["fuzz", "learn", "--words", "200", "--svg", str(picture), "--save", str(kept)]) == 0
    assert f"written {picture}" in capsys.readouterr().err
    drawn, svg = ElementTree.parse(picture), "{http://www.w3.org/2000/svg}"
    texts = {str(one.text).strip("\N{NO-BREAK SPACE}") for one in drawn.iter(f"{svg}text")}
    machine = from_json(json.loads(kept.read_text()))
    assert {str(state) for state in range(machine.states)} <= texts
    assert {"SELECT.wallet / 9000", "VERIFY_BPIN / 91XX", "from every state to 0: RESET / RESET"} <= texts
    groups = [one.get("class") for one in drawn.iter(f"{svg}g")]
    assert groups.count("node") == machine.states
    changes = {(at, to) for (at, symbol), (_, to) in machine.edges.items() if at != to and symbol != "RESET"}
    assert groups.count("edge") == len(changes)


def test_without_graphviz_the_card_is_not_asked(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("bsim.fuzz.learn.learner.learn", lambda *_, **__: pytest.fail("the card was asked"))
    assert main(["fuzz", "learn", "--svg", str(tmp_path / "card.svg")]) == 2
    assert "its package is graphviz" in capsys.readouterr().err
    assert not (tmp_path / "card.svg").exists()


def test_what_graphviz_refuses_is_told(tmp_path):
    broken = tmp_path / "dot"
    broken.write_text("#!/bin/sh\necho no such font >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(MachineError, match="Graphviz: no such font"):
        draw.svg(str(broken), "digraph {}")


def test_the_command_line_learns_draws_and_compares(tmp_path, capsys):
    kept, drawn = tmp_path / "card.json", tmp_path / "card.dot"
    words = ["fuzz", "learn", "--words", "200"]
    assert main([*words, "--save", str(kept), "--dot", str(drawn)]) == 0
    told = capsys.readouterr().out
    assert "equivalence: 200 words of up to 5 symbols beyond each state" in told
    assert "as the declaration has it" in told
    assert drawn.read_text().startswith("digraph {")
    assert main([*words, "--kind", "locked", "--against", str(kept), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert {"word": ["SELECT.wallet", "SIGN"], "card": "6983", "other": "6982"} in answer["differences"]
    assert answer["equivalence"]["words"] == 200


def test_an_alphabet_of_ones_own(tmp_path, capsys):
    assert main(["fuzz", "learn", "--symbols"]) == 0
    lines = capsys.readouterr().out.splitlines()
    file = tmp_path / "few.txt"
    file.write_text(
        "# a few\n" + "\n".join(line for line in lines if line.startswith(("SELECT", "TERM", "VERI", "FET")))
    )
    assert main(["fuzz", "learn", "--alphabet", str(file), "--words", "100"]) == 0
    assert ", 7 symbols" in capsys.readouterr().out
    file.write_text("SELECT no hex")
    assert main(["fuzz", "learn", "--alphabet", str(file)]) == 2
    file.write_text("")
    assert main(["fuzz", "learn", "--alphabet", str(file)]) == 2
    assert "from 1 to 15" in capsys.readouterr().err


def test_a_budget_that_is_too_small_is_told(capsys):
    assert main(["fuzz", "learn", "--max-apdus", "1000"]) == 2
    assert "no model after 1,000 APDUs" in capsys.readouterr().err


def test_a_card_in_a_reader_is_learned_and_left_as_it_was(reader, tmp_path, capsys):
    assert main(["fuzz", "learn", *reader.words, "--words", "100"]) == 0
    told = capsys.readouterr()
    assert "as the declaration has it" in told.out
    assert reader.lowest == tries(reader.uicc) == 10
    assert reader.closed
    assert cards.BPIN.encode().hex().upper() not in (tmp_path / "bsim-fuzz").glob("journal*").__next__().read_text()


@pytest.mark.parametrize("verb", ["learn", "scan"])
def test_a_card_that_is_lost_ends_it_with_3(verb, reader, capsys):
    reader.pull_at = {300}
    assert main(["fuzz", verb, *reader.words]) == 3
    assert "lost" in capsys.readouterr().err
    assert reader.closed
    assert tries(reader.uicc) == 10


def test_only_a_card_that_is_named_is_learned(reader, capsys):
    assert main(["fuzz", "learn", "--on", "reader:0"]) == 2
    assert "--allow-card" in capsys.readouterr().err


def test_nobodys_pin_is_printed(capsys):
    assert main(["fuzz", "learn", "--on", "reader:0", "--bpin", "112233", "--symbols"]) == 0
    assert b"112233".hex() not in capsys.readouterr().out
