"""Commands and telemetry, declared once: id, name, arguments with unit and range, authority, text.

Validation, help, gating, documents and the recorder's schema come from these tables. Ids are never used again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from math import inf, isfinite
from typing import Any

from fdir.gating import CommandClass
from fdir.modes import Emission

__all__ = [
    "COMMANDS", "TELEMETRY", "Argument", "Authority", "Channel", "Command", "CommandRefused", "Kind", "validate",
]


@unique
class Authority(StrEnum):
    """Least role that may give a command."""

    VIEWER = "viewer"
    CONTROLLER = "controller"
    ENGINEER = "engineer"
    SAFETY = "safety"


@unique
class Kind(StrEnum):
    """Type of an argument or channel."""

    NUMBER = "number"
    VECTOR3 = "vector of 3"
    QUATERNION = "quaternion w x y z"
    CHOICE = "choice"
    FLAG = "flag"
    TEXT = "text"
    TABLE = "table by name"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a command. ``low`` and ``high`` bound a number, or each component of a vector."""

    name: str
    kind: Kind
    unit: str
    text: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    required: bool = True


@dataclass(frozen=True, slots=True)
class Command:
    """One command of the dictionary."""

    id: int
    name: str
    command_class: CommandClass
    authority: Authority
    text: str
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True)
class Channel:
    """One telemetry channel of the 20 Hz snapshot."""

    id: int
    name: str
    kind: Kind
    unit: str
    text: str


class CommandRefused(ValueError):
    """A command was not understood: which argument, what was wrong, what is allowed."""


_SPEED = Argument("speed_m_s", Kind.NUMBER, "m/s", "cruise speed; the body's speed limit if not given", 0.01, 100.0,
                  required=False)

_COMMANDS = (
    Command(1, "idle", CommandClass.MODE_CHANGE, Authority.CONTROLLER,
            "End what is flown and drift with the wide dead-band."),
    Command(2, "detumble", CommandClass.HOLD, Authority.CONTROLLER, "Null the body rates."),
    Command(3, "hold", CommandClass.HOLD, Authority.CONTROLLER, "Hold attitude and position as they are now."),
    Command(4, "slew", CommandClass.HOLD, Authority.CONTROLLER,
            "Turn by an angle about an axis of the body, or to an attitude, then hold.", (
                Argument("axis", Kind.VECTOR3, "-", "axis in the body frame", -1.0, 1.0, required=False),
                Argument("angle_deg", Kind.NUMBER, "deg", "angle about the axis", -180.0, 180.0, required=False),
                Argument("attitude", Kind.QUATERNION, "-", "body to inertial", -1.0, 1.0, required=False),
            )),
    Command(5, "sun_track", CommandClass.HOLD, Authority.CONTROLLER,
            "Turn the solar cells to the Sun, searching for it if it is not seen, and stay."),
    Command(6, "translate", CommandClass.ZTT_BURN, Authority.CONTROLLER,
            "Move by a vector: burn, coast, brake, then hold there.", (
                Argument("vector_m", Kind.VECTOR3, "m", "displacement", -5000.0, 5000.0),
                Argument("frame", Kind.CHOICE, "-", "frame of the vector", choices=("body", "inertial"),
                         required=False),
                _SPEED,
            )),
    Command(7, "brake", CommandClass.BRAKE, Authority.CONTROLLER,
            "Brake override: null the velocity now, whatever is flown."),
    Command(8, "safe", CommandClass.MODE_CHANGE, Authority.CONTROLLER, "Go to SAFE."),
    Command(9, "safe_acknowledge", CommandClass.STATUS, Authority.SAFETY, "Acknowledge the latched reasons of SAFE."),
    Command(10, "safe_exit", CommandClass.MODE_CHANGE, Authority.SAFETY,
            "Leave SAFE for Idle if every exit condition holds."),
    Command(11, "emission", CommandClass.STATUS, Authority.CONTROLLER, "Set what the body may radiate.", (
        Argument("level", Kind.CHOICE, "-", "emission region", choices=tuple(Emission)),)),
    Command(12, "disarm", CommandClass.STATUS, Authority.CONTROLLER, "Shut the valves and drop arm and enable."),
    Command(13, "arm", CommandClass.MODE_CHANGE, Authority.SAFETY, "Raise arm and enable; valves take pulses again."),
)
COMMANDS: dict[str, Command] = {command.name: command for command in _COMMANDS}

_K = Kind
TELEMETRY: tuple[Channel, ...] = (
    Channel(1, "t_s", _K.NUMBER, "s", "flight time"),
    Channel(2, "motion", _K.TEXT, "-", "motion mode"),
    Channel(3, "emission", _K.TEXT, "-", "emission mode"),
    Channel(4, "safe", _K.TEXT, "-", "state of SAFE"),
    Channel(5, "step", _K.TEXT, "-", "mission step being flown"),
    Channel(6, "phase", _K.TEXT, "-", "phase of the guidance law"),
    Channel(7, "quaternion", _K.QUATERNION, "-", "estimated attitude, body to inertial"),
    Channel(8, "rate_rad_s", _K.VECTOR3, "rad/s", "estimated body rate"),
    Channel(9, "position_m", _K.VECTOR3, "m", "estimated position, inertial, from where navigation began"),
    Channel(10, "velocity_m_s", _K.VECTOR3, "m/s", "estimated velocity, inertial"),
    Channel(11, "sigma_attitude_rad", _K.NUMBER, "rad", "one-sigma of the attitude"),
    Channel(12, "sigma_position_m", _K.NUMBER, "m", "one-sigma of the position"),
    Channel(13, "attitude_error_rad", _K.NUMBER, "rad", "angle between attitude and target, missing without a target"),
    Channel(14, "position_error_m", _K.NUMBER, "m", "distance to the target, missing without a target"),
    Channel(15, "target_quaternion", _K.QUATERNION, "-", "attitude asked for"),
    Channel(16, "target_position_m", _K.VECTOR3, "m", "position asked for"),
    Channel(17, "soc_battery", _K.NUMBER, "1", "state of charge of the battery"),
    Channel(18, "soc_supercap", _K.NUMBER, "1", "state of charge of the supercapacitor"),
    Channel(19, "bus_voltage_v", _K.NUMBER, "V", "main bus"),
    Channel(20, "bus_current_a", _K.NUMBER, "A", "main bus"),
    Channel(21, "battery_current_a", _K.NUMBER, "A", "positive out of the battery"),
    Channel(22, "temperature_c", _K.TABLE, "deg C", "measured thermal nodes; missing ones are null"),
    Channel(23, "sun_body", _K.VECTOR3, "-", "measured Sun vector, body frame, missing when not seen"),
    Channel(24, "propellant_kg", _K.NUMBER, "kg", "left, by bookkeeping of commanded impulse"),
    Channel(25, "on_ms", _K.LIST, "ms", "pulse of each nozzle in the current window, as commanded"),
    Channel(26, "masked_nozzles", _K.LIST, "-", "nozzles taken out of use"),
    Channel(27, "armed", _K.FLAG, "-", "valves take pulses"),
    Channel(28, "attitude_known", _K.FLAG, "-", "a reference has fixed the attitude"),
    Channel(29, "gyro_bias_rad_s", _K.VECTOR3, "rad/s", "estimated gyro bias"),
    Channel(30, "devices", _K.TABLE, "-", "state of every device that is not OK"),
    Channel(31, "bus_failures", _K.NUMBER, "1", "failed transfers since start"),
    Channel(32, "gate_vetoes", _K.NUMBER, "1", "pulses taken out by the final gate since start"),
    Channel(33, "failure_causes", _K.TABLE, "1", "failed transfers and refused answers since start, by cause"),
    Channel(34, "bus_recoveries", _K.TABLE, "1", "hung buses brought back since start, by what brought them back"),
)


def validate(name: str, given: Mapping[str, Any]) -> tuple[Command, dict[str, Any]]:
    """The command of that name and its arguments in plain types, or a CommandRefused that says what is allowed."""
    command = COMMANDS.get(name)
    if command is None:
        raise CommandRefused(f"no command {name!r}; commands: {', '.join(COMMANDS)}")
    known = {argument.name: argument for argument in command.arguments}
    for key in given:
        if key not in known:
            raise CommandRefused(f"{name}: no argument {key!r}; arguments: {', '.join(known) or 'none'}")
    values: dict[str, Any] = {}
    for argument in command.arguments:
        if argument.name in given:
            values[argument.name] = _convert(name, argument, given[argument.name])
        elif argument.required:
            raise CommandRefused(f"{name}: argument {argument.name} ({argument.kind}, {argument.unit}) is missing")
    return command, values


def _convert(command: str, argument: Argument, value: Any) -> Any:
    where = f"{command}: {argument.name}"
    if argument.kind is Kind.CHOICE:
        if value not in argument.choices:
            raise CommandRefused(f"{where} is {value!r}; allowed: {', '.join(argument.choices)}")
        return str(value)
    if argument.kind is Kind.NUMBER:
        return _number(where, argument, value)
    length = 4 if argument.kind is Kind.QUATERNION else 3
    if not isinstance(value, list | tuple) or len(value) != length:
        raise CommandRefused(f"{where} must be {length} numbers, got {value!r}")
    numbers = tuple(_number(f"{where}[{index}]", argument, item) for index, item in enumerate(value))
    if argument.kind is Kind.QUATERNION and abs(sum(x * x for x in numbers) - 1.0) > 1e-3:
        raise CommandRefused(f"{where} must be a unit quaternion w, x, y, z")
    return numbers


def _number(where: str, argument: Argument, value: Any) -> float:
    # An integer too large for a float is as little a number here as infinity.
    if isinstance(value, int) and abs(value) > 10**300:
        value = inf
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise CommandRefused(f"{where} must be a finite number in {argument.unit}, got {value!r}")
    if (argument.low is not None and value < argument.low) or (argument.high is not None and value > argument.high):
        raise CommandRefused(f"{where} is {value:g} {argument.unit}; {argument.low:g}..{argument.high:g} is allowed")
    return float(value)
