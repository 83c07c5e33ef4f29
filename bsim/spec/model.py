"""What a declaration says, typed and frozen. The schema is described in applet_spec/README.md."""

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from bsim.tlv import encode_length


class Kind(StrEnum):
    """How a field is carried."""

    U8 = "u8"
    U16 = "u16"
    U32 = "u32"
    BYTES = "bytes"
    TLV = "tlv"

    @property
    def size(self) -> int:
        """Bytes of an integer kind; 0 for the others."""
        return {Kind.U8: 1, Kind.U16: 2, Kind.U32: 4}.get(self, 0)


class LeRule(StrEnum):
    """What Le must hold: the response there is, the longest there could be, or what the handler judges."""

    RESPONSE = "response"
    LONGEST = "longest"
    ASKED = "asked"


class Source(StrEnum):
    """Whether a command was read off the real card's client or is this project's choice."""

    KNOWN = "known"
    CHOSEN = "chosen"


class Danger(StrEnum):
    """The worst a command may do to a card that somebody needs again."""

    SAFE = "safe"
    CONSUMES_TRY = "consumes-try"
    WRITES = "writes"
    IRREVERSIBLE = "irreversible"


class Cost(StrEnum):
    """What a command costs a card in cryptography: none to speak of, a signature, or many rounds of key derivation."""

    NONE = "none"
    SIGNATURE = "signature"
    SLOW = "slow"


class Field(NamedTuple):
    """A named part of command or response data. Lengths are those of the value, in bytes."""

    name: str
    kind: Kind
    minimum: int
    maximum: int
    tag: int | None
    values: Mapping[str, int]
    secret: bool

    @property
    def encoded_minimum(self) -> int:
        """The fewest bytes the field takes in the data."""
        return self.minimum + (2 if self.kind is Kind.TLV else 0)

    @property
    def encoded_maximum(self) -> int:
        """The most bytes the field takes in the data (BER-TLV lengths included)."""
        return self.maximum + (1 + len(encode_length(self.maximum)) if self.kind is Kind.TLV else 0)


class Parameter(NamedTuple):
    """P1 or P2: one fixed value, or a named field with its legal values."""

    name: str | None
    legal: tuple[int, ...]
    values: Mapping[str, int]


class Example(NamedTuple):
    """A command on a card in a named state, and what it answers; `..` in the response stands for any byte."""

    title: str
    card: str
    given: tuple[str, ...]
    command: bytes
    response: str
    sw: str

    def matches(self, data: bytes, sw: int) -> bool:
        """Whether an answer is the one the example declares."""
        pattern = self.response.replace("..", "[0-9A-F]{2}")
        return sw_matches(self.sw, sw) and re.fullmatch(pattern, data.hex().upper()) is not None


class Command(NamedTuple):
    """One command of one applet; everything that is known of it. `extension` names the declaration that adds it."""

    applet: str
    extension: str
    name: str
    title: str
    source: Source
    danger: Danger
    reference: str
    cla: tuple[int, ...]
    ins: int
    p1: Parameter
    p2: Parameter
    when: tuple[str, ...]
    needs: tuple[str, ...]
    makes: tuple[str, ...]
    crypto: Cost
    data: tuple[Field, ...]
    response: tuple[Field, ...]
    le: LeRule
    chaining: bool
    sw: Mapping[str, str]
    notes: tuple[str, ...]
    examples: tuple[Example, ...]

    def takes(self, header: bytes) -> bool:
        """Whether P1 and P2 of a header (4 bytes) are this command's."""
        return header[2] in self.p1.legal and header[3] in self.p2.legal

    @property
    def le_asked(self) -> bool:
        """Whether the handler takes Le and judges it itself."""
        return self.le is LeRule.ASKED

    @property
    def lc_minimum(self) -> int:
        """The fewest data bytes the command takes."""
        return sum(field.encoded_minimum for field in self.data)

    @property
    def lc_maximum(self) -> int:
        """The most data bytes the command takes."""
        return sum(field.encoded_maximum for field in self.data)

    @property
    def response_maximum(self) -> int:
        """The most bytes the response has before its status word."""
        return sum(field.encoded_maximum for field in self.response)

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of all that varies, in the order a handler takes it: P1, P2, Le, then data."""
        named = tuple(parameter.name for parameter in (self.p1, self.p2) if parameter.name)
        return named + (("le",) if self.le_asked else ()) + tuple(field.name for field in self.data)

    @property
    def nv_writes(self) -> int:
        """The most writes the command makes to what survives power loss: a PIN try is written before it is judged."""
        return {Danger.SAFE: 0, Danger.CONSUMES_TRY: 3}.get(self.danger, 1)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the fields that hold secrets, on the way in or out."""
        return tuple(field.name for field in (*self.data, *self.response) if field.secret)

    def allows(self, sw: int) -> bool:
        """Whether the command itself declares this status word."""
        return any(sw_matches(pattern, sw) for pattern in self.sw)


class LifeCycle(NamedTuple):
    """A state of an applet's life: the commands it refuses whatever else is right, each with its status word."""

    title: str
    refuses: Mapping[str, str]


class Extension(NamedTuple):
    """A declaration that adds commands to an applet: only cards of the extended profile answer them."""

    name: str
    title: str
    reference: str
    conditions: frozenset[str]
    rights: frozenset[str]


class Applet(NamedTuple):
    """An applet: its AIDs (the first is its own, the rest are aliases) and its commands by name, extensions' included.

    Conditions, rights, dialogue texts and what states of its life refuse are those of its extensions, too.
    """

    name: str
    title: str
    aids: tuple[bytes, ...]
    reference: str
    commands: Mapping[str, Command]
    conditions: Mapping[str, str]
    rights: Mapping[str, str]
    dialogue: Mapping[str, str]
    life_cycle: Mapping[str, LifeCycle]
    extensions: Mapping[str, Extension] = MappingProxyType({})

    def declared_by(self, extension: str) -> Mapping[str, Command]:
        """Answer the commands that one extension adds; with an empty name, those of the applet itself."""
        return {name: command for name, command in self.commands.items() if command.extension == extension}


class Spec(NamedTuple):
    """All declarations: the applets by name, and the status words any command may answer."""

    applets: Mapping[str, Applet]
    common: Mapping[str, str]

    def allows(self, command: Command | None, sw: int) -> bool:
        """Whether a card may answer `sw` to the command, or to bytes that are no command at all."""
        if any(sw_matches(pattern, sw) for pattern in self.common):
            return True
        if command is None:
            return False
        states = self.applets[command.applet].life_cycle.values()
        refusals = (state.refuses[command.name] for state in states if command.name in state.refuses)
        return command.allows(sw) or any(sw_matches(pattern, sw) for pattern in refusals)


def sw_matches(pattern: str, sw: int) -> bool:
    """Whether a status word fits a declared one: four hex digits, `*` for any."""
    return all(want in {"*", have} for want, have in zip(pattern, f"{sw:04X}", strict=True))
