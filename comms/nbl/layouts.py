"""What an emergency packet says, as four fixed layouts; each byte costs 18.75 J and an eighth of a second.

A craft's name is in none of them: the key with which a packet is sealed says whose it is. The longest useful part is
116 bytes (117 while the record's counter takes one byte).
"""

from __future__ import annotations

from collections.abc import Mapping

from comms.nbl.fields import CODE_BITS, FieldKind, Layout, LayoutFault, LayoutField, Unpacked
from comms.nbl.packet import PayloadClass, air_time_ns, energy_j
from fdir.codes import Code
from fdir.lifecycle import Stage
from fdir.modes import Emission, Motion

__all__ = ["BEACON", "COMMAND_ACK", "DISTRESS", "LAYOUTS", "LONGEST_USEFUL_BYTES", "MINIMAL_STATE", "page", "unpack"]

LONGEST_USEFUL_BYTES = 116
SAFE_REASONS = (
    Code.SAFE_POWER_LOW, Code.SAFE_CAP_LOW, Code.SAFE_THERMAL_CRITICAL, Code.SAFE_SENSOR_CONFLICT,
    Code.SAFE_ORIENTATION_LOST, Code.SAFE_BAYONET_UNSAFE, Code.SAFE_PDU_FAULT, Code.SAFE_COMMS_LOSS,
    Code.SAFE_DAMAGE_CRITICAL, Code.SAFE_BLACKBOX_CRITICAL, Code.SENSORS_UNAVAILABLE, Code.SENSORS_STALE,
    Code.ACTUATOR_UNAVAILABLE, Code.PROVIDER_UNAVAILABLE, Code.SAFE_ORDERED,
)
"""Reasons with a bit of their own; any other sets the bit "other"."""
CAUSES = (
    "power", "heat", "attitude", "propulsion", "damage", "link", "docking", "collision", "computer", "ordered", "other",
)
TRUTH = ("no", "yes")
NODES = (
    "core", "pdu", "supercap", "battery", "dock_bridge", "hull", "rcs_c01", "rcs_c02", "rcs_c03", "rcs_c04",
    "sensor_head", "comms",
)
LOADS = ("processor", "radar", "transponder", "nbl", "lidar")
HEATERS = ("battery", "supercap", "core", "rcs_c01", "rcs_c02", "rcs_c03", "rcs_c04")
_K = FieldKind


def _number(name: str, bits: int, low: float, step: float, unit: str, text: str) -> LayoutField:
    return LayoutField(name, _K.NUMBER, bits, text, unit, low, step)


def _choice(name: str, bits: int, choices: tuple[str, ...], text: str) -> LayoutField:
    return LayoutField(name, _K.CHOICE, bits, text, choices=choices)


def _flags(name: str, choices: tuple[str, ...], text: str) -> LayoutField:
    return LayoutField(name, _K.FLAGS, len(choices) + 1, text, choices=choices)


def _axes(name: str, axes: str, bits: int, low: float, step: float, unit: str, text: str) -> tuple[LayoutField, ...]:
    return tuple(_number(f"{name}_{axis}", bits, low, step, unit, f"{text}, {axis}") for axis in axes)


_PACKET = (
    LayoutField("packet", _K.COUNT, 16, "packet id, for the answer that names it"),
    LayoutField("start", _K.COUNT, 16, "number of this start of the craft"),
    _number("t_s", 32, 0.0, 0.1, "s", "flight time of the values"),
)
_MODES = (
    _choice("motion", 4, tuple(Motion), "motion mode"),
    _choice("emission", 2, tuple(Emission), "emission mode"),
    _choice("emcon", 3, ("0", "1", "2", "3"), "level of emission control"),
)
_SAFE = _flags(
    "safe_reasons", (*(str(code) for code in SAFE_REASONS), "other"), "why the craft is in SAFE; none: it is not",
)
_CHARGES = (
    _number("soc_battery", 8, 0.0, 0.005, "1", "charge of the battery"),
    _number("soc_supercap", 8, 0.0, 0.005, "1", "charge of the supercapacitor"),
)
_PLACE = (
    *_axes("position", "xyz", 24, -838_860.0, 0.1, "m", "position, inertial, from where navigation began"),
    *_axes("velocity", "xyz", 16, -163.0, 0.005, "m/s", "velocity, inertial"),
    _number("sigma_position_m", 10, 0.0, 1.0, "m", "one-sigma of the position"),
)
_PROPELLANT = _number("propellant_kg", 12, 0.0, 0.05, "kg", "propellant left, by bookkeeping")
_UPLINK_AGE = _number("uplink_age_s", 12, 0.0, 4.0, "s", "time since the last valid uplink")
_TO_EMPTY = _number("time_to_empty_s", 12, 0.0, 60.0, "s", "to an empty battery; missing while it charges")
_FAULTS = _number("faults", 6, 0.0, 1.0, "1", "faults of the table that stand")

DISTRESS = Layout(1, "distress", "a call for help: what is wrong, where, and how long it will last", (
    *_PACKET,
    _choice("cause", 4, CAUSES, "what is wrong, in one word"),
    LayoutField("code", _K.CODE, CODE_BITS, "reason code that says it closer"),
    *_MODES, _SAFE, *_CHARGES,
    _TO_EMPTY,
    _number("core_c", 9, -120.0, 1.0, "deg C", "core"),
    _number("battery_c", 9, -120.0, 1.0, "deg C", "battery"),
    _number("rate_deg_s", 8, 0.0, 0.2, "deg/s", "body rate, its size"),
    _PROPELLANT, _FAULTS, *_PLACE,
))
MINIMAL_STATE = Layout(2, "minimal state", "the last state of the craft, as much as one packet takes", (
    *_PACKET, *_MODES, _SAFE,
    _choice("armed", 2, TRUTH, "valves take pulses"),
    _choice("attitude_known", 2, TRUTH, "a reference has fixed the attitude"),
    _choice("estimate_consistent", 2, TRUTH, "no sensor contradicts the estimate"),
    *_axes("quaternion", "wxyz", 13, -1.0, 0.00025, "1", "attitude, body to inertial"),
    *_axes("rate", "xyz", 14, -40.9, 0.005, "deg/s", "body rate"),
    _number("sigma_attitude_deg", 10, 0.0, 0.05, "deg", "one-sigma of the attitude"),
    *_PLACE,
    *_axes("relative", "xyz", 18, -13_107.0, 0.1, "m", "target less craft, inertial"),
    *_axes("gyro_bias", "xyz", 10, -0.51, 0.001, "deg/s", "estimated gyro bias"),
    *_CHARGES, _TO_EMPTY,
    _number("bus_voltage_v", 10, 0.0, 0.04, "V", "main bus"),
    _number("bus_current_a", 11, -10.0, 0.01, "A", "main bus"),
    _number("battery_current_a", 11, -10.0, 0.01, "A", "battery, positive out of it"),
    _number("panel_power_w", 10, 0.0, 0.2, "W", "panel"),
    _choice("peak_level", 2, ("boost", "hold", "stab"), "what the supercapacitor allows"),
    _flags("loads_on", LOADS, "loads that are let through"),
    _flags("heaters", HEATERS, "heaters that are wanted on"),
    *(_number(f"{node}_c", 9, -120.0, 1.0, "deg C", f"thermal node {node}") for node in NODES),
    _number("computer_c", 8, -60.0, 1.0, "deg C", "flight computer"),
    _PROPELLANT,
    _flags("masked_nozzles", tuple(f"{n:02d}" for n in range(1, 17)), "nozzles taken out of use, by number"),
    _FAULTS,
    *(LayoutField(f"fault_code_{n}", _K.CODE, CODE_BITS, f"code of the {word} fault that stands")
      for n, word in enumerate(("first", "second", "third"), 1)),
    _number("devices_not_ok", 6, 0.0, 1.0, "1", "devices whose state is not OK"),
    LayoutField("bus_failures", _K.COUNT, 16, "failed transfers since start"),
    LayoutField("gate_vetoes", _K.COUNT, 16, "pulses taken out by the final gate since start"),
    LayoutField("commands", _K.COUNT, 12, "commands since start"),
    _UPLINK_AGE,
))
BEACON = Layout(3, "beacon", "the craft is there; the least that tells how it is", (
    *_PACKET, *_MODES,
    _choice("in_safe", 2, TRUTH, "the craft is in SAFE"),
    *_CHARGES,
    _number("core_c", 9, -120.0, 1.0, "deg C", "core"),
    _UPLINK_AGE,
))
COMMAND_ACK = Layout(4, "command ack", "how far a command has come, for a peer that hears nothing else", (
    *_PACKET,
    LayoutField("sequence", _K.COUNT, 32, "sequence number of the request, as its sender gave it"),
    LayoutField("command", _K.COUNT, 10, "id of the command in the dictionary"),
    _choice("stage", 5, tuple(Stage), "stage of its life"),
    LayoutField("code_1", _K.CODE, CODE_BITS, "first reason code"),
    LayoutField("code_2", _K.CODE, CODE_BITS, "second reason code"),
))
LAYOUTS: Mapping[PayloadClass, Layout] = {
    PayloadClass.DISTRESS: DISTRESS,
    PayloadClass.MINIMAL_STATE: MINIMAL_STATE,
    PayloadClass.BEACON: BEACON,
    PayloadClass.COMMAND_ACK: COMMAND_ACK,
}
_BY_NUMBER = {layout.number: layout for layout in LAYOUTS.values()}


def unpack(payload: bytes) -> Unpacked | LayoutFault:
    """Values of the useful part of any emergency packet, by the layout that its first byte names. Never raises."""
    if not payload:
        return LayoutFault.EMPTY
    layout = _BY_NUMBER.get(payload[0] >> 4)
    return LayoutFault.UNKNOWN_LAYOUT if layout is None else layout.unpack(payload)


def page(overhead_bytes: int = 11) -> str:
    """The declared layouts as a page of Markdown, with what each packet costs."""
    parts = [
        "# Emergency packets, bit by bit", "",
        "Printed from `comms/nbl/layouts.py`. Bits are sent most significant first. Every packet begins with four bits",
        "of layout number and four of version, and is filled up to whole bytes with zeros. A number is `low + step x",
        "code`; its last three codes are *below*, *above* and *missing*. A choice, a count or a code has all ones for",
        "missing. Flags begin with a bit that says that they are known, and list their last name first. A code is the",
        f"last {CODE_BITS} bits of the CRC-32 of its name.", "",
        "| layout | number | version | useful part | on the air, with its record | time | energy |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for layout in LAYOUTS.values():
        size = layout.size_bytes + overhead_bytes
        parts.append(
            f"| {layout.name} | {layout.number} | {layout.version} | {layout.size_bytes} B ({layout.bits} bit) "
            f"| {size} B | {air_time_ns(size) * 1e-9:.1f} s | {energy_j(size):.0f} J |"
        )
    for layout in LAYOUTS.values():
        parts += ["", f"## {layout.name}", "", layout.text[0].upper() + layout.text[1:] + ".", "",
                  "| bit | field | bits | kind | unit | range | step | what it is |",
                  "| --- | --- | --- | --- | --- | --- | --- | --- |"]
        at = 8
        for entry in layout.fields:
            parts.append(f"| {at} | {_row(entry)} |")
            at += entry.bits
    return "\n".join(parts) + "\n"


def _row(entry: LayoutField) -> str:
    limits, step = "-", "-"
    if entry.kind is _K.NUMBER:
        limits, step = f"{entry.low:g} to {entry.high:g}", f"{entry.step:g}"
    elif entry.kind is _K.COUNT:
        limits = f"0 to {entry.most}, then anew"
    elif entry.choices:
        limits = ", ".join(entry.choices)
    return f"`{entry.name}` | {entry.bits} | {entry.kind} | {entry.unit} | {limits} | {step} | {entry.text}"
