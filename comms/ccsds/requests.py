"""What telecommands ask for: the services of the CCSDS view read into plain requests, or refused with a code.

Bodies of service 8 are those of the dictionary's fixed-size view. Others, all big endian:

- TC[11,4]: one byte count; for each a release time (CUC as in telemetry, 7 bytes) and a whole telecommand of service 8;
- TC[17,1]: none;
- TC[20,1]: one byte count; for each a parameter id, 2 bytes;
- TC[20,3]: one byte count; for each a parameter id, 2 bytes, and its value as text, 64 bytes, filled up with zeros.
  Values are staged, as by ``param_set``; ``param_activate`` makes them count.
"""

from __future__ import annotations

from dataclasses import dataclass

from comms.ccsds.craft_time import TIME_BYTES, craft_ns
from comms.ccsds.packets import PacketRefusal, Packets, Telecommand
from comms.dictionary.fixed import FixedCommand, decode_arguments
from comms.dictionary.strict_cbor import Refusal
from comms.dictionary.types import LONGEST_TEXT
from comms.parameters import SCHEMA

__all__ = ["MOST_PARTS", "Function", "ReadRefusal", "Request", "Schedule", "SetParameters", "ShowParameters", "Test",
           "read_request"]

MOST_PARTS = 32
"""Telecommands or parameters in one telecommand."""
_ROW_BYTES = 2 + LONGEST_TEXT


@dataclass(frozen=True, slots=True)
class Function:
    """Service 8: a command of the dictionary."""

    command: FixedCommand


@dataclass(frozen=True, slots=True)
class Schedule:
    """Service 11: commands to be released at a time of the craft, ns, each under the name of its own telecommand."""

    entries: tuple[tuple[int, Telecommand, FixedCommand], ...]


@dataclass(frozen=True, slots=True)
class Test:
    """Service 17: does the craft answer?"""


@dataclass(frozen=True, slots=True)
class ShowParameters:
    """Service 20: values of parameters by id."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SetParameters:
    """Service 20: values to be staged, by name, as text."""

    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ReadRefusal:
    """A telecommand asks for nothing that can be done. ``code`` is one of the reason codes."""

    code: str
    detail: str


Request = Function | Schedule | Test | ShowParameters | SetParameters
_WRONG = "CMD_VALIDATION_FAILED"


def read_request(command: Telecommand, packets: Packets) -> Request | ReadRefusal:
    """What a telecommand asks for, or why that can't be done."""
    kind = (command.service, command.subservice)
    if kind == (8, 1):
        return _function(command.data)
    if kind == (11, 4):
        return _schedule(command.data, packets)
    if kind == (17, 1):
        return ReadRefusal(_WRONG, f"{len(command.data)} bytes too many") if command.data else Test()
    if kind == (20, 1):
        return _show(command.data)
    if kind == (20, 3):
        return _set(command.data)
    return ReadRefusal("NOT_IMPLEMENTED", f"service {kind[0]}, {kind[1]}")


def _function(data: bytes) -> Function | ReadRefusal:
    fixed = decode_arguments(data)
    if isinstance(fixed, Refusal):
        return ReadRefusal(_WRONG, f"{fixed.reason}: {fixed.detail}")
    return Function(fixed)


def _schedule(data: bytes, packets: Packets) -> Schedule | ReadRefusal:
    count = data[0] if data else 0
    if not 0 < count <= MOST_PARTS:
        return ReadRefusal(_WRONG, f"{count} activities; 1..{MOST_PARTS} are allowed")
    entries = []
    at = 1
    for index in range(count):
        release_ns = craft_ns(data[at : at + TIME_BYTES])
        head = data[at + TIME_BYTES : at + TIME_BYTES + 6]
        if release_ns is None or len(head) < 6:
            return ReadRefusal(_WRONG, f"activity {index}: no time and telecommand")
        end = at + TIME_BYTES + int.from_bytes(head[4:], "big") + 7
        inner = packets.read(data[at + TIME_BYTES : end])
        if isinstance(inner, PacketRefusal):
            return ReadRefusal(_WRONG, f"activity {index}: {inner}")
        what = read_request(inner, packets) if inner.service == 8 else None
        if not isinstance(what, Function):
            detail = what.detail if isinstance(what, ReadRefusal) else "only functions can be scheduled"
            return ReadRefusal(_WRONG, f"activity {index}: {detail}")
        entries.append((release_ns, inner, what.command))
        at = end
    if at != len(data):
        return ReadRefusal(_WRONG, f"{len(data) - at} bytes behind the last activity")
    return Schedule(tuple(entries))


def _show(data: bytes) -> ShowParameters | ReadRefusal:
    count = data[0] if data else 0
    if not 0 < count <= MOST_PARTS or len(data) != 1 + 2 * count:
        return ReadRefusal(_WRONG, f"{count} parameters in {len(data)} bytes")
    ids = tuple(int.from_bytes(data[at : at + 2], "big") for at in range(1, len(data), 2))
    unknown = [identity for identity in ids if identity not in SCHEMA.by_id]
    return ReadRefusal(_WRONG, f"no parameter {unknown[0]}") if unknown else ShowParameters(ids)


def _set(data: bytes) -> SetParameters | ReadRefusal:
    count = data[0] if data else 0
    if not 0 < count <= MOST_PARTS or len(data) != 1 + _ROW_BYTES * count:
        return ReadRefusal(_WRONG, f"{count} parameters in {len(data)} bytes")
    values = []
    for at in range(1, len(data), _ROW_BYTES):
        parameter = SCHEMA.by_id.get(int.from_bytes(data[at : at + 2], "big"))
        if parameter is None:
            return ReadRefusal(_WRONG, f"no parameter {int.from_bytes(data[at : at + 2], 'big')}")
        try:
            text = data[at + 2 : at + _ROW_BYTES].rstrip(b"\0").decode()
        except UnicodeDecodeError:
            return ReadRefusal(_WRONG, f"{parameter.name}: no text")
        values.append((parameter.name, text))
    return SetParameters(tuple(values))
