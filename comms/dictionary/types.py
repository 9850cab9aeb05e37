"""What the dictionary's tables are made of: authorities, kinds, and the rows for commands, arguments and channels."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique

from fdir.gating import CommandClass

__all__ = ["LONGEST_TEXT", "Argument", "Authority", "Channel", "Command", "CommandRefused", "Form", "Kind"]

LONGEST_TEXT = 64
"""Bytes of a text argument in the fixed-size view, where the argument does not say its own bound."""


@unique
class Authority(StrEnum):
    """Least role that may give a command."""

    VIEWER = "viewer"
    CONTROLLER = "controller"
    ENGINEER = "engineer"
    SAFETY = "safety"

    def covers(self, least: Authority) -> bool:
        """Whether this role may give what needs that one; each role may all that those before it may."""
        roles = tuple(Authority)
        return roles.index(self) >= roles.index(least)


@unique
class Kind(StrEnum):
    """Type of an argument or channel."""

    NUMBER = "number"
    INTEGER = "whole number"
    VECTOR3 = "vector of 3"
    QUATERNION = "quaternion w x y z"
    CHOICE = "choice"
    FLAG = "flag"
    TEXT = "text"
    TABLE = "table by name"
    LIST = "list"
    WRENCH = "force and torque, 6 numbers"
    DIRECTION = "axis name or vector of 3"
    RECORDS = "list of records"


@unique
class Form(StrEnum):
    """How numbers of a channel go over a link. In tables and lists, whole numbers are exact in every form."""

    FLOAT32 = "float32"
    """24 bits: 6e-8 of the value, 0.3 mm at 5 km, finer than what any sensor here resolves."""
    FLOAT64 = "float64"
    """For what grows for months while its last digits matter."""
    COUNT = "uint32"
    """A whole number that is never negative."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a command.

    ``low`` and ``high`` bound a number, each component of a vector, how many records there are, or the characters of a
    text. ``fields`` are the keys of each record.
    """

    name: str
    kind: Kind
    unit: str
    text: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    required: bool = True
    fields: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """One command of the dictionary. ``one_of`` names sets of arguments of which exactly one set must be complete, and
    nothing of the others be given but what they share."""

    id: int
    name: str
    command_class: CommandClass
    authority: Authority
    text: str
    arguments: tuple[Argument, ...] = ()
    one_of: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Channel:
    """One telemetry channel of the 20 Hz snapshot; ``form`` is that of its numbers on a link."""

    id: int
    name: str
    kind: Kind
    unit: str
    text: str
    form: Form = Form.FLOAT32


class CommandRefused(ValueError):
    """A command was not understood: which argument, what was wrong, what is allowed."""
