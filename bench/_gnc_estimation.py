"""Attitude and relative navigation against their theoretical limits and against their own covariances.

The attitude filter flies 50 seeds of gyro (noise, bias, walk, scale, axes out of square: CANON section 7) and star
tracker (2 Hz, 0.02 deg, 100 ms late). Its root mean square error in the last half is compared with the limit that a
Riccati equation of attitude and bias gives for the same noise, solved by scipy; its normalised error with the
chi-square band of 50 runs. Truth and noise are made here, with nothing of the filter's.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from math import degrees, radians, sqrt
from time import perf_counter_ns

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_discrete_are
from scipy.stats import chi2

from bench.harness import Report
from firmware_py.gnc.attitude_covariance import GyroNoise
from firmware_py.gnc.estimator import Estimator
from firmware_py.gnc.mekf import Mekf
from firmware_py.gnc.pulse_book import TickImpulse
from firmware_py.gnc.relative_navigation import RelativeNavigation, RelativeNoise
from firmware_py.gnc.sighting import Sighting
from hal.frames import (
    IDENTITY,
    Quaternion,
    Vec3,
    conjugate,
    multiply,
    normalise,
    quaternion_from_rotation_vector,
    rotate_inverse,
    rotation_vector,
    scale,
)
from hal.profile.loader import load_body

Array = npt.NDArray[np.float64]

SEEDS = 50
TICK_NS, TICK_S = 5_000_000, 0.005
FIX_TICKS = 100
LATENCY_TICKS = 20
STAR_SIGMA = radians(0.02)
RUN_S = 80.0
NOISE = GyroNoise()
SLEW_AXIS = np.array([0.36, 0.48, 0.8])
BLIND_RAD_S = radians(2.0)
"""Rate above which the star tracker gives nothing: CANON section 7."""


def riccati_limit_rad(noise: GyroNoise = NOISE, period_s: float = 0.5, latency_s: float = 0.1) -> float:
    """Root mean square attitude error, one axis, of the best linear filter of gyro and star tracker, over the time
    between two fixes, each ``latency_s`` old when it arrives."""
    q1, q2 = noise.random_walk_rad_rts**2, noise.bias_walk_rad_s_rts**2

    def grow(p: Array, t: float) -> Array:
        f = np.array([[1.0, -t], [0.0, 1.0]])
        return f @ p @ f.T + np.array([[q1 * t + q2 * t**3 / 3.0, -0.5 * q2 * t**2], [-0.5 * q2 * t**2, q2 * t]])

    f, h = np.array([[1.0, -period_s], [0.0, 1.0]]), np.array([[1.0, 0.0]])
    q = grow(np.zeros((2, 2)), period_s)
    before = solve_discrete_are(f.T, h.T, q, np.array([[STAR_SIGMA**2]]))
    gain = before @ h.T / (before[0, 0] + STAR_SIGMA**2)
    after = (np.eye(2) - gain @ h) @ before
    # Known now is what the newest fix said of a time between latency and latency + period ago.
    ages = latency_s + period_s * (np.arange(100) + 0.5) / 100.0
    return float(sqrt(np.mean([grow(after, t)[0, 0] for t in ages])))


@dataclass
class Motion:
    """True rates (n x 3, rad/s, mean of each tick) and the attitudes after them."""

    rates: Array
    attitudes: list[Quaternion]


def motion_of(rates: Array) -> Motion:
    """Integrate mean rates exactly, tick by tick."""
    q, attitudes = IDENTITY, []
    for x, y, z in rates.tolist():
        q = normalise(multiply(q, quaternion_from_rotation_vector((x * TICK_S, y * TICK_S, z * TICK_S))))
        attitudes.append(q)
    return Motion(rates, attitudes)


def wobble(seconds: float, rate_deg_s: float = 0.5) -> Motion:
    """Slow motion about all axes that never repeats within the run."""
    t = TICK_S * (np.arange(round(seconds / TICK_S)) + 0.5)
    a = radians(rate_deg_s)
    return motion_of(np.stack([a * np.sin(0.31 * t), a * np.cos(0.23 * t), a * np.sin(0.53 * t + 1.0)], axis=1))


def slews(rate_deg_s: float, turns: int, rest_s: float) -> Motion:
    """``turns`` half turns about one skew axis, there and back, with a rest before and after each."""
    rest = np.zeros((round(rest_s / TICK_S), 3))
    half = np.outer(np.full(round(180.0 / rate_deg_s / TICK_S), radians(rate_deg_s)), SLEW_AXIS)
    parts = [rest]
    for turn in range(turns):
        parts += [half * (-1.0) ** turn, rest]
    return motion_of(np.concatenate(parts))


class AttitudeRun:
    """One seed: a filter, the gyro that it reads and its star tracker."""

    def __init__(self, motion: Motion, seed: int, learns: bool = True) -> None:
        rng = np.random.default_rng(seed)
        self.motion, self.rng = motion, rng
        n = len(motion.rates)
        noise = NOISE
        draw = rng.standard_normal
        walk = noise.bias_walk_rad_s_rts * sqrt(TICK_S) * draw((n, 3))
        bias = noise.bias_start_rad_s * draw(3) + np.cumsum(walk, axis=0)
        self.distortion = np.where(np.eye(3) > 0.0, noise.scale, noise.misalignment_rad) * draw((3, 3))
        white = noise.random_walk_rad_rts / sqrt(TICK_S) * draw((n, 3))
        gyro = motion.rates @ (np.eye(3) + self.distortion).T + bias + white
        self.gyro: list[Vec3] = [(x, y, z) for x, y, z in gyro.tolist()]
        self.bias: list[Vec3] = [(x, y, z) for x, y, z in bias.tolist()]
        self.filter = Mekf(noise if learns else GyroNoise(scale=1e-9, misalignment_rad=1e-9))
        self.tick = 0

    def step(self) -> None:
        """One fast tick."""
        k = self.tick
        self.tick = k + 1
        self.filter.propagate(self.tick * TICK_NS, TICK_S, self.gyro[k])
        if k % 10 == 9:
            self.filter.predict_covariance()
        exposed = k - LATENCY_TICKS
        if k % FIX_TICKS == 0 and exposed >= 0 and np.abs(self.motion.rates[exposed]).max() < BLIND_RAD_S:
            x, y, z = (STAR_SIGMA * self.rng.standard_normal(3)).tolist()
            seen = multiply(self.motion.attitudes[exposed], quaternion_from_rotation_vector((x, y, z)))
            self.filter.update_attitude(seen, STAR_SIGMA, LATENCY_TICKS * TICK_NS)

    def error(self) -> Vec3:
        """Attitude error now, rad, body axes."""
        return rotation_vector(multiply(conjugate(self.filter.quaternion), self.motion.attitudes[self.tick - 1]))

    def nees(self) -> tuple[float, float]:
        """Of attitude and bias (6 degrees of freedom), and with scale and axes (15)."""
        k = self.tick - 1
        truth = self.motion.attitudes[k], self.bias[k]
        return self.filter.nees(*truth), self.filter.nees(*truth, self.distortion.ravel().tolist())


def attitude_consistency(seeds: int, seconds: float) -> tuple[float, Array, Array]:
    """Root mean square error of one axis in the second half (rad), NEES (seeds x seconds x 2) and mean NIS per
    seed."""
    motion = wobble(seconds)
    squares, nees, nis = [], [], []
    for seed in range(seeds):
        run = AttitudeRun(motion, seed)
        row = []
        for k in range(len(motion.rates)):
            run.step()
            if 2 * k > len(motion.rates) and k % 7 == 0:
                squares.append(np.dot(run.error(), run.error()) / 3.0)
            if k % 200 == 199:
                row.append(run.nees())
        nees.append(row)
        updates = run.filter.attitude_updates
        nis.append(updates.nis_sum / max(1, updates.accepted - 1))
    return sqrt(float(np.mean(squares))), np.array(nees), np.array(nis)


def slew_errors(seeds: int, learns: bool) -> tuple[float, float]:
    """Root mean square over seeds of the attitude error (rad) at the end of a second half turn, star tracker blind
    throughout, and of the rate error along the turn by scale and axes that is still unknown then, as a share of what
    it is at start."""
    motion = slews(10.0, 2, 15.0)
    end = round((15.0 + 18.0 + 15.0 + 18.0) / TICK_S)
    angles, unknown, prior = [], [], []
    for seed in range(seeds):
        run = AttitudeRun(motion, 1000 + seed, learns)
        for _ in range(end):
            run.step()
        angles.append(np.linalg.norm(run.error()))
        left = run.distortion - np.array(run.filter.distortion).reshape(3, 3)
        unknown.append(np.linalg.norm(left @ SLEW_AXIS))
        prior.append(np.linalg.norm(run.distortion @ SLEW_AXIS))
    return tuple(float(np.sqrt(np.mean(np.square(v)))) for v in (angles, np.array(unknown) / np.mean(prior)))  # type: ignore[return-value]


class Approach:
    """One seed of a craft that nears a drifting dock in pulses, with a lidar or radar on an arm."""

    def __init__(self, seed: int, sigma_range_m: float, sigma_bearing_rad: float, start_m: float) -> None:
        self.rng = np.random.default_rng(seed)
        draw = self.rng.standard_normal
        self.noise = RelativeNoise(speed_m_s=0.5)
        self.filter = RelativeNavigation((0.0, 0.0, 0.1), self.noise)
        self.sigma_range, self.sigma_bearing = sigma_range_m, sigma_bearing_rad
        direction = draw(3)
        self.r = start_m * direction / np.linalg.norm(direction)
        self.v = 0.5 * draw(3)
        self.q: Quaternion = normalise(tuple(draw(4).tolist()))
        self.past: list[tuple[Array, Quaternion]] = []
        self.tick = 0

    def step(self) -> None:
        """One fast tick: push now and then, drift, range at 10 Hz, 60 ms late."""
        rng = self.rng
        self.tick += 1
        k = self.tick
        push = np.zeros(3)
        if k % 200 < 9:
            push = 0.004 * np.array([np.sin(0.01 * k), np.cos(0.013 * k), 0.5])
        walk = self.noise.target_walk_m_s_rts * sqrt(TICK_S) * rng.standard_normal(3)
        change = walk - push
        self.r = self.r + self.v * TICK_S + 0.5 * change * TICK_S
        self.v = self.v + change
        self.q = normalise(multiply(self.q, quaternion_from_rotation_vector((0.0, 0.001 * TICK_S, 0.01 * TICK_S))))
        self.past.append((self.r, self.q))
        self.filter.propagate(k * TICK_NS, TICK_S, (float(push[0]), float(push[1]), float(push[2])))
        if k % 10 == 0:
            self.filter.medium()
        if k % 20 == 0:
            self.sight(12)

    def sight(self, late_ticks: int) -> None:
        """One range with bearing from a sensor 1.2 m before the geometric centre to a marker on the dock."""
        r, q = self.past[-1 - late_ticks]
        mount, marker = (1.2, 0.0, 0.0), (0.1, -0.2, 0.3)
        body = np.array(rotate_inverse(q, tuple((r + marker).tolist()))) - np.array(mount) + np.array((0.0, 0.0, 0.1))
        length = float(np.linalg.norm(body))
        side = np.cross(body, (0.0, 0.6, 0.8))
        side /= np.linalg.norm(side)
        up = np.cross(body / length, side)
        a, b, c = self.rng.standard_normal(3).tolist()
        turn = scale(tuple((a * side + b * up).tolist()), self.sigma_bearing)
        x, y, z = (body / length + np.cross(turn, body / length)).tolist()
        self.filter.update(Sighting(
            q, late_ticks * TICK_NS, length + self.sigma_range * c, self.sigma_range, (x, y, z), self.sigma_bearing,
            mount_m=mount, marker_m=marker,
        ))

    def nees(self) -> float:
        """Six degrees of freedom."""
        x, y, z = self.r.tolist()
        u, v, w = self.v.tolist()
        return self.filter.nees((x, y, z), (u, v, w))


def relative_consistency(seeds: int, seconds: float) -> tuple[Array, float, float]:
    """NEES (seeds x seconds), and root mean square errors of position (m) and velocity (m/s) at the end, one axis."""
    rows, far, fast = [], [], []
    for seed in range(seeds):
        run = Approach(seed, 0.02, radians(0.5), 40.0)
        row = []
        for k in range(round(seconds / TICK_S)):
            run.step()
            if k % 200 == 199:
                row.append(run.nees())
        rows.append(row)
        state = run.filter.state
        assert state is not None
        far.append(np.mean(np.square(run.r - np.array(state.position))))
        fast.append(np.mean(np.square(run.v - np.array(state.velocity))))
    return np.array(rows), sqrt(float(np.mean(far))), sqrt(float(np.mean(fast)))


def tick_cost_us(ranging: bool) -> tuple[float, float]:
    """Median time of one ``on_imu`` and of one ``medium``, us; ``ranging`` with a target being followed."""
    estimator = Estimator(load_body("qiki-t"), (0.2, 0.0, 0.05))
    rng = np.random.default_rng(1)
    gyro = [(x, y, z) for x, y, z in (radians(0.1) * rng.standard_normal((500, 3))).tolist()]
    force = [(x, y, z) for x, y, z in (0.03 * rng.standard_normal((500, 3))).tolist()]
    fast, medium = [], []
    gc.disable()
    try:
        for k in range(1, 8001):
            now = k * TICK_NS
            push = TickImpulse(1.0, 0.0, 0.0, 0.0, 0.0, 0.5, 2.0) if k % 50 < 9 else None
            start = perf_counter_ns()
            estimator.on_imu(now, TICK_S, gyro[k % 500], force[k % 500], push)
            fast.append(perf_counter_ns() - start)
            if k % 100 == 20:
                estimator.on_attitude(now, IDENTITY, STAR_SIGMA, 100_000_000)
            if ranging and k % 20 == 0:
                estimator.on_range_bearing(now, 30.0, (1.0, 0.0, 0.0), 0.02, radians(0.5), 60_000_000)
            if k % 10 == 0:
                start = perf_counter_ns()
                estimator.medium(now)
                medium.append(perf_counter_ns() - start)
    finally:
        gc.enable()
    return float(np.median(fast)) * 1e-3, float(np.median(medium)) * 1e-3


def _nees_figures(report: Report, name: str, nees: Array, degrees_of_freedom: int) -> None:
    """Mean over seeds and seconds, and the share of seconds whose mean over seeds is in the 95 % band of that many
    runs."""
    runs = nees.shape[0]
    low, high = (float(chi2.ppf(p, runs * degrees_of_freedom)) / runs for p in (0.025, 0.975))
    mean = float(nees.mean())
    report.add(f"{name}: NEES of {runs} seeds, mean of all seconds", mean, "", f"{degrees_of_freedom} expected",
               f"{low:.2f}..{high:.2f}", low < mean < high)
    each = nees.mean(axis=0)
    inside = float(((each > low) & (each < high)).mean()) * 100.0
    report.add(f"{name}: seconds whose NEES is in that band", inside, "%", "95 expected", "> 85", inside > 85.0)


def run(report: Report) -> None:
    """Add the figures of estimation; about 45 s."""
    limit = riccati_limit_rad()
    rms, nees, nis = attitude_consistency(SEEDS, RUN_S)
    ratio = rms / limit
    report.add("attitude error rms, one axis", degrees(rms), "deg", f"{degrees(limit):.4g} (Riccati, scipy)",
               "<= 1.2 x", ratio <= 1.2)
    report.add("attitude error against the Riccati limit", ratio, "x", 1.0, "<= 1.2", ratio <= 1.2)
    _nees_figures(report, "attitude and bias", nees[:, :, 0], 6)
    _nees_figures(report, "attitude, bias, scale and axes", nees[:, :, 1], 15)
    seen = float(nis.mean())
    report.add("star tracker: mean NIS", seen, "", "3 expected", "2.8..3.2", 2.8 < seen < 3.2)
    _slew_figures(report)
    relative, far, fast = relative_consistency(SEEDS, 20.0)
    _nees_figures(report, "relative position and velocity", relative, 6)
    report.add("relative position error rms, one axis (from 40 m; 0.02 m, 0.5 deg, 10 Hz)", far, "m")
    report.add("relative velocity error rms, one axis", fast, "m/s")
    for name, ranging in (("", False), (", target followed", True)):
        tick, medium = tick_cost_us(ranging)
        report.add(f"estimate per inertial sample{name}, median", tick, "us", None, "< 20", tick < 20.0)
        report.add(f"medium-rate estimate{name}, median", medium, "us", None, "< 200", medium < 200.0)


def _slew_figures(report: Report) -> None:
    ours, left = slew_errors(SEEDS // 2, True)
    plain, _ = slew_errors(SEEDS // 2, False)
    report.add("error after a second blind half turn, beside it without scale and axes", degrees(ours), "deg",
               degrees(plain), "<= 0.5 x", ours <= 0.5 * plain)
    report.add("rate error by scale and axes left after two half turns", 100.0 * left, "%", 100.0, "< 35", left < 0.35)
