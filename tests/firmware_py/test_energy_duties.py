"""Duty as the rest of the energy side sees it: loads that are wanted, rates, the computer's share, and words."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as changed

from fdir.modes import Motion
from firmware_py.energy.duties import Duties
from firmware_py.energy.duty_table import Consumer, Profile
from firmware_py.energy.estimates import StoreEstimate
from firmware_py.energy.power_rule import share
from firmware_py.energy.trust import Trust
from hal.profile import load_body
from hal.profile.body import LoadConfig
from tests.firmware_py.energy_craft import BODY, SECOND, WorldCraft

UNKNOWN = StoreEstimate(None, None, Trust.MISSING, 1.8e6)
CAPACITY_J = BODY.power.battery.capacity_wh * 3600.0


def charged(soc: float) -> StoreEstimate:
    return StoreEstimate(soc, 0.01, Trust.TRUSTED, CAPACITY_J)


def run(duties: Duties, soc: float | None, seconds: float, *, motion: Motion = Motion.IDLE, array_w: float = 0.0,
        begin_s: float = 0.0) -> list[str]:
    """Slow steps with 100 W of loads; what was said."""
    said = []
    for step in range(round(2 * seconds)):
        flows = None if soc is None else share(
            BODY.power, array_w=array_w, dock_w=0.0, loads_w=100.0, peaks_w=0.0, soc_battery=soc, soc_supercap=0.9)
        battery = UNKNOWN if soc is None else charged(soc)
        said.append(duties.step(round((begin_s + 0.5 * step) * SECOND), motion, battery, flows))
    return [words for words in said if words]


def test_the_first_level_is_no_change_and_a_level_that_lasts_is_said_once() -> None:
    duties = Duties(BODY)
    assert run(duties, 0.9, 300.0) == []
    assert duties.word == "full"


def test_a_level_that_changes_is_said_with_its_reasons() -> None:
    duties = Duties(BODY)
    run(duties, 0.9, 10.0)
    said = run(duties, 0.5, 60.0, begin_s=10.0)
    assert said == ["energy is saving: soc_below_full"]


def test_a_charge_that_is_not_known_is_short_and_never_full() -> None:
    duties = Duties(BODY)
    run(duties, None, 120.0)
    assert duties.word == "short"
    run(duties, 0.9, 10.0, begin_s=120.0)
    assert duties.word == "full"


def test_present_flows_are_carried_on_for_an_hour_and_never_raise_the_charge() -> None:
    """100 W for an hour are a fifth of 500 Wh: 0.39 would end at 0.19, below the shed mark."""
    dark, sunny = Duties(BODY), Duties(BODY)
    run(dark, 0.39, 10.0)
    run(sunny, 0.39, 10.0, array_w=200.0)
    assert dark.word == "short"
    assert sunny.word == "saving"


def test_loads_that_duty_does_not_know_are_wanted_as_they_start() -> None:
    duties = Duties(BODY)
    run(duties, 0.9, 5.0)
    wanted = {load.name: duties.wants(load.name) for load in BODY.power.loads}
    assert wanted == {
        "base": True, "processor": True, "radar": True, "transponder": True, "nbl": True, "lidar": False,
    }
    assert not any(duties.wants(heater.load) for heater in BODY.thermal.heaters)
    assert not duties.wants("warp_drive")


def test_what_a_mission_asks_for_is_wanted_while_energy_allows() -> None:
    duties = Duties(BODY)
    duties.asked = frozenset({Consumer.LIDAR})
    run(duties, 0.9, 10.0)
    assert duties.wants("lidar")
    assert duties.rates_hz[Consumer.LIDAR] == 5.0
    run(duties, 0.32, 60.0, begin_s=10.0)
    assert not duties.wants("lidar")
    assert duties.wants("radar")


@pytest.mark.parametrize(("profile", "compute", "radar_hz"), [
    (None, 0.7, 2.0), (Profile.FAST, 1.0, 4.0), (Profile.BALANCED, 0.7, 2.0), (Profile.ECO, 0.4, 1.0),
])
def test_an_operator_s_profile_takes_the_place_of_the_mode_s(
    profile: Profile | None, compute: float, radar_hz: float
) -> None:
    duties = Duties(BODY)
    duties.profile = profile
    run(duties, 0.9, 10.0)
    assert (duties.compute_share, duties.rates_hz[Consumer.RADAR]) == (compute, radar_hz)


def test_safe_is_eco_whatever_the_operator_chose() -> None:
    duties = Duties(BODY)
    duties.profile = Profile.FAST
    run(duties, 0.9, 10.0, motion=Motion.SAFE)
    assert duties.compute_share == 0.4
    assert duties.rates_hz[Consumer.RADAR] == 1.0


def test_only_a_computer_that_is_a_load_is_throttled_as_one() -> None:
    assert Duties(BODY).shares(0.5) == {"processor": 0.5}
    body = load_body("bench-12kg")
    without = changed(body, power=changed(body.power, loads=(LoadConfig("base", 8.0, base=True),)))
    assert Duties(without).shares(0.5) == {}


def test_radar_stays_on_down_to_the_shed_mark_in_the_craft() -> None:
    craft = WorldCraft(soc_battery=0.25)
    craft.fly(90.0)
    assert "radar" in craft.on()
    assert craft.manager.duties.word in ("short", "critical")


def test_light_that_comes_and_goes_moves_no_level() -> None:
    """A minute and a half of 300 W and as long of nothing: without a mean the craft has a surplus half the time."""
    duties, said = Duties(BODY), list[str]()
    for turn in range(20):
        array_w = 300.0 if turn % 2 else 0.0
        said += run(duties, 0.5, 90.0, array_w=array_w, begin_s=90.0 * turn)
    assert len(said) <= 3, "until the mean is known, and never again"


def test_a_night_that_lasts_is_noticed() -> None:
    duties = Duties(BODY)
    run(duties, 0.38, 600.0, array_w=200.0)
    assert duties.word == "saving"
    run(duties, 0.38, 900.0, begin_s=600.0)
    assert duties.word == "short"
