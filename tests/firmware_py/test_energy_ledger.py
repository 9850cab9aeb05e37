"""The books close: what came in is what went out and what is stored, and what was not measured is never made up."""

from __future__ import annotations

import random
from dataclasses import replace as changed
from fractions import Fraction
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.energy.ledger import EnergyLedger, LedgerTotals, Powers
from firmware_py.energy.power_rule import share
from hal.profile import load_body

POWER = load_body("qiki-t").power
DT = 0.05
STEADY = Powers(array_w=30.0, dock_w=0.0, loads_w=100.0, peaks_w=0.0, battery_loss_w=1.0, supercap_loss_w=0.0,
                spilled_w=0.0, unserved_w=0.0)
"""The stores pay 71 W of it."""


def book(*steps: tuple[Powers, float | None, float | None], dt: float = 1.0) -> tuple[EnergyLedger, list[bool]]:
    ledger = EnergyLedger(1000.0, 100.0)
    return ledger, [ledger.add(dt, *step) for step in steps]


def balance(totals: LedgerTotals) -> float:
    return (totals.harvested_j + totals.dock_j - totals.loads_j - totals.peaks_j - totals.battery_loss_j
            - totals.supercap_loss_j - totals.growth_j)


def test_every_energy_is_booked_under_its_own_name() -> None:
    powers = Powers(array_w=40.0, dock_w=7.0, loads_w=25.0, peaks_w=3.0, battery_loss_w=2.0, supercap_loss_w=1.0,
                    spilled_w=5.0, unserved_w=6.0)
    ledger, booked = book((powers, 1020.0, 112.0), dt=2.0)
    assert booked == [True]
    assert ledger.totals() == LedgerTotals(
        harvested_j=80.0, dock_j=14.0, loads_j=50.0, peaks_j=6.0, battery_loss_j=4.0, supercap_loss_j=2.0,
        growth_j=32.0, unexplained_j=0.0, unexplained_share=0.0, spilled_j=10.0, unserved_j=12.0, known_s=2.0,
        unknown_s=0.0, gap_growth_j=0.0, spilled_unknown_s=0.0, unserved_unknown_s=0.0)


def test_what_the_stores_do_beyond_the_flows_is_unexplained() -> None:
    ledger, _ = book((STEADY, 1000.0 - 71.0 - 10.0, 100.0))
    totals = ledger.totals()
    assert totals.unexplained_j == 10.0
    # Turned over: 30 J of the array and 81 J of the battery.
    assert totals.unexplained_share == pytest.approx(10.0 / 111.0)


def test_energy_out_of_nowhere_is_unexplained_too() -> None:
    ledger, _ = book((changed(STEADY, array_w=150.0), 1069.0, 100.0))
    totals = ledger.totals()
    assert totals.unexplained_j == -20.0
    # Turned over: 101 J of loads and losses, 69 J of growth.
    assert totals.unexplained_share == pytest.approx(20.0 / 170.0)


def test_an_empty_book_has_no_share() -> None:
    assert EnergyLedger().totals().unexplained_share is None


@pytest.mark.parametrize("name", ["array_w", "dock_w", "loads_w", "peaks_w", "battery_loss_w", "supercap_loss_w"])
@pytest.mark.parametrize("bad", [None, nan, inf, -inf])
def test_missing_power_makes_its_step_unknown_and_nothing_else(name: str, bad: float | None) -> None:
    ledger, booked = book((STEADY, 929.0, 100.0), (changed(STEADY, **{name: bad}), 858.0, 100.0),
                          (STEADY, 787.0, 100.0))
    assert booked == [True, False, True]
    totals = ledger.totals()
    assert (totals.known_s, totals.unknown_s) == (2.0, 1.0)
    assert (totals.loads_j, totals.growth_j, totals.gap_growth_j) == (200.0, -142.0, -71.0)
    assert totals.unexplained_j == 0.0


@pytest.mark.parametrize("bad", [None, nan, inf, -1.0])
@pytest.mark.parametrize("store", [0, 1])
def test_missing_store_makes_the_step_before_and_the_step_after_unknown(bad: float | None, store: int) -> None:
    stored: list[float | None] = [858.0, 100.0]
    stored[store] = bad
    ledger, booked = book((STEADY, 929.0, 100.0), (STEADY, *stored), (STEADY, 787.0, 100.0), (STEADY, 716.0, 100.0))
    assert booked == [True, False, False, True]
    totals = ledger.totals()
    assert (totals.known_s, totals.unknown_s) == (2.0, 2.0)
    assert (totals.growth_j, totals.gap_growth_j, totals.unexplained_j) == (-142.0, -142.0, 0.0)


def test_without_energies_at_the_start_the_first_step_is_unknown() -> None:
    ledger = EnergyLedger()
    assert [ledger.add(1.0, STEADY, energy, 0.0) for energy in (1000.0, 929.0)] == [False, True]
    assert ledger.totals().growth_j == -71.0


def test_a_negative_loss_is_not_known_but_a_measured_offset_is_booked() -> None:
    ledger, booked = book((changed(STEADY, battery_loss_w=-1.0), 929.0, 100.0),
                          (changed(STEADY, array_w=-0.5, dock_w=-2.0), 855.5, 100.0))
    assert booked == [False, True]
    assert ledger.totals().harvested_j == -0.5


@pytest.mark.parametrize("bad", [None, nan, inf, -1.0])
def test_unknown_spill_does_not_hold_the_step_back_but_its_time_is_counted(bad: float | None) -> None:
    ledger, booked = book((changed(STEADY, spilled_w=bad), 929.0, 100.0),
                          (changed(STEADY, unserved_w=bad), 858.0, 100.0))
    totals = ledger.totals()
    assert booked == [True, True]
    assert (totals.spilled_unknown_s, totals.unserved_unknown_s, totals.known_s) == (1.0, 1.0, 2.0)
    assert (totals.spilled_j, totals.unserved_j) == (0.0, 0.0)


@pytest.mark.parametrize("dt", [0.0, -1.0, nan, inf])
def test_step_without_a_time_is_refused_and_not_booked(dt: float) -> None:
    ledger = EnergyLedger(1000.0, 100.0)
    with pytest.raises(ValueError, match="dt_s"):
        ledger.add(dt, STEADY, 929.0, 100.0)
    assert ledger.totals().unknown_s == 0.0


def test_a_day_of_20_hz_steps_closes_within_a_billionth() -> None:
    """Exact inputs: energies in whole millijoules, so that only the ledger's own sums can go wrong."""
    dice, steps = random.Random(24), 24 * 3600 * 20
    # 24 situations by their energies a step, in mJ: array, dock, loads, peaks, losses of both stores.
    table = [tuple(dice.randrange(0, most) for most in (5000, 3000, 7000, 4000, 60, 90)) for _ in range(24)]
    powers = [Powers(*(energy * 1e-3 / DT for energy in row), spilled_w=0.0, unserved_w=0.0) for row in table]
    gains = [row[0] + row[1] - row[2] - row[3] - row[4] - row[5] for row in table]
    stored, cap = 10_000_000_000_000, 18_000_000
    ledger, spent = EnergyLedger(stored / 1000, cap / 1000), [0] * 24
    for step in range(steps):
        kind = (step * 7 + step // 997) % 24
        moved = 1 if step % 2 else -1
        stored += gains[kind] - moved
        cap += moved
        spent[kind] += 1
        assert ledger.add(DT, powers[kind], stored / 1000, cap / 1000)
    totals = ledger.totals()
    true = [float(Fraction(sum(count * row[i] for count, row in zip(spent, table, strict=True)), 1000))
            for i in range(6)]
    booked = (totals.harvested_j, totals.dock_j, totals.loads_j, totals.peaks_j, totals.battery_loss_j,
              totals.supercap_loss_j)
    assert booked == tuple(pytest.approx(energy, rel=1e-13) for energy in true)
    assert totals.unexplained_share is not None
    assert totals.unexplained_share < 1e-9
    assert totals.known_s == pytest.approx(86_400.0, rel=1e-14)


def test_sums_keep_what_a_plain_sum_would_lose() -> None:
    ledger = EnergyLedger(0.0, 0.0)
    quiet = Powers(1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    ledger.add(1.0, changed(quiet, array_w=1e16), 0.0, 0.0)
    for _ in range(1000):
        ledger.add(1.0, quiet, 0.0, 0.0)
    ledger.add(1.0, changed(quiet, array_w=-1e16), 0.0, 0.0)
    assert ledger.totals().harvested_j == 1000.0


def test_flows_of_the_sharing_rule_close_the_books() -> None:
    dice = random.Random(3)
    capacity = POWER.battery.capacity_wh * 3600.0, POWER.supercap.capacity_wh * 3600.0
    battery, cap = 0.5 * capacity[0], 0.5 * capacity[1]
    ledger, unserved = EnergyLedger(battery, cap), 0.0
    for _ in range(5000):
        flows = share(
            POWER, array_w=dice.uniform(0.0, 200.0), dock_w=dice.choice([0.0, 100.0]),
            loads_w=dice.uniform(50.0, 250.0), peaks_w=dice.choice([0.0, 0.0, 80.0]),
            soc_battery=battery / capacity[0], soc_supercap=cap / capacity[1])
        losses = 0.01 * (flows.battery_in_w + flows.battery_out_w), 0.03 * (flows.supercap_in_w + flows.supercap_out_w)
        battery += (flows.battery_in_w - flows.battery_out_w - losses[0]) * DT
        cap += (flows.supercap_in_w - flows.supercap_out_w - losses[1]) * DT
        unserved += flows.unserved_w * DT
        assert ledger.add(DT, Powers.of(flows, *losses), battery, cap)
    totals = ledger.totals()
    assert totals.unexplained_share is not None
    assert totals.unexplained_share < 1e-11
    assert totals.unserved_j == pytest.approx(unserved)
    assert totals.unserved_j > 0.0


numbers = st.none() | st.sampled_from([nan, inf, -1.0]) | st.floats(0.0, 500.0)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.lists(numbers, min_size=8, max_size=8), numbers, numbers), max_size=30))
def test_known_and_unknown_time_make_all_of_it_and_the_balance_is_what_is_unexplained(
    steps: list[tuple[list[Any], float | None, float | None]]
) -> None:
    ledger = EnergyLedger(100.0, 10.0)
    booked = [ledger.add(0.5, Powers(*powers), battery, cap) for powers, battery, cap in steps]
    totals = ledger.totals()
    assert totals.known_s == 0.5 * sum(booked)
    assert totals.known_s + totals.unknown_s == 0.5 * len(steps)
    assert totals.unexplained_j == pytest.approx(balance(totals), abs=1e-9)
