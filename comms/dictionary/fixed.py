"""The CCSDS view: one packet body of fixed size for every group of telemetry and every command, from the same tables.

What stands here is what the XTCE export describes and what a gateway on the ground sends to existing ground systems
(ECSS-E-ST-70-41C services 1, 3, 5, 8, 17, 20); none of it goes over the craft's own links.

How what has no fixed size is shown: a table or list is one line of text (``name=value; ...``), cut between entries
with three dots. A command's list of records is left out; its single segment can be given by keys. Missing values have
their bit in ``presence`` cleared and are zero.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from comms.dictionary.commands import COMMANDS
from comms.dictionary.fixed_fields import FLAG_WORDS, Container, FieldCode, FixedField, Packer
from comms.dictionary.layouts import LAYOUTS, Layout
from comms.dictionary.strict_cbor import MOST_DETAIL, Reason, Refusal
from comms.dictionary.types import LONGEST_TEXT, Argument, Channel, Command, CommandRefused, Form, Kind
from comms.dictionary.validate import validate

__all__ = [
    "APID", "COMMAND_CONTAINERS", "REPORTS", "SEVERITY_SUBSERVICE", "TELEMETRY_CONTAINERS", "FixedCommand",
    "decode_arguments", "decode_report", "decode_telemetry", "encode_arguments", "encode_report", "encode_telemetry",
]

APID = 0x2A
"""Application process of the craft."""
SEVERITY_SUBSERVICE = {"info": 1, "warning": 2, "critical": 4}
"""Subservice of an event report by severity: informative, low, high."""
TEXT_BYTES = 32
LINE_BYTES = 160
_AXES = {3: "xyz", 4: "wxyz"}
_WRENCH = ("fx", "fy", "fz", "tx", "ty", "tz")
_C = FieldCode


@dataclass(frozen=True, slots=True)
class FixedCommand:
    """A command from a fixed-size body, its arguments held against the dictionary."""

    name: str
    arguments: Mapping[str, Any]
    confirmed: bool


# -- telemetry


def _numbers(name: str, code: FieldCode, count: int, unit: str, text: str) -> tuple[FixedField, ...]:
    ends = _WRENCH if count == 6 else tuple(_AXES[count])
    return tuple(FixedField(f"{name}_{end}", code, name, i, unit=unit, text=text) for i, end in enumerate(ends))


def _channel(channel: Channel) -> tuple[FixedField, ...]:
    name, unit, text = channel.name, channel.unit, channel.text
    code = {Form.FLOAT32: _C.F32, Form.FLOAT64: _C.F64, Form.COUNT: _C.U32}[channel.form]
    if channel.kind in (Kind.VECTOR3, Kind.QUATERNION):
        return _numbers(name, code, 3 if channel.kind is Kind.VECTOR3 else 4, unit, text)
    if channel.kind is Kind.NUMBER:
        return (FixedField(name, code, name, unit=unit, text=text),)
    if channel.kind is Kind.FLAG:
        return (FixedField(name, _C.U8, name, words=FLAG_WORDS, text=text),)
    length = TEXT_BYTES if channel.kind is Kind.TEXT else LINE_BYTES
    return (FixedField(name, _C.TEXT, name, bytes=length, unit=unit, text=text),)


def _group(layout: Layout) -> Container:
    fields = tuple(field for channel in layout.channels for field in _channel(channel))
    return Container(layout.name, 3, 25, (_STRUCTURE,), layout.names, fields, layout.text, layout.id)


_STRUCTURE = FixedField("structure_id", _C.U16, "", text="which group of telemetry")
TELEMETRY_CONTAINERS: dict[str, Container] = {name: _group(layout) for name, layout in LAYOUTS.items()}
"""Housekeeping reports, TM(3,25), one a group; the structure id is that of the layout."""
_TELEMETRY = {name: Packer(container) for name, container in TELEMETRY_CONTAINERS.items()}
_BY_STRUCTURE = {container.id: name for name, container in TELEMETRY_CONTAINERS.items()}


def encode_telemetry(name: str, values: Mapping[str, Any]) -> bytes:
    """Body of a housekeeping report. KeyError for a group that there is not."""
    return _TELEMETRY[name].pack([TELEMETRY_CONTAINERS[name].id], values)


def decode_telemetry(body: bytes) -> tuple[str, dict[str, Any]] | Refusal:
    """Group and values of a housekeeping report; tables and lists as their line of text."""
    name = _BY_STRUCTURE.get(int.from_bytes(body[:2]))
    if name is None or len(body) < 2:
        return Refusal(Reason.UNKNOWN_SCHEMA, "structure")
    row = _TELEMETRY[name].unpack(body)
    return row if isinstance(row, Refusal) else (name, row[1])


# -- commands


_FUNCTION = FixedField("function_id", _C.U16, "", text="which command")
_OPTIONS = FixedField("options", _C.U8, "", text="1: confirmed by the operator; other bits zero")


def _argument(argument: Argument) -> tuple[FixedField, ...]:
    name, unit, text = argument.name, argument.unit, argument.text
    counts = {Kind.VECTOR3: 3, Kind.DIRECTION: 3, Kind.QUATERNION: 4, Kind.WRENCH: 6}
    if argument.kind is Kind.RECORDS:
        return ()
    if argument.kind in counts:
        return _numbers(name, _C.F64, counts[argument.kind], unit, text)
    if argument.kind in (Kind.NUMBER, Kind.INTEGER):
        code = _C.F64 if argument.kind is Kind.NUMBER else _C.U32
        return (FixedField(name, code, name, unit=unit, text=text),)
    if argument.kind in (Kind.CHOICE, Kind.FLAG):
        words = FLAG_WORDS if argument.kind is Kind.FLAG else tuple(map(str, argument.choices))
        return (FixedField(name, _C.U8, name, words=words, unit=unit, text=text),)
    # A character may take four bytes, names here take one; what does not fit is refused, not cut.
    length = LONGEST_TEXT if argument.high is None else int(argument.high)
    return (FixedField(name, _C.TEXT, name, bytes=length, unit=unit, text=text),)


def _function(command: Command) -> Container:
    fields = tuple(field for argument in command.arguments for field in _argument(argument))
    sources = tuple(dict.fromkeys(field.source for field in fields))
    return Container(command.name, 8, 1, (_FUNCTION, _OPTIONS), sources, fields, command.text, command.id)


COMMAND_CONTAINERS: dict[str, Container] = {name: _function(command) for name, command in COMMANDS.items()}
"""Functions, TC(8,1), one a command."""
_COMMANDS = {name: Packer(container) for name, container in COMMAND_CONTAINERS.items()}
_BY_FUNCTION = {container.id: name for name, container in COMMAND_CONTAINERS.items()}


def encode_arguments(name: str, arguments: Mapping[str, Any], confirmed: bool = False) -> bytes:
    """Body of a function telecommand.

    Raises:
        CommandRefused: the dictionary does not allow it, or it has no fixed size (records, a text too long).
    """
    values = validate(name, arguments)[1]
    container = COMMAND_CONTAINERS[name]
    body = _COMMANDS[name].pack([container.id, int(confirmed)], values)
    back = _COMMANDS[name].unpack(body)
    kept = {} if isinstance(back, Refusal) else {key: value for key, value in back[1].items() if value is not None}
    if kept != values:
        odd = ", ".join(key for key in values if kept.get(key) != values[key])
        raise CommandRefused(f"{name}: {odd} does not fit the fixed-size view")
    return body


def decode_arguments(body: bytes) -> FixedCommand | Refusal:
    """The command of a function telecommand; or why it is none."""
    name = _BY_FUNCTION.get(int.from_bytes(body[:2]))
    if name is None or len(body) < 3:
        return Refusal(Reason.UNKNOWN_COMMAND, "function")
    row = _COMMANDS[name].unpack(body)
    if isinstance(row, Refusal):
        return row
    options = row[0][1]
    if options not in (0, 1):
        return Refusal(Reason.OUT_OF_RANGE, f"options {options}")
    given = {key: value for key, value in row[1].items() if value is not None}
    try:
        return FixedCommand(name, validate(name, given)[1], options == 1)
    except CommandRefused as error:
        return Refusal(Reason.ARGUMENT, str(error)[:MOST_DETAIL])


# -- reports


def _report(name: str, service: int, subservice: int, text: str, *fields: FixedField) -> Container:
    return Container(name, service, subservice, fields, (), (), text)


_REQUEST = (
    FixedField("request_packet_id", _C.U16, "", text="first two bytes of the telecommand"),
    FixedField("request_sequence", _C.U16, "", text="second two bytes of the telecommand"),
)
_FAILURE = FixedField("failure_code", _C.U16, "", text="id of the event that says why")
_EVENT = (
    FixedField("event_id", _C.U16, "", text="id of the event"),
    FixedField("event_text", _C.TEXT, "", bytes=96, text="what happened"),
)
REPORTS: dict[str, Container] = {row.name: row for row in (
    _report("acceptance_success", 1, 1, "a telecommand was accepted", *_REQUEST),
    _report("acceptance_failure", 1, 2, "a telecommand was refused", *_REQUEST, _FAILURE),
    _report("start_success", 1, 3, "a command is carried out", *_REQUEST),
    _report("start_failure", 1, 4, "a command could not be begun", *_REQUEST, _FAILURE),
    _report("completion_success", 1, 7, "the effect of a command is seen", *_REQUEST),
    _report("completion_failure", 1, 8, "the effect of a command was not seen", *_REQUEST, _FAILURE),
    *(_report(f"event_{word}", 5, number, f"an event, {word}", *_EVENT) for word, number in
      SEVERITY_SUBSERVICE.items()),
    _report("connection_test", 17, 2, "answer to a connection test"),
    _report("parameter_value", 20, 2, "one parameter's value",
            FixedField("parameter_count", _C.U8, "", text="always 1"),
            FixedField("parameter_id", _C.U16, "", text="id of the parameter"),
            FixedField("parameter_text", _C.TEXT, "", bytes=LONGEST_TEXT, text="its value, as an operator writes it")),
)}
"""Reports that are no telemetry groups, by name."""
_REPORTS = {name: Packer(container) for name, container in REPORTS.items()}
_BY_SERVICE = {(row.service, row.subservice): name for name, row in REPORTS.items()}


def encode_report(name: str, *items: int | str) -> bytes:
    """Body of a report, its fields in order. KeyError for a report that there is not, ValueError for wrong items."""
    try:
        return _REPORTS[name].pack(items, {})
    except struct.error as error:
        raise ValueError(f"{name}: {error}") from None


def decode_report(service: int, subservice: int, body: bytes) -> tuple[str, list[Any]] | Refusal:
    """Name and fields of a report; or why it is none."""
    name = _BY_SERVICE.get((service, subservice))
    if name is None:
        return Refusal(Reason.UNKNOWN_SCHEMA, f"service {service}, {subservice}")
    row = _REPORTS[name].unpack(body)
    return row if isinstance(row, Refusal) else (name, row[0])
