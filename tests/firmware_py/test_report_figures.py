"""Figures against hand-computed values; expectations that never hold by accident."""

from __future__ import annotations

from math import cos, isnan, radians, sin, sqrt
from typing import Any

import pytest

from fdir.codes import Code
from firmware_py.mission import ExpectConfig, StepOutcome, load_mission
from firmware_py.report.figures import (
    FIGURES,
    FlightData,
    Scope,
    at_the_end,
    check_expectations,
    flown_steps,
    judge,
    summary,
    window_of,
)
from firmware_py.report.figures_energy import ENERGY_FIGURES
from tests.firmware_py.test_report_flight import make_flight

NS = 1_000_000_000


def about_z(degrees: float) -> list[float]:
    """Quaternion of a turn about Z."""
    return [cos(radians(degrees) / 2), 0.0, 0.0, sin(radians(degrees) / 2)]


# Four snapshots a second apart; the craft should stand at (1, 0, 0) and look 90 deg to the left.
SNAPSHOTS: list[tuple[int, dict[str, Any]]] = [
    (t * NS, {
        "step": step, "motion": motion, "safe": "safe_inactive", "target_quaternion": target,
        "target_position_m": place, "quaternion": about_z(estimate),
        "position_m": [4.0, 0.0, 4.0] if t == 2 else [float(t), 0.0, 0.0],
        "attitude_known": t > 0,
        "masked_nozzles": [5, 7] if t == 3 else [], "devices": {"mag": "lost"}, "gate_vetoes": t, "bus_failures": 2 * t,
        "failure_causes": {"timeout": t, "checksum": t}, "bus_recoveries": {"clear": t // 2} if t > 1 else {},
    })
    for t, step, motion, target, place, estimate in (
        (0, "boot", "Boot", None, None, 0.0),
        (1, "slew", "Manoeuvre", about_z(90.0), None, 31.0),
        (2, "slew", "Manoeuvre", about_z(90.0), [1.0, 0.0, 0.0], 62.0),
        (3, "hold", "Idle", about_z(90.0), [1.0, 0.0, 0.0], 89.5),
    )
]
# The truth starts at (10, 20, 30): navigation counts from there.
TRUTH: list[tuple[int, dict[str, Any]]] = [
    (t * NS, {
        "quaternion": about_z(true), "position_m": [10.0 + x, 20.0, 30.0 + z],
        "rate_rad_s": [0.0, radians(3 * r), radians(4 * r)], "velocity_m_s": [0.3, 0.0, -0.4 * t],
        "propellant_kg": 12.0 - t,
        "total_impulse_n_s": 588.0 * t, "soc_battery": 0.8 - 0.01 * t, "soc_supercap": 0.7, "array_w": 10.0 * t,
        "load_w": 3600.0, "temperatures_c": {"core": 20.0 + t, "hull": None if t == 1 else -10.0},
        "pulse_rule_violations": 0,
    })
    for t, true, x, z, r in (
        (0, 0.0, 0.0, 0.0, 2.0), (1, 30.0, 0.0, 0.0, 1.0), (2, 60.0, 4.0, 4.0, 0.2), (3, 90.0, 1.0, 0.5, 0.0),
    )
]
EVENTS: list[tuple[int, dict[str, Any]]] = [
    (1 * NS, {"code": Code.STEP_DONE.value, "severity": "info", "text": "boot"}),
    (2 * NS, {"code": Code.DEVICE_STATE.value, "severity": "warning", "text": "mag lost"}),
    (3 * NS, {"code": Code.STEP_TIMEOUT.value, "severity": "warning", "text": "slew: not done after 2 s"}),
]
FLIGHT = FlightData({"steps": "3"}, SNAPSHOTS, TRUTH, EVENTS, [])

BY_HAND = {
    "duration_s": 3.0,
    "steps_not_done": 2,
    # At 2 s the craft is at (4, 0, 4) from its start and asked to be at (1, 0, 0): a 3-4-5 triangle.
    "position_error_m": 5.0,
    "attitude_error_deg": 60.0,
    "attitude_error_rms_deg": sqrt((60.0**2 + 30.0**2 + 0.0) / 3),
    # Estimated (4, 0, 4) against the same, and (3, 0, 0) against (1, 0, 0.5).
    "position_knowledge_m": sqrt(2.0**2 + 0.5**2),
    "attitude_knowledge_deg": 2.0,
    "rate_deg_s": 0.0,
    "largest_rate_deg_s": 10.0,
    "speed_m_s": sqrt(0.3**2 + 1.2**2),
    "propellant_used_kg": 3.0,
    "propellant_left_kg": 9.0,
    "impulse_n_s": 1764.0,
    "battery_used": 0.03,
    "soc_battery": 0.77,
    "soc_supercap": 0.7,
    "array_power_w": 30.0,
    # Trapezoids 5 + 15 + 25 J, and 3 s of 3600 W.
    "array_energy_wh": 45.0 / 3600.0,
    "load_energy_wh": 3.0,
    "hottest_c": 23.0,
    "pulse_rule_violations": 0,
    "events": 3,
    "motion": "Idle",
    "safe": "safe_inactive",
    "masked_nozzles": 2,
    "devices_not_ok": 1,
    "gate_vetoes": 3,
    "bus_failures": 6,
    "bus_recoveries": 1,
}


def test_position_error_counts_from_where_the_craft_truly_was_when_the_target_was_set() -> None:
    def flight(estimates: list[float], truths: list[float], targets: list[float | None]) -> FlightData:
        snapshots = [
            (t * NS, {"position_m": [x, 0.0, 0.0], "target_position_m": None if to is None else [to, 0.0, 0.0]})
            for t, (x, to) in enumerate(zip(estimates, targets, strict=True))
        ]
        truth = [(t * NS, {"position_m": [x, 0.0, 0.0]}) for t, x in enumerate(truths)]
        return FlightData({}, snapshots, truth, [], [])

    # Dead reckoning was 2 m off when the craft was told to stay at 5 m; a metre of drift comes after that.
    drifted = flight([0.0, 5.0, 5.0], [0.0, 7.0, 8.0], [None, 5.0, 5.0])
    assert [value for _, value in drifted.series("position_error_m")] == [None, 0.0, 1.0]
    # A target set anew counts anew.
    again = flight([0.0, 5.0, 5.0, 6.0], [0.0, 7.0, 8.0, 9.0], [None, 5.0, 5.0, 6.0])
    assert [value for _, value in again.series("position_error_m")] == [None, 0.0, 1.0, 0.0]


def test_every_figure_has_a_value_computed_by_hand() -> None:
    assert set(BY_HAND) == set(FIGURES) - {figure.name for figure in ENERGY_FIGURES}


@pytest.mark.parametrize("name", BY_HAND)
def test_figure_of_the_whole_flight(name: str) -> None:
    expected = BY_HAND[name]
    assert summary(FLIGHT)[name] == (expected if isinstance(expected, str) else pytest.approx(expected, abs=1e-9))


@pytest.mark.parametrize(
    ("name", "window", "expected"),
    [
        ("attitude_error_deg", {"step": "hold"}, 0.0),
        ("attitude_error_deg", {"step": "slew"}, 60.0),
        ("attitude_error_deg", {"step": "slew", "last_s": 0.5}, 30.0),
        ("position_error_m", {"last_s": 0.1}, 0.5),
        ("propellant_used_kg", {"step": "slew"}, 1.0),
        ("propellant_used_kg", {"last_s": 2.0}, 2.0),
        ("array_power_w", {"step": "slew"}, 20.0),
        ("array_energy_wh", {"step": "slew"}, 15.0 / 3600.0),
        ("rate_deg_s", {"step": "slew"}, 1.0),
        ("events", {"step": "slew"}, 2),
        ("events", {"step": "slew", "code": "STEP_DONE"}, 1),
        ("events", {"code": "GATE_COOLDOWN"}, 0),
        ("motion", {"step": "boot"}, "Boot"),
        ("duration_s", {"step": "slew"}, 1.0),
        ("masked_nozzles", {"step": "slew"}, 0),
        ("hottest_c", {"step": "boot"}, 20.0),
    ],
)
def test_figure_inside_a_window(name: str, window: dict[str, Any], expected: float | str) -> None:
    (verdict,) = judge(FLIGHT, [ExpectConfig(name, equals="", **window)])
    assert verdict.value == (expected if isinstance(expected, str) else pytest.approx(expected, abs=1e-9))


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"below": 5.1}, True), ({"below": 5.0}, False), ({"above": 4.9}, True), ({"above": 5.0}, False),
        ({"above": 4.0, "below": 6.0}, True), ({"above": 4.0, "below": 4.5}, False), ({"equals": 5.0}, True),
        ({"equals": 4.0}, False), ({"equals": 5.0, "below": 1.0}, False),
    ],
)
def test_every_condition_of_an_expectation_must_hold(condition: dict[str, float], holds: bool) -> None:
    (verdict,) = judge(FLIGHT, [ExpectConfig("position_error_m", **condition)])
    assert verdict.holds is holds


def test_a_word_is_judged_by_equals() -> None:
    good, bad = judge(FLIGHT, [ExpectConfig("motion", equals="Idle"), ExpectConfig("motion", equals="SAFE")])
    assert good.holds
    assert not bad.holds


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("condition", [{"below": 1e9}, {"above": -1e9}, {"equals": 0.0}])
def test_nothing_recorded_never_holds(name: str, condition: dict[str, float]) -> None:
    (verdict,) = judge(FlightData({}, [], [], [], []), [ExpectConfig(name, **condition)])
    assert verdict.value is None
    assert not verdict.holds
    assert verdict.why == "nothing was recorded"


@pytest.mark.parametrize("name", sorted(set(FIGURES) - {"duration_s", "events", "steps_not_done"}))
def test_a_channel_that_is_missing_throughout_never_holds(name: str) -> None:
    none = [(t, dict.fromkeys(row)) for t, row in SNAPSHOTS]
    data = FlightData({}, none, [(t, dict.fromkeys(row)) for t, row in TRUTH], [], [])
    (verdict,) = judge(data, [ExpectConfig(name, below=1e9, above=-1e9)])
    assert (verdict.value, verdict.holds, verdict.why) == (None, False, "not recorded")


def test_a_step_that_was_not_flown_never_holds() -> None:
    (verdict,) = judge(FLIGHT, [ExpectConfig("position_error_m", below=1e9, step="dock")])
    assert not verdict.holds
    assert verdict.why == "step dock was not flown"


def test_a_flight_shorter_than_the_window_never_holds() -> None:
    (verdict,) = judge(FLIGHT, [ExpectConfig("position_error_m", below=1e9, last_s=60.0)])
    assert not verdict.holds
    assert verdict.why == "less than 60 s were recorded"


def test_a_window_may_miss_half_a_second_since_rows_lie_inside_a_flight() -> None:
    assert window_of(FLIGHT, ExpectConfig("duration_s", last_s=3.4)) is not None
    assert window_of(FLIGHT, ExpectConfig("duration_s", last_s=3.6)) is None


def test_steps_not_done_without_a_plan_is_missing() -> None:
    (verdict,) = judge(FlightData({}, SNAPSHOTS, [], EVENTS, []), [ExpectConfig("steps_not_done", equals=0.0)])
    assert not verdict.holds


def test_a_number_that_could_not_be_computed_is_not_hidden_by_good_ones() -> None:
    truth = [*TRUTH[:2], (2 * NS, {**TRUTH[2][1], "position_m": [float("nan"), 0.0, 0.0]}), TRUTH[3]]
    (verdict,) = judge(FlightData({}, SNAPSHOTS, truth, [], []), [ExpectConfig("position_error_m", below=1e9)])
    assert isinstance(verdict.value, float)
    assert isnan(verdict.value)
    assert not verdict.holds


def test_truth_between_two_snapshots_is_compared_with_the_one_before() -> None:
    truth = [(round(2.9 * NS), TRUTH[3][1])]
    data = FlightData({}, SNAPSHOTS, truth, [], [])
    assert data.series("attitude_knowledge_deg") == [(truth[0][0], pytest.approx(28.0))]


def test_truth_before_the_first_snapshot_has_no_pair() -> None:
    assert FlightData({}, SNAPSHOTS[1:], TRUTH[:1], [], []).pairs == []


def test_an_unknown_figure_is_refused_with_the_known_ones() -> None:
    expect = ExpectConfig("atitude_error_deg", below=1.0)
    (verdict,) = judge(FLIGHT, [expect])
    assert not verdict.holds
    assert verdict.unit == "?"
    (problem,) = check_expectations([expect])
    for text in (verdict.why, problem):
        assert "atitude_error_deg" in text
        assert all(name in text for name in FIGURES)
    assert problem.startswith("expect[0].figure")


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        (ExpectConfig("motion", below=1.0), "only equals can judge it"),
        (ExpectConfig("motion", equals=1.0), "motion is a word"),
        (ExpectConfig("soc_battery", equals="full"), "soc_battery is a number"),
        (ExpectConfig("steps_not_done", equals=0.0, last_s=10.0), "of the whole flight"),
        (ExpectConfig("steps_not_done", equals=0.0, step="hold"), "of the whole flight"),
        (ExpectConfig("soc_battery", above=0.1, code="BAT_LOW"), "only the figures events, bus_failures, bus_recover"),
        (ExpectConfig("events", equals=0.0, code="BAT_LOWW"), "no code 'BAT_LOWW'; codes: "),
    ],
)
def test_an_expectation_that_could_never_be_judged_is_a_problem(expect: ExpectConfig, words: str) -> None:
    (problem,) = check_expectations([expect])
    assert words in problem


def test_the_default_mission_expects_only_what_can_be_judged() -> None:
    assert check_expectations(load_mission("first-flight").expect) == []


def test_verdicts_say_where_and_what_in_words() -> None:
    expect = ExpectConfig("events", below=4.0, above=-1.0, step="slew", last_s=0.5, code="STEP_DONE")
    (verdict,) = judge(FLIGHT, [expect])
    assert verdict.where == "last 0.5 s of step slew, STEP_DONE"
    assert verdict.allowed == "< 4 and > -1"
    assert judge(FLIGHT, [ExpectConfig("steps_not_done", equals=0.0)])[0].allowed == "= 0"


def test_steps_as_flown_come_from_the_events_that_ended_them() -> None:
    steps = flown_steps(FLIGHT)
    assert [(s.name, s.start_ns / NS, s.end_ns / NS, s.outcome) for s in steps] == [
        ("boot", 0.0, 1.0, StepOutcome.DONE), ("slew", 1.0, 3.0, StepOutcome.TIMEOUT), ("hold", 3.0, 3.0, "unfinished"),
    ]
    assert steps[1].detail == "not done after 2 s"


def test_a_refused_step_is_listed_though_no_snapshot_saw_it() -> None:
    events = [(NS, {"code": Code.STEP_REFUSED.value, "severity": "warning", "text": "slew: SAFE_LOCKED"})]
    data = FlightData({}, [(0, {"step": ""}), (2 * NS, {"step": ""})], [], events, [])
    (step,) = flown_steps(data)
    assert (step.name, step.outcome, step.detail) == ("slew", StepOutcome.REFUSED, "SAFE_LOCKED")


def test_the_made_up_flight_holds_what_the_default_mission_expects() -> None:
    verdicts = judge(make_flight(), load_mission("first-flight").expect)
    assert [v.expect.figure for v in verdicts if not v.holds] == []


def test_a_figure_of_the_end_is_missing_for_a_flight_that_was_shorter() -> None:
    assert at_the_end(FLIGHT, "attitude_error_deg", 1.0) == pytest.approx(30.0)
    assert at_the_end(FLIGHT, "attitude_error_deg") is None


def test_what_is_derived_is_computed_once() -> None:
    data = make_flight(5.0)
    assert data.pairs is data.pairs
    assert data.series("position_error_m") is data.series("position_error_m")
    assert Scope(data, 1 * NS, 2 * NS).snapshots[0][0] == NS
