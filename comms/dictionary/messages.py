"""The messages of a link as plain data: what each holds, and the schema id with which it begins on the wire.

Commands' stages and events are those of ``comms.flight_port``; frames of telemetry are those of ``frames``. Times on
the wire are whole milliseconds of the craft's own clock since its start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from comms.dictionary.types import Authority
from comms.flight_port import CommandStage, EventNote, UplinkRequest

__all__ = [
    "LONGEST_ID", "LONGEST_WORDS", "MESSAGES", "MOST_ROWS", "NS_PER_MS", "PRIORITIES", "FileListing", "FileRow",
    "Hello", "Message", "MessageSchema", "Notice", "ParameterListing", "ParametersAsk", "Ping", "Pong", "TimeAsk",
    "TimeTold", "WireCommand", "request_of",
]

PRIORITIES = ("normal", "urgent", "emergency")
LONGEST_ID = 64
"""Characters of a command's id, a sender, a name."""
LONGEST_WORDS = 200
"""Characters of a text for people; what is longer is cut, with three dots."""
MOST_ROWS = 64
"""Rows of one listing."""
NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class WireCommand:
    """A command on its way up. ``number`` rises with every command of a sender; times are the craft's, in ms."""

    number: int
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    not_before_ms: int | None = None
    not_after_ms: int | None = None
    start: int | None = None
    priority: str = "normal"
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class TimeAsk:
    """Which time is it on the craft? ``number`` comes back."""

    number: int


@dataclass(frozen=True, slots=True)
class TimeTold:
    """Time of the craft and number of its start, ``None`` if it has none."""

    number: int
    now_ms: int
    start: int | None


@dataclass(frozen=True, slots=True)
class Ping:
    """Answer with this number."""

    number: int


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer, and when it was given."""

    number: int
    now_ms: int


@dataclass(frozen=True, slots=True)
class ParametersAsk:
    """List parameters from this id on."""

    first: int = 0


@dataclass(frozen=True, slots=True)
class ParameterListing:
    """Values of parameters by id, ascending. ``set_number``: activations so far; ``digest``: of the schema;
    ``total``: parameters in all."""

    set_number: int
    digest: bytes
    total: int
    values: tuple[tuple[int, bool | int | float | str], ...]


@dataclass(frozen=True, slots=True)
class FileRow:
    """One file of the store."""

    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class FileListing:
    """Files of the store from place ``first`` on, by name; ``total`` of them in all."""

    first: int
    total: int
    files: tuple[FileRow, ...]


@dataclass(frozen=True, slots=True)
class Hello:
    """What an end is: first 8 bytes of its dictionary's hash, number of its start, version of its software."""

    dictionary: bytes
    start: int | None
    version: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A message of an authenticated peer was not taken: its number if it had one, the reason, words."""

    number: int | None
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ChannelTold:
    """A channel was created, or closed: what the other end must know of it. ``kind`` and ``qos`` as in the plan."""

    id: int
    name: str
    kind: str
    qos: int
    end_to_end: bool
    is_open: bool


@dataclass(frozen=True, slots=True)
class MessageSchema:
    """One kind of message: schema id, name, what its fields are, in order."""

    id: int
    name: str
    fields: tuple[tuple[str, str], ...]


def _schema(identity: int, name: str, *fields: tuple[str, str]) -> MessageSchema:
    return MessageSchema(identity, name, fields)


_COUNT, _MS, _OPTIONAL = "0..2^32-1", "ms, 0..2^53", "or null"
_TEXT, _WORDS = f"text, at most {LONGEST_ID}", f"text, at most {LONGEST_WORDS}"
_MESSAGES = (
    _schema(1, "command", ("number", _COUNT), ("command", "id"), ("digest", "16 bits, of the places used"),
            ("arguments", "list"), ("not_before", f"{_MS}, {_OPTIONAL}"), ("not_after", f"{_MS}, {_OPTIONAL}"),
            ("start", f"{_COUNT}, {_OPTIONAL}"), ("priority", "0 normal, 1 urgent, 2 emergency"),
            ("confirmed", "true or false")),
    _schema(2, "command_stage", ("t", _MS), ("number", _COUNT), ("command_id", _TEXT), ("sender", _TEXT),
            ("command", "id, or text"), ("stage", "id, or text"), ("codes", "list of event ids, or texts"),
            ("detail", _WORDS)),
    _schema(3, "event", ("t", _MS), ("code", "event id, or text"), ("severity", "0 info, 1 warning, 2 critical"),
            ("text", _WORDS)),
    _schema(4, "time_ask", ("number", _COUNT)),
    _schema(5, "time_told", ("number", _COUNT), ("now", _MS), ("start", f"{_COUNT}, {_OPTIONAL}")),
    _schema(6, "ping", ("number", _COUNT)),
    _schema(7, "pong", ("number", _COUNT), ("now", _MS)),
    _schema(8, "parameters_ask", ("first", "id")),
    _schema(9, "parameter_listing", ("set_number", _COUNT), ("digest", "8 bytes"), ("total", _COUNT),
            ("values", f"at most {MOST_ROWS} of [id, value]")),
    _schema(10, "file_listing", ("first", _COUNT), ("total", _COUNT),
            ("files", f"at most {MOST_ROWS} of [name, bytes]")),
    _schema(11, "hello", ("dictionary", "8 bytes"), ("start", f"{_COUNT}, {_OPTIONAL}"), ("version", _TEXT)),
    _schema(12, "notice", ("number", f"{_COUNT}, {_OPTIONAL}"), ("reason", _TEXT), ("detail", _WORDS)),
    _schema(13, "part", ("layout", "id"), ("t", _MS), ("first", "place of the first value"), ("values", "one or more")),
    _schema(14, "slice", ("layout", "id"), ("t", _MS), ("place", "of the value"), ("slice", "0..254"),
            ("slices", "in all, 1..255"), ("entries", "some of a table's")),
    _schema(15, "channel_told", ("channel", "id"), ("name", _TEXT), ("kind", _TEXT), ("qos", "0..3"),
            ("end_to_end", "true or false"), ("open", "true or false")),
)
MESSAGES: dict[int, MessageSchema] = {schema.id: schema for schema in _MESSAGES}
"""Every kind of message by schema id; ids from 256 on are layouts of telemetry: t, then the values."""


def request_of(command: WireCommand, sender: str, authority: Authority) -> UplinkRequest:
    """What the flight loop is asked, from a command that came over an authenticated channel of this sender."""
    before, after = command.not_before_ms, command.not_after_ms
    return UplinkRequest(
        f"{sender}:{command.number}", command.name, command.arguments, sender, authority, command.number,
        None if before is None else before * NS_PER_MS, None if after is None else after * NS_PER_MS,
        command.start, command.priority, command.confirmed,
    )


Message = (
    WireCommand | CommandStage | EventNote | TimeAsk | TimeTold | Ping | Pong | ParametersAsk | ParameterListing
    | FileListing | Hello | Notice | ChannelTold
)
"""Every message that is no frame of telemetry."""
