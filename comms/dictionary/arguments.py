"""Arguments of a command by position: as few as were given, guarded by a digest of what their places mean.

A command's places are guarded one prefix at a time: the digest that goes with three arguments covers the first three
as declared (name, kind, unit, keys of records). A craft whose command has a further optional argument at the end still
takes it from an older ground station; one whose places mean anything else refuses it by name and flies nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from comms.dictionary.commands import COMMANDS
from comms.dictionary.strict_cbor import MOST_DETAIL, Plain, Reason, Refusal
from comms.dictionary.types import Argument, Command, CommandRefused, Kind
from comms.dictionary.validate import validate

__all__ = ["PREFIX_DIGESTS", "arguments_of", "prefix_digests", "row_of"]


def _meaning(argument: Argument) -> list[Any]:
    return [argument.name, argument.kind, argument.unit, [_meaning(field) for field in argument.fields]]


def prefix_digests(command: Command) -> tuple[int, ...]:
    """16 bits for the first 0, 1, ... of a command's arguments."""
    rows = [_meaning(argument) for argument in command.arguments]
    texts = [json.dumps([command.id, command.name, rows[:count]]) for count in range(len(rows) + 1)]
    return tuple(int.from_bytes(sha256(text.encode()).digest()[:2]) for text in texts)


PREFIX_DIGESTS: dict[str, tuple[int, ...]] = {name: prefix_digests(command) for name, command in COMMANDS.items()}


def row_of(name: str, given: Mapping[str, Any]) -> list[Plain]:
    """Arguments by position, up to the last one given; what is left out before it is null.

    Raises:
        CommandRefused: the dictionary does not allow the command so.
    """
    command, _ = validate(name, given)
    return _positions(command.arguments, given)


def _positions(arguments: Sequence[Argument], given: Mapping[str, Any]) -> list[Plain]:
    row = [_sent(argument, given.get(argument.name)) for argument in arguments]
    while row and row[-1] is None:
        row.pop()
    return row


def _sent(argument: Argument, value: Any) -> Plain:
    if argument.kind is Kind.RECORDS and value is not None:
        return [_positions(argument.fields, record) for record in value]
    if argument.kind in (Kind.CHOICE, Kind.TEXT) and value is not None:
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def arguments_of(command: Command, digest: int, row: list[Plain]) -> dict[str, Any] | Refusal:
    """Arguments by name, each within what the dictionary allows; or why not."""
    digests = PREFIX_DIGESTS[command.name]
    if len(row) >= len(digests) or digest != digests[len(row)]:
        return Refusal(Reason.SCHEMA_DIFFERS, command.name)
    try:
        return validate(command.name, _named(command.arguments, row))[1]
    except CommandRefused as error:
        return Refusal(Reason.ARGUMENT, str(error)[:MOST_DETAIL])


def _named(arguments: Sequence[Argument], row: Sequence[Plain]) -> dict[str, Any]:
    """Values by name. A record with more values than it has keys is left a list, which no validation takes."""
    named: dict[str, Any] = {}
    for argument, value in zip(arguments, row, strict=False):
        if value is None:
            continue
        if argument.kind is Kind.RECORDS and isinstance(value, list):
            value = [
                _named(argument.fields, record)
                if isinstance(record, list) and len(record) <= len(argument.fields) else record
                for record in value
            ]
        named[argument.name] = value
    return named
