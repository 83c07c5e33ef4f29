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
    ],
)
def test_what_is_no_transcript(text: str, words: str) -> None:
    with pytest.raises(TranscriptError, match=words):
        parse(text, "name")


@pytest.mark.parametrize("command", ["0", "SIGN slot=1", "SELECT method=NO control=0 identifier=", "SIGN x=1"])
def test_what_is_no_command(command: str) -> None:
    with pytest.raises(TranscriptError, match="line 1"):
        parse(f"> {command}\n", "name").steps[0].encode({})


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TranscriptError, match=r"none\.txt"):
        read(tmp_path / "none.txt")
    (tmp_path / "bad.txt").write_text("nonsense\n")
    with pytest.raises(TranscriptError, match=r"bad\.txt: line 1"):
        read(tmp_path / "bad.txt")
