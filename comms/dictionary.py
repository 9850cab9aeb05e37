"""Commands and telemetry, declared once: id, name, arguments with unit and range, authority, text.

Validation, help, gating, documents and the recorder's schema come from these tables. Ids are never used again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from math import hypot, inf, isfinite
from typing import Any

from fdir.gating import CommandClass
from fdir.modes import Emission

__all__ = [
    "AXES", "BURN_LEVELS", "COMMANDS", "MOST_SEGMENTS", "SEGMENT_FIELDS", "TELEMETRY", "Argument", "Authority",
    "Channel", "Command", "CommandRefused", "Kind", "validate",
]


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


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a command.

    ``low`` and ``high`` bound a number, each component of a vector, or how many records there are. ``fields`` are the
    keys of each record.
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

AXES: dict[str, tuple[float, float, float]] = {
    "+x": (1.0, 0.0, 0.0), "-x": (-1.0, 0.0, 0.0), "+y": (0.0, 1.0, 0.0), "-y": (0.0, -1.0, 0.0),
    "+z": (0.0, 0.0, 1.0), "-z": (0.0, 0.0, -1.0),
}
"""Directions by name."""
BURN_LEVELS = ("ZTT", "FTG", "ADAPTIVE")
"""Levels on the wire: no torque at all; the same ceiling in every direction; any mix (CANON section 4)."""
MOST_SEGMENTS = 16
"""Segments of one thrust profile."""


def _segment_fields(levels: tuple[str, ...], needed: bool) -> tuple[Argument, ...]:
    """What one segment of a burn profile is made of; ``needed`` is False where a list may stand in its place."""
    k = Kind
    return (
        Argument("duration_s", k.NUMBER, "s", "how long, ramps included", 0.03, 60.0, required=needed),
        Argument("level_pct", k.NUMBER, "%", "share of the ceiling in that direction, as on-time", 0.0, 100.0,
                 required=needed),
        Argument("direction", k.DIRECTION, "-", "where the force on the body points", choices=tuple(AXES),
                 required=needed),
        Argument("frame", k.CHOICE, "-", "frame of the direction; body if not given", choices=("body", "inertial"),
                 required=False),
        Argument("ramp_in_s", k.NUMBER, "s", "time from nothing to the level, straight", 0.0, 60.0, required=False),
        Argument("ramp_out_s", k.NUMBER, "s", "time from the level to nothing", 0.0, 60.0, required=False),
        Argument("level", k.CHOICE, "-", f"whose ceiling; {levels[0]} if not given", choices=levels, required=False),
    )


def _burn_arguments(levels: tuple[str, ...]) -> tuple[Argument, ...]:
    records = _segment_fields(levels, needed=True)
    keys = ", ".join(field.name if field.required else f"({field.name})" for field in records)
    return (
        Argument("segments", Kind.RECORDS, "-", f"segments, flown one after the other; keys of each: {keys}", 1.0,
                 float(MOST_SEGMENTS), required=False, fields=records),
        *_segment_fields(levels, needed=False),
    )


SEGMENT_FIELDS: dict[str, Argument] = {field.name: field for field in _segment_fields(BURN_LEVELS, needed=True)}
"""Keys of one segment with their bounds."""
_ONE_OF = (("segments",), ("duration_s", "level_pct", "direction"))

_COMMANDS = (
    Command(1, "idle", CommandClass.SAFER, Authority.CONTROLLER,
            "End what is flown and drift with the wide dead-band."),
    Command(2, "detumble", CommandClass.HOLD, Authority.CONTROLLER, "Null the body rates."),
    Command(3, "hold", CommandClass.HOLD, Authority.CONTROLLER, "Hold attitude and position as they are now."),
    Command(4, "slew", CommandClass.HOLD, Authority.CONTROLLER,
            "Turn by an angle about an axis of the body, or to an attitude, then hold.", (
                Argument("axis", Kind.VECTOR3, "-", "axis in the body frame", -1.0, 1.0, required=False),
                Argument("angle_deg", Kind.NUMBER, "deg", "angle about the axis", -180.0, 180.0, required=False),
                Argument("attitude", Kind.QUATERNION, "-", "body to inertial", -1.0, 1.0, required=False),
            ), (("attitude",), ("axis", "angle_deg"))),
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
    Command(8, "safe", CommandClass.SAFER, Authority.CONTROLLER, "Go to SAFE."),
    Command(9, "safe_acknowledge", CommandClass.STATUS, Authority.SAFETY, "Acknowledge the latched reasons of SAFE."),
    Command(10, "safe_exit", CommandClass.MODE_CHANGE, Authority.SAFETY,
            "Leave SAFE for Idle if every exit condition holds."),
    Command(11, "emission", CommandClass.STATUS, Authority.CONTROLLER, "Set what the body may radiate.", (
        Argument("level", Kind.CHOICE, "-", "emission region", choices=tuple(Emission)),)),
    Command(12, "disarm", CommandClass.STATUS, Authority.CONTROLLER, "Shut the valves and drop arm and enable."),
    Command(13, "arm", CommandClass.MODE_CHANGE, Authority.SAFETY, "Raise arm and enable; valves take pulses again."),
    Command(14, "burn", CommandClass.ZTT_BURN, Authority.CONTROLLER,
            "Fly a thrust profile of segments without torque, attitude held; or one segment, by its keys.",
            _burn_arguments(("ZTT",)), _ONE_OF),
    Command(15, "boost_burn", CommandClass.FTG_BURN, Authority.CONTROLLER,
            "As burn, at any level; needs the charge for boost, and confirmation.", (
                *_burn_arguments(BURN_LEVELS),
                Argument("confirmed", Kind.FLAG, "-", "must be true: nothing is burned without", required=False),
            ), _ONE_OF),
    Command(16, "burn_stop", CommandClass.STATUS, Authority.CONTROLLER,
            "End a running thrust profile or override at the next tick, and coast with the attitude held."),
    Command(17, "override_arm", CommandClass.OVERRIDE, Authority.ENGINEER,
            "Let override_fire through for 60 s; SAFE, a brake and disarm end it."),
    Command(18, "override_fire", CommandClass.OVERRIDE, Authority.ENGINEER,
            "Make one wrench, open loop; the record says what of it the nozzles cannot make.", (
                Argument("wrench", Kind.WRENCH, "N, N m", "force, then torque about the centre of mass, body frame",
                         -10_000.0, 10_000.0),
                Argument("duration_s", Kind.NUMBER, "s", "how long", 0.03, 3.0),
            )),
    Command(19, "rendezvous", CommandClass.ZTT_BURN, Authority.CONTROLLER,
            "Go to a place beside the target that is tracked, and keep it; breaks off when the target is lost.", (
                Argument("offset_m", Kind.VECTOR3, "m", "from the target to the place, inertial axes", -5000.0, 5000.0),
                Argument("keep_out_m", Kind.NUMBER, "m", "radius about the target that is never entered", 0.0, 1000.0,
                         required=False),
                Argument("axis", Kind.DIRECTION, "-", "body axis to keep on the target; the attitude is kept if not "
                         "given", choices=tuple(AXES), required=False),
                _SPEED,
            )),
    Command(20, "recover", CommandClass.ZTT_BURN, Authority.CONTROLLER,
            "Reach a velocity with the nozzles that are left: null the rates, turn a push that way, push.", (
                Argument("velocity_m_s", Kind.VECTOR3, "m/s", "inertial axes; rest if not given", -5.0, 5.0,
                         required=False),
                Argument("propellant_kg", Kind.NUMBER, "kg", "most that may be used; all if not given", 0.01, 100_000.0,
                         required=False),
            )),
    Command(21, "load", CommandClass.SWITCH, Authority.CONTROLLER,
            "Want a load on or off; shedding and heat still decide whether it is.", (
                Argument("name", Kind.TEXT, "-", "load of the body that has a rail"),
                Argument("enabled", Kind.FLAG, "-", "wanted on"),
            )),
    Command(22, "load_clear", CommandClass.STATUS, Authority.ENGINEER,
            "Let a load that was opened for good, after a short, be tried again; or the dock, after reverse current.", (
                Argument("name", Kind.TEXT, "-", "load, or dock"),
            )),
    Command(23, "dock_power", CommandClass.EXTERNAL_POWER, Authority.CONTROLLER,
            "Take power from a dock, with soft start, or stop.", (
                Argument("enabled", Kind.FLAG, "-", "take it"),
                Argument("confirmed", Kind.FLAG, "-", "must be true: nothing is switched without", required=False),
            )),
    Command(24, "sensor_profile", CommandClass.STATUS, Authority.CONTROLLER,
            "Rates of sensors and computing while energy is no question.", (
                Argument("profile", Kind.CHOICE, "-", "profile", choices=("fast", "balanced", "eco")),
            )),
    Command(25, "monitor_enable", CommandClass.MODE_CHANGE, Authority.SAFETY,
            "Let a monitor of the fault table judge, or not; a fault that stood is cleared when it is switched off.", (
                Argument("name", Kind.TEXT, "-", "fault of the table, with its device or bus where it has one a unit"),
                Argument("enabled", Kind.FLAG, "-", "it judges"),
            )),
    Command(26, "monitor_reset_counters", CommandClass.STATUS, Authority.ENGINEER,
            "Set counters and high-water marks of all monitors to zero."),
    Command(27, "fault_clear", CommandClass.MODE_CHANGE, Authority.SAFETY,
            "Clear a latched fault whose condition no longer holds.", (
                Argument("name", Kind.TEXT, "-", "fault of the table, with its device or bus where it has one a unit"),
            )),
    Command(28, "param_set", CommandClass.STATUS, Authority.CONTROLLER,
            "Stage a value of a parameter; nothing changes until param_activate.", (
                Argument("name", Kind.TEXT, "-", "parameter"),
                Argument("value", Kind.TEXT, "-", "value, as text; its type and range are the parameter's"),
            )),
    Command(29, "param_activate", CommandClass.MODE_CHANGE, Authority.CONTROLLER,
            "Make the staged values those that are flown, all or none, and store them."),
    Command(30, "param_rollback", CommandClass.MODE_CHANGE, Authority.CONTROLLER,
            "Go back to the values before the last param_activate."),
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
    Channel(35, "nis_attitude", _K.NUMBER, "1", "star tracker: mean NIS per degree of freedom, 1 is right"),
    Channel(36, "nis_sun", _K.NUMBER, "1", "Sun sensors: mean NIS per degree of freedom, 1 is right"),
    Channel(37, "nis_magnetic", _K.NUMBER, "1", "magnetometer: mean NIS per degree of freedom, 1 is right"),
    Channel(38, "nis_gravity", _K.NUMBER, "1", "gravity on a bench: mean NIS per degree of freedom, 1 is right"),
    Channel(39, "nis_relative", _K.NUMBER, "1", "range and bearing: mean NIS per degree of freedom, 1 is right"),
    Channel(40, "estimate_consistent", _K.FLAG, "-", "no sensor says that the estimate is surer than it should be"),
    Channel(41, "inputs_refused", _K.TABLE, "1", "measurements that the estimator did not use since start, by reason"),
    Channel(42, "gyro_scale", _K.VECTOR3, "1", "estimated scale error of the gyro by axis"),
    Channel(43, "disturbance_n_m", _K.VECTOR3, "N m", "estimated disturbance torque, body axes"),
    Channel(44, "relative_position_m", _K.VECTOR3, "m", "target less craft, inertial; missing without a target"),
    Channel(45, "relative_velocity_m_s", _K.VECTOR3, "m/s", "its rate of change; missing without a target"),
    Channel(46, "sigma_relative_m", _K.NUMBER, "m", "one-sigma of the relative position, one axis"),
    Channel(47, "profile_progress", _K.LIST, "-", "thrust profile: segments begun, segments in all, share of its time"),
    Channel(48, "demands", _K.TABLE, "1", "windows since start by what the thrust mode made of their demand"),
    Channel(49, "demands_refused", _K.TABLE, "1", "windows since start whose demand was no number, by cause"),
    Channel(50, "flows_w", _K.TABLE, "W", "who pays what: sources, loads, stores, spilled, unserved; by name"),
    Channel(51, "loads", _K.TABLE, "-", "answer of the distribution unit for every load"),
    Channel(52, "shed", _K.LIST, "-", "loads shed now, in order"),
    Channel(53, "shed_reasons", _K.LIST, "-", "why, in order"),
    Channel(54, "power_faults", _K.LIST, "-", "faults of power and heat"),
    Channel(55, "peak_level", _K.TEXT, "-", "what the supercapacitor allows: boost, hold or stab; missing if unknown"),
    Channel(56, "duty_level", _K.TEXT, "-", "rates of sensors and computing"),
    Channel(57, "compute_share", _K.NUMBER, "1", "share of its speed that the flight computer may use"),
    Channel(58, "rcs_share", _K.NUMBER, "1", "share of the wanted force that the power lets through"),
    Channel(59, "soc_trust", _K.TABLE, "-", "how far the states of charge are trusted, by store"),
    Channel(60, "soc_sigma", _K.TABLE, "1", "one-sigma of the states of charge, by store"),
    Channel(61, "store_fade", _K.TABLE, "1", "capacity left of a new store's, by store; missing until learned"),
    Channel(62, "supercap_esr_ohm", _K.NUMBER, "ohm", "estimated series resistance of the stack"),
    Channel(63, "time_to_empty_s", _K.NUMBER, "s", "to an empty battery at these flows; missing while it charges"),
    Channel(64, "time_to_boost_s", _K.NUMBER, "s", "to T_boost at the present flows; missing if it is not coming"),
    Channel(65, "panel_voltage_v", _K.NUMBER, "V", "panel"),
    Channel(66, "panel_power_w", _K.NUMBER, "W", "panel"),
    Channel(67, "panel_setpoint_v", _K.NUMBER, "V", "voltage asked of the panel; missing: the charger tracks"),
    Channel(68, "dock_feed", _K.TEXT, "-", "state of the feed from a dock"),
    Channel(69, "dock_soft_start_pct", _K.NUMBER, "%", "how far the soft start is"),
    Channel(70, "heaters", _K.LIST, "-", "heaters that are wanted on"),
    Channel(71, "heat_states", _K.TABLE, "-", "thermal nodes that are not nominal"),
    Channel(72, "budget", _K.TABLE, "1", "energy tokens: held now, granted, queued, refused and overrun since start"),
    Channel(73, "energy_j", _K.TABLE, "J", "books since start: sources, loads, losses, stores, unexplained"),
    Channel(74, "computer_c", _K.NUMBER, "deg C", "flight computer"),
    Channel(75, "faults", _K.LIST, "-", "faults of the table that stand"),
    Channel(76, "fault_trips", _K.TABLE, "1", "how often each fault has tripped since its counters were reset"),
    Channel(77, "fault_worst", _K.TABLE, "-", "value furthest into each fault's direction, in its quantity's unit"),
    Channel(78, "safe_reasons", _K.LIST, "-", "why the craft is in SAFE, in the order in which the reasons came"),
    Channel(79, "safe_open", _K.LIST, "-", "exit conditions that do not hold; empty outside SAFE"),
    Channel(80, "imu", _K.TEXT, "-", "inertial unit that is flown"),
    Channel(81, "commands", _K.TABLE, "1", "since start: given, waiting for effect, dropped, displaced, repeated"),
    Channel(82, "guard_alerts", _K.TABLE, "1", "guard alerts since start, by severity"),
    Channel(83, "guard_rules", _K.TABLE, "1", "guard alerts since start, by rule; rules without one are left out"),
    Channel(84, "guard_active", _K.TABLE, "1", "pairs of rule and track that held when last judged, by severity"),
    Channel(85, "guard_tracks", _K.NUMBER, "1", "tracked and coasting tracks of the last frame"),
    Channel(86, "guard_quality", _K.NUMBER, "1", "their mean quality"),
    Channel(87, "guard_left_out", _K.TABLE, "1", "contacts undecided, late, clock steps, overflow, dropped, untimely"),
    Channel(88, "start", _K.NUMBER, "1", "number of this start, which requests from outside must name"),
)


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
        if not isinstance(value, str):
            raise CommandRefused(f"{where} must be text, got {value!r}")
        return value
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


def _number(where: str, argument: Argument, value: Any) -> float:
    # An integer too large for a float is as little a number here as infinity.
    if isinstance(value, int) and abs(value) > 10**300:
        value = inf
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise CommandRefused(f"{where} must be a finite number in {argument.unit}, got {value!r}")
    if (argument.low is not None and value < argument.low) or (argument.high is not None and value > argument.high):
        raise CommandRefused(f"{where} is {value:g} {argument.unit}; {argument.low:g}..{argument.high:g} is allowed")
    return float(value)
