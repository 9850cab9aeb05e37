"""Faults of sensors and valve drivers that a scenario can start: the part answers, and what it says is wrong.

A part that says nothing at all is a fault of its bus (``bus_fault``). Faults of several kinds on one part add up; of
two of one kind the later one holds (``rig_faults_seams``).
"""

from __future__ import annotations

from collections.abc import Callable
from math import radians
from typing import TYPE_CHECKING, Any

from hal.frames import Quaternion, Vec3, multiply, normalise, quaternion_from_rotation_vector
from hal.profile import DeviceConfig, Profile
from hil.chips.cia401_valve_node import OutputFault
from hil.chips.max31865 import Wiring
from hil.chips.startracker import TrackerStatus
from hil.fault_values import member, ranged
from hil.plant.sensors import normals
from hil.rig_faults_seams import Act, Start, first, heard, held, shown

if TYPE_CHECKING:
    from hil.rig import Rig

__all__ = ["SENSOR_FAULTS"]

Vector = Callable[[Vec3], Vec3]

AXES = ("x", "y", "z")
GYROS = ("adis16470", "icm42688p")
FLAT = {"rm3100": ("field_t", (0.0, 0.0, 0.0)), "lsm303dlhc": ("field_t", (0.0, 0.0, 0.0)), "opt3001": ("lux", 0.0)}
"""Parts that are shown an attribute of the world: its name, and what a dead element gives."""
DIODES, RESISTANCES = "tmp423", "max31865"
RANGERS = ("tfmini_plus", "vl53l0x")
GYRO_DEG_S = (-2000.0, 2000.0)
NOISE_DEG_S = (0.0, 500.0)
SPIKE_EVERY = (2, 100_000)
TURN_DEG = (-180.0, 180.0)
DRIFT_DEG_S = (-10.0, 10.0)
JUMP_C = (-200.0, 200.0)
RANGE_M = (0.0, 12.0)
BIAS_V = (-100.0, 100.0)
MONITORS = ("bus_monitor", "battery_monitor", "power_channel")
NS = 1_000_000_000


def _devices(profile: Profile, parts: tuple[str, ...]) -> dict[str, DeviceConfig]:
    return {device.name: device for device in profile.board.devices if device.part in parts}


# -- inertial units


def _gyro(profile: Profile, fault: str, device: Any, make: Callable[[Rig], Vector]) -> Start:
    """A fault of the rates that a gyroscope is told."""
    gyros = _devices(profile, GYROS)
    name = member("inertial unit", next(iter(gyros), None) if device is None else device, gyros)
    if gyros[name].part == "icm42688p":
        return shown(f"{fault} {name}", name, "rate_rad_s", make)

    def rates(rig: Rig) -> Callable[[Vec3, Vec3, float], tuple[Any, ...]]:
        change = make(rig)
        return lambda rate, force, celsius: (change(rate), force, celsius)

    return heard(f"{fault} {name}", lambda rig: rig.chips[name], "latch", rates)


def _gyro_frozen(profile: Profile, device: Any = None) -> Start:
    return _gyro(profile, "gyro_frozen", device, first)


def _added(axis: str, rad_s: float) -> Vector:
    x, y, z = (rad_s if name == axis else 0.0 for name in AXES)
    return lambda rate: (rate[0] + x, rate[1] + y, rate[2] + z)


def _gyro_bias(profile: Profile, axis: Any, deg_s: Any, device: Any = None) -> Start:
    change = _added(member("axis", axis, AXES), radians(ranged("deg_s", deg_s, *GYRO_DEG_S)))
    return _gyro(profile, "gyro_bias", device, lambda _rig: change)


def _gyro_noise(profile: Profile, deg_s: Any, device: Any = None) -> Start:
    sigma = radians(ranged("deg_s", deg_s, *NOISE_DEG_S))

    def make(rig: Rig) -> Vector:
        draw = normals(rig.world.stream(f"gyro noise {device} {rig.now_ns}"))
        return lambda rate: (rate[0] + sigma * draw(), rate[1] + sigma * draw(), rate[2] + sigma * draw())

    return _gyro(profile, "gyro_noise", device, make)


def _gyro_spike(profile: Profile, axis: Any, deg_s: Any, every: Any, device: Any = None) -> Start:
    wrong = _added(member("axis", axis, AXES), radians(ranged("deg_s", deg_s, *GYRO_DEG_S)))
    if isinstance(every, bool) or not isinstance(every, int) or not SPIKE_EVERY[0] <= every <= SPIKE_EVERY[1]:
        raise ValueError(f"every is {every!r}; {SPIKE_EVERY[0]}..{SPIKE_EVERY[1]} samples are allowed")

    def make(_rig: Rig) -> Vector:
        count = 0

        def spike(rate: Vec3) -> Vec3:
            nonlocal count
            count += 1
            return wrong(rate) if count % every == 0 else rate

        return spike

    return _gyro(profile, "gyro_spike", device, make)


# -- star tracker


def _tracker(profile: Profile, fault: str, make: Callable[[Rig], Callable[..., Any]]) -> Start:
    trackers = _devices(profile, ("startracker",))
    name = next(iter(trackers), None)
    if name is None:
        raise ValueError(f"board {profile.board.board} has no star tracker")
    return heard(f"{fault} {name}", lambda rig: rig.chips[name], "solve", make)


def _blind(_quaternion: Quaternion | None, age_us: int, sigma: float, _stars: int, _status: Any) -> tuple[Any, ...]:
    return None, age_us, sigma, 0, TrackerStatus.BLINDED


def _star_tracker_blind(profile: Profile) -> Start:
    return _tracker(profile, "star_tracker_blind", lambda _rig: _blind)


def _turned(angle: Callable[[Rig], float]) -> Callable[[Rig], Callable[..., Any]]:
    """Solutions turned about the boresight by an angle in rad."""

    def make(rig: Rig) -> Callable[..., Any]:
        def turn(quaternion: Quaternion | None, *others: Any) -> tuple[Any, ...]:
            if quaternion is None:
                return (None, *others)
            return (normalise(multiply(quaternion, quaternion_from_rotation_vector((0.0, 0.0, angle(rig))))), *others)

        return turn

    return make


def _star_tracker_wrong(profile: Profile, deg: Any) -> Start:
    angle = radians(ranged("deg", deg, *TURN_DEG))
    return _tracker(profile, "star_tracker_wrong", _turned(lambda _rig: angle))


def _star_tracker_drift(profile: Profile, deg_s: Any) -> Start:
    rate = radians(ranged("deg_s", deg_s, *DRIFT_DEG_S))

    def make(rig: Rig) -> Callable[..., Any]:
        begun_ns = rig.now_ns
        return _turned(lambda later: rate * (later.world.t_ns - begun_ns) / NS)(rig)

    return _tracker(profile, "star_tracker_drift", make)


# -- what looks at field and light


def _flat(
    profile: Profile, fault: str, device: Any, make: Callable[[Any], Callable[[Rig], Callable[[Any], Any]]],
) -> Start:
    sensors = _devices(profile, tuple(FLAT))
    name = member("magnetometer or Sun sensor", device, sensors)
    attribute, nothing = FLAT[sensors[name].part]
    return shown(f"{fault} {name}", name, attribute, make(nothing))


def _sensor_dead(profile: Profile, device: Any) -> Start:
    return _flat(profile, "sensor_dead", device, lambda nothing: lambda _rig: lambda _value: nothing)


def _sensor_stuck(profile: Profile, device: Any) -> Start:
    return _flat(profile, "sensor_stuck", device, lambda _nothing: first)


# -- thermometers


def _thermometer(profile: Profile, node: Any) -> tuple[str, int | None]:
    """Chip that measures a node, and its channel; ``None`` for a chip of one element."""
    found: dict[str, tuple[str, int | None]] = {}
    for device in _devices(profile, (DIODES, RESISTANCES)).values():
        if device.part == DIODES:
            for channel, name in enumerate(device.settings.get("nodes", [])):
                found[str(name)] = (device.name, channel)
        else:
            found[device.name.removeprefix("rtd_")] = (device.name, None)
    return found[member("measured node", node, found)]


def _celsius(profile: Profile, fault: str, node: Any, make: Callable[[Rig], Callable[[float], float]]) -> Start:
    device, channel = _thermometer(profile, node)

    def told(rig: Rig) -> Callable[..., tuple[Any, ...]]:
        change = make(rig)
        if channel is None:
            return lambda celsius: (change(celsius),)
        return lambda place, celsius: (place, change(celsius) if place == channel else celsius)

    return heard(f"{fault} {node}", lambda rig: rig.chips[device], "set_celsius", told)


def _thermometer_stuck(profile: Profile, node: Any) -> Start:
    return _celsius(profile, "thermometer_stuck", node, first)


def _thermometer_jump(profile: Profile, node: Any, celsius: Any) -> Start:
    jump = ranged("celsius", celsius, *JUMP_C)
    return _celsius(profile, "thermometer_jump", node, lambda _rig: lambda true: true + jump)


def _thermometer_open(profile: Profile, node: Any) -> Start:
    device, channel = _thermometer(profile, node)
    if channel == 0:
        raise ValueError(f"{node} is measured by {device} itself, which has no wire that could break")

    def wire(is_open: bool) -> Act:
        def act(rig: Rig) -> None:
            if channel is None:
                rig.chips[device].wiring = Wiring.OPEN if is_open else Wiring.GOOD
            else:
                rig.chips[device].open_diode[channel] = is_open

        return act

    return held(f"wire of {node}", wire(True), wire(False))


# -- range finders, power monitors, valve drivers


def _range_stuck(profile: Profile, device: Any, metres: Any) -> Start:
    name = member("range finder", device, _devices(profile, RANGERS))
    value = ranged("metres", metres, *RANGE_M)
    return shown(f"range_stuck {name}", name, "range_m", lambda _rig: lambda _true: value)


def _voltage_bias(profile: Profile, device: Any, volts: Any) -> Start:
    name = member("power monitor", device, [d.name for d in profile.board.devices if d.role in MONITORS])
    bias = ranged("volts", volts, *BIAS_V)
    return heard(
        f"voltage of {name}", lambda rig: rig.monitors[name], "sample",
        lambda _rig: lambda voltage, current: (max(0.0, voltage + bias), current),
    )


def _valve_driver(profile: Profile, nozzle: Any, fault: Any) -> Start:
    driven = [int(n) for d in profile.board.devices if d.role == "valve_node" for n in d.settings["nozzles"]]
    # A truth value is a number for Python, and no nozzle.
    number = member("nozzle", str(nozzle) if isinstance(nozzle, bool) else nozzle, sorted(driven))
    kind = OutputFault(member("fault of a valve driver", fault, [f.value for f in OutputFault]))

    def driver(broken: OutputFault | None) -> Act:
        def act(rig: Rig) -> None:
            for node, nozzles in rig.nozzles:
                if number in nozzles:
                    node.fail_output(nozzles.index(number), broken, rig.now_ns)

        return act

    return held(f"driver of nozzle {number}", driver(kind), driver(None))


SENSOR_FAULTS: dict[str, tuple[Callable[..., Start], dict[str, bool]]] = {
    "gyro_frozen": (_gyro_frozen, {"device": False}),
    "gyro_bias": (_gyro_bias, {"axis": True, "deg_s": True, "device": False}),
    "gyro_noise": (_gyro_noise, {"deg_s": True, "device": False}),
    "gyro_spike": (_gyro_spike, {"axis": True, "deg_s": True, "every": True, "device": False}),
    "star_tracker_blind": (_star_tracker_blind, {}),
    "star_tracker_wrong": (_star_tracker_wrong, {"deg": True}),
    "star_tracker_drift": (_star_tracker_drift, {"deg_s": True}),
    "sensor_dead": (_sensor_dead, {"device": True}),
    "sensor_stuck": (_sensor_stuck, {"device": True}),
    "thermometer_stuck": (_thermometer_stuck, {"node": True}),
    "thermometer_jump": (_thermometer_jump, {"node": True, "celsius": True}),
    "thermometer_open": (_thermometer_open, {"node": True}),
    "range_stuck": (_range_stuck, {"device": True, "metres": True}),
    "voltage_bias": (_voltage_bias, {"device": True, "volts": True}),
    "valve_driver": (_valve_driver, {"nozzle": True, "fault": True}),
}
"""Kinds of faults: how each is checked and prepared, and its parameters (name: whether it must be given)."""
