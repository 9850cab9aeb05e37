"""Parameters, declared once: what an operator may set in flight, within which range, and from when it counts.

A parameter is something that the software reads and a mission may want otherwise. None of them moves a limit of the
body or switches a monitor off: where one touches safety, it can only be made stricter than its default, or its range
keeps the function. Ids are never used again.

``ParameterSets`` are what is stored: the active set, the one before it, and what is staged. A set holds only what was
set by somebody; everything else has its default, so that a new default reaches a craft with the next version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum, unique
from hashlib import sha256
from typing import NamedTuple

import msgspec

from comms.dictionary import Authority

__all__ = [
    "FORMAT",
    "PARAMETERS",
    "SCHEMA",
    "Decoded",
    "Effect",
    "Parameter",
    "ParameterKind",
    "ParameterRefused",
    "ParameterSets",
    "ParameterUnauthorised",
    "Resolved",
    "Schema",
    "Value",
    "decode",
    "encode",
]

Value = bool | int | float | str
FORMAT = 1
"""Layout of what is stored."""
LONGEST_TEXT = 64
"""Characters of a value as text."""
TO_DEFAULT = "default"
"""Text that takes a parameter back to its default."""
MOST_NUMBER = 0xFFFF_FFFF
"""Activations that are counted; then it begins anew."""
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,15}", re.ASCII)


@unique
class ParameterKind(StrEnum):
    """What values a parameter takes."""

    NUMBER = "number"
    INTEGER = "integer"
    CHOICE = "choice"
    FLAG = "flag"


@unique
class Effect(StrEnum):
    """From when a new value counts."""

    AT_ONCE = "at once"
    NEXT_COMMAND = "next command"
    NEXT_BOOT = "next start"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. Numbers and integers have ``low`` and ``high``, both allowed; a choice has ``choices``."""

    id: int
    name: str
    kind: ParameterKind
    unit: str
    default: Value
    authority: Authority
    effect: Effect
    text: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """What values are allowed, in words."""
        if self.kind is ParameterKind.FLAG:
            return "true, false"
        if self.kind is ParameterKind.CHOICE:
            return ", ".join(self.choices)
        return f"{_plain(self.low)}..{_plain(self.high)}" + ("" if self.unit in ("-", "1") else f" {self.unit}")

    def objection(self, value: Value) -> str | None:
        """Why a value is none for this parameter; ``None`` if it is one."""
        kind = self.kind
        if kind is ParameterKind.FLAG:
            good = isinstance(value, bool)
        elif kind is ParameterKind.CHOICE:
            good = isinstance(value, str) and value in self.choices
        elif isinstance(value, bool | str) or (kind is ParameterKind.INTEGER and isinstance(value, float)):
            good = False
        else:
            # Written so that a value which is no number at all does not pass.
            good = self.low is not None and self.high is not None and self.low <= value <= self.high
        return None if good else f"{self.name} is {_shown(value)}; allowed: {self.allowed}"


class ParameterRefused(ValueError):
    """What was asked for cannot be: names the parameter, what is wrong with it, and what is allowed."""


class ParameterUnauthorised(ParameterRefused):
    """The parameter takes a higher authority."""


class Resolved(NamedTuple):
    """Values by name of every parameter of a schema, and what had to be replaced by its default, in words."""

    values: dict[str, Value]
    problems: tuple[str, ...]


class Schema:
    """A table of parameters.

    Raises:
        ValueError: a table that contradicts itself: an id or name twice, a default out of range, a range that is none.
    """

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        self.parameters = tuple(parameters)
        self.by_name = {parameter.name: parameter for parameter in self.parameters}
        self.by_id = {parameter.id: parameter for parameter in self.parameters}
        if not len(self.by_name) == len(self.by_id) == len(self.parameters):
            raise ValueError("an id or a name stands twice")
        for parameter in self.parameters:
            if not 1 <= parameter.id <= 0xFFFF:
                raise ValueError(f"{parameter.name}: id is {parameter.id}; 1..65535 is allowed")
            problem = parameter.objection(parameter.default)
            if problem is not None:
                raise ValueError(f"default: {problem}")
        self.defaults = {parameter.name: parameter.default for parameter in self.parameters}
        self.digest = self._digest()

    def _digest(self) -> bytes:
        """Eight bytes that change when a value which is allowed here might not be there."""
        rows = [[p.id, p.kind, p.low, p.high, p.choices] for p in sorted(self.parameters, key=lambda p: p.id)]
        return sha256(json.dumps(rows, separators=(",", ":"), allow_nan=False).encode()).digest()[:8]

    def find(self, name: str) -> Parameter:
        """The parameter of that name. Raises ParameterRefused, with the known ones."""
        parameter = self.by_name.get(name)
        if parameter is None:
            raise ParameterRefused(f"no parameter {_shown(name)}; parameters: {', '.join(self.by_name)}")
        return parameter

    def read(self, name: str, text: str) -> Value | None:
        """A value from text, strictly; ``None`` for the word ``default``. Raises ParameterRefused."""
        parameter = self.find(name)
        if text == TO_DEFAULT:
            return None
        if len(text) > LONGEST_TEXT:
            raise ParameterRefused(f"{name}: {len(text)} characters; up to {LONGEST_TEXT} are allowed")
        value: Value = text
        if parameter.kind is ParameterKind.FLAG and text in ("true", "false"):
            value = text == "true"
        elif parameter.kind is ParameterKind.INTEGER and _INTEGER.fullmatch(text):
            value = int(text)
        elif parameter.kind is ParameterKind.NUMBER and _NUMBER.fullmatch(text):
            value = float(text)
        problem = parameter.objection(value)
        if problem is not None:
            raise ParameterRefused(problem)
        return value

    def resolve(self, given: Mapping[int, Value]) -> Resolved:
        """Every parameter's value. One that is not allowed (any more) has its default, alone, and is named."""
        values = dict(self.defaults)
        problems: list[str] = []
        for identity, value in given.items():
            parameter = self.by_id.get(identity)
            if parameter is None:
                continue
            problem = parameter.objection(value)
            if problem is None:
                values[parameter.name] = float(value) if parameter.kind is ParameterKind.NUMBER else value
            else:
                problems.append(f"{problem}; its default {_plain(parameter.default)} is used")
        return Resolved(values, tuple(problems))


@dataclass(frozen=True, slots=True)
class ParameterSets:
    """What is stored. A set maps ids to values; ids that a schema does not know stay in it.

    ``staged`` is what differs from the active set; ``None`` there takes a parameter back to its default. ``number``
    counts activations and rollbacks. ``previous`` is the set that was active before, ``None`` if there was none.
    """

    number: int = 0
    active: Mapping[int, Value] = field(default_factory=dict)
    previous: Mapping[int, Value] | None = None
    staged: Mapping[int, Value | None] = field(default_factory=dict)

    def stage(self, schema: Schema, name: str, text: str, authority: Authority) -> ParameterSets:
        """With one more value staged. Raises ParameterRefused for an unknown name, a wrong value, too low a role."""
        parameter = schema.find(name)
        _check_authority(schema, {parameter.id}, authority)
        return replace(self, staged={**self.staged, parameter.id: schema.read(name, text)})

    def activate(self, schema: Schema, authority: Authority) -> ParameterSets:
        """With everything staged made active, whole.

        What is staged is looked at again: the software may be another than the one that staged it, and who activates
        must be one who may set each of them.

        Raises:
            ParameterRefused: nothing is staged, a value is out of range, too low a role; nothing has changed then.
        """
        if not self.staged:
            raise ParameterRefused("nothing is staged; stage a value first")
        _check_authority(schema, self.staged, authority)
        given = {identity: value for identity, value in self.staged.items() if value is not None}
        problems = tuple(
            problem for identity, value in given.items()
            if identity in schema.by_id and (problem := schema.by_id[identity].objection(value)) is not None
        )
        if problems:
            raise ParameterRefused("; ".join(problems))
        kept = {identity: value for identity, value in self.active.items() if identity not in self.staged}
        return ParameterSets(_next(self.number), {**kept, **given}, self.active)

    def rollback(self, schema: Schema, authority: Authority) -> ParameterSets:
        """With the set before made active again; a second time takes that back.

        Raises:
            ParameterRefused: there is none, or the role may not set a value that would change.
        """
        if self.previous is None:
            raise ParameterRefused("there is no set to go back to: none was activated before this one")
        _check_authority(schema, _differing(self.active, self.previous), authority)
        return replace(self, number=_next(self.number), active=self.previous, previous=self.active)


def _check_authority(schema: Schema, identities: Iterable[int], authority: Authority) -> None:
    """Raises ParameterUnauthorised for the first parameter that takes a higher role."""
    for identity in identities:
        parameter = schema.by_id.get(identity)
        if parameter is not None and not authority.covers(parameter.authority):
            raise ParameterUnauthorised(
                f"{parameter.name} takes the authority {parameter.authority} or higher, not {authority}"
            )


def _differing(one: Mapping[int, Value], other: Mapping[int, Value]) -> list[int]:
    """Ids whose value is not the same in both sets, ascending."""
    return sorted(i for i in {*one, *other} if i not in one or i not in other or one[i] != other[i])


def _next(number: int) -> int:
    return 0 if number >= MOST_NUMBER else number + 1


class Decoded(NamedTuple):
    """Sets as they were stored, and the digest of the schema that stored them."""

    sets: ParameterSets
    digest: bytes


class _Wire(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    format: int
    digest: bytes
    number: int
    active: dict[int, Value]
    previous: dict[int, Value] | None
    staged: dict[int, Value | None]


def encode(sets: ParameterSets, schema: Schema) -> bytes:
    """Bytes to store: MessagePack, ids ascending, so that equal sets are equal bytes."""
    previous = None if sets.previous is None else dict(sorted(sets.previous.items()))
    return msgspec.msgpack.encode(_Wire(
        FORMAT, schema.digest, sets.number, dict(sorted(sets.active.items())), previous,
        dict(sorted(sets.staged.items())),
    ))


def decode(payload: bytes) -> Decoded:
    """Sets from stored bytes, of whatever schema. Raises ParameterRefused for what is none of ours."""
    try:
        wire = msgspec.msgpack.decode(payload, type=_Wire)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ParameterRefused(f"the stored parameters are not readable: {error}") from None
    if wire.format != FORMAT:
        raise ParameterRefused(f"the parameters were stored in format {wire.format}; this software reads {FORMAT}")
    if not 0 <= wire.number <= MOST_NUMBER:
        raise ParameterRefused(f"the stored parameters say set {wire.number}; 0..{MOST_NUMBER} is allowed")
    return Decoded(ParameterSets(wire.number, wire.active, wire.previous, wire.staged), wire.digest)


def _plain(value: Value | None) -> str:
    """A value as an operator writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _shown(value: Value) -> str:
    """A value that somebody gave, bounded."""
    return _plain(value) if not isinstance(value, str) else repr(value[:LONGEST_TEXT])


_K, _A, _E = ParameterKind, Authority, Effect
PARAMETERS = (
    Parameter(1, "speed_share", _K.NUMBER, "1", 1.0, _A.CONTROLLER, _E.NEXT_COMMAND,
              "share of the body's speed limit that manoeuvres use", 0.05, 1.0),
    Parameter(2, "slew_rate_share", _K.NUMBER, "1", 1.0, _A.CONTROLLER, _E.NEXT_COMMAND,
              "share of the body's slew rate that turns use", 0.1, 1.0),
    Parameter(3, "hold_deadband_deg", _K.NUMBER, "deg", 0.5, _A.CONTROLLER, _E.NEXT_COMMAND,
              "half width of the attitude dead-band of a hold", 0.1, 5.0),
    Parameter(4, "hold_deadband_m", _K.NUMBER, "m", 0.12, _A.CONTROLLER, _E.NEXT_COMMAND,
              "half width of the position dead-band of a hold", 0.03, 2.0),
    Parameter(5, "idle_deadband_deg", _K.NUMBER, "deg", 2.0, _A.CONTROLLER, _E.NEXT_COMMAND,
              "half width of the attitude dead-band in Idle", 0.5, 10.0),
    Parameter(6, "command_loss_s", _K.NUMBER, "s", 600.0, _A.SAFETY, _E.AT_ONCE,
              "time without a valid uplink after which the link counts as lost", 60.0, 86_400.0),
    Parameter(7, "safe_leave_soc", _K.NUMBER, "1", 0.15, _A.SAFETY, _E.AT_ONCE,
              "charge of the battery above which SAFE may be left; never less than the default", 0.15, 0.6),
    Parameter(8, "safe_leave_rate_deg_s", _K.NUMBER, "deg/s", 5.0, _A.SAFETY, _E.AT_ONCE,
              "body rate below which SAFE may be left; never more than the default", 0.5, 5.0),
    Parameter(9, "safe_detumble_deg_s", _K.NUMBER, "deg/s", 5.0, _A.SAFETY, _E.AT_ONCE,
              "body rate above which SAFE nulls the rates before anything else", 3.0, 5.0),
    Parameter(10, "safe_point_deg_s", _K.NUMBER, "deg/s", 1.0, _A.SAFETY, _E.AT_ONCE,
              "body rate below which SAFE turns to the Sun", 0.2, 1.5),
    Parameter(11, "sensor_profile", _K.CHOICE, "-", "mode", _A.CONTROLLER, _E.AT_ONCE,
              "rates of sensors and computing while energy is no question; mode: what the motion mode asks for",
              choices=("mode", "fast", "balanced", "eco")),
    Parameter(12, "telemetry_every", _K.INTEGER, "-", 1, _A.CONTROLLER, _E.AT_ONCE,
              "one snapshot of telemetry is recorded in so many medium ticks", 1, 20),
    Parameter(13, "boot_loop_starts", _K.INTEGER, "-", 3, _A.SAFETY, _E.NEXT_BOOT,
              "starts in a row without a healthy time after which the craft boots to SAFE", 2, 10),
    Parameter(14, "boot_healthy_s", _K.NUMBER, "s", 60.0, _A.SAFETY, _E.NEXT_BOOT,
              "time out of Boot after which a start counts as healthy", 10.0, 600.0),
    Parameter(15, "self_test_s", _K.NUMBER, "s", 8.0, _A.ENGINEER, _E.NEXT_BOOT,
              "time that the boot gives every device to answer", 5.0, 60.0),
    Parameter(16, "arm_at_boot", _K.FLAG, "-", True, _A.SAFETY, _E.NEXT_BOOT,
              "arm the valves after the self-test; otherwise they wait for the command arm"),
)
SCHEMA = Schema(PARAMETERS)
"""The parameters of this software."""
