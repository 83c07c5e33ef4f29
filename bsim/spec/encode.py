"""From named fields to a command APDU, by the declaration: nobody writes a header byte by hand."""

from collections.abc import Mapping

from bsim import tlv
from bsim.apdu import CommandApdu
from bsim.spec.model import Command, Field, Parameter

Values = Mapping[str, int | bytes]


class FieldError(ValueError):
    """A value that a declared field does not take; the message names the field, and never the value of one of data."""


def encode(command: Command, values: Values) -> CommandApdu:
    """Build the APDU of a command from its fields; FieldError names the field that does not fit."""
    unknown = values.keys() ^ set(command.fields)
    if unknown:
        raise ValueError(f"{command.name}: fields {', '.join(sorted(unknown))} are missing or not declared")
    data = b"".join(_encode_field(command, field, values[field.name]) for field in command.data)
    le = values["le"] if command.le_asked else (256 if command.response and not command.data else None)
    p1, p2 = (_encode_parameter(command, parameter, values) for parameter in (command.p1, command.p2))
    if not isinstance(le, int | None):
        raise TypeError(f"{command.name}: le is a number")
    return CommandApdu(command.cla[0], command.ins, p1, p2, data, le)


def _encode_parameter(command: Command, parameter: Parameter, values: Values) -> int:
    value = values[parameter.name] if parameter.name else parameter.legal[0]
    if not isinstance(value, int) or value not in parameter.legal:
        raise FieldError(f"{command.name}: {parameter.name} cannot be {value!r}")
    return int(value)


def _encode_field(command: Command, field: Field, value: int | bytes) -> bytes:
    if isinstance(value, int):
        if not field.kind.size or not 0 <= value < 1 << 8 * field.kind.size:
            raise FieldError(f"{command.name}: {field.name} does not take this number")
        return int(value).to_bytes(field.kind.size, "big")
    if field.kind.size or not field.minimum <= len(value) <= field.maximum:
        least = "" if field.minimum == field.maximum else f"{field.minimum} to "
        raise FieldError(f"{command.name}: {field.name} has {least}{field.maximum} bytes")
    if field.tag is None:
        return value
    # One-byte lengths are what the wallet app writes; beyond them there is only BER.
    return tlv.encode_simple(field.tag, value) if len(value) <= tlv.MAX_SIMPLE else tlv.encode(field.tag, value)
