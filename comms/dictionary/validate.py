"""A command from outside is checked to its last number, or refused in words that say what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from math import hypot, inf, isfinite
from typing import Any

from comms.dictionary.commands import AXES, COMMANDS
from comms.dictionary.types import Argument, Command, CommandRefused, Kind

__all__ = ["validate"]


def validate(name: str, given: Mapping[str, Any]) -> tuple[Command, dict[str, Any]]:
    """The command of that name and its arguments in plain types, or a CommandRefused that says what is allowed."""
    command = COMMANDS.get(name)
    if command is None:
        raise CommandRefused(f"no command {name!r}; commands: {', '.join(COMMANDS)}")
    if command.one_of:
        _check_sets(command, given)
    return command, _read(f"{name}:", "argument", command.arguments, given)


def _read(where: str, what: str, arguments: tuple[Argument, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    known = {argument.name: argument for argument in arguments}
    for key in given:
        if key not in known:
            raise CommandRefused(f"{where} no {what} {key!r}; {what}s: {', '.join(known) or 'none'}")
    values: dict[str, Any] = {}
    for argument in arguments:
        if argument.name in given:
            values[argument.name] = _convert(f"{where} {argument.name}", argument, given[argument.name])
        elif argument.required:
            raise CommandRefused(f"{where} {what} {argument.name} ({argument.kind}, {argument.unit}) is missing")
    return values


def _check_sets(command: Command, given: Mapping[str, Any]) -> None:
    """Exactly one complete set of arguments, and with a list of records no key of a record beside it."""
    complete = [names for names in command.one_of if all(name in given for name in names)]
    records = {a.name: {field.name for field in a.fields} for a in command.arguments if a.kind is Kind.RECORDS}
    beside = [key for name, keys in records.items() if name in given for key in given if key in keys]
    others = {name for names in command.one_of for name in names} - set(complete[0] if complete else ())
    if len(complete) != 1 or beside or others & set(given):
        ways = ", or ".join(" and ".join(names) for names in command.one_of)
        raise CommandRefused(f"{command.name}: give {ways}; got {', '.join(map(str, given)) or 'nothing'}")


def _convert(where: str, argument: Argument, value: Any) -> Any:
    kind = argument.kind
    if kind is Kind.CHOICE:
        if value not in argument.choices:
            raise CommandRefused(f"{where} is {value!r}; allowed: {', '.join(argument.choices)}")
        return str(value)
    if kind is Kind.NUMBER:
        return _number(where, argument, value)
    if kind is Kind.FLAG:
        if not isinstance(value, bool):
            raise CommandRefused(f"{where} must be true or false, got {value!r}")
        return value
    if kind is Kind.TEXT:
        return _text(where, argument, value)
    if kind is Kind.INTEGER:
        return _integer(where, argument, value)
    if kind is Kind.RECORDS:
        return _records(where, argument, value)
    if kind is Kind.DIRECTION:
        return _direction(where, argument, value)
    numbers = _numbers(where, argument, value, {Kind.QUATERNION: 4, Kind.WRENCH: 6}.get(kind, 3))
    if kind is Kind.QUATERNION and abs(sum(x * x for x in numbers) - 1.0) > 1e-3:
        raise CommandRefused(f"{where} must be a unit quaternion w, x, y, z")
    return numbers


def _records(where: str, argument: Argument, value: Any) -> tuple[dict[str, Any], ...]:
    low, high = int(argument.low or 0), int(argument.high or 0)
    if not isinstance(value, list | tuple) or not low <= len(value) <= high:
        got = f"{len(value)} of them" if isinstance(value, list | tuple) else repr(value)
        raise CommandRefused(f"{where} must be a list of {low} to {high}, got {got}")
    records = []
    for index, item in enumerate(value):
        if not isinstance(item, Mapping):
            keys = ", ".join(field.name for field in argument.fields)
            raise CommandRefused(f"{where}[{index}] must have the keys {keys}, got {item!r}")
        records.append(_read(f"{where}[{index}]:", "key", argument.fields, item))
    return tuple(records)


def _direction(where: str, argument: Argument, value: Any) -> tuple[float, ...]:
    """A unit vector, from the name of an axis or from three numbers of any length but zero."""
    if isinstance(value, str):
        if value not in AXES:
            raise CommandRefused(f"{where} is {value!r}; allowed: {', '.join(AXES)}, or a vector of 3")
        return AXES[value]
    numbers = _numbers(where, argument, value, 3)
    length = hypot(*numbers)
    if not 1e-6 < length < inf:
        raise CommandRefused(f"{where} is {value!r}; a vector with a length is allowed")
    return tuple(x / length for x in numbers)


def _numbers(where: str, argument: Argument, value: Any, length: int) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or len(value) != length:
        raise CommandRefused(f"{where} must be {length} numbers, got {value!r}")
    return tuple(_number(f"{where}[{index}]", argument, item) for index, item in enumerate(value))


def _text(where: str, argument: Argument, value: Any) -> str:
    if not isinstance(value, str):
        raise CommandRefused(f"{where} must be text, got {value!r}")
    if argument.high is not None and not (argument.low or 0) <= len(value) <= argument.high:
        raise CommandRefused(
            f"{where} has {len(value)} characters; {argument.low or 0:g}..{argument.high:g} are allowed"
        )
    return value


def _integer(where: str, argument: Argument, value: Any) -> int:
    number = _number(where, argument, value)
    if not number.is_integer():
        raise CommandRefused(f"{where} must be a whole number, got {value!r}")
    return int(number)


def _number(where: str, argument: Argument, value: Any) -> float:
    # An integer too large for a float is as little a number here as infinity.
    if isinstance(value, int) and abs(value) > 10**300:
        value = inf
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise CommandRefused(f"{where} must be a finite number in {argument.unit}, got {value!r}")
    if (argument.low is not None and value < argument.low) or (argument.high is not None and value > argument.high):
        unit = "" if argument.unit in ("-", "1") else f" {argument.unit}"
        raise CommandRefused(f"{where} is {value:g}{unit}; {argument.low:g}..{argument.high:g} is allowed")
    return float(value)
