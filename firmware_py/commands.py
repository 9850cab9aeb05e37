"""Commands: validated by the dictionary, gated by fdir, executed once; every stage is an event with its reasons.

The life of a command here: requested, then rejected or allowed, then done by the flight software (effect). An
acknowledgement is never an effect: ``allowed`` says only that the craft will try.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any

from comms.dictionary import COMMANDS, CommandRefused, validate
from fdir.codes import Code
from firmware_py.gnc.thrust_profile import ProfileError, profile_of

__all__ = ["PROFILES", "CommandRecord", "CommandState", "Order", "parse", "understand"]

PROFILES = frozenset(name for name, command in COMMANDS.items() if any(a.name == "segments" for a in command.arguments))
"""Commands whose arguments are a thrust profile."""


@unique
class CommandState(StrEnum):
    """Stages of a command's life that this version knows."""

    REJECTED = "rejected"
    ALLOWED = "allowed"
    EFFECT_CONFIRMED = "effect_confirmed"
    EFFECT_TIMEOUT = "effect_timeout"


@dataclass(frozen=True, slots=True)
class Order:
    """A command that the dictionary understood."""

    number: int
    name: str
    arguments: dict[str, Any]
    source: str


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """One stage of one command, for the recorder."""

    t_ns: int
    number: int
    name: str
    source: str
    state: CommandState
    codes: tuple[Code, ...]
    detail: str
    arguments: Mapping[str, Any]


def understand(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a command in plain types, what must hold between them included.

    Raises CommandRefused, which says what is allowed.
    """
    _, values = validate(name, arguments)
    if name in PROFILES:
        try:
            profile_of(values)
        except ProfileError as error:
            raise CommandRefused(f"{name}: {error}") from None
    return values


def parse(number: int, name: str, arguments: Mapping[str, Any], source: str, t_ns: int) -> Order | CommandRecord:
    """An order, or the record of its rejection with what is allowed."""
    try:
        values = understand(name, arguments)
    except CommandRefused as error:
        codes = (Code.CMD_VALIDATION_FAILED,)
        return CommandRecord(t_ns, number, name, source, CommandState.REJECTED, codes, str(error), dict(arguments))
    return Order(number, name, values, source)
