"""Conversations that other tools logged, as seeds of a corpus: pcsc-spy, OpenSC, pySim, simtrace2, and our own traces.

Nobody's secret goes into a corpus: what a declaration calls secret is blanked out, and who typed a PIN types the test
card's.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bsim.apdu import CLAS, body
from bsim.applets.proactive import Result, TerminalResponse
from bsim.fuzz.cards import BPIN
from bsim.fuzz.files import Seed
from bsim.fuzz.grammar import Grammar, grammar
from bsim.fuzz.learn.alphabet import answer
from bsim.fuzz.steps import PLAIN, PROVES, Step, send
from bsim.lab import trace
from bsim.spec import spec
from bsim.spec.decode import Decoder
from bsim.sw import SwError

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_PAIRS: Final = re.compile(r"(?:[0-9A-Fa-f]{2} ?)+")
_SPY_ROW: Final = re.compile(r"^\s*i\s+[0-9A-F]{4} (.{1,47})")
_OPENSC: Final = re.compile(r"Outgoing APDU \((\d+) bytes\):")
_PYSIM: Final = re.compile(r"^\s*-> ((?:[0-9A-Fa-f]{2} ?)+)\s*$")
_SIMTRACE: Final = re.compile(r"\bAPDU:\s*((?:[0-9A-Fa-f]{2} ?)+)")
_RESET_TOLD: Final = re.compile(r"-- RESET|\bATR:|SCARD_(?:RESET|UNPOWER)_CARD")
# Instructions whose data goes to the terminal, where the declaration does not say. ISO/IEC 7816-4 table 4.
_READ: Final = frozenset((0x84, 0xB0, 0xB2, 0xC0, 0xCA, 0xF2, 0x12))
_ROW: Final = 16
_LEAST: Final = 7  # header, P3, status word


class LogError(ValueError):
    """A log in which there is no conversation; the message says what was looked for."""


def seeds(path: Path, root: str) -> Iterator[Seed]:
    """Read a log: a seed for each time the card was powered; LogError if no command is in it."""
    sessions = [one for one in _split(list(_commands(path))) if one]
    if not sessions:
        raise LogError(
            f"{path}: no command found; known are pcsc-spy, OpenSC's and pySim's logs, simtrace2, .bsimtrace"
        )
    known, decoder = grammar(), Decoder(spec())
    for number, session in enumerate(sessions, 1):
        decoder.reset()
        steps = tuple(_step(known, decoder, one) for one in session)
        yield Seed(root, steps, f"{path.name}, session {number}")


def _commands(path: Path) -> Iterator[str | None]:
    """Each command in hex, masked bytes as `**`; None for a reset."""
    if path.suffix == trace.SUFFIX:
        for event in trace.read(path).events:
            if isinstance(event, trace.Reset):
                yield None
            elif isinstance(event, trace.Exchange):
                yield event.command
        return
    try:
        text = _COLOUR.sub("", path.read_text(encoding="utf-8", errors="replace"))
    except OSError as fault:
        raise LogError(f"{path}: {fault.strerror}") from fault
    lines = text.splitlines()
    yield from _spied(lines) if "bSendBuffer" in text else _logged(lines)


def _spied(lines: Sequence[str]) -> Iterator[str | None]:
    """pcsc-spy: rows of a hexadecimal dump below `bSendBuffer`, in calls of SCardTransmit alone."""
    call, dump = "", ""
    sending = False
    for line in lines:
        row = _SPY_ROW.match(line)
        if sending and row:
            dump += row[1]
            continue
        if sending and dump:
            yield dump
        sending, dump = False, ""
        if "SCard" in line and not line.lstrip().startswith(("i ", "o ")):
            call = line
        elif line.strip() == "i bSendBuffer":
            sending = "SCardTransmit" in call
        elif _RESET_TOLD.search(line):
            yield None
    if dump:
        yield dump


def _logged(lines: Sequence[str]) -> Iterator[str | None]:
    """OpenSC: so many bytes in rows of sixteen; pySim and simtrace2: a line a command."""
    for number, line in enumerate(lines):
        if found := _OPENSC.search(line):
            yield _rows(lines[number + 1 :], int(found[1]))
        elif found := _PYSIM.match(line):
            yield found[1]
        elif found := _SIMTRACE.search(line):
            yield _tpdu(found[1])
        elif _RESET_TOLD.search(line):
            yield None


def _rows(lines: Sequence[str], length: int) -> str:
    """So many bytes from rows of sixteen; what follows them in a row are the same as characters."""
    found: list[str] = []
    for line in lines:
        wanted = min(length - len(found), _ROW)
        pairs = line.split()[:wanted]
        if not wanted or len(pairs) < wanted or not all(_PAIRS.fullmatch(pair) for pair in pairs):
            break
        found += pairs
    return " ".join(found)


def _tpdu(digits: str) -> str:
    """The command of a T=0 exchange: header, P3, the data if it goes to the card; not what the card answered."""
    raw = bytes.fromhex(digits)
    if len(raw) < _LEAST:
        return digits
    declared = [one for one in grammar().entries if one.command.ins == raw[1] and CLAS[raw[0]].base in one.command.cla]
    reads = all(not entry.command.data for entry in declared) if declared else raw[1] in _READ
    return (raw[:5] if reads else raw[: 5 + raw[4]]).hex()


def _split(commands: Sequence[str | None]) -> list[list[str]]:
    sessions: list[list[str]] = [[]]
    for one in commands:
        if one is None:
            sessions.append([])
        elif one.strip():
            sessions[-1].append(one)
    return sessions


def _step(known: Grammar, decoder: Decoder, digits: str) -> Step:
    """A command as it may be kept."""
    raw = trace.unmasked(digits.replace(" ", ""))
    if len(raw) >= 4 and raw[1] == known.by_name["TERMINAL_RESPONSE"].command.ins and raw[0] & 0x80:
        return _typed(raw, masked="**" in digits)
    blanked = trace.unmasked(decoder.command(raw).shown.replace(" ", ""))
    return send(blanked, PROVES if known.name(raw) == "EXTERNAL_AUTHENTICATE" else PLAIN)


def _typed(raw: bytes, *, masked: bool) -> Step:
    """What a user did in a dialogue, with the test card's PIN for whatever was typed."""
    try:
        start, end, _ = body(raw)
        result = Result.PERFORMED if masked else Result(TerminalResponse.parse(raw[start:end]).result)
    except (SwError, ValueError):
        result = Result.PERFORMED
    return answer(result, BPIN if result is Result.PERFORMED else None)
