"""What a card is examined with: the declaration's examples, and the refusals that follow from it.

A case is a short transcript of which the last exchange matters and the rest prepares it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from bsim.lab.guard import ORDER, danger_of, declared
from bsim.lab.shape import misfit
from bsim.lab.transcript import Judge, Step, Transcript
from bsim.spec import Command, Danger, Example, spec, sw_matches
from bsim.sw import SW, describe

# Their data name the account of the test card's seed; with another they are refused.
_OF_THE_TEST_SEED: Final = frozenset({"LOGIN"})
_DATA: Final = 5  # where the data of a short APDU begin
_PHONE: Final = "right"
_TO_BE_ASKED: Final = "VERIFY_BPIN", "UPDATE_BPIN"


class Kind(StrEnum):
    """Where a case comes from."""

    EXAMPLE = "example"
    REFUSAL = "refusal"
    ORDER = "order of checks"
    SCENARIO = "scenario"


@dataclass(frozen=True, slots=True)
class Slot:
    """A key that the card has already."""

    number: int
    coin_type: int
    algorithm: int


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to find out about a card; `command` is the declared command it is about, empty for a scenario."""

    command: str
    kind: Kind
    title: str
    transcript: Transcript
    danger: Danger

    @property
    def name(self) -> str:
        """How the case is called in reports."""
        return f"{self.command}: {self.title}" if self.command else self.title


def commands(*, extended: bool = True) -> dict[str, Command]:
    """Every declared command by name; without `extended`, those of the real card."""
    every = (pair for applet in spec().applets.values() for pair in applet.commands.items())
    return {name: command for name, command in every if extended or not command.extension}


def examples(*, exact: bool, slots: Sequence[Slot] = (), extended: bool = True) -> Iterator[Case]:
    """Every example with what must come before it. Without `exact`, keys in `slots` stand for those it would derive."""
    for name, command in commands(extended=extended).items():
        for example in command.examples:
            if not exact and _OF_THE_TEST_SEED.intersection((name, *(one.partition(".")[0] for one in chain(example)))):
                continue
            before = [example_of(reference)[1] for reference in chain(example)]
            if not exact:
                example, before = _at_home(command, example, before, slots)  # noqa: PLW2901 - the same example, made to fit
            steps = [_setup(one, exact=exact) for one in before] + [_step(command, example, exact=exact)]
            asks = any(word in (name, *chain(example)) for word in _TO_BE_ASKED)
            yield case(name, Kind.EXAMPLE, example.title, steps, card=example.card, phone=_PHONE if asks else "none")


def scenario(transcript: Transcript) -> Case:
    """A transcript as a case."""
    return Case("", Kind.SCENARIO, transcript.title, transcript, worst(transcript.steps))


def case(
    command: str, kind: Kind, title: str, steps: Sequence[Step], *, card: str = "any", phone: str = "none"
) -> Case:
    """Make a case; its danger is that of the worst of its commands."""
    transcript = Transcript(f"{command}: {title}", title, card, phone, tuple(steps))
    return Case(command, kind, title, transcript, worst(steps))


def worst(steps: Sequence[Step]) -> Danger:
    """Answer the worst that may come of some commands."""
    return max((_danger(step) for step in steps), key=ORDER.index, default=Danger.SAFE)


def example_of(reference: str) -> tuple[Command, Example]:
    """Answer the example a `given` names: a command's first, or `COMMAND.2`."""
    name, _, number = reference.partition(".")
    command = commands()[name]
    return command, command.examples[int(number or 1) - 1]


def chain(example: Example) -> list[str]:
    """Answer what must have happened before an example, each once and in order."""
    order: list[str] = []
    for reference in example.given:
        for earlier in (*chain(example_of(reference)[1]), reference):
            if earlier not in order:
                order.append(earlier)
    return order


def _danger(step: Step) -> Danger:
    if step.command is None:
        return Danger.SAFE
    try:
        return danger_of(step.encode({}))
    except Exception:  # noqa: BLE001 - variables are not known yet: the header tells, and no text in it is harmless
        header = step.header
        found = declared(header + bytes(2)) if len(header) == 2 else []
        return max((command.danger for command in found), key=ORDER.index, default=Danger.IRREVERSIBLE)


def _setup(example: Example, *, exact: bool) -> Step:
    # Applications may share class, instruction, P1 and P2: the example's title says whose it is.
    found = declared(example.command)
    command = next((one for one in found if any(own.title == example.title for own in one.examples)), found[0])
    return replace(_step(command, example, exact=exact), setup=True)


def _step(command: Command, example: Example, *, exact: bool) -> Step:
    text = example.command.hex().upper()
    if exact:
        return Step(0, text, f"{example.response}{example.sw.replace('*', '.')}")
    return Step(0, text, judge=_by_shape(command, example))


def _by_shape(command: Command, example: Example) -> Judge:
    """Judge by status word and declared shape: the bytes are those of another seed."""
    more = command.name == "EXPORT_PUBKEYS" and example.sw == "9000"  # a card with more keys has more segments

    def judge(data: bytes, sw: int) -> str:
        if not (sw_matches(example.sw, sw) or (more and sw == SW.MORE_DATA)):
            return f"answered {sw:04X} ({describe(sw)}), not {example.sw}"
        if sw not in {SW.OK, SW.MORE_DATA, SW.MORE_BLOCKS}:
            return f"{len(data)} bytes of data with {sw:04X}" if data else ""
        if not example.response and not more:
            return f"{len(data)} bytes of data where none are declared" if data else ""
        return misfit(command, data)

    return judge


def _at_home(
    command: Command, example: Example, before: list[Example], slots: Sequence[Slot]
) -> tuple[Example, list[Example]]:
    """Have an example use a key that the card has, instead of making one more."""
    derive = commands()["DERIVE_KEY"]
    made = [one for one in before if one.command[1] == derive.ins]
    if not made:
        return example, before
    coin, algorithm = int.from_bytes(made[-1].command[5:9], "big"), made[-1].command[9]
    fitting = [slot for slot in slots if slot.algorithm == algorithm]
    if not fitting:
        return example, before
    slot = next((slot for slot in fitting if slot.coin_type == coin), fitting[0])
    left = [one for one in before if one.command[1] != derive.ins]
    raw = bytearray(example.command)
    at = _place(command, "slot")
    if at and raw[at] == len(made):  # an example may name another slot, or another coin than the slot's, on purpose
        raw[at] = slot.number
    if at and (head := _place(command, "coin_type")):
        asked = int.from_bytes(raw[head : head + 4], "big")
        wanted = slot.coin_type if asked == coin else (asked if asked != slot.coin_type else coin)
        raw[head : head + 4] = wanted.to_bytes(4, "big")
    return example._replace(command=bytes(raw)), left


def _place(command: Command, name: str) -> int:
    """Where a data field begins in a short APDU; 0 if the command has none of that name."""
    at = _DATA
    for field in command.data:
        if field.name == name:
            return at
        at += field.maximum
    return 0


def is_case_four(raw: str) -> bool:
    """Whether a short APDU in hex has data and Le, which T=0 cannot carry. ISO/IEC 7816-3 12.2.1."""
    size = len(raw) // 2
    return size > 6 and bool(re.fullmatch("[0-9A-F]+", raw)) and size == 6 + int(raw[8:10], 16)
