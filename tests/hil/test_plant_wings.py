"""The panel with its charger: what is drawn, at which voltage, and how warm it gets."""

from __future__ import annotations

from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.profile.body import ArrayConfig
from hil.plant.wings import Wings

CONFIG = ArrayConfig(0.1, 0.28, (-1.0, 0.0, 0.0))
SUN = 1361.0


def lit(light: float = SUN, cell_c: float = 28.0) -> Wings:
    wings = Wings(CONFIG, cell_c)
    wings.illuminate(1e-9, light, 24.0)
    return wings


def test_dark_panel_has_no_voltage_and_no_power() -> None:
    wings = lit(0.0)
    wings.draw(0.0)
    assert (wings.max_w, wings.offered_w, wings.voltage_v, wings.current_a) == (0.0, 0.0, 0.0, 0.0)


def test_unloaded_panel_shows_its_open_circuit() -> None:
    wings = lit()
    wings.draw(0.0)
    assert wings.voltage_v == pytest.approx(35.0, abs=1e-6)
    assert wings.current_a == 0.0
    assert not wings.wanted


def test_temperature_follows_the_light_with_one_time_constant() -> None:
    wings = Wings(CONFIG, -10.0)
    wings.illuminate(300.0, SUN, 24.0)
    assert wings.cell_c == pytest.approx(45.0 - 55.0 * exp(-1.0))
    wings.illuminate(1e5, 0.5 * SUN, 24.0)
    assert wings.cell_c == pytest.approx(17.5)
    wings.illuminate(1e5, 100.0 * SUN, 24.0)
    assert wings.cell_c == pytest.approx(120.0)


def test_split_steps_warm_as_one() -> None:
    one, many = Wings(CONFIG, 0.0), Wings(CONFIG, 0.0)
    one.illuminate(100.0, SUN, 24.0)
    for _ in range(1000):
        many.illuminate(0.1, SUN, 24.0)
    assert many.cell_c == pytest.approx(one.cell_c, rel=1e-9)


def test_colder_cells_give_more_voltage_and_power() -> None:
    cold, hot = lit(cell_c=-10.0), lit(cell_c=45.0)
    assert cold.max_w > 1.05 * hot.max_w
    cold.draw(0.0)
    hot.draw(0.0)
    assert hot.voltage_v < 35.0 < cold.voltage_v < 38.6


def test_broken_strings_scale_the_current_at_every_voltage() -> None:
    whole, broken = lit(), lit()
    broken.panel_factor = 0.4
    for volts in (None, 25.0, 30.0, 33.0):
        whole.setpoint_v = broken.setpoint_v = volts
        whole.illuminate(1e-9, SUN, 24.0)
        broken.illuminate(1e-9, SUN, 24.0)
        assert broken.offered_w == pytest.approx(0.4 * whole.offered_w)
    broken.panel_factor = 0.0
    broken.illuminate(1e-9, SUN, 24.0)
    broken.draw(0.0)
    assert (broken.max_w, broken.current_a) == (0.0, 0.0)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    light=st.floats(1.0, 2000.0), first=st.floats(0.0, 1.0), second=st.floats(0.0, 1.0), share=st.floats(0.0, 1.0),
    setpoint=st.one_of(st.none(), st.floats(0.0, 45.0)), cell_c=st.floats(-60.0, 80.0),
)
def test_what_is_drawn_is_voltage_times_current_and_never_more_than_the_best(
    light: float, first: float, second: float, share: float, setpoint: float | None, cell_c: float
) -> None:
    wings = Wings(CONFIG, cell_c)
    wings.set_wing(0, first)
    wings.set_wing(1, second)
    wings.setpoint_v = setpoint
    wings.illuminate(1e-9, light, 24.0)
    assert 0.0 <= wings.offered_w <= wings.max_w * (1.0 + 1e-9)
    wings.draw(share * wings.offered_w)
    assert wings.voltage_v * wings.current_a == pytest.approx(share * wings.offered_w, rel=1e-9, abs=1e-12)
    if setpoint is not None and wings.current_a > 0.0:
        assert wings.voltage_v >= max(setpoint, 24.0) - 1e-6


def test_slow_changes_are_followed_within_a_thousandth() -> None:
    drifting = lit()
    for k in range(1, 2001):
        drifting.illuminate(1e-9, SUN * (1.0 - 2e-4 * k), 24.0)
    fresh = lit(SUN * (1.0 - 0.4), drifting.cell_c)
    assert drifting.max_w == pytest.approx(fresh.max_w, rel=2e-3)
