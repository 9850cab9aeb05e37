"""Power-point tracker: finds and keeps the maximum in turning light, noise and shadow, and lets go of bad readings."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.energy.mppt import Tracker, TrackerConfig, TrackerState
from firmware_py.energy.power_fit import PowerFit
from hal.profile.body import ArrayConfig
from hil.plant.solar import FULL_SUN_W_M2, Curve, SolarArray

CELLS = ArrayConfig(area_m2=0.10, efficiency=0.28, normal=(-1, 0, 0), open_circuit_v=35.0, max_power_v=30.8)
CONFIG = TrackerConfig.of(CELLS, 20.0, 36.0)
WIDE = TrackerConfig.of(CELLS, 12.0, 36.0)
PERIOD_NS = 100_000_000
FULL = (FULL_SUN_W_M2, FULL_SUN_W_M2)
LIT, SHADED = FULL_SUN_W_M2, 0.3 * FULL_SUN_W_M2

Light = Callable[[float], tuple[float, ...]]


class Bench:
    """A panel with a charger that holds steps of 140.625 mV, draws at most ``demand_w``, and is read ``delay`` late."""

    def __init__(
        self, config: TrackerConfig = CONFIG, light: Light = lambda _: FULL, *, noise: float = 0.0, delay: int = 2,
        seed: int = 1,
    ) -> None:
        self.tracker = Tracker(config)
        self.light = light
        self.demand_w = math.inf
        self.floor_v: float | None = None
        self.cell_c = 28.0
        self.t_ns = 0
        self.orders: list[float | None] = []
        self.powers: list[float] = []
        self.best: list[float] = []
        self.voltages: list[float] = []
        self._bounds = (config.lowest_v, config.highest_v)
        self._array = SolarArray(CELLS)
        self._noise = noise
        self._rng = np.random.default_rng(seed)
        self._readings: deque[tuple[float, float]] = deque([(0.0, 0.0)] * delay)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.step()

    def step(self, spoil: Callable[[float, float], tuple[float | None, float | None]] = lambda v, i: (v, i)) -> None:
        curve = self._array.curve(self.light(self.t_ns * 1e-9), self.cell_c)
        order = self.tracker.update(self.t_ns, *spoil(*self._readings.popleft()), True, floor_v=self.floor_v)
        v, i = self._panel(curve, 30.8 if order is None else order)
        noise = self._noise * self._rng.standard_normal(2)
        seen_v, seen_i = v * (1.0 + noise[0]), i * (1.0 + noise[1])
        self._readings.append((max(0.0, round(seen_v / 1.649e-3) * 1.649e-3), round(seen_i / 146.6e-6) * 146.6e-6))
        self.orders.append(order)
        self.voltages.append(v)
        self.powers.append(v * i)
        self.best.append(curve.max_power(*self._bounds)[1])
        self.t_ns += PERIOD_NS

    def _panel(self, curve: Curve, order: float) -> tuple[float, float]:
        held = round(order / 0.140625) * 0.140625
        if held >= curve.open_circuit_v:
            return curve.open_circuit_v, 0.0
        if curve.power_w(held) > self.demand_w:
            held = curve.voltage_at(self.demand_w)
        return held, curve.current_a(held)

    def share(self, last_s: float) -> float:
        """Energy of the last seconds as a share of the best."""
        n = round(last_s * 10)
        return sum(self.powers[-n:]) / sum(self.best[-n:])


def turning(rate_deg_s: float, start_deg: float = 0.0) -> Light:
    def light(t_s: float) -> tuple[float, ...]:
        lit = FULL_SUN_W_M2 * max(0.0, math.cos(math.radians(start_deg + rate_deg_s * t_s)))
        return (lit, lit)
    return light


# -- finding and keeping the maximum


def test_it_starts_at_the_share_of_the_open_circuit_and_stays_at_the_maximum() -> None:
    bench = Bench()
    bench.run(1.0)
    # The first look is at the open circuit: the highest order.
    assert bench.orders[0] == 36.0
    assert bench.tracker.state is TrackerState.TRACK
    assert bench.tracker.centre_v == pytest.approx(0.88 * 35.0, abs=0.3)
    bench.run(20.0)
    assert bench.share(19.0) > 0.995


@pytest.mark.parametrize("cell_c", [-25.0, 0.0, 60.0, 90.0])
def test_it_finds_the_maximum_of_cold_and_hot_cells(cell_c: float) -> None:
    bench = Bench()
    bench.run(2.0)
    bench.cell_c = cell_c
    bench.run(20.0)
    assert bench.share(10.0) > 0.995


def test_the_order_moves_half_a_volt_either_way() -> None:
    bench = Bench()
    bench.run(20.0)
    late = [order for order in bench.orders[-40:] if order is not None]
    assert 0.9 < max(late) - min(late) < 1.6


@pytest.mark.parametrize("delay", [1, 2, 3])
@pytest.mark.parametrize("rate_deg_s", [0.5, 2.0, 5.0])
def test_turning_light_does_not_carry_it_off(rate_deg_s: float, delay: int) -> None:
    bench = Bench(light=turning(rate_deg_s, -85.0), noise=0.003, delay=delay)
    bench.run(170.0 / rate_deg_s)
    assert sum(bench.powers) / sum(bench.best) > 0.985


def test_noise_of_one_percent_costs_less_than_one_percent() -> None:
    bench = Bench(noise=0.01)
    bench.run(60.0)
    assert bench.share(55.0) > 0.99


def test_a_light_that_jumps_is_followed() -> None:
    bench = Bench(light=lambda t: FULL if int(t / 3.0) % 2 else (400.0, 400.0))
    bench.run(60.0)
    assert bench.share(50.0) > 0.98


@settings(max_examples=25, deadline=None)
@given(
    first=st.floats(30.0, 1361.0), second=st.floats(30.0, 1361.0), cell_c=st.floats(-25.0, 80.0),
    noise=st.floats(0.0, 0.003), delay=st.integers(1, 3),
)
def test_any_light_on_either_wing_gives_nearly_all_of_its_power(
    first: float, second: float, cell_c: float, noise: float, delay: int,
) -> None:
    bench = Bench(light=lambda _: (first, second), noise=noise, delay=delay)
    bench.cell_c = cell_c
    bench.run(30.0)
    assert bench.share(20.0) > 0.98


# -- darkness


def test_after_a_night_it_starts_from_the_open_circuit_again() -> None:
    bench = Bench(light=lambda t: (0.0, 0.0) if 10.0 <= t < 40.0 else FULL)
    bench.run(30.0)
    assert bench.tracker.state is TrackerState.START
    assert bench.orders[-1] == 36.0
    bench.cell_c = -20.0
    bench.run(15.0)
    assert bench.tracker.state is TrackerState.TRACK
    assert bench.share(4.0) > 0.98


def test_a_slow_dawn_is_used_from_its_first_tenth_on() -> None:
    bench = Bench(light=lambda t: (1361.0 * min(1.0, t / 20.0),) * 2)
    bench.run(20.0)
    assert sum(bench.powers[20:]) / sum(bench.best[20:]) > 0.97


def test_in_the_dark_nothing_is_ordered_below_the_highest_voltage() -> None:
    bench = Bench(light=lambda _: (0.0, 0.0))
    bench.run(5.0)
    assert set(bench.orders) == {36.0}


# -- partial shadow


def test_it_leaves_the_lesser_maximum_of_a_string_in_partial_shadow() -> None:
    bench = Bench(WIDE, lambda t: (LIT, LIT, LIT, LIT) if t < 10.0 else (SHADED, LIT, SHADED, LIT))
    bench.run(9.0)
    assert bench.voltages[-1] > 28.0
    bench.run(20.0)
    assert bench.voltages[-1] < 17.0
    assert bench.share(10.0) > 0.97


def test_it_comes_back_up_once_the_shadow_has_gone() -> None:
    bench = Bench(WIDE, lambda t: (LIT, LIT, LIT, LIT) if t > 10.0 else (SHADED, LIT, SHADED, LIT))
    bench.run(9.0)
    assert bench.voltages[-1] < 17.0
    bench.run(8.0)
    assert bench.voltages[-1] > 28.0
    assert bench.share(3.0) > 0.98


def test_it_stays_where_the_shadow_leaves_the_upper_maximum_the_greater() -> None:
    bench = Bench(WIDE, lambda t: (LIT, LIT, LIT, LIT) if t < 5.0 else (LIT, 0.7 * LIT, LIT, 0.7 * LIT))
    bench.run(40.0)
    assert bench.voltages[-1] > 28.0
    assert bench.tracker.looks >= 2
    assert bench.share(30.0) > 0.98


def test_sections_out_of_bounds_are_not_looked_at() -> None:
    bench = Bench(CONFIG, lambda t: (LIT, LIT, LIT, LIT) if t < 5.0 else (SHADED, LIT, SHADED, LIT))
    bench.run(60.0)
    assert bench.tracker.looks == 0
    assert min(order for order in bench.orders if order is not None) >= CONFIG.lowest_v


def test_steady_light_is_looked_away_from_twice_a_minute_only() -> None:
    bench = Bench(WIDE, noise=0.003)
    bench.run(305.0)
    assert 9 <= bench.tracker.looks <= 12
    assert bench.share(300.0) > 0.99


def test_every_other_section_of_a_string_is_looked_at() -> None:
    bench = Bench(replace(TrackerConfig.of(CELLS, 8.0, 36.0), sections=3))
    bench.run(20.0)
    assert bench.tracker.looks == 2
    lows = sorted({round(order) for order in bench.orders if order is not None and order < 25.0})
    # A third and two thirds of the maximum's 30.8 V.
    assert lows == [10, 21]
    assert bench.voltages[-1] > 28.0


# -- less demand than sunlight


def test_less_demand_is_not_taken_for_a_bad_step() -> None:
    bench = Bench()
    bench.run(10.0)
    centre = bench.tracker.centre_v
    bench.demand_w = 8.0
    bench.run(60.0)
    assert bench.tracker.state is TrackerState.LIMITED
    assert bench.tracker.centre_v == pytest.approx(centre, abs=0.6)
    assert bench.powers[-1] == pytest.approx(8.0, abs=0.01)
    bench.demand_w = math.inf
    bench.run(3.0)
    assert bench.tracker.state is TrackerState.TRACK
    assert bench.share(2.0) > 0.98


def test_a_demand_that_comes_and_goes_leaves_all_the_power_it_asks_for() -> None:
    bench = Bench(noise=0.003)
    short = 0.0
    for k in range(1200):
        bench.demand_w = 10.0 if k // 35 % 2 else 1000.0
        bench.step()
        if k > 50:
            short += min(bench.demand_w, bench.best[-1]) - bench.powers[-1]
    wanted = sum(min(1000.0 if k // 35 % 2 == 0 else 10.0, bench.best[k]) for k in range(51, 1200))
    assert short / wanted < 0.02


def test_no_demand_at_all_is_neither_darkness_nor_a_fault() -> None:
    bench = Bench()
    bench.run(5.0)
    bench.demand_w = 0.0
    bench.run(30.0)
    assert bench.tracker.state is TrackerState.LIMITED
    bench.demand_w = math.inf
    bench.run(2.0)
    assert bench.share(1.5) > 0.97


def test_the_chargers_own_word_that_it_is_limited_is_heard() -> None:
    tracker = Tracker(CONFIG)
    for k in range(40):
        tracker.update(k * PERIOD_NS, 35.0 if k < 6 else 30.8, 0.0 if k < 6 else 1.0 + 0.001 * k, True, limited=k > 20)
    assert tracker.state is TrackerState.LIMITED


# -- bad input


@pytest.mark.parametrize("bad", [
    (None, None), (30.0, None), (None, 1.0), (math.nan, 1.0), (30.0, math.nan), (math.inf, 1.0), (30.0, -math.inf),
    (-1.0, 1.0), (101.0, 1.0), (30.0, 101.0), (30.0, -0.6),
])
def test_a_bad_reading_holds_the_order_and_then_lets_the_charger_track(bad: tuple[float | None, float | None]) -> None:
    bench = Bench()
    bench.run(10.0)
    held = bench.orders[-1]
    for _ in range(5):
        bench.step(lambda v, i: bad)
        assert bench.orders[-1] == held
    for _ in range(20):
        bench.step(lambda v, i: bad)
    assert bench.orders[-1] is None
    assert bench.tracker.state is TrackerState.BLIND
    bench.run(5.0)
    assert bench.tracker.state is TrackerState.TRACK
    assert bench.share(3.0) > 0.98


def test_no_reading_from_the_start_means_the_chargers_own_tracking() -> None:
    tracker = Tracker(CONFIG)
    assert [tracker.update(k * PERIOD_NS, None, None, True) for k in range(20)] == [None] * 20


def test_a_reading_lost_now_and_then_costs_nothing_to_speak_of() -> None:
    bench = Bench(light=turning(2.0, -80.0))
    for k in range(800):
        bench.step((lambda v, i: (None, None)) if k % 7 == 3 else (lambda v, i: (v, i)))
    assert None not in bench.orders[5:]
    assert sum(bench.powers) / sum(bench.best) > 0.98


@pytest.mark.parametrize("first", [0, 1])
def test_asked_twice_as_often_as_the_panel_is_read_it_takes_every_reading(first: int) -> None:
    tracker, curve = Tracker(CONFIG), SolarArray(CELLS).curve(FULL)
    power = volts = 0.0
    for k in range(800):
        fresh = k % 2 == first
        order = tracker.update(
            k * PERIOD_NS // 2, volts if fresh else None, curve.current_a(volts) if fresh else None, True
        )
        assert order is not None or k < 12
        volts = min(30.8 if order is None else order, curve.open_circuit_v)
        power += curve.power_w(volts) if k >= 400 else 0.0
    assert power / 400.0 > 0.995 * curve.max_power()[1]


def test_a_reading_that_repeats_itself_is_not_believed() -> None:
    bench = Bench(noise=0.001)
    bench.run(10.0)
    centre = bench.tracker.centre_v
    for _ in range(50):
        # Slow telemetry, for all that is known: nothing is learned from it, and nothing is lost.
        bench.step(lambda v, i: (30.8, 1.2))
    assert bench.tracker.state is TrackerState.TRACK
    assert bench.tracker.centre_v == pytest.approx(centre, abs=0.6)
    for _ in range(50):
        bench.step(lambda v, i: (30.8, 1.2))
    assert bench.orders[-1] is None
    assert bench.tracker.state is TrackerState.BLIND
    bench.run(3.0)
    assert bench.tracker.state is TrackerState.TRACK


def test_a_panel_that_does_not_follow_is_searched_for_again() -> None:
    bench = Bench(noise=0.001)
    bench.run(5.0)
    seen = set()
    for k in range(100):
        # It stays below what was ordered, with current: someone else holds the panel.
        bench.step(lambda v, i, k=k: (22.0 + 0.01 * (k % 5), 1.2))  # type: ignore[misc]
        seen.add(bench.tracker.state)
    assert TrackerState.START in seen


@settings(max_examples=60, deadline=None)
@given(readings=st.lists(
    st.tuples(
        st.one_of(st.none(), st.floats()), st.one_of(st.none(), st.floats()), st.booleans(), st.booleans(),
        st.one_of(st.none(), st.floats()),
    ), max_size=120,
))
def test_whatever_it_reads_the_order_is_within_bounds_or_none(
    readings: list[tuple[float | None, float | None, bool, bool, float | None]],
) -> None:
    tracker = Tracker(WIDE)
    for k, (v, i, wanted, limited, floor) in enumerate(readings):
        order = tracker.update(k * PERIOD_NS, v, i, wanted, limited=limited, floor_v=floor)
        assert order is None or WIDE.lowest_v <= order <= WIDE.highest_v
        assert wanted or order is None


@settings(max_examples=60, deadline=None)
@given(readings=st.lists(st.tuples(st.floats(0.0, 45.0), st.floats(-0.1, 2.0)), max_size=200))
def test_readings_that_could_be_true_never_take_it_out_of_bounds(readings: list[tuple[float, float]]) -> None:
    tracker = Tracker(WIDE)
    for k, (v, i) in enumerate(readings):
        order = tracker.update(k * PERIOD_NS, v, i, True)
        assert order is not None
        assert WIDE.lowest_v <= order <= WIDE.highest_v


# -- being told


def test_not_wanted_means_no_order_and_a_new_start_afterwards() -> None:
    bench = Bench()
    bench.run(5.0)
    assert bench.tracker.update(bench.t_ns, 30.8, 1.2, False) is None
    assert bench.tracker.state is TrackerState.OFF
    assert bench.tracker.centre_v is None
    assert bench.tracker.update(bench.t_ns + PERIOD_NS, 30.8, 1.2, True) == 36.0


def test_calls_within_a_period_or_back_in_time_change_nothing() -> None:
    bench = Bench()
    bench.run(5.0)
    order = bench.orders[-1]
    state = bench.tracker.centre_v
    for dt in (10_000_000, 50_000_000, 74_000_000, -PERIOD_NS):
        assert bench.tracker.update(bench.t_ns - PERIOD_NS + dt, 5.0, 0.0, True) == order
    assert bench.tracker.centre_v == state


def test_the_floor_raises_the_lower_bound_and_leaves_room_to_move() -> None:
    bench = Bench()
    bench.cell_c = 60.0
    bench.run(5.0)
    assert max(bench.voltages[-20:]) < 30.0
    bench.floor_v = 31.0
    bench.run(5.0)
    late = bench.voltages[-20:]
    # The least that is allowed, less the charger's rounding; still near the best of what is left.
    assert 30.9 <= min(late) <= max(late) < 32.5
    assert bench.tracker.state is TrackerState.TRACK
    bench.floor_v = 50.0
    bench.cell_c = -40.0
    bench.run(5.0)
    assert min(bench.voltages[-20:]) >= 34.9


def test_a_floor_above_the_share_of_the_open_circuit_still_lets_it_start() -> None:
    bench = Bench()
    bench.floor_v = 32.0
    bench.run(5.0)
    assert bench.tracker.state is TrackerState.TRACK
    assert bench.share(2.0) > 0.75


@pytest.mark.parametrize("changes", [
    {"lowest_v": 35.0}, {"lowest_v": -1.0}, {"lowest_v": math.nan}, {"highest_v": math.nan}, {"highest_v": 100.0},
    {"step_v": 0.0}, {"step_v": math.nan}, {"period_s": 0.0}, {"period_s": math.inf}, {"hold_s": -1.0},
    {"hold_s": math.nan}, {"open_circuit_share": 1.0}, {"open_circuit_share": 0.4}, {"sections": 0},
])
def test_settings_that_cannot_be_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        TrackerConfig(**{"lowest_v": 20.0, "highest_v": 36.0, **changes})  # type: ignore[arg-type]


# -- the fit


def test_the_fit_tells_what_the_voltage_did_from_what_time_did() -> None:
    fit = PowerFit()
    pattern = (0.0, 0.5, 0.0, -0.5) * 2
    for k, dv in enumerate(pattern):
        fit.add(10**18 + k * PERIOD_NS, 30.0 + dv, 20.0 + 3.0 * 0.1 * k - 0.4 * dv)
    assert fit.full
    assert fit.solve()
    assert fit.slope_1_v == pytest.approx(-0.4 / fit.mean_w, rel=1e-4)
    assert fit.rate_1_s == pytest.approx(3.0 / fit.mean_w, rel=1e-4)


@pytest.mark.parametrize("samples", [
    [(k, 30.0 + 0.5 * (k % 2), 10.0) for k in range(4)],
    [(k, 30.0 + 0.01 * (k % 2), 10.0) for k in range(8)],
    [(k, 30.0 + 0.5 * k, 10.0) for k in range(8)],
    [(0, 30.0 + 0.5 * (k % 2), 10.0) for k in range(8)],
    [(k, 30.0 + 0.5 * (k % 2), 0.0) for k in range(8)],
], ids=["too few", "still", "voltage goes with time", "one moment", "no power"])
def test_samples_that_tell_nothing_give_no_fit(samples: list[tuple[int, float, float]]) -> None:
    fit = PowerFit()
    for k, v, p in samples:
        fit.add(k * PERIOD_NS, v, p)
    assert not fit.solve()


def test_a_forgotten_fit_has_nothing() -> None:
    fit = PowerFit()
    fit.add(0, 30.0, 10.0)
    fit.clear()
    assert fit.mean_w == 0.0
    assert not fit.full
