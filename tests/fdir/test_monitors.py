"""Monitors: persistence, hysteresis, latch, masks, turns and counters; and every shipped row at its edge."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from fdir.codes import Code, Severity
from fdir.facts import ComputerFacts, EnergyFacts, UnitFacts
from fdir.fault_table import Condition, Isolation
from fdir.monitors import Alarm, MonitorBank, monitors_of
from fdir.recovery import Step
from tests.fdir.rows import DEVICES, LIMITS, monitors, row, shipped, yes

MS = 1_000_000
SECOND = 1_000_000_000


def history(bank: MonitorBank, facts, samples: list[tuple[int, Any]], quantity: str = "bus_voltage_v"):
    edges = []
    for t_ms, value in samples:
        edges += [(t_ms, a.active) for a in bank.step(facts(t_ns=t_ms * MS, **{quantity: value}))]
    return edges


def test_trips_after_its_persistence_and_clears_after_its_own(facts) -> None:
    samples = [(t, 21.0) for t in range(0, 200, 50)] + [(t, 23.0) for t in range(200, 500, 50)]
    assert history(MonitorBank(monitors(row())), facts, samples) == [(100, True), (400, False)]


def test_one_good_sample_starts_the_persistence_over(facts) -> None:
    samples = [(0, 21.0), (50, 21.0), (60, 22.0), (110, 21.0), (160, 21.0), (209, 21.0), (210, 21.0)]
    assert history(MonitorBank(monitors(row())), facts, samples) == [(210, True)]


def test_one_bad_sample_starts_the_clearing_over(facts) -> None:
    bank = MonitorBank(monitors(row(persist_ms=0)))
    samples = [(0, 21.0), (10, 23.0), (200, 23.0), (205, 21.0), (210, 23.0), (405, 23.0), (409, 23.0), (410, 23.0)]
    assert history(bank, facts, samples) == [(0, True), (410, False)]


def test_an_unknown_value_neither_trips_nor_clears_and_stops_the_clock(facts) -> None:
    bank = MonitorBank(monitors(row()))
    assert history(bank, facts, [(t, None) for t in range(0, 1000, 50)]) == []
    samples = [(1000, 21.0), (1050, None), (1100, 21.0)] + [(t, None) for t in range(1150, 2000, 50)]
    assert history(bank, facts, samples) == []
    # The time to a gap and from it does not count: neither was seen to be bad.
    assert history(bank, facts, [(2000, 21.0), (2099, 21.0), (2100, 21.0)]) == [(2100, True)]


@pytest.mark.parametrize(("condition", "bad", "good"), [
    ("below", 21.99, 22.0), ("at_most", 22.0, 22.01), ("above", 22.01, 22.0), ("at_least", 22.0, 21.99),
])
def test_each_condition_has_its_edge(condition, bad, good, facts) -> None:
    for value, expected in ((bad, [(0, True)]), (good, [])):
        bank = MonitorBank(monitors(row(condition=condition, persist_ms=0)))
        assert history(bank, facts, [(0, value)]) == expected


@pytest.mark.parametrize(("condition", "trip", "still", "back"), [
    ("below", 21.9, 22.49, 22.5), ("at_most", 22.0, 22.5, 22.51), ("above", 22.1, 21.51, 21.5),
    ("at_least", 22.0, 21.5, 21.49),
])
def test_hysteresis_holds_a_fault_until_it_is_well_behind_the_limit(condition, trip, still, back, facts) -> None:
    bank = MonitorBank(monitors(row(condition=condition, hysteresis=0.5, persist_ms=0, clear_ms=0)))
    assert history(bank, facts, [(0, trip), (5, still), (10, back)]) == [(0, True), (10, False)]
    assert history(bank, facts, [(15, still)]) == []


def test_a_rate_is_judged_between_two_samples(facts) -> None:
    bank = MonitorBank(monitors(row(condition="rate_above", limit=10.0, persist_ms=0, clear_ms=0)))
    samples = [(0, 24.0), (100, 25.0), (200, 23.9), (300, 24.9), (400, 26.0)]
    assert history(bank, facts, samples) == [(200, True), (300, False), (400, True)]
    assert bank.states[0].counters.worst == pytest.approx(11.0)


def test_a_rate_needs_time_to_pass(facts) -> None:
    bank = MonitorBank(monitors(row(condition="rate_above", limit=10.0, persist_ms=0)))
    assert history(bank, facts, [(0, 24.0), (0, 90.0), (5, 90.0)]) == []


def test_a_rate_comes_back_behind_its_hysteresis(facts) -> None:
    bank = MonitorBank(monitors(row(condition="rate_above", limit=10.0, hysteresis=5.0, persist_ms=0, clear_ms=0)))
    samples = [(0, 20.0), (1000, 31.0), (2000, 37.0), (3000, 42.0)]
    assert history(bank, facts, samples) == [(1000, True), (3000, False)]


def test_a_value_that_stands_still_is_stuck(facts) -> None:
    bank = MonitorBank(monitors(row(condition="stuck", limit=..., persist_ms=100, clear_ms=0)))
    samples = [(0, 24.0), (50, 24.0), (100, 24.0), (150, 24.0), (200, 24.1)]
    assert history(bank, facts, samples) == [(150, True), (200, False)]
    assert bank.states[0].counters.worst is None


def test_yes_or_no(facts) -> None:
    bank = MonitorBank(monitors(yes("hash", monitor="hash_differs", persist_ms=0, clear_ms=0)))
    assert history(bank, facts, [(0, True), (5, False), (10, True)], "hash_matches") == [(5, True), (10, False)]


def test_a_latched_fault_stands_until_it_is_unlatched(facts) -> None:
    bank = MonitorBank(monitors(row(latched=True, persist_ms=0)))
    good = [(t, 24.0) for t in range(5, 1000, 50)]
    assert history(bank, facts, [(0, 21.0), *good]) == [(0, True)]
    assert bank.unlatch("low") is True
    assert bank.unlatch("low") is False
    assert history(bank, facts, [(1000, 24.0)]) == [(1000, False)]
    with pytest.raises(KeyError):
        bank.unlatch("none")


def test_a_fault_that_is_explained_is_not_judged(facts) -> None:
    other = row(id="explained", number=901, monitor="bus_current", condition="above", limit=5.0, after=["low"],
                persist_ms=0, clear_ms=0)
    bank = MonitorBank(monitors(other, row(persist_ms=0, clear_ms=0)))
    assert [a.monitor.name for a in bank.step(facts(t_ns=0, bus_voltage_v=21.0))] == ["low"]
    assert bank.step(facts(t_ns=5, bus_voltage_v=21.0, bus_current_a=9.0)) == ()
    edges = bank.step(facts(t_ns=10, bus_voltage_v=24.0, bus_current_a=9.0))
    assert [(a.monitor.name, a.active) for a in edges] == [("low", False)]
    assert [a.monitor.name for a in bank.step(facts(t_ns=15, bus_current_a=9.0))] == ["explained"]


def test_a_mask_that_this_craft_lacks_masks_nothing(facts) -> None:
    bank = MonitorBank(monitors(row(persist_ms=0, after=["not-here"])))
    assert history(bank, facts, [(0, 21.0)]) == [(0, True)]


def test_slow_monitors_have_their_turn_once_in_a_hundred_ticks_each_in_another(facts) -> None:
    names = ("a", "b", "c")
    rows = [row(id=n, number=900 + k, period=p, persist_ms=0, detect_within_ms=900)
            for k, (n, p) in enumerate(zip(names, ("slow", "slow", "medium"), strict=True))]
    bank = MonitorBank(monitors(*rows))
    told = {}
    for tick in range(200):
        for alarm in bank.step(facts(t_ns=tick * 5 * MS, bus_voltage_v=21.0)):
            told[alarm.monitor.name] = tick
    assert told == {"a": 0, "b": 1, "c": 2}
    last = bank.step(facts(t_ns=2000 * MS, bus_voltage_v=24.0))
    assert last == ()


def test_one_fault_for_each_unit_of_its_roles(facts) -> None:
    rows = monitors(yes("lost", monitor="device_lost", units=["sun_sensor", "buses", "imu"], persist_ms=0))
    assert [m.name for m in rows] == [
        "lost:sun_px", "lost:sun_nx", "lost:bus i2c_a", "lost:bus i2c_b", "lost:imu",
    ]
    bank = MonitorBank(rows)
    edges = bank.step(facts(units=UnitFacts(lost=frozenset({"sun_nx", "imu"}))))
    assert [a.monitor.unit for a in edges] == ["sun_nx", "imu"]
    assert bank.active() == ("lost:sun_nx", "lost:imu")
    assert bank.is_active("lost")
    assert bank.is_active("lost:imu")
    assert not bank.is_active("lost:sun_px")


def test_a_row_for_a_role_or_a_limit_that_the_craft_lacks_makes_no_monitor() -> None:
    limits = dataclasses.replace(LIMITS, battery_charge_c=None)
    cold = row(id="cold", monitor="battery_temperature", limit="body.battery_charge_c")
    radar = yes("radar-lost", number=901, monitor="device_lost", units=["radar"])
    backup = yes("backup", number=902, monitor="imu_silent", unit="imu_backup")
    flown = yes("flown", number=903, monitor="imu_silent", unit="imu")
    assert [m.name for m in monitors(cold, radar, backup, flown, limits=limits)] == ["flown"]
    assert monitors(flown)[0].unit == "role imu"
    assert monitors(cold)[0].limit == 0.0


def test_a_reported_fault_trips_and_clears_at_once_and_is_never_judged(facts) -> None:
    bank = MonitorBank(monitors(yes("told", monitor="reported", condition="reported"), row(number=901)))
    first = bank.report("told", True, "nozzle 5")
    assert first == Alarm(bank.monitor("told"), True, "nozzle 5")
    assert bank.report("told", True) is None
    for t in range(0, 2000, 5):
        assert bank.step(facts(t_ns=t * MS)) == ()
    assert bank.is_bad("told")
    cleared = bank.report("told", False)
    assert cleared is not None
    assert not cleared.active
    assert bank.report("told", False) is None
    with pytest.raises(KeyError):
        bank.report("none", True)


def test_a_latched_reported_fault_waits_for_the_operator() -> None:
    bank = MonitorBank(monitors(yes("told", monitor="reported", condition="reported", latched=True)))
    assert bank.report("told", True) is not None
    assert bank.report("told", False) is None
    assert bank.is_active("told")
    bank.unlatch("told")
    assert bank.report("told", False) is not None


def test_a_monitor_that_is_switched_off_says_nothing_and_what_stood_is_cleared(facts) -> None:
    bank = MonitorBank(monitors(row(persist_ms=0), yes("told", number=901, monitor="reported", condition="reported")))
    assert history(bank, facts, [(0, 21.0)]) == [(0, True)]
    cleared = bank.set_enabled("low", False)
    assert cleared is not None
    assert not cleared.active
    assert history(bank, facts, [(5, 21.0), (500, 21.0)]) == []
    assert bank.set_enabled("low", False) is None
    assert bank.set_enabled("low", True) is None
    assert history(bank, facts, [(505, 21.0)]) == [(505, True)]
    assert bank.set_enabled("told", False) is None
    assert bank.report("told", True) is None
    with pytest.raises(KeyError):
        bank.set_enabled("none", False)


def test_switching_off_forgets_what_had_begun_to_last(facts) -> None:
    bank = MonitorBank(monitors(row()))
    history(bank, facts, [(0, 21.0)])
    bank.set_enabled("low", False)
    bank.set_enabled("low", True)
    assert history(bank, facts, [(100, 21.0), (199, 21.0), (200, 21.0)]) == [(200, True)]


def test_counters_keep_trips_the_worst_value_and_the_longest_near_miss(facts) -> None:
    bank = MonitorBank(monitors(row(), row(id="high", number=901, condition="above", limit=25.0)))
    history(bank, facts, [(0, 21.0), (60, 21.5), (70, 26.0), (80, 20.5), (180, 20.6), (190, 27.0), (195, 26.0)])
    low, high = bank.states
    assert (low.counters.trips, low.counters.worst, low.counters.longest_ns) == (1, 20.5, 60 * MS)
    assert (high.counters.trips, high.counters.worst) == (0, 27.0)
    bank.reset_counters()
    assert (low.counters.trips, low.counters.worst, low.counters.longest_ns) == (0, None, 0)
    assert low.active


def test_what_it_is_made_of(facts) -> None:
    ladder = [{"step": "redundant", "wait_s": 0.5}, {"step": "safe"}]
    bank = MonitorBank(monitors(row(isolation=["shed", "bar-burns"], recovery=ladder, unit="imu", persist_ms=0)))
    monitor = bank.monitor("low")
    assert (monitor.code, monitor.severity) == (Code.BUS_UNSTABLE, Severity.WARNING)
    assert [(r.step, r.wait_ns) for r in monitor.rungs] == [(Step.REDUNDANT, 500 * MS), (Step.SAFE, SECOND)]
    assert tuple(bank.names()) == ("low",)
    assert not bank.isolates(Isolation.SHED)
    assert not bank.is_bad("low")
    history(bank, facts, [(0, 21.0)])
    assert bank.is_bad("low")
    assert bank.isolates(Isolation.SHED)
    assert bank.isolates(Isolation.BAR_BURNS)
    assert not bank.isolates(Isolation.SHUT_VALVES)
    for ask in (bank.is_bad, bank.monitor, bank.is_active):
        with pytest.raises(KeyError):
            ask("none")


EDGES = [
    ("rate-runaway", {"rate_rad_s": 0.437}, {"rate_rad_s": 0.436}),
    ("rate-runaway", {"rate_rad_s": 0.437}, {"rate_rad_s": 9.0, "imu_ok": False}),
    ("gyro-frozen", {"imu_repeats": 20}, {"imu_repeats": 19}),
    ("imu-silent", {"imu_ok": False}, {"imu_ok": True}),
    ("imu-silent", {"imu_ok": False}, {"imu_ok": False, "self_test_passed": None}),
    ("gyro-conflict", {"rate_disagreement_rad_s": 0.0175}, {"rate_disagreement_rad_s": 0.0174}),
    ("gyro-units-differ", {"gyro_units_rad_s": 0.0175}, {"gyro_units_rad_s": 0.0174}),
    ("bus-under-voltage", {"bus_voltage_v": 21.99}, {"bus_voltage_v": 22.0}),
    ("bus-failing", {"bus_voltage_v": 19.99}, {"bus_voltage_v": 20.0}),
    ("bus-near-limit", {"bus_current_a": 4.01}, {"bus_current_a": 4.0}),
    ("bus-over-current", {"bus_current_a": 5.01}, {"bus_current_a": 5.0}),
    ("bus-over-current-hard", {"bus_current_a": 6.01}, {"bus_current_a": 6.0}),
    ("over-current-unsolved", {"energy": EnergyFacts(overcurrent_unsolved=True)}, {}),
    ("load-disobeys", {"energy": EnergyFacts(loads_disobey=True)}, {}),
    ("supercap-refuses-charge", {"energy": EnergyFacts(supercap_refuses_charge=True)}, {"energy": EnergyFacts()}),
    ("battery-not-charged", {"battery_temperature_c": -0.1}, {"battery_temperature_c": 0.0}),
    ("cluster-cold", {"energy": EnergyFacts(cold_clusters=True)}, {"energy": EnergyFacts(cold_clusters=False)}),
    ("dock-reverse-current", {"energy": EnergyFacts(dock_current_a=-0.51)},
     {"energy": EnergyFacts(dock_current_a=-0.5)}),
    ("stores-conflict", {"energy": EnergyFacts(stores_conflict=True)}, {"energy": EnergyFacts()}),
    ("computer-hot", {"energy": EnergyFacts(computer_too_hot=True)}, {"energy": EnergyFacts(computer_too_hot=False)}),
    ("battery-low", {"soc_battery": 0.10}, {"soc_battery": 0.101}),
    ("supercap-low", {"soc_supercap": 0.10}, {"soc_supercap": 0.101}),
    ("battery-cold", {"battery_temperature_c": -20.1}, {"battery_temperature_c": -20.0}),
    ("node-hot", {"hottest_share": 0.0}, {"hottest_share": -0.01}),
    ("node-critical", {"hottest_share": 1.0}, {"hottest_share": 0.99}),
    ("power-silent", {"soc_battery": None}, {}),
    ("power-silent", {"soc_supercap": None}, {}),
    ("profile-differs", {"hash_matches": False}, {}),
    ("self-test-failed", {"self_test_passed": False}, {"self_test_passed": None}),
    ("computer-throttled", {"computer": ComputerFacts(throttled=True)}, {"computer": ComputerFacts()}),
    ("memory-low", {"computer": ComputerFacts(memory_free_mb=99.0)}, {"computer": ComputerFacts(memory_free_mb=100.0)}),
    ("disk-low", {"computer": ComputerFacts(disk_free_mb=199.0)}, {"computer": ComputerFacts(disk_free_mb=200.0)}),
    ("clock-jump", {"computer": ComputerFacts(clock_jump_s=1.1)}, {"computer": ComputerFacts(clock_jump_s=1.0)}),
    ("recorder-failed", {"computer": ComputerFacts(recorder_failed=True)}, {"computer": ComputerFacts()}),
    ("late-ticks", {"late_ticks": 3}, {"late_ticks": 2}),
    ("memory-exhausted", {"computer": ComputerFacts(memory_free_mb=31.0)},
     {"computer": ComputerFacts(memory_free_mb=32.0)}),
    ("blackbox-lost", {"computer": ComputerFacts(blackbox_lost=True)},
     {"computer": ComputerFacts(blackbox_lost=False)}),
]


@pytest.mark.parametrize(("name", "bad", "good"), EDGES)
def test_each_shipped_row_trips_at_its_edge_within_its_goal_and_not_before(name, bad, good, facts) -> None:
    monitor = next(m for m in shipped() if m.name == name)
    for changes, expected in ((bad, True), (good, False)):
        bank = MonitorBank((monitor,))
        told = None
        for t_ms in range(0, monitor.row.detect_within_ms + 1, 5):
            if any(a.active for a in bank.step(facts(t_ns=t_ms * MS, **changes))):
                told = t_ms
                break
        assert (told is not None) is expected
        if told is not None:
            assert told >= monitor.row.persist_ms


def test_every_shipped_row_that_is_judged_has_an_edge_case() -> None:
    by_value = (m for m in shipped() if m.row.condition not in (Condition.REPORTED, Condition.RATE_ABOVE))
    judged = {m.row.id for m in by_value if not m.row.units}
    assert {name for name, _, _ in EDGES} == judged


def test_missing_readings_say_nothing(facts) -> None:
    blank = facts(rate_rad_s=None, rate_disagreement_rad_s=None, bus_voltage_v=None, bus_current_a=None,
                  soc_battery=None, soc_supercap=None, battery_temperature_c=None, hottest_share=None)
    bank = MonitorBank(tuple(m for m in shipped() if m.name != "power-silent"))
    for tick in range(300):
        assert bank.step(dataclasses.replace(blank, t_ns=tick * 500 * MS)) == ()


def test_nominal_facts_trip_nothing(facts) -> None:
    bank = MonitorBank(shipped())
    for tick in range(300):
        assert bank.step(facts(t_ns=tick * 500 * MS)) == ()


def test_devices_are_not_accused_while_they_are_being_set_up(facts) -> None:
    lost = UnitFacts(lost=frozenset({"imu"}), degraded=frozenset({"star"}))
    bank = MonitorBank(monitors(
        yes("lost", monitor="device_lost", units=["imu", "star_tracker"], persist_ms=0),
        yes("silent", number=901, monitor="device_silent", units=["imu", "star_tracker"], persist_ms=0),
        yes("out", number=902, monitor="bus_out", units=["buses"], persist_ms=0),
    ))
    assert bank.step(facts(units=lost, self_test_passed=None)) == ()
    units = dataclasses.replace(lost, buses_out=frozenset({"bus i2c_b"}))
    edges = bank.step(facts(t_ns=5, units=units))
    assert [a.monitor.name for a in edges] == ["lost:imu", "silent:imu", "silent:star", "out:bus i2c_b"]


def test_the_shipped_table_makes_one_monitor_a_row_and_unit() -> None:
    names = [m.name for m in shipped()]
    assert len(names) == len(set(names))
    assert monitors_of.__doc__
    assert set(DEVICES) <= {"imu", "star_tracker", "sun_sensor"}


def test_a_monitor_of_no_unit_has_none_and_a_yes_or_no_no_limit() -> None:
    (plain,) = monitors(yes("hash", monitor="hash_differs"))
    assert (plain.unit, plain.limit, plain.back) == ("", 0.0, 0.0)
    (of_imu,) = monitors(yes("silent", monitor="imu_silent", unit="imu"))
    assert of_imu.unit == "role imu"


def test_what_never_tripped_is_not_latched() -> None:
    bank = MonitorBank(monitors(row(latched=True)))
    assert bank.unlatch("low") is False
    assert bank.is_bad("low") is False


def test_trips_are_counted_one_by_one(facts) -> None:
    bank = MonitorBank(monitors(row(persist_ms=0, clear_ms=0)))
    history(bank, facts, [(0, 21.0), (5, 24.0), (10, 21.0), (15, 24.0), (20, 21.0)])
    assert bank.states[0].counters.trips == 3


def test_the_clearing_counts_again_from_the_last_bad_sample_only(facts) -> None:
    bank = MonitorBank(monitors(row(persist_ms=0, clear_ms=100)))
    samples = [(0, 21.0), (10, 24.0), (50, 21.0), (60, 24.0), (159, 24.0), (160, 24.0)]
    assert history(bank, facts, samples) == [(0, True), (160, False)]


def test_one_that_is_switched_off_or_blind_does_not_keep_the_others_from_being_judged(facts) -> None:
    low = row(persist_ms=0)
    high = row(id="high", number=901, monitor="bus_current", condition="above", limit=5.0, persist_ms=0)
    bank = MonitorBank(monitors(low, high))
    assert [a.monitor.name for a in bank.step(facts(t_ns=0, bus_voltage_v=None, bus_current_a=9.0))] == ["high"]
    bank = MonitorBank(monitors(low, high))
    bank.set_enabled("low", False)
    assert [a.monitor.name for a in bank.step(facts(t_ns=0, bus_voltage_v=21.0, bus_current_a=9.0))] == ["high"]


def test_a_report_without_detail_has_none() -> None:
    bank = MonitorBank(monitors(row(monitor="reported", condition="reported", limit=...)))
    alarm = bank.report("low", True)
    assert alarm is not None
    assert (alarm.active, alarm.detail) == (True, "")
    off = bank.set_enabled("low", False)
    assert off is not None
    assert off.active is False


def test_a_name_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="nobody"):
        MonitorBank(monitors(row())).is_active("nobody")


def test_a_rate_that_stands_needs_less_to_stay_than_to_trip(facts) -> None:
    bank = MonitorBank(monitors(row(condition="rate_above", limit=10.0, hysteresis=5.0, persist_ms=0, clear_ms=0)))
    # 7 a second: not enough to trip, enough to stay.
    assert history(bank, facts, [(0, 20.0), (1000, 27.0), (2000, 34.0)]) == []
    assert history(bank, facts, [(3000, 45.0), (4000, 52.0), (5000, 57.0)]) == [(3000, True), (5000, False)]


def test_trips_and_high_water_marks_are_told_by_name_of_those_that_have_any(facts) -> None:
    bank = MonitorBank(monitors(
        row(persist_ms=0, clear_ms=0), row(id="high", number=901, condition="above", limit=25.0),
        yes("hash", number=902, monitor="hash_differs", persist_ms=0),
    ))
    assert (bank.trips(), bank.worst()) == ({}, {})
    history(bank, facts, [(0, 21.0), (5, 24.0), (10, 20.5)])
    bank.step(facts(t_ns=15 * MS, hash_matches=False))
    assert bank.trips() == {"low": 2, "hash": 1}
    assert bank.worst() == {"low": 20.5, "high": 26.8}


def test_a_gap_of_seconds_does_not_count_as_bad_or_good_time(facts) -> None:
    bank = MonitorBank(monitors(row(persist_ms=2000, clear_ms=2000)))
    assert history(bank, facts, [(0, 21.0), (10, None), (10_000, None), (10_005, 21.0), (10_010, 21.0)]) == []
    assert history(bank, facts, [(12_004, 21.0), (12_005, 21.0)]) == [(12_005, True)]
    assert history(bank, facts, [(12_010, 24.0), (12_015, None), (30_000, 24.0), (30_005, 24.0)]) == []
    assert history(bank, facts, [(31_999, 24.0), (32_000, 24.0)]) == [(32_000, False)]


def test_what_is_no_number_says_nothing(facts) -> None:
    bank = MonitorBank(monitors(row(persist_ms=0, clear_ms=0)))
    nan = float("nan")
    assert history(bank, facts, [(0, nan), (5, 21.0), (10, nan), (15, nan)]) == [(5, True)]
    assert bank.states[0].counters.worst == 21.0


def test_a_quantity_that_breaks_loses_no_edge_of_the_others(facts) -> None:
    def broken(_facts):
        raise ValueError("broken")

    low = row(persist_ms=0)
    bad = dataclasses.replace(monitors(row(id="broken", number=901, persist_ms=0))[0], read=broken)
    bank = MonitorBank((*monitors(low), bad))
    with pytest.raises(ValueError, match="broken"):
        bank.step(facts(t_ns=0, bus_voltage_v=21.0))
    bank.set_enabled("broken", False)
    assert [a.monitor.name for a in bank.step(facts(t_ns=5, bus_voltage_v=21.0))] == ["low"]


def test_the_codes_of_what_asks_for_an_isolation_are_told_once_in_the_order_of_the_table(facts) -> None:
    bank = MonitorBank(monitors(
        row(id="b", number=901, persist_ms=0, isolation=["bar-burns"], code="SAFE_POWER_LOW"),
        row(id="a", number=902, persist_ms=0, isolation=["bar-burns", "shed"]),
        row(id="c", number=903, persist_ms=0, isolation=["shed", "bar-burns"]),
        row(id="d", number=904, persist_ms=0, limit=10.0, isolation=["bar-burns"], code="CAP_LOW"),
    ))
    assert bank.codes(Isolation.BAR_BURNS) == ()
    bank.step(facts(t_ns=0, bus_voltage_v=21.0))
    assert bank.codes(Isolation.BAR_BURNS) == (Code.SAFE_POWER_LOW, Code.BUS_UNSTABLE)
    assert bank.codes(Isolation.SHED) == (Code.BUS_UNSTABLE,)
    assert bank.codes(Isolation.SHUT_VALVES) == ()
    bank.set_enabled("b", False)
    assert bank.codes(Isolation.BAR_BURNS) == (Code.BUS_UNSTABLE,)


def test_messages_that_the_black_box_loses_are_told_whenever_more_are_lost(facts) -> None:
    monitor = next(m for m in shipped() if m.name == "recorder-drops")
    bank = MonitorBank((monitor,))
    lost = {0: 0, 500: 3, 1000: 3, 1500: 3, 2000: 3, 2500: 4}
    edges = []
    for t_ms in range(0, 3000, 5):
        count = lost[max(t for t in lost if t <= t_ms)]
        edges += [(t_ms // 500 * 500, a.active) for a in bank.step(facts(
            t_ns=t_ms * MS, computer=ComputerFacts(recorder_dropped=count)))]
    assert [active for _, active in edges] == [True, False, True]
    assert edges[0][0] == 500
    assert edges[2][0] == 2500
