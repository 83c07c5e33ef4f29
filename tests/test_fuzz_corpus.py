"""Seeds from what other tools logged, in the form each of them logs, and scripts of seeds."""

import subprocess

import pytest
from helpers import BPIN, WALLET_AID

from bsim.cli import main
from bsim.fuzz.cards import BPIN as CANARY
from bsim.fuzz.files import read_seeds
from bsim.fuzz.grammar import grammar
from bsim.fuzz.steps import ANSWERS, POWER_CYCLE, send
from bsim.fuzz.traces import LogError, seeds

SELECT = bytes.fromhex("00A4040C10") + WALLET_AID
VERIFY = bytes.fromhex("807C000000")
PROFILE = bytes.fromhex("8010000014") + bytes(range(0x60, 0x74))
TYPED = bytes.fromhex("8014000015 810301230482028281830100 8D0704") + BPIN.encode()
PLAIN = (SELECT, PROFILE, VERIFY, TYPED)


def dump(raw: bytes, mark: str) -> str:
    rows = [raw[at : at + 16] for at in range(0, len(raw), 16)]
    told = (f"{16 * at:04X} {row.hex(' ').upper():<47} {'.' * len(row)}" for at, row in enumerate(rows))
    return "".join(f" \x1b[32m {mark}  {row}\x1b[0m\n" for row in told)


def spied(raw: bytes) -> str:
    return (
        "SCardTransmit\n  i hCard: 0x69\n  i pioSendPci.dwProtocol: 0x1\n"
        f"  i bSendLength: 0x{len(raw):08X}\n  i bSendBuffer\n{dump(raw, 'i')}"
        f"  o bRecvLength: 0x00000002\n  o bRecvBuffer\n{dump(bytes.fromhex('9000'), 'o')} => Command successful.\n"
    )


def opensc(raw: bytes) -> str:
    rows = [raw[at : at + 16] for at in range(0, len(raw), 16)]
    told = "\n".join(f"{row.hex(' ').upper()} {'AB' * (len(row) // 2)}" for row in rows)
    head = "P:729; T:0x14 15:19:52.123 [opensc-tool] reader-pcsc.c:298:pcsc_transmit: \n"
    return f"{head}Outgoing APDU ({len(raw)} bytes):\n{told}\n{head}Incoming APDU (2 bytes):\n90 00 ..\n"


def pysim(raw: bytes) -> str:
    return f"-> {raw[:5].hex()} {raw[5:].hex()}\n<- 9000: \n"


def simtrace(raw: bytes) -> str:
    return f"APDU: {(raw + bytes.fromhex('9000')).hex(' ')}\n"


LOGS = {
    "spy": "".join(spied(raw) for raw in PLAIN)
    + "SCardReconnect\n  i dwInitialization: SCARD_RESET_CARD (0x1)\n"
    + "SCarControl\n  i bSendBuffer\n"
    + dump(bytes(20), "i")
    + spied(SELECT),
    "opensc": "".join(opensc(raw) for raw in PLAIN),
    "pysim": "-- RESET\n" + "".join(pysim(raw) for raw in PLAIN),
    "simtrace": "ATR: 3b 9f 96\n" + "".join(simtrace(raw) for raw in PLAIN),
}


@pytest.mark.parametrize("kind", LOGS)
def test_each_log_is_read_and_no_pin_is_kept(kind, tmp_path):
    log = tmp_path / f"{kind}.log"
    log.write_text(LOGS[kind])
    found = list(seeds(log, "operational"))
    assert found[0].steps[:3] == (send(SELECT), send(PROFILE), send(VERIFY))
    typed = found[0].steps[3]
    assert typed[2] == ANSWERS
    assert CANARY.encode() in typed[1]
    assert BPIN.encode().hex().upper() not in "".join(seed.text() for seed in found)
    assert len(found) == (2 if kind == "spy" else 1)


def test_what_the_card_answered_is_no_command(tmp_path):
    log = tmp_path / "sim.log"
    log.write_text("APDU: 80 ca 00 11 0c 11 0a 98 68 30 00 00 00 00 00 00 27 90 00\nAPDU: 00 ca 00 00 02 01 00 90 00\n")
    (seed,) = seeds(log, "operational")
    assert [step[1].hex() for step in seed.steps] == ["80ca00110c", "00ca000002"]


def test_our_own_traces(tmp_path, capsys):
    trace = tmp_path / "run.bsimtrace"
    words = [
        "apdu",
        "00A4040010" + WALLET_AID.hex(),
        "807400010850617373773072643C",
        "--on",
        "ram",
        "--record",
        str(trace),
    ]
    main([*words[:-4], *words[-4:]])
    (*_, seed) = seeds(trace, "operational")
    assert [grammar().name(step[1]) for step in seed.steps][-2:] == ["SELECT", "EXPORT_SEED"]
    assert b"Passw0rd" not in seed.steps[-1][1]
    capsys.readouterr()


def test_seeds_of_logs_are_run(tmp_path, capsys):
    log, folder = tmp_path / "some.log", tmp_path / "seeds"
    log.write_text(LOGS["opensc"])
    assert main(["fuzz", "corpus", "import", str(log), "--dir", str(folder)]) == 0
    assert "1 seeds of 4 commands" in capsys.readouterr().out
    assert main(["fuzz", "run", "--seeds", str(folder), "--max-apdus", "100", "--phases", "none"]) == 0


def test_seeds_become_scripts(tmp_path, capsys):
    log, folder, scripts = tmp_path / "some.log", tmp_path / "seeds", tmp_path / "scripts"
    log.write_text(LOGS["pysim"])
    main(["fuzz", "corpus", "import", str(log), "--dir", str(folder)])
    (seed,) = read_seeds(folder)
    assert POWER_CYCLE not in seed.steps
    for tool, text in (("opensc", "opensc-tool -s 00A4040C10"), ("pysim", "apdu 00A4040C10")):
        assert main(["fuzz", "corpus", "export", str(folder), "--to", tool, "--dir", str(scripts)]) == 0
        (script,) = scripts.glob("*.sh" if tool == "opensc" else "*.script")
        assert text in script.read_text()
    (shell,) = scripts.glob("*.sh")
    subprocess.run(["sh", "-n", str(shell)], check=True)
    capsys.readouterr()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe\0", "can't decode"),
        (b"SELECT CUT before: 00A40400\n", "CUT before N: or CUT after N:"),
        (b"SELECT CUT sometimes 1: 00A40400\n", "CUT before N: or CUT after N:"),
        (b"SELECT CUT before 0: 00A40400\n", "CUT before N: or CUT after N:"),
        (b"# card: golden\nSELECT 00A40400\n", "no kind of card 'golden'"),
        (None, "Is a directory"),
    ],
)
def test_a_corpus_with_a_bad_file_is_told(content, told, tmp_path, capsys):
    bad = tmp_path / "bad" / "x.txt"
    bad.parent.mkdir()
    if content is None:
        bad.mkdir()
    else:
        bad.write_bytes(content)
    folder = str(bad.parent)
    for words in (
        ["run", "--seeds", folder, "--max-apdus", "1"],
        ["cmin", folder],
        ["corpus", "export", folder, "--to", "pysim", "--dir", str(tmp_path / "out")],
        ["diff", "--on", "ram", "--on", "t0", "--corpus", folder],
    ):
        assert main(["fuzz", *words]) == 2
        err = capsys.readouterr().err
        assert told in err
        assert "x.txt" in err


def test_an_alphabet_with_a_bad_cut_is_told(tmp_path, capsys):
    symbols = tmp_path / "symbols.txt"
    symbols.write_text("select CUT before: 00A40400\n")
    assert main(["fuzz", "learn", "--alphabet", str(symbols)]) == 2
    assert "symbols.txt" in capsys.readouterr().err


def test_where_nothing_can_be_written_it_is_told(tmp_path, capsys):
    log, folder, blocked = tmp_path / "some.log", tmp_path / "seeds", str(tmp_path / "file" / "x")
    log.write_text(LOGS["pysim"])
    (tmp_path / "file").write_text("")
    assert main(["fuzz", "corpus", "import", str(log), "--dir", str(folder)]) == 0
    for words in (
        ["corpus", "import", str(log), "--dir", blocked],
        ["corpus", "export", str(folder), "--to", "pysim", "--dir", blocked],
        ["cmin", str(folder), "--output", blocked],
    ):
        assert main(["fuzz", *words]) == 2
        assert "nothing can be written there" in capsys.readouterr().err


def test_a_log_without_commands_is_told(tmp_path, capsys):
    log = tmp_path / "empty.log"
    log.write_text("nothing here\n")
    with pytest.raises(LogError, match="no command found"):
        list(seeds(log, "operational"))
    assert main(["fuzz", "corpus", "import", str(log), "--dir", str(tmp_path / "x")]) == 2
    assert main(["fuzz", "corpus", "import", str(tmp_path / "none"), "--dir", str(tmp_path / "x")]) == 2
    assert main(["fuzz", "corpus", "import", str(log), "--dir", "x", "--kind", "golden"]) == 2
    assert main(["fuzz", "corpus", "export", str(tmp_path), "--to", "pysim", "--dir", str(tmp_path / "x")]) == 2
    capsys.readouterr()
