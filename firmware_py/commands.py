"""Commands as they arrive: who asks, what for, until when; and what the dictionary makes of them.

A request is sealed, gated by fdir and carried out at most once (``firmware_py/command_desk.py``); every stage of its
life is a record. ``allowed`` says only that the craft will try.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any

from comms.dictionary import COMMANDS, Authority, CommandRefused, validate
from fdir.codes import Code
from fdir.lifecycle import Stage as CommandState
from firmware_py.gnc.thrust_profile import ProfileError, profile_of

__all__ = [
    "ONBOARD", "PROFILES", "CommandRecord", "CommandRequest", "CommandState", "Confirmation", "Order", "Priority",
    "Source", "onboard", "parse", "understand",
]

PROFILES = frozenset(name for name, command in COMMANDS.items() if any(a.name == "segments" for a in command.arguments))
"""Commands whose arguments are a thrust profile."""


@unique
class Source(StrEnum):
    """Kind of sender."""

    OPERATOR = "operator"
    QIKI = "QIKI"
    SAFE = "SAFE"
    MODULE = "module"
    SCRIPT = "script"
    EXTERNAL = "external"


ONBOARD = frozenset({Source.SAFE, Source.SCRIPT})
"""Senders inside this program: they have no sequence of their own, and nobody can repeat what they say."""


@unique
class Priority(StrEnum):
    """An emergency does not wait for the pause between two commands of its class."""

    NORMAL = "normal"
    URGENT = "urgent"
    EMERGENCY = "emergency"


@unique
class Confirmation(StrEnum):
    """What the operator has said of it."""

    NONE = "none"
    REQUIRED = "required"
    CONFIRMED = "confirmed"


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """One request, as whoever took it in vouches for it.

    ``authenticated``, ``authority`` and ``source`` are the word of the link that checked the sender, never the sender's
    own; no link may say ``SAFE`` or ``script``.
    ``sequence`` rises with every request of one sender; ``not_after_ns`` is the last moment (flight clock) at which it
    may be carried out. A command that has an argument ``confirmed`` is confirmed by that alone.
    """

    command_id: str
    name: str
    arguments: Mapping[str, Any]
    source: Source
    authority: Authority
    authenticated: bool
    sender: str = ""
    """Name of the sender; the source's if empty."""
    sequence: int | None = None
    priority: Priority = Priority.NORMAL
    not_after_ns: int | None = None
    confirmation: Confirmation = Confirmation.NONE
    start: int | None = None
    """Start that it is meant for (channel ``start``): flight clock and sequences begin anew with each."""

    @property
    def who(self) -> str:
        """The sender, for records."""
        return self.sender or self.source.value


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


def onboard(number: int, name: str, arguments: Mapping[str, Any], sender: str) -> CommandRequest:
    """A request of the program itself, for instance a step of its mission.

    It counts as authenticated, with every authority, and as confirmed: the mission file was checked as a whole before
    it was loaded, by whoever may start the program, and nothing reaches this place over a link.
    """
    return CommandRequest(
        f"onboard-{number}", name, arguments, Source.SCRIPT, Authority.SAFETY, True, sender,
        confirmation=Confirmation.CONFIRMED,
    )


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
