"""Bytes to messages and back: a message begins with its schema id, fields follow by position, all of it strict.

``message_of`` takes whatever an authenticated record held and answers with a typed message or a named refusal, never
with an exception. ``encode_message`` makes the bytes; only a command that the dictionary does not allow raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from comms.dictionary.arguments import PREFIX_DIGESTS, arguments_of, row_of
from comms.dictionary.commands import COMMANDS, COMMANDS_BY_ID
from comms.dictionary.events import EVENT_IDS, EVENT_NAMES, SEVERITY_IDS, STAGE_IDS
from comms.dictionary.frames import MOST_MS, PART, SLICE, Frame, decode_frame, encode_frame, encode_parts, frame_of
from comms.dictionary.layouts import FIRST_LAYOUT_ID
from comms.dictionary.messages import (
    LONGEST_ID,
    LONGEST_WORDS,
    MESSAGES,
    MOST_ROWS,
    NS_PER_MS,
    PRIORITIES,
    ChannelTold,
    FileListing,
    FileRow,
    Hello,
    Message,
    Notice,
    ParameterListing,
    ParametersAsk,
    Ping,
    Pong,
    TimeAsk,
    TimeTold,
    WireCommand,
)
from comms.dictionary.strict_cbor import MESSAGE, Plain, Reason, Refusal, encode, objection, read
from comms.dictionary.types import CommandRefused
from comms.flight_port import CommandStage, EventNote

__all__ = [
    "decode_command", "decode_event", "decode_frame", "decode_stage", "encode_command", "encode_event", "encode_frame",
    "encode_message", "encode_parts", "encode_stage", "message_of",
]

MOST_COUNT = 0xFFFF_FFFF
_SEVERITIES = {number: word for word, number in SEVERITY_IDS.items()}
_STAGES = {number: word for word, number in STAGE_IDS.items()}
_M = TypeVar("_M")


class _WrongError(Exception):
    """A field is not what its place holds."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


# -- out


def encode_message(message: Message) -> bytes:
    """Bytes of any message that is no frame.

    Raises:
        CommandRefused: a command that the dictionary does not allow, or whose own numbers are out of range.
    """
    if isinstance(message, WireCommand):
        return encode_command(message)
    if isinstance(message, CommandStage):
        return encode_stage(message)
    if isinstance(message, EventNote):
        return encode_event(message)
    return encode(_listed(message))


def _listed(message: Any) -> list[Plain]:
    if isinstance(message, ParameterListing):
        rows = [[identity, value] for identity, value in message.values]
        return [9, message.set_number, message.digest, message.total, rows]
    if isinstance(message, FileListing):
        return [10, message.first, message.total, [[_cut(row.name), row.size_bytes] for row in message.files]]
    if isinstance(message, Hello):
        return [11, message.dictionary, message.start, _cut(message.version)]
    if isinstance(message, Notice):
        return [12, message.number, _cut(message.reason), _cut(message.detail, LONGEST_WORDS)]
    if isinstance(message, ChannelTold):
        name, kind = _cut(message.name), _cut(message.kind)
        return [15, message.id, name, kind, message.qos, message.end_to_end, message.is_open]
    if isinstance(message, TimeTold):
        return [5, message.number, message.now_ms, message.start]
    if isinstance(message, Pong):
        return [7, message.number, message.now_ms]
    if isinstance(message, ParametersAsk):
        return [8, message.first]
    return [4 if isinstance(message, TimeAsk) else 6, message.number]


def encode_command(command: WireCommand) -> bytes:
    """Bytes of a command.

    Raises:
        CommandRefused: the dictionary does not allow it, or a number, time or priority is none.
    """
    row = row_of(command.name, command.arguments)
    declared = COMMANDS[command.name]
    item = [
        1, command.number, declared.id, PREFIX_DIGESTS[command.name][len(row)], row, command.not_before_ms,
        command.not_after_ms, command.start, _place(PRIORITIES, command.priority), command.confirmed,
    ]
    data = encode(item)
    back = message_of(data)
    if isinstance(back, Refusal):
        raise CommandRefused(f"{command.name}: {back.reason}: {back.detail}")
    return data


def encode_stage(stage: CommandStage) -> bytes:
    """Bytes of a stage in a command's life."""
    declared = COMMANDS.get(stage.name)
    return encode([
        2, stage.t_ns // NS_PER_MS, stage.number, _cut(stage.command_id), _cut(stage.sender),
        _cut(stage.name) if declared is None else declared.id, STAGE_IDS.get(stage.stage, _cut(stage.stage)),
        [EVENT_IDS.get(code, _cut(code)) for code in stage.codes[:MOST_ROWS]], _cut(stage.detail, LONGEST_WORDS),
    ])


def encode_event(note: EventNote) -> bytes:
    """Bytes of an event; a code without an id goes out as text."""
    return encode([
        3, note.t_ns // NS_PER_MS, EVENT_IDS.get(note.code, _cut(note.code)),
        SEVERITY_IDS.get(note.severity, SEVERITY_IDS["critical"]), _cut(note.text, LONGEST_WORDS),
    ])


def _cut(text: str, most: int = LONGEST_ID) -> str:
    plain = str(text) if text.isascii() else str(text).encode("utf-8", "replace").decode()
    return plain if len(plain) <= most else plain[: most - 3] + "..."


def _place(words: tuple[str, ...], word: str) -> int:
    if word not in words:
        raise CommandRefused(f"priority is {word!r}; allowed: {', '.join(words)}")
    return words.index(word)


# -- in


def message_of(data: bytes) -> Message | Frame | Refusal:
    """The message that bytes are, or why they are none."""
    item = read(data, MESSAGE)
    if isinstance(item, Refusal):
        return item
    if type(item) is not list or not item or type(item[0]) is not int:
        return Refusal(Reason.NOT_A_MESSAGE)
    identity = item[0]
    if identity >= FIRST_LAYOUT_ID or identity in (PART, SLICE):
        return frame_of(item)
    reader = _READERS.get(identity)
    if reader is None:
        return Refusal(Reason.UNKNOWN_SCHEMA, f"schema {identity}")
    schema = MESSAGES[identity]
    if len(item) != len(schema.fields) + 1:
        return Refusal(Reason.WRONG_SHAPE, f"{schema.name}: {len(item) - 1} fields of {len(schema.fields)}")
    problem = objection(item, MESSAGE.items)
    if problem is not None:
        return problem
    try:
        return reader(item)
    except _WrongError as error:
        return Refusal(error.reason, f"{schema.name}: {error.detail}")


def decode_command(data: bytes) -> WireCommand | Refusal:
    """A command, its arguments held against the dictionary; or why not."""
    return _only(WireCommand, data)


def decode_stage(data: bytes) -> CommandStage | Refusal:
    """A stage of a command, times in ns; or why not."""
    return _only(CommandStage, data)


def decode_event(data: bytes) -> EventNote | Refusal:
    """An event; or why not."""
    return _only(EventNote, data)


def _only(kind: type[_M], data: bytes) -> _M | Refusal:
    message = message_of(data)
    if isinstance(message, kind | Refusal):
        return message
    return Refusal(Reason.UNKNOWN_SCHEMA, f"{type(message).__name__} is no {kind.__name__}")


def _command(item: list[Plain]) -> WireCommand | Refusal:
    _, number, identity, digest, row, before, after, start, priority, confirmed = item
    declared = COMMANDS_BY_ID.get(_count(identity, "command"))
    if declared is None:
        return Refusal(Reason.UNKNOWN_COMMAND, f"command {identity}")
    times = _maybe(before, "not_before", MOST_MS), _maybe(after, "not_after", MOST_MS)
    if times[0] is not None and times[1] is not None and times[0] > times[1]:
        raise _WrongError(Reason.OUT_OF_RANGE, "not_before is after not_after")
    arguments = arguments_of(declared, _count(digest, "digest"), _list(row, "arguments", 64))
    if isinstance(arguments, Refusal):
        return arguments
    return WireCommand(
        _count(number, "number"), declared.name, arguments, *times, _maybe(start, "start"),
        PRIORITIES[_count(priority, "priority", len(PRIORITIES) - 1)], _flag(confirmed, "confirmed"),
    )


def _stage(item: list[Plain]) -> CommandStage:
    _, t_ms, number, command_id, sender, command, stage, codes, detail = item
    names = {identity: declared.name for identity, declared in COMMANDS_BY_ID.items()}
    return CommandStage(
        _count(t_ms, "t", MOST_MS) * NS_PER_MS, _count(number, "number"), _text(command_id, "command_id"),
        _text(sender, "sender"), _word(names, command, "command"), _word(_STAGES, stage, "stage"),
        tuple(_word(EVENT_NAMES, code, "codes") for code in _list(codes, "codes", MOST_ROWS)),
        _text(detail, "detail", LONGEST_WORDS),
    )


def _event(item: list[Plain]) -> EventNote:
    _, t_ms, code, severity, text = item
    return EventNote(
        _count(t_ms, "t", MOST_MS) * NS_PER_MS, _word(EVENT_NAMES, code, "code"),
        _SEVERITIES[_count(severity, "severity", max(_SEVERITIES))], _text(text, "text", LONGEST_WORDS),
    )


def _parameters(item: list[Plain]) -> ParameterListing:
    _, number, digest, total, rows = item
    values = []
    for row in _list(rows, "values", MOST_ROWS):
        if type(row) is not list or len(row) != 2 or not isinstance(row[1], bool | int | float | str):
            raise _WrongError(Reason.WRONG_SHAPE, "values")
        value = _text(row[1], "values") if isinstance(row[1], str) else row[1]
        values.append((_count(row[0], "values"), value))
    return ParameterListing(_count(number, "set_number"), _eight(digest), _count(total, "total"), tuple(values))


def _files(item: list[Plain]) -> FileListing:
    _, first, total, rows = item
    files = []
    for row in _list(rows, "files", MOST_ROWS):
        if type(row) is not list or len(row) != 2:
            raise _WrongError(Reason.WRONG_SHAPE, "files")
        files.append(FileRow(_text(row[0], "files"), _count(row[1], "files", MOST_MS)))
    return FileListing(_count(first, "first"), _count(total, "total"), tuple(files))


_READERS: dict[int, Callable[[list[Plain]], Message | Refusal]] = {
    1: _command,
    2: _stage,
    3: _event,
    4: lambda item: TimeAsk(_count(item[1], "number")),
    5: lambda item: TimeTold(_count(item[1], "number"), _count(item[2], "now", MOST_MS), _maybe(item[3], "start")),
    6: lambda item: Ping(_count(item[1], "number")),
    7: lambda item: Pong(_count(item[1], "number"), _count(item[2], "now", MOST_MS)),
    8: lambda item: ParametersAsk(_count(item[1], "first")),
    9: _parameters,
    10: _files,
    11: lambda item: Hello(_eight(item[1]), _maybe(item[2], "start"), _text(item[3], "version")),
    12: lambda item: Notice(
        _maybe(item[1], "number"), _text(item[2], "reason"), _text(item[3], "detail", LONGEST_WORDS)
    ),
    15: lambda item: ChannelTold(
        _count(item[1], "channel", 255), _text(item[2], "name"), _text(item[3], "kind"), _count(item[4], "qos", 3),
        _flag(item[5], "end_to_end"), _flag(item[6], "open"),
    ),
}


# -- one field


def _count(value: Plain, name: str, most: int = MOST_COUNT) -> int:
    if type(value) is not int:
        raise _WrongError(Reason.WRONG_SHAPE, f"{name} is no whole number")
    if not 0 <= value <= most:
        raise _WrongError(Reason.OUT_OF_RANGE, f"{name} is {value}; 0..{most} is allowed")
    return value


def _maybe(value: Plain, name: str, most: int = MOST_COUNT) -> int | None:
    return None if value is None else _count(value, name, most)


def _text(value: Plain, name: str, most: int = LONGEST_ID) -> str:
    if type(value) is not str:
        raise _WrongError(Reason.WRONG_SHAPE, f"{name} is no text")
    if len(value) > most:
        raise _WrongError(Reason.OUT_OF_RANGE, f"{name} has {len(value)} characters; {most} are allowed")
    return value


def _flag(value: Plain, name: str) -> bool:
    if type(value) is not bool:
        raise _WrongError(Reason.WRONG_SHAPE, f"{name} is neither true nor false")
    return value


def _list(value: Plain, name: str, most: int) -> list[Plain]:
    if type(value) is not list:
        raise _WrongError(Reason.WRONG_SHAPE, f"{name} is no list")
    if len(value) > most:
        raise _WrongError(Reason.OUT_OF_RANGE, f"{name} has {len(value)} rows; {most} are allowed")
    return value


def _eight(value: Plain) -> bytes:
    if type(value) is not bytes or len(value) != 8:
        raise _WrongError(Reason.WRONG_SHAPE, "no 8 bytes")
    return value


def _word(words: dict[int, str], value: Plain, name: str) -> str:
    """A word by its number, or as text; a number that nobody here knows is said as such."""
    if type(value) is str:
        return _text(value, name)
    number = _count(value, name)
    return words.get(number, f"number {number}")
