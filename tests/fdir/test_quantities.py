"""Quantities: what each says of nominal facts, of missing ones, and of the one thing that it is about."""

from __future__ import annotations

import pytest

from fdir.facts import ComputerFacts, EnergyFacts, LinkFacts, UnitFacts
from fdir.quantities import QUANTITIES, REPORTED

CASES = [
    ("body_rate", {"rate_rad_s": 0.2}, 0.2), ("body_rate", {"imu_ok": False}, None),
    ("gyro_repeats", {"imu_repeats": 7}, 7),
    ("imu_silent", {"imu_ok": False}, True), ("imu_silent", {}, False),
    ("imu_silent", {"self_test_passed": None}, None),
    ("gyro_disagreement", {"rate_disagreement_rad_s": 0.1}, 0.1), ("gyro_disagreement", {}, 0.0),
    ("gyro_units_disagreement", {"gyro_units_rad_s": 0.1}, 0.1), ("gyro_units_disagreement", {}, None),
    ("blackbox_lost", {"computer": ComputerFacts(blackbox_lost=True)}, True), ("blackbox_lost", {}, None),
    ("bus_voltage", {"bus_voltage_v": 21.0}, 21.0), ("bus_voltage", {"bus_voltage_v": None}, None),
    ("bus_current", {"bus_current_a": 3.0}, 3.0), ("bus_current", {"bus_current_a": None}, None),
    ("over_current_unsolved", {"energy": EnergyFacts(overcurrent_unsolved=True)}, True),
    ("load_disobeys", {"energy": EnergyFacts(loads_disobey=True)}, True), ("load_disobeys", {}, False),
    ("battery_charge", {"soc_battery": 0.3}, 0.3), ("battery_charge", {"soc_battery": None}, None),
    ("supercap_charge", {"soc_supercap": 0.4}, 0.4), ("supercap_charge", {"soc_supercap": None}, None),
    ("supercap_refuses_charge", {"energy": EnergyFacts(supercap_refuses_charge=True)}, True),
    ("supercap_refuses_charge", {}, None),
    ("battery_temperature", {"battery_temperature_c": -3.0}, -3.0),
    ("cluster_too_cold", {"energy": EnergyFacts(cold_clusters=False)}, False), ("cluster_too_cold", {}, None),
    ("dock_current", {"energy": EnergyFacts(dock_current_a=-1.0)}, -1.0), ("dock_current", {}, None),
    ("stores_conflict", {"energy": EnergyFacts(stores_conflict=True)}, True), ("stores_conflict", {}, None),
    ("power_silent", {}, False), ("power_silent", {"soc_battery": None}, True),
    ("power_silent", {"soc_supercap": None}, True),
    ("computer_too_hot", {"energy": EnergyFacts(computer_too_hot=True)}, True), ("computer_too_hot", {}, None),
    ("node_heat", {"hottest_share": 0.5}, 0.5), ("node_heat", {"hottest_share": None}, None),
    ("hash_differs", {"hash_matches": False}, True), ("hash_differs", {}, False),
    ("self_test_failed", {"self_test_passed": False}, True), ("self_test_failed", {}, False),
    ("self_test_failed", {"self_test_passed": None}, None),
    ("late_ticks", {"late_ticks": 4}, 4),
    ("cpu_throttled", {"computer": ComputerFacts(throttled=True)}, True), ("cpu_throttled", {}, None),
    ("memory_free", {"computer": ComputerFacts(memory_free_mb=300.0)}, 300.0), ("memory_free", {}, None),
    ("disk_free", {"computer": ComputerFacts(disk_free_mb=300.0)}, 300.0), ("disk_free", {}, None),
    ("clock_jump", {"computer": ComputerFacts(clock_jump_s=2.0)}, 2.0), ("clock_jump", {}, None),
    ("recorder_failed", {"computer": ComputerFacts(recorder_failed=True)}, True), ("recorder_failed", {}, None),
    ("recorder_dropped", {"computer": ComputerFacts(recorder_dropped=3)}, 3),
    ("uplink_age", {"link": LinkFacts(uplink_age_s=5.0)}, 5.0), ("uplink_age", {}, None),
    (REPORTED, {}, None),
]


@pytest.mark.parametrize(("name", "changes", "expected"), CASES)
def test_a_quantity_is_read_from_the_facts(name, changes, expected, facts) -> None:
    value = QUANTITIES[name].read(facts(**changes), "")
    assert value == expected
    assert type(value) is type(expected)


UNITS = UnitFacts(lost=frozenset({"imu"}), degraded=frozenset({"mag"}), buses_out=frozenset({"bus i2c_b"}))


@pytest.mark.parametrize(("name", "unit", "expected"), [
    ("device_lost", "imu", True), ("device_lost", "mag", False), ("device_silent", "imu", True),
    ("device_silent", "mag", True), ("device_silent", "lidar", False), ("bus_out", "bus i2c_b", True),
    ("bus_out", "bus i2c_a", False),
])
def test_a_quantity_of_units_is_told_by_name(name, unit, expected, facts) -> None:
    assert QUANTITIES[name].per_unit
    assert QUANTITIES[name].read(facts(units=UNITS), unit) is expected


@pytest.mark.parametrize("name", ["device_lost", "device_silent"])
def test_no_device_is_judged_while_the_craft_boots(name, facts) -> None:
    assert QUANTITIES[name].read(facts(units=UNITS, self_test_passed=None), "imu") is None


def test_every_quantity_is_tested() -> None:
    tested = {name for name, _, _ in CASES} | {"device_lost", "device_silent", "bus_out"}
    assert tested == set(QUANTITIES)
