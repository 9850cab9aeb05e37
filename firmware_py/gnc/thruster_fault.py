"""Tells from the craft's motion which nozzle does not push, or does not stop; sensor noise alone never accuses one.

Every 25 ms the momentum that gyro and accelerometer saw is compared with what the commanded pulses should have made. A
Kalman filter over angular momentum makes the difference white (the innovations). Each fault of each nozzle is a
hypothesis with a signature of its own in them: the nozzle's wrench, at the times when it should have pushed (failed
off, weak) or should have been shut (stuck on, leaking), as far as the filter has not yet taken it for granted. The
log-likelihood ratio of each hypothesis against "all is well" is summed in a CUSUM (Page, "Continuous inspection
schemes", Biometrika 41, 1954; signatures in innovations: Willsky and Jones, IEEE Trans. Automatic Control 21, 1976). A
nozzle is accused once its sum passes the threshold and beats every rival: other nozzles, its cluster, and loss of
thrust in all of them (Nikiforov, IEEE Trans. Information Theory 41, 1995, for the margin over rivals).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, unique
from math import isfinite, radians

import numpy as np
import numpy.typing as npt

from firmware_py.gnc.pulse_book import TickImpulse
from firmware_py.gnc.pulse_timeline import PulseTimeline
from hal.frames import Vec3, cross
from hal.profile.body import BodyConfig
from hal.profile.controllability import wrench_matrix
from hal.propulsion import PulsePlan

__all__ = ["NozzleFault", "ThrusterFaultDetector", "ThrusterVerdict"]

Array = npt.NDArray[np.float64]

THRESHOLD = 20.0
"""Nats over "all is well". A CUSUM of exact likelihood ratios passes h with odds of at most e^-h a start (Wald): 2e-9,
which leaves three decades below one false alarm in 100,000 pulses for what the noise model does not know."""
MARGIN = 7.0
"""Nats over every rival: odds of one in a thousand of accusing the wrong nozzle of two."""
UNEXPLAINED_SHARE = 0.4
UNEXPLAINED_NATS = 12.0
"""What an accused fault may leave of the misfit: a share, and the noise of some 30 blocks. More is no nozzle's work."""
WEAK_SHARE = 0.5
"""Loss of thrust assumed by "weak"; its sum rises from half that loss on: 25 %."""
LEAK_SHARE = 0.4
"""Thrust of a leaking valve, as a share; its sum rises from half of that on."""
PART, FULL = (0.2, 0.75), (0.75, 1.15)
"""Sizes of a partial and of a full loss (or leak): what hypotheses may take when they are compared."""
PART_PRICE = 7.0
"""Nats by which a partial fault is the less likely one beforehand: one in a thousand."""
CHANCE_PRICE = 12.0
"""Nats by which a fault is the less likely one that begins away from an edge of its own nozzle: valves fail to open
when told to open and to shut when told to shut. Decides between two nozzles that push opposite ways on one line."""
BEGUN = 3.0
SHARP = 8.0
"""Nats at which a sum is said to begin, and that it must gain in that block for its beginning to be dated."""
CHANCE_WAIT_S = 0.2
"""Time that the end of a pulse is given to decide before the beginning of the fault does."""
MISSED_S = 0.075
"""Commanded time without push that an accusation needs: a sticky valve's one missed shortest pulse (30 ms) is not
enough, three are, and a long burn still decides within the 100 ms of CANON section 10.2."""
OPEN_S = 0.050
"""Persistence of stuck-on (CANON section 10.2)."""
TWINS_WAIT_S = 0.150
"""Time that nozzles of one and the same wrench are given to be told apart by their firing times."""
BLOCK_S = 0.025
"""Samples are taken together over this time: an eighth of a window, five ticks of 200 Hz."""
GYRO_SAMPLE_RAD_S = radians(0.11)
"""One sigma of a 200 Hz sample: 0.01 deg/s/rtHz over 100 Hz, and steps of 0.1 deg/s."""
ACCEL_SAMPLE_M_S2 = 0.025
"""One sigma of a 200 Hz sample: 0.2 mg/rtHz over 100 Hz (CANON section 7), steps of 1.25 mg, and a quarter to spare."""
RATE_WALK_RAD_S_RTS = radians(0.03)
"""What the bias estimate and outer torques may change of the rate unseen, per root second."""
THRUST_SHARE = 0.05
"""One sigma of a nozzle's constant thrust error before anything is known of it."""
PULSE_SHARE = 0.02
"""One sigma from pulse to pulse, as a share of the impulse."""
SCALE_LIMIT = 0.15
"""Learned thrust errors stop here (three sigma), so that a fault is never learned."""
SCALE_WALK = 1e-4
"""Drift of a thrust error per block in which the nozzle fires."""
LEARN_BELOW = 3.0
"""Largest sum, nats, of any hypothesis at which thrust errors and force offset are still learned."""
OFFSET_S = 5.0
"""Time constant of the force's learned offset (accelerometer bias, a table that is not level)."""
OFFSET_FIRST = 20
"""Quiet blocks that tell the offset before force may say that a small nozzle is open."""
OFFSET_M_S2 = 0.03
ABSURD = 1e9
"""N s or N m s beyond any craft; products of what is below it stay finite."""
LARGE = 100.0
"""Squared innovation over noise from which it is asked whether any nozzle could have done it."""
ALIKE = 0.02
"""Difference of two wrenches, as a share of them, up to which they are the same to the sensors."""
FORGET = 0.3
"""Nats below which a sum starts anew."""
TELLS = 0.1
"""Squared signature over noise from which a block says something of a hypothesis."""
UNKNOWN = 1e8
"""Variance of momentum at the start, in variances of one block's mean."""

COLLINEAR = 0.9
"""Cosine between two nozzles' pushes from which on one's fault looks like the other's."""


@unique
class NozzleFault(Enum):
    """What is wrong with a nozzle. ``WEAK``: a quarter or more of its thrust is missing, but not all of it."""

    FAILED_OFF = "failed_off"
    STUCK_ON = "stuck_on"
    WEAK = "weak"


@dataclass(frozen=True, slots=True)
class ThrusterVerdict:
    """One accusation.

    ``evidence`` is the log-likelihood ratio against "all is well", nats. ``pulses`` counts the missed or weak pulses
    behind it (0 for stuck-on). ``twins`` masks other nozzles that fit as well: they have the same wrench in the axes
    that are felt, and fired or rested at the same times.
    """

    t_ns: int
    nozzle: int
    fault: NozzleFault
    evidence: float
    pulses: int
    twins: int = 0


class ThrusterFaultDetector:
    """Comparison of expected and measured momentum over 25 ms blocks.

    Args:
        body: geometry and mass; a body on an air bearing is judged by x, y and yaw.
        imu_position_m: place of the inertial unit in the body frame.
        gyro_sample_rad_s: one sigma of one sample of the mean rate.
        accel_sample_m_s2: one sigma of one sample of the specific force.

    ``start_window`` with each new plan, also when it cuts the last one short; ``on_tick`` every fast tick. A nozzle
    once reported is not reported again until ``clear``. Loss of thrust in all nozzles at once (an empty tank) accuses
    none, and a nozzle that alone has fired since the loss began is not told from that.
    """

    def __init__(
        self, body: BodyConfig, imu_position_m: Vec3 = (0.0, 0.0, 0.0), *,
        gyro_sample_rad_s: float = GYRO_SAMPLE_RAD_S, accel_sample_m_s2: float = ACCEL_SAMPLE_M_S2,
    ) -> None:
        prop = body.propulsion
        planar = body.environment == "air_bearing"
        count = self._count = len(prop.nozzles)
        self._timeline = PulseTimeline(count, prop.valve_latency_ms * 1e-3, prop.min_on_ms * 1e-3)
        self._body = body
        self._model_geometry(body, imu_position_m, planar)
        self._gyro_noise = self._momentum_of @ self._momentum_of.T * gyro_sample_rad_s**2
        self._walk = self._momentum_of @ self._momentum_of.T * RATE_WALK_RAD_S_RTS**2
        self._accel_noise = (self._mass * accel_sample_m_s2) ** 2
        weakest = LEAK_SHARE * float(np.linalg.norm(self._push, axis=0).min())
        self._offset_needs = OFFSET_FIRST if weakest < 4.0 * OFFSET_M_S2 * self._mass else 0

        names = [nozzle.cluster for nozzle in prop.nozzles]
        clusters = list(dict.fromkeys(names))
        self._cluster = np.array([[name == cluster for cluster in clusters] for name in names])
        # Columns of all hypotheses: off, weak, on, leak of each nozzle, off of each cluster, loss and weakness of all.
        self._first_cluster, self._first_common = 2 * count, 2 * count + len(clusters)
        self._first_on = self._first_common + 2
        shared = [self._cluster.astype(float), np.ones((count, 1)), np.full((count, 1), WEAK_SHARE)]
        self._off_share = np.hstack([np.eye(count), WEAK_SHARE * np.eye(count), *shared])
        self._hypotheses = self._first_on + 2 * count
        ends = [(FULL, count, 1.0), (PART, count, WEAK_SHARE), (FULL, len(clusters), 1.0), ((PART[0], FULL[1]), 1, 1.0),
                ((PART[0], FULL[1]), 1, WEAK_SHARE), (FULL, count, 1.0), (PART, count, LEAK_SHARE)]
        self._least, self._most = (
            np.concatenate([np.full(number, span[end] / share) for span, number, share in ends]) for end in (0, 1)
        )
        self._price = np.concatenate([np.full(number, PART_PRICE if span is PART else 0.0) for span, number, _ in ends])
        self._alike = self._indistinguishable()

        self.reported = 0
        """Mask of the nozzles reported so far."""
        self.skipped = 0
        """Ticks whose values or length were no numbers to judge by."""
        self.gaps = 0
        """Times that ticks were missing between two."""
        self._stuck = np.zeros(count)
        self._excluded = np.zeros(count)
        self._shut_off = 0
        self._unsure_until = -1.0
        self._unsure = np.zeros(count, dtype=bool)
        self._origin: int | None = None
        self._last_ns: int | None = None
        self._offset = np.zeros(3)
        self._offset_blocks = 0
        self._waiting: deque[ThrusterVerdict] = deque()
        self._scale = np.zeros(count)
        self._scale_cov = np.eye(count) * THRUST_SHARE**2
        self._shift = np.zeros((len(self._turn_axes), self._hypotheses))
        self._shared = np.ones(self._first_on - self._first_cluster, dtype=bool)
        self._edges = np.zeros((2, count), dtype=bool)
        self._along = self._energy = self._sums = self._misfit = self._since_s = np.zeros(self._hypotheses)
        self._chance = np.zeros(self._hypotheses)
        self._missed: npt.NDArray[np.int64] = np.zeros(count, dtype=np.int64)
        self._open: npt.NDArray[np.bool_] = np.ones(self._hypotheses, dtype=bool)
        self._start_over()
        self._restart()

    def _model_geometry(self, body: BodyConfig, place: Vec3, planar: bool) -> None:
        """Wrenches as the unit feels them: force plus angular acceleration times its lever arm, and torque."""
        wrench = wrench_matrix(body)
        inertia = np.array(body.mass.inertia_kg_m2)
        self._mass = body.mass.dry_kg + body.mass.propellant_kg
        push_axes = [0, 1] if planar else [0, 1, 2]
        turn_axes = [2] if planar else [0, 1, 2]
        # What the table takes up neither pushes nor turns.
        felt = np.zeros((6, 6))
        for axis in (*push_axes, *(3 + a for a in turn_axes)):
            felt[axis, axis] = 1.0
        turn = np.zeros((3, 3))
        turn[np.ix_(turn_axes, turn_axes)] = np.linalg.inv(inertia[np.ix_(turn_axes, turn_axes)])
        arm = np.array(place) - np.array(body.mass.centre_of_mass_m)
        ax, ay, az = arm.tolist()
        self._arm: Vec3 = (ax, ay, az)
        self._inertia: tuple[Vec3, ...] = tuple((a, b, c) for a, b, c in inertia.tolist())
        self._pushes_along, self._turns = tuple(push_axes), tuple(turn_axes)
        self._push_axes, self._turn_axes = np.array(push_axes), np.array(turn_axes)
        # m (alpha x arm) = -m [arm]x alpha
        lever = -self._mass * np.array([[0.0, -az, ay], [az, 0.0, -ax], [-ay, ax, 0.0]]) @ turn
        self._lever = lever[self._push_axes]
        self._felt = felt.diagonal().copy()
        wrench = self._wrench = felt @ wrench
        self._push = wrench[:3][self._push_axes] + self._lever @ wrench[3:]
        self._torque = wrench[3:][self._turn_axes]
        self._reach = 2.0 * np.concatenate([np.abs(self._push).sum(axis=1), np.abs(self._torque).sum(axis=1)])
        felt_by_all = np.vstack([self._push / np.abs(self._push).max(), self._torque / np.abs(self._torque).max()])
        felt_by_all /= np.maximum(np.linalg.norm(felt_by_all, axis=0), 1e-12)
        self._cosine: Array = felt_by_all.T @ felt_by_all
        self._momentum_of = inertia[self._turn_axes][:, self._turn_axes]

    def _indistinguishable(self) -> list[list[int]]:
        """For each nozzle the others with the same wrench as far as it is felt."""
        parts = (self._push, self._torque)
        felt = np.vstack([part / max(float(np.abs(part).max()), 1e-12) for part in parts])
        size = np.maximum(np.linalg.norm(felt, axis=0), 1e-12)
        apart = np.linalg.norm(felt[:, :, None] - felt[:, None, :], axis=0) / size
        return [[m for m in range(self._count) if m != n and apart[m, n] < ALIKE] for n in range(self._count)]

    @property
    def thrust_scale(self) -> tuple[float, ...]:
        """Learned thrust of each nozzle over its nominal thrust, within 0.85..1.15."""
        return tuple((1.0 + self._scale).tolist())

    def clear(self, nozzle: int) -> None:
        """Give a nozzle another chance, after maintenance or a reset by the operator."""
        self.reported &= ~(1 << nozzle)
        self._stuck[nozzle] = self._excluded[nozzle] = 0.0
        self._scale[nozzle] = 0.0
        self._scale_cov[nozzle] = self._scale_cov[:, nozzle] = 0.0
        self._scale_cov[nozzle, nozzle] = THRUST_SHARE**2
        self._restart()

    def shut_off(self, nozzles: int) -> None:
        """Mask of the nozzles behind a shut isolation valve: they push no more, stuck open or not, and are not judged.

        What was pushed until the valve had shut is anyone's guess, so the momentum begins anew.
        """
        if nozzles != self._shut_off:
            self._shut_off = nozzles
            self._start_over()
            self._restart()

    def start_window(self, now_ns: int, plan: PulsePlan) -> list[ThrusterVerdict]:
        """Begin the window of ``plan``. Pulses of the last one that have not begun never happen, those that run end now
        (unless the new plan goes on with them) or after their shortest time. Returns verdicts that still wait."""
        now = self._seconds(now_ns)
        self._timeline.start(now, plan)
        if now > self._unsure_until:
            self._unsure[:] = False
        verdicts = list(self._waiting)
        self._waiting.clear()
        return verdicts

    def on_tick(
        self, now_ns: int, dt_s: float, rate: Vec3, force: Vec3 | None, expected: TickImpulse | None
    ) -> ThrusterVerdict | None:
        """One fast tick: bias-corrected mean rate (rad/s) and specific force (m/s2) of the last ``dt_s`` seconds, body
        axes. ``force`` None means that it says nothing (no sample, or gravity in it). ``expected`` is what the
        modulator expects of the tick; where it differs from the plan, the difference counts as unknown."""
        wx, wy, wz = rate
        checked = wx + wy + wz + dt_s
        if force is not None:
            checked += force[0] + force[1] + force[2]
        if not isfinite(checked) or dt_s <= 0.0:
            self.skipped += 1
            self._start_over()
            self._last_ns = now_ns
            return self._next()
        if self._last_ns is not None and abs((now_ns - self._last_ns) * 1e-9 - dt_s) > 0.5 * dt_s:
            self.gaps += 1
            self._start_over()
        self._last_ns = now_ns
        b = self._block
        b[0] += wx * dt_s
        b[1] += wy * dt_s
        b[2] += wz * dt_s
        if force is not None:
            b[3] += force[0] * dt_s
            b[4] += force[1] * dt_s
            b[5] += force[2] * dt_s
            self._forced += 1
        if expected is not None:
            self._told += 1
            b[6] += expected.fx
            b[7] += expected.fy
            b[8] += expected.fz
            b[9] += expected.tx
            b[10] += expected.ty
            b[11] += expected.tz
        self._ticks += 1
        self._time += dt_s
        if self._time < BLOCK_S - 1e-9:
            return self._next() if self._waiting else None
        self._end_block(now_ns)
        self._new_block()
        return self._next()

    def change_imu(self, imu_position_m: Vec3) -> None:
        """Another inertial unit from the next tick on: another lever arm and offset, and what was summed is void."""
        self._model_geometry(self._body, imu_position_m, self._body.environment == "air_bearing")
        self._alike = self._indistinguishable()
        self._offset = np.zeros(3)
        self._offset_blocks = 0
        self._start_over()
        self._restart()

    def rebias(self, change: Vec3) -> None:
        """The rates from now on are larger by ``change`` (rad/s) because another bias is taken off them, not because
        the craft turns otherwise: on a light craft with small nozzles the first corrections look like pushes."""
        if not all(map(isfinite, change)):
            return
        self._momentum = self._momentum + self._momentum_of @ np.array([change[axis] for axis in self._turns])
        for axis in range(3):
            self._block[axis] += change[axis] * self._time

    def _next(self) -> ThrusterVerdict | None:
        return self._waiting.popleft() if self._waiting else None

    def _seconds(self, now_ns: int) -> float:
        if self._origin is None:
            self._origin = now_ns
        return (now_ns - self._origin) * 1e-9

    def _new_block(self) -> None:
        self._block = [0.0] * 12
        self._ticks = self._forced = self._told = 0
        self._time = 0.0

    def _distrust(self) -> None:
        self.skipped += self._ticks
        self._start_over()

    def _start_over(self) -> None:
        """Forget the present block and the momentum: after missing or bad samples it is anyone's guess."""
        self._new_block()
        self._momentum = np.zeros(len(self._turn_axes))
        self._covariance = self._gyro_noise * UNKNOWN
        self._shift[:] = 0.0
        self._quiet_below = [0.0, 0.0]

    # -- one block

    def _end_block(self, now_ns: int) -> None:
        end, length = self._seconds(now_ns), self._time
        x, y, z = self._block[:3]
        rate = (x / length, y / length, z / length)
        forced = self._forced == self._ticks
        on, weight, unsure, edges = self._timeline.between(end - length, end)
        before, self._edges = self._edges, edges
        fired = bool(on.any())
        if fired:
            unsure += (on * PULSE_SHARE) ** 2
        if self.reported:
            unsure += (self._excluded * on) ** 2 + (self._pushing() * length) ** 2 + (self._unsure * on) ** 2
        rows = len(self._push_axes) if forced else 0

        # Signatures of all nozzles: what is measured of commanded pushes, and what they leave in the momentum.
        pushes: Array = self._torque * weight
        if rows:
            pushes = np.vstack([self._push * on, pushes])
        leaves: Array = self._torque * on
        innovation, momentum = self._innovate(rate, pushes, leaves, rows)
        noise, joint, covariance = self._spread(pushes, leaves, on, unsure, rows, fired)
        if not float(np.abs(innovation).max()) < ABSURD:
            self._distrust()
            return
        inverse: Array = np.asarray(np.linalg.inv(noise), dtype=np.float64)
        gain = joint @ inverse
        size = float(innovation @ inverse @ innovation)
        # Nothing on board can do more than every nozzle at once; bad arithmetic shows here too.
        if not size <= LARGE and not (np.abs(innovation) <= self._reach[-len(innovation) :] * self._time).all():
            self._distrust()
            return
        self._momentum = momentum + gain @ innovation
        covariance = covariance - gain @ joint.T
        self._covariance = 0.5 * (covariance + covariance.T)
        still = not fired and not unsure.any()
        # Less misfit than noise alone makes on average: nothing to gain for any hypothesis.
        if not self._alive and size < max(len(innovation), self._quiet_below[forced] if still else 0.0):
            if still:
                self._learn_offset(innovation, rows)
            elif rows:
                self._learn_scale(innovation, inverse, pushes, on)
            return
        self._test(now_ns, innovation, inverse, gain, size, pushes, leaves, on, weight, before, rows, still)

    def _innovate(self, rate: Vec3, pushes: Array, leaves: Array, rows: int) -> tuple[Array, Array]:
        """Measured minus predicted force impulse and mean momentum, and the momentum predicted for the block's end."""
        length = self._time
        scale = 1.0 + self._scale
        innovation = -(pushes @ scale)
        momentum = self._momentum + leaves @ scale
        seen = self._momentum_of @ np.array([rate[axis] for axis in self._turns]) - self._momentum
        if len(self._turns) == 3:
            gyroscopic = np.array(cross(rate, _product(self._inertia, rate))) * length
            momentum -= gyroscopic
            seen += 0.5 * gyroscopic
            if rows:
                innovation[:rows] += self._lever @ gyroscopic
        innovation[rows:] += seen
        if rows:
            centripetal = cross(rate, cross(rate, self._arm))
            force, offset = self._block[3:6], self._offset
            felt = [self._mass * (force[i] - (offset[i] + centripetal[i]) * length) for i in self._pushes_along]
            innovation[:rows] += felt
        return innovation, momentum

    def _spread(
        self, pushes: Array, leaves: Array, on: Array, unsure: Array, rows: int, fired: bool
    ) -> tuple[Array, Array, Array]:
        """Covariance of the innovation, of the momentum with it, and of the momentum at the block's end."""
        turns = len(self._turn_axes)
        covariance = self._covariance + self._walk * self._time
        noise = np.zeros((rows + turns, rows + turns))
        force = self._accel_noise * self._time**2 / self._ticks
        if self._offset_blocks < self._offset_needs:
            force += (self._mass * OFFSET_M_S2 * self._time) ** 2
        noise.flat[: rows * (rows + turns) : rows + turns + 1] = force
        noise[rows:, rows:] = covariance + self._gyro_noise / self._ticks
        joint = np.zeros((turns, rows + turns))
        joint[:, rows:] = covariance
        if fired:
            spread = pushes @ self._scale_cov
            noise += spread @ pushes.T
            joint += leaves @ spread.T
            covariance = covariance + leaves @ self._scale_cov @ leaves.T
        if unsure.any():
            seen = np.vstack([self._push, 0.5 * self._torque]) if rows else 0.5 * self._torque
            noise += (seen * unsure) @ seen.T
            joint += (self._torque * unsure) @ seen.T
            covariance = covariance + (self._torque * unsure) @ self._torque.T
        if fired or self._told:
            # What the modulator and the plan do not agree on may or may not have been pushed.
            astray = self._wrench @ on - self._felt * self._block[6:]
            turned = astray[3:][self._turn_axes]
            seen = 0.5 * turned
            if rows:
                seen = np.concatenate([astray[:3][self._push_axes] + self._lever @ astray[3:], seen])
            noise += np.outer(seen, seen)
            joint += np.outer(turned, seen)
            covariance = covariance + np.outer(turned, turned)
        return noise, joint, covariance

    def _test(
        self, now_ns: int, innovation: Array, inverse: Array, gain: Array, size: float, pushes: Array, leaves: Array,
        on: Array, weight: Array, before: npt.NDArray[np.bool_], rows: int, still: bool,
    ) -> None:
        """Add the block's log-likelihood ratios to the sums of all hypotheses; accuse or learn."""
        length, first_on = self._time, self._first_on
        signature = np.empty((len(innovation), self._hypotheses))
        left = np.empty((len(self._turn_axes), self._hypotheses))
        signature[:, :first_on] = -(pushes @ self._off_share)
        left[:, :first_on] = -(leaves @ self._off_share)
        shut = length - on
        extra = self._torque * (0.5 * length - weight)
        if rows:
            extra = np.vstack([self._push * shut, extra])
        signature[:, first_on:] = np.hstack([extra, LEAK_SHARE * extra])
        left[:, first_on:] = np.hstack([self._torque * shut, LEAK_SHARE * self._torque * shut])
        signature[rows:] += self._shift
        weighted = inverse @ signature
        energy = (signature * weighted).sum(axis=0)
        along = innovation @ weighted
        if rows and self._offset_blocks < self._offset_needs:
            np.minimum(along[first_on:], 0.0, out=along[first_on:])
        self._along = self._along + along
        self._energy = self._energy + energy
        begins, past = self._sums <= BEGUN, self._sums
        self._sums = self._along - 0.5 * self._energy
        begins &= self._sums > BEGUN
        if begins.any():
            opened, closed = self._edges | before
            ends = np.concatenate([opened @ self._off_share > 0.0, closed, closed])
            self._chance[begins] = np.where(ends | (past > FORGET) | (self._sums < SHARP), 0.0, CHANCE_PRICE)[begins]
        alive = (self._sums > FORGET) & self._open
        self._alive = bool(alive.any())
        self._along, self._energy, self._sums = self._along * alive, self._energy * alive, self._sums * alive
        speaks = along > 0.5 * energy
        self._misfit = (self._misfit + 0.5 * (size - len(innovation)) * (energy > TELLS)) * alive
        shared = np.full(first_on - self._first_cluster, length if on.any() else 0.0)
        self._since_s = (self._since_s + np.concatenate([on, on, shared, shut, shut]) * speaks) * alive
        self._missed = (self._missed + self._edges[0]) * (alive[: self._count] | alive[self._count : 2 * self._count])
        self._shift = (self._shift + left - gain @ signature) * alive
        highest = float(self._sums.max())
        if still:
            self._quiet_below[bool(rows)] = 0.1 * float(energy[first_on:].min())
            if not alive[first_on:].any():
                self._learn_offset(innovation, rows)
        elif highest < LEARN_BELOW and rows:
            self._learn_scale(innovation, inverse, pushes, on)
        if highest > THRESHOLD:
            self._decide(now_ns)

    def _learn_offset(self, innovation: Array, rows: int) -> None:
        if not rows:
            return
        self._offset_blocks += 1
        share = max(1.0 / self._offset_blocks, self._time / OFFSET_S)
        self._offset[self._push_axes] += share * innovation[:rows] / (self._mass * self._time)

    def _learn_scale(self, innovation: Array, inverse: Array, pushes: Array, on: Array) -> None:
        """Constant thrust errors, as further states of the filter."""
        spread = pushes @ self._scale_cov
        gain = spread.T @ inverse
        self._scale = np.clip(self._scale + gain @ innovation, -SCALE_LIMIT, SCALE_LIMIT)
        covariance = self._scale_cov - gain @ spread
        self._scale_cov = 0.5 * (covariance + covariance.T)
        self._scale_cov[np.diag_indices(self._count)] += SCALE_WALK**2 * (on > 0.0)

    # -- decision

    def _decide(self, now_ns: int) -> None:
        """Accuse whoever leads clearly, has had its time, and explains what was seen.

        Each hypothesis is compared at the loss or leak that suits it best, so that none wins by its assumed size.
        """
        count = self._count
        share = np.clip(self._along / np.maximum(self._energy, 1e-12), self._least, self._most)
        sums = share * self._along - 0.5 * share * share * self._energy - self._price - self._chance
        best = int(sums.argmax())
        if self._first_common <= best < self._first_on or self._sums[best] < THRESHOLD:
            return
        left = self._misfit[best] - sums[best]
        if left > UNEXPLAINED_SHARE * self._misfit[best] + UNEXPLAINED_NATS:
            return
        rivals = sums.copy()
        if self._first_cluster <= best < self._first_common:
            members = self._cluster[:, best - self._first_cluster].nonzero()[0]
            rivals[best] = rivals[members] = rivals[count + members] = 0.0
            if sums[best] - rivals.max() >= MARGIN:
                late = (self._since_s[members] > MISSED_S - 1e-9) & (sums[members] > 0.5 * THRESHOLD)
                for nozzle in members[late].tolist():
                    self._accuse(now_ns, nozzle, NozzleFault.FAILED_OFF, nozzle, 0)
                if late.any():
                    self._restart(best)
            return
        stuck = best >= self._first_on
        base = self._first_on if stuck else 0
        nozzle = (best - base) % count
        full, partly = base + nozzle, base + count + nozzle
        rivals[full] = rivals[partly] = 0.0
        if not stuck:
            # A lost cluster has lost this nozzle too.
            rivals[self._first_cluster : self._first_common][self._cluster[nozzle]] = 0.0
        since = float(max(self._since_s[full], self._since_s[partly]))
        if since < (OPEN_S if stuck else MISSED_S) - 1e-9:
            return
        twins = 0
        for other in self._alike[nozzle]:
            for column in (base + other, base + count + other):
                # Only what was measured tells twins apart.
                if sums[best] + self._chance[best] - rivals[column] - self._chance[column] < MARGIN:
                    twins |= 1 << other
                rivals[column] = 0.0
        if sums[best] - rivals.max() < MARGIN or (twins and since < TWINS_WAIT_S - 1e-9):
            return
        plain = np.where(rivals > 0.0, rivals + self._chance, 0.0)
        if since < CHANCE_WAIT_S - 1e-9 and sums[best] + self._chance[best] - plain.max() < MARGIN:
            return
        fault = NozzleFault.STUCK_ON if stuck else NozzleFault.WEAK if best == partly else NozzleFault.FAILED_OFF
        self._accuse(now_ns, nozzle, fault, best, twins)
        self._restart(best)

    def _accuse(self, now_ns: int, nozzle: int, fault: NozzleFault, column: int, twins: int) -> None:
        stuck = fault is NozzleFault.STUCK_ON
        pulses = 0 if stuck else max(1, int(self._missed[nozzle]))
        self._waiting.append(ThrusterVerdict(now_ns, nozzle, fault, float(self._sums[column]), pulses, twins))
        self.reported |= 1 << nozzle
        self._excluded[nozzle] = 1.0
        if stuck:
            self._stuck[nozzle] = 1.0
            # Its cluster's isolation valve may shut the others of this window.
            self._unsure |= self._cluster[:, self._cluster[nozzle]].any(axis=1)
            self._unsure_until = self._seconds(now_ns) + 2.0 * BLOCK_S

    def _restart(self, found: int | None = None) -> None:
        """Sums begin anew, since the model has changed: what the fault found did to the momentum is now known."""
        if found is not None:
            self._momentum = self._momentum + self._shift[:, found]
        zero = np.zeros(self._hypotheses)
        self._along, self._energy, self._sums, self._misfit, self._since_s = (zero.copy() for _ in range(5))
        self._shift = np.zeros((len(self._turn_axes), self._hypotheses))
        self._missed = np.zeros(self._count, dtype=np.int64)
        self._alive = False
        self._chance = np.zeros(self._hypotheses)
        off = np.array([not (self.reported | self._shut_off) >> n & 1 for n in range(self._count)])
        on = off.copy()
        for stuck in self._pushing().nonzero()[0].tolist():
            # How strongly a stuck nozzle pushes is not known: what opposes it cannot be told from a failed opponent.
            off &= self._cosine[stuck] > -COLLINEAR
            on &= self._cosine[stuck] < COLLINEAR
        self._open = np.concatenate([off, off, self._shared, on, on])

    def _pushing(self) -> Array:
        """1 for every nozzle that is stuck open and not shut off."""
        return self._stuck * np.array([not self._shut_off >> n & 1 for n in range(self._count)])


def _product(rows: tuple[Vec3, ...], v: Vec3) -> Vec3:
    (a, b, c), (d, e, f), (g, h, i) = rows
    x, y, z = v
    return (a * x + b * y + c * z, d * x + e * y + f * z, g * x + h * y + i * z)
