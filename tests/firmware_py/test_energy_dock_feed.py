"""Dock feed: closes only onto a sound source, rises softly, opens for every row of its table, and never by itself again
where an operator has to look."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdir.codes import Code
from firmware_py.energy.dock_feed import (
    MOVES,
    DockEvent,
    DockFault,
    DockFeed,
    DockFeedState,
    DockInputs,
    DockOrder,
    Source,
    Sources,
    sources,
)
from firmware_py.energy.dock_guard import TRIPS, Response
from hal.profile.body import DockFeedConfig, ThermalNode

CONFIG = DockFeedConfig(voltage_v=28.0, power_max_w=250.0, current_max_a=10.0)
BRIDGE = ThermalNode(
    name="dock_bridge", capacity_j_k=500.0, cooling_w_k=0.9, start_c=20.0, warn_c=110.0, trip_c=120.0, clear_c=115.0
)
STEP_NS = 50_000_000
OPEN = DockInputs(True, 28.0, (0.0, 0.0), 20.0, closed=False, power_good=False)
FEEDING = DockInputs(True, 28.0, (5.0, 5.0), 20.0, closed=True, power_good=True)
FULL_SHARE = 14 / 16
"""250 W at 28 V are 8.93 A of 10 A: 14.28 sixteenths."""


class Port:
    """A feed, stepped at 20 Hz, with a switch that obeys by the next step."""

    def __init__(self, config: DockFeedConfig = CONFIG, bridge: ThermalNode | None = BRIDGE) -> None:
        self.feed = DockFeed(config, bridge)
        self.now_ns = 0
        self.wanted = True
        self.order = DockOrder(False, 1 / 16)
        self.orders: list[DockOrder] = []
        self.percents: list[float] = []

    def run(self, seconds: float, inputs: DockInputs | None = None) -> None:
        """Steps of one reading, or of a dock that is sound."""
        for _ in range(round(seconds * 20)):
            seen = inputs if inputs is not None else FEEDING if self.order.on else OPEN
            self.order = self.feed.update(self.now_ns, seen, self.wanted)
            self.orders.append(self.order)
            self.percents.append(self.feed.soft_start_pct)
            self.now_ns += STEP_NS

    def until(self, state: DockFeedState, at_most_s: float = 30.0) -> Port:
        """Step a sound dock until the feed is there."""
        for _ in range(round(at_most_s * 20)):
            if self.feed.state is state:
                return self
            self.run(0.05)
        raise AssertionError(f"{self.feed.state} and never {state}")

    def step_until_open(self, inputs: DockInputs, at_most_s: float = 10.0) -> float:
        """Time until the switch is ordered open."""
        begin = self.now_ns
        while self.now_ns - begin < at_most_s * 1e9:
            self.run(0.05, inputs)
            if not self.order.on:
                return (self.now_ns - begin - STEP_NS) * 1e-9
        raise AssertionError("it stayed closed")


# -- closing


def test_it_is_off_until_it_is_wanted() -> None:
    port = Port()
    port.wanted = False
    port.run(5.0)
    assert port.feed.state is DockFeedState.OFF
    assert port.feed.codes == ()
    assert not any(order.on for order in port.orders)


def test_a_sound_dock_is_watched_for_half_a_second_before_it_is_closed_onto() -> None:
    port = Port()
    port.run(0.5)
    assert port.feed.state is DockFeedState.WAIT
    assert not any(order.on for order in port.orders)
    port.run(0.15)
    assert port.order.on
    assert port.feed.codes == ()


@pytest.mark.parametrize(("changes", "code"), [
    ({"contact": False}, Code.SOURCE_UNAVAILABLE),
    ({"contact": None}, Code.SOURCE_UNAVAILABLE),
    ({"input_v": 0.0}, Code.SOURCE_UNAVAILABLE),
    ({"input_v": 0.9}, Code.SOURCE_UNAVAILABLE),
    ({"input_v": -0.3}, Code.SOURCE_UNAVAILABLE),
    ({"input_v": None}, Code.POWER_TELEM_MISSING),
    ({"input_v": math.nan}, Code.POWER_TELEM_MISSING),
    ({"input_v": math.inf}, Code.POWER_TELEM_MISSING),
    ({"currents_a": ()}, Code.POWER_TELEM_MISSING),
    ({"currents_a": (None, math.nan)}, Code.POWER_TELEM_MISSING),
    ({"input_v": -28.0}, Code.EXTERNAL_POWER_UNSAFE),
    ({"input_v": -0.6}, Code.EXTERNAL_POWER_UNSAFE),
    ({"input_v": 23.99}, Code.EXTERNAL_POWER_UNSAFE),
    ({"input_v": 12.0}, Code.EXTERNAL_POWER_UNSAFE),
    ({"input_v": 32.01}, Code.EXTERNAL_POWER_UNSAFE),
    ({"currents_a": (0.6,)}, Code.BRIDGE_ELECTRICAL_UNSAFE),
    ({"temperature_c": 120.0}, Code.THERMAL_BLOCK),
    ({"temperature_c": None}, Code.THERMAL_TELEM_MISSING),
    ({"temperature_c": math.nan}, Code.THERMAL_TELEM_MISSING),
])
def test_what_speaks_against_closing_keeps_it_open_and_is_named(changes: dict[str, object], code: Code) -> None:
    bad = replace(OPEN, **changes)
    port = Port()
    assert port.feed.refusals(bad) == (code,)
    port.run(5.0, bad)
    assert port.feed.state is DockFeedState.WAIT
    assert port.feed.codes == (code,)
    assert port.feed.refusals(bad) == (code,)
    assert not any(order.on for order in port.orders)
    # What held it back is gone: it closes.
    port.run(1.0)
    assert port.order.on


@pytest.mark.parametrize("volts", [24.0, 32.0])
def test_the_edges_of_the_voltage_window_are_inside_it(volts: float) -> None:
    port = Port()
    port.run(0.7, replace(OPEN, input_v=volts))
    assert port.order.on


def test_a_check_that_fails_once_begins_the_half_second_anew() -> None:
    port = Port()
    for _ in range(10):
        port.run(0.4)
        port.run(0.05, replace(OPEN, input_v=23.0))
    assert not any(order.on for order in port.orders)


def test_several_reasons_are_named_once_each_and_in_order() -> None:
    port = Port()
    port.run(0.1, DockInputs(None, None, (), None))
    assert port.feed.codes == (Code.SOURCE_UNAVAILABLE, Code.POWER_TELEM_MISSING, Code.THERMAL_TELEM_MISSING)


def test_a_body_without_a_sensor_at_the_bridge_needs_no_temperature() -> None:
    port = Port(bridge=None)
    port.run(10.0, replace(OPEN, temperature_c=None, closed=None, power_good=None))
    assert port.feed.state is DockFeedState.ON


# -- soft start


def test_the_share_rises_linearly_over_the_soft_start_in_sixteenths() -> None:
    port = Port().until(DockFeedState.SOFT_START)
    begin = len(port.orders) - 1
    port.run(2.5)
    shares = [order.share for order in port.orders[begin:]]
    assert all((share * 16).is_integer() for share in shares)
    assert all(late - early in (0.0, 1 / 16) for early, late in pairwise(shares))
    assert shares[0] == 1 / 16
    assert shares[20] == pytest.approx(0.5 * FULL_SHARE, abs=1 / 16)
    for k, share in enumerate(shares[:41]):
        # Rounded down: never above the straight line, except for the one sixteenth that the switch cannot go below.
        assert share <= max(1 / 16, 250.0 / 280.0 * k / 40.0) + 1e-9
    assert shares[40:] == [FULL_SHARE] * len(shares[40:])


def test_the_soft_start_is_shown_in_percent() -> None:
    port = Port().until(DockFeedState.SOFT_START)
    begin = len(port.percents) - 1
    port.run(2.5)
    assert port.percents[begin - 1] == 0.0
    assert port.percents[begin:begin + 41] == pytest.approx([2.5 * k for k in range(41)])
    assert port.percents[-1] == 100.0
    assert port.feed.state is DockFeedState.ON


@pytest.mark.parametrize(("volts", "share"), [(24.0, 16 / 16), (25.0, 16 / 16), (28.0, 14 / 16), (32.0, 12 / 16)])
def test_full_feed_keeps_the_limits_of_power_and_of_current(volts: float, share: float) -> None:
    port = Port()
    port.run(0.7, replace(OPEN, input_v=volts))
    port.run(4.0, replace(FEEDING, input_v=volts))
    assert port.order == DockOrder(True, share)
    assert share * 10.0 * volts <= 250.0 + 1e-9


def test_a_voltage_missing_for_a_moment_gives_the_least_current() -> None:
    port = Port().until(DockFeedState.ON)
    port.run(0.05, replace(FEEDING, input_v=None))
    assert port.order == DockOrder(True, 12 / 16)


def test_a_warm_bridge_halves_the_share_until_it_has_cooled() -> None:
    port = Port().until(DockFeedState.ON)
    port.run(0.1, replace(FEEDING, temperature_c=109.9))
    assert port.order.share == FULL_SHARE
    port.run(0.1, replace(FEEDING, temperature_c=110.0))
    assert port.order == DockOrder(True, 7 / 16)
    assert port.feed.codes == (Code.THERMAL_NODE_HOT,)
    port.run(0.1, replace(FEEDING, temperature_c=105.1))
    assert port.order.share == 7 / 16
    port.run(0.1, replace(FEEDING, temperature_c=105.0))
    assert port.order.share == FULL_SHARE
    assert port.feed.codes == ()


# -- opening: every row of the table

# Fault, reading, code, longest time until open, what follows.
ROWS = [
    (DockFault.REVERSE_CURRENT, {"currents_a": (-0.51, 0.0)}, Code.BRIDGE_ELECTRICAL_UNSAFE, 0.0, Response.DANGER),
    (DockFault.REVERSED, {"input_v": -28.0}, Code.EXTERNAL_POWER_UNSAFE, 0.0, Response.DANGER),
    (DockFault.OVER_VOLTAGE, {"input_v": 32.1}, Code.EXTERNAL_POWER_UNSAFE, 0.0, Response.FAULT),
    (DockFault.TOO_HOT, {"temperature_c": 120.0}, Code.THERMAL_BLOCK, 0.0, Response.PAUSE),
    (DockFault.NO_CONTACT, {"contact": False}, Code.SOURCE_UNAVAILABLE, 0.1, Response.PAUSE),
    (DockFault.NO_CONTACT, {"contact": None}, Code.SOURCE_UNAVAILABLE, 0.1, Response.PAUSE),
    (DockFault.NO_TELEMETRY, {"input_v": None}, Code.POWER_TELEM_MISSING, 0.2, Response.PAUSE),
    (DockFault.NO_TELEMETRY, {"input_v": math.nan}, Code.POWER_TELEM_MISSING, 0.2, Response.PAUSE),
    (DockFault.NO_TELEMETRY, {"currents_a": (None,)}, Code.POWER_TELEM_MISSING, 0.2, Response.PAUSE),
    (DockFault.NO_TELEMETRY, {"currents_a": (math.nan, math.inf)}, Code.POWER_TELEM_MISSING, 0.2, Response.PAUSE),
    (DockFault.NO_TEMPERATURE, {"temperature_c": None}, Code.THERMAL_TELEM_MISSING, 5.0, Response.PAUSE),
    (DockFault.NO_TEMPERATURE, {"temperature_c": math.nan}, Code.THERMAL_TELEM_MISSING, 5.0, Response.PAUSE),
    (DockFault.OVER_CURRENT, {"currents_a": (11.1,)}, Code.EXTERNAL_POWER_UNSAFE, 0.1, Response.FAULT),
    (DockFault.OVER_POWER, {"currents_a": (9.9,)}, Code.EXTERNAL_POWER_UNSAFE, 2.0, Response.FAULT),
    (DockFault.UNDER_VOLTAGE, {"input_v": 23.9}, Code.EXTERNAL_POWER_UNSAFE, 0.1, Response.FAULT),
    (DockFault.UNDER_VOLTAGE, {"input_v": 0.0}, Code.EXTERNAL_POWER_UNSAFE, 0.1, Response.FAULT),
    (DockFault.STAYS_OPEN, {"closed": False}, Code.LOAD_DISOBEYS, 1.0, Response.FAULT),
    (DockFault.NO_POWER, {"power_good": False}, Code.SOURCE_UNAVAILABLE, 1.0, Response.FAULT),
]


@pytest.mark.parametrize(("fault", "changes", "code", "within_s", "response"), ROWS)
def test_every_row_opens_in_its_time_with_its_code(
    fault: DockFault, changes: dict[str, object], code: Code, within_s: float, response: Response,
) -> None:
    port = Port().until(DockFeedState.ON)
    took = port.step_until_open(replace(FEEDING, **changes))
    assert took == pytest.approx(within_s, abs=1e-9)
    assert port.feed.fault is fault
    assert code in port.feed.codes
    assert port.feed.soft_start_pct == 0.0
    expected = {
        Response.DANGER: DockFeedState.LATCHED, Response.FAULT: DockFeedState.HOLD, Response.PAUSE: DockFeedState.WAIT,
    }
    assert port.feed.state is expected[response]


def test_every_row_of_the_table_is_tested() -> None:
    assert {row[0] for row in ROWS} | {DockFault.STUCK_CLOSED} == {trip.fault for trip in TRIPS} == set(DockFault)
    for fault, _, code, _, response in ROWS:
        assert any((trip.fault, trip.code, trip.response) == (fault, code, response) for trip in TRIPS)


@pytest.mark.parametrize(("fault", "changes"), [(row[0], row[1]) for row in ROWS if row[3] > 0.0])
def test_what_lasts_shorter_than_its_row_says_does_not_open(fault: DockFault, changes: dict[str, object]) -> None:
    persist_s = next(trip.persist_s for trip in TRIPS if trip.fault is fault)
    port = Port().until(DockFeedState.ON)
    for _ in range(5):
        port.run(persist_s, replace(FEEDING, **changes))
        port.run(0.05, FEEDING)
    assert port.feed.state is DockFeedState.ON


@pytest.mark.parametrize("changes", [
    {"currents_a": (-0.5, 5.0)}, {"currents_a": (11.0,), "input_v": 25.0}, {"currents_a": (9.8,)},
    {"input_v": 32.0, "currents_a": (7.8,)}, {"input_v": 24.0}, {"temperature_c": 119.9}, {"currents_a": (None, 5.0)},
    {"closed": None, "power_good": None},
])
def test_readings_at_the_edge_do_not_open(changes: dict[str, object]) -> None:
    port = Port().until(DockFeedState.ON)
    port.run(20.0, replace(FEEDING, **changes))
    assert port.feed.state is DockFeedState.ON


@pytest.mark.parametrize("changes", [row[1] for row in ROWS if row[0] not in (DockFault.NO_POWER,)])
def test_the_same_readings_open_it_while_it_rises(changes: dict[str, object]) -> None:
    port = Port(replace_soft_start(20.0)).until(DockFeedState.SOFT_START)
    port.run(2.0)
    port.step_until_open(replace(FEEDING, **changes))
    assert not port.feed.closed


def replace_soft_start(seconds: float) -> DockFeedConfig:
    return DockFeedConfig(voltage_v=28.0, power_max_w=250.0, current_max_a=10.0, soft_start_s=seconds)


def test_no_power_good_while_it_rises_is_as_it_should_be() -> None:
    port = Port(replace_soft_start(5.0)).until(DockFeedState.SOFT_START)
    port.run(4.0, replace(FEEDING, power_good=False))
    assert port.feed.state is DockFeedState.SOFT_START


def test_not_wanted_opens_at_once_and_the_next_start_is_soft_again() -> None:
    port = Port().until(DockFeedState.ON)
    port.wanted = False
    port.run(0.05)
    assert port.order == DockOrder(False, 1 / 16)
    port.wanted = True
    port.until(DockFeedState.SOFT_START)
    assert port.order.share == 1 / 16


# -- afterwards


@pytest.mark.parametrize("changes", [row[1] for row in ROWS if row[4] is Response.DANGER])
def test_danger_stays_open_until_an_operator_clears_it(changes: dict[str, object]) -> None:
    port = Port().until(DockFeedState.ON)
    port.run(0.05, replace(FEEDING, **changes))
    port.run(120.0)
    assert port.feed.state is DockFeedState.LATCHED
    assert len(port.feed.codes) == 1
    port.wanted = False
    port.run(1.0)
    assert len(port.feed.codes) == 1
    port.wanted = True
    port.run(1.0)
    assert port.feed.state is DockFeedState.LATCHED
    port.feed.clear()
    port.until(DockFeedState.ON)
    assert port.feed.fault is None


def test_backflow_through_an_open_switch_latches_too() -> None:
    port = Port()
    port.wanted = False
    port.run(0.05, replace(OPEN, currents_a=(-0.6,)))
    assert port.feed.state is DockFeedState.LATCHED
    assert port.feed.codes == (Code.BRIDGE_ELECTRICAL_UNSAFE,)


def test_a_cleared_danger_that_still_is_there_latches_again() -> None:
    port = Port().until(DockFeedState.ON)
    bad = replace(OPEN, currents_a=(-1.0,))
    port.run(0.1, bad)
    port.feed.clear()
    port.run(0.05, bad)
    assert port.feed.state is DockFeedState.LATCHED
    assert port.feed.fault is DockFault.REVERSE_CURRENT


def test_a_switch_that_does_not_open_latches() -> None:
    port = Port().until(DockFeedState.ON)
    port.wanted = False
    port.run(1.0, FEEDING)
    assert port.feed.state is DockFeedState.OFF
    port.run(0.1, FEEDING)
    assert port.feed.state is DockFeedState.LATCHED
    assert port.feed.fault is DockFault.STUCK_CLOSED
    assert port.feed.codes == (Code.LOAD_DISOBEYS,)
    assert port.feed.refusals(OPEN) == (Code.LOAD_DISOBEYS,)


def test_the_first_fault_is_kept_while_it_is_latched() -> None:
    port = Port().until(DockFeedState.ON)
    port.run(0.05, replace(FEEDING, currents_a=(-1.0,)))
    port.run(3.0, FEEDING)
    assert port.feed.fault is DockFault.REVERSE_CURRENT


def test_a_fault_is_tried_again_after_ten_seconds_three_times() -> None:
    port = Port().until(DockFeedState.ON)
    bad = replace(FEEDING, input_v=33.0)
    for attempt in (1, 2, 3):
        port.run(0.05, bad)
        assert port.feed.state is DockFeedState.HOLD
        assert port.feed.retries == attempt
        assert port.feed.refusals(OPEN) == (Code.EXTERNAL_POWER_UNSAFE,)
        port.run(9.9)
        assert port.feed.state is DockFeedState.HOLD
        port.until(DockFeedState.ON, 4.0)
    port.run(0.05, bad)
    assert port.feed.state is DockFeedState.LATCHED
    port.run(100.0)
    assert port.feed.state is DockFeedState.LATCHED
    port.feed.clear()
    port.until(DockFeedState.ON, 4.0)
    assert port.feed.retries == 0


def test_a_minute_of_sound_feeding_forgives_earlier_faults() -> None:
    port = Port().until(DockFeedState.ON)
    for _ in range(6):
        port.run(0.05, replace(FEEDING, input_v=33.0))
        assert port.feed.state is DockFeedState.HOLD
        port.until(DockFeedState.ON)
        port.run(61.0)
    assert port.feed.retries == 0


def test_wanting_it_off_and_on_does_not_shorten_the_wait_but_an_operator_does() -> None:
    port = Port().until(DockFeedState.ON)
    port.run(0.05, replace(FEEDING, input_v=33.0))
    for wanted in (False, True):
        port.wanted = wanted
        port.run(1.0)
    assert port.feed.state is DockFeedState.HOLD
    port.feed.clear()
    port.until(DockFeedState.ON, 4.0)


def test_a_wait_that_ends_unwanted_ends_in_off() -> None:
    port = Port().until(DockFeedState.ON)
    port.run(0.05, replace(FEEDING, input_v=33.0))
    port.wanted = False
    port.run(12.0)
    assert port.feed.state is DockFeedState.OFF


@pytest.mark.parametrize("changes", [row[1] for row in ROWS if row[4] is Response.PAUSE])
def test_what_only_pauses_is_no_retry_and_feeds_again_when_it_is_over(changes: dict[str, object]) -> None:
    port = Port().until(DockFeedState.ON)
    for _ in range(6):
        port.step_until_open(replace(FEEDING, **changes))
        port.run(1.0, replace(OPEN, **changes))
        port.until(DockFeedState.ON, 4.0)
    assert port.feed.retries == 0
    assert port.feed.fault is None


def test_a_tripped_bridge_is_waited_for_until_its_clear_temperature() -> None:
    port = Port().until(DockFeedState.ON)
    port.run(0.05, replace(FEEDING, temperature_c=121.0))
    port.run(5.0, replace(OPEN, temperature_c=115.1))
    assert port.feed.codes == (Code.THERMAL_BLOCK,)
    # No reading meanwhile is no proof that it has cooled.
    port.run(5.0, replace(OPEN, temperature_c=None))
    assert port.feed.codes == (Code.THERMAL_BLOCK, Code.THERMAL_TELEM_MISSING)
    port.run(1.0, replace(OPEN, temperature_c=115.0))
    assert port.order.on
    assert port.feed.codes == (Code.THERMAL_NODE_HOT,)


def test_nothing_speaks_against_what_is_closed() -> None:
    port = Port().until(DockFeedState.ON)
    assert port.feed.refusals(FEEDING) == ()


def test_time_that_stands_still_or_goes_back_raises_nothing_but_still_opens() -> None:
    port = Port().until(DockFeedState.SOFT_START)
    share = port.order.share
    for now in (port.now_ns, port.now_ns, 0, -1):
        order = port.feed.update(now, FEEDING, True)
    assert order == DockOrder(True, share)
    assert port.feed.update(0, replace(FEEDING, currents_a=(-2.0,)), True).on is False


# -- as a whole


def test_every_state_can_be_left_and_reached() -> None:
    assert {state for state, _ in MOVES} == set(DockFeedState)
    assert set(MOVES.values()) == set(DockFeedState)
    assert {event for _, event in MOVES} == set(DockEvent)


values = st.one_of(st.none(), st.floats(), st.floats(-35.0, 35.0), st.just(28.0))
flags = st.sampled_from([True, False, None])
readings = st.builds(
    DockInputs, contact=flags, input_v=values, currents_a=st.lists(values, max_size=2).map(tuple),
    temperature_c=st.one_of(values, st.floats(0.0, 130.0)), closed=flags, power_good=flags,
)


@settings(max_examples=150, deadline=None)
@given(history=st.lists(
    st.tuples(st.one_of(st.sampled_from([OPEN, FEEDING]), readings), st.booleans(), st.integers(0, 40)), max_size=60,
))
def test_no_history_closes_it_onto_what_is_not_sound(history: list[tuple[DockInputs, bool, int]]) -> None:
    feed = DockFeed(CONFIG, BRIDGE)
    now = 0
    for inputs, wanted, wait in history:
        was_closed = feed.closed
        now += wait * STEP_NS
        order = feed.update(now, inputs, wanted)
        assert (order.share * 16).is_integer()
        assert 1 / 16 <= order.share <= 1.0
        assert 0.0 <= feed.soft_start_pct <= 100.0
        if order.on:
            assert wanted
            known = [a for a in inputs.currents_a if a is not None and math.isfinite(a)]
            assert all(a >= CONFIG.reverse_a for a in known)
            assert inputs.input_v is None or not math.isfinite(inputs.input_v) or inputs.input_v <= CONFIG.highest_v
        if order.on and not was_closed:
            assert inputs.contact is True
            assert inputs.input_v is not None
            assert CONFIG.lowest_v <= inputs.input_v <= CONFIG.highest_v
            assert inputs.temperature_c is not None
            assert inputs.temperature_c < BRIDGE.trip_c


# -- who carries the bus


@pytest.mark.parametrize(("panel_a", "dock_a", "battery_a", "expected"), [
    (1.0, 0.0, 3.0, Sources((Source.PANEL, Source.BATTERY), Source.BATTERY, (), ())),
    (1.0, 8.0, -6.0, Sources((Source.PANEL, Source.DOCK), Source.DOCK, (), ())),
    (0.0, 0.0, 2.0, Sources((Source.BATTERY,), Source.BATTERY, (), ())),
    (1.2, 0.0, -0.2, Sources((Source.PANEL,), Source.PANEL, (), ())),
    (0.0, 0.0, 0.0, Sources((), None, (), ())),
    (0.04, 0.05, 0.0, Sources((Source.DOCK,), Source.DOCK, (), ())),
    (0.0, -0.6, 4.0, Sources((Source.BATTERY,), Source.BATTERY, (Source.DOCK,), ())),
    (-0.6, -0.5, 4.0, Sources((Source.BATTERY,), Source.BATTERY, (Source.PANEL,), ())),
    (1.0, None, 3.0, Sources((Source.PANEL, Source.BATTERY), None, (), (Source.DOCK,))),
    (math.nan, 2.0, math.inf, Sources((Source.DOCK,), None, (), (Source.PANEL, Source.BATTERY))),
])
def test_the_bus_is_carried_by_who_gives_and_backflow_is_named(
    panel_a: float | None, dock_a: float | None, battery_a: float | None, expected: Sources,
) -> None:
    assert sources(panel_a, dock_a, battery_a) == expected


def test_the_bound_of_backflow_can_be_set() -> None:
    assert sources(0.0, -0.3, 1.0, reverse_a=-0.2).reverse == (Source.DOCK,)
