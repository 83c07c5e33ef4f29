"""What is done before exploring: every example on every kind of card, and every field at its bounds."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from bsim.apdu import CommandApdu
from bsim.fuzz.engine import Explorer
from bsim.fuzz.examples import Numbered, Tree, examples, tree
from bsim.fuzz.grammar import Entry, Grammar
from bsim.fuzz.lead import Lead, begun
from bsim.fuzz.ways import WAYS
from bsim.spec import Example, domains
from bsim.sw import SwError

_ROOTS: Final = {"test": "personalised", "blank": "factory"}
_VARIED: Final = 2  # examples of a command whose fields are varied
PHASES: Final = ("smoke", "boundary", "explore")
Visit = Callable[[Lead, Numbered, Callable[[], None]], None]
"""Does something from where an example is sent, and goes back there each time."""


Over = Callable[[], bool]
"""Whether all that a run may take is spent."""


def smoke(explorer: Explorer, grammar: Grammar, over: Over = lambda: False) -> None:
    """Run each example after those that are given; what ends well also on every other kind of card."""
    chosen = _chosen(explorer, grammar)
    for root in [node.rig.root for node in explorer.starts]:
        wanted = [one for one in chosen if _root(explorer, one.example) == root or one.anywhere]
        with begun(explorer, grammar, root) as lead:
            _walk(lead, tree(wanted), lambda *_: None, over)


def boundary(explorer: Explorer, grammar: Grammar, over: Over = lambda: False) -> None:
    """From where each example is sent, its command in other ways, and with each field at its bounds and beyond."""
    wanted = [one for one in _chosen(explorer, grammar) if not one.entry.slow]
    for root in dict.fromkeys(_root(explorer, one.example) for one in wanted):
        with begun(explorer, grammar, root) as lead:
            _walk(lead, tree(one for one in wanted if _root(explorer, one.example) == root), _at_its_bounds, over)


def _chosen(explorer: Explorer, grammar: Grammar) -> list[Numbered]:
    """The examples of the commands that are used; what must come before them may be any command."""
    return [one for one in examples(grammar) if explorer.generator.uses(one.entry)]


def _at_its_bounds(lead: Lead, one: Numbered, back: Callable[[], None]) -> None:
    raw = one.command
    for other in variants(one.entry, raw) if one.number <= _VARIED else ():
        lead.send(other)
        back()
    for way in WAYS:
        if way(lead, one.entry, raw):
            back()


def _walk(lead: Lead, steps: Tree, visit: Visit, over: Over) -> None:
    """Send each command of a tree from where the one above it led, having visited where it is sent from."""
    if not steps:
        return
    back = lead.here()
    for one, (is_wanted, below) in steps.items():
        if over():
            return
        if is_wanted:
            visit(lead, one, back)
        lead.send(one.command)
        _walk(lead, below, visit, over)
        back()


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
