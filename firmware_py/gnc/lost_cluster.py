"""Recovery after a lost cluster of nozzles: rates nulled, a push that is left turned into the wanted direction, pushed.

A firm push goes before one that cannot be trimmed. An axis whose torque has a push as its price is left to spin where
nulling it first would cost too much speed: the push afterwards pays for it (CANON section 3: "turn so that the wanted
push lies on a live axis, push, accept a free roll").

Each step has a name and a longest time, and the number of rounds and the planned propellant are bounded.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, unique
from math import inf, isfinite, radians

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.guidance import REST_SPEED_M_S, SETTLE_NS, GuidanceLimits, Phase, Target
from firmware_py.gnc.remaining_authority import (
    AXIS_OF_PUSH,
    POINTED_RAD,
    PushChoice,
    Remaining,
    Survey,
    choose_push,
)
from firmware_py.gnc.thrust_modes import ThrustMode
from hal.frames import (
    Vec3,
    add,
    angle_between,
    dot,
    multiply,
    norm,
    quaternion_between,
    rotate,
    rotate_inverse,
    scale,
    subtract,
    unit,
)
from hal.profile.body import BodyConfig

__all__ = ["LostCluster"]

ZERO: Vec3 = (0.0, 0.0, 0.0)
STANDARD_GRAVITY = 9.80665
PARASITE_M_S = 1.0
"""Speed that nulling one axis may cost before the push. Turning with a spin is the dearer way: from 1 m/s and 20 deg/s
of roll, variant T without cluster A uses 2.7 kg if the roll goes first (0.8 m/s), 4.2 kg if the push stops it."""
CALM_RAD_S = radians(0.3)
REAIM_RAD = radians(6.0)
"""Change of the wanted direction that the turn follows: less is steered out while pushing."""
ASTRAY_RAD = radians(20.0)
STEERED_M_S = 0.15
"""Below that much left the direction is kept: what is left then turns faster than the craft."""
PUSHED_M_S = 0.03
"""What a push leaves: nulling the rates after it pushes too, and a push back may need a turn."""
SPENT_SHARE = 0.5
"""Share of what is left that must lie along the push for it to go on."""
PUSH_SHARE = 0.9
"""Share of the cheapest push that is asked for: the rest trims torque."""
TURNING_M_S = 0.02
"""Dead-band of the speed while turning and at the end: what is pushed then is not along the plan."""
UNLIMITED_M_S = 1e3
"""Speed limit where the wanted velocity starts from the present one."""
MOST_ROUNDS = 5
NULL_S = 30.0
SPIN_S = 6.0
"""Time after which a spin that costs speed is left alone, as control may drop such a torque."""
SETTLING_S = 20.0
TRIM_S = 8.0
"""The same while a push that is left could take some of it without a turn."""
HELD_S = 3.0
"""Time out of rest, with nothing to be done about it without a turn, before the next round."""


@unique
class _Step(Enum):
    NULL = "null"
    TURN = "turn"
    PUSH = "push"
    HOLD = "hold"


class LostCluster:
    """Brings the craft to a velocity with the nozzles that are left (CANON section 3).

    Args:
        limits: of the craft.
        body: mass, inertia and limits.
        allocator: of the craft; asked with the mask of failed nozzles, never changed.
        failed: mask of the nozzles that must not be counted on.
        velocity: wanted, m/s, inertial axes; rest by default.
        rate_limit_rad_s: for the turn, by default the docking rate.
        propellant_kg: most that the planned pushes and turns may use together; unbounded by default.
    """

    def __init__(
        self, limits: GuidanceLimits, body: BodyConfig, allocator: Allocator, failed: int, *, velocity: Vec3 = ZERO,
        rate_limit_rad_s: float | None = None, propellant_kg: float = inf,
    ) -> None:
        self._limits = limits
        self._body = body
        self._allocator = allocator
        self._mass = body.mass.dry_kg + body.mass.propellant_kg
        self._velocity = velocity
        asked = limits.docking_rate_rad_s if rate_limit_rad_s is None else rate_limit_rad_s
        self._rate_limit = min(asked, limits.rate_rad_s)
        self._gross_left = propellant_kg * body.propulsion.specific_impulse_s * STANDARD_GRAVITY
        self._survey = Survey(body, allocator, failed)
        self._step = _Step.NULL
        self._since_ns: int | None = None
        self._time_s = NULL_S
        self._rest_ns: int | None = None
        self._tries = 0
        self._spinning: tuple[int, ...] = ()
        self._left_to_spin: tuple[int, ...] = ()
        self._untrimmed = False
        """Whether what is left has stood out a trim, and takes a turn."""
        self._direction: Vec3 = (1.0, 0.0, 0.0)
        self.choice: PushChoice | None = None
        """Push of the present or last round."""
        self.rounds = 0
        """Pushes planned; at most five without coming to rest."""
        self.exhausted = False
        """Whether rounds, propellant or directions ran out before the velocity was reached."""
        self.overtime = 0
        """Steps that took their longest time."""
        self.not_finite = 0
        """Windows in which the navigation state held no number; nothing is asked for then."""

    @property
    def authority(self) -> Remaining | None:
        """What is left, once it has been surveyed."""
        return self._survey.authority

    def set_failed(self, failed: int) -> None:
        """Further nozzles have failed: survey and plan anew."""
        if failed != self._survey.failed:
            self._survey = Survey(self._body, self._allocator, failed)
            self._tries = 0
            self._left_to_spin = ()
            self.exhausted = False
            self._step = _Step.NULL
            self._since_ns = None

    def update(self, now_ns: int, nav: NavState) -> Target:
        """See GuidanceLaw. Done within 0.05 m/s of the wanted velocity and calm for two seconds. Without a known
        attitude only rest can be asked for; for any other velocity the rates are nulled until it is known."""
        if self._since_ns is None:
            self._enter(_Step.NULL, now_ns, NULL_S)
        elif self._since_ns > now_ns:
            # A clock that went back.
            self._since_ns, self._rest_ns = now_ns, None
        authority = self._survey.advance()
        left = subtract(self._velocity, nav.velocity)
        if self._survey.planar:
            left = (left[0], left[1], 0.0)
        if not all(map(isfinite, (*left, *nav.rate, *nav.quaternion))):
            self.not_finite += 1
            return Target(Phase.DRIFT, False)
        if authority is None or (not nav.attitude_known and self._velocity != ZERO):
            self._spinning = self._too_dear(nav)
            return Target(
                Phase.DETUMBLE, False, rate=self._spin(nav), rate_limit_rad_s=self._limits.rate_rad_s,
                mode=ThrustMode.ADAPTIVE,
            )
        if self._step is _Step.NULL:
            self._null(now_ns, nav, authority, left)
        elif self._step is _Step.TURN:
            self._turn(now_ns, nav, left)
        elif self._step is _Step.PUSH:
            self._push(now_ns, nav, left)
        elif norm(left) <= REST_SPEED_M_S:
            self._since_ns, self._untrimmed = now_ns, False
        elif not self.exhausted and self._late(now_ns):
            self._untrimmed = True
            self._enter(_Step.NULL, now_ns, NULL_S)
        else:
            # A trim may still take it; but not for ever: what it could take may be less than a pulse is worth.
            self._time_s = HELD_S if self._reachable(nav, authority, left) is None else TRIM_S
        return self._target(now_ns, nav, authority, left)

    def _enter(self, step: _Step, now_ns: int, most_s: float) -> None:
        self._step, self._since_ns, self._time_s = step, now_ns, most_s

    def _late(self, now_ns: int) -> bool:
        assert self._since_ns is not None
        return (now_ns - self._since_ns) * 1e-9 > self._time_s

    def _overtime(self, now_ns: int) -> bool:
        late = self._late(now_ns)
        self.overtime += late
        return late

    def _null(self, now_ns: int, nav: NavState, authority: Remaining, left: Vec3) -> None:
        assert self._since_ns is not None
        if (now_ns - self._since_ns) * 1e-9 > SPIN_S:
            self._left_to_spin = tuple(k for k, axis in enumerate(self._survey.axes) if not axis.pure)
        self._spinning = self._too_dear(nav)
        # After a push less will do: what is left of the rate then is not worth the speed that nulling it brings.
        calm = CALM_RAD_S if not self.rounds else 2.0 * CALM_RAD_S
        if norm(subtract(nav.rate, self._spin(nav))) < calm or self._overtime(now_ns):
            self._plan(now_ns, nav, authority, left)

    def _plan(self, now_ns: int, nav: NavState, authority: Remaining, left: Vec3) -> None:
        """The next round, or the end."""
        trimmed = self.rounds > 0 and not self._untrimmed and self._reachable(nav, authority, left) is not None
        if norm(left) <= (2.0 if trimmed else 1.0) * REST_SPEED_M_S:
            self._enter(_Step.HOLD, now_ns, HELD_S)
            return
        wanted = rotate_inverse(nav.quaternion, left)
        choice = choose_push(
            authority, wanted, self._body, self._rate_limit, spinning=self._spinning,
            direct=self._survey.push(unit(wanted)),
        )
        if choice is None or self._tries >= MOST_ROUNDS or choice.gross_n_s > self._gross_left:
            self.exhausted = True
            self._enter(_Step.HOLD, now_ns, HELD_S)
            return
        self.rounds += 1
        self._tries += 1
        self.choice = choice
        self._gross_left -= choice.gross_n_s
        self._direction = unit(left)
        self._enter(_Step.TURN, now_ns, 2.0 * choice.turn_rad / self._rate_limit + SETTLING_S)

    def _turn(self, now_ns: int, nav: NavState, left: Vec3) -> None:
        assert self.choice is not None
        if norm(left) > STEERED_M_S and angle_between(left, self._direction) > REAIM_RAD:
            self._direction = unit(left)
        error = angle_between(rotate(nav.quaternion, self.choice.push.direction), self._direction)
        kept = self._left_alone(nav, self.choice.push.direction)
        calm = norm(subtract(nav.rate, kept)) < 2.0 * CALM_RAD_S
        if (error < POINTED_RAD and calm) or self._overtime(now_ns):
            seconds = norm(left) * self._mass / self.choice.push.force_n
            self._enter(_Step.PUSH, now_ns, 3.0 * seconds + SETTLING_S)

    def _push(self, now_ns: int, nav: NavState, left: Vec3) -> None:
        assert self.choice is not None
        self._steer(left)
        thrust_line = rotate(nav.quaternion, self.choice.push.direction)
        astray = angle_between(thrust_line, self._direction) > ASTRAY_RAD and norm(left) > STEERED_M_S
        spent = dot(left, thrust_line) <= max(PUSHED_M_S, SPENT_SHARE * norm(left))
        if spent or astray or self._overtime(now_ns):
            self._enter(_Step.NULL, now_ns, NULL_S)

    def _steer(self, left: Vec3) -> None:
        if norm(left) > STEERED_M_S:
            self._direction = unit(left)

    def _too_dear(self, nav: NavState) -> tuple[int, ...]:
        """Body axes whose rate stays, since nulling it would bring too much speed or cannot be done."""
        axes = []
        for k, axis in enumerate(self._survey.axes):
            rate = abs(nav.rate[k])
            if axis.torque_n_m <= 0.0 or k in self._left_to_spin:
                dear = rate > (0.0 if k in self._spinning else CALM_RAD_S)
            else:
                dear = axis.parasite * self._body.mass.inertia_kg_m2[k][k] * rate / self._mass > PARASITE_M_S
            if dear:
                axes.append(k)
        return tuple(axes)

    def _spin(self, nav: NavState) -> Vec3:
        """The part of the rate that is left as it is."""
        x, y, z = (nav.rate[k] if k in self._spinning else 0.0 for k in range(3))
        return (x, y, z)

    def _target(self, now_ns: int, nav: NavState, authority: Remaining, left: Vec3) -> Target:
        limits = self._limits
        if self._step is _Step.NULL:
            target = Target(
                Phase.DETUMBLE, False, rate=self._spin(nav), rate_limit_rad_s=limits.rate_rad_s,
                mode=ThrustMode.ADAPTIVE,
            )
            return target if not self.rounds else self._trimmed(target, nav, authority, left)
        if self._step is _Step.HOLD:
            return self._hold(now_ns, nav, authority, left)
        self._rest_ns = None
        assert self.choice is not None
        direction = self.choice.push.direction
        attitude = multiply(
            nav.quaternion, quaternion_between(direction, rotate_inverse(nav.quaternion, self._direction))
        )
        if self._step is _Step.TURN:
            ahead = self._left_alone(nav, direction)
            return Target(
                Phase.TURN, False, attitude=attitude, rate=ahead, attitude_deadband_rad=0.5 * POINTED_RAD,
                rate_limit_rad_s=self._rate_limit + norm(ahead), velocity=nav.velocity, speed_limit_m_s=UNLIMITED_M_S,
                velocity_deadband_m_s=TURNING_M_S,
            )
        # Open loop, and no more than a window gives: a speed asked for would drown in its dead-band where the craft is
        # weak, and be traded for torque where it is more than can be had.
        left_n = dot(left, rotate(nav.quaternion, direction)) * self._mass / limits.window_s
        force = min(max(0.0, left_n), PUSH_SHARE * self.choice.push.force_n)
        ahead = self._slower(nav, force * limits.window_s)
        return Target(
            Phase.BRAKE if self._velocity == ZERO else Phase.BURN, False, attitude=attitude, rate=ahead,
            push_n=scale(direction, force), push_fed_back=True, attitude_deadband_rad=0.5 * POINTED_RAD,
            rate_limit_rad_s=self._rate_limit + norm(ahead), speed_limit_m_s=UNLIMITED_M_S,
        )

    def _left_alone(self, nav: NavState, direction: Vec3) -> Vec3:
        """Rate to leave while turning: about axes that cost speed, if the push lies on them and so does not care."""
        x, y, z = (
            nav.rate[k] if not axis.pure and abs(direction[k]) > AXIS_OF_PUSH else 0.0
            for k, axis in enumerate(self._survey.axes)
        )
        return (x, y, z)

    def _slower(self, nav: NavState, impulse: float) -> Vec3:
        """Rate to have at the end of the window while pushing by ``impulse`` (N s): a spin goes down as fast as half
        of it pays for."""
        kept = [0.0, 0.0, 0.0]
        for k, axis in enumerate(self._survey.axes):
            if not axis.pure:
                rate = nav.rate[k]
                paid = 0.5 * impulse / (axis.parasite * self._body.mass.inertia_kg_m2[k][k])
                kept[k] = max(0.0, abs(rate) - paid) * (1.0 if rate >= 0.0 else -1.0)
        return (kept[0], kept[1], kept[2])

    def _hold(self, now_ns: int, nav: NavState, authority: Remaining, left: Vec3) -> Target:
        """Rates held about the pure axes; the others are let go."""
        x, y, z = (0.0 if axis.pure else nav.rate[k] for k, axis in enumerate(self._survey.axes))
        calm = norm(subtract(nav.rate, (x, y, z))) < 2.0 * CALM_RAD_S
        if not calm or norm(left) > REST_SPEED_M_S:
            self._rest_ns = None
        elif self._rest_ns is None:
            self._rest_ns = now_ns
        done = self._rest_ns is not None and now_ns - self._rest_ns >= SETTLE_NS
        if done:
            self._tries = 0
        target = Target(
            Phase.HOLD, done, rate=(x, y, z), rate_deadband_rad_s=0.5 * CALM_RAD_S,
            rate_limit_rad_s=self._limits.rate_rad_s,
        )
        return self._trimmed(target, nav, authority, left)

    def _trimmed(self, target: Target, nav: NavState, authority: Remaining, left: Vec3) -> Target:
        """The same, with what can be had of ``left`` as the craft lies: torque and push are then weighed together."""
        trim = self._reachable(nav, authority, left)
        velocity = nav.velocity if trim is None else add(nav.velocity, scale(trim, dot(trim, left)))
        return replace(
            target, velocity=velocity, speed_limit_m_s=UNLIMITED_M_S, velocity_deadband_m_s=TURNING_M_S,
        )

    def _reachable(self, nav: NavState, authority: Remaining, left: Vec3) -> Vec3 | None:
        """Direction (inertial) of the live push that takes most of ``left`` without a turn, None if that is too
        little."""
        wanted = rotate_inverse(nav.quaternion, left)
        best = max(authority.pushes, key=lambda p: dot(p.direction, wanted), default=None)
        if best is None or dot(best.direction, wanted) < TURNING_M_S:
            return None
        return rotate(nav.quaternion, best.direction)
