"""`bsim fuzz scan` and `doctor`: what a card answers, what is not sent to find out, what fuzzing has to work with."""

import json

import pytest
from test_fuzz_learn import Reader, reader  # noqa: F401 - a fixture
from test_fuzz_safe import tries

from bsim.bench.planted import FAULTS
from bsim.cli import main
from bsim.fuzz import cards
from bsim.fuzz.grammar import grammar
from bsim.fuzz.ledger import Ledger
from bsim.fuzz.scan import CLASSES, INSTRUCTIONS, scan, undeclared
from bsim.lab.guard import danger_of
from bsim.spec import Danger, spec


def test_the_emulated_card_has_what_is_declared_and_no_more(capsys):
    assert main(["fuzz", "scan", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    seen = {(one["application"] or "", one["cla"], one["ins"]) for one in told["seen"]}
    applications = ["", *(name for name, applet in spec().applets.items() if applet.aids)]
    assert seen == {
        (application, f"{cla:02X}", f"{entry.command.ins:02X}")
        for application in applications
        for entry in grammar().answers(application)
        for cla in entry.command.cla
    }
    assert all(one["command"] for one in told["seen"])
    assert told["refused"] == 0


def test_what_nobody_declared_is_told():
    class Odd:
        def transmit(self, command):
            return b"\x90\0" if command[:2] == b"\x80\x33" else b"\x6d\0" if command[0] & 0x7F == 0 else b"\x6e\0"

        def reset(self):
            return b""

    entered = []
    told = scan(Odd(), [("wallet", lambda: entered.append(1))], grammar())
    assert [(one.cla, one.ins) for one in undeclared(told)] == [(0x80, 0x33)]
    assert told.classes == {"wallet": [0x00, 0x80]}
    assert told.sent == len(CLASSES) + 2 * len(INSTRUCTIONS)
    assert len(entered) == 2


def test_a_card_in_a_reader_is_sent_what_only_reads(reader, capsys):  # noqa: F811 - the fixture
    assert main(["fuzz", "scan", *reader.words]) == 0
    told = capsys.readouterr().out
    assert "80 F2  9000  STATUS" in told
    assert "might change the card" in told
    assert "RESTORE_SEED" not in told
    assert all(danger_of(command) is Danger.SAFE for command in reader.sent)
    assert reader.lowest == tries(reader.uicc) == 10


def test_an_application_that_is_not_there_is_told(capsys, monkeypatch):
    monkeypatch.setattr("bsim.fuzz.scan.INSTRUCTIONS", ())
    monkeypatch.setattr("bsim.fuzz.scan.CLASSES", ())
    assert main(["fuzz", "scan", "--aid", "00112233445566"]) == 0
    assert "--aid 00112233445566: it cannot be selected, the card answers 6A82" in capsys.readouterr().err


def test_an_application_of_ones_own(capsys):
    assert main(["fuzz", "scan", "--aid", "F0FF"]) == 0
    assert "F0FF selected" not in capsys.readouterr().out
    assert main(["fuzz", "scan", "--aid", "A000000151"]) == 0
    assert "A000000151 selected" in capsys.readouterr().out
    assert main(["fuzz", "scan", "--aid", "xyz"]) == 2


@pytest.fixture
def no_readers(monkeypatch):
    # libpcsclite takes its socket's name from the first who asks in a process: no test asks outside a pcscd of its own.
    monkeypatch.setattr("bsim.lab.reader.readers", list)


def test_the_doctor_finds_the_emulated_card_well(no_readers, monkeypatch, reader, tmp_path, capsys):  # noqa: F811 - the fixture
    monkeypatch.setattr("bsim.lab.reader.readers", lambda: ["Some Reader 00 00"])
    words = ["fuzz", "doctor", "--json", "--ledger", str(tmp_path)]
    assert main(words) == 0
    rows = {one["name"]: one for one in json.loads(capsys.readouterr().out)["findings"]}
    assert rows["determinism"]["ok"]
    assert rows["stability"]["detail"] == "100 %"
    assert "never fuzzed" in rows["reader:0"]["detail"]
    assert cards.ICCID not in rows["reader:0"]["detail"]
    assert main(["fuzz", "scan", *reader.words]) == 0
    capsys.readouterr()
    main(words)
    assert "0 writes in 1 runs" in capsys.readouterr().out


def test_the_doctor_finds_a_fault(no_readers, capsys):
    with FAULTS["length"].plant():
        assert main(["fuzz", "doctor"]) == 1
    assert "wrong    clean" in capsys.readouterr().out


def test_an_account_is_looked_at_without_being_written(tmp_path):
    from bsim.fuzz.ledger import account_of

    assert account_of(tmp_path, b"card") is None
    assert not list(tmp_path.iterdir())
    ledger = Ledger(tmp_path, b"card")
    ledger.write(3, 1_000)
    ledger.lose()
    assert account_of(tmp_path, b"card") == (64, 1, 1)
