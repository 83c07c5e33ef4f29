"""What JSON bodies hold: the part of JSON Schema that the API uses, for its checks and its document."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

_TYPES: Final[Mapping[str, Callable[[object], bool]]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}


class SchemaError(ValueError):
    """A value is not what its schema says; the message says where, and never repeats the value."""


def obj(required: Sequence[str] = (), /, **properties: Schema) -> Schema:
    """An object with these properties and no others."""
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | ({"required": list(required)} if required else {})


def text(description: str = "", /, **rules: object) -> Schema:
    """A string."""
    return _described("string", description, rules)


def whole(description: str = "", /, **rules: object) -> Schema:
    """An integer."""
    return _described("integer", description, rules)


def flag(description: str = "", /) -> Schema:
    """True or false."""
    return _described("boolean", description, {})


def listed(items: Schema, description: str = "", /, **rules: object) -> Schema:
    """An array."""
    return _described("array", description, {"items": items, **rules})


def maybe(schema: Schema) -> Schema:
    """The same, or null."""
    kinds = schema["type"]
    return {**schema, "type": [*([kinds] if isinstance(kinds, str) else kinds), "null"]}


def check(schema: Schema, value: object, where: str = "the body") -> None:
    """Judge a value; SchemaError for the first thing that is wrong."""
    kinds = schema.get("type")
    if kinds is not None:
        wanted = [kinds] if isinstance(kinds, str) else kinds
        if not any(_TYPES[kind](value) for kind in wanted):
            raise SchemaError(f"{where} is no {' or '.join(wanted)}")
    if "enum" in schema and value not in schema["enum"]:
        raise SchemaError(f"{where} is none of {', '.join(map(str, schema['enum']))}")
    if isinstance(value, str):
        _check_text(schema, value, where)
    elif isinstance(value, dict):
        _check_object(schema, value, where)
    elif isinstance(value, list):
        _check_list(schema, value, where)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _check_number(schema, value, where)


def _check_text(schema: Schema, value: str, where: str) -> None:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        raise SchemaError(f"{where} has {_bounds(schema, 'Length')} characters")
    if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        raise SchemaError(f"{where} is not written as {schema['pattern']}")


def _check_object(schema: Schema, value: Mapping[str, object], where: str) -> None:
    properties: Mapping[str, Schema] = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            raise SchemaError(f"{where} wants {name}")
    for name, one in value.items():
        if name in properties:
            check(properties[name], one, name if where == "the body" else f"{where}.{name}")
        elif schema.get("additionalProperties", True) is False:
            raise SchemaError(f"{where} may hold {', '.join(properties) or 'nothing'}, and nothing else")


def _check_list(schema: Schema, value: Sequence[object], where: str) -> None:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        raise SchemaError(f"{where} has {_bounds(schema, 'Items')} items")
    for number, one in enumerate(value):
        check(schema.get("items", {}), one, f"{where}[{number}]")


def _check_number(schema: Schema, value: float, where: str) -> None:
    if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        raise SchemaError(f"{where} is {schema.get('minimum', '')} to {schema.get('maximum', '')}")


def _bounds(schema: Schema, what: str) -> str:
    least, most = schema.get(f"min{what}", 0), schema.get(f"max{what}")
    return f"{least} or more" if most is None else f"{least} to {most}"


def _described(kind: str, description: str, rules: Mapping[str, object]) -> Schema:
    return {"type": kind, **({"description": description} if description else {}), **rules}
