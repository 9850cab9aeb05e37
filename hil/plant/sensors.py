"""Error models of the sensors, from their datasheets: what the physics says in, what the element would report out.

Everything here is in SI and in the sensor's own axes; quantisation, registers and saturation are the simulated chip's.
Each model takes its own seeded generator and draws noise in blocks, so a sample costs well under a microsecond an
axis. Figures marked P are chosen here, because the sources are silent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import cos, exp, pi, radians, sqrt

import numpy as np

from hal.frames import Quaternion, Vec3, dot, multiply, norm, normalise, quaternion_from_rotation_vector, rotate, unit
from hil.plant.propulsion import STANDARD_GRAVITY

__all__ = [
    "ADIS16470", "ImuErrors", "InertialUnit", "Magnetometer", "PowerMonitor", "StarTracker", "StarTrackerSolution",
    "SunSensor", "TemperatureSensor", "normals",
]

BLOCK = 4096


def normals(rng: np.random.Generator, block: int = BLOCK) -> Callable[[], float]:
    """A function that returns the next standard normal number, drawn ``block`` at a time."""

    def stream() -> Iterator[float]:
        while True:
            yield from rng.standard_normal(block).tolist()

    return stream().__next__


@dataclass(frozen=True, slots=True)
class ImuErrors:
    """One-sigma errors of an inertial unit, per axis. Noise densities are one-sided, per root Hz."""

    gyro_noise_rad_s_rthz: float
    gyro_turn_on_rad_s: float
    gyro_in_run_rad_s: float
    gyro_scale: float
    accel_noise_m_s2_rthz: float
    accel_turn_on_m_s2: float
    accel_in_run_m_s2: float
    accel_scale: float
    misalignment_rad: float
    correlation_s: float


ADIS16470 = ImuErrors(
    gyro_noise_rad_s_rthz=radians(0.008),
    gyro_turn_on_rad_s=radians(0.2),
    gyro_in_run_rad_s=radians(8.0 / 3600.0),
    gyro_scale=1e-3,
    accel_noise_m_s2_rthz=100e-6 * STANDARD_GRAVITY,
    accel_turn_on_m_s2=1.4e-3 * STANDARD_GRAVITY,
    accel_in_run_m_s2=13e-6 * STANDARD_GRAVITY,
    accel_scale=1e-3,
    misalignment_rad=radians(0.05),
    correlation_s=300.0,
)
"""ADIS16470 data sheet, rev. C, features: 8 deg/h and 13 ug in-run stability, 0.008 deg/s/rtHz (which is 0.34 deg/rth:
density / sqrt 2 x 60). P: accelerometer noise 100 ug/rtHz (the craft needs 200 or better), turn-on bias 0.2 deg/s and
1.4 mg, scale 0.1 %, axes 0.05 deg apart, correlation 300 s (about where the Allan deviation of such gyros is flat)."""


class _Triad:
    """Three axes with scale, misalignment, turn-on bias, drift (Gauss-Markov, moved once a second) and white noise."""

    __slots__ = ("_count", "_decay", "_draw", "_drift", "_due", "_kick", "_matrix", "_noise", "_turn_on", "bias")

    def __init__(
        self, rng: np.random.Generator, rate_hz: float, density: float, turn_on: float, in_run: float, scale: float,
        misalignment: float, correlation_s: float,
    ) -> None:
        self._draw = normals(rng)
        # White noise of a one-sided density n, averaged over 1 / f: n sqrt(f / 2).
        self._noise = density * sqrt(0.5 * rate_hz)
        self._decay = exp(-1.0 / correlation_s)
        self._kick = in_run * sqrt(1.0 - self._decay * self._decay)
        self._due = max(1, round(rate_hz))
        self._count = 0
        d = self._draw
        self._turn_on: Vec3 = (turn_on * d(), turn_on * d(), turn_on * d())
        self._drift: Vec3 = (in_run * d(), in_run * d(), in_run * d())
        self.bias: Vec3 = self._sum()
        s, t = scale, misalignment
        self._matrix = (
            1.0 + s * d(), t * d(), t * d(),
            t * d(), 1.0 + s * d(), t * d(),
            t * d(), t * d(), 1.0 + s * d(),
        )

    def sample(self, v: Vec3) -> Vec3:
        x, y, z = v
        draw, noise = self._draw, self._noise
        self._count += 1
        if self._count >= self._due:
            self._count = 0
            a, k = self._decay, self._kick
            dx, dy, dz = self._drift
            self._drift = (a * dx + k * draw(), a * dy + k * draw(), a * dz + k * draw())
            self.bias = self._sum()
        bx, by, bz = self.bias
        xx, xy, xz, yx, yy, yz, zx, zy, zz = self._matrix
        return (
            xx * x + xy * y + xz * z + bx + noise * draw(),
            yx * x + yy * y + yz * z + by + noise * draw(),
            zx * x + zy * y + zz * z + bz + noise * draw(),
        )

    def _sum(self) -> Vec3:
        a, b = self._turn_on, self._drift
        return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


class InertialUnit:
    """Gyroscopes and accelerometers of one unit that delivers ``rate_hz`` averaged samples a second."""

    def __init__(self, rng: np.random.Generator, rate_hz: float = 200.0, errors: ImuErrors = ADIS16470) -> None:
        e = errors
        self._gyro = _Triad(
            rng, rate_hz, e.gyro_noise_rad_s_rthz, e.gyro_turn_on_rad_s, e.gyro_in_run_rad_s, e.gyro_scale,
            e.misalignment_rad, e.correlation_s,
        )
        self._accel = _Triad(
            rng, rate_hz, e.accel_noise_m_s2_rthz, e.accel_turn_on_m_s2, e.accel_in_run_m_s2, e.accel_scale,
            e.misalignment_rad, e.correlation_s,
        )

    @property
    def gyro_bias(self) -> Vec3:
        """True bias of the gyroscopes now, rad/s: what an estimator should find."""
        return self._gyro.bias

    @property
    def accel_bias(self) -> Vec3:
        """True bias of the accelerometers now, m/s2."""
        return self._accel.bias

    def sample(self, rate: Vec3, specific_force: Vec3) -> tuple[Vec3, Vec3]:
        """One sample from the true means over its interval (rad/s, m/s2, sensor axes). Call once a sample."""
        return self._gyro.sample(rate), self._accel.sample(specific_force)


@dataclass(frozen=True, slots=True)
class StarTrackerSolution:
    """One exposure. ``quaternion`` is sensor to inertial at ``exposure_ns`` (its middle), ``None`` if not valid."""

    counter: int
    exposure_ns: int
    quaternion: Quaternion | None
    sigma_rad: float
    stars: int
    too_fast: bool
    blinded: bool


class StarTracker:
    """A star tracker: an attitude every ``1 / rate_hz`` s, delivered ``latency_ms`` after the middle of its exposure.

    Blind above 2 deg/s and while the Sun stands within ``sun_exclusion_deg`` of the boresight (P: 30 deg, a usual
    baffle). The error is 0.02 deg, one sigma, about each axis.
    """

    def __init__(
        self, rng: np.random.Generator, orientation: Quaternion, *, rate_hz: float = 2.0, latency_ms: float = 100.0,
        sigma_deg: float = 0.02, max_rate_deg_s: float = 2.0, sun_exclusion_deg: float = 30.0,
        boresight: Vec3 = (0.0, 0.0, 1.0), t_ns: int = 0,
    ) -> None:
        """``orientation`` is sensor to body, ``boresight`` in sensor axes; the first exposure is at ``t_ns``."""
        self._draw = normals(rng, 64)
        self._rng = rng
        self._orientation = normalise(orientation)
        self._boresight = unit(rotate(self._orientation, boresight))
        self._period_ns = round(1e9 / rate_hz)
        self._latency_ns = round(latency_ms * 1e6)
        self._sigma = radians(sigma_deg)
        self._max_rate = radians(max_rate_deg_s)
        self._exclusion_cosine = cos(radians(sun_exclusion_deg))
        self._next_ns = t_ns
        self._counter = 0
        self._waiting: deque[StarTrackerSolution] = deque()

    def step(
        self, t_ns: int, quaternion: Quaternion, rate: Vec3, sun_direction: Vec3 | None
    ) -> StarTrackerSolution | None:
        """Expose if it is time, and return the solution that is due, if any. Call every tick.

        ``quaternion`` body to inertial, ``rate`` rad/s body, ``sun_direction`` inertial or ``None`` in eclipse.
        """
        if t_ns >= self._next_ns:
            self._next_ns += self._period_ns * ((t_ns - self._next_ns) // self._period_ns + 1)
            self._waiting.append(self._expose(t_ns, quaternion, rate, sun_direction))
        if self._waiting and self._waiting[0].exposure_ns + self._latency_ns <= t_ns:
            return self._waiting.popleft()
        return None

    def _expose(self, t_ns: int, quaternion: Quaternion, rate: Vec3, sun: Vec3 | None) -> StarTrackerSolution:
        self._counter = (self._counter + 1) % 65536
        too_fast = norm(rate) > self._max_rate
        blinded = sun is not None and dot(rotate(quaternion, self._boresight), sun) > self._exclusion_cosine
        draw, s = self._draw, self._sigma
        error = quaternion_from_rotation_vector((s * draw(), s * draw(), s * draw()))
        stars = int(self._rng.integers(8, 25))
        if too_fast or blinded:
            return StarTrackerSolution(self._counter, t_ns, None, s, 0, too_fast, blinded)
        attitude = normalise(multiply(multiply(quaternion, self._orientation), error))
        return StarTrackerSolution(self._counter, t_ns, attitude, s, stars, False, False)


class SunSensor:
    """Light on one face: ``full_sun_lux`` times the cosine of incidence, noise worth 0.5 deg, zero behind the face."""

    def __init__(
        self, rng: np.random.Generator, normal: Vec3, full_sun_lux: float, *, noise_deg: float = 0.5
    ) -> None:
        """``normal`` is that of the face in the body frame."""
        self._draw = normals(rng, 512)
        self._normal = unit(normal)
        self._full = full_sun_lux
        self._noise = noise_deg * pi / 180.0

    def sample(self, sun_body: Vec3, illumination: float = 1.0) -> float:
        """Lux, from the Sun's direction in the body frame and its brightness (1 at 1 au, 0 in eclipse)."""
        cosine = dot(self._normal, sun_body)
        noise = self._noise * self._draw()
        if cosine <= 0.0 or illumination <= 0.0:
            return 0.0
        return self._full * illumination * max(0.0, cosine + noise)


class Magnetometer:
    """Three-axis magnetometer: white noise, a small hard-iron bias and scale error.

    RM3100 at cycle count 200: 15 nT rms (PNI, Magneto-Inductive technology overview). P: hard iron 200 nT, scale 0.5 %.
    """

    def __init__(
        self, rng: np.random.Generator, *, noise_t: float = 15e-9, hard_iron_t: float = 200e-9, scale: float = 5e-3
    ) -> None:
        d = self._draw = normals(rng, 1024)
        self._noise = noise_t
        self.bias: Vec3 = (hard_iron_t * d(), hard_iron_t * d(), hard_iron_t * d())
        self._gain: Vec3 = (1.0 + scale * d(), 1.0 + scale * d(), 1.0 + scale * d())

    def sample(self, field_t: Vec3) -> Vec3:
        """Tesla, from the true field in sensor axes."""
        b, g, n, draw = self.bias, self._gain, self._noise, self._draw
        return (
            g[0] * field_t[0] + b[0] + n * draw(), g[1] * field_t[1] + b[1] + n * draw(),
            g[2] * field_t[2] + b[2] + n * draw(),
        )


class TemperatureSensor:
    """Temperature channels of one chip: each with a fixed error within +-1 C and a little noise.

    TMP423 data sheet, electrical characteristics: +-1 C for remote diodes. P: spread evenly; noise 0.03 C, half a step.
    """

    def __init__(self, rng: np.random.Generator, channels: int, *, limit_c: float = 1.0, noise_c: float = 0.03) -> None:
        self._draw = normals(rng, 256)
        self.bias_c: tuple[float, ...] = tuple(rng.uniform(-limit_c, limit_c, channels).tolist())
        self._noise = noise_c

    def sample(self, celsius: Sequence[float]) -> tuple[float, ...]:
        """Reported temperatures, one a channel. Raises ValueError for another number of channels."""
        draw, noise = self._draw, self._noise
        return tuple(t + bias + noise * draw() for t, bias in zip(celsius, self.bias_c, strict=True))


class PowerMonitor:
    """Offsets and gains of a shunt monitor such as the INA228.

    INA228 data sheet, features: shunt offset +-1 uV, gain +-0.05 % at most. P: bus offset within +-2.5 mV, same gain,
    noise 0.3 uV and 0.1 mV rms (about one step of the converter); all limits spread evenly.

    ``current_bias`` is a fault, 0 when healthy: the reported current is too large by that share, as with a shunt of
    another resistance than was measured. It may be set at any time.
    """

    def __init__(
        self, rng: np.random.Generator, shunt_ohm: float, *, shunt_offset_v: float = 1e-6, bus_offset_v: float = 2.5e-3,
        gain: float = 5e-4, shunt_noise_v: float = 0.3e-6, bus_noise_v: float = 1e-4, current_bias: float = 0.0,
    ) -> None:
        if shunt_ohm <= 0.0:
            raise ValueError(f"shunt of {shunt_ohm} ohm; it must be above 0")
        self._draw = normals(rng, 512)
        self._current_offset = float(rng.uniform(-shunt_offset_v, shunt_offset_v)) / shunt_ohm
        self._voltage_offset = float(rng.uniform(-bus_offset_v, bus_offset_v))
        self._current_gain, self._voltage_gain = (1.0 + rng.uniform(-gain, gain, 2)).tolist()
        self._current_noise, self._voltage_noise = shunt_noise_v / shunt_ohm, bus_noise_v
        self.current_bias = current_bias

    def sample(self, voltage_v: float, current_a: float) -> tuple[float, float]:
        """Reported bus voltage (V) and current (A)."""
        draw = self._draw
        return (
            self._voltage_gain * voltage_v + self._voltage_offset + self._voltage_noise * draw(),
            (1.0 + self.current_bias) * (self._current_gain * current_a + self._current_offset)
            + self._current_noise * draw(),
        )
