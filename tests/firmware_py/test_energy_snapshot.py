"""Telemetry of power and heat: every channel of the dictionary, in its kind, and nothing that is not known."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

import pytest

from comms.dictionary import TELEMETRY, Kind
from firmware_py.energy.snapshot import energy_snapshot
from hal.profile import load_body
from hal.profile.body import BodyConfig
from tests.firmware_py.energy_craft import BODY, BenchCraft, WorldCraft

CHANNELS = {channel.name: channel for channel in TELEMETRY if 50 <= channel.id <= 74}
PLAIN = {Kind.NUMBER: (int, float), Kind.TEXT: (str,), Kind.LIST: (list, tuple), Kind.TABLE: (dict,)}


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers(part)]
    if isinstance(value, list | tuple):
        return [number for part in value for number in numbers(part)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


@pytest.mark.parametrize("body", [BODY, load_body("bench-12kg"), load_body("gref")], ids=lambda body: body.body)
@pytest.mark.parametrize("seconds", [0.0, 0.05, 5.0])
def test_every_channel_is_there_in_its_kind_from_the_first_moment(body: BodyConfig, seconds: float) -> None:
    craft = WorldCraft(body)
    craft.fly(seconds)
    row = energy_snapshot(craft.manager)
    assert row.keys() == CHANNELS.keys()
    for name, value in row.items():
        assert value is None or isinstance(value, PLAIN[CHANNELS[name].kind]), name
    assert json.loads(json.dumps(row)) == row
    assert all(isfinite(number) for number in numbers(row))


def test_what_flows_is_in_the_flows() -> None:
    craft = WorldCraft(soc_supercap=0.9)
    craft.sun, craft.firing_w = 1.0, 80.0
    craft.fly(10.0)
    row = energy_snapshot(craft.manager)
    flows, power = row["flows_w"], craft.power
    assert flows["loads"] == pytest.approx(power.load_w, rel=0.02)
    assert flows["peaks"] == pytest.approx(80.0)
    assert flows["supercap"] == pytest.approx(power.supercap_out_w, rel=0.02)
    assert flows["array"] == pytest.approx(power.array_w, rel=0.05)
    assert row["budget"]["held_j"] > 0.0
    assert row["peak_level"] == "boost"
    assert row["panel_setpoint_v"] == pytest.approx(row["panel_voltage_v"], abs=1.0)
    assert row["time_to_empty_s"] == pytest.approx(
        power.battery_j / power.battery_out_w, rel=0.05
    )


def test_sheds_and_reasons_and_answers_are_said() -> None:
    craft = WorldCraft(soc_battery=0.17)
    craft.fly(4.0)
    row = energy_snapshot(craft.manager)
    assert row["shed"][:2] == ["radar", "transponder"]
    assert row["shed_reasons"] == ["low_soc", "nbl_budget"]
    assert row["loads"]["radar"] == "load_shed"
    assert row["loads"]["base"] == "load_allowed"


def test_heat_and_dock_are_said() -> None:
    craft = WorldCraft(temperatures_c={"core": 83.0})
    craft.fly(3.0)
    row = energy_snapshot(craft.manager)
    assert row["heat_states"] == {"core": "hot"}
    assert (row["dock_feed"], row["dock_soft_start_pct"]) == ("off", 0.0)
    assert row["computer_c"] == pytest.approx(83.0, abs=1.0)


def test_nothing_that_is_not_known_is_a_number() -> None:
    craft = BenchCraft()
    craft.levers.changes = dict.fromkeys((
        "bus_voltage_v", "bus_current_a", "battery_current_a", "battery_voltage_v", "soc_battery", "soc_supercap",
        "supercap_voltage_v", "supercap_current_a", "panel", "gauge", "dock", "dock_current_a",
    ))
    craft.celsius = {}
    craft.fly(3.0)
    row = energy_snapshot(craft.manager)
    for name in ("flows_w", "peak_level", "time_to_empty_s", "time_to_boost_s", "panel_voltage_v", "panel_power_w",
                 "computer_c"):
        assert row[name] is None, name
    assert row["soc_sigma"] == {"battery": None, "supercap": None}
    assert row["soc_trust"] == {"battery": "missing", "supercap": "missing"}
    assert row["energy_j"]["unknown_s"] > 2.5
    assert row["energy_j"]["loads"] == 0.0
