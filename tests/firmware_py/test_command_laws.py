"""Laws are made with the limits of now: those of the body, and what an operator made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from math import radians

import pytest

from comms.dictionary import CommandRefused
from fdir.facts import Facts
from firmware_py.command_laws import Laws
from firmware_py.commands import Order
from firmware_py.gnc.guidance import Brake, Detumble, Hold, SunTrack
from firmware_py.gnc.lost_cluster import LostCluster
from tests.firmware_py.test_commander import ALLOCATOR, BODY, RESTING, SUN, Bridge

CLUSTERS = [nozzle.cluster for nozzle in BODY.propulsion.nozzles]
ONE_CLUSTER = sum(1 << n for n, name in enumerate(CLUSTERS) if name == CLUSTERS[0])


@pytest.fixture
def laws() -> Laws:
    return Laws(BODY, ALLOCATOR, SUN)


def test_idle_keeps_the_attitude_in_a_wide_dead_band_and_no_place(laws: Laws) -> None:
    law = laws.idle()
    assert isinstance(law, Hold)
    target = law.update(0, RESTING)
    assert target.attitude_deadband_rad == pytest.approx(radians(2.0))
    assert target.position is None
    laws.idle_deadband_rad = radians(5.0)
    assert laws.idle().update(0, RESTING).attitude_deadband_rad == pytest.approx(radians(5.0))


def test_safe_nulls_rates_and_turns_slowly_but_never_faster_than_the_limits(laws: Laws) -> None:
    assert isinstance(laws.detumble(), Detumble)
    for slew, limit in ((0.2, 0.0349), (0.01, 0.01)):
        laws.limits = dataclasses.replace(laws.limits, slew_rate_rad_s=slew)
        track = laws.sun_track()
        assert isinstance(track, SunTrack)
        assert track.update(0, RESTING).rate_limit_rad_s == limit


def test_a_brake_turns_the_craft_only_where_a_direction_cannot_be_pushed(laws: Laws) -> None:
    assert isinstance(laws.brake(0), Brake)
    assert laws.whole(0)
    assert not laws.whole(ONE_CLUSTER)
    assert isinstance(laws.brake(ONE_CLUSTER), LostCluster)


def test_what_names_no_target_is_refused_in_words(laws: Laws) -> None:
    for arguments in ({"axis": (0.0, 0.0, 0.0), "angle_deg": 5.0}, {"angle_deg": 5.0}, {}):
        with pytest.raises(CommandRefused, match=r"^slew: give attitude, or axis \(with a length\) and angle_deg$"):
            laws.of(Order(1, "slew", arguments, "test"), RESTING, 0)
    inside = {"offset_m": (1.0, 0.0, 0.0), "keep_out_m": 5.0}
    with pytest.raises(CommandRefused, match=r"^rendezvous: "):
        laws.of(Order(1, "rendezvous", inside, "test"), RESTING, 0)


def test_limits_set_by_the_commander_reach_laws_and_burns(facts: Callable[..., Facts]) -> None:
    bridge = Bridge(facts)
    slow = dataclasses.replace(bridge.commander.limits, attitude_deadband_rad=radians(3.0))
    bridge.commander.set_limits(slow, radians(7.0))
    assert bridge.commander.limits is slow
    assert bridge.commander.burns.limits is slow
    bridge.order("hold")
    assert bridge.guide().attitude_deadband_rad == pytest.approx(radians(3.0))
    bridge.order("idle")
    assert bridge.guide().attitude_deadband_rad == pytest.approx(radians(7.0))
