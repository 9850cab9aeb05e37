"""Every mark of charge has its edge on the side that CANON gives it, and what is no data has no level."""

from __future__ import annotations

from math import inf, nan, nextafter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fdir.codes import Code
from firmware_py.energy.levels import (
    PeakLevel,
    ShedLatch,
    StoreLevel,
    battery_level,
    known_charge,
    nbl_blocks,
    peak_level,
    supercap_level,
)
from hal.profile import load_body

POWER = load_body("qiki-t").power
CAP, BATTERY = POWER.supercap, POWER.battery
NO_DATA = [None, nan, inf, -inf, -1e-9, -0.5, 1.0 + 1e-9, 80.0]
READY: dict[str, Any] = {
    "soc_battery": 0.8, "soc_supercap": 0.7, "core_c": 20.0, "core_tripped": False, "pdu_tripped": False,
}


def under(value: float) -> float:
    return nextafter(value, -inf)


def over(value: float) -> float:
    return nextafter(value, inf)


@pytest.mark.parametrize(("soc", "level"), [
    (1.0, PeakLevel.BOOST), (0.60, PeakLevel.BOOST), (under(0.60), PeakLevel.HOLD), (0.30, PeakLevel.HOLD),
    (under(0.30), PeakLevel.STAB), (0.0, PeakLevel.STAB),
])
def test_peak_levels_are_inclusive_upward(soc: float, level: PeakLevel) -> None:
    assert peak_level(soc, CAP) is level


@pytest.mark.parametrize(("soc", "level"), [
    (1.0, StoreLevel.NORMAL), (0.25, StoreLevel.NORMAL), (under(0.25), StoreLevel.WARN), (over(0.10), StoreLevel.WARN),
    (0.10, StoreLevel.SAFE), (0.0, StoreLevel.SAFE),
])
def test_battery_warns_below_a_quarter_and_is_safe_at_or_below_a_tenth(soc: float, level: StoreLevel) -> None:
    assert battery_level(soc, BATTERY) is level


@pytest.mark.parametrize(("soc", "level"), [
    (0.15, StoreLevel.NORMAL), (under(0.15), StoreLevel.WARN), (over(0.10), StoreLevel.WARN), (0.10, StoreLevel.SAFE),
])
def test_supercapacitor_warns_below_its_own_mark(soc: float, level: StoreLevel) -> None:
    assert supercap_level(soc, CAP) is level


@pytest.mark.parametrize("value", NO_DATA)
def test_what_is_no_data_has_no_level(value: float | None) -> None:
    assert known_charge(value) is None
    assert peak_level(value, CAP) is None
    assert battery_level(value, BATTERY) is None
    assert supercap_level(value, CAP) is None


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_empty_and_full_are_data(value: float) -> None:
    assert known_charge(value) == value


@pytest.mark.parametrize(("changed", "codes"), [
    ({}, ()),
    ({"soc_supercap": 0.45, "soc_battery": 0.35, "core_c": 90.0}, ()),
    ({"soc_supercap": under(0.45)}, (Code.CAP_LOW,)),
    ({"soc_battery": under(0.35)}, (Code.BAT_LOW,)),
    ({"core_c": over(90.0)}, (Code.THERMAL_BLOCK,)),
    ({"core_tripped": True}, (Code.THERMAL_BLOCK,)),
    ({"pdu_tripped": True}, (Code.THERMAL_BLOCK,)),
    ({"core_tripped": True, "pdu_tripped": True, "core_c": 95.0}, (Code.THERMAL_BLOCK,)),
    ({"soc_battery": None, "soc_supercap": nan}, (Code.POWER_TELEM_MISSING,)),
    ({"soc_battery": 0.1, "soc_supercap": None}, (Code.BAT_LOW, Code.POWER_TELEM_MISSING)),
    ({"core_c": None}, (Code.THERMAL_TELEM_MISSING,)),
    ({"core_c": nan}, (Code.THERMAL_TELEM_MISSING,)),
    ({"core_c": 400.0}, (Code.THERMAL_TELEM_MISSING,)),
    ({"core_c": 160.0}, (Code.THERMAL_BLOCK,)),
    ({"core_c": -120.0}, ()),
    ({"core_c": -300.0, "core_tripped": True}, (Code.THERMAL_BLOCK, Code.THERMAL_TELEM_MISSING)),
    ({"soc_supercap": 0.1, "soc_battery": 0.1, "core_c": 95.0}, (Code.CAP_LOW, Code.BAT_LOW, Code.THERMAL_BLOCK)),
])
def test_every_reason_against_an_nbl_packet_is_named_at_once(changed: dict[str, Any], codes: tuple[Code, ...]) -> None:
    assert nbl_blocks(POWER, **{**READY, **changed}) == codes


@pytest.mark.parametrize(("changed", "codes"), [
    ({"soc_supercap": 0.30, "soc_battery": 0.05}, ()),
    ({"soc_supercap": under(0.30)}, (Code.CAP_LOW,)),
    ({"core_tripped": True}, (Code.THERMAL_BLOCK,)),
    ({"soc_supercap": None}, (Code.POWER_TELEM_MISSING,)),
])
def test_packet_under_way_goes_on_until_the_reserve_for_braking(
    changed: dict[str, Any], codes: tuple[Code, ...]
) -> None:
    assert nbl_blocks(POWER, **{**READY, **changed}, under_way=True) == codes


def latched(*charges: float | None) -> list[bool]:
    latch = ShedLatch(BATTERY)
    return [latch.step(soc) for soc in charges]


def test_shedding_begins_at_a_fifth_and_ends_at_three_tenths_exactly() -> None:
    assert latched(0.25, over(0.20), 0.20, 0.25, under(0.30), 0.30, 0.25) == [
        False, False, True, True, True, False, False]


@pytest.mark.parametrize("value", NO_DATA)
def test_latch_keeps_its_state_without_data(value: float | None) -> None:
    assert latched(value, 0.15, value, 0.5, value) == [False, True, True, False, False]


def test_marks_that_contradict_each_other_do_not_chatter() -> None:
    latch = ShedLatch(replace(BATTERY, shed_soc=0.5, unshed_soc=0.3))
    assert [latch.step(0.4) for _ in range(4)] == [True] * 4
    assert [latch.step(0.6) for _ in range(2)] == [False] * 2


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.lists(st.floats(0.0, 1.0) | st.sampled_from([0.2, 0.3]) | st.sampled_from(NO_DATA), max_size=60))
def test_latch_never_leaves_before_its_upper_mark_nor_enters_above_its_lower(charges: list[float | None]) -> None:
    was = False
    for soc, on in zip(charges, latched(*charges), strict=True):
        known = known_charge(soc)
        if on and not was:
            assert known is not None
            assert known <= 0.20
        if was and not on:
            assert known is not None
            assert known >= 0.30
        if known is not None and known <= 0.20:
            assert on
        if known is not None and known >= 0.30:
            assert not on
        was = on
