"""Relative position and velocity to one target from the craft's own push and from ranges and bearings, late ones
included; an unsure state says so, a lost one is None.

The target drifts freely but for a small white acceleration; the craft's own velocity changes are known from inertial
unit and expected pulses. A range with a bearing starts the state as a point in space; after that whatever was measured
updates it as it is, linearised again where a step was large against the curvature of range (iterated Kalman filter,
Bell and Cathey, IEEE Trans. Automatic Control 38(2), 1993); a range without a bearing corrects along the line of sight
only and has that curvature as noise (second-order filter: Bar-Shalom, Li and Kirubarajan, "Estimation with applications
to tracking and navigation", Wiley 2001, section 10.3), since a target on either side of the line fits it.

The craft's own way is kept apart and remembered: without it the target moves in a straight line, so the state at any
past moment is linear in the present one, which is how late measurements are compared at their own time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import hypot, nan

import numpy as np
import numpy.typing as npt

from firmware_py.gnc.consistency import (
    GATE_1,
    GATE_2,
    GATE_3,
    InnovationWindow,
    Refusal,
    UpdateCounters,
    no_refusals,
)
from firmware_py.gnc.sighting import LARGEST_M_S, Sighting, sighting_refusal
from firmware_py.gnc.sighting_model import LEAST_SIGMA_M, LEAST_SIGMA_RAD, SightingModel
from hal.frames import (
    Quaternion,
    Vec3,
    add,
    cross,
    norm,
    normalise,
    rotate,
    scale,
    subtract,
    to_matrix,
    unit,
)

__all__ = ["RelativeNavigation", "RelativeNoise", "RelativeState"]

Array = npt.NDArray[np.float64]

GATES = (GATE_1, GATE_2, GATE_3, 23.5)
"""Chi-square quantiles at 0.9999; the last is that of four degrees of freedom."""
RING = 512
"""Past moments kept of the craft's own way: 2.5 s at 200 Hz."""
MAX_AGE_NS = 2_500_000_000
MAX_STEP_S = 3600.0
"""Longest step: a free target's way is straight however long it is."""
ITERATIONS = 4
REFUSALS_TO_REACQUIRE = 6
"""Refused ranges with bearing in a row, agreeing with each other, after which the filter is doubted."""
AGREE_SIGMAS = 5.0
EYE2 = np.eye(2)
EYE3 = np.eye(3)
EYE6 = np.eye(6)
ZERO: Vec3 = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class RelativeNoise:
    """What is not known of the target, one sigma, one axis.

    ``target_walk_m_s_rts`` is the root of the spectral density of its acceleration: 2 mm/s per root second for a dock
    without thrust (tides between low orbits 100 m apart are 0.4 mm/s2, which this covers for some 20 s). For a craft
    that manoeuvres, CANON section 12 has 0.5. ``speed_m_s`` is its speed before any is known, ``lost_after_s`` the
    time without measurement after which there is no state (CANON section 7: perception is dead at 30 s).
    """

    target_walk_m_s_rts: float = 2e-3
    speed_m_s: float = 5.0
    lost_after_s: float = 30.0


@dataclass(frozen=True, slots=True)
class RelativeState:
    """Where the target is, as of ``t_ns``.

    ``position`` is the target's reference point minus the craft's centre of mass (m), ``velocity`` its rate of change
    (m/s), both along the axes in which the craft's own attitude is given. Sigmas are those of the worst direction.
    ``measurement_age_ns``: since the exposure of the last measurement that was taken.
    """

    t_ns: int
    position: Vec3
    velocity: Vec3
    sigma_position_m: float
    sigma_velocity_m_s: float
    measurement_age_ns: int | None


class RelativeNavigation:
    """Kalman filter of a target's relative position and velocity. ``propagate`` every fast tick, ``medium`` at the
    medium rate; a sighting with range and bearing starts it.

    Args:
        centre_of_mass_m: of the craft, body frame, as are the mounts of sensors.
        noise: what is not known of the target.
        refusals: counter by reason, shared with others if given.
    """

    __slots__ = (
        "_arm", "_com", "_count", "_doubts", "_elapsed", "_head", "_line", "_measured_ns", "_noise", "_p", "_ring",
        "_sigmas", "_t_ns", "_way", "known", "lost", "refusals", "updates", "window",
    )

    def __init__(
        self, centre_of_mass_m: Vec3 = ZERO, noise: RelativeNoise | None = None,
        refusals: dict[Refusal, int] | None = None,
    ) -> None:
        self._noise = noise if noise is not None else RelativeNoise()
        self.refusals = refusals if refusals is not None else no_refusals()
        self.known = False
        self.lost = 0
        """Times that the target was given up for want of measurements."""
        self.updates = UpdateCounters()
        self.window = InnovationWindow()
        self._com = centre_of_mass_m
        self._t_ns = 0
        self._measured_ns = 0
        # Relative position and velocity as if the craft had not pushed; its own way and velocity go off them.
        self._line: tuple[Vec3, Vec3] = (ZERO, ZERO)
        self._way: tuple[Vec3, Vec3] = (ZERO, ZERO)
        self._ring: list[tuple[int, Vec3, Vec3]] = [(0, ZERO, ZERO)] * RING
        self._head = 0
        self._count = 0
        self._p: Array = EYE6.copy()
        self._elapsed = 0.0
        self._sigmas: tuple[float, float] | None = None
        self._doubts: list[tuple[int, Vec3, float]] = []

    def begin(self, now_ns: int) -> None:
        """Tell the time before the first ``propagate`` or ``update``."""
        self._t_ns = now_ns

    def propagate(self, now_ns: int, dt_s: float, velocity_change: Vec3) -> None:
        """One fast tick of ``dt_s`` seconds in which the craft's velocity changed by that (m/s, inertial axes)."""
        dx, dy, dz = velocity_change
        m = LARGEST_M_S
        if not (0.0 < dt_s <= MAX_STEP_S and -m < dx < m and -m < dy < m and -m < dz < m):
            self.refusals[Refusal.NOT_FINITE if 0.0 < dt_s <= MAX_STEP_S else Refusal.TIME_STEP] += 1
            if not 0.0 < dt_s <= MAX_STEP_S:
                return
            dx = dy = dz = 0.0
        (rx, ry, rz), line = self._line
        self._line = ((rx + line[0] * dt_s, ry + line[1] * dt_s, rz + line[2] * dt_s), line)
        (sx, sy, sz), (wx, wy, wz) = self._way
        way = (sx + (wx + 0.5 * dx) * dt_s, sy + (wy + 0.5 * dy) * dt_s, sz + (wz + 0.5 * dz) * dt_s)
        speed = (wx + dx, wy + dy, wz + dz)
        self._way = (way, speed)
        head = self._head
        if now_ns <= self._ring[head][0]:
            self._count = 0
        if now_ns < self._t_ns:
            # A clock that went back: what was measured stays as old as it was.
            self._measured_ns += now_ns - self._t_ns
            self._doubts.clear()
        head = self._head = (head + 1) % RING
        self._ring[head] = (now_ns, way, speed)
        self._count += 1
        self._t_ns = now_ns
        self._elapsed += dt_s

    def medium(self, own_velocity_variance: float = 0.0) -> None:
        """Bring the covariance up to date, and give the target up when it was not measured for too long.

        ``own_velocity_variance`` (m2/s2, one axis): what the craft's own velocity became less sure by since the last
        call.
        """
        if not self.known:
            return
        self._predict()
        if own_velocity_variance > 0.0:
            self._p.flat[21::7] += min(own_velocity_variance, LARGEST_M_S)
        if self._t_ns - self._measured_ns > self._noise.lost_after_s * 1e9:
            self.known = False
            self.lost += 1
            self._doubts.clear()

    @property
    def range_m(self) -> float | None:
        """Distance to the target; None as ``state``."""
        return norm(subtract(self._line[0], self._way[0])) if self.known else None

    @property
    def state(self) -> RelativeState | None:
        """The present state; None before the first sighting and while the target is lost."""
        if not self.known:
            return None
        if self._sigmas is None:
            p = self._p
            self._sigmas = (
                float(np.sqrt(np.linalg.eigvalsh(p[:3, :3])[-1])), float(np.sqrt(np.linalg.eigvalsh(p[3:, 3:])[-1]))
            )
        return RelativeState(
            self._t_ns, subtract(self._line[0], self._way[0]), subtract(self._line[1], self._way[1]), *self._sigmas,
            self._t_ns - self._measured_ns,
        )

    @property
    def covariance(self) -> Array:
        """6 x 6, m2, m2/s and m2/s2, position before velocity; as of the last ``medium`` or ``update``."""
        return self._p

    def nees(self, position: Vec3, velocity: Vec3) -> float:
        """Normalised estimation error squared against the truth (six degrees of freedom)."""
        self._predict()
        error = np.array([
            *subtract(add(position, self._way[0]), self._line[0]), *subtract(add(velocity, self._way[1]), self._line[1])
        ])
        return float(error @ np.linalg.solve(self._p, error))

    def turn_frame(self, correction: Quaternion) -> None:
        """Express the state in axes turned by ``correction``: when a fix tells anew where inertial is."""
        self._line = (
            rotate(correction, subtract(self._line[0], self._way[0])),
            rotate(correction, subtract(self._line[1], self._way[1])),
        )
        self._way = (ZERO, ZERO)
        self._count = 0
        turn = np.kron(np.eye(2), np.array(to_matrix(correction)))
        self._p = turn @ self._p @ turn.T
        self._sigmas = None
        self._doubts.clear()

    def update(self, sighting: Sighting) -> bool:
        """Compare with a sighting at its own time. Returns whether any of it was taken.

        One without range and bearing together can't start a state and is left until there is one. What is no
        measurement is counted in ``refusals``, what does not fit the state as well; six refused ranges with bearing
        that agree start anew.
        """
        bad = sighting_refusal(sighting)
        past = self._back(sighting.age_ns) if bad is None else None
        if past is None:
            bad = bad if bad is not None else Refusal.TOO_OLD
            self.refusals[bad] += 1
            self.updates.too_old += bad is Refusal.TOO_OLD
            return False
        q = normalise(sighting.quaternion)
        arm = subtract(sighting.mount_m, self._com)
        offset = subtract(sighting.marker_m, rotate(q, arm))
        if not self.known:
            taken = self._point(sighting, q, offset, past, self._start)
        else:
            taken = self._update(SightingModel(sighting, q, offset, past, rotate(q, cross(sighting.rate, arm))))
            if taken:
                self._doubts.clear()
            else:
                taken = self._point(sighting, q, offset, past, self._doubt)
        if taken:
            self._measured_ns = max(self._measured_ns, self._t_ns - sighting.age_ns)
        return taken

    def _point(
        self, seen: Sighting, q: Quaternion, offset: Vec3, past: tuple[Vec3, Vec3],
        use: Callable[[Vec3, Array, int], bool],
    ) -> bool:
        """Hand a range with bearing on as a point in space, the craft's own way left out, with its covariance."""
        if seen.range_m is None or seen.direction is None:
            return False
        bearing = max(seen.sigma_bearing_rad, LEAST_SIGMA_RAD)
        u = rotate(q, unit(seen.direction))
        # The mean of directions scattered about one is shorter than one: the point would lie too near (Lerro and
        # Bar-Shalom, IEEE Trans. AES 29(3), 1993).
        point = subtract(scale(u, seen.range_m * (1.0 + min(bearing, 1.0) ** 2)), offset)
        along = max(seen.sigma_range_m, LEAST_SIGMA_M) ** 2
        across = max(seen.range_m * bearing, LEAST_SIGMA_M) ** 2
        outer = np.outer(u, u)
        return use(add(point, past[0]), across * (EYE3 - outer) + along * outer, seen.age_ns)

    def _start(self, free: Vec3, r: Array, age_ns: int) -> bool:
        """Begin at a point seen ``age_ns`` ago, at rest beside the craft as far as is known."""
        velocity = self._way[1]
        age = age_ns * 1e-9
        self._line = (add(free, scale(velocity, age)), velocity)
        v = EYE3 * self._noise.speed_m_s**2
        self._p = np.block([[r + age**2 * v, age * v], [age * v, v]])
        self._elapsed = 0.0
        self._sigmas = None
        self._doubts.clear()
        self._measured_ns = self._t_ns - age_ns
        self.known = True
        self.updates.accepted += 1
        return True

    def _doubt(self, free: Vec3, r: Array, age_ns: int) -> bool:
        """Count refused points that agree: each near the one before, as far as an unknown target may have gone."""
        t_ns = self._t_ns - age_ns
        sigma = float(np.sqrt(np.trace(r)))
        if self._doubts:
            before_ns, before, before_sigma = self._doubts[-1]
            reach = self._noise.speed_m_s * abs(t_ns - before_ns) * 1e-9
            if norm(subtract(free, before)) > AGREE_SIGMAS * hypot(sigma, before_sigma) + reach:
                self._doubts.clear()
        self._doubts.append((t_ns, free, sigma))
        if len(self._doubts) < REFUSALS_TO_REACQUIRE:
            return False
        self.updates.reacquired += 1
        return self._start(free, r, age_ns)

    def _predict(self) -> None:
        dt = self._elapsed
        if dt <= 0.0:
            return
        f = EYE6.copy()
        f.flat[3:18:7] = dt
        p = f @ self._p @ f.T
        q = self._noise.target_walk_m_s_rts**2
        p.flat[:21:7] += q * dt**3 / 3.0
        p.flat[21::7] += q * dt
        p.flat[3:18:7] += 0.5 * q * dt**2
        p.flat[18:33:7] += 0.5 * q * dt**2
        self._p = p
        self._elapsed = 0.0
        self._sigmas = None

    def _update(self, seen: SightingModel) -> bool:
        """One gated, iterated update in Joseph's form; see ``_along`` for what has no bearing."""
        self._predict()
        if not seen.has_direction:
            return self._along(seen)
        p = self._p
        x0 = x = np.array([*self._line[0], *self._line[1]])
        for attempt in range(ITERATIONS):
            rows = seen.rows(x, self._noise.target_walk_m_s_rts)
            if rows is None:
                return False
            z, h, r, near = rows
            gain, nis = _gain(p, z, h, r)
            if attempt == 0 and not self._gate(nis, len(z)):
                return False
            before, x = x, x0 + gain @ (z + h @ (x - x0))
            if float(np.linalg.norm((x - before)[:3])) < near:
                break
        self._take(x, gain, h, r)
        return True

    def _along(self, seen: SightingModel) -> bool:
        """An update by range or range rate alone. Nothing tells on which side of the line of sight the target is, so
        only what lies along it is corrected; what the place across bends the range by is noise that does not average
        out, so the state does not become surer than that."""
        x, p = np.array([*self._line[0], *self._line[1]]), self._p
        rows = seen.rows(x, self._noise.target_walk_m_s_rts)
        if rows is None:
            return False
        z, h, r, _ = rows
        mean, bend = seen.bend(x, p)
        measured = seen.measured
        z, r = z - mean[measured], r + bend[np.ix_(measured, measured)]
        gain, nis = _gain(p, z, h, r)
        if not self._gate(nis, len(z)):
            return False
        sight = h[0, :3] if measured[0] == 0 else h[0, 3:]
        line = np.outer(sight, sight)
        gain = np.kron(EYE2, line) @ gain
        self._take(x + gain @ z, gain, h, r)
        for part, bent in ((slice(0, 3), bend[0, 0]), (slice(3, 6), bend[1, 1])):
            self._p[part, part] += max(0.0, float(bent - sight @ self._p[part, part] @ sight)) * line
        return True

    def _take(self, x: Array, gain: Array, h: Array, r: Array) -> None:
        left = EYE6 - gain @ h
        p = left @ self._p @ left.T + gain @ r @ gain.T
        self._p = 0.5 * (p + p.T)
        self._sigmas = None
        px, py, pz, vx, vy, vz = x.tolist()
        self._line = ((px, py, pz), (vx, vy, vz))

    def _gate(self, nis: float, count: int) -> bool:
        self.updates.last_nis = nis
        # Written so that a figure that is no number is refused as well.
        if not nis <= GATES[count - 1]:
            self.updates.refused += 1
            self.refusals[Refusal.GATE] += 1
            self.window.refuse()
            return False
        self.updates.accepted += 1
        self.updates.nis_sum += nis
        self.window.add(nis, count)
        return True

    def _back(self, age_ns: int) -> tuple[Vec3, Vec3] | None:
        """Own way and velocity at a past moment; None beyond the memory. Before its beginning there was no push."""
        if age_ns > MAX_AGE_NS:
            return None
        ring, head = self._ring, self._head
        if age_ns == 0 or not self._count:
            return self._way
        t_ns = ring[head][0] - age_ns
        later = head
        for back in range(1, min(self._count, RING)):
            index = (head - back) % RING
            if ring[index][0] <= t_ns:
                (t0, s0, w0), (t1, s1, w1) = ring[index], ring[later]
                share = (t_ns - t0) / (t1 - t0)
                return add(s0, scale(subtract(s1, s0), share)), add(w0, scale(subtract(w1, w0), share))
            later = index
        if self._count >= RING:
            return None
        _, s0, w0 = ring[later]
        # Straight on backwards from the first moment remembered.
        return subtract(s0, scale(w0, (ring[later][0] - t_ns) * 1e-9)), w0


def _gain(p: Array, z: Array, h: Array, r: Array) -> tuple[Array, float]:
    """Optimal gain, and the normalised square of the innovation: not a number where the state is so unsure that what
    is measured drowns in rounding."""
    ph = p @ h.T
    s = h @ ph + r
    try:
        gain: Array = np.linalg.solve(s, ph.T).T
        return gain, float(z @ np.linalg.solve(s, z))
    except np.linalg.LinAlgError:
        return np.zeros(ph.shape), nan
