"""Figures of power and heat against hand-computed values; what was not recorded is missing and not zero."""

from __future__ import annotations

from typing import Any

import pytest

from firmware_py.report.figures import FIGURES
from firmware_py.report.figures_energy import ENERGY_FIGURES
from firmware_py.report.scope import FlightData, Scope

NS = 1_000_000_000
BY_NAME = {figure.name: figure for figure in ENERGY_FIGURES}


def scope(truth: list[dict[str, Any]], snapshots: list[dict[str, Any]] | None = None, step_s: float = 10.0,
          **span: Any) -> Scope:
    """Rows ``step_s`` apart from 0 on."""
    def rows(table: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
        return [(round(step_s * NS) * n, row) for n, row in enumerate(table)]

    return Scope(FlightData({}, rows(snapshots or []), rows(truth), [], []), **span)


def value(name: str, found: Scope) -> Any:
    return BY_NAME[name].compute(found)


TRUTH = [
    {"array_w": w, "array_max_w": most, "panel_wanted": wanted, "dock_w": dock, "soc_battery": 0.8 - 0.01 * n,
     "soc_supercap": 0.7, "balance_error_j": -0.5 * n, "flowed_j": 100.0 * n, "longest_under_s": 0.02 * n,
     "bus_current_a": amperes, "bus_limit_a": 5.0, "cold_charge_j": 1.0 * n,
     "temperatures_c": {"battery": celsius, "core": 30.0}}
    for n, (w, most, wanted, dock, amperes, celsius) in enumerate([
        (20.0, 25.0, True, 0.0, 4.0, 12.0), (24.0, 25.0, True, 0.0, 5.5, 3.0), (10.0, 25.0, False, 36.0, 5.1, None),
        (10.0, 25.0, False, 36.0, 5.0, 7.0), (25.0, 25.0, True, 0.0, 6.0, 9.0), (25.0, 25.0, True, 0.0, 5.2, 11.0),
    ])
]
SNAPSHOTS = [
    {"soc_battery": 0.8 - 0.01 * n + (0.02 if n == 3 else 0.5 if n == 0 else 0.0),
     "soc_supercap": 0.69 if n != 2 else None,
     "energy_j": {"unexplained_share": 0.001 * n}, "shed": ["nbl", "radar"][: n % 3], "dock_feed": "on",
     "duty_level": "full"}
    for n in range(6)
]
HAND = {
    # Pairs (0, 1) and (4, 5) only: (22 + 25) of (25 + 25).
    "panel_share": 47.0 / 50.0,
    # 36 W over one step, and up and down to it: 720 J.
    "dock_energy_wh": 720.0 / 3600.0,
    # The first row is within the first 5 s.
    "soc_error_battery": 0.02, "soc_error_supercap": 0.01,
    "energy_unexplained": 2.5 / 500.0, "energy_unexplained_on_board": 0.005,
    "bus_under_ms": 100.0, "bus_current_a": 5.2,
    # From 10 s to 20 s, and from 40 s to 50 s.
    "overload_s": 10.0,
    "cold_charge_j": 5.0, "battery_c": 11.0, "coldest_battery_c": 3.0,
    "shed_loads": 2, "dock_feed": "on", "duty_level": "full",
}


@pytest.mark.parametrize("name", BY_NAME)
def test_figures_are_what_they_are_by_hand(name: str) -> None:
    found = value(name, scope(TRUTH, SNAPSHOTS))
    expected = HAND[name]
    assert found == (expected if isinstance(expected, str) else pytest.approx(expected))


def test_all_of_them_are_in_the_table_of_figures_and_no_name_twice() -> None:
    names = [figure if isinstance(figure, str) else figure.name for figure in FIGURES]
    assert set(BY_NAME) <= set(names)
    assert len(names) == len(set(names))
    assert {figure.name for figure in ENERGY_FIGURES if figure.text_value} == {"dock_feed", "duty_level"}


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_what_was_not_recorded_is_missing(name: str, rows: int) -> None:
    assert value(name, scope([{}] * rows, [{}] * rows)) is None


@pytest.mark.parametrize("name", BY_NAME)
def test_what_was_recorded_as_missing_is_missing(name: str) -> None:
    nothing = [dict.fromkeys(TRUTH[0]) for _ in range(3)]
    assert value(name, scope(nothing, [dict.fromkeys(SNAPSHOTS[0]) for _ in range(3)])) is None


@pytest.mark.parametrize("name", BY_NAME)
def test_a_column_with_a_hole_breaks_nothing(name: str) -> None:
    for hole in (*TRUTH[0], *SNAPSHOTS[0]):
        truth = [{**row, hole: None} if n == 1 and hole in row else row for n, row in enumerate(TRUTH)]
        shown = [{**row, hole: None} if n == 1 and hole in row else row for n, row in enumerate(SNAPSHOTS)]
        found = value(name, scope(truth, shown))
        assert found is None or isinstance(found, int | float | str)


def test_a_span_is_judged_by_itself() -> None:
    last = scope(TRUTH, SNAPSHOTS, start_ns=30.0 * NS)
    assert value("coldest_battery_c", last) == 7.0
    assert value("overload_s", last) == pytest.approx(10.0)
    assert value("panel_share", last) == pytest.approx(1.0)
    assert value("dock_energy_wh", last) == pytest.approx(180.0 / 3600.0)


def test_a_panel_that_was_never_wanted_has_no_share() -> None:
    assert value("panel_share", scope([{**row, "panel_wanted": False} for row in TRUTH])) is None


def test_a_bus_within_its_limit_has_no_overload() -> None:
    assert value("overload_s", scope([{"bus_current_a": 5.0, "bus_limit_a": 5.0}] * 4)) == 0.0


def test_books_without_any_flow_explain_nothing() -> None:
    assert value("energy_unexplained", scope([{"balance_error_j": 0.0, "flowed_j": 0.0}] * 2)) is None
