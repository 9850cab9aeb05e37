"""Monitors: persistence, clearing, unknown inputs, and one row of the table at a time at its edge."""

from __future__ import annotations

import dataclasses

import pytest

from fdir.codes import Code, Severity
from fdir.facts import EnergyFacts
from fdir.monitors import MONITORS, Monitor, MonitorBank, Response

MS = 1_000_000


def row(persist_ms: int = 100, clear_ms: int = 200) -> Monitor:
    return Monitor("low", lambda f: None if f.bus_voltage_v is None else f.bus_voltage_v < 22.0, "below 22 V",
                   persist_ms * MS, clear_ms * MS, Code.BUS_UNSTABLE, Severity.WARNING, Response.REPORT)


def history(bank: MonitorBank, facts, samples: list[tuple[int, float | None]]) -> list[tuple[int, bool]]:
    edges = []
    for t_ms, volts in samples:
        edges += [(t_ms, a.active) for a in bank.step(facts(t_ns=t_ms * MS, bus_voltage_v=volts))]
    return edges


def test_trips_after_its_persistence_and_clears_after_its_own(facts) -> None:
    samples = [(t, 21.0) for t in range(0, 200, 50)] + [(t, 23.0) for t in range(200, 500, 50)]
    assert history(MonitorBank((row(),)), facts, samples) == [(100, True), (400, False)]


def test_one_good_sample_starts_the_persistence_over(facts) -> None:
    samples = [(0, 21.0), (50, 21.0), (60, 22.0), (110, 21.0), (160, 21.0), (209, 21.0), (210, 21.0)]
    assert history(MonitorBank((row(),)), facts, samples) == [(210, True)]


def test_an_unknown_input_neither_trips_nor_clears(facts) -> None:
    assert history(MonitorBank((row(),)), facts, [(t, None) for t in range(0, 1000, 50)]) == []
    samples = [(0, 21.0), (100, 21.0)] + [(t, None) for t in range(150, 1000, 50)]
    assert history(MonitorBank((row(),)), facts, samples) == [(100, True)]


def test_counts_trips_and_knows_what_is_active(facts) -> None:
    bank = MonitorBank((row(0, 0),))
    history(bank, facts, [(0, 21.0), (1, 23.0), (2, 21.0)])
    assert bank.trips == [2]
    assert bank.is_active("low")
    with pytest.raises(KeyError):
        bank.is_active("no such monitor")


def test_names_are_unique() -> None:
    assert len({m.name for m in MONITORS}) == len(MONITORS)


EDGES = [
    ("rate runaway", {"rate_rad_s": 0.437}, {"rate_rad_s": 0.436}),
    ("rate runaway", {"rate_rad_s": 0.437}, {"rate_rad_s": 9.0, "imu_ok": False}),
    ("gyro frozen", {"imu_repeats": 20}, {"imu_repeats": 19}),
    ("inertial unit lost", {"imu_ok": False}, {"imu_ok": True}),
    ("gyro against star tracker", {"rate_disagreement_rad_s": 0.0175}, {"rate_disagreement_rad_s": 0.0174}),
    ("bus under-voltage", {"bus_voltage_v": 21.99}, {"bus_voltage_v": 22.0}),
    ("bus failing", {"bus_voltage_v": 19.99}, {"bus_voltage_v": 20.0}),
    ("bus near its limit", {"bus_current_a": 4.01}, {"bus_current_a": 4.0}),
    ("bus over-current", {"bus_current_a": 5.01}, {"bus_current_a": 5.0}),
    ("bus over-current, hard", {"bus_current_a": 6.01}, {"bus_current_a": 6.0}),
    ("over-current unsolved", {"energy": EnergyFacts(overcurrent_unsolved=True)}, {}),
    ("load disobeys", {"energy": EnergyFacts(loads_disobey=True)}, {}),
    ("supercap fault", {"energy": EnergyFacts(supercap_refuses_charge=True)}, {"energy": EnergyFacts()}),
    ("battery not charged", {"battery_temperature_c": -0.1}, {"battery_temperature_c": 0.0}),
    ("cluster cold", {"energy": EnergyFacts(cold_clusters=True)}, {"energy": EnergyFacts(cold_clusters=False)}),
    ("reverse current at dock", {"energy": EnergyFacts(dock_current_a=-0.51)},
     {"energy": EnergyFacts(dock_current_a=-0.5)}),
    ("stores in conflict", {"energy": EnergyFacts(stores_conflict=True)}, {"energy": EnergyFacts()}),
    ("computer hot", {"energy": EnergyFacts(computer_too_hot=True)}, {"energy": EnergyFacts(computer_too_hot=False)}),
    ("battery low", {"soc_battery": 0.10}, {"soc_battery": 0.101}),
    ("supercap low", {"soc_supercap": 0.10}, {"soc_supercap": 0.101}),
    ("battery cold", {"battery_temperature_c": -20.1}, {"battery_temperature_c": -20.0}),
    ("node hot", {"hottest_share": 0.0}, {"hottest_share": -0.01}),
    ("node critical", {"hottest_share": 1.0}, {"hottest_share": 0.99}),
    ("power telemetry", {"soc_battery": None}, {}),
    ("power telemetry", {"soc_supercap": None}, {}),
    ("hardware profile", {"hash_matches": False}, {}),
    ("self-test", {"self_test_passed": False}, {"self_test_passed": None}),
]


@pytest.mark.parametrize(("name", "bad", "good"), EDGES)
def test_each_row_trips_at_its_edge_and_not_before(name, bad, good, facts) -> None:
    monitor = next(m for m in MONITORS if m.name == name)
    for changes, expected in ((bad, True), (good, False)):
        bank = MonitorBank((monitor,))
        edges = [a for t in (0, monitor.persist_ns) for a in bank.step(facts(t_ns=t, **changes))]
        assert bool(edges) is expected


def test_a_body_without_cold_limits_has_no_cold_battery(facts) -> None:
    limits = dataclasses.replace(facts().limits, battery_charge_c=None, battery_discharge_c=None)
    bank = MonitorBank()
    for t in range(0, 30_000, 500):
        assert bank.step(facts(t_ns=t * MS, battery_temperature_c=-60.0, limits=limits)) == ()


def test_every_row_of_the_table_has_an_edge_case() -> None:
    assert {name for name, _, _ in EDGES} == {m.name for m in MONITORS}


def test_missing_readings_say_nothing(facts) -> None:
    blank = facts(rate_rad_s=None, rate_disagreement_rad_s=None, bus_voltage_v=None, bus_current_a=None,
                  soc_battery=None, soc_supercap=None, battery_temperature_c=None, hottest_share=None)
    silent = tuple(m for m in MONITORS if m.name not in ("power telemetry",))
    assert MonitorBank(silent).step(blank) == ()


def test_an_inertial_unit_that_is_being_set_up_is_not_lost_yet(facts) -> None:
    bank = MonitorBank()
    for t in range(0, 3000, 5):
        assert bank.step(facts(t_ns=t * MS, imu_ok=False, self_test_passed=None)) == ()
    assert not bank.is_active("inertial unit lost")
    for t in range(3000, 3105, 5):
        bank.step(facts(t_ns=t * MS, imu_ok=False, self_test_passed=True))
    assert bank.is_active("inertial unit lost")
