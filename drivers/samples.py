"""What drivers return: frozen samples in SI units, in the sensor's own frame.

A sample is one coherent read. What the chip could not measure is ``None``, never a default number.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "AttitudeFix", "FieldSample", "IlluminanceSample", "ImuSample", "PowerSample", "Quaternion",
    "SupercapSample", "TemperatureSample", "ValveNodeSample", "Vec3",
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
    """One power monitor: V, A (sign by the shunt's direction), C and J since reset, die temperature."""

    voltage_v: float
    current_a: float
    charge_c: float | None
    energy_j: float | None
    temperature_c: float | None


@dataclass(frozen=True, slots=True)
class SupercapSample:
    """A supercapacitor stack and its charger. Capacitance and ESR are ``None`` until measured."""

    stack_voltage_v: float
    input_voltage_v: float
    charge_current_a: float
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
