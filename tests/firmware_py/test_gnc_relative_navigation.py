"""The way to a target: true to its covariance, fair to late sightings, deaf to outliers, lost when blind."""

from __future__ import annotations

from math import inf, nan, radians, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from firmware_py.gnc.consistency import Refusal
from firmware_py.gnc.relative_navigation import RelativeNavigation, RelativeNoise
from firmware_py.gnc.sighting import Sighting
from hal.frames import (
    IDENTITY,
    Quaternion,
    Vec3,
    multiply,
    norm,
    normalise,
    quaternion_from_rotation_vector,
    rotate,
    rotate_inverse,
    subtract,
)

TICK_NS, TICK_S = 5_000_000, 0.005
COM: Vec3 = (0.0, 0.0, 0.1)
MOUNT: Vec3 = (1.2, 0.0, 0.0)
MARKER: Vec3 = (0.1, -0.2, 0.3)


def vec(a: np.ndarray) -> Vec3:
    x, y, z = a.tolist()
    return (x, y, z)


class Chase:
    """A craft that turns and pushes, a target that drifts, and a sensor on an arm that sees its marker late."""

    def __init__(
        self, seed: int, *, range_m: float = 40.0, late: int = 12, sigma_range: float = 0.02,
        sigma_bearing: float = radians(0.5), turn: float = 0.05, noise: RelativeNoise | None = None,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.noise = noise if noise is not None else RelativeNoise(speed_m_s=0.5)
        self.filter = RelativeNavigation(COM, self.noise)
        direction = self.rng.standard_normal(3)
        self.r = range_m * direction / np.linalg.norm(direction)
        self.v = self.noise.speed_m_s * self.rng.standard_normal(3)
        self.q: Quaternion = normalise(tuple(self.rng.standard_normal(4).tolist()))  # type: ignore[arg-type]
        self.rate: Vec3 = (0.0, 0.3 * turn, turn)
        self.late, self.sigma_range, self.sigma_bearing = late, sigma_range, sigma_bearing
        self.past: list[tuple[np.ndarray, np.ndarray, Quaternion]] = []
        self.tick = 0

    def step(self, push: np.ndarray | None = None) -> None:
        """One tick; ``push`` is the craft's velocity change."""
        push = np.zeros(3) if push is None else push
        self.tick += 1
        change = self.noise.target_walk_m_s_rts * sqrt(TICK_S) * self.rng.standard_normal(3) - push
        self.r = self.r + self.v * TICK_S + 0.5 * change * TICK_S
        self.v = self.v + change
        self.q = normalise(multiply(self.q, quaternion_from_rotation_vector(vec(np.array(self.rate) * TICK_S))))
        self.past.append((self.r, self.v, self.q))
        self.filter.propagate(self.tick * TICK_NS, TICK_S, vec(push))
        if self.tick % 10 == 0:
            self.filter.medium()

    def fly(self, seconds: float, *, see: str = "both", rate: bool = False, pushes: bool = True) -> None:
        for _ in range(round(seconds / TICK_S)):
            burst = pushes and self.tick % 200 < 9
            self.step(0.004 * np.array([np.sin(0.01 * self.tick), 0.7, -0.4]) if burst else None)
            if see and self.tick % 20 == 0:
                self.filter.update(self.sighting(see, rate))

    def sighting(self, see: str = "both", rate: bool = False, off: Vec3 = (0.0, 0.0, 0.0)) -> Sighting:
        """What the sensor says now of ``late`` ticks ago; ``off`` moves the marker falsely (m, inertial)."""
        r, v, q = self.past[-1 - min(self.late, len(self.past) - 1)]
        to_marker = rotate_inverse(q, vec(r + MARKER + off))
        arm = subtract(MOUNT, COM)
        d = np.array(subtract(to_marker, arm))
        length = float(np.linalg.norm(d))
        u = d / length
        side = np.cross(u, (0.0, 0.6, 0.8))
        side /= np.linalg.norm(side)
        a, b, c, e = self.rng.standard_normal(4).tolist()
        seen = u + self.sigma_bearing * (a * side + b * np.cross(u, side))
        closing = float(u @ (np.array(rotate_inverse(q, vec(v))) - np.cross(self.rate, arm)))
        return Sighting(
            q, min(self.late, len(self.past) - 1) * TICK_NS,
            length + self.sigma_range * c if see != "bearing" else None, self.sigma_range,
            vec(seen) if see != "range" else None, self.sigma_bearing,
            closing + 0.02 * e if rate else None, 0.02, self.rate, MOUNT, MARKER,
        )

    def errors(self) -> tuple[float, float]:
        state = self.filter.state
        assert state is not None
        return norm(subtract(state.position, vec(self.r))), norm(subtract(state.velocity, vec(self.v)))


def test_there_is_no_state_until_range_and_bearing_are_seen_together() -> None:
    chase = Chase(1)
    chase.step()
    assert not chase.filter.update(chase.sighting("range"))
    assert not chase.filter.update(chase.sighting("bearing"))
    assert chase.filter.state is None
    assert chase.filter.update(chase.sighting())
    state = chase.filter.state
    assert state is not None
    assert norm(subtract(state.position, vec(chase.r))) < 3.0
    assert state.sigma_velocity_m_s == pytest.approx(0.5)


@pytest.mark.parametrize("rate", [False, True])
def test_ranges_alone_never_make_it_surer_than_it_is(rate: bool) -> None:
    # On which side of the line of sight the target is, ranges do not tell: the filter must not take one for granted.
    values = []
    for seed in range(12):
        chase = Chase(seed + 60)
        chase.step()
        assert chase.filter.update(chase.sighting())
        for _ in range(4):
            chase.fly(5.0, see="range", rate=rate)
            values.append(chase.filter.nees(vec(chase.r), vec(chase.v)))
        state = chase.filter.state
        assert state is not None
        assert state.sigma_position_m > 5.0
        assert chase.filter.updates.refused == 0
    assert np.mean(values) < 9.0
    assert max(values) < 40.0


def test_a_clock_that_goes_back_leaves_the_last_sighting_as_old_as_it_was() -> None:
    chase = Chase(61, late=0)
    chase.fly(10.0)
    chase.fly(1.0, see="")
    chase.tick -= 1500
    chase.step()
    state = chase.filter.state
    assert state is not None
    assert state.measurement_age_ns == pytest.approx(1_000_000_000, abs=10_000_000)


def test_it_converges_well_below_one_sighting() -> None:
    chase = Chase(2)
    chase.fly(20.0)
    position, velocity = chase.errors()
    # One sighting: 0.35 m across.
    assert position < 0.15
    assert velocity < 0.02
    state = chase.filter.state
    assert state is not None
    assert state.measurement_age_ns == 12 * TICK_NS
    assert state.sigma_position_m < 0.1
    assert chase.filter.updates.refused == 0


@pytest.mark.parametrize("rate", [False, True])
def test_errors_match_the_covariance_over_many_approaches(rate: bool) -> None:
    runs, rows, nis, seen = 20, [], 0.0, 0
    for seed in range(runs):
        chase = Chase(seed + 10)
        row = []
        for _ in range(10):
            chase.fly(1.0, rate=rate)
            row.append(chase.filter.nees(vec(chase.r), vec(chase.v)))
        rows.append(row)
        nis += chase.filter.updates.nis_sum
        seen += chase.filter.updates.accepted - 1
    mean = np.array(rows).mean(axis=0)
    low, high = chi2.ppf([0.025, 0.975], runs * 6) / runs
    assert low < mean.mean() < high
    assert ((mean > low) & (mean < high)).mean() >= 0.8
    assert nis / seen == pytest.approx(4.0 if rate else 3.0, rel=0.08)


@pytest.mark.parametrize("late", [0, 12, 60])
def test_a_push_between_sighting_and_its_arrival_is_accounted_for(late: int) -> None:
    chase = Chase(3, late=late, turn=0.3)
    for k in range(2000):
        # 1.7 m/s2 for half a second, there and back: 0.2 m/s and 0.1 m within the latency.
        hard = 1.7 * TICK_S if 900 <= k < 1000 else -1.7 * TICK_S if 1400 <= k < 1500 else 0.0
        chase.step(np.array([0.0, hard, 0.0]))
        if k % 20 == 19:
            chase.filter.update(chase.sighting())
    position, velocity = chase.errors()
    assert chase.filter.updates.refused == 0
    assert position < 0.25
    assert velocity < 0.04


@pytest.mark.parametrize(("see", "rate"), [("range", False), ("bearing", False), ("range", True)])
def test_what_one_sensor_alone_sees_keeps_its_part_known(see: str, rate: bool) -> None:
    chase = Chase(4)
    chase.fly(10.0)
    chase.fly(10.0, see=see, rate=rate)
    state = chase.filter.state
    assert state is not None
    assert state.measurement_age_ns == 12 * TICK_NS
    u = chase.r / np.linalg.norm(chase.r)
    off = np.array(state.position) - chase.r
    along, across = abs(float(u @ off)), float(np.linalg.norm(off - u * (u @ off)))
    if see == "range":
        assert along < 0.03
    else:
        assert across < 0.2
    assert chase.filter.nees(vec(chase.r), vec(chase.v)) < chi2.ppf(0.999, 6)


def test_a_state_without_sightings_goes_on_by_itself_and_grows_unsure() -> None:
    chase = Chase(5)
    chase.fly(15.0)
    before = chase.filter.state
    assert before is not None
    chase.fly(10.0, see="")
    after = chase.filter.state
    assert after is not None
    position, velocity = chase.errors()
    assert after.sigma_position_m > 1.3 * before.sigma_position_m
    assert position < 3.0 * sqrt(3.0) * after.sigma_position_m
    assert velocity < 3.0 * sqrt(3.0) * after.sigma_velocity_m_s


def test_a_target_not_seen_for_half_a_minute_is_lost_and_found_again() -> None:
    chase = Chase(6)
    chase.fly(5.0)
    chase.fly(29.0, see="")
    assert chase.filter.state is not None
    chase.fly(2.0, see="")
    assert chase.filter.state is None
    assert chase.filter.lost == 1
    chase.fly(10.0)
    assert chase.errors()[0] < 0.3


def test_an_outlier_is_refused() -> None:
    chase = Chase(7)
    chase.fly(10.0)
    assert not chase.filter.update(chase.sighting(off=(5.0, 0.0, 0.0)))
    assert chase.filter.updates.refused == 1
    assert chase.filter.refusals[Refusal.GATE] == 1
    assert chase.errors()[0] < 0.2


def test_outliers_that_disagree_never_move_it() -> None:
    chase = Chase(8)
    chase.fly(10.0)
    for k in range(12):
        chase.fly(0.1, see="")
        chase.filter.update(chase.sighting(off=(20.0 * (-1.0) ** k, 15.0 * (k % 3), 0.0)))
    assert chase.filter.updates.reacquired == 0
    assert chase.errors()[0] < 0.2


def test_a_filter_led_astray_comes_back_after_six_agreeing_sightings() -> None:
    chase = Chase(9)
    chase.fly(10.0)
    chase.r = chase.r + np.array([0.0, 30.0, 0.0])
    chase.past.clear()
    chase.step()
    chase.fly(15.0)
    assert chase.filter.updates.reacquired == 1
    assert chase.errors()[0] < 0.3


def test_a_turned_frame_turns_the_state_and_its_doubt() -> None:
    chase = Chase(10)
    chase.fly(5.0)
    before = chase.filter.state
    nees = chase.filter.nees(vec(chase.r), vec(chase.v))
    turn = quaternion_from_rotation_vector((0.3, -1.0, 2.0))
    chase.filter.turn_frame(turn)
    after = chase.filter.state
    assert before is not None
    assert after is not None
    assert after.position == pytest.approx(rotate(turn, before.position))
    assert after.velocity == pytest.approx(rotate(turn, before.velocity))
    assert after.sigma_position_m == pytest.approx(before.sigma_position_m)
    assert chase.filter.nees(rotate(turn, vec(chase.r)), rotate(turn, vec(chase.v))) == pytest.approx(nees)


def test_what_the_craft_is_unsure_of_its_own_push_makes_the_state_unsure() -> None:
    chase = Chase(11)
    chase.fly(10.0)
    before = chase.filter.state
    chase.filter.medium(own_velocity_variance=0.04)
    chase.step()
    chase.filter.medium()
    after = chase.filter.state
    assert before is not None
    assert after is not None
    assert after.sigma_velocity_m_s == pytest.approx(0.2, rel=0.05)


GOOD = Sighting(IDENTITY, 0, 10.0, 0.1, (1.0, 0.0, 0.0), 0.01)
BAD: list[tuple[dict[str, object], Refusal]] = [
    ({"range_m": nan}, Refusal.NOT_FINITE), ({"range_m": -1.0}, Refusal.OUT_OF_RANGE),
    ({"range_m": 1e12}, Refusal.OUT_OF_RANGE), ({"sigma_range_m": 0.0}, Refusal.BAD_SIGMA),
    ({"sigma_range_m": nan}, Refusal.BAD_SIGMA), ({"direction": (0.0, 0.0, 0.0)}, Refusal.NO_DIRECTION),
    ({"direction": (nan, 0.0, 0.0)}, Refusal.NOT_FINITE), ({"direction": (1.0, 0.0)}, Refusal.LENGTH),
    ({"sigma_bearing_rad": -0.1}, Refusal.BAD_SIGMA), ({"quaternion": (2.0, 0.0, 0.0, 0.0)}, Refusal.NOT_UNIT),
    ({"quaternion": (nan, 0.0, 0.0, 0.0)}, Refusal.NOT_FINITE), ({"age_ns": -1}, Refusal.FUTURE),
    ({"age_ns": 10**11}, Refusal.TOO_OLD), ({"mount_m": (inf, 0.0, 0.0)}, Refusal.NOT_FINITE),
    ({"marker_m": (0.0, 0.0)}, Refusal.LENGTH), ({"range_rate_m_s": nan}, Refusal.NOT_FINITE),
    ({"range_rate_m_s": 1.0, "sigma_range_rate_m_s": 0.0}, Refusal.BAD_SIGMA),
]


@pytest.mark.parametrize(("change", "reason"), BAD)
def test_a_sighting_that_is_none_is_named_and_counted(change: dict[str, object], reason: Refusal) -> None:
    filter_ = RelativeNavigation()
    for tick in range(1, 1001):
        filter_.propagate(tick * TICK_NS, TICK_S, (0.0, 0.0, 0.0))
        if tick % 20 == 0:
            assert filter_.update(GOOD)
    before = filter_.state
    fields = {name: getattr(GOOD, name) for name in ("quaternion", "age_ns", "range_m", "sigma_range_m", "direction",
                                                     "sigma_bearing_rad")}
    assert not filter_.update(Sighting(**{**fields, **change}))
    assert filter_.refusals[reason] == 1
    assert sum(filter_.refusals.values()) == 1
    assert filter_.state == before


@pytest.mark.parametrize(
    ("dt", "change", "reason"),
    [
        (0.0, (0.0, 0.0, 0.0), Refusal.TIME_STEP), (-1.0, (0.0, 0.0, 0.0), Refusal.TIME_STEP),
        (nan, (0.0, 0.0, 0.0), Refusal.TIME_STEP), (0.005, (nan, 0.0, 0.0), Refusal.NOT_FINITE),
        (0.005, (0.0, 1e300, 0.0), Refusal.NOT_FINITE),
    ],
)
def test_a_step_that_is_none_is_counted(dt: float, change: Vec3, reason: Refusal) -> None:
    filter_ = RelativeNavigation()
    filter_.propagate(TICK_NS, TICK_S, (0.0, 0.0, 0.0))
    filter_.update(GOOD)
    filter_.propagate(2 * TICK_NS, dt, change)
    state = filter_.state
    assert state is not None
    assert filter_.refusals[reason] == 1
    assert state.velocity == (0.0, 0.0, 0.0)


FLOATS = st.one_of(st.floats(width=32), st.sampled_from([0.0, 1.0, nan, inf, -inf, 1e300, 1e-300]))
MAYBE = st.one_of(st.none(), FLOATS, st.floats(0.0, 100.0))
TRIPLES = st.lists(FLOATS, min_size=3, max_size=3).map(tuple)
DIRECTIONS = st.one_of(st.none(), TRIPLES, st.tuples(*[st.floats(-1.0, 1.0)] * 3))
SIGMAS = st.one_of(FLOATS, st.floats(1e-6, 1.0))
SIGHTINGS = st.builds(
    Sighting, quaternion=st.sampled_from([IDENTITY, (0.0, 1.0, 0.0, 0.0), (0.6, 0.0, 0.8, 0.0), (nan, 0.0, 0.0, 0.0)]),
    age_ns=st.integers(-(10**8), 3 * 10**9), range_m=MAYBE, sigma_range_m=SIGMAS, direction=DIRECTIONS,
    sigma_bearing_rad=SIGMAS, range_rate_m_s=MAYBE, sigma_range_rate_m_s=SIGMAS,
)
STEPS = st.tuples(
    st.integers(-(10**7), 10**8), st.one_of(FLOATS, st.floats(1e-3, 1.0)),
    st.one_of(TRIPLES, st.tuples(*[st.floats(-1.0, 1.0)] * 3)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(SIGHTINGS, STEPS), max_size=25))
def test_no_order_of_inputs_breaks_state_or_covariance(inputs: list[Sighting | tuple[int, float, Vec3]]) -> None:
    filter_ = RelativeNavigation()
    filter_.propagate(TICK_NS, TICK_S, (0.0, 0.0, 0.0))
    filter_.update(GOOD)
    now = TICK_NS
    for given_ in inputs:
        if isinstance(given_, Sighting):
            filter_.update(given_)
        else:
            now += given_[0]
            filter_.propagate(now, given_[1], given_[2])
            filter_.medium()
    p = filter_.covariance
    assert np.isfinite(p).all()
    assert np.allclose(p, p.T, rtol=1e-9)
    assert np.linalg.eigvalsh(p)[0] > 0.0
    state = filter_.state
    if state is not None:
        assert np.isfinite([*state.position, *state.velocity, state.sigma_position_m, state.sigma_velocity_m_s]).all()
