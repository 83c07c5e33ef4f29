"""What is done before exploring: every example once with what must come before it, and every field at its bounds."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from bsim.apdu import CLAS, CommandApdu
from bsim.applets.proactive import Result, TerminalResponse
from bsim.fuzz.engine import Explorer
from bsim.fuzz.grammar import Entry, Grammar, on_channel
from bsim.fuzz.steps import POWER_CYCLE, PROVES, TYPES, Step, send
from bsim.lab.cases import chain, example_of
from bsim.spec import Example, domains, encode
from bsim.sw import SwError

_ROOTS: Final = {"test": "personalised", "blank": "factory"}
_OTHER: Final = 3
POWER: Final = b""
"""Stands for a power cycle among commands."""
_DIALOGUES: Final = 3  # proactive commands one command may lead to
PHASES: Final = ("smoke", "boundary", "explore")


def smoke(explorer: Explorer, grammar: Grammar) -> None:
    """Run each example after those that are given, answering dialogues with the right PIN."""
    for entry in grammar.entries:
        for example in entry.command.examples:
            _lead(explorer, grammar, [*_before(example), example.command], _root(explorer, example))


def boundary(explorer: Explorer, grammar: Grammar) -> None:
    """From where each example is sent, its command with each field at its bounds and beyond."""
    for entry in grammar.entries:
        if entry.slow:
            continue
        for example in entry.command.examples[:2]:
            before, root = _before(example), _root(explorer, example)
            for raw in variants(entry, example.command):
                _lead(explorer, grammar, [*before, raw], root)
            for way in elsewhere(grammar, entry, example.command):
                _lead(explorer, grammar, [*before, *way], root)


def variants(entry: Entry, raw: bytes) -> Iterator[bytes]:
    """Answer a command with each parameter, field, length and Le at its bounds and just beyond, one at a time."""
    command = entry.command
    for at, parameter in ((2, command.p1), (3, command.p2)):
        domain = domains.parameter(parameter.legal)
        for value in (*domain.boundary, *domain.illegal[:4]):
            yield raw[:at] + value + raw[at + 1 :]
    try:
        apdu = CommandApdu.parse(raw)
    except SwError:
        return
    if not entry.tlv:
        yield from _fields(entry, apdu)
    for size in {max(command.lc_minimum - 1, 0), command.lc_minimum, command.lc_maximum, command.lc_maximum + 1}:
        yield replace(apdu, data=(apdu.data + bytes(size))[:size]).encode()
    for le in (1, command.response_maximum or 1, 256):
        yield replace(apdu, le=min(max(le, 1), 256)).encode()


def elsewhere(grammar: Grammar, entry: Entry, raw: bytes) -> Iterator[list[bytes]]:
    """Answer ways to a command with all that was granted before it left behind: on another channel, after a reset."""
    aids = grammar.spec.applets[entry.applet].aids
    head = grammar.by_name["SELECT"].command
    select = [bytes((head.cla[0], head.ins, 4, 12, len(aids[0]))) + aids[0]] if aids else []
    channel = grammar.by_name["MANAGE_CHANNEL"].command
    opened = bytes((channel.cla[0], channel.ins, 0, _OTHER))
    yield [opened, *(_moved(one, _OTHER) for one in select), _moved(raw, _OTHER)]
    yield [POWER, *select, raw]
    if entry.command.chaining and raw[4] > 1:  # a short APDU: two parts, and a command between them that ends the chain
        half = raw[4] // 2
        first = bytes((raw[0] | 0x10,)) + raw[1:4] + bytes((half,)) + raw[5 : 5 + half]
        last = raw[:4] + bytes((raw[4] - half,)) + raw[5 + half : 5 + raw[4]]
        yield [first, grammar.by_name["STATUS"].examples[0], last]


def _moved(raw: bytes, channel: int) -> bytes:
    """The same command on another channel."""
    cla = CLAS[raw[0]]
    return bytes((on_channel(cla.base, channel) | 0x10 * cla.chaining,)) + raw[1:]


def _fields(entry: Entry, apdu: CommandApdu) -> Iterator[bytes]:
    at = 0
    for field, domain in zip(entry.command.data, entry.domains, strict=True):
        end = at + field.maximum if field.minimum == field.maximum else len(apdu.data)
        for value in (*domain.boundary, *domain.illegal[:4]):
            yield replace(apdu, data=apdu.data[:at] + value + apdu.data[end:]).encode()
        at = end


def _root(explorer: Explorer, example: Example) -> str:
    wanted = _ROOTS.get(example.card, "operational")
    there = [node.rig.root for node in explorer.starts]
    return wanted if wanted in there else there[0]


def _before(example: Example) -> list[bytes]:
    return [example_of(reference)[1].command for reference in chain(example)]


def _lead(explorer: Explorer, grammar: Grammar, commands: list[bytes], root: str) -> None:
    """Send commands from power-on, answering what they ask."""
    by_name = grammar.by_name
    profile, fetch = by_name["TERMINAL_PROFILE"], by_name["FETCH"]
    with explorer.sequence(root) as do:
        do(send(profile.examples[0]))
        for raw in commands:
            rig = do(POWER_CYCLE if raw == POWER else _linked(grammar, raw))
            for _ in range(_DIALOGUES):
                if rig is None or not rig.shadow.waiting:
                    break
                do(send(encode(fetch.command, {"le": 256}).encode()))
                rig = do(_right(grammar, rig.shadow.fetched, rig.pin().decode("latin-1")))


def _linked(grammar: Grammar, raw: bytes) -> Step:
    proves = grammar.by_name["EXTERNAL_AUTHENTICATE"].command
    return send(raw, PROVES if raw[1] == proves.ins and raw[0] == proves.cla[0] else 0)


def _right(grammar: Grammar, details: bytes, pin: str) -> Step:
    number, kind, qualifier = details or b"\1\x23\4"
    data = TerminalResponse(number, kind, qualifier, Result.PERFORMED, pin).encode()
    command = grammar.by_name["TERMINAL_RESPONSE"].command
    return send(CommandApdu(command.cla[0], command.ins, 0, 0, data).encode(), TYPES)
