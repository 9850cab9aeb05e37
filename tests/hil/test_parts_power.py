"""The power chain by its registers alone: what is written moves the world, and what the world does is read back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.profile import load_profile
from hil.chips.ltc4162 import DROPOUT_V
from hil.chips.ve_direct import hex_frame
from hil.plant.world import InitialState
from hil.rig import Rig
from tests.hil.power_rig import PAGES, Master

HEATERS = tuple(name for name in PAGES if name.startswith("heater_"))


def charging() -> Master:
    """A craft whose small loads leave most of the panel to a battery at 15 %."""
    master = Master(soc_battery=0.15)
    for load in ("radar", "nbl", "transponder"):
        master.switch(load, False)
    master.rig.world.set_load("processor", False)
    master.power.set_share("base", 0.1)
    master.run(2.0)
    return master


# -- the panel's charger


def test_a_tracking_charger_finds_the_panel_s_maximum_and_its_telemetry_says_what_flows() -> None:
    master = charging()
    volts, amperes, into_battery = master.panel()
    assert volts * amperes == pytest.approx(master.power.array_max_w, rel=0.01)
    assert master.word("solar", 0x34) == 64
    bus_v = master.power.bus_voltage_v
    assert into_battery * bus_v == pytest.approx(volts * amperes - 6.0, abs=0.2), "the loads have the rest"


def test_a_held_panel_is_where_it_was_told_and_gives_less_on_both_sides_of_its_maximum() -> None:
    master = charging()
    powers = {}
    for setting in (25.0, 27.0, 28.5, 30.5, 32.0):
        master.hold_panel(setting)
        master.run(0.1)
        volts, amperes, _ = master.panel()
        assert volts == pytest.approx(round(setting / 0.140625) * 0.140625, abs=0.01)
        powers[setting] = volts * amperes
    best = max(powers, key=lambda setting: powers[setting])
    assert best not in (25.0, 32.0)
    assert powers[best] <= master.power.array_max_w * 1.001
    assert all(powers[side] < 0.97 * powers[best] for side in (25.0, 32.0))


def test_without_tracking_the_reset_value_pulls_the_panel_down_onto_the_battery() -> None:
    master = charging()
    tracked = master.panel()
    master.put_word("solar", 0x14, 0x0000)
    master.run(0.2)
    volts, amperes, _ = master.panel()
    assert volts == pytest.approx(master.power.bus_voltage_v + DROPOUT_V, abs=0.01)
    assert volts * amperes < 0.9 * tracked[0] * tracked[1]
    assert master.word("solar", 0x35) == 32, "at the end of its duty cycle"


def test_a_panel_held_above_its_open_circuit_gives_nothing() -> None:
    master = charging()
    master.hold_panel(35.8)
    master.run(0.2)
    assert master.power.array_w == 0.0
    assert master.panel()[1] == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("setting", [0, 4, 9])
def test_the_charge_current_setting_limits_what_the_battery_gets(setting: int) -> None:
    master = charging()
    before = master.panel()
    master.power.supercap_target_soc = 0.0
    master.put_word("solar", 0x1A, setting)
    master.run(0.2)
    volts, _, into_battery = master.panel()
    limit_a = (setting + 1) * 1e-3 / master.battery_sense_ohm
    assert into_battery == pytest.approx(min(before[2], limit_a), rel=0.01)
    if limit_a < before[2]:
        assert volts > before[0] + 0.5, "a panel that may give less stands right of its maximum"


def test_a_suspended_charger_charges_nothing_and_goes_on_when_it_may() -> None:
    master = charging()
    master.put_word("solar", 0x14, 0x0022)
    master.run(0.2)
    assert master.word("solar", 0x34) == 256
    assert master.power.battery_in_w == 0.0
    master.put_word("solar", 0x14, 0x0002)
    master.run(0.8)
    assert master.word("solar", 0x34) == 64
    assert master.panel()[2] > 0.5


def test_the_charger_s_own_thermistor_pauses_below_the_body_s_limit() -> None:
    master = charging()
    master.power.thermistor_works = False  # the world's own guard: only the chip is left
    limit_c = next(n.no_charge_below_c for n in master.profile.body.thermal.nodes if n.name == "battery")
    assert limit_c is not None
    before = master.power.cold_charge_j
    master.rig.inject("temperature", {"node": "battery", "celsius": limit_c - 0.5})
    master.run(0.05)
    charged_j = master.power.cold_charge_j - before
    master.run(1.0)
    assert master.word("solar", 0x34) == 32
    assert master.panel()[2] == 0.0
    assert master.power.cold_charge_j - before == charged_j < 5.0, "nothing after the step in which it turned cold"
    master.rig.inject("temperature", {"node": "battery", "celsius": limit_c + 0.5})
    master.run(0.2)
    assert master.word("solar", 0x34) == 64
    assert master.panel()[2] > 0.5


def test_telemetry_follows_the_world_within_a_step_while_it_charges() -> None:
    master = charging()
    for setting in (27.0, 29.0, 31.0):
        master.hold_panel(setting)
        master.run(0.065)
        assert master.panel()[0] == pytest.approx(setting, abs=0.1)


def test_in_the_dark_the_settings_stay_and_the_charger_sleeps() -> None:
    master = charging()
    master.put_word("solar", 0x1A, 3)
    master.rig.world.set_eclipse(True)
    master.run(0.2)
    assert master.word("solar", 0x34) == 256
    assert master.power.array_w == 0.0
    limit_a = 4e-3 / master.battery_sense_ohm
    assert master.power.battery_charge_limit_w == pytest.approx(limit_a * master.power.bus_voltage_v, rel=1e-3)


# -- the stack's charger


def test_the_stack_is_charged_up_to_the_voltage_that_was_set() -> None:
    master = Master(soc_supercap=0.41, soc_battery=0.5)
    master.put_word("supercap", 0x05, 4)
    target = ((37.5 * 4 + 637.5) / 1200.0) ** 2
    assert master.power.supercap_target_soc == pytest.approx(target)
    master.run(1.0)
    assert master.signed("supercap", 0x29) * 1.983e-6 / 0.0015 == pytest.approx(-master.power.supercap_current_a, 0.01)
    assert master.word("supercap", 0x1B) & 0x0001, "it steps down into the stack"
    master.run(40.0)
    assert master.power.soc_supercap == pytest.approx(target, abs=1e-3)
    assert not master.word("supercap", 0x1B) & 0x0001, "nothing flows any more"
    assert master.signed("supercap", 0x29) == 0


def test_the_lowest_voltage_stops_the_charge_of_a_stack_above_it() -> None:
    master = Master(soc_supercap=0.35)
    master.put_word("supercap", 0x05, 0)
    master.run(5.0)
    assert master.power.supercap_in_w == 0.0
    assert master.power.soc_supercap == pytest.approx(0.35, abs=1e-3)


def test_an_aged_stack_is_found_at_the_next_measurement() -> None:
    def measured(master: Master) -> tuple[float, float]:
        master.put_word("supercap", 0x17, 1)
        master.run(10.2)
        assert master.word("supercap", 0x1C) & 0x18 == 0x18
        scale = 336e-6 * 107_000.0 / 121.0
        return master.word("supercap", 0x1E) * scale, master.word("supercap", 0x1F) * 0.0015 / 64.0

    master = Master(soc_supercap=1.0)
    capacitance, resistance = measured(master)
    assert capacitance == pytest.approx(2.0 * 18_000.0 / 100.0, rel=0.01)
    master.rig.inject("supercap_capacity", {"factor": 0.7})
    master.rig.inject("supercap_esr", {"factor": 3.0})
    master.run(0.1)
    assert master.word("supercap", 0x1E) * 336e-6 * 107_000.0 / 121.0 == pytest.approx(capacitance), "not yet"
    assert measured(master) == pytest.approx((0.7 * capacitance, 3.0 * resistance), rel=0.01)


# -- the distribution unit


def test_at_power_up_the_heaters_and_the_lidar_are_off_and_the_other_rails_on() -> None:
    master = Master()
    master.run(0.2)
    on = {rail for rail in PAGES[:12] if master.rail_v(rail) > 1.0}
    assert on == {"sensors", "radar", "nbl", "transponder"}
    assert master.power.load_power_w("lidar") == master.power.load_power_w("heater_battery") == 0.0
    assert master.rail_v("main") == pytest.approx(master.power.bus_voltage_v, abs=0.001)
    assert master.rail_v("logic") == pytest.approx(3.3)


@pytest.mark.parametrize("rail", ["radar", "nbl", "transponder", "lidar", *HEATERS])
def test_operation_switches_the_load_of_the_rail_s_name(rail: str) -> None:
    master = Master()
    for on in (True, False, True):
        master.switch(rail, on)
        master.run(0.2)
        assert (master.power.load_power_w(rail) > 0.0) is on
        assert (master.rail_v(rail) > 1.0) is on


def test_a_heater_s_rail_warms_its_node() -> None:
    one, other = Master(), Master()
    one.switch("heater_battery", True)
    for master in (one, other):
        master.switch("radar", False)
        master.switch("nbl", False)
        master.run(30.0)
    warmer = one.rig.world.temperatures_c["battery"] - other.rig.world.temperatures_c["battery"]
    assert warmer == pytest.approx(50.0 * 30.0 / 1200.0, rel=0.05)


def test_a_channel_monitor_shows_what_its_load_draws() -> None:
    master = Master()
    master.run(0.3)
    full = master.channel_a("ch_radar")
    assert full * master.channel_v("ch_radar") == pytest.approx(18.0, rel=0.01)
    master.power.set_share("radar", 0.5)
    master.run(0.2)
    assert master.channel_a("ch_radar") == pytest.approx(0.5 * full, rel=0.01)
    master.switch("radar", False)
    master.run(0.2)
    assert master.channel_a("ch_radar") == pytest.approx(0.0, abs=2e-3)


def test_a_unit_that_restarts_puts_its_rails_where_they_begin() -> None:
    master = Master()
    master.switch("heater_core", True)
    master.switch("radar", False)
    master.rig.inject("device_reset", {"device": "pdu"})
    master.run(0.2)
    assert master.power.load_power_w("heater_core") == 0.0
    assert master.power.load_power_w("radar") > 0.0


# -- the dock


def test_without_a_dock_there_is_nothing_before_the_switch() -> None:
    master = Master()
    master.run(0.3)
    assert master.dock() == pytest.approx((0.0, 0.0, 0.0), abs=0.02)
    assert master.channel_v("dock_current") == pytest.approx(0.0, abs=0.005)


def test_operation_opens_and_closes_the_feed_which_starts_softly() -> None:
    master = Master(soc_battery=0.5)
    master.write("dock_switch", 0x01, 0x00)
    master.rig.inject("dock", {"voltage_v": 28.0, "power_w": 100.0})
    master.run(0.3)
    volts, out_v, amperes = master.dock()
    assert (volts, amperes) == pytest.approx((28.0, 0.0), abs=0.02)
    assert out_v < 1.0
    assert master.power.dock_w == 0.0
    master.write("dock_switch", 0x01, 0x80)
    currents = []
    for _ in range(5):
        master.run(0.4)
        currents.append(master.dock()[2])
    assert all(early < late for early, late in pairwise(currents)), currents
    assert currents[-1] * master.power.bus_voltage_v == pytest.approx(100.0, rel=0.05)
    assert master.dock()[1] == pytest.approx(28.0, abs=0.02)
    assert master.channel_a("dock_current") == pytest.approx(currents[-1], rel=0.02)
    assert master.channel_v("dock_current") == pytest.approx(28.0, abs=0.01)
    assert master.word("dock_switch", 0x97) == pytest.approx(28.0 * currents[-1] * 10.535, rel=0.01), "power before it"
    master.write("dock_switch", 0x01, 0x00)
    master.run(0.1)
    assert master.power.dock_w == 0.0
    assert master.word("dock_switch", 0x79) & 0x0040, "it says that it is off"


@pytest.mark.parametrize("code", [0, 3, 15])
def test_the_start_up_limit_goes_on_as_the_feed_s_share(code: int) -> None:
    master = Master(soc_battery=0.5)
    master.put_word("dock_switch", 0xF6, code)
    master.rig.inject("dock", {})
    master.run(3.0)
    limit_a = 10.0 * (code + 1) / 16.0
    assert 0.0 < master.power.dock_current_a <= limit_a + 1e-6
    if code < 8:
        assert master.power.dock_current_a == pytest.approx(limit_a, rel=0.01)


def test_a_dock_that_draws_shows_as_a_negative_current_and_none_in_the_switch() -> None:
    master = Master()
    for load in ("radar", "nbl"):
        master.switch(load, False)
    master.rig.inject("dock", {"voltage_v": 26.0, "power_w": 0, "sink_w": 60})
    master.run(0.3)
    assert master.channel_a("dock_current") == pytest.approx(-60.0 / master.power.bus_voltage_v, rel=0.02)
    assert master.dock()[2] == pytest.approx(0.0, abs=0.02)


def test_the_switch_s_temperature_is_the_bridge_s_and_too_hot_it_opens() -> None:
    master = Master(soc_battery=0.5)
    master.rig.inject("dock", {})
    master.put_word("dock_switch", 0x4F, round((120.0 * 42.0 + 31871.0) / 10.0))
    master.rig.inject("temperature", {"node": "dock_bridge", "celsius": 90})
    master.put_word("dock_switch", 0xD4, 0x3F3F)
    master.run(1.0)
    celsius = (master.word("dock_switch", 0x8D) * 10.0 - 31871.0) / 42.0
    assert celsius == pytest.approx(master.rig.world.temperatures_c["dock_bridge"], abs=0.3)
    assert master.power.dock_w > 0.0
    master.rig.inject("temperature", {"node": "dock_bridge", "celsius": 130})
    master.run(0.2)
    assert master.power.dock_w == 0.0


def test_a_dock_outside_the_switch_s_window_feeds_nothing() -> None:
    master = Master(soc_battery=0.5)
    for volts in (-28.0, 12.0, 90.0):
        end = master.rig.inject("dock", {"voltage_v": volts, "power_w": 100})
        master.run(0.5)
        assert master.power.dock_w == 0.0
        end()


def test_a_dock_feeds_a_dead_craft_whatever_the_switch_was_told_before() -> None:
    master = Master(soc_battery=0.02, sun_direction=(1.0, 0.0, 0.0))
    master.write("dock_switch", 0x01, 0x00)
    master.rig.inject("soc_battery", {"value": 0.0})
    master.run(0.5)
    assert not master.power.bus_on
    master.rig.inject("dock", {})
    master.run(3.0)
    assert master.power.battery_in_w > 100.0
    master.write("dock_switch", 0x01, 0x00)
    master.run(0.2)
    assert master.power.battery_in_w > 100.0, "nobody is awake who could open it"
    master.rig.inject("soc_battery", {"value": 0.5})
    master.run(3.0)
    assert master.power.power_ups == 1
    assert master.power.dock_w > 0.0, "closed by itself, as after every power-up"
    master.write("dock_switch", 0x01, 0x00)
    master.run(0.1)
    assert master.power.dock_w == 0.0


# -- bus off and on again


def test_when_the_bus_comes_back_every_chip_starts_anew_and_before_that_no_lever_moves() -> None:
    master = Master(soc_battery=0.02, sun_direction=(1.0, 0.0, 0.0))
    master.switch("heater_core", True)
    master.switch("radar", False)
    master.put_word("solar", 0x14, 0x0020)
    master.rig.inject("soc_battery", {"value": 0.0})
    master.run(0.5)
    assert not master.power.bus_on
    master.put_word("solar", 0x14, 0x0020)
    master.put_word("supercap", 0x05, 0)
    master.run(0.2)
    assert master.power.battery_charge_limit_w > 0.0, "a suspended charger would never wake the craft"
    assert master.power.supercap_target_soc == 1.0
    master.rig.inject("soc_battery", {"value": 0.5})
    master.run(0.2)
    assert master.power.power_ups == 1
    assert (master.word("solar", 0x14), master.word("supercap", 0x05)) == (2, 15)
    assert master.power.load_power_w("heater_core") == 0.0
    assert master.power.load_power_w("radar") > 0.0


ORDERS = st.one_of(
    st.tuples(st.just("solar"), st.sampled_from((0x14, 0x16, 0x1A, 0x1B, 0x1F, 0x24, 0x29)), st.integers(0, 0xFFFF)),
    st.tuples(st.just("supercap"), st.sampled_from((0x05, 0x17)), st.integers(0, 0xFFFF)),
    st.tuples(st.just("dock_switch"), st.sampled_from((0xF6, 0xD4, 0xD8)), st.integers(0, 0xFFFF)),
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.lists(ORDERS, max_size=6), st.lists(st.tuples(st.sampled_from(PAGES[:12]), st.booleans()), max_size=6),
    st.floats(0.0, 1.0), st.booleans(),
)
def test_whatever_is_written_no_joule_is_lost_and_no_lever_leaves_its_range(
    orders: list[tuple[str, int, int]], switches: list[tuple[str, bool]], soc: float, docked: bool
) -> None:
    master = Master(soc_battery=soc, soc_supercap=0.5)
    if docked:
        master.rig.inject("dock", {})
    for device, register, value in orders:
        master.put_word(device, register, value)
        master.run(0.1)
        power = master.power
        assert 0.0 <= power.supercap_target_soc <= 1.0
        assert power.battery_charge_limit_w >= 0.0
        assert power.panel_setpoint_v is None or power.panel_setpoint_v > power.bus_voltage_v
    for rail, on in switches:
        master.switch(rail, on)
    master.run(0.5)
    assert abs(master.power.balance_error_j) < 1e-6
    told = dict(switches)
    if master.power.bus_on and master.power.power_ups == 0:
        for rail, on in told.items():
            assert (master.power.load_power_w(rail) > 0.0) == (on and rail != "sensors")


# -- the bench's charger


def test_the_bench_charger_is_held_off_and_limited_by_its_registers() -> None:
    rig = Rig(load_profile("bench-12kg", "bench-rpi"), InitialState(epoch=0), 1)
    serial = rig.buses["usb0"]
    power = rig.world.power
    serial.write(hex_frame(0x8, bytes.fromhex("F0ED001400")))  # set EDF0h: 2.0 A
    rig.advance(250_000_000)
    rig.advance(500_000_000)
    assert power.battery_charge_limit_w == pytest.approx(2.0 * power.bus_voltage_v)
    serial.write(hex_frame(0x8, bytes.fromhex("00020004")))  # set 0200h: 4, off
    rig.advance(750_000_000)
    rig.advance(1_000_000_000)
    assert power.battery_charge_limit_w == 0.0


def test_the_bench_charger_tells_panel_and_tracking_and_sleeps_in_the_dark() -> None:
    initial = InitialState(epoch=0, sun_direction=(-1.0, 0.0, 0.0), soc_battery=0.5, soc_supercap=0.5)
    rig = Rig(load_profile("qiki-t", "bench-rpi"), initial, 1)
    serial, power = rig.buses["usb0"], rig.world.power

    def fields(until_s: int) -> dict[str, str]:
        serial.read(4096)
        while rig.now_ns < until_s * 1_000_000_000:
            rig.advance(rig.now_ns + 20_000_000)
        lines = serial.read(4096).decode("ascii", "replace").split("\r\n")
        return {name: value for line in lines if "\t" in line for name, value in [line.split("\t", 1)]}

    told = fields(4)
    assert float(told["VPV"]) / 1000.0 == pytest.approx(power.panel_v, abs=0.3)
    assert float(told["PPV"]) == pytest.approx(power.array_w, abs=1.0)
    assert (told["CS"], told["MPPT"], told["OR"]) == ("3", "2", "0x00000000")
    rig.world.set_eclipse(True)
    told = fields(8)
    assert (told["CS"], told["MPPT"], told["OR"], told["PPV"]) == ("0", "0", "0x00000001", "0")
