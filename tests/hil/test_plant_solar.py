"""Solar array: its published points, others' solver, light, temperature, shadow and what it refuses."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.profile.body import ArrayConfig
from hil.plant.solar import BYPASS_V, FULL_SUN_W_M2, SolarArray

ARRAY = SolarArray(ArrayConfig(area_m2=0.10, efficiency=0.28, normal=(-1, 0, 0), open_circuit_v=35.0, max_power_v=30.8))
FULL_W = 0.10 * 0.28 * 1361.0
FULL = (FULL_SUN_W_M2, FULL_SUN_W_M2)

# pvlib 0.16.1, pvsystem.singlediode (Lambert W), series resistance 0, shunt infinite. Its constants were solved for
# apart, with scipy's fsolve, from 35 V open circuit, 30.8 V and 38.108 W at the maximum: 1.2900607623 A of light,
# 3.493986706e-12 A saturation, n Ns Vt 1.3140768744 V.
# Light W/m2, short circuit A, open circuit V, voltage and power of the maximum.
PVLIB_UNIFORM = (
    (1361.0, 1.290061, 35.000000, 30.800000, 38.108000),
    (680.5, 0.645030, 34.089151, 29.925434, 18.490849),
    (136.1, 0.129006, 31.974226, 27.898656, 3.437198),
    (27.22, 0.025801, 29.859301, 25.877926, 0.635416),
)
PVLIB_CURVE = ((10.0, 1.290061), (25.0, 1.289422), (30.0, 1.261344), (33.0, 1.008468), (34.5, 0.408275))
# Same constants, half-strings by pvlib's v_from_i, summed at equal current (an element never under -0.6 V), the current
# found by scipy's brentq: first wing with one half at 400 W/m2, all else in full Sun. Voltage, current of the array.
PVLIB_SHADOWED = (
    (5.0, 1.290061), (14.0, 1.282250), (15.5, 1.213466), (17.0, 0.834605), (20.0, 0.834599), (28.0, 0.831450),
    (31.0, 0.801808), (33.0, 0.653799), (34.5, 0.204137),
)
SHADOWED = (1361.0, 400.0, 1361.0, 1361.0)

light = st.floats(0.0, 1500.0)
temperature = st.floats(-120.0, 120.0)
lights = st.one_of(st.tuples(light, light), st.tuples(light, light, light, light))


@pytest.mark.parametrize(("area_m2", "efficiency", "open_v", "best_v"), [
    (0.10, 0.28, 35.0, 30.8), (0.05, 0.295, 18.7, 16.4), (2.0, 0.17, 40.0, 23.0), (1.0, 0.3, 10.0, 9.9),
])
def test_full_sun_gives_area_times_efficiency_at_the_voltage_of_the_body(
    area_m2: float, efficiency: float, open_v: float, best_v: float,
) -> None:
    config = ArrayConfig(
        area_m2=area_m2, efficiency=efficiency, normal=(-1, 0, 0), open_circuit_v=open_v, max_power_v=best_v
    )
    curve = SolarArray(config).curve(FULL)
    v, w = curve.max_power()
    assert v == pytest.approx(best_v, rel=1e-9)
    assert w == pytest.approx(area_m2 * efficiency * 1361.0, rel=1e-9)
    assert curve.open_circuit_v == pytest.approx(open_v, rel=1e-9)


@pytest.mark.parametrize(("light_w_m2", "short_a", "open_v", "best_v", "best_w"), PVLIB_UNIFORM)
def test_maxima_in_any_light_are_those_of_pvlib(
    light_w_m2: float, short_a: float, open_v: float, best_v: float, best_w: float,
) -> None:
    curve = ARRAY.curve((light_w_m2, light_w_m2))
    assert curve.current_a(0.0) == pytest.approx(short_a, abs=1e-6)
    assert curve.open_circuit_v == pytest.approx(open_v, abs=1e-6)
    assert curve.max_power() == pytest.approx((best_v, best_w), abs=1e-6)


def test_the_curve_is_that_of_pvlib() -> None:
    curve = ARRAY.curve(FULL)
    assert [curve.current_a(v) for v, _ in PVLIB_CURVE] == pytest.approx([a for _, a in PVLIB_CURVE], abs=1e-6)


def test_a_half_in_shadow_has_the_curve_and_both_maxima_of_pvlib() -> None:
    curve = ARRAY.curve(SHADOWED)
    assert [curve.current_a(v) for v, _ in PVLIB_SHADOWED] == pytest.approx([a for _, a in PVLIB_SHADOWED], abs=2e-6)
    low, high = curve.peaks()
    # pvlib's power on grids of 1 mV and 1.6 mV.
    assert low == pytest.approx((15.261, 18.875151), abs=2e-3)
    assert high == pytest.approx((30.97289, 24.856334), abs=2e-3)
    assert curve.max_power() == high


def test_shape_is_that_of_the_cells_data_sheet() -> None:
    # AZUR SPACE 3G28C: 487 mA of 506 mA at the maximum, which nothing here was fitted to; -6.1 mV/K of that voltage.
    curve = ARRAY.curve(FULL)
    v, w = curve.max_power()
    assert w / v / curve.current_a(0.0) == pytest.approx(487.0 / 506.0, rel=0.005)
    assert ARRAY.cells == 13
    warmer, _ = ARRAY.curve(FULL, 29.0).max_power()
    assert (warmer - v) / ARRAY.cells == pytest.approx(-6.1e-3, abs=0.5e-3)


def test_open_circuit_falls_six_millivolts_a_cell_and_kelvin() -> None:
    for cell_c in (-60.0, 0.0, 28.0, 80.0):
        open_v = ARRAY.curve(FULL, cell_c).open_circuit_v
        assert open_v == pytest.approx(35.0 - 13 * 6.0e-3 * (cell_c - 28.0), rel=1e-9)


def test_short_circuit_grows_a_little_with_heat_and_power_falls() -> None:
    cold, hot = ARRAY.curve(FULL, -40.0), ARRAY.curve(FULL, 80.0)
    assert hot.current_a(0.0) / cold.current_a(0.0) == pytest.approx(1.0 + 120 * 0.32 / 506, rel=0.01)
    # -0.20 %/K by the data sheet's coefficients of voltage and current at the maximum.
    loss = 1.0 - hot.max_power()[1] / ARRAY.curve(FULL).max_power()[1]
    assert loss == pytest.approx(52 * 0.0020, rel=0.25)


@given(share=st.floats(0.01, 1.0))
def test_current_goes_with_light_and_open_circuit_with_its_logarithm(share: float) -> None:
    full, dim = ARRAY.curve(FULL), ARRAY.curve((1361.0 * share, 1361.0 * share))
    assert dim.current_a(0.0) == pytest.approx(share * full.current_a(0.0), rel=1e-9)
    assert full.open_circuit_v - dim.open_circuit_v == pytest.approx(-1.31407687 * math.log(share), rel=1e-6, abs=1e-9)


@settings(max_examples=60)
@given(lights=lights, cell_c=temperature)
def test_no_voltage_gives_more_than_the_greatest_maximum(lights: tuple[float, ...], cell_c: float) -> None:
    curve = ARRAY.curve(lights, cell_c)
    best_v, best_w = curve.max_power()
    top = max((curve.power_w(curve.open_circuit_v * k / 500.0) for k in range(500)), default=0.0)
    assert top <= best_w * (1.0 + 1e-9) + 1e-12
    assert curve.power_w(best_v) == pytest.approx(best_w, abs=1e-9)
    if max(lights) > 1.0:
        assert top >= best_w * 0.98


@settings(max_examples=60)
@given(lights=lights, cell_c=temperature)
def test_current_only_falls_with_voltage_and_is_nothing_from_the_open_circuit_on(
    lights: tuple[float, ...], cell_c: float,
) -> None:
    curve = ARRAY.curve(lights, cell_c)
    currents = [curve.current_a(curve.open_circuit_v * k / 200.0) for k in range(201)]
    assert all(late <= early + 1e-9 for early, late in pairwise(currents))
    assert min(currents) >= -1e-9
    assert curve.current_a(curve.open_circuit_v) == 0.0
    assert curve.current_a(curve.open_circuit_v + 10.0) == 0.0


@settings(max_examples=100)
@given(lights=lights, cell_c=temperature, share=st.floats(0.001, 0.999))
def test_the_voltage_for_a_power_is_the_highest_that_gives_it(
    lights: tuple[float, ...], cell_c: float, share: float,
) -> None:
    curve = ARRAY.curve(lights, cell_c)
    _, best_w = curve.max_power()
    if best_w < 1e-3:
        return
    wanted = share * best_w
    v = curve.voltage_at(wanted)
    assert curve.power_w(v) == pytest.approx(wanted, abs=1e-6)
    beyond = [curve.power_w(v + (curve.open_circuit_v - v) * k / 50.0) for k in range(1, 50)]
    assert all(power < wanted for power in beyond)


def test_more_than_the_maximum_settles_at_the_maximum_and_nothing_at_the_open_circuit() -> None:
    curve = ARRAY.curve(FULL)
    assert curve.voltage_at(FULL_W * 1.01) == pytest.approx(30.8)
    assert curve.voltage_at(0.0) == curve.open_circuit_v


def test_a_wing_in_the_dark_costs_half_and_takes_nothing_back() -> None:
    curve = ARRAY.curve((FULL_SUN_W_M2, 0.0))
    assert curve.max_power() == pytest.approx((30.8, FULL_W / 2.0))
    assert curve.current_a(34.9) > 0.0


def test_a_half_string_in_the_dark_leaves_the_other_less_the_bypass_diode() -> None:
    curve = ARRAY.curve((FULL_SUN_W_M2, 0.0, FULL_SUN_W_M2, 0.0))
    whole = ARRAY.curve(FULL)
    assert len(curve.peaks()) == 1
    for v in (5.0, 12.0, 15.0):
        assert curve.current_a(v) == pytest.approx(whole.current_a(2.0 * (v + BYPASS_V)), rel=1e-6)


def test_a_shadows_edge_on_both_wings_makes_the_low_maximum_the_great_one() -> None:
    curve = ARRAY.curve((FULL_SUN_W_M2, 300.0, FULL_SUN_W_M2, 300.0))
    low, high = curve.peaks()
    assert low[0] < 16.0 < 30.0 < high[0]
    assert curve.max_power() == low
    assert curve.max_power(lowest_v=24.0) == high
    # With bounds that hold no maximum, one of the bounds is best.
    assert curve.max_power(26.0, 29.0) == (29.0, curve.power_w(29.0))
    assert curve.max_power(17.0, 26.0)[0] in (17.0, 26.0)


def test_darkness_and_no_cells_give_nothing_at_all() -> None:
    none = SolarArray(ArrayConfig(area_m2=0.0, efficiency=0.28, normal=(-1, 0, 0)))
    for curve in (ARRAY.curve((0.0, 0.0)), ARRAY.curve((0.0, 0.0, 0.0, 0.0), -80.0), none.curve(FULL)):
        assert curve.peaks() == ()
        assert curve.max_power() == (0.0, 0.0)
        assert curve.open_circuit_v == 0.0
        assert curve.current_a(0.0) == 0.0
        assert curve.power_w(10.0) == 0.0
        assert curve.voltage_at(5.0) == 0.0


def test_equal_inputs_give_the_same_curve_and_other_inputs_another() -> None:
    first = ARRAY.curve((1000.0, 1000.0), 10.0)
    assert ARRAY.curve([1000.0, 1000.0], 10.0) is first
    assert ARRAY.curve((1000.0, 1000.0), 11.0).max_power() != first.max_power()
    assert ARRAY.curve((1000.0, 999.0), 10.0).max_power() != first.max_power()
    # Back to the first inputs after others: the same values, whatever was asked in between.
    assert ARRAY.curve((1000.0, 1000.0), 10.0).max_power() == first.max_power()


@pytest.mark.parametrize("bad", [
    (), (1361.0,), (1.0, 2.0, 3.0), (-1.0, 5.0), (math.nan, 5.0), (5.0, math.inf), (1.0, 1.0, 1.0, -0.1),
])
def test_light_that_cannot_be_is_refused(bad: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="light on the wings"):
        ARRAY.curve(bad)


@pytest.mark.parametrize("cell_c", [math.nan, math.inf, -201.0, 201.0])
def test_temperature_outside_the_model_is_refused(cell_c: float) -> None:
    with pytest.raises(ValueError, match="deg C"):
        ARRAY.curve(FULL, cell_c)


def test_voltages_and_powers_that_are_no_numbers_are_refused() -> None:
    curve = ARRAY.curve(FULL)
    for v in (-0.1, math.nan):
        with pytest.raises(ValueError, match="held at"):
            curve.current_a(v)
    with pytest.raises(ValueError, match="not a number"):
        curve.voltage_at(math.nan)


@pytest.mark.parametrize("best_v", [35.0, 36.0, 17.5, 10.0])
def test_a_maximum_that_no_diode_has_is_refused(best_v: float) -> None:
    config = ArrayConfig(area_m2=0.1, efficiency=0.28, normal=(-1, 0, 0), open_circuit_v=35.0, max_power_v=best_v)
    with pytest.raises(ValueError, match="max_power_v"):
        SolarArray(config)
