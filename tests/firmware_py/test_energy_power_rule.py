"""Sources, stores, loads and peaks are shared by CANON's rule: balanced, within every limit, each in its turn."""

from __future__ import annotations

from dataclasses import fields
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from firmware_py.energy.power_rule import Flows, share
from hal.profile import load_body
from hal.profile.body import PowerConfig
from hil.plant.power import SOLAR_CONSTANT_W_M2, PowerPlant

BODY = load_body("qiki-t")
POWER = BODY.power
CAP, BATTERY = POWER.supercap, POWER.battery
NO_TOP_UP = replace(POWER, supercap=replace(CAP, top_up_w=0.0))
CALM: dict[str, Any] = {
    "array_w": 0.0, "dock_w": 0.0, "loads_w": 0.0, "peaks_w": 0.0, "soc_battery": 0.8, "soc_supercap": 0.7,
}

many = settings(max_examples=400, deadline=None, derandomize=True)
watts = st.floats(0.0, 400.0) | st.sampled_from([0.0, 20.0, 120.0, 140.0, 200.0])
charges = st.floats(0.0, 1.0) | st.sampled_from([0.0, 0.2, 0.3, 0.6, 1.0])


@st.composite
def bodies(draw: st.DrawFn) -> PowerConfig:
    """Power configurations with any limits and marks."""
    hold, boost = sorted((draw(charges), draw(charges)))
    limit = st.floats(1.0, 300.0)
    cap = replace(
        CAP, charge_max_w=draw(limit), discharge_max_w=draw(limit), hold_soc=hold, boost_soc=boost,
        top_up_w=draw(st.floats(0.0, 50.0)),
    )
    battery = replace(
        BATTERY, charge_max_w=draw(limit), discharge_max_w=draw(limit), cut_soc=draw(st.floats(0.0, 0.1)),
        charge_first_soc=draw(charges), unshed_soc=draw(charges),
    )
    return replace(POWER, battery=battery, supercap=cap)


situations = st.fixed_dictionaries({
    "array_w": watts, "dock_w": watts, "loads_w": watts, "peaks_w": watts, "soc_battery": charges,
    "soc_supercap": charges, "charge_battery": st.booleans(), "charge_supercap": st.booleans(),
})


def shared(config: PowerConfig = POWER, **changed: Any) -> Flows:
    return share(config, **{**CALM, **changed})


def test_sources_feed_loads_and_battery_covers_the_deficit() -> None:
    flows = shared(array_w=30.0, loads_w=119.0)
    assert (flows.array_w, flows.battery_out_w, flows.loads_w, flows.pdu_w) == (30.0, 89.0, 119.0, 119.0)
    assert flows.supercap_out_w == flows.unserved_w == flows.spilled_w == 0.0


def test_deficit_above_the_battery_limit_is_unserved_and_said() -> None:
    flows = shared(array_w=30.0, loads_w=200.0)
    assert (flows.battery_out_w, flows.loads_w, flows.unserved_w) == (140.0, 170.0, 30.0)
    assert flows.battery_limited
    assert not shared(array_w=30.0, loads_w=170.0).battery_limited


def test_supercapacitor_pays_a_peak_alone_above_the_hold_mark_and_none_of_it_is_bus_power() -> None:
    flows = shared(loads_w=60.0, peaks_w=250.0, soc_supercap=0.301)
    assert (flows.supercap_out_w, flows.battery_out_w, flows.pdu_w) == (200.0, 60.0, 60.0)
    assert (flows.peaks_w, flows.unserved_w, flows.battery_limited) == (200.0, 50.0, False)


def test_battery_helps_a_peak_from_the_hold_mark_down_and_pays_first() -> None:
    flows = shared(loads_w=60.0, peaks_w=100.0, soc_supercap=CAP.hold_soc)
    assert (flows.battery_out_w, flows.supercap_out_w, flows.help_w, flows.pdu_w) == (140.0, 20.0, 80.0, 140.0)
    assert flows.unserved_w == 0.0


def test_peak_beyond_both_stores_is_unserved_for_the_battery_limit() -> None:
    flows = shared(loads_w=60.0, peaks_w=300.0, soc_supercap=0.1)
    assert (flows.peaks_w, flows.unserved_w, flows.battery_limited) == (280.0, 20.0, True)


@pytest.mark.parametrize(("soc_battery", "soc_cap", "surplus", "battery", "cap"), [
    (0.199, 0.1, 100.0, 100.0, 0.0),
    (0.199, 0.1, 150.0, 120.0, 30.0),
    (0.20, 0.1, 100.0, 0.0, 100.0),
    (0.20, 0.599, 150.0, 30.0, 120.0),
    (0.80, 0.60, 100.0, 50.0, 50.0),
    (1.00, 0.60, 100.0, 0.0, 100.0),
    (0.80, 1.00, 100.0, 100.0, 0.0),
    (0.80, 0.60, 235.0, 117.5, 117.5),
])
def test_surplus_goes_to_the_battery_below_a_fifth_then_to_the_stack_until_boost_then_to_both(
    soc_battery: float, soc_cap: float, surplus: float, battery: float, cap: float
) -> None:
    flows = shared(array_w=60.0 + surplus, loads_w=60.0, soc_battery=soc_battery, soc_supercap=soc_cap)
    assert (flows.battery_in_w, flows.supercap_in_w, flows.spilled_w) == (battery, cap, 0.0)


def test_surplus_beyond_both_charge_limits_is_spilled_and_said() -> None:
    flows = shared(array_w=300.0)
    assert (flows.battery_in_w, flows.supercap_in_w, flows.spilled_w, flows.array_w) == (120.0, 120.0, 60.0, 240.0)
    assert flows.charge_limited


@pytest.mark.parametrize(("changed", "limited"), [
    ({"loads_w": 141.0}, True),
    ({"loads_w": 140.0}, False),
    ({"loads_w": 141.0, "soc_battery": 0.0}, False),
    ({"loads_w": 60.0, "peaks_w": 280.0, "soc_supercap": 0.30}, False),
    ({"loads_w": 60.0, "peaks_w": 281.0, "soc_supercap": 0.30}, True),
    ({"loads_w": 60.0, "peaks_w": 281.0, "soc_supercap": 0.31}, False),
])
def test_battery_limit_is_said_only_when_it_leaves_something_unserved(changed: dict[str, Any], limited: bool) -> None:
    assert shared(**changed).battery_limited is limited


@pytest.mark.parametrize(("array_w", "limited"), [(0.0, False), (240.0, False), (240.5, True)])
def test_charge_limit_is_said_only_when_it_spills(array_w: float, limited: bool) -> None:
    assert shared(array_w=array_w).charge_limited is limited


def test_refusal_names_the_value_that_is_wrong_and_not_one_at_its_edge() -> None:
    for edge in (0.0, 1.0):
        with pytest.raises(ValueError, match="soc_supercap"):
            shared(soc_battery=edge, soc_supercap=nan)
    with pytest.raises(ValueError, match="soc_battery is 2"):
        shared(soc_battery=2.0)


@pytest.mark.parametrize("why", [{"soc_battery": 1.0}, {"charge_battery": False}])
def test_spill_of_a_battery_that_is_full_or_barred_is_not_its_charge_limit(why: dict[str, Any]) -> None:
    flows = shared(array_w=300.0, **why)
    assert flows.spilled_w == 180.0
    assert not flows.charge_limited


def test_dock_gives_what_the_array_lacks_and_its_spare_power_is_not_spilled() -> None:
    flows = shared(array_w=30.0, dock_w=250.0, loads_w=119.0, soc_battery=1.0, soc_supercap=1.0)
    assert (flows.array_w, flows.dock_w, flows.spilled_w) == (30.0, 89.0, 0.0)
    flows = shared(array_w=30.0, dock_w=250.0, loads_w=10.0, soc_battery=1.0, soc_supercap=1.0)
    assert (flows.array_w, flows.dock_w, flows.spilled_w) == (10.0, 0.0, 20.0)


@pytest.mark.parametrize(("changed", "top_up"), [
    ({}, 20.0),
    ({"array_w": 65.0}, 15.0),
    ({"array_w": 80.0}, 0.0),
    ({"array_w": 300.0}, 0.0),
    ({"loads_w": 130.0}, 10.0),
    ({"loads_w": 140.0}, 0.0),
    ({"soc_supercap": 0.60}, 0.0),
    ({"soc_battery": 0.30}, 0.0),
    ({"soc_battery": 0.301}, 20.0),
    ({"charge_supercap": False}, 0.0),
    ({"charge_battery": False}, 20.0),
    ({"peaks_w": 1.0}, 0.0),
])
def test_battery_tops_the_stack_up_only_as_far_as_surplus_lacks_and_the_battery_may(
    changed: dict[str, Any], top_up: float
) -> None:
    flows = shared(**{"loads_w": 60.0, "soc_supercap": 0.5, **changed})
    assert flows.top_up_w == top_up
    assert flows.supercap_in_w >= top_up
    assert flows.pdu_w == flows.loads_w + flows.help_w, "the charger hangs before the distribution unit"


@pytest.mark.parametrize(("changed", "named"), [
    ({name: value}, name)
    for name in ("array_w", "dock_w", "loads_w", "peaks_w") for value in (nan, inf, -inf, -1e-9)
] + [({name: value}, name) for name in ("soc_battery", "soc_supercap") for value in (nan, inf, -0.001, 1.001)])
def test_input_that_is_no_power_or_charge_is_refused_by_name(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        shared(**changed)


@many
@given(bodies(), situations)
def test_power_balances_and_no_flow_is_negative(config: PowerConfig, now: dict[str, Any]) -> None:
    flows = share(config, **now)
    given_w = flows.array_w + flows.dock_w + flows.battery_out_w + flows.supercap_out_w
    taken_w = flows.loads_w + flows.peaks_w + flows.battery_in_w + flows.supercap_in_w
    assert given_w == pytest.approx(taken_w, rel=1e-14, abs=1e-12)
    assert flows.loads_w + flows.peaks_w + flows.unserved_w == pytest.approx(
        now["loads_w"] + now["peaks_w"], rel=1e-14, abs=1e-12)
    assert flows.array_w + flows.spilled_w == pytest.approx(now["array_w"], rel=1e-14, abs=1e-12)
    assert flows.pdu_w == pytest.approx(flows.loads_w + flows.help_w, rel=1e-14, abs=1e-12)
    assert all(getattr(flows, field.name) >= 0.0 for field in fields(flows))


@many
@given(bodies(), situations)
def test_no_limit_is_passed_and_no_store_is_charged_while_it_pays(config: PowerConfig, now: dict[str, Any]) -> None:
    flows = share(config, **now)
    battery, cap = config.battery, config.supercap
    assert flows.battery_out_w <= battery.discharge_max_w
    assert flows.battery_in_w <= battery.charge_max_w
    assert flows.supercap_out_w <= cap.discharge_max_w
    assert flows.supercap_in_w <= cap.charge_max_w * (1.0 + 1e-15)
    assert flows.array_w <= now["array_w"]
    assert flows.dock_w <= now["dock_w"]
    assert flows.battery_in_w == 0.0 or flows.battery_out_w == 0.0
    assert flows.supercap_in_w == 0.0 or flows.supercap_out_w == 0.0
    if now["soc_battery"] <= battery.cut_soc:
        assert flows.battery_out_w == 0.0
    if now["soc_battery"] >= 1.0 or not now["charge_battery"]:
        assert flows.battery_in_w == 0.0
    if now["soc_supercap"] <= 0.0:
        assert flows.supercap_out_w == 0.0
    if now["soc_supercap"] >= 1.0 or not now["charge_supercap"]:
        assert flows.supercap_in_w == 0.0


@many
@given(bodies(), situations)
def test_each_payer_waits_for_the_one_before_it(config: PowerConfig, now: dict[str, Any]) -> None:
    flows = share(config, **now)
    battery, cap = config.battery, config.supercap
    sources, loads = now["array_w"] + now["dock_w"], now["loads_w"]
    flowing = now["soc_battery"] > battery.cut_soc
    if sources < loads:
        assert flows.spilled_w == flows.battery_in_w == 0.0
        assert flows.array_w + flows.dock_w == pytest.approx(sources, rel=1e-14)
        if flows.loads_w < loads * (1.0 - 1e-12):
            assert flows.battery_out_w == (battery.discharge_max_w if flowing else 0.0)
            assert flows.help_w == pytest.approx(0.0, abs=1e-12)
    else:
        assert flows.loads_w == loads
    if now["soc_supercap"] > cap.hold_soc:
        assert flows.help_w == 0.0
    elif flowing and flows.supercap_out_w > 0.0:
        assert flows.battery_out_w == pytest.approx(battery.discharge_max_w, rel=1e-14)
    if flows.spilled_w > 0.0 and now["charge_battery"] and now["soc_battery"] < 1.0 and flows.battery_out_w == 0.0:
        assert flows.battery_in_w == battery.charge_max_w
    if now["soc_battery"] < battery.charge_first_soc and flows.supercap_in_w > flows.top_up_w:
        assert flows.battery_in_w in (0.0, battery.charge_max_w)


@many
@given(bodies(), situations, st.floats(0.0, 200.0), st.sampled_from(["array_w", "dock_w"]))
def test_more_source_never_serves_less_nor_charges_less_nor_drains_more(
    config: PowerConfig, now: dict[str, Any], more: float, source: str
) -> None:
    few, rich = share(config, **now), share(config, **{**now, source: now[source] + more})
    assert rich.unserved_w <= few.unserved_w + 1e-9
    assert rich.battery_out_w <= few.battery_out_w + 1e-9
    # The battery's help to a peak can grow with its headroom, and then spares the stack.
    assert rich.supercap_out_w <= few.supercap_out_w + 1e-9
    if few.battery_in_w == 0.0 and few.supercap_out_w == rich.supercap_out_w:
        assert rich.supercap_in_w >= few.supercap_in_w - 1e-9 or rich.battery_in_w > 0.0
    assert rich.battery_in_w >= few.battery_in_w - 1e-9


@many
@given(bodies(), situations, st.floats(0.0, 200.0))
def test_more_load_never_charges_more_nor_serves_a_peak_better(
    config: PowerConfig, now: dict[str, Any], more: float
) -> None:
    few, rich = share(config, **now), share(config, **{**now, "loads_w": now["loads_w"] + more})
    assert rich.battery_in_w <= few.battery_in_w + 1e-9
    assert rich.peaks_w <= few.peaks_w + 1e-9
    assert rich.loads_w >= few.loads_w - 1e-9
    assert rich.spilled_w <= few.spilled_w + 1e-9


@many
@given(
    st.sets(st.sampled_from(["processor", "radar", "transponder", "nbl", "lidar"])), st.floats(0.0, 1.0),
    st.floats(0.0, 250.0), st.floats(0.05, 0.95), st.floats(0.26, 0.95), st.booleans(),
)
def test_the_world_shares_by_the_same_rule(
    on: set[str], cosine: float, valves_w: float, soc_battery: float, soc_cap: float, topped: bool
) -> None:
    # The rig tops up at any charge of the battery: there the flight software holds its charger back.
    body = BODY if topped and soc_battery > BATTERY.unshed_soc else replace(BODY, power=NO_TOP_UP)
    plant, dt = PowerPlant(body, soc_battery=soc_battery, soc_supercap=soc_cap), 1e-3
    loads_w = 0.0
    for load in POWER.loads:
        if not load.base:
            plant.set_load(load.name, load.name in on)
        loads_w += load.power_w if load.base or load.name in on else 0.0
    plant.step(dt, 20.0 * SOLAR_CONSTANT_W_M2, cosine, valves_w * dt)
    flows = share(
        body.power, array_w=plant.array_max_w, dock_w=0.0, loads_w=loads_w, peaks_w=valves_w, soc_battery=soc_battery,
        soc_supercap=soc_cap,
    )
    for name in ("battery_out_w", "battery_in_w", "supercap_out_w", "supercap_in_w", "array_w", "spilled_w",
                 "unserved_w"):
        assert getattr(plant, name) == pytest.approx(getattr(flows, name), rel=1e-6, abs=1e-6), name
