"""Coverage: what a wallet's test run asked of a card, of all that the declarations offer."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from bsim.lab.trace import Exchange, Start, Trace, unmasked
from bsim.spec import Command, Parameter, spec, sw_matches
from bsim.spec.decode import Answer, Decoded, Decoder
from bsim.spec.objects import Part
from bsim.sw import SW

SLOTS: Final = 127


@dataclass(slots=True)
class CommandCoverage:
    """A declared command: how often it was sent, and which of its values and status words were seen."""

    command: Command
    count: int = 0
    p1: set[int] = field(default_factory=set)
    p2: set[int] = field(default_factory=set)
    sw: set[str] = field(default_factory=set)

    @property
    def items(self) -> dict[str, bool]:
        """Everything that can be covered, and whether it was: the command, its coded P1 and P2, its status words."""
        found = {"sent": self.count > 0}
        for key, parameter, seen in (("P1", self.command.p1, self.p1), ("P2", self.command.p2, self.p2)):
            found |= {f"{key} {label}": value in seen for label, value in _coded(parameter)}
        return found | {pattern: pattern in self.sw for pattern in self.command.sw}


@dataclass(slots=True)
class Coverage:
    """What traces cover. Slots, segments, channels and links are told; the declarations give them no measure."""

    commands: dict[str, CommandCoverage]
    links: set[str] = field(default_factory=set)
    channels: set[int] = field(default_factory=set)
    slots: set[int] = field(default_factory=set)
    segments: set[int] = field(default_factory=set)
    undeclared: set[str] = field(default_factory=set)

    @property
    def covered(self) -> int:
        """How many items were seen."""
        return sum(sum(one.items.values()) for one in self.commands.values())

    @property
    def declared(self) -> int:
        """How many items there are."""
        return sum(len(one.items) for one in self.commands.values())

    @property
    def percent(self) -> float:
        """The share that was seen, in hundredths."""
        return 100 * self.covered / self.declared if self.declared else 100.0


def measure(traces: Iterable[Trace], applets: Collection[str] = ()) -> Coverage:
    """Add up what traces cover, of some declarations or of all; ValueError for one there is not.

    `applets` name applets, which are the real card's, and what extends them.
    """
    declared = _declarations()
    for name in applets:
        if name not in declared:
            raise ValueError(f"no applet {name!r} is declared; there is {', '.join(declared)}")
    chosen = [commands for name, commands in declared.items() if not applets or name in applets]
    coverage = Coverage({name: CommandCoverage(one) for commands in chosen for name, one in commands.items()})
    for trace in traces:
        _Meter(coverage).take(trace)
    return coverage


def _declarations() -> dict[str, Mapping[str, Command]]:
    """The commands of each applet without its extensions, and of each extension."""
    return {
        extension or applet.name: applet.declared_by(extension)
        for applet in spec().applets.values()
        for extension in ("", *applet.extensions)
    }


def as_json(coverage: Coverage) -> dict[str, object]:
    """The same for machines."""
    return {
        "percent": round(coverage.percent, 1),
        "covered": coverage.covered,
        "declared": coverage.declared,
        "commands": {
            name: {"count": one.count, "items": one.items, "p1": sorted(one.p1), "p2": sorted(one.p2)}
            for name, one in coverage.commands.items()
        },
        "slots": sorted(coverage.slots),
        "segments": sorted(coverage.segments),
        "channels": sorted(coverage.channels),
        "links": sorted(coverage.links),
        "undeclared": sorted(coverage.undeclared),
    }


class _Meter:
    """Reads one trace into a coverage."""

    def __init__(self, coverage: Coverage) -> None:
        self._coverage: Final = coverage
        self._decoder: Final = Decoder(spec())
        self._running: dict[int, int] = {}  # segments of the export under way, by channel

    def take(self, trace: Trace) -> None:
        """Read it all."""
        for event in trace.events:
            if isinstance(event, Start):
                self._coverage.links.add(event.link)
            if not isinstance(event, Exchange):
                self._decoder.reset()
                self._running.clear()
                continue
            raw = unmasked(event.command)
            decoded = self._decoder.command(raw)
            answer = None if event.lost else self._decoder.response(decoded, unmasked(event.response))
            self._count(raw, decoded, answer)

    def _count(self, raw: bytes, decoded: Decoded, answer: Answer | None) -> None:
        command = decoded.command
        if command is None:
            self._coverage.undeclared.add(f"{raw[:4].hex().upper()}: no such command")
            return
        self._coverage.channels.add(decoded.channel)
        entry = self._coverage.commands.get(command.name)
        if entry is None or entry.command is not command:
            return
        entry.count += 1
        entry.p1.add(raw[2])
        entry.p2.add(raw[3])
        if answer is not None:
            entry.sw |= {pattern for pattern in command.sw if sw_matches(pattern, answer.sw)}
            if not spec().allows(command, answer.sw):
                self._coverage.undeclared.add(f"{command.name}: {answer.sw:04X}")
            self._slots(decoded, answer)
            self._segments(decoded, answer)

    def _slots(self, decoded: Decoded, answer: Answer) -> None:
        """The slots that were signed with, or whose keys were read."""
        if answer.ok:
            named = [part for part in (*decoded.fields, *_leaves(answer.fields)) if part.name == "slot"]
            self._coverage.slots |= {slot for part in named if 0 < (slot := int(part.hex, 16)) <= SLOTS}

    def _segments(self, decoded: Decoded, answer: Answer) -> None:
        """How many segments each whole export had."""
        if decoded.name != "EXPORT_PUBKEYS":
            return
        first = any(part.meaning == "FIRST" for part in decoded.fields)
        count = 1 if first else self._running.get(decoded.channel, 0) + 1
        self._running[decoded.channel] = count
        if answer.sw == SW.OK:
            self._coverage.segments.add(count)


def _coded(parameter: Parameter) -> Iterator[tuple[str, int]]:
    """The values that have names; a range is covered by its command."""
    return iter(parameter.values.items())


def _leaves(parts: Iterable[Part]) -> Iterator[Part]:
    for part in parts:
        yield part
        yield from _leaves(part.parts)
