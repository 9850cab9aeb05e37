"""Joins attitude filter, rate observer, dead reckoning and the way to a target into one navigation state, with its
own honest quality; no input raises or leaves it anything but finite.

Order within a fast tick: ``on_imu`` (or ``coast`` if the inertial unit gave nothing), then whatever fixes arrived;
``medium`` at the medium rate. What is refused is counted by reason in ``refusals``; how well innovations fit is in
``consistency``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, hypot, isfinite, pi, radians, sqrt
from typing import NamedTuple

from firmware_py.gnc.attitude_covariance import GyroNoise
from firmware_py.gnc.consistency import (
    Agreement,
    InnovationFigures,
    InnovationWindow,
    Refusal,
    direction_refusal,
    no_refusals,
)
from firmware_py.gnc.mekf import Mekf
from firmware_py.gnc.navigation import MAX_STOP_S, AccelNoise, Navigation
from firmware_py.gnc.pulse_book import TickImpulse
from firmware_py.gnc.rate_observer import RateObserver
from firmware_py.gnc.relative_navigation import RelativeNavigation, RelativeNoise, RelativeState
from firmware_py.gnc.sighting import Sighting
from hal.frames import (
    Quaternion,
    Vec3,
    conjugate,
    multiply,
    quaternion_between,
    rotate,
    rotate_inverse,
    scale,
    subtract,
    unit,
)
from hal.profile.body import BodyConfig

__all__ = ["Consistency", "Estimator", "NavState"]

STANDARD_GRAVITY = 9.80665
SUN_KEPT_NS = 2_000_000_000
"""Age beyond which a measured Sun vector is no longer offered: five slots of the Sun sensors' 5 Hz, with margin."""
LEVEL_SAMPLES = 50
"""Samples of the accelerometer that level the bench at start."""
GRAVITY_GATE = 0.12
"""Share of g by which the mean specific force may differ from g and still be taken for gravity."""
GRAVITY_SIGMA_RAD = 0.012
"""Tilt error of a mean specific force that is exactly g long, craft at rest: bias of 5 mg, mounting, levelling of the
table."""
GRAVITY_PER_RATE = 0.15
"""Further tilt sigma (rad) per rad/s of body rate."""
MOTION_FLOOR_RAD = 0.02
LEVEL_SIGMA_RAD = radians(2.0)
"""Least one-sigma error of the first levelling."""
COASTING_RAD_S_RTS = radians(0.1)
"""Rate random walk admitted without inertial samples in free space."""
HANDLED_RAD_S_RTS = radians(40.0)
"""The same on a bench, where hands and the table push."""
COMPASS_SIGMA_RAD = radians(4.0)
MAX_STEP_S = 1.0
"""Longest step that one tick may stand for."""
MAX_IMPULSE = 1e6
"""Impulse of one tick (N s, N m s) beyond which no craft of this kind pushes."""
ZERO: Vec3 = (0.0, 0.0, 0.0)
NO_INNOVATIONS = InnovationWindow()

SPARE_MOST_RAD_S = radians(3.0)
"""Difference of rates that is no bias of any unit."""
SPARE_BIAS_RAD_S = radians(1.0)
"""Bias at start of a unit that was not flown before, one sigma: twice what small MEMS gyros have at turn-on."""


class Consistency(NamedTuple):
    """How well recent innovations fit the filters' own sigmas, by sensor."""

    attitude: InnovationFigures
    sun: InnovationFigures
    magnetic: InnovationFigures
    gravity: InnovationFigures
    relative: InnovationFigures

    @property
    def within(self) -> bool:
        """Whether no sensor says that a filter is surer than it should be."""
        return all(figures.agreement is not Agreement.OVERCONFIDENT for figures in self)


@dataclass(frozen=True, slots=True)
class NavState:
    """Where the craft is and how it moves, as of ``t_ns``.

    Vectors named ``position`` and ``velocity`` are inertial (m, m/s, centre of mass, origin at boot), ``rate`` and the
    biases are body axes. Until ``attitude_known``, ``quaternion`` is relative to the attitude at boot and so are
    position and velocity. Sigmas are one axis, one sigma. Ages are ns; None means never.
    """

    t_ns: int
    quaternion: Quaternion
    rate: Vec3
    gyro_bias: Vec3
    accel_bias: Vec3
    position: Vec3
    velocity: Vec3
    sigma_attitude_rad: float
    sigma_rate_rad_s: float
    sigma_position_m: float
    sigma_velocity_m_s: float
    attitude_known: bool
    sun_body: Vec3 | None
    fix_age_ns: int | None
    imu_age_ns: int | None
    disagreement: bool
    """Measured and expected push differ beyond their errors (nozzle fault suspected)."""
    relative: RelativeState | None = None
    """The way to the target that is being ranged, if there is one."""


class Estimator:
    """Estimates attitude, rate, position and velocity of one craft.

    Args:
        body: mass, nozzles and environment.
        imu_position_m: place of the inertial unit in the body frame.
        gravity: whether the accelerometer feels gravity; by default where the body stands on an air bearing.
        magnetic_reference: field direction in inertial axes, any length. None on a bench: the first measured field
            fixes heading zero; None in free space: the magnetometer is not used.
        gyro, accel, target: error figures; defaults are those of the reference board and of a passive dock.
    """

    def __init__(
        self,
        body: BodyConfig,
        imu_position_m: Vec3 = (0.0, 0.0, 0.0),
        *,
        gravity: bool | None = None,
        magnetic_reference: Vec3 | None = None,
        gyro: GyroNoise | None = None,
        accel: AccelNoise | None = None,
        target: RelativeNoise | None = None,
    ) -> None:
        self.gravity = body.environment == "air_bearing" if gravity is None else gravity
        self.refusals: dict[Refusal, int] = no_refusals()
        """Inputs not used, by reason, of the estimator and all its parts."""
        self._body = body
        self.filter = Mekf(gyro, self.refusals)
        self.observer = RateObserver(body, refusals=self.refusals)
        self.navigation = Navigation(body, imu_position_m, self.gravity, accel, self.refusals)
        self.relative = RelativeNavigation(body.mass.centre_of_mass_m, target, self.refusals)
        self._ranging = False
        self._velocity_variance = 0.0
        self._reference = magnetic_reference
        self._t_ns = 0
        self._boot_ns = 0
        self._imu_ns: int | None = None
        self._fix_ns: int | None = None
        self._sun: Vec3 | None = None
        self._sun_ns = 0
        self._sigma_attitude = pi
        self._sigma_frame = 0.0
        self._sigma_bias = self.filter.sigma_bias_rad_s
        self._nav: NavState | None = None
        self._force_sum: Vec3 = (0.0, 0.0, 0.0)
        self._force_count = 0
        self._force_size = 0.0
        self._levelled = False
        self._field: Vec3 | None = None
        self.gravity_used = 0
        self.gravity_refused = 0
        self._coast_s = 0.0
        self.coasted = 0
        """Ticks without an inertial sample."""

    def on_imu(
        self, now_ns: int, dt_s: float, rate: Vec3, force: Vec3 | None, expected: TickImpulse | None = None
    ) -> bool:
        """One inertial sample: mean rate (rad/s) and specific force (m/s2) of the last ``dt_s`` seconds, body axes.

        ``expected`` is what the commanded pulses should have done meanwhile (``PulseModulator.expected``). Returns
        whether the rate was used; one that is no rate is like no sample. Without its errors it is ``filter.rate``.
        """
        if expected is not None:
            expected = self._usable(expected)
        filter_ = self.filter
        if not filter_.propagate(now_ns, dt_s, rate):
            if 0.0 < dt_s <= MAX_STEP_S:
                # A sample that is none is no sample.
                self._model_only(now_ns, dt_s, expected)
            else:
                self._stop(now_ns, dt_s)
            return False
        self._tell_time(now_ns)
        if self._imu_ns is None:
            self._boot_ns = now_ns
        self._imu_ns = now_ns
        self._coast_s = 0.0
        self._nav = None
        observer = self.observer
        observer.update(dt_s, filter_.rate, ZERO, self._sigma_bias, expected)
        self._reckon(now_ns, dt_s, force, expected)
        if self.gravity and force is not None and direction_refusal(force) is None:
            # Summed in the frame in which the gyro is integrated, so that a turn does not smear gravity.
            fx, fy, fz = rotate(filter_.integrated, force)
            x, y, z = self._force_sum
            self._force_sum = (x + fx, y + fy, z + fz)
            self._force_count += 1
            self._force_size += abs(hypot(force[0], force[1], force[2]) - STANDARD_GRAVITY)
        return True

    def change_imu(
        self, imu_position_m: Vec3, sample: Vec3 | None = None, bias: Vec3 | None = None, doubt_rad: float = 0.0
    ) -> None:
        """Another inertial unit from now on: its biases are learnt anew, attitude and position are kept.

        ``bias``: what is known of its bias (rad/s). If nothing is, ``sample``: its first rate (rad/s), where the rate
        so far is to be trusted: the difference is its bias then. ``doubt_rad``: what the last unit may have turned the
        attitude by wrongly before it was found out; without it that would be taken for bias of the new one.
        """
        self._nav = None
        if bias is None and sample is not None:
            bias = subtract(sample, self.observer.rate)
        if bias is None or max(map(abs, bias)) > SPARE_MOST_RAD_S:
            self.filter.change_gyro(ZERO, SPARE_BIAS_RAD_S)
        else:
            self.filter.change_gyro(bias, self.filter.noise.bias_start_rad_s)
        self.filter.inflate(doubt_rad)
        self._sigma_attitude = self.filter.sigma_attitude_rad
        self._sigma_bias = self.filter.sigma_bias_rad_s
        self.navigation.change_imu(self._body, imu_position_m)

    def coast(self, now_ns: int, dt_s: float, expected: TickImpulse | None = None) -> None:
        """One tick without an inertial sample: model only, and the uncertainty grows accordingly."""
        if not 0.0 < dt_s <= MAX_STEP_S:
            self.filter.propagate(now_ns, dt_s, self.observer.rate)
            self._stop(now_ns, dt_s)
            return
        self._model_only(now_ns, dt_s, None if expected is None else self._usable(expected))

    def _stop(self, now_ns: int, dt_s: float) -> None:
        """A step that the filter has refused: if it was a stop of seconds, that time has passed all the same."""
        if not MAX_STEP_S < dt_s <= MAX_STOP_S:
            return
        self._tell_time(now_ns)
        self._nav = None
        self.navigation.stop(dt_s)
        if self._ranging:
            self.relative.propagate(now_ns, dt_s, ZERO)

    def _tell_time(self, now_ns: int) -> None:
        back = self._t_ns - now_ns
        if back > 0:
            # A clock that went back: what was measured stays as old as it was.
            self._boot_ns -= back
            self._sun_ns -= back
            self._imu_ns = None if self._imu_ns is None else self._imu_ns - back
            self._fix_ns = None if self._fix_ns is None else self._fix_ns - back
        self._t_ns = now_ns

    def _model_only(self, now_ns: int, dt_s: float, expected: TickImpulse | None) -> None:
        self._tell_time(now_ns)
        self._nav = None
        self.coasted += 1
        observer, filter_ = self.observer, self.filter
        observer.coast(dt_s, expected, HANDLED_RAD_S_RTS if self.gravity else COASTING_RAD_S_RTS)
        filter_.coast(now_ns, dt_s, observer.rate)
        # A wrong rate stays wrong, so its angle grows with the time without samples, not with its root.
        before, self._coast_s = self._coast_s, self._coast_s + dt_s
        filter_.inflate(sqrt(observer.variance * (self._coast_s**2 - before**2)))
        self._reckon(now_ns, dt_s, None, expected)

    def _reckon(self, now_ns: int, dt_s: float, force: Vec3 | None, expected: TickImpulse | None) -> None:
        """Position and velocity, and with them the way to a target."""
        navigation = self.navigation
        before = navigation.velocity
        navigation.update(dt_s, self.filter.quaternion, self.observer.rate, force, expected, self._sigma_frame)
        if self._ranging:
            self.relative.propagate(now_ns, dt_s, subtract(navigation.velocity, before))

    def _usable(self, expected: TickImpulse) -> TickImpulse | None:
        """The expected push if it is one; else it is counted, and none is expected."""
        if all(-MAX_IMPULSE < part < MAX_IMPULSE for part in expected):
            return expected
        finite = all(isfinite(part) for part in expected)
        self.refusals[Refusal.OUT_OF_RANGE if finite else Refusal.NOT_FINITE] += 1
        return None

    def on_attitude(self, now_ns: int, quaternion: Quaternion, sigma_rad: float, age_ns: int = 0) -> bool:
        """A star-tracker fix, body to inertial, exposed ``age_ns`` ago. Returns whether it was taken."""
        before = self._before()
        anew, old = self.filter.attitude_updates.reacquired, self.filter.quaternion
        taken = self.filter.update_attitude(quaternion, sigma_rad, age_ns)
        if taken:
            self._fix_ns = now_ns - age_ns
        if self.filter.attitude_updates.reacquired > anew:
            # What was ranged was seen from the body: it turns with the attitude.
            self.relative.turn_frame(multiply(self.filter.quaternion, conjugate(old)))
        self._after(before)
        return taken

    def on_sun(
        self, now_ns: int, body_vec: Vec3, sigma_rad: float = radians(0.5), inertial: Vec3 | None = None,
        age_ns: int = 0,
    ) -> bool:
        """A Sun vector (body) measured ``age_ns`` ago. With its direction in inertial axes it also corrects the
        attitude."""
        if self._refused(direction_refusal(body_vec) or (Refusal.FUTURE if age_ns < 0 else None)):
            return False
        self._sun = unit(body_vec)
        self._sun_ns = now_ns - age_ns
        self._nav = None
        if inertial is None:
            return False
        before = self._before()
        taken = self.filter.update_vector(body_vec, inertial, sigma_rad, "sun", age_ns)
        self._after(before)
        return taken

    def on_magnetic(
        self, now_ns: int, field_t: Vec3, sigma_rad: float = COMPASS_SIGMA_RAD,  # noqa: ARG002 - one form for all
        age_ns: int = 0,
    ) -> bool:
        """A magnetic field (body, tesla or any unit) measured ``age_ns`` ago. Returns whether it corrected the
        attitude.

        On a bench it gives heading only. Elsewhere it needs a ``magnetic_reference``.
        """
        if self._refused(direction_refusal(field_t) or (Refusal.FUTURE if age_ns < 0 else None)):
            return False
        self._field = field_t
        if self.gravity:
            if not self.filter.known:
                return False
            if self._reference is None:
                self._reference = rotate(self.filter.quaternion, unit(field_t))
                return True
            taken = self.filter.update_heading(field_t, self._reference, sigma_rad, "magnetic", age_ns)
            self._nav = None
            return taken
        if self._reference is None:
            return False
        before = self._before()
        taken = self.filter.update_vector(field_t, self._reference, sigma_rad, "magnetic", age_ns)
        self._after(before)
        return taken

    def on_range_bearing(
        self, now_ns: int, range_m: float | None, direction_body: Vec3 | None, sigma_range_m: float,  # noqa: ARG002
        sigma_bearing_rad: float, age_ns: int = 0, *, range_rate_m_s: float | None = None,
        sigma_range_rate_m_s: float = 0.0, mount_m: Vec3 = ZERO, marker_m: Vec3 = ZERO,
    ) -> bool:
        """Range (m) and direction (body axes) from a sensor at ``mount_m`` (body frame) to the target's marker, which
        stands ``marker_m`` (inertial axes) from its reference point, measured ``age_ns`` ago; None is what the sensor
        does not give. The first with both starts ``NavState.relative``. Returns whether it was taken.
        """
        if not self._ranging:
            self._ranging = True
            self.relative.begin(self._t_ns)
            self._velocity_variance = self.navigation.velocity_variance
        q = self.filter.attitude_at(age_ns)
        if self._refused(Refusal.FUTURE if age_ns < 0 else Refusal.TOO_OLD if q is None else None) or q is None:
            return False
        if not isfinite(sigma_bearing_rad) or sigma_bearing_rad <= 0.0:
            bearing = sigma_bearing_rad
        else:
            bearing = hypot(sigma_bearing_rad, self._sigma_frame)
        self._nav = None
        return self.relative.update(Sighting(
            q, age_ns, range_m, sigma_range_m, direction_body, bearing, range_rate_m_s, sigma_range_rate_m_s,
            self.observer.rate, mount_m, marker_m,
        ))

    def _refused(self, reason: Refusal | None) -> bool:
        if reason is None:
            return False
        self.refusals[reason] += 1
        return True

    def medium(self, now_ns: int) -> None:
        """Medium-rate work: covariance, gravity as a reference, ageing of what was measured."""
        if self.gravity:
            self._use_gravity(now_ns)
        filter_ = self.filter
        filter_.predict_covariance()
        self._sigma_attitude = filter_.sigma_attitude_rad
        # Before the first fix the frame is that of boot, and only the drift since then is unknown.
        self._sigma_frame = (
            self._sigma_attitude if filter_.known else min(1.0, self._sigma_bias * (now_ns - self._boot_ns) * 1e-9)
        )
        self._sigma_bias = filter_.sigma_bias_rad_s
        if self._ranging:
            variance = self.navigation.velocity_variance
            self.relative.medium(variance - self._velocity_variance)
            self._velocity_variance = max(variance, self._velocity_variance)
        if self._sun is not None and now_ns - self._sun_ns > SUN_KEPT_NS:
            self._sun = None
        self._nav = None

    @property
    def nav(self) -> NavState:
        """The present state; built once a tick, when first asked for."""
        nav = self._nav
        if nav is None:
            filter_, navigation, t = self.filter, self.navigation, self._t_ns
            nav = self._nav = NavState(
                t, filter_.quaternion, self.observer.rate, filter_.bias, navigation.bias, navigation.position,
                navigation.velocity, self._sigma_attitude, sqrt(self.observer.variance + self._sigma_bias**2),
                navigation.sigma_position_m, navigation.sigma_velocity_m_s, filter_.known, self._sun,
                None if self._fix_ns is None else t - self._fix_ns,
                None if self._imu_ns is None else t - self._imu_ns, navigation.disagreed, self.relative.state,
            )
        return nav

    @property
    def consistency(self) -> Consistency:
        """Recent innovations of every sensor; reckoned when asked for."""
        windows = self.filter.windows
        attitude, sun, magnetic, gravity = (
            windows.get(kind, NO_INNOVATIONS).figures for kind in ("attitude", "sun", "magnetic", "gravity")
        )
        return Consistency(attitude, sun, magnetic, gravity, self.relative.window.figures)

    def _before(self) -> Quaternion | None:
        return None if self.filter.known else self.filter.quaternion

    def _after(self, boot_frame: Quaternion | None) -> None:
        """The first fix turns what was integrated in the frame of boot into inertial axes."""
        self._nav = None
        if boot_frame is not None and self.filter.known:
            turn = multiply(self.filter.quaternion, conjugate(boot_frame))
            self.navigation.turn_frame(turn)
            self.relative.turn_frame(turn)
            self._sigma_attitude = self.filter.sigma_attitude_rad

    def _use_gravity(self, now_ns: int) -> None:
        count = self._force_count
        if count == 0 or (not self._levelled and not self.filter.known and count < LEVEL_SAMPLES):
            return
        x, y, z = rotate_inverse(self.filter.integrated, scale(self._force_sum, 1.0 / count))
        spread = self._force_size / count
        self._force_sum = (0.0, 0.0, 0.0)
        self._force_count = 0
        self._force_size = 0.0
        size = hypot(x, y, z)
        if abs(size - STANDARD_GRAVITY) > GRAVITY_GATE * STANDARD_GRAVITY:
            self.gravity_refused += 1
            return
        filter_ = self.filter
        w = self.observer.rate
        # White noise of the mean is small; what a moving craft adds is slow, so it is counted as many samples' worth.
        motion = spread / STANDARD_GRAVITY
        sigma = GRAVITY_SIGMA_RAD + 8.0 * max(0.0, motion - MOTION_FLOOR_RAD) + GRAVITY_PER_RATE * hypot(*w)
        sigma = min(sigma, 1.0)
        if not filter_.known:
            self._level((x, y, z), sigma)
            return
        if filter_.update_vector((x, y, z), (0.0, 0.0, 1.0), sigma, "gravity"):
            self.gravity_used += 1
            self._fix_ns = now_ns
        else:
            self.gravity_refused += 1

    def _level(self, force: Vec3, sigma_rad: float) -> None:
        """Set the attitude from gravity, and from the field where its reference is known; else heading is zero."""
        tilt = quaternion_between(force, (0.0, 0.0, 1.0))
        if self._reference is not None:
            if self._field is None:
                return
            seen = rotate(tilt, unit(self._field))
            flat_seen, flat = (seen[0], seen[1], 0.0), (self._reference[0], self._reference[1], 0.0)
            if hypot(*flat_seen) < cos(radians(80.0)) or hypot(*flat) == 0.0:
                return
            tilt = multiply(quaternion_between(flat_seen, flat), tilt)
        before = self.filter.quaternion
        self.filter.set_attitude(tilt, hypot(LEVEL_SIGMA_RAD, sigma_rad))
        self._levelled = True
        self._after(before)
