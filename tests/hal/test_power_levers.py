"""What is a lever: parts whose drivers have the methods, shipped ones by name, and rails that are loads."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec
import pytest

from drivers import adm1272, ltc3350, ltc4162, max34451, ve_direct
from hal.heard import HeardDevice
from hal.manager import ManagedDevice
from hal.power_levers import (
    FeedSwitch,
    PanelCharger,
    Pdu,
    RailSwitch,
    StackCharger,
    charger_levers,
    dock_lever,
    rail_levers,
    target_lever,
)

RAILS = ("sensors", "heater_core", "radar", "main")


class Nothing:
    """A bus that nobody asks."""

    name = "i2c_a"


def chip(module: Any, **settings: Any) -> Any:
    """The shipped driver of a part."""
    return module.Device(Nothing(), 0x10, msgspec.convert(settings, type=module.Settings))


def managed(driver: Any) -> ManagedDevice[Any]:
    return ManagedDevice("part", driver, 100_000_000, 1_000_000_000, deque())


CHARGER = chip(ltc4162, cells=7, battery_sense_ohm=0.006, input_sense_ohm=0.01)
STACK = chip(ltc3350, cells=4, full_voltage_v=10.0, sense_ohm=0.0015)
SWITCH = chip(adm1272, shunt_ohm=0.001)
UNIT = chip(max34451, rails=[{"name": name, "page": page, "switched": True} for page, name in enumerate(RAILS)])
PROTOCOLS = (PanelCharger, StackCharger, FeedSwitch)


@pytest.mark.parametrize(
    ("driver", "kind"), [(CHARGER, PanelCharger), (STACK, StackCharger), (SWITCH, FeedSwitch), (UNIT, RailSwitch)]
)
def test_a_shipped_driver_is_the_lever_that_it_is_meant_for_and_no_other(driver: Any, kind: type) -> None:
    assert isinstance(driver, kind)
    assert [other for other in PROTOCOLS if other is not kind and isinstance(driver, other)] == []


def test_a_part_that_lacks_the_methods_or_is_only_heard_has_no_lever() -> None:
    heard: HeardDevice[Any] = HeardDevice("part", CHARGER, 1_000_000_000, deque(), None)
    assert charger_levers(None) == charger_levers(managed(STACK)) == charger_levers(heard) == (None, None)
    assert not isinstance(chip(ve_direct), PanelCharger)
    assert target_lever(None) is target_lever((managed(CHARGER), 10.0)) is None
    assert dock_lever(None) is dock_lever(managed(STACK)) is None
    assert rail_levers(None, RAILS) == rail_levers(Pdu(managed(STACK), RAILS, frozenset(RAILS)), RAILS) == {}


def test_rails_that_are_switched_and_loads_have_levers_in_the_order_of_the_unit() -> None:
    unit = Pdu(managed(UNIT), RAILS, frozenset({"radar", "heater_core", "sensors"}))
    levers = rail_levers(unit, ("radar", "main", "heater_core"))
    assert list(levers) == ["heater_core", "radar"]


def test_orders_that_are_one_to_the_chip_or_none_to_it_are_told_apart_before_the_bus() -> None:
    panel, charge = charger_levers(managed(CHARGER))
    target, feed = target_lever((managed(STACK), 10.0)), dock_lever(managed(SWITCH))
    assert panel is not None
    assert charge is not None
    assert target is not None
    assert feed is not None
    for lever, good, bad in (
        (panel, None, float("nan")), (charge, 0.0, -1.0), (target, 9.0, float("nan")), (feed, (True, 0.5), (True, 0.0)),
    ):
        lever.order(good)
        with pytest.raises(ValueError, match="is"):
            lever.order(bad)
    assert not feed.order((False, 0.0)), "opening heeds no share; the chip is not ready yet"
