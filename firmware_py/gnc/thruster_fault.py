"""Tells from the craft's motion which nozzle does not push, or does not stop; sensor noise alone never accuses one.

Every fast tick adds measured minus expected momentum (force from the accelerometer, torque from the gyro). At a
window's end each nozzle that fired is a hypothesis: if it had not pushed, the residual would be minus its impulse. A
nozzle that explains the residual best, and far better than noise, in five of its pulses in a row is reported
failed-off. A nozzle that was commanded shut and alone explains a residual torque above the limit for 50 ms is
reported stuck-on (CANON section 10.2).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, unique
from math import radians, sqrt

import numpy as np
import numpy.typing as npt

from firmware_py.gnc.modulation import TickImpulse
from hal.frames import Vec3
from hal.profile.body import BodyConfig
from hal.profile.controllability import wrench_matrix
from hal.propulsion import PulsePlan

__all__ = ["NozzleFault", "ThrusterFaultDetector", "ThrusterVerdict"]

Array = npt.NDArray[np.float64]

PULSES_TO_ACCUSE = 5
CLEARLY_BETTER = 30.0
"""Fall of chi-square that a hypothesis must bring over "all is well": 5.5 sigma of one free parameter."""
BETTER_THAN_NEXT = 8.0
"""Fall over the second-best nozzle."""
IDLE_SHARE = 0.7
"""Share of a stuck nozzle's evidence up to which a fired nozzle that did not push may explain the residual too."""
THRUST_SHARE = 0.05
"""One sigma of a nozzle's impulse, as a share of it."""
STUCK_SHARE = 0.67
"""Stuck-on limit as a share of the weakest nozzle's torque: 60 N m of 89.5 for qiki-t."""
PERSIST_S = 0.050
GYRO_SAMPLE_RAD_S = radians(0.11)
ACCEL_SAMPLE_M_S2 = 0.03
BASE_TICKS = 10
"""Ticks over which the residual of a stuck nozzle is summed: 50 ms at 200 Hz."""
_SIX = range(6)


@unique
class NozzleFault(Enum):
    """What is wrong with a nozzle."""

    FAILED_OFF = "failed_off"
    STUCK_ON = "stuck_on"


@dataclass(frozen=True, slots=True)
class ThrusterVerdict:
    """One accusation. ``evidence`` is the last fall of chi-square; ``pulses`` how many in a row (0 for stuck-on)."""

    t_ns: int
    nozzle: int
    fault: NozzleFault
    evidence: float
    pulses: int


class ThrusterFaultDetector:
    """Per-window and per-tick comparison of expected and measured momentum.

    Args:
        body: geometry and mass; a body on an air bearing is judged by x, y and yaw, without gravity's part.
        imu_position_m: place of the inertial unit in the body frame.

    ``start_window`` with each new plan, ``on_tick`` every fast tick with the same expectation that the estimator got.
    A nozzle once reported is not reported again until ``clear``.
    """

    def __init__(self, body: BodyConfig, imu_position_m: Vec3 = (0.0, 0.0, 0.0)) -> None:
        self._wrench = wrench_matrix(body)
        self._count = self._wrench.shape[1]
        inertia = np.array(body.mass.inertia_kg_m2)
        self._inertia_rows: tuple[float, ...] = tuple(inertia.ravel().tolist())
        # Difference of two mean rates, whatever lies between them.
        self._torque_noise2 = 2.0 * (GYRO_SAMPLE_RAD_S * np.linalg.norm(inertia, axis=1)) ** 2
        self._planar = body.environment == "air_bearing"
        self._mass = body.mass.dry_kg + body.mass.propellant_kg
        com = body.mass.centre_of_mass_m
        self._arm = (imu_position_m[0] - com[0], imu_position_m[1] - com[1], imu_position_m[2] - com[2])
        self._axes = np.array([True, True, False, False, False, True] if self._planar else [True] * 6)
        self._torques = np.linalg.norm(self._wrench[3:] * self._axes[3:, None], axis=0)
        self._limit = STUCK_SHARE * float(self._torques[self._torques > 1e-9].min())
        self._latency_s = body.propulsion.valve_latency_ms * 1e-3
        self._in_row = [0] * self._count
        self.reported = 0
        """Mask of the nozzles reported so far."""
        self._plan = PulsePlan.shut(self._count, body.propulsion.window_ms)
        self._plan_before = self._plan
        self._rate: Vec3 | None = None
        self._expected_before: TickImpulse | None = None
        self._window = [0.0] * 6
        self._window_ticks = 0
        self._window_forced = 0
        self._window_s = 0.0
        self._recent: deque[tuple[float, ...]] = deque([(0.0,) * 6] * BASE_TICKS, maxlen=BASE_TICKS)
        self._recent_sum = [0.0] * 6
        self._suspect = -1
        self._suspect_s = 0.0
        self._quick_force = 0.3 * float(np.linalg.norm(self._wrench[:3], axis=0).min())

    def clear(self, nozzle: int) -> None:
        """Give a nozzle another chance, after maintenance or a reset by the operator."""
        self.reported &= ~(1 << nozzle)
        self._in_row[nozzle] = 0

    def start_window(self, now_ns: int, plan: PulsePlan) -> list[ThrusterVerdict]:
        """Judge the window that ends now, and begin the one of ``plan``."""
        verdicts = self._judge(now_ns) if self._window_ticks and any(self._plan.on_ms) else []
        self._plan_before, self._plan = self._plan, plan
        self._window = [0.0] * 6
        self._window_ticks = self._window_forced = 0
        self._window_s = 0.0
        return verdicts

    def on_tick(
        self, now_ns: int, dt_s: float, rate: Vec3, force: Vec3 | None, expected: TickImpulse | None
    ) -> ThrusterVerdict | None:
        """One fast tick: bias-corrected mean rate (rad/s) and specific force (m/s2) of the last ``dt_s`` seconds, body
        axes. ``force`` None means that it says nothing (no sample, or gravity in it)."""
        last = self._rate
        self._rate = rate
        if last is None:
            return None
        jx, jy, jz = self._torque_impulse(rate, last, dt_s)
        px = py = pz = 0.0
        if force is not None:
            ax, ay, az = self._arm
            wx, wy, wz = rate
            wr = wx * ax + wy * ay + wz * az
            w2 = wx * wx + wy * wy + wz * wz
            # Angular acceleration over a tick is mostly gyro noise; its part is small and averages out in the window.
            ex = (wx - last[0]) / dt_s
            ey = (wy - last[1]) / dt_s
            ez = (wz - last[2]) / dt_s
            m = self._mass * dt_s
            px = m * (force[0] - wx * wr + w2 * ax - (ey * az - ez * ay))
            py = m * (force[1] - wy * wr + w2 * ay - (ez * ax - ex * az))
            pz = m * (force[2] - wz * wr + w2 * az - (ex * ay - ey * ax))
        # The difference of two mean rates belongs half to the tick before.
        before = self._expected_before
        self._expected_before = expected
        if expected is not None:
            if force is not None:
                px, py, pz = px - expected.fx, py - expected.fy, pz - expected.fz
            jx, jy, jz = jx - 0.5 * expected.tx, jy - 0.5 * expected.ty, jz - 0.5 * expected.tz
        if before is not None:
            jx, jy, jz = jx - 0.5 * before.tx, jy - 0.5 * before.ty, jz - 0.5 * before.tz
        sums, recent = self._window, self._recent_sum
        old = self._recent[0]
        new = (px, py, pz, jx, jy, jz)
        self._recent.append(new)
        for i in _SIX:
            sums[i] += new[i]
            recent[i] += new[i] - old[i]
        self._window_ticks += 1
        self._window_forced += force is not None
        self._window_s += dt_s
        return self._watch(now_ns, dt_s, force is not None)

    def _torque_impulse(self, rate: Vec3, last: Vec3, dt: float) -> Vec3:
        """What the change of rate says of the torque, N m s: J dw + w x J w dt."""
        j = self._inertia_rows
        dx, dy, dz = rate[0] - last[0], rate[1] - last[1], rate[2] - last[2]
        mx, my, mz = 0.5 * (rate[0] + last[0]), 0.5 * (rate[1] + last[1]), 0.5 * (rate[2] + last[2])
        hx = j[0] * mx + j[1] * my + j[2] * mz
        hy = j[3] * mx + j[4] * my + j[5] * mz
        hz = j[6] * mx + j[7] * my + j[8] * mz
        return (
            j[0] * dx + j[1] * dy + j[2] * dz + (my * hz - mz * hy) * dt,
            j[3] * dx + j[4] * dy + j[5] * dz + (mz * hx - mx * hz) * dt,
            j[6] * dx + j[7] * dy + j[8] * dz + (mx * hy - my * hx) * dt,
        )

    def _noise(self, ticks: int, dt_s: float, forced: bool) -> Array:
        """Covariance (6, 6) of a residual summed over ``ticks``."""
        force = (self._mass * ACCEL_SAMPLE_M_S2 * dt_s) ** 2 * ticks if forced else 1e12
        return np.diag([force] * 3 + self._torque_noise2.tolist())

    def _judge(self, now_ns: int) -> list[ThrusterVerdict]:
        on_s = np.array(self._plan.on_ms) * 1e-3
        fired = on_s > 0.0
        impulses = (self._wrench * on_s)[self._axes]
        dt = self._window_s / self._window_ticks
        forced = self._window_forced == self._window_ticks
        covariance = self._noise(self._window_ticks, dt, forced)[np.ix_(self._axes, self._axes)]
        covariance += THRUST_SHARE**2 * impulses @ impulses.T
        residual = np.array(self._window)[self._axes]
        weighted = np.linalg.solve(covariance, impulses)
        size = np.einsum("in,in->n", impulses, weighted)
        gain = np.where(fired, -2.0 * (residual @ weighted) - size, -np.inf)
        order = gain.argsort()
        best = int(order[-1])
        margin = float(gain[best] - gain[order[-2]])
        verdicts = []
        for nozzle in fired.nonzero()[0].tolist():
            if size[nozzle] < CLEARLY_BETTER:
                # Too small a pulse to tell either way.
                continue
            if nozzle == best and gain[best] > CLEARLY_BETTER and margin > BETTER_THAN_NEXT:
                self._in_row[nozzle] += 1
                if self._in_row[nozzle] >= PULSES_TO_ACCUSE and not self.reported >> nozzle & 1:
                    self.reported |= 1 << nozzle
                    verdicts.append(
                        ThrusterVerdict(now_ns, nozzle, NozzleFault.FAILED_OFF, float(gain[best]), self._in_row[nozzle])
                    )
            else:
                self._in_row[nozzle] = 0
        return verdicts

    def _watch(self, now_ns: int, dt_s: float, forced: bool) -> ThrusterVerdict | None:
        """Stuck-on: cheap look first, hypotheses only if something pushes."""
        r = self._recent_sum
        base_s = BASE_TICKS * dt_s
        if forced:
            big = sqrt(r[0] * r[0] + r[1] * r[1] + (0.0 if self._planar else r[2] * r[2])) > self._quick_force * base_s
        else:
            big = sqrt((0.0 if self._planar else r[3] * r[3] + r[4] * r[4]) + r[5] * r[5]) > self._limit * base_s
        if not big:
            self._suspect, self._suspect_s = -1, 0.0
            return None
        suspect, evidence = self._who_pushes(dt_s, forced)
        if suspect < 0 or suspect != self._suspect:
            self._suspect, self._suspect_s = suspect, dt_s if suspect >= 0 else 0.0
            return None
        self._suspect_s += dt_s
        if self._suspect_s < PERSIST_S - 1e-9 or self.reported >> suspect & 1:
            return None
        self.reported |= 1 << suspect
        return ThrusterVerdict(now_ns, suspect, NozzleFault.STUCK_ON, evidence, 0)

    def _who_pushes(self, dt_s: float, forced: bool) -> tuple[int, float]:
        """The nozzle, commanded shut through the last 50 ms, that best explains the residual; -1 if none does.

        A nozzle that fired and did not push leaves the same residual as one opposite to it that stays open, so while
        that explains as much, nobody is accused: once the pulse is over only the stuck one still pushes.
        """
        base_s = BASE_TICKS * dt_s
        end_s = self._window_s - self._latency_s
        fired_s = _overlap(self._plan, end_s - base_s, end_s)
        if end_s < base_s:
            length_s = self._plan_before.window_ms * 1e-3
            fired_s += _overlap(self._plan_before, end_s - base_s + length_s, length_s)
        wrenches = self._wrench[self._axes]
        residual = np.array(self._recent_sum)[self._axes]
        covariance = self._noise(BASE_TICKS, dt_s, forced)[np.ix_(self._axes, self._axes)]
        weighted = np.linalg.solve(covariance, wrenches)
        size = np.einsum("in,in->n", wrenches, weighted)
        along = residual @ weighted
        share = along / (size * base_s)
        gain = np.where((fired_s <= 0.0) & (share > 0.5), along * along / size, -np.inf)
        idle = np.where(fired_s > 0.0, -fired_s * (2.0 * along + fired_s * size), -np.inf)
        order = gain.argsort()
        best, second = int(order[-1]), int(order[-2])
        if (
            gain[best] < CLEARLY_BETTER
            or gain[best] - gain[second] < BETTER_THAN_NEXT
            or idle.max() > IDLE_SHARE * gain[best]
            or share[best] * self._torques[best] < self._limit
        ):
            return -1, 0.0
        return best, float(gain[best])


def _overlap(plan: PulsePlan, start_s: float, end_s: float) -> Array:
    """Seconds that each nozzle is driven between two moments of a window."""
    opens, closes = np.array(plan.open_ms) * 1e-3, np.array(plan.close_ms) * 1e-3
    driven: Array = np.maximum(np.minimum(closes, end_s) - np.maximum(opens, start_s), 0.0)
    return driven
