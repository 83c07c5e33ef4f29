"""Traces for other tools: Wireshark decodes the capture, the exported test passes, the transcript is one of ours."""

import io
import json
import os
import shutil
import subprocess
import sys

import pytest
from helpers import BPIN, apdu, bare_card, enter, expect, new_card, select
from test_record import assert_no_secret, recorded, wallet_session
from test_transcripts import test_transcript as play

from bsim.cli import main
from bsim.lab.gsmtap import pcap
from bsim.lab.record import Recorder, TraceWriter
from bsim.lab.rehearse import rehearse, transcript
from bsim.lab.trace import TraceError, read


@pytest.fixture
def session(tmp_path):
    """A wallet's whole life with a card in a phone."""
    path = tmp_path / "run.bsimtrace"
    with recorded(path) as card:
        card.reset()
        wallet_session(card)
        card.reset()
        card.transmit(bytes.fromhex("80CA001100"))
    return path


@pytest.fixture
def bench(tmp_path):
    """A session whose app is the terminal: a wrong BPIN, the right one, and a change that is given up."""
    path = tmp_path / "bench.bsimtrace"
    with Recorder(bare_card(), path) as card:
        expect(card, "TERMINAL_PROFILE", profile=bytes.fromhex("010007"))
        select(card)
        enter(card, card.transmit(apdu("VERIFY_BPIN")), "000000", BPIN)
        enter(card, card.transmit(apdu("UPDATE_BPIN")), BPIN)
        card.reset()
        card.transmit(bytes.fromhex("00CA000002"))
    return path


def tshark() -> str:
    found = shutil.which("tshark")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("tshark is missing: run tools/setup-system")
        pytest.skip("tshark is not there; tools/setup-system installs it")
    return found


def dissected(path, *fields):
    """Each packet's fields, as tshark reads them."""
    chosen = [word for field in fields for word in ("-e", field)]
    ran = subprocess.run(
        [tshark(), "-o", "ip.check_checksum:TRUE", "-r", str(path), "-T", "fields", *chosen],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [tuple(line.split("\t")) for line in ran.stdout.splitlines()]


def test_wireshark_reads_the_capture(session, tmp_path):
    tshark()
    out = tmp_path / "run.pcap"
    assert main(["trace", "export", str(session), "--to", "gsmtap", str(out)]) == 0
    assert_no_secret(out.read_bytes())
    rows = dissected(out, "frame.protocols", "ip.checksum.status", "gsm_sim.apdu.ins", "gsm_sim.apdu.sw")
    assert {row[:2] for row in rows} == {("raw:ip:udp:gsmtap:gsm_sim", "1")}
    exchanges = read(session).exchanges
    commands = [int(row[2], 16) for row in rows]
    assert [ins for ins in commands if ins != 0xC0] == [int(one.command[2:4], 16) for one in exchanges]
    assert commands.count(0xC0) >= 3
    assert {row[3] for row in rows} >= {"0x9000", "0x6d00"}
    columns = dissected(out, "frame.time_epoch", "_ws.col.Info")
    assert "SELECT Application a000000533c000ff860000000000054d" in columns[0][1]
    assert float(columns[0][0]) > 1_700_000_000


def test_every_kind_of_command_is_captured(tmp_path):
    path = tmp_path / "run.bsimtrace"
    with Recorder(bare_card(), path) as card:
        for command in (
            "00A40004",
            "00A40004023F0000",
            "00A4000400 0002 3F00",
            "80",
            "00CA00",
            "FFA4000000",
            "00A4000401",
        ):
            card.transmit(bytes.fromhex(command))
    out = tmp_path / "run.pcap"
    out.write_bytes(pcap(read(path)))
    assert len(dissected(out, "frame.protocols")) == 8  # 61xx and GET RESPONSE are two


def test_the_exported_test_passes(session, bench, tmp_path):
    for path in (session, bench):
        out = tmp_path / f"test_{path.stem}.py"
        assert main(["trace", "export", str(path), "--to", "pytest", str(out)]) == 0
        words = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-W",
            "error",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            tmp_path,
            out,
        ]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == 0, ran.stdout
        assert "1 passed" in ran.stdout


def test_an_exported_test_can_fail(session, tmp_path):
    out = tmp_path / "test_run.py"
    main(["trace", "export", str(session), "--to", "pytest", str(out)])
    out.write_text(out.read_text().replace('("00CA000000", "00519000")', '("00CA000000", "00529000")'))
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, out]
    assert subprocess.run(words, capture_output=True, timeout=120, check=False).returncode == 1


def test_the_exported_transcript_plays(session, bench, tmp_path):
    for path in (session, bench):
        out = tmp_path / f"{path.stem}.txt"
        assert main(["trace", "export", str(path), "--to", "transcript", str(out)]) == 0
        play(out)
    text = (tmp_path / "bench.txt").read_text()
    assert "phone none" in text
    assert "< 00519000" not in text  # after the reset nothing is selected
    assert "313233343536" in text  # a test value in the place of what was typed


def test_what_goes_another_way_is_told_by_its_line(tmp_path):
    path = tmp_path / "run.bsimtrace"
    with Recorder(new_card(blank=True), path) as card:
        card.transmit(bytes.fromhex("00A4040C10A000000533C000FF860000000000054D"))
        card.transmit(bytes.fromhex("80C8000000"))
    with pytest.raises(TraceError, match=r"run\.bsimtrace:3: EXPORT_PUBKEYS was answered with 6A88"):
        rehearse(read(path))
    assert "card blank" in transcript(rehearse(read(path), "blank"))
    out = tmp_path / "out.txt"
    assert main(["trace", "export", str(path), "--to", "transcript", "--card", "blank", str(out)]) == 0
    # A file that is there is not written over.
    assert main(["trace", "export", str(path), "--to", "transcript", "--card", "blank", str(out)]) == 2


def test_an_empty_trace_exports_no_test(tmp_path):
    Recorder(bare_card(), tmp_path / "x.bsimtrace").close()
    with pytest.raises(TraceError, match="nothing was sent"):
        rehearse(read(tmp_path / "x.bsimtrace"))


def test_show(session, capsys):
    assert main(["trace", "show", str(session)]) == 0
    told = capsys.readouterr().out
    assert "recorded " in told
    assert "RESET" in told
    assert "[phone] Enter BPIN (GET_INPUT: PERFORMED)" in told
    assert "key2  ****************  secret" in told
    assert_no_secret(told.encode())
    assert main(["trace", "show", str(session), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["link"] == "in-process"
    assert len(lines) == len(read(session).events)


def test_show_writes_control_characters_out(tmp_path, capsys):
    path = tmp_path / "x.bsimtrace"
    TraceWriter(path, target="\x1b[2Jcard\x9b\u202e", link="l\r").close()
    assert main(["trace", "show", str(path)]) == 0
    assert r"on \x1b[2Jcard\x9b\u202e over l\r" in capsys.readouterr().out


def test_show_tells_a_torn_line(session, capsys):
    session.write_bytes(session.read_bytes()[:-5])
    assert main(["trace", "show", str(session)]) == 0
    assert "was cut off" in capsys.readouterr().err


def test_replay_tells_what_is_in_it(session, capsys):
    assert main(["replay", str(session), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["exchanges"], told["resets"], told["torn"]) == (len(read(session).exchanges), 2, False)
    assert main(["replay", str(session)]) == 0
    assert "dialogues  5" in capsys.readouterr().out


def test_recording_and_replaying_on_the_command_line(tmp_path, capsys):
    path = str(tmp_path / "run.bsimtrace")
    commands = ["00A4040010A000000533C000FF860000000000054D", "80A80002050000003C01"]
    assert main(["apdu", "--record", path, "--raw", *commands]) == 0
    first = capsys.readouterr().out
    assert main(["apdu", "--on", f"replay:{path}", "--raw", *commands]) == 0
    assert capsys.readouterr().out == first
    assert main(["apdu", "--on", f"replay:{path}", "00CA000002"]) == 1
    assert "run.bsimtrace:2 has SELECT" in capsys.readouterr().err
    wallet = str(tmp_path / "wallet.bsimtrace")
    sign = ["wallet", "derive", "ethereum", "--json"]
    assert main([*sign, "--on", "ram", "--record", wallet]) == 0
    derived = capsys.readouterr().out
    assert main([*sign, "--on", f"replay:{wallet}"]) == 0
    assert capsys.readouterr().out == derived


def test_faults_on_the_command_line(tmp_path, capsys):
    rules = tmp_path / "rules.txt"
    rules.write_text("on GET_VERSION answer 6985  # no version today\n")
    words = ["apdu", "--raw", "--faults", str(rules), "--fault", "delay 1ms", "00CA000002"]
    assert main(words) == 1
    told = capsys.readouterr()
    assert "< 6985" in told.out
    assert "fault 1 fired at command 1 (GET_VERSION)" in told.err
    assert "--fault-seed" in told.err
    assert main([*words, "--fault-seed", "7"]) == 1
    assert "--fault-seed" not in capsys.readouterr().err
    assert main(["apdu", "--fault", "remove-card", "00CA000002"]) == 1
    assert "taken out of its reader" in capsys.readouterr().err
    for wrong in (["--fault", "on X mute"], ["--faults", str(tmp_path / "none")]):
        assert main(["apdu", *wrong, "00CA000002"]) == 2
        assert capsys.readouterr().err.startswith("bsim: ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["serve", "--cards", "2", "--fault", "mute"], "for one card"),
        (["relay", "--from", "tcp:1", "--to", "ram"], "--from takes vpcd"),
        (["relay", "--from", "vpcd:here:x", "--to", "ram"], "HOST:PORT"),
        (["record", "x.bsimtrace", "--on", "ram", "--vpcd", "nowhere"], "HOST:PORT"),
        (["replay", "none.bsimtrace"], "No such file"),
        (["apdu", "--record", "/nowhere/x.bsimtrace", "00CA000002"], "No such file"),
    ],
)
def test_wrong_usage_is_told(capsys, words, told):
    assert main(words) == 2
    assert told in capsys.readouterr().err


def test_record_takes_commands_from_stdin(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("00A4040C10A000000533C000FF860000000000054D\nreset\n"))
    path = tmp_path / "run.bsimtrace"
    assert main(["record", str(path), "--on", "ram"]) == 0
    assert "RESET" in capsys.readouterr().out
    assert [type(event).__name__ for event in read(path).events] == ["Start", "Exchange", "Reset"]
