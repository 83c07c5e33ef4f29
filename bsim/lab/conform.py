"""Conformance: whether a card does what the declaration says, command by command."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files

from bsim.lab.cases import Case, Kind, commands, examples, scenario
from bsim.lab.guard import ORDER
from bsim.lab.refusals import absent, refusals
from bsim.lab.runner import Exchange, Run, reason, run
from bsim.lab.shape import ciphertext, is_sealed
from bsim.lab.subject import Seen, Subject
from bsim.lab.transcript import Transcript, parse
from bsim.spec import spec
from bsim.spec.decode import Decoder
from bsim.sw import SW

_ABSENT = frozenset({SW.INS_NOT_SUPPORTED, SW.CLA_NOT_SUPPORTED})


class Status(StrEnum):
    """How a case ended."""

    PASS = "pass"  # noqa: S105 - no password
    DIFFERS = "differs"
    NOT_SUPPORTED = "not supported"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """A case, how it ended and why; `exchanges` is what was said, secrets masked."""

    case: Case
    status: Status
    words: str
    exchanges: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0

    @property
    def command(self) -> str:
        """The row of the report this is part of."""
        return self.case.command or "scenarios"


def cases(subject: Subject, seen: Seen, scenarios: Iterable[Transcript] = (), *, only: bool = False) -> list[Case]:
    """Everything a subject is examined with, or with `only` the scenarios given, as they are.

    On a card there is one of, what changes it comes last.
    """
    if only:
        return list(map(scenario, scenarios))
    found = [
        *examples(exact=subject.known, slots=seen.slots if subject.lasting else (), extended=subject.extended),
        *refusals(known=subject.known, extended=subject.extended),
        *(() if subject.extended or subject.lasting else absent()),
        *map(scenario, (*built_in(), *scenarios)),
    ]
    return sorted(found, key=lambda case: ORDER.index(case.danger)) if subject.lasting else found


def built_in() -> list[Transcript]:
    """The scenarios that come with bsim."""
    folder = files("bsim.lab") / "scenarios"
    found = sorted((item for item in folder.iterdir() if item.name.endswith(".txt")), key=lambda item: item.name)
    return [parse(item.read_text(encoding="utf-8"), item.name.removesuffix(".txt")) for item in found]


def plan(found: Sequence[Case], subject: Subject) -> Iterator[str]:
    """Say before anything is sent what will be, and what will not be and why."""
    reasons = {case.name: reason(case, subject) for case in found}
    sent = [case for case in found if not reasons[case.name]]
    apdus = sum(len(case.transcript.steps) for case in sent)
    if not subject.extended:
        yield f"{subject.name}: taken for a card without the commands of the extended profile"
    yield f"{subject.name}: {len(sent)} cases, about {apdus} commands, will be sent; {len(found) - len(sent)} will not"
    if subject.lasting:
        yield f"  their worst: {', '.join(f'{count} {danger}' for danger, count in _dangers(sent))}"
    for words, count in Counter(words for words in reasons.values() if words).most_common():
        names = dict.fromkeys(case.command or case.title for case in found if reasons[case.name] == words)
        yield f"  not sent, {count}: {words}: {', '.join(names)}"


def examine(found: Iterable[Case], subject: Subject, bpin: str) -> Iterator[Result]:
    """Run the cases one by one; ReaderError if the card is gone."""
    for case in found:
        yield judge(case, run(_at_home(case, subject), subject, bpin))


def judge(case: Case, done: Run) -> Result:
    """Say how a case ended."""
    told = tuple(_told(done.exchanges))
    seconds = sum(exchange.seconds for exchange in done.exchanges)
    if done.skipped:
        return Result(case, Status.SKIPPED, done.skipped, told, seconds)
    wrong = next((exchange for exchange in done.exchanges if exchange.wrong), None)
    if wrong is None:
        return Result(case, Status.PASS, "", told, seconds)
    if wrong.sw in _ABSENT and case.kind is not Kind.SCENARIO:
        return Result(case, Status.NOT_SUPPORTED, f"{_name(wrong)} answered {wrong.sw:04X}", told, seconds)
    if wrong.step.setup:
        words = f"{_name(wrong)}, which comes before it: {wrong.wrong}"
        return Result(case, Status.SKIPPED, words, told, seconds)
    if _is_of_its_state(case, wrong):
        words = f"refused in the state that this card is in: {wrong.sw:04X}"
        return Result(case, Status.SKIPPED, words, told, seconds)
    words = wrong.wrong if case.kind is not Kind.SCENARIO else f"line {wrong.step.line}: {wrong.wrong}"
    return Result(case, Status.DIFFERS, words, told, seconds)


def conforms(results: Iterable[Result]) -> bool:
    """Whether nothing differs."""
    return all(result.status is not Status.DIFFERS for result in results)


def rows(results: Sequence[Result]) -> dict[str, Counter[Status]]:
    """Count the results of each command, in the declaration's order."""
    counted: dict[str, Counter[Status]] = {name: Counter() for name in (*commands(), "scenarios")}
    for result in results:
        counted[result.command][result.status] += 1
    return {name: counts for name, counts in counted.items() if counts}


def _at_home(case: Case, subject: Subject) -> Case:
    """On a card that keeps what is done to it, an example takes the keys it finds when its turn comes."""
    if not (subject.lasting and subject.permit.writes and case.kind is Kind.EXAMPLE):
        return case
    anew = examples(exact=subject.known, slots=subject.look().slots)
    return next(other for other in anew if other.name == case.name)


def _is_of_its_state(case: Case, wrong: Exchange) -> bool:
    """Whether a card whose life is not known may refuse an example: its BPIN was changed before, say."""
    conditions = commands()[case.command].when if case.command else ()
    return wrong.step.judge is not None and bool(conditions) and wrong.sw == SW.CONDITIONS_NOT_SATISFIED


def _dangers(found: Iterable[Case]) -> list[tuple[str, int]]:
    counted = Counter(case.danger for case in found)
    return [(str(danger), counted[danger]) for danger in ORDER if counted[danger]]


def _name(exchange: Exchange) -> str:
    decoded = Decoder(spec()).command(exchange.raw)
    return decoded.name or exchange.raw[:4].hex().upper()


def _told(exchanges: Iterable[Exchange]) -> Iterator[tuple[str, str]]:
    decoder = Decoder(spec())
    for exchange in exchanges:
        command = decoder.command(exchange.raw)
        answer = decoder.response(command, exchange.response) if exchange.response else None
        name = f"{command.name}  " if command.name else ""
        shown = answer.shown if answer else exchange.fault
        if exchange.data and is_sealed(exchange.raw):  # a backup of the card's seed does not belong into a report
            shown = f"{ciphertext(exchange.data)} {exchange.sw:04X}"
        yield f"{name}{command.shown}", shown
