"""Limits of a craft as its body gives them."""

from __future__ import annotations

from math import inf, radians

import pytest
from msgspec.structs import replace

from fdir.facts import CraftLimits
from hal.profile import load_body


def test_limits_of_the_reference_body_are_those_of_its_monitors() -> None:
    limits = CraftLimits.of(load_body("qiki-t"))
    assert (limits.bus_low_v, limits.bus_safe_v) == (22.0, pytest.approx(20.0))
    assert (limits.bus_near_a, limits.bus_limit_a, limits.bus_trip_a) == (4.0, 5.0, 6.0)
    assert (limits.battery_charge_c, limits.battery_discharge_c, limits.dock_reverse_a) == (0.0, -20.0, -0.5)
    assert limits.runaway_rad_s == pytest.approx(radians(25.0))


def test_a_bench_body_has_the_limits_of_its_own_pack_and_no_dock() -> None:
    limits = CraftLimits.of(load_body("bench-12kg"))
    assert limits.bus_low_v == 19.8
    assert limits.bus_safe_v == pytest.approx(18.0)
    assert limits.dock_reverse_a == -inf


def test_a_body_without_a_battery_node_has_no_limits_of_its_temperature() -> None:
    body = load_body("qiki-t")
    nodes = tuple(node for node in body.thermal.nodes if node.name != "battery")
    limits = CraftLimits.of(replace(body, thermal=replace(body.thermal, nodes=nodes)))
    assert (limits.battery_charge_c, limits.battery_discharge_c) == (None, None)
