"""Exit conditions of SAFE: each at its edge, which reasons ask for it, and what cannot be told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from fdir.codes import Code
from fdir.exit_conditions import (
    CONFLICT,
    CONFLICT_LEAVE_RAD_S,
    EXIT_CONDITIONS,
    RATE_LEAVE_RAD_S,
    SOC_BATTERY_LEAVE,
)
from fdir.facts import CraftLimits, EnergyFacts, Facts, LinkFacts

Make = Callable[..., Facts]
OF_THE_REFERENCE = (
    "exit_power_recovered", "exit_thermal_nominal", "exit_sensor_conflict_resolved", "exit_pdu_fault_cleared",
    "exit_damage_assessed", "exit_blackbox_reviewed",
)
DOCKED = {"detached": False, "bridge_allowed": True, "joint_locked_unrated": False}


def test_the_six_of_the_reference_come_first_and_all_have_a_text() -> None:
    assert tuple(EXIT_CONDITIONS)[:6] == OF_THE_REFERENCE
    assert tuple(EXIT_CONDITIONS)[6:] == (
        "exit_orientation_held", "exit_profile_matches", "exit_on_time", "exit_bayonet_safe", "exit_link_returned",
        "exit_actuators_ready",
    )
    texts = [row.text for row in EXIT_CONDITIONS.values()]
    assert all(text and not text.endswith(".") for text in texts)
    assert len(set(texts)) == len(texts)
    assert EXIT_CONDITIONS["exit_power_recovered"].text.startswith("SoC_bat above 15 %,")
    assert "below 5 deg/s," in EXIT_CONDITIONS["exit_orientation_held"].text


def test_which_reasons_each_is_about() -> None:
    assert {name: row.reasons for name, row in EXIT_CONDITIONS.items()} == {
        "exit_power_recovered": {Code.SAFE_POWER_LOW, Code.SAFE_CAP_LOW},
        "exit_thermal_nominal": {Code.SAFE_THERMAL_CRITICAL},
        "exit_sensor_conflict_resolved": {Code.SAFE_SENSOR_CONFLICT, Code.SENSOR_CONFLICTING},
        "exit_pdu_fault_cleared": {Code.SAFE_PDU_FAULT},
        "exit_damage_assessed": {Code.SAFE_DAMAGE_CRITICAL},
        "exit_blackbox_reviewed": {Code.SAFE_BLACKBOX_CRITICAL},
        "exit_orientation_held": {
            Code.SAFE_ORIENTATION_LOST, Code.SENSOR_MISSING, Code.SENSOR_DEGRADED, Code.SENSORS_UNAVAILABLE,
            Code.SENSORS_STALE,
        },
        "exit_profile_matches": {Code.HASH_MISMATCH, Code.SELF_TEST_FAILED},
        "exit_on_time": {Code.CPU_OVERRUN},
        "exit_bayonet_safe": {Code.SAFE_BAYONET_UNSAFE, Code.BRIDGE_ELECTRICAL_UNSAFE},
        "exit_link_returned": {Code.SAFE_COMMS_LOSS},
        "exit_actuators_ready": {Code.ACTUATOR_UNAVAILABLE},
    }
    assert {Code.SAFE_SENSOR_CONFLICT, Code.SENSOR_CONFLICTING} == CONFLICT


def test_every_reason_of_the_body_has_its_condition() -> None:
    asked = set().union(*(row.reasons for row in EXIT_CONDITIONS.values()))
    of_the_body = {code for code in Code if code.startswith("SAFE_")}
    assert of_the_body - asked == {
        Code.SAFE_LOCKED, Code.SAFE_EXIT_CONDITIONS, Code.SAFE_ORDERED, Code.SAFE_RECORD_INVALID,
    }


def test_which_count_whatever_the_reason_is() -> None:
    assert {name for name, row in EXIT_CONDITIONS.items() if not row.always} == {
        "exit_damage_assessed", "exit_blackbox_reviewed", "exit_bayonet_safe", "exit_link_returned",
        "exit_actuators_ready",
    }


def test_limits_to_begin_with_are_those_of_the_craft() -> None:
    limits = {field.name: field.default for field in dataclasses.fields(CraftLimits)}
    assert (limits["leave_soc"], limits["leave_rate_rad_s"]) == (SOC_BATTERY_LEAVE, RATE_LEAVE_RAD_S)
    assert (SOC_BATTERY_LEAVE, RATE_LEAVE_RAD_S, CONFLICT_LEAVE_RAD_S) == (0.15, 0.0873, 0.00873)


@pytest.mark.parametrize(
    ("name", "change", "verdict"),
    [
        ("exit_power_recovered", {"soc_battery": 0.1501, "soc_supercap": 0.3001}, True),
        ("exit_power_recovered", {"soc_battery": 0.15}, False),
        ("exit_power_recovered", {"soc_battery": None}, None),
        ("exit_power_recovered", {"soc_supercap": 0.30}, False),
        ("exit_power_recovered", {"soc_supercap": None}, None),
        ("exit_thermal_nominal", {"hottest_share": -0.001}, True),
        ("exit_thermal_nominal", {"hottest_share": 0.0}, False),
        ("exit_thermal_nominal", {"hottest_share": None}, None),
        ("exit_thermal_nominal", {"energy": EnergyFacts(computer_too_hot=True)}, False),
        ("exit_thermal_nominal", {"hottest_share": None, "energy": EnergyFacts(computer_too_hot=True)}, False),
        ("exit_thermal_nominal", {"energy": EnergyFacts(computer_too_hot=False)}, True),
        ("exit_sensor_conflict_resolved", {"rate_disagreement_rad_s": 0.008729}, True),
        ("exit_sensor_conflict_resolved", {"rate_disagreement_rad_s": 0.00873}, False),
        ("exit_sensor_conflict_resolved", {"rate_disagreement_rad_s": None}, None),
        ("exit_pdu_fault_cleared", {}, True),
        ("exit_pdu_fault_cleared", {"energy": EnergyFacts(overcurrent_unsolved=True)}, False),
        ("exit_damage_assessed", {}, None),
        ("exit_blackbox_reviewed", {}, None),
        ("exit_orientation_held", {"rate_rad_s": 0.0872}, True),
        ("exit_orientation_held", {"rate_rad_s": 0.0873}, False),
        ("exit_orientation_held", {"rate_rad_s": None}, False),
        ("exit_orientation_held", {"imu_ok": False}, False),
        ("exit_profile_matches", {}, True),
        ("exit_profile_matches", {"hash_matches": False}, False),
        ("exit_profile_matches", {"self_test_passed": None}, False),
        ("exit_profile_matches", {"self_test_passed": False}, False),
        ("exit_on_time", {"late_ticks": 0}, True),
        ("exit_on_time", {"late_ticks": 1}, False),
        ("exit_bayonet_safe", {}, True),
        ("exit_bayonet_safe", {"joint_locked_unrated": True}, True),
        ("exit_bayonet_safe", DOCKED, True),
        ("exit_bayonet_safe", {**DOCKED, "bridge_allowed": False}, False),
        ("exit_bayonet_safe", {**DOCKED, "joint_locked_unrated": True}, False),
        ("exit_link_returned", {}, None),
        ("exit_link_returned", {"link": LinkFacts(599.9)}, True),
        ("exit_link_returned", {"link": LinkFacts(600.0)}, False),
        ("exit_actuators_ready", {}, True),
        ("exit_actuators_ready", {"propulsion_ready": False}, False),
    ],
)
def test_each_at_its_edge(name: str, change: dict[str, Any], verdict: bool | None, facts: Make) -> None:
    assert EXIT_CONDITIONS[name].test(facts(**change)) is verdict


@pytest.mark.parametrize(
    ("name", "limit", "passes", "fails"),
    [
        ("exit_power_recovered", {"leave_soc": 0.4}, {"soc_battery": 0.41}, {"soc_battery": 0.4}),
        ("exit_orientation_held", {"leave_rate_rad_s": 0.02}, {"rate_rad_s": 0.019}, {"rate_rad_s": 0.02}),
        ("exit_link_returned", {"command_loss_s": 90.0}, {"link": LinkFacts(89.0)}, {"link": LinkFacts(90.0)}),
    ],
)
def test_what_is_set_in_flight_counts(
    name: str, limit: dict[str, float], passes: dict[str, Any], fails: dict[str, Any], facts: Make
) -> None:
    limits = dataclasses.replace(facts().limits, **limit)
    assert EXIT_CONDITIONS[name].test(facts(limits=limits, **passes)) is True
    assert EXIT_CONDITIONS[name].test(facts(limits=limits, **fails)) is False
