"""JSON Schema (2020-12) of a command as an instance, so that tools check what they are about to send.

What a schema cannot say is left to the craft: a quaternion of length one, a direction that has a length.
"""

from __future__ import annotations

from typing import Any

from comms.dictionary.commands import AXES, COMMANDS
from comms.dictionary.frames import MOST_MS
from comms.dictionary.messages import PRIORITIES
from comms.dictionary.types import Argument, Command, Kind

__all__ = ["command_schema"]

_COUNT = {"type": "integer", "minimum": 0, "maximum": 0xFFFF_FFFF}
_TIME = {"type": "integer", "minimum": 0, "maximum": MOST_MS}
_LENGTHS = {Kind.VECTOR3: 3, Kind.QUATERNION: 4, Kind.WRENCH: 6, Kind.DIRECTION: 3}


def command_schema(identity: str = "qiki:command") -> dict[str, Any]:
    """Schema of one command: name and arguments, and what goes with them on a link."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": identity,
        "title": "command",
        "type": "object",
        "properties": {
            "name": {"enum": list(COMMANDS)}, "arguments": {"type": "object"}, "number": _COUNT, "start": _COUNT,
            "not_before_ms": _TIME, "not_after_ms": _TIME, "priority": {"enum": list(PRIORITIES)},
            "confirmed": {"type": "boolean"},
        },
        "required": ["name"],
        "additionalProperties": False,
        "allOf": [
            {"if": {"properties": {"name": {"const": name}}, "required": ["name"]},
             "then": {"properties": {"arguments": {"$ref": f"#/$defs/{name}"}},
                      **({"required": ["arguments"]} if _needs(command) else {})}}
            for name, command in COMMANDS.items()
        ],
        "$defs": {name: _arguments(command) for name, command in COMMANDS.items()},
    }


def _needs(command: Command) -> bool:
    return bool(command.one_of) or any(argument.required for argument in command.arguments)


def _arguments(command: Command) -> dict[str, Any]:
    schema = {"description": command.text, **_object(command.arguments)}
    if command.one_of:
        schema["oneOf"] = [_set(command, names) for names in command.one_of]
    return schema


def _set(command: Command, names: tuple[str, ...]) -> dict[str, Any]:
    """One complete set of arguments, with nothing that only the others have."""
    others = {name for row in command.one_of for name in row} - set(names)
    keys = {field.name for a in command.arguments if a.kind is Kind.RECORDS and a.name in names for field in a.fields}
    return {"required": list(names),
            "not": {"anyOf": [{"required": [name]} for name in sorted(others | keys)]}}


def _object(arguments: tuple[Argument, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {argument.name: _argument(argument) for argument in arguments},
        "required": [argument.name for argument in arguments if argument.required],
        "additionalProperties": False,
    }


def _argument(argument: Argument) -> dict[str, Any]:
    unit = "" if argument.unit in ("-", "1") else f" ({argument.unit})"
    return {"description": argument.text + unit, **_type(argument)}


def _type(argument: Argument) -> dict[str, Any]:
    kind, low, high = argument.kind, argument.low, argument.high
    if kind is Kind.CHOICE:
        return {"enum": [str(choice) for choice in argument.choices]}
    if kind is Kind.FLAG:
        return {"type": "boolean"}
    if kind is Kind.TEXT:
        lengths = {"minLength": low, "maxLength": high}
        return {"type": "string", **{key: int(value) for key, value in lengths.items() if value is not None}}
    bounds = {key: value for key, value in (("minimum", low), ("maximum", high)) if value is not None}
    if kind is Kind.RECORDS:
        return {"type": "array", "minItems": int(low or 0), "maxItems": int(high or 0),
                "items": _object(argument.fields)}
    if kind in _LENGTHS:
        count = _LENGTHS[kind]
        numbers = {"type": "array", "minItems": count, "maxItems": count, "items": {"type": "number", **bounds}}
        return {"anyOf": [{"enum": list(AXES)}, numbers]} if kind is Kind.DIRECTION else numbers
    return {"type": "integer" if kind is Kind.INTEGER else "number", **bounds}
