"""Coverage of the protocol: what a run asked for, of what is declared."""

import json

import pytest
from helpers import COMMANDS, SPEC, derive, exchange, expect, new_card, open_channel, select, send, sign
from test_record import recorded, wallet_session

from bsim.cli import main
from bsim.lab.coverage import as_json, measure
from bsim.lab.record import Recorder, TraceWriter
from bsim.lab.trace import read


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.bsimtrace"
    with Recorder(new_card(), TraceWriter(path, link="vpcd")) as card:
        select(card)
        derive(card, count=19)
        sign(card, slot=7, sw=0x6982)
        expect(card, "VERIFY_BPIN")
        sign(card, slot=7)
        first = send(card, "EXPORT_PUBKEYS", part="FIRST")[1]
        while first == 0x6300:
            first = send(card, "EXPORT_PUBKEYS", part="NEXT")[1]
        select(card, on=open_channel(card))
        exchange(card, "B03C010000")
    return path


def test_what_was_exercised(path):
    coverage = measure([read(path)])
    one = coverage.commands["SIGN"]
    assert (one.count, one.sw) == (2, {"6982", "9000"})
    assert coverage.commands["EXPORT_PUBKEYS"].items == {
        "sent": True,
        "P2 FIRST": True,
        "P2 NEXT": True,
        "9000": True,
        "6300": True,
        "6982": False,
        "6985": False,
        "6A88": False,
    }
    assert coverage.commands["SET_BPIN"].count == 0
    assert coverage.slots == set(range(1, 20))
    assert coverage.segments == {6}
    assert coverage.channels == {0, 1}
    assert coverage.links == {"vpcd"}
    assert coverage.undeclared == {"B03C0100: no such command"}


def test_nothing_covers_nothing_and_traces_add_up(path, tmp_path):
    nothing = measure([])
    assert nothing.covered == 0
    assert nothing.declared == sum(1 + len(c.p1.values) + len(c.p2.values) + len(c.sw) for c in COMMANDS.values())
    one = measure([read(path)])
    with recorded(tmp_path / "other.bsimtrace") as card:
        wallet_session(card)
    other = read(tmp_path / "other.bsimtrace")
    both = measure([read(path), other])
    assert both.covered > max(one.covered, measure([other]).covered)
    assert both.links == {"vpcd", "in-process"}
    assert both.commands["SIGN"].count == 4
    assert as_json(both)["percent"] == round(both.percent, 1)


def test_one_applet_alone(path):
    assert set(measure([read(path)], ["wallet"]).commands) == set(SPEC.applets["wallet"].declared_by(""))
    assert set(measure([read(path)], ["signing"]).commands) == set(SPEC.applets["wallet"].declared_by("signing"))
    with pytest.raises(ValueError, match="no applet 'walet'"):
        measure([], ["walet"])


def test_undeclared_status_words_are_told(tmp_path):
    class Odd:
        def transmit(self, command):
            return b"\x6f\x42"

    with Recorder(Odd(), tmp_path / "x.bsimtrace") as card:
        exchange(card, "80A80002050000003C01")
    assert measure([read(tmp_path / "x.bsimtrace")]).undeclared == {"DERIVE_KEY: 6F42"}


def test_the_verb(path, tmp_path, capsys):
    assert main(["coverage", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["segments"] == [6]
    page = tmp_path / "page.html"
    assert main(["coverage", str(path), "--applet", "wallet", "--html", str(page), "--fail-under", "5"]) == 0
    printed = capsys.readouterr().out
    assert "EXPORT_PUBKEYS" in printed
    assert "6982, 6985, 6A88" in printed
    text = page.read_text()
    assert '<span class="seen">P2 NEXT</span>' in text
    assert "http" not in text  # self-contained
    assert main(["coverage", str(path), "--fail-under", "99"]) == 1
    for share in ("-1", "101", "nan"):
        assert main(["coverage", str(path), "--fail-under", share]) == 2
    assert "is less than 99 %" in capsys.readouterr().err
    assert main(["coverage", str(path), "--applet", "none"]) == 2
    assert main(["coverage", str(tmp_path / "none.bsimtrace")]) == 2
    assert main(["coverage", str(path), "--html", str(tmp_path)]) == 2
