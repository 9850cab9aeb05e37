"""Parameters that are impossible are named by their key; the bodies that are flown have none."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest
from msgspec.structs import replace

from fdir.codes import Code
from firmware_py.energy.power_faults import Fault, FaultWord, parameter_faults, rank
from hal.profile import load_body
from hal.profile.body import BodyConfig, LoadConfig

BODY = load_body("qiki-t")


def with_power(section: str, **different: Any) -> BodyConfig:
    return replace(BODY, power=replace(BODY.power, **{section: replace(getattr(BODY.power, section), **different)}))


def with_core(**different: Any) -> BodyConfig:
    nodes = tuple(replace(node, **different) if node.name == "core" else node for node in BODY.thermal.nodes)
    return replace(BODY, thermal=replace(BODY.thermal, nodes=nodes))


def words(body: BodyConfig) -> list[str]:
    return [fault.text for fault in parameter_faults(body)]


@pytest.mark.parametrize("name", ["qiki-t", "qiki-g", "gref", "bench-12kg"])
def test_bodies_that_are_flown_have_no_impossible_parameter(name: str) -> None:
    assert parameter_faults(load_body(name)) == ()


@pytest.mark.parametrize(("section", "key"), [
    ("bus", "empty_v"), ("bus", "full_v"), ("bus", "current_limit_a"), ("battery", "charge_max_w"),
    ("battery", "discharge_max_w"), ("battery", "shed_soc"), ("battery", "nbl_soc"), ("supercap", "capacity_wh"),
    ("supercap", "boost_soc"), ("supercap", "safe_soc"), ("supercap", "top_up_w"),
])
@pytest.mark.parametrize("bad", [nan, inf, -1.0])
def test_number_that_cannot_be_is_named_by_its_key_alone(section: str, key: str, bad: float) -> None:
    assert words(with_power(section, **{key: bad}))[0] == f"POWER_PLANE_PARAM_INVALID:{section}.{key}"


@pytest.mark.parametrize(("section", "different", "key"), [
    ("bus", {"full_v": 22.0}, "bus.full_v"),
    ("battery", {"unshed_soc": 0.2}, "battery.unshed_soc"),
    ("supercap", {"hold_soc": 0.6}, "supercap.boost_soc"),
    ("supercap", {"safe_soc": 0.3}, "supercap.hold_soc"),
    ("battery", {"cut_soc": 0.25}, "battery.shed_soc"),
])
def test_marks_in_the_wrong_order_are_named_by_the_upper_one(
    section: str, different: dict[str, float], key: str
) -> None:
    assert words(with_power(section, **different)) == [f"POWER_PLANE_PARAM_INVALID:{key}"]


def test_capacity_of_zero_has_its_own_word() -> None:
    assert words(with_power("battery", capacity_wh=0.0)) == ["BATTERY_CAPACITY_ZERO"]
    assert words(with_power("battery", capacity_wh=nan)) == ["POWER_PLANE_PARAM_INVALID:battery.capacity_wh"]


@pytest.mark.parametrize("bad", [nan, inf, -1.0])
def test_load_without_a_power_is_named(bad: float) -> None:
    power = replace(BODY.power, loads=(LoadConfig("base", 0.0, base=True), LoadConfig("radar", bad)))
    assert words(replace(BODY, power=power)) == ["POWER_PLANE_PARAM_INVALID:loads.radar.power_w"]


@pytest.mark.parametrize(("section", "different"), [
    ("supercap", {"top_up_w": 0.0}), ("supercap", {"boost_soc": 1.0}), ("supercap", {"safe_soc": 0.0}),
    ("battery", {"charge_first_soc": 0.0}), ("battery", {"wake_soc": 1.0}),
])
def test_ends_of_a_range_are_possible(section: str, different: dict[str, float]) -> None:
    assert words(with_power(section, **different)) == []


def test_limit_of_zero_is_impossible() -> None:
    assert words(with_power("battery", charge_max_w=0.0)) == ["POWER_PLANE_PARAM_INVALID:battery.charge_max_w"]


@pytest.mark.parametrize("different", [
    {"clear_c": 90.0}, {"clear_c": 95.0}, {"clear_c": nan}, {"clear_c": -inf}, {"trip_c": inf},
])
def test_node_whose_trip_would_chatter_is_named(different: dict[str, float]) -> None:
    assert words(with_core(**different)) == ["THERMAL_PLANE_PARAM_INVALID:core:hys_zero"]


def test_faults_are_reported_in_the_order_of_their_words() -> None:
    faults = [Fault(word) for word in reversed(FaultWord)]
    assert [fault.word for fault in sorted(faults, key=rank)] == list(FaultWord)


def test_fault_words_are_reason_codes_but_for_the_two_of_parameters() -> None:
    own = {word for word in FaultWord if word not in {str(code) for code in Code}}
    assert own == {FaultWord.POWER_PLANE_PARAM_INVALID, FaultWord.THERMAL_PLANE_PARAM_INVALID}
