"""Commands of the craft, declared once: id, name, class, authority, arguments. Ids are never used again.

What the link itself is told stands in ``commands_link.py``, what the perception is told in ``commands_perception.py``;
``COMMANDS`` joins all.
"""

from __future__ import annotations

from comms.dictionary.commands_link import LINK_COMMANDS
from comms.dictionary.commands_perception import PERCEPTION_COMMANDS
from comms.dictionary.types import Argument, Authority, Command, Kind
from fdir.gating import CommandClass
from fdir.guard_contacts import LARGEST_EVASION_M_S
from fdir.modes import Emission

__all__ = ["AXES", "BURN_LEVELS", "COMMANDS", "COMMANDS_BY_ID", "MOST_SEGMENTS", "SEGMENT_FIELDS"]

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
_LATER_COMMANDS = (
    Command(52, "evade", CommandClass.EVADE, Authority.CONTROLLER,
            "Evasion override: add a change of velocity now, whatever is flown, then coast.", (
                Argument("delta_v_m_s", Kind.VECTOR3, "m/s",
                         f"change, inertial axes; together above 0 and at most {LARGEST_EVASION_M_S:g} m/s",
                         -LARGEST_EVASION_M_S, LARGEST_EVASION_M_S),
            )),
)
"""Ids go on from those of the link."""
COMMANDS: dict[str, Command] = {
    command.name: command for command in (*_COMMANDS, *LINK_COMMANDS, *_LATER_COMMANDS, *PERCEPTION_COMMANDS)
}
"""Every command by name."""
COMMANDS_BY_ID: dict[int, Command] = {command.id: command for command in COMMANDS.values()}
