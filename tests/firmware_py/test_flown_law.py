"""The law that is flown: whose it is, what its burn has done, and what SAFE makes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from math import radians
from typing import Any

import pytest

from fdir.codes import Code
from fdir.facts import Facts
from fdir.modes import Motion
from firmware_py.command_effects import BurnSeen
from firmware_py.gnc.guidance import Phase
from tests.firmware_py.test_commander import BARRED, RESTING, SECOND, Bridge

BURN: dict[str, Any] = {"duration_s": 2, "level_pct": 20, "direction": "+x"}


@pytest.fixture
def bridge(facts: Callable[..., Facts]) -> Bridge:
    return Bridge(facts)


def test_a_law_belongs_to_the_order_that_gave_it(bridge: Bridge) -> None:
    flown = bridge.commander.flown
    assert flown.number == 0
    bridge.order("hold")
    assert flown.number == 1
    bridge.order("emission", level="restricted")
    assert flown.number == 1
    bridge.world = {"propellant_kg": 0.0}
    bridge.order("detumble")
    assert flown.number == 1
    bridge.world = {}
    bridge.order("detumble")
    assert flown.number == 4


def test_safe_takes_the_law_from_its_order(bridge: Bridge) -> None:
    bridge.order("hold")
    bridge.order("safe")
    bridge.guide()
    assert bridge.commander.flown.number == 0
    assert bridge.commander.phase == Phase.POINT.value


def test_a_mode_that_is_refused_takes_the_law_from_its_order(bridge: Bridge) -> None:
    bridge.order("translate", vector_m=[20, 0, 0])
    bridge.guide()
    bridge.supervisor.modes.motion = Motion.COAST
    bridge.world = {"soc_supercap": 0.1, "speed_m_s": 0.3}
    bridge.guide()
    assert bridge.commander.flown.number == 0


def test_a_burn_is_seen_to_begin_and_to_end(bridge: Bridge) -> None:
    flown = bridge.commander.flown
    assert flown.burn_seen == BurnSeen()
    bridge.order("burn", **BURN)
    assert flown.burn_seen == BurnSeen(1)
    bridge.guide()
    assert flown.burn_seen == BurnSeen(1, begun=True)
    bridge.wait(2.5)
    assert flown.burn_seen == BurnSeen(1, True, Code.PROFILE_DONE)


@pytest.mark.parametrize(("against", "code", "begun"), [
    ("burn_stop", Code.PROFILE_CUT, True), ("brake", Code.PROFILE_CUT, True), ("safe", Code.PROFILE_ABORTED, True),
    ("bar", Code.PROFILE_ABORTED, True), ("bar at once", Code.PROFILE_ABORTED, False),
])
def test_a_burn_that_is_cut_says_so(bridge: Bridge, against: str, code: Code, begun: bool) -> None:
    bridge.order("burn", **BURN)
    if begun:
        bridge.guide()
        bridge.t_ns += SECOND // 4
    if against.startswith("bar"):
        bridge.guide(BARRED)
    else:
        bridge.order(against)
        bridge.guide()
    assert bridge.commander.flown.burn_seen == BurnSeen(1, begun, code)


@pytest.mark.parametrize(("name", "above"), [("safe_detumble_rad_s", True), ("safe_point_rad_s", False)])
def test_the_rates_of_safe_can_be_set(bridge: Bridge, name: str, above: bool) -> None:
    bridge.order("safe")
    bridge.guide()
    bridge.nav = dataclasses.replace(RESTING, rate=(radians(3.0), 0.0, 0.0))
    assert bridge.guide().phase is Phase.POINT
    setattr(bridge.commander, name, radians(2.0) if above else radians(4.0))
    assert getattr(bridge.commander, name) == (radians(2.0) if above else radians(4.0))
    assert bridge.guide().phase is (Phase.DETUMBLE if above else Phase.POINT)
