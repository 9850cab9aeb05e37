"""Loads: switch and rail, throttle, faults."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from hal.profile import load_body
from hal.profile.body import LoadConfig
from hil.plant.power_loads import LoadBank

BODY = load_body(Path(__file__).parents[2] / "board_configs" / "bodies" / "qiki-t.yaml")
HEATERS = tuple(heater.load for heater in BODY.thermal.heaters)


def bank() -> LoadBank:
    return LoadBank(BODY)


def test_heaters_are_loads_that_start_off() -> None:
    loads = bank()
    assert loads.names == (*(load.name for load in BODY.power.loads), *HEATERS)
    assert [name for name in loads.names if not loads.is_on(name)] == ["lidar", *HEATERS]
    assert loads.asked_w == 139.0


@pytest.mark.parametrize("name", ["lidar", "heater_core"])
def test_what_starts_off_comes_on_by_switch_or_by_rail(name: str) -> None:
    by_switch, by_rail = bank(), bank()
    by_switch.set_switch(name, True)
    by_rail.set_rail(name, True)
    assert by_switch.is_on(name)
    assert by_rail.is_on(name)
    by_switch.set_rail(name, False)
    by_rail.set_switch(name, False)
    assert not by_switch.is_on(name)
    assert not by_rail.is_on(name)


def test_a_load_draws_only_with_both_switch_and_rail() -> None:
    loads = bank()
    for switch, rail, drawn in ((True, True, 18.0), (False, True, 0.0), (True, False, 0.0), (False, False, 0.0)):
        loads.set_switch("radar", switch)
        loads.set_rail("radar", rail)
        assert loads.working_w("radar") == drawn


def test_throttle_scales_the_load() -> None:
    loads = bank()
    loads.set_share("processor", 0.4)
    assert loads.working_w("processor") == pytest.approx(14.0)
    assert loads.asked_w == pytest.approx(139.0 - 21.0)


def test_stuck_load_ignores_switch_and_rail_until_healed() -> None:
    loads = bank()
    loads.stick("radar", True)
    loads.set_rail("radar", False)
    loads.set_switch("radar", False)
    assert loads.working_w("radar") == 18.0
    loads.stick("radar", False)
    loads.set_rail("radar", True)
    loads.set_switch("radar", True)
    assert loads.working_w("radar") == 0.0
    loads.stick("radar", None)
    assert loads.working_w("radar") == 18.0


def test_short_draws_while_its_rail_is_on_whatever_the_load_does() -> None:
    loads = bank()
    loads.short("radar", 70.0)
    assert (loads.all_w("radar"), loads.working_w("radar")) == (88.0, 18.0)
    loads.set_switch("radar", False)
    assert loads.all_w("radar") == 70.0
    loads.set_rail("radar", False)
    assert loads.all_w("radar") == 0.0
    loads.set_rail("radar", True)
    assert loads.all_w("radar") == 70.0
    loads.short("radar", None)
    assert loads.asked_w == 121.0
    loads.short("heater_core", 40.0)
    assert loads.all_w("heater_core") == 0.0


def test_power_up_forgets_settings_and_keeps_faults() -> None:
    loads = bank()
    loads.set_rail("radar", False)
    loads.set_switch("lidar", True)
    loads.set_share("processor", 0.0)
    loads.start_peak("nbl", 5.0)
    loads.stick("transponder", False)
    loads.power_up()
    assert loads.asked_w == 139.0 - 6.0
    assert loads.take_peaks(1.0) == 0.0


def test_impossible_settings_are_refused() -> None:
    loads = bank()
    with pytest.raises(ValueError, match="base load"):
        loads.set_rail("base", True)
    with pytest.raises(ValueError, match="no load"):
        loads.set_rail("toaster", True)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        loads.set_share("radar", 1.5)
    for bad in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="short of"):
            loads.short("radar", bad)
    assert loads.asked_w == 139.0


def test_two_loads_of_one_name_are_refused() -> None:
    power = msgspec.structs.replace(BODY.power, loads=(*BODY.power.loads, LoadConfig("radar", 1.0)))
    with pytest.raises(ValueError, match="same name"):
        LoadBank(msgspec.structs.replace(BODY, power=power))
