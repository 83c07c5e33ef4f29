"""The twin test: the same script to two cards, and what they answer differently where they should not."""

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from bsim import tlv
from bsim.lab.cases import Case, Kind, examples, scenario
from bsim.lab.conform import built_in
from bsim.lab.guard import ORDER, declared
from bsim.lab.refusals import refusals
from bsim.lab.runner import Exchange, Run, reason, run
from bsim.lab.shape import ShapeError, Shapes, equal_length
from bsim.lab.subject import Subject, common
from bsim.lab.transcript import Transcript
from bsim.spec import Command, spec
from bsim.spec.decode import Decoder
from bsim.sw import describe

TIME_RATIO: Final = 2.0  # slower or faster than its twin by so much is a difference, where time is asked for
_OWN_ACCOUNT: Final = re.compile(r"(?<=^From: ).*$", re.MULTILINE)
_NOTICEABLE: Final = 0.002  # seconds; less is the machine's noise


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two cards differ: in what, after which command, and what either said."""

    what: str
    command: str
    title: str
    sent: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A case as it went on both cards."""

    case: Case
    first: Run
    second: Run


def script(twins: Sequence[Subject], scenarios: Iterable[Transcript] = (), *, only: bool = False) -> list[Case]:
    """What both are sent: the declaration's examples and refusals, and scenarios; or, with `only`, these alone."""
    if any(twin.lasting for twin in twins):
        for twin in twins:
            twin.keep()  # one that keeps what is done to it cannot be compared with one that is made anew
    # And a T=0 reader cannot be compared with a card that is asked in whole APDUs.
    over_t0 = any(twin.over_t0 for twin in twins)
    for twin in twins:
        twin.over_t0 = over_t0
    given = list(map(scenario, scenarios))
    if only:
        return given
    slots = common([twin.look() for twin in twins]) if over_t0 or twins[0].lasting else ()
    # Where they only can be compared in what both have, that is what they are sent.
    extended = (all if twins[0].lasting else any)(twin.extended for twin in twins)
    own = [
        *examples(exact=False, slots=slots, extended=extended),
        *refusals(known=False, extended=extended),
        *map(scenario, built_in()),
    ]
    return sorted([*own, *given], key=lambda case: ORDER.index(case.danger))


def meet(found: Iterable[Case], twins: Sequence[Subject], bpin: str) -> Iterator[Pair]:
    """Run each case on both; one that either must not be sent is sent to neither."""
    for case in found:
        refused = next((words for twin in twins if (words := reason(case, twin))), "")
        if refused:
            yield Pair(case, Run(skipped=refused), Run(skipped=refused))
            continue
        first, second = (run(case, twin, bpin) for twin in twins)
        yield Pair(case, first, second)


def differences(pairs: Iterable[Pair]) -> list[Difference]:
    """Answer what differs, each thing once."""
    found: dict[tuple[str, ...], Difference] = {}
    for pair in pairs:
        if pair.first.skipped or pair.second.skipped:
            continue
        for one in _compare(pair):
            found.setdefault((one.what, one.sent, one.first, one.second), one)
    return list(found.values())


def left_out(pairs: Iterable[Pair]) -> Counter[str]:
    """Count the pairs that could not be compared, by why."""
    return Counter(words for pair in pairs if (words := pair.first.skipped or pair.second.skipped))


def timing(pairs: Iterable[Pair], ratio: float = TIME_RATIO) -> Iterator[Difference]:
    """Answer the commands whose median time differs by more than a ratio."""
    times: tuple[defaultdict[str, list[float]], ...] = (defaultdict(list), defaultdict(list))
    for pair in pairs:
        for kept, done in zip(times, (pair.first, pair.second), strict=True):
            for exchange in done.exchanges:
                if command_of(exchange.raw) is None:
                    continue
                kept[name_of(exchange)].append(exchange.seconds)
    for name in times[0].keys() & times[1].keys():
        first, second = (statistics.median(kept[name]) for kept in times)
        if max(first, second) > _NOTICEABLE and max(first, second) > ratio * min(first, second):
            yield Difference("time", name, "median", "", f"{first * 1000:.1f} ms", f"{second * 1000:.1f} ms")


def name_of(exchange: Exchange) -> str:
    """The declared name of what was sent, or its header."""
    found = command_of(exchange.raw)
    return found.name if found is not None else exchange.raw[:2].hex().upper()


def command_of(raw: bytes) -> Command | None:
    """The declaration of what was sent, whatever was selected; None for what fits none exactly."""
    return next(iter(commands_of(raw)), None)


def commands_of(raw: bytes) -> list[Command]:
    """The declarations of what was sent: applications may share class and instruction, and P1 and P2 as well."""
    return [command for command in declared(raw) if command.takes(raw)] if len(raw) >= 4 else []


def _compare(pair: Pair) -> Iterator[Difference]:
    shapes = Shapes(), Shapes()
    decoder = Decoder(spec())
    for one, other in zip(pair.first.exchanges, pair.second.exchanges, strict=False):
        decoded = decoder.command(one.raw)
        command = decoded.command if decoded.command and decoded.command.takes(one.raw) else None
        if one.step.command is not None and (found := _exchange(pair.case, command, one, other, shapes)):
            what, first, second = found
            yield Difference(what, pair.case.command or name_of(one), pair.case.title, decoded.shown, first, second)
            return  # what comes after may only follow from it
        decoder.response(decoded, one.response or b"")
    for first, second in zip_longest(pair.first.shown, pair.second.shown, fillvalue="nothing"):
        if _anyones(first) != _anyones(second):
            yield Difference("dialogue", pair.case.command or "scenario", pair.case.title, "", first, second)
            return


def _anyones(text: str) -> str:
    """What a phone showed, without the account of the card's own key."""
    return _OWN_ACCOUNT.sub("", text)


def _exchange(
    case: Case, command: Command | None, one: Exchange, other: Exchange, shapes: tuple[Shapes, Shapes]
) -> tuple[str, str, str] | None:
    if one.response is None or other.response is None:
        return None if one.fault == other.fault else ("no answer", _outcome(one), _outcome(other))
    told = [_shape(shape, command, exchange) for shape, exchange in zip(shapes, (one, other), strict=True)]
    if one.sw != other.sw:
        what = "order of checks" if case.kind is Kind.ORDER and not one.step.setup else "status word"
        return what, _outcome(one), _outcome(other)
    if not equal_length(command, one.data, other.data):
        return "length", f"{len(one.data)} bytes", f"{len(other.data)} bytes"
    if told[0] != told[1]:
        return ("TLV shape" if _is_tlv(one.data) or _is_tlv(other.data) else "data"), told[0], told[1]
    return None


def _shape(shapes: Shapes, command: Command | None, exchange: Exchange) -> str:
    try:
        return shapes.of(command, exchange.raw, exchange.data, exchange.sw)
    except ShapeError as fault:
        return f"{fault}: {len(exchange.data)} bytes"


def _outcome(exchange: Exchange) -> str:
    return f"{exchange.sw:04X} ({describe(exchange.sw)})" if exchange.response is not None else exchange.fault


def _is_tlv(data: bytes) -> bool:
    try:
        return bool(tlv.parse(data))
    except tlv.TlvError:
        return False
