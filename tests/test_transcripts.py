"""Sessions written down byte by byte, played back, and the format they are written in: bsim/lab/transcript.py.

A fixed bug starts as a transcript here that fails.
"""

from pathlib import Path

import pytest
from helpers import BPIN, bare_card

from bsim.handset import in_handset
from bsim.lab.transcript import Step, Transcript, TranscriptError, parse, read

TRANSCRIPTS = sorted(Path(__file__).parent.joinpath("transcripts").glob("*.txt"))
SELECT = "> SELECT method=DF_NAME control=12 identifier=A000000533C000FF860000000000054D\n< 9000\n"


def play(transcript: Transcript) -> dict[str, str]:
    card = in_handset(bare_card(blank=transcript.card == "blank"), transcript.phone, BPIN)
    variables = dict(transcript.variables)
    for step in transcript.steps:
        if step.command is None:
            card.reset()
            continue
        difference = step.difference(card.transmit(step.encode(variables)), variables)
        assert not difference, f"{transcript.name}:{step.line}: {difference}"
    return variables


def test_there_are_transcripts() -> None:
    assert len(TRANSCRIPTS) >= 2


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    transcript = read(path)
    assert transcript.card in {"test", "blank"}
    assert all(step.command is None or step.answer for step in transcript.steps), "a command without its answer"
    play(transcript)


def test_variables_and_names() -> None:
    text = f"# Title\nlet digest = 00 01\nlet coin = 0000003C\n{SELECT}"
    text += "> 80A80002 05 {coin} 01\n< 9000 | 6A84\n> EXPORT_PUBKEYS part=FIRST\n< C2 47 {coin} .. 01 {key:65} 9000\n"
    text += "reset\n" + SELECT + "> 80C8000000  # a comment\n< C247{coin}0101{key}{rest:*}90.0\n"
    transcript = parse(text, "name")
    assert (transcript.title, transcript.card, transcript.phone) == ("Title", "any", "none")
    kept = play(transcript)
    assert len(kept["key"]) == 130
    assert kept["rest"] == ""


def test_a_difference_is_told() -> None:
    step = Step(7, "00CA000002", "..9000|6A88")
    assert step.difference(bytes.fromhex("00519000"), {}) == "answered 0051 9000, not ..9000 or 6A88"
    assert step.difference(b"\x6a\x88", {}) == ""
    with pytest.raises(TranscriptError, match="line 7: nothing is kept under the name x"):
        Step(7, "00CA{x}").encode({})
    assert Step(1, "00CA{x}").header == b"\x00\xca"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing is sent"),
        ("card odd\n> 00CA0000\n", "a card is test, blank, any"),
        ("< 9000\n", "line 1"),
        ("> 00CA0000\n< 9000\n< 9000\n", "line 3"),
        ("> 00CA0000\n< nonsense\n", "line 2: 'nonsense' is no answer"),
        ("> 00CA0000\nphone right\n", "line 2"),
        ("jump\n", "line 1: jump"),
        ("> ZZ\n", "line 1: what is sent is no declared command .* not hexadecimal"),
        ("> NOPE\n", "line 1: what is sent is no declared command"),
        ("> 00CA000\n", "line 1: what is sent has an odd number of digits"),
        ("> SIGN foo=1\n", "line 1: SIGN has no field foo; it has coin_type, slot, digest"),
        ("> SIGN coin_type=1 slot=1\n", "line 1: SIGN: digest is missing"),
        ("> SIGN coin_type=1 coin_type=1\n", "line 1: SIGN: coin_type stands here twice"),
        ("> SIGN coin_type\n", "line 1: SIGN: word 1 after the name is not FIELD=VALUE"),
        (f"> SIGN coin_type=x slot=1 digest={'00' * 32}\n", "line 1: SIGN: coin_type is no number"),
        (f"> SIGN coin_type=1 slot=256 digest={'00' * 32}\n", "line 1: SIGN: slot does not take this number"),
        (f"> SIGN coin_type=1 slot=1 digest={'00' * 300}\n", "line 1: SIGN: digest has"),
        ("> SIGN coin_type=1 slot=1 digest=xy\n", "line 1: SIGN: digest is not hexadecimal"),
        ("> 00840000\n< {x:300}9000\n> SIGN coin_type=1 slot=1 digest={x}\n", "line 3: SIGN: digest has"),
        ("> {nope}\n", "line 1: nothing is kept under the name nope"),
        ("> 00CA0000{x}\nlet x = 00\n", "line 1: nothing is kept under the name x"),
        ("let x = 00\n> 00CA0000{x:4}\n", "line 2: .* is for answers"),
        ("let x = 000\n> 00CA0000\n", "line 1: x has an odd number of digits"),
        ("let x = 00\nlet x = 01\n> 00CA0000\n", "line 2: x has a value already"),
        ("> 00CA0000\n< {x}9000\n", "line 2: nothing is kept under the name x"),
        ("> 00CA0000\n< {x:4}{x}9000\n", "line 2: nothing is kept under the name x"),
        ("> 00CA0000\n< {x:4}{x:4}9000\n", "line 2: x is kept twice"),
        ("> 00CA0000\n< {1x:4}9000\n", "line 2: 1x is no name"),
        ("> 00CA0000\n< {x:65536}9000\n", "line 2: x is to have more than 65535 bytes"),
        ("> 00CA0000\n< {x:99999999999}9000\n", "line 2: x is to have more than 65535 bytes"),
        (f"> 00CA0000\n< {{x:{'9' * 5000}}}9000\n", "line 2: x is to have more"),
        ("> 00CA0000\n< 900\n", "line 2: '900': an answer has whole bytes"),
        ("> 00CA0000\n< 9000|\n", "line 2: .* an answer has whole bytes"),
        ("phone bar\n", "line 1: handset script: entry 1 is none"),
        ("phone bar\n> 00CA0000\n", "line 1: handset script: entry 1 is none"),
    ],
)
def test_what_is_no_transcript(text: str, words: str) -> None:
    with pytest.raises(TranscriptError, match=words):
        parse(text, "name")


@pytest.mark.parametrize("command", ["0", "SIGN slot=1", "SELECT method=NO control=0 identifier=", "SIGN x=1"])
def test_what_is_no_command(command: str) -> None:
    with pytest.raises(TranscriptError, match="line 1"):
        parse(f"> {command}\n", "name").steps[0].encode({})


def test_what_is_kept_is_judged_when_it_is_there() -> None:
    text = "> 00840000\n< {x:4}{y:*}{d:32}9000 | 6A88\n"
    text += "> SIGN coin_type={x} slot={y} digest={d}\n> 00CA{y}\n< {x:65535}9000\n"
    sign = parse(text, "name").steps[1]
    assert sign.encode({"x": "0000003C", "y": "10", "d": "07" * 32}).hex().upper() == "80AC0000250000003C10" + "07" * 32
    for variables in ({}, {"x": "00", "y": "0100", "d": "07" * 32}, {"x": "00", "y": "", "d": "07" * 32}):
        with pytest.raises(TranscriptError, match="line 3"):
            sign.encode(variables)


def test_no_mistake_repeats_what_may_be_a_pin() -> None:
    for text in ("> 313233343536x", "> VERIFY_BPIN\nphone 123456;", "> EXPORT_SEED key2=123456x", "phone 123456;"):
        with pytest.raises(TranscriptError) as told:
            parse(text, "name")
        assert "3456" not in str(told.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TranscriptError, match=r"none\.txt: No such file") as told:
        read(tmp_path / "none.txt")
    assert "Errno" not in str(told.value)
    (tmp_path / "bytes.txt").write_bytes(b"\xff")
    with pytest.raises(TranscriptError, match=r"bytes\.txt: this is no text"):
        read(tmp_path / "bytes.txt")
    (tmp_path / "bad.txt").write_text("nonsense\n")
    with pytest.raises(TranscriptError, match=r"bad\.txt: line 1"):
        read(tmp_path / "bad.txt")
