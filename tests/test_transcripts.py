"""Sessions written down byte by byte, played back. A fixed bug starts as one of these that fails.

`card test|blank` and `phone SCRIPT|none` come first; then `>` a command, `<` its answer (`..` for any byte), `reset`.
"""

import re
from pathlib import Path

import pytest
from helpers import bare_card

from bsim.handset import in_handset

TRANSCRIPTS = sorted(Path(__file__).parent.joinpath("transcripts").glob("*.txt"))


def lines(path: Path) -> list[tuple[int, str, str]]:
    found = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line and not line.startswith("#"):
            verb, _, rest = line.partition(" ")
            found.append((number, verb, rest.replace(" ", "").upper() if verb in "<>" else rest))
    return found


def test_there_are_transcripts() -> None:
    assert len(TRANSCRIPTS) >= 2


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    (_, first, kind), (_, second, script), *rest = lines(path)
    assert (first, second) == ("card", "phone")
    assert kind in {"test", "blank"}
    card = in_handset(bare_card(blank=kind == "blank"), script)
    answer = None
    for number, verb, text in rest:
        if verb == "reset":
            card.reset()
        elif verb == ">":
            assert answer is None, f"{path.name}:{number}: the command before has no answer"
            answer = card.transmit(bytes.fromhex(text)).hex().upper()
        else:
            assert verb == "<", f"{path.name}:{number}: {verb}"
            assert answer is not None, f"{path.name}:{number}: an answer to nothing"
            pattern = text.replace("..", "[0-9A-F]{2}")
            assert re.fullmatch(pattern, answer), f"{path.name}:{number}: {answer}"
            answer = None
    assert answer is None
