"""The power plant: who pays what, limits, voltages, and books that balance."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.profile import BodyConfig, load_body
from hil.plant.power import PowerPlant

BODIES = Path(__file__).parents[2] / "board_configs" / "bodies"
BODY = load_body(BODIES / "qiki-t.yaml")
BENCH = load_body(BODIES / "bench-12kg.yaml")
SUN = 1361.0
DT = 0.05


def plant(body: BodyConfig = BODY, **soc: float) -> PowerPlant:
    return PowerPlant(body, **soc)


def only_base(power: PowerPlant) -> PowerPlant:
    for name in ("processor", "radar", "transponder", "nbl"):
        power.set_load(name, False)
    return power


def test_array_power_is_flux_area_efficiency_and_cosine() -> None:
    power = plant()
    power.step(DT, SUN, 0.9, 0.0)
    assert power.array_w == pytest.approx(1361.0 * 0.10 * 0.28 * 0.9)
    power.step(DT, SUN, -0.4, 0.0)
    assert power.array_w == 0.0
    power.panel_factor = 0.25
    power.step(DT, SUN, 1.0, 0.0)
    assert power.array_w == pytest.approx(0.25 * 38.108)


def test_bus_voltage_is_linear_in_the_battery_charge() -> None:
    assert plant(soc_battery=0.0).bus_voltage_v == 22.0
    assert plant(soc_battery=0.8).bus_voltage_v == pytest.approx(26.8)
    assert plant(BENCH, soc_battery=1.0).bus_voltage_v == pytest.approx(25.2)


def test_battery_covers_what_the_arrays_lack_and_the_supercap_pays_nothing() -> None:
    power = only_base(plant())
    power.step(DT, SUN, 0.5, 0.0)
    assert power.battery_out_w == pytest.approx(60.0 - 19.054)
    assert power.supercap_out_w == 0.0
    assert power.bus_current_a == pytest.approx(60.0 / power.bus_voltage_v)
    assert power.battery_current_a == pytest.approx((60.0 - 19.054) / power.bus_voltage_v)
    assert power.unserved_w == 0.0


def test_supercap_pays_the_valves_and_they_are_no_bus_current() -> None:
    power = only_base(plant(soc_supercap=0.7))
    power.step(DT, 0.0, 0.0, 80.0 * DT)
    assert power.supercap_out_w == pytest.approx(80.0)
    assert power.battery_out_w == pytest.approx(60.0)
    assert power.bus_current_a == pytest.approx(60.0 / power.bus_voltage_v)
    assert power.supercap_current_a > 0.0


def test_battery_helps_a_peak_only_from_the_hold_level_down() -> None:
    above, at = only_base(plant(soc_supercap=0.31)), only_base(plant(soc_supercap=0.30))
    for power in (above, at):
        power.step(DT, 0.0, 0.0, 100.0 * DT)
    assert above.battery_out_w == pytest.approx(60.0)
    assert above.supercap_out_w == pytest.approx(100.0)
    assert at.battery_out_w == pytest.approx(140.0)
    assert at.supercap_out_w == pytest.approx(20.0)
    assert at.bus_current_a == pytest.approx(140.0 / at.bus_voltage_v)


def test_supercap_gives_no_more_than_its_limit() -> None:
    power = only_base(plant(soc_supercap=0.9))
    power.step(DT, 0.0, 0.0, 320.0 * DT)
    assert power.supercap_out_w == 200.0
    assert power.unserved_w == pytest.approx(120.0)
    assert power.valve_w == pytest.approx(200.0)


@pytest.mark.parametrize(
    ("battery", "supercap", "into_battery", "into_supercap"),
    [(0.19, 0.2, 1.0, 0.0), (0.5, 0.2, 0.0, 1.0), (0.5, 0.59, 0.0, 1.0), (0.5, 0.7, 0.5, 0.5), (0.5, 1.0, 1.0, 0.0)],
)
def test_surplus_charges_in_the_ruled_order(
    battery: float, supercap: float, into_battery: float, into_supercap: float
) -> None:
    power = only_base(plant(soc_battery=battery, soc_supercap=supercap))
    power.step(DT, 3000.0, 1.0, 0.0)
    surplus = 84.0 - 60.0
    assert power.battery_in_w == pytest.approx(into_battery * surplus)
    assert power.supercap_in_w == pytest.approx(into_supercap * surplus)
    assert power.spilled_w == pytest.approx(0.0, abs=1e-9)
    assert power.battery_current_a == pytest.approx(-into_battery * surplus / power.bus_voltage_v)


def test_what_no_store_takes_is_spilled() -> None:
    power = only_base(plant(soc_battery=1.0, soc_supercap=1.0))
    power.step(DT, 3000.0, 1.0, 0.0)
    assert power.spilled_w == pytest.approx(24.0)
    assert power.soc_battery == 1.0
    assert power.ledger.spilled == pytest.approx(24.0 * DT)


def test_charge_limit_of_the_battery_holds() -> None:
    power = only_base(plant(soc_battery=0.1, soc_supercap=1.0))
    power.step(DT, 10_000.0, 1.0, 0.0)
    assert power.battery_in_w == 120.0
    assert power.spilled_w == pytest.approx(280.0 - 60.0 - 120.0)


def test_discharge_limit_leaves_loads_unserved() -> None:
    power = plant(soc_battery=0.8)
    power.step(DT, 0.0, 0.0, 0.0)
    assert power.load_w == pytest.approx(139.0)
    empty = plant(soc_battery=0.0)
    empty.step(DT, 0.0, 0.0, 0.0)
    assert empty.load_w == 0.0
    assert empty.unserved_w == pytest.approx(139.0)
    assert empty.load_power_w("processor") == 0.0
    assert empty.soc_battery == 0.0


def test_supercap_voltage_follows_its_energy_and_sags_on_its_resistance() -> None:
    power = plant(soc_supercap=1.0)
    assert power.supercap_voltage_v == pytest.approx(10.0)
    assert power.capacitance_f == pytest.approx(360.0)
    assert power.esr_ohm == pytest.approx(0.025)
    assert plant(soc_supercap=0.25).supercap_voltage_v == pytest.approx(5.0)
    power.step(DT, 0.0, 0.0, 200.0 * DT)
    sag = power.supercap_open_voltage_v - power.supercap_voltage_v
    assert sag == pytest.approx(0.025 * power.supercap_current_a)
    assert 0.4 < sag < 0.6
    terminal = power.supercap_voltage_v * power.supercap_current_a
    assert terminal == pytest.approx(200.0 * 1.03, rel=1e-3)


def test_constant_power_discharge_takes_energy_and_loss_from_the_stack() -> None:
    power = only_base(plant(soc_supercap=0.9))
    before = power.supercap_j
    for _ in range(200):
        power.step(DT, 0.0, 0.0, 100.0 * DT)
    delivered = 100.0 * 10.0
    assert before - power.supercap_j == pytest.approx(delivered + power.ledger.supercap_losses, rel=1e-9)
    assert power.ledger.supercap_losses > 0.03 * delivered


def test_supercap_runs_down_to_nothing_without_going_below() -> None:
    power = plant(soc_battery=0.0, soc_supercap=0.05)
    for _ in range(400):
        power.step(DT, 0.0, 0.0, 200.0 * DT)
    assert 0.0 <= power.soc_supercap < 0.01
    assert power.valve_w < 50.0


def test_supercap_charges_from_empty_and_stops_at_full() -> None:
    power = only_base(plant(soc_battery=0.5, soc_supercap=0.0))
    for _ in range(20_000):
        power.step(DT, 10_000.0, 1.0, 0.0)
    assert power.soc_supercap == pytest.approx(1.0)
    assert power.soc_supercap <= 1.0


def test_base_loads_cannot_be_switched_off() -> None:
    power = plant()
    with pytest.raises(ValueError, match="base load"):
        power.set_load("base", False)
    with pytest.raises(ValueError, match="no load"):
        power.set_load("toaster", True)
    power.set_load("radar", False)
    assert not power.is_on("radar")
    assert power.load_power_w("radar") == 0.0
    assert power.load_power_w("toaster") == 0.0
    assert power.load_names() == ("base", "processor", "radar", "transponder", "nbl")


def test_charge_outside_zero_to_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        PowerPlant(BODY, soc_battery=1.2)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        plant().set_soc(supercap=float("nan"))
    with pytest.raises(ValueError, match="series resistance"):
        PowerPlant(BODY, esr_ohm=0.0)


def test_setting_a_store_by_hand_is_booked() -> None:
    power = plant(soc_battery=0.8)
    power.set_soc(battery=0.1, supercap=0.9)
    assert power.soc_battery == pytest.approx(0.1)
    assert power.ledger.set == pytest.approx(-0.7 * 1_800_000.0 + 0.2 * 18_000.0)
    assert power.balance_error_j == pytest.approx(0.0, abs=1e-6)


step = st.tuples(
    st.floats(0.0, 3000.0), st.floats(-1.0, 1.0), st.floats(0.0, 400.0), st.integers(0, 3), st.booleans(),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    body=st.sampled_from([BODY, BENCH]), battery=st.floats(0.0, 1.0), supercap=st.floats(0.0, 1.0),
    steps=st.lists(step, min_size=1, max_size=40), dt=st.sampled_from([0.05, 0.5, 5.0]),
)
def test_sources_equal_loads_losses_and_what_is_stored(
    body: BodyConfig, battery: float, supercap: float, steps: list[tuple[float, float, float, int, bool]], dt: float
) -> None:
    power = PowerPlant(body, soc_battery=battery, soc_supercap=supercap)
    names = power.load_names()[1:]
    for flux, cosine, valves, load, on in steps:
        power.set_load(names[load % len(names)], on)
        power.step(dt, flux, cosine, valves * dt)
        assert 0.0 <= power.soc_battery <= 1.0
        assert 0.0 <= power.soc_supercap <= 1.0
        assert power.battery_in_w == 0.0 or power.battery_out_w == 0.0
        assert power.battery_out_w <= body.power.battery.discharge_max_w * (1.0 + 1e-12)
        assert power.supercap_out_w <= body.power.supercap.discharge_max_w
        assert min(power.spilled_w, power.unserved_w) >= -1e-9
    book = power.ledger
    turnover = book.harvested + book.loads + book.valves + 1e-3
    assert abs(power.balance_error_j) < 1e-6 * turnover + 1e-9 * power.stored_j
    assert abs(book.set) < 1e-6 * power.battery_capacity_j * 1e-6
    assert power.ledger_dict()["loads"] == book.loads
