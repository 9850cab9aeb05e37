"""Position and velocity by dead reckoning that does not drift while no nozzle fires, and says how sure it is.

There is no position sensor. In free fall the specific force is known to be zero while every valve is shut, so the
accelerometer's bias is estimated then and velocity stays as it is. While nozzles fire, the measured velocity change
of the *burst* (firing and some ms after) is blended with the expected one: the measured one has white noise that
grows with the root of time, the expected one an error in proportion to every nozzle's impulse. When the two disagree
beyond their errors, a nozzle doesn't do what it should, and only the measurement counts. What is no time step, no
specific force is counted and left out, so the state stays finite.

On a table (air bearing) gravity is felt and a degree of tilt error is 0.17 m/s2, so velocity follows the expected
impulses alone and sigma grows with whatever horizontal force the accelerometer shows beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, isfinite, sqrt

from firmware_py.gnc.consistency import Refusal, no_refusals
from firmware_py.gnc.pulse_book import TickImpulse
from hal.frames import Quaternion, Vec3, rotate
from hal.profile.body import BodyConfig

__all__ = ["MAX_STOP_S", "AccelNoise", "Navigation"]

STANDARD_GRAVITY = 9.80665
MODEL_SHARE = 0.04
"""One sigma of one nozzle's impulse, as a share of it; nozzles are independent."""
TAIL_S = 0.020
"""Time after the last expected impulse in which the accelerometer still counts: valve and filter delays."""
DISAGREE = 4.5
"""Sigmas of the difference between measured and expected velocity change beyond which the model is dropped."""
UNEXPECTED_SIGMAS = 6.0
"""Of the smoothed specific force with all valves shut, beyond which a push is believed."""
SMOOTHING = 0.2
"""Share of a new sample in the smoothed specific force (about ten ticks)."""

MAX_STEP_S = 1.0
"""Longest step that one sample may stand for."""
LEAST_STEP_S = 1e-6
"""Shortest: an impulse over less is no acceleration."""
MAX_STOP_S = 3600.0
"""Longest stop over which a velocity leads anywhere."""
MASS_FACTOR = 10.0
"""A mass beyond so many times the body's, or below so small a share of it, is none of this craft."""
MAX_FORCE_M_S2 = 1000.0
"""Specific force beyond which no accelerometer of such a craft measures (ADIS16470: 40 g)."""


@dataclass(frozen=True, slots=True)
class AccelNoise:
    """One-sigma errors of the accelerometers, per axis: CANON section 7 (0.2 mg/rtHz); ADIS16470 (steps of 1.25 mg,
    turn-on some mg, 13 ug in-run)."""

    random_walk_m_s_rts: float = 0.2e-3 * STANDARD_GRAVITY
    step_m_s2: float = 1.25e-3 * STANDARD_GRAVITY
    bias_start_m_s2: float = 4e-3 * STANDARD_GRAVITY
    bias_walk_m_s2_rts: float = 2e-5


class Navigation:
    """Position (m) and velocity (m/s) of the centre of mass, inertial axes, zero at start.

    Args:
        body: mass and nozzles.
        imu_position_m: place of the inertial unit, body frame (origin at the geometric centre).
        gravity: True where a table carries the craft.
        refusals: counter by reason, shared with others if given.
    """

    __slots__ = (
        "_arm", "_bias_walk", "_blind_gross", "_burst", "_burst_gross", "_burst_s", "_burst_variance", "_full_kg",
        "_fused", "_gravity", "_last_arm", "_mass", "_measured", "_modelled", "_noise", "_pp", "_pv", "_quiet_s",
        "_rate", "_smooth", "_step2", "_vv", "_white2", "bias", "bias_variance", "disagreed", "disagreements",
        "position", "refusals", "velocity",
    )

    def __init__(
        self, body: BodyConfig, imu_position_m: Vec3, gravity: bool, noise: AccelNoise | None = None,
        refusals: dict[Refusal, int] | None = None,
    ) -> None:
        self.refusals = refusals if refusals is not None else no_refusals()
        self._noise = noise if noise is not None else AccelNoise()
        com = body.mass.centre_of_mass_m
        self._arm: Vec3 = (imu_position_m[0] - com[0], imu_position_m[1] - com[1], imu_position_m[2] - com[2])
        self._mass = self._full_kg = body.mass.dry_kg + body.mass.propellant_kg
        self._gravity = gravity
        self._white2 = self._noise.random_walk_m_s_rts**2
        self._step2 = self._noise.step_m_s2**2 / 12.0
        self._bias_walk = self._noise.bias_walk_m_s2_rts**2
        self.position: Vec3 = (0.0, 0.0, 0.0)
        self.velocity: Vec3 = (0.0, 0.0, 0.0)
        self.bias: Vec3 = (0.0, 0.0, 0.0)
        """Accelerometer bias, m/s2, body axes."""
        self.bias_variance = self._noise.bias_start_m_s2**2
        self.disagreed = False
        """Whether measurement and model disagreed in the present or last burst."""
        self.disagreements = 0
        self._pp = 0.0
        self._pv = 0.0
        self._vv = 0.0
        self._quiet_s = 1.0
        self._smooth: Vec3 = (0.0, 0.0, 0.0)
        self._rate: Vec3 = (0.0, 0.0, 0.0)
        self._burst = False
        self._burst_s = 0.0
        self._burst_gross = 0.0
        self._blind_gross = 0.0
        self._burst_variance = 0.0
        self._measured: Vec3 = (0.0, 0.0, 0.0)
        self._modelled: Vec3 = (0.0, 0.0, 0.0)
        self._fused: Vec3 = (0.0, 0.0, 0.0)
        self._last_arm: Vec3 = (0.0, 0.0, 0.0)

    def change_imu(self, body: BodyConfig, imu_position_m: Vec3) -> None:
        """Another inertial unit from the next sample on, at another place and of unknown bias."""
        # A push under way is blended anew: its sums are of the place and the bias of the last unit.
        self._end_burst()
        com = body.mass.centre_of_mass_m
        self._arm = (imu_position_m[0] - com[0], imu_position_m[1] - com[1], imu_position_m[2] - com[2])
        self.bias = self._smooth = (0.0, 0.0, 0.0)
        self.bias_variance = self._noise.bias_start_m_s2**2

    @property
    def sigma_position_m(self) -> float:
        """One sigma, one axis."""
        return sqrt(max(0.0, self._pp))

    @property
    def sigma_velocity_m_s(self) -> float:
        """One sigma, one axis; the burst under way is counted when it ends."""
        return sqrt(max(0.0, self._vv))

    @property
    def velocity_variance(self) -> float:
        """Variance of one axis of the velocity (m2/s2) with what the burst under way adds so far."""
        return self._vv + self._burst_variance if self._burst else self._vv

    @property
    def mass_kg(self) -> float:
        """Mass that the model divides impulses by."""
        return self._mass

    def set_mass(self, mass_kg: float) -> None:
        """Follow the propellant that has been used; a mass that is none is counted and left."""
        if not self._full_kg / MASS_FACTOR < mass_kg < self._full_kg * MASS_FACTOR:
            self.refusals[Refusal.OUT_OF_RANGE if isfinite(mass_kg) else Refusal.NOT_FINITE] += 1
            return
        self._mass = mass_kg

    def stop(self, dt_s: float) -> None:
        """``dt_s`` seconds that no sample stands for, longer than a step: straight on, the velocity as unsure as it
        was."""
        if not MAX_STEP_S < dt_s <= MAX_STOP_S:
            self.refusals[Refusal.TIME_STEP] += 1
            return
        self._end_burst()
        px, py, pz = self.position
        vx, vy, vz = self.velocity
        self.position = (px + vx * dt_s, py + vy * dt_s, pz + vz * dt_s)
        self._pp += (2.0 * self._pv + self._vv * dt_s) * dt_s
        self._pv += self._vv * dt_s

    def turn_frame(self, correction: Quaternion) -> None:
        """Express position and velocity in axes turned by ``correction``: when the first fix tells where inertial
        is."""
        self._end_burst()
        self.position = rotate(correction, self.position)
        self.velocity = rotate(correction, self.velocity)

    def update(
        self,
        dt_s: float,
        quaternion: Quaternion,
        rate: Vec3,
        force: Vec3 | None,
        expected: TickImpulse | None,
        sigma_attitude_rad: float,
    ) -> None:
        """One fast tick.

        ``quaternion`` body to inertial and ``rate`` (rad/s, body) now; ``force`` the mean specific force (m/s2, body)
        of the tick at the inertial unit, None if it gave nothing; ``expected`` what the valves should have done.
        """
        if not LEAST_STEP_S <= dt_s <= MAX_STEP_S:
            self.refusals[Refusal.TIME_STEP] += 1
            return
        if force is not None:
            m = MAX_FORCE_M_S2
            if len(force) != 3 or not (-m < force[0] < m and -m < force[1] < m and -m < force[2] < m):
                self._refuse_force(force)
                force = None
        before, self._rate = self._rate, rate
        vx, vy, vz = self.velocity
        px, py, pz = self.position
        self.position = (px + vx * dt_s, py + vy * dt_s, pz + vz * dt_s)
        self._pp += (2.0 * self._pv + self._vv * dt_s) * dt_s
        self._pv += self._vv * dt_s
        if self._gravity:
            self._on_table(dt_s, quaternion, force, expected)
            return
        if expected is not None:
            self._quiet_s = 0.0
        else:
            self._quiet_s += dt_s
        if force is None:
            self._step_burst(dt_s, quaternion, before, None, expected, sigma_attitude_rad)
            return
        if self._quiet_s > TAIL_S:
            bx, by, bz = self.bias
            wx, wy, wz = rate
            ax, ay, az = self._arm
            # Centripetal part at the unit: w x (w x r); rates are steady in free rotation.
            wr = wx * ax + wy * ay + wz * az
            w2 = wx * wx + wy * wy + wz * wz
            ex = force[0] - bx - wx * wr + w2 * ax
            ey = force[1] - by - wy * wr + w2 * ay
            ez = force[2] - bz - wz * wr + w2 * az
            sx, sy, sz = self._smooth
            sx += SMOOTHING * (ex - sx)
            sy += SMOOTHING * (ey - sy)
            sz += SMOOTHING * (ez - sz)
            self._smooth = (sx, sy, sz)
            r = self._white2 / dt_s + self._step2
            smooth_variance = SMOOTHING / (2.0 - SMOOTHING) * r + self.bias_variance
            if sx * sx + sy * sy + sz * sz < UNEXPECTED_SIGMAS**2 * smooth_variance:
                if self._burst:
                    self._end_burst()
                p = self.bias_variance + self._bias_walk * dt_s
                k = p / (p + r)
                self.bias = (bx + k * ex, by + k * ey, bz + k * ez)
                self.bias_variance = (1.0 - k) * p
                return
        self._step_burst(dt_s, quaternion, before, force, expected, sigma_attitude_rad)

    def _refuse_force(self, force: Sequence[float]) -> None:
        if len(force) != 3:
            reason = Refusal.LENGTH
        else:
            reason = Refusal.OUT_OF_RANGE if all(isfinite(part) for part in force) else Refusal.NOT_FINITE
        self.refusals[reason] += 1

    def _step_burst(
        self, dt_s: float, quaternion: Quaternion, before: Vec3, force: Vec3 | None, expected: TickImpulse | None,
        sigma_attitude: float,
    ) -> None:
        """Sums since the burst began, blended anew each tick, so that the blend is that of the whole burst."""
        ax, ay, az = self._arm
        wx, wy, wz = self._rate
        arm = rotate(quaternion, (wy * az - wz * ay, wz * ax - wx * az, wx * ay - wy * ax))
        if not self._burst:
            if expected is None and force is None:
                return
            self._burst = True
            self.disagreed = False
            self._burst_s = self._burst_gross = self._blind_gross = 0.0
            self._measured = self._modelled = self._fused = (0.0, 0.0, 0.0)
            wx, wy, wz = before
            self._last_arm = rotate(quaternion, (wy * az - wz * ay, wz * ax - wx * az, wx * ay - wy * ax))
        dx, dy, dz = self._modelled
        ex = ey = ez = 0.0
        if expected is not None:
            m = self._mass
            ex, ey, ez = rotate(quaternion, (expected.fx / m, expected.fy / m, expected.fz / m))
            dx, dy, dz = self._modelled = (dx + ex, dy + ey, dz + ez)
            # Within a pulse errors add up: the root of the sum of squares of whole nozzles is close to gross / 2.
            self._burst_gross += 0.5 * expected.gross / m
        model_sigma = MODEL_SHARE * self._burst_gross
        model2 = model_sigma * model_sigma + 1e-10
        fx, fy, fz = self._fused
        ox, oy, oz = self._last_arm
        self._last_arm = arm
        mx, my, mz = self._measured
        if force is not None:
            bx, by, bz = self.bias
            jx, jy, jz = rotate(quaternion, (force[0] - bx, force[1] - by, force[2] - bz))
            mx += jx * dt_s - arm[0] + ox
            my += jy * dt_s - arm[1] + oy
            mz += jz * dt_s - arm[2] + oz
        else:
            # No sample: the model stands in, in the measured sum too, so that they go on agreeing.
            mx, my, mz = mx + ex, my + ey, mz + ez
            if expected is not None:
                self._blind_gross += 0.5 * expected.gross / self._mass
        self._measured = (mx, my, mz)
        self._burst_s += dt_s
        t = self._burst_s
        measured2 = self._white2 * t + self.bias_variance * t * t + 1e-9
        gx, gy, gz = mx - dx, my - dy, mz - dz
        if gx * gx + gy * gy + gz * gz > DISAGREE * DISAGREE * (measured2 + model2):
            if not self.disagreed:
                self.disagreements += 1
            self.disagreed = True
        w = 1.0 if self.disagreed else model2 / (model2 + measured2)
        nx, ny, nz = dx + w * gx, dy + w * gy, dz + w * gz
        vx, vy, vz = self.velocity
        self.velocity = (vx + nx - fx, vy + ny - fy, vz + nz - fz)
        self._fused = (nx, ny, nz)
        turn = min(sigma_attitude, 1.0) * hypot(nx, ny, nz)
        # What nobody measured is as wrong as the model.
        blind = MODEL_SHARE * self._blind_gross
        self._burst_variance = measured2 * w + turn * turn + blind * blind

    def _end_burst(self) -> None:
        if self._burst:
            self._burst = False
            self._vv += self._burst_variance

    def _on_table(self, dt_s: float, quaternion: Quaternion, force: Vec3 | None, expected: TickImpulse | None) -> None:
        vx, vy, _ = self.velocity
        ax = ay = 0.0
        if expected is not None:
            m = self._mass
            jx, jy, _ = rotate(quaternion, (expected.fx / m, expected.fy / m, expected.fz / m))
            self.velocity = (vx + jx, vy + jy, 0.0)
            ax, ay = jx / dt_s, jy / dt_s
            s = 0.5 * MODEL_SHARE * expected.gross / m
            # A pulse of about nine ticks whose errors are alike.
            self._vv += 9.0 * s * s
        if force is not None:
            fx, fy, _ = rotate(quaternion, force)
            sx, sy, _ = self._smooth
            self._smooth = (sx + 0.02 * (fx - ax - sx), sy + 0.02 * (fy - ay - sy), 0.0)
        sx, sy, _ = self._smooth
        # Unmodelled push (slope of the table, drag, tilt error), alike for about a second.
        a = 0.005 + hypot(sx, sy)
        self._vv += a * a * dt_s
