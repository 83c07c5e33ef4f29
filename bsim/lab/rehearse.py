"""Traces as tests: a recorded conversation held again with an emulated card, and written down so that it passes.

What was redacted is filled with test values. Where the emulated card says the same in other bytes, since its seed and
its random numbers are others, any bytes of that length are expected; another status word is an error.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from bsim.applets.proactive import CommandType, ProactiveCommand, Result, TerminalResponse
from bsim.handset import in_handset
from bsim.lab.trace import Exchange, Reset, Start, Trace, TraceError, fits, unmasked
from bsim.profiles import personalisation, ram_card
from bsim.spec import spec
from bsim.spec.decode import MASK
from bsim.tlv import TlvError

# applet_spec/README.md: the test card of every example.
MNEMONIC: Final = "test test test test test test test test test test test junk"
ICCID: Final = "8985203021088899971"
BPIN: Final = "123456"
_KEY2: Final = b"Passw0rd"
CARDS: Final = ("test", "blank")
_ANY: Final = ".."
_FETCH: Final = "FETCH"
_OF_TERMINAL: Final = frozenset({"TERMINAL_PROFILE", _FETCH, "TERMINAL_RESPONSE"})
_WRONG_BPIN: Final = "000000"
_TEXTS: Final = spec().applets["wallet"].dialogue
_WRONG_TEXTS: Final = (_TEXTS["wrong_bpin"].partition("{")[0], _TEXTS["bpins_differ"])


@dataclass(frozen=True, slots=True)
class Line:
    """A command and what must be answered, `..` for any byte; no command is a power cycle. `line` is the trace's."""

    line: int
    name: str
    command: bytes = field(repr=False)
    answer: str


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A conversation that was held with a card of a kind in a phone, and went as recorded."""

    source: str
    card: str
    phone: str
    lines: tuple[Line, ...]


def rehearse(trace: Trace, card: str = "test", phone: str | None = None, *, iccid: str | None = ICCID) -> Rehearsal:
    """Hold a recorded conversation with an emulated card; TraceError names the line where it goes another way.

    `card` is `test` or `blank`; `phone` a handset's script, or None for `right`, and `none` where the app was the
    terminal. `iccid` None makes one up, as `bsim.new_card` does.
    """
    if phone is None:
        phone = "none" if any(one.name in _OF_TERMINAL for one in trace.exchanges) else "right"
    blank = card == "blank"
    person = personalisation(mnemonic=None if blank else MNEMONIC, blank=blank, bpin=BPIN, iccid=iccid)
    emulated = in_handset(ram_card(person), phone, BPIN)
    lines: list[Line] = []
    filler = _Filler(trace)
    for event in trace.events:
        if isinstance(event, Start | Reset):
            # Resets in a row are one, and a card begins freshly reset.
            if lines and lines[-1].command:
                emulated.reset()
                lines.append(Line(event.line, "", b"", ""))
        elif isinstance(event, Exchange) and not event.lost:
            command = filler.fill(event)
            answered = emulated.transmit(command)
            filler.seen(event, answered)
            lines.append(Line(event.line, event.name, command, _answer(trace, event, answered)))
    if not any(line.command for line in lines):
        raise TraceError(f"{trace.path}: nothing was sent to the card")
    if not lines[-1].command:
        lines.pop()
    return Rehearsal(trace.path, card, phone, tuple(lines))


def transcript(rehearsal: Rehearsal) -> str:
    """The conversation as a transcript, the format of tests/transcripts."""
    return "\n".join(_transcript(rehearsal)) + "\n"


def pytest_file(rehearsal: Rehearsal) -> str:
    """The conversation as a test for pytest that needs bsim and nothing else."""
    steps = "\n".join(_steps(rehearsal))
    blank = "blank=True" if rehearsal.card == "blank" else "mnemonic=MNEMONIC"
    return _PYTEST.format(card=blank, phone=rehearsal.phone, bpin=BPIN, mnemonic=MNEMONIC, steps=steps)


def _answer(trace: Trace, event: Exchange, answered: bytes) -> str:
    wanted, found = event.response, answered.hex().upper()
    if wanted[-4:] != found[-4:]:
        raise TraceError(
            f"{trace.path}:{event.line}: {event.name or event.command[:8]} was answered with {wanted[-4:]}, and the "
            f"emulated card answers {found[-4:]}; begin with another card (--card) or phone (--handset)"
        )
    # Some bytes of two random answers are alike by chance: it is all of them that may differ, or none.
    return wanted if MASK not in wanted and fits(wanted, answered) else _ANY * (len(answered) - 2) + found[-4:]


class _Filler:
    """Puts test values where a trace has none."""

    def __init__(self, trace: Trace) -> None:
        self._fetched: Final = {
            one.line: _fetched(unmasked(one.response)) for one in trace.exchanges if one.name == _FETCH
        }
        self._asked: ProactiveCommand | None = None

    def fill(self, event: Exchange) -> bytes:
        """The command as the test card's own user would send it."""
        if MASK not in event.command:
            return unmasked(event.command)
        count = event.command.count(MASK)
        values = {
            "SET_BPIN": BPIN.encode(),
            "TERMINAL_RESPONSE": self._response(count, self._typed(event)),
        }
        value = values.get(event.name, _KEY2 * (count // len(_KEY2) + 1))[:count].ljust(count, b"0")
        pieces = event.command.split(MASK)
        return bytes.fromhex(
            "".join(f"{piece}{byte:02X}" for piece, byte in zip(pieces, value, strict=False)) + pieces[-1]
        )

    def seen(self, event: Exchange, answered: bytes) -> None:
        """Remember what the card asked its terminal."""
        if event.name == _FETCH:
            self._asked = _fetched(answered)

    def _typed(self, event: Exchange) -> str:
        """The BPIN, or a wrong one where the card's next dialogue says that it was."""
        after = next((asked for line, asked in self._fetched.items() if line > event.line), None)
        return _WRONG_BPIN if after is not None and after.text.startswith(_WRONG_TEXTS) else BPIN

    def _response(self, count: int, typed: str) -> bytes:
        """A terminal response as long as the one that was recorded: with digits, or without a text."""
        asked = self._asked or ProactiveCommand(CommandType.GET_INPUT, 0, "")
        performed = (typed, "\1", None)
        replies = [(Result.PERFORMED, text) for text in performed] + [(Result.TERMINATED_BY_USER, None)]
        encoded = [TerminalResponse(asked.number, asked.type, asked.qualifier, *reply).encode() for reply in replies]
        # Of those without a text a dialogue that wants one was cancelled; one that only shows was performed.
        wants_text = asked.type != CommandType.DISPLAY_TEXT
        fitting = [one for one in (reversed(encoded) if wants_text else encoded) if len(one) == count]
        return fitting[0] if fitting else encoded[0]


def _fetched(response: bytes) -> ProactiveCommand | None:
    try:
        return ProactiveCommand.parse(response[:-2])
    except TlvError:
        return None


def _transcript(rehearsal: Rehearsal) -> Iterator[str]:
    yield f"# Exported from {_name(rehearsal.source)}."
    yield f"card {rehearsal.card}"
    yield f"phone {rehearsal.phone}"
    for line in rehearsal.lines:
        if not line.command:
            yield "reset"
            continue
        yield f"# {line.name}" if line.name else "# not declared"
        yield f"> {line.command.hex().upper()}"
        yield f"< {line.answer}"


def _steps(rehearsal: Rehearsal) -> Iterator[str]:
    for line in rehearsal.lines:
        command = line.command.hex().upper()
        yield f'    ("{command}", "{line.answer}"),' + (f"  # {line.name}" if line.name else "")


def _name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


_PYTEST: Final = '''\
"""A recorded session, exported by `bsim trace export`. An empty command is a reset; `..` in an answer is any byte."""

import re

import bsim

MNEMONIC = "{mnemonic}"
SESSION = [
{steps}
]


def test_session():
    card = bsim.new_card({card}, bpin="{bpin}", handset="{phone}")
    for number, (command, answer) in enumerate(SESSION, 1):
        if not command:
            card.reset()
            continue
        found = card.transmit(bytes.fromhex(command)).hex().upper()
        assert re.fullmatch(answer.replace("..", "[0-9A-F]{{2}}"), found), f"step {{number}}: {{found}}"
'''
