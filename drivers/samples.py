"""What drivers return: frozen samples in SI units, in the sensor's own frame.

A sample is one coherent read. What the chip could not measure is ``None``, never a default number.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "AnalogSample", "AttitudeFix", "BatteryGaugeSample", "BmsSample", "DiscreteSample", "FieldSample", "HotSwapSample",
    "IlluminanceSample", "ImuSample", "LidarScan", "PlatformSample", "PowerSample", "Quaternion", "RadarObject",
    "RadarScan", "RadiationSample", "RailSample", "RangeSample", "ResistanceSample", "RtcSample", "SolarSample",
    "SpectrumSample", "SupercapSample", "TemperatureSample", "TransponderReply", "TransponderSample", "ValveNodeSample",
    "Vec3",
]

Vec3 = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
"""w, x, y, z; unit length; Hamilton product."""


@dataclass(frozen=True, slots=True)
class ImuSample:
    """One burst of an inertial unit: rates (rad/s), specific force (m/s2), all in the sensor frame."""

    rate_rad_s: Vec3
    specific_force_m_s2: Vec3
    temperature_c: float
    counter: int


@dataclass(frozen=True, slots=True)
class AttitudeFix:
    """One star-tracker solution: rotation from the sensor frame to the inertial frame.

    ``age_ns`` is the time from the middle of the exposure to the arrival of the frame's first byte.
    """

    quaternion: Quaternion
    age_ns: int
    sigma_rad: float
    stars: int
    counter: int


@dataclass(frozen=True, slots=True)
class IlluminanceSample:
    """Light on one sensor, lux. ``saturated`` means the true value is at least this."""

    lux: float
    saturated: bool


@dataclass(frozen=True, slots=True)
class PowerSample:
    """One power monitor: V, A (sign by the shunt's direction), C and J since reset, die temperature.

    ``voltage_over`` and ``current_over``: that value is the end of the part's range, and the truth is further out.
    """

    voltage_v: float
    current_a: float
    charge_c: float | None
    energy_j: float | None
    temperature_c: float | None
    voltage_over: bool = False
    current_over: bool = False

    @property
    def over_range(self) -> bool:
        """Whether anything in it is at the end of the part's range."""
        return self.voltage_over or self.current_over


@dataclass(frozen=True, slots=True)
class SupercapSample:
    """A supercapacitor stack and its charger. Capacitance and ESR are ``None`` until measured, a current that is
    beyond what the part can show is ``None`` too.
    """

    stack_voltage_v: float
    input_voltage_v: float
    charge_current_a: float | None
    capacitance_f: float | None
    esr_ohm: float | None
    charging: bool


@dataclass(frozen=True, slots=True)
class TemperatureSample:
    """Channels of one temperature chip, deg C, local first; ``None`` where the diode is open or shorted."""

    celsius: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class FieldSample:
    """Magnetic flux density, tesla, in the sensor frame."""

    field_t: Vec3


@dataclass(frozen=True, slots=True)
class ValveNodeSample:
    """What one valve node last said of itself (docs/protocols/valve-node.md).

    ``on_time_ms`` is what each output was really driven in the last finished window, ``None`` before the first.
    """

    node_id: int
    operational: bool
    armed: bool
    enabled: bool
    heartbeat_ok: bool
    outputs: int
    rejected_pulses: int
    window_counter: int
    on_time_ms: tuple[int, ...] | None
    last_emergency: int | None


@dataclass(frozen=True, slots=True)
class HotSwapSample:
    """A hot-swap controller: both sides of its switch. ``faults`` are the chip's own words, empty when it is well."""

    input_v: float
    output_v: float
    current_a: float
    power_w: float | None
    temperature_c: float | None
    on: bool
    power_good: bool
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RailSample:
    """Supervised rails in board order; ``None`` where a channel isn't in use or could not be converted.

    ``temperature_c`` is per sensor of the supervisor, not per rail. ``faults`` are words: ``"rail 3: over-voltage"``.
    """

    voltage_v: tuple[float | None, ...]
    current_a: tuple[float | None, ...]
    on: tuple[bool | None, ...]
    temperature_c: tuple[float | None, ...]
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SolarSample:
    """A solar charger. Currents are positive out of the array and into the battery; ``state`` is the charger's word."""

    array_voltage_v: float | None
    array_current_a: float | None
    array_power_w: float | None
    battery_voltage_v: float | None
    battery_current_a: float | None
    temperature_c: float | None
    charging: bool | None
    state: str
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BatteryGaugeSample:
    """A battery's own gauge. Current is positive when charging; charges in C; ``state_of_charge`` 0..1."""

    voltage_v: float
    current_a: float
    temperature_c: float
    state_of_charge: float
    remaining_c: float | None
    full_c: float | None
    alarms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BmsSample:
    """A battery management system on CAN; each value ``None`` until its frame was heard, and again once that is stale.

    Current is positive when charging; limits are magnitudes; states of charge and health 0..1.
    """

    charge_voltage_limit_v: float | None
    charge_current_limit_a: float | None
    discharge_current_limit_a: float | None
    discharge_voltage_limit_v: float | None
    state_of_charge: float | None
    state_of_health: float | None
    voltage_v: float | None
    current_a: float | None
    temperature_c: float | None
    alarms: tuple[str, ...]
    warnings: tuple[str, ...]
    manufacturer: str | None


@dataclass(frozen=True, slots=True)
class ResistanceSample:
    """A resistance thermometer: ``celsius`` is ``None`` while the chip reports a fault of the sensor or its wires."""

    celsius: float | None
    resistance_ohm: float | None
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RadiationSample:
    """Counts of a Geiger counter in the last whole second."""

    counts_per_second: int


@dataclass(frozen=True, slots=True)
class AnalogSample:
    """Input voltages, V, in channel order; ``None`` for a channel at the end of its range (the truth is beyond)."""

    voltage_v: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class RadarObject:
    """One object of a radar's list, sensor frame: x ahead, y left, m and m/s relative to the sensor; RCS in dBm2."""

    object_id: int
    x_m: float
    y_m: float
    vx_m_s: float
    vy_m_s: float
    rcs_dbsm: float
    moving: str


@dataclass(frozen=True, slots=True)
class RadarScan:
    """One measurement cycle of a radar. ``announced`` is how many objects its header promised."""

    counter: int
    announced: int
    objects: tuple[RadarObject, ...]


@dataclass(frozen=True, slots=True)
class TransponderReply:
    """One transponder that a receiver heard. ``bearing_rad`` in the receiver's frame, 0 ahead, positive to the left.

    ``mode`` is "on" or "silent", as it says of itself. ``range_m`` is ``None`` for one that spoke unasked, since only
    the way there and back tells a distance. ``authentic`` is ``None`` where its answer was not checked.
    """

    transponder_id: int
    mode: str
    range_m: float | None
    bearing_rad: float
    level_dbm: float
    authentic: bool | None


@dataclass(frozen=True, slots=True)
class TransponderSample:
    """One round of listening for transponders. ``announced`` is how many replies its header promised.

    ``age_ns`` is the time from the middle of the round to the header. ``interrogating``: it had asked.
    """

    counter: int
    announced: int
    age_ns: int
    interrogating: bool
    replies: tuple[TransponderReply, ...]


@dataclass(frozen=True, slots=True)
class LidarScan:
    """One revolution of a scanning lidar: equal-length tuples; ``range_m`` is ``None`` where nothing came back.

    Angles in rad, 0..2 pi, clockwise from the sensor's front as the part counts them; intensity 0..255.
    """

    angle_rad: tuple[float, ...]
    range_m: tuple[float | None, ...]
    intensity: tuple[int, ...]
    rate_rad_s: float
    time_ms: int


@dataclass(frozen=True, slots=True)
class RangeSample:
    """Distance along one beam; ``None`` when nothing came back or the part distrusts it, and ``status`` says why."""

    range_m: float | None
    strength: float | None
    temperature_c: float | None
    status: str


@dataclass(frozen=True, slots=True)
class DiscreteSample:
    """Levels on the pins of an expander, lowest pin first, after the part's own polarity; and what it drives."""

    inputs: tuple[bool, ...]
    outputs: tuple[bool | None, ...]
    """``None`` for a pin that is an input."""


@dataclass(frozen=True, slots=True)
class SpectrumSample:
    """Channels of a spectral sensor: counts divided by gain and integration time (1/s), ``None`` where saturated."""

    channels: tuple[str, ...]
    basic_counts_s: tuple[float | None, ...]
    gain: float
    integration_s: float


@dataclass(frozen=True, slots=True)
class RtcSample:
    """A real-time clock: seconds since 1970-01-01 UTC; ``trusted`` is False when its oscillator has stopped."""

    unix_s: int
    trusted: bool
    temperature_c: float | None


@dataclass(frozen=True, slots=True)
class PlatformSample:
    """The flight computer's own health; ``None`` for whatever this computer does not offer."""

    temperature_c: float | None
    under_voltage: bool | None
    throttled: bool | None
    under_voltage_seen: bool | None
    throttled_seen: bool | None
    cpu_hz: float | None
    load: float | None
    memory_available_bytes: int | None
    disk_free_bytes: int | None
    uptime_s: float | None
