"""A threat on its way through the tick: evaded as advised, else braked, never without an answer."""

from __future__ import annotations

import pytest

from fdir.guard_contacts import Contact, TrackStatus
from fdir.guard_rules import Iff
from tests.firmware_py.rig_craft import Craft


def threatened(advice: tuple[float, float, float] | None, course: bool | None = True) -> Craft:
    """A craft at rest at which something flies, three frames seen."""
    craft = Craft().boot()
    craft.run(2.0)
    for frame in range(6):
        now_ns = craft.software.now_ns
        craft.software.guard.take([Contact(
            4, TrackStatus.TRACKED, now_ns, 40.0 - frame, -9.0, 0.9, collision_course=course, evade_m_s=advice,
        )])
        craft.run(0.1)
    return craft


def test_a_threat_is_evaded_as_advised() -> None:
    craft = threatened((0.0, 1.0, 0.0))
    assert [text.split(":")[0] for text in craft.texts("EVADE_OVERRIDE")] == ["ordered by guard COLLISION_THREAT"]
    assert craft.texts("BRAKE_OVERRIDE") == []
    craft.run(3.0)
    assert craft.software.estimator.nav.velocity == pytest.approx((0.0, 1.0, 0.0), abs=0.06)
    assert craft.motion == "Coast"


@pytest.mark.parametrize("advice", [None, (0.0, 9.0, 0.0)])
def test_without_advice_that_can_be_flown_it_is_braked_and_at_rest_safe(advice) -> None:
    craft = threatened(advice)
    assert craft.texts("EVADE_OVERRIDE") == []
    assert len(craft.texts("BRAKE_OVERRIDE")) == 1
    assert craft.software.supervisor.keeper.reasons == ("GUARD_ALERT",)


def test_what_passes_by_is_let_by() -> None:
    craft = threatened((0.0, 1.0, 0.0), course=False)
    assert craft.texts("EVADE_OVERRIDE") + craft.texts("BRAKE_OVERRIDE") == []


def test_a_refused_evasion_is_braked() -> None:
    craft = Craft().boot()
    craft.run(2.0)
    craft.software.commander.flown.lost = lambda: (1 << 4) - 1
    for frame in range(6):
        craft.software.guard.take([Contact(
            4, TrackStatus.TRACKED, craft.software.now_ns, 40.0 - frame, -9.0, 0.9, collision_course=True,
            evade_m_s=(0.0, 1.0, 0.0),
        )])
        craft.run(0.1)
    assert craft.texts("EVADE_OVERRIDE") == []
    assert len(craft.texts("BRAKE_OVERRIDE")) == 1


@pytest.mark.parametrize(("lost", "told"), [(None, 0), (0, 1)])
def test_with_a_nozzle_lost_a_threat_is_one_from_farther_away(lost: int | None, told: int) -> None:
    # 19 s away. A full brake from 16 m/s takes 14 s with what has to spare, and with the push that is left 24 s.
    craft = Craft().boot()
    craft.run(2.0)
    if lost is not None:
        craft.software.supervisor.nozzle_failed(lost, "failed off", craft.software.facts)
        craft.ticks(1)
    for frame in range(6):
        craft.software.guard.take([Contact(4, TrackStatus.TRACKED, craft.software.now_ns, 300.0 - frame, -16.0, 0.9)])
        craft.run(0.1)
    assert len([text for text in craft.texts("GUARD_ALERT") if text.startswith("COLLISION_THREAT")]) == told


def steered(craft: Craft, seconds: float, advice: tuple[float, float, float] | None, range_m: float = 40.0) -> None:
    """Something goes on flying at the craft for a while, seen ten times a second."""
    for _ in range(round(10 * seconds)):
        craft.software.guard.take([Contact(
            4, TrackStatus.TRACKED, craft.software.now_ns, range_m, -9.0, 0.9, collision_course=True, evade_m_s=advice,
        )])
        craft.run(0.1)


def moving() -> Craft:
    """A craft that has pushed itself to 4 m/s along z; what was asked for till then is forgotten."""
    craft = Craft().boot()
    craft.run(2.0)
    craft.order("evade", delta_v_m_s=[0.0, 0.0, 4.0])
    craft.run(4.5)
    assert craft.motion == "Coast"
    craft.journal.commands.clear()
    craft.journal.events.clear()
    return craft


def commands(craft: Craft, name: str) -> int:
    """How often one was asked for."""
    return len({record.number for record in craft.journal.commands if record.name == name})


def test_a_contact_that_steers_is_answered_anew_with_the_next_alert() -> None:
    craft = threatened((0.0, 1.0, 0.0))
    steered(craft, 6.0, (0.0, 0.0, 0.8))
    assert len(craft.texts("EVADE_OVERRIDE")) == 2
    craft.run(3.0)
    assert craft.software.estimator.nav.velocity == pytest.approx((0.0, 1.0, 0.8), abs=0.08)


def test_advice_that_comes_after_the_alert_is_flown_at_once_over_the_brake() -> None:
    craft = moving()
    steered(craft, 0.5, None)
    assert craft.software.commander.flown.brakes
    steered(craft, 0.3, (0.0, 1.0, 0.0))
    assert len(craft.texts("EVADE_OVERRIDE")) == 1
    assert not craft.software.commander.flown.brakes
    # It goes on: not told more often, not begun anew before it is made.
    steered(craft, 4.0, (0.0, 1.0, 0.0))
    assert (len(craft.texts("EVADE_OVERRIDE")), len(craft.texts("BRAKE_OVERRIDE"))) == (1, 1)


def test_an_evasion_under_way_is_not_begun_anew_by_an_alert_that_asks_for_what_is_left() -> None:
    craft = threatened((0.0, 5.0, 0.0))
    assert commands(craft, "evade") == 1
    # 5 m/s take 3.5 s: another contact asks for less of the same on the way.
    for frame in range(6):
        craft.software.guard.take([Contact(
            9, TrackStatus.TRACKED, craft.software.now_ns, 60.0 - frame, -9.0, 0.9, collision_course=True,
            evade_m_s=(0.0, 2.0, 0.1),
        )])
        craft.run(0.1)
    assert len([text for text in craft.texts("GUARD_ALERT") if "COLLISION_THREAT" in text]) == 2
    assert commands(craft, "evade") == 1
    assert commands(craft, "brake") == 0
    craft.run(4.0)
    assert craft.software.estimator.nav.velocity == pytest.approx((0.0, 5.0, 0.0), abs=0.1)


def test_a_brake_under_way_is_not_begun_anew_when_the_evasion_is_refused() -> None:
    craft = moving()
    flown = craft.software.commander.flown
    flown.lost = lambda: (1 << 4) - 1
    steered(craft, 0.5, None)
    number = flown.number
    # Without a cluster the brake turns first, and an evasion is refused whenever it is asked for.
    for asked in (1, 2):
        steered(craft, 4.8, (0.0, 1.0, 0.0))
        assert (flown.brakes, flown.number, commands(craft, "evade")) == (True, number, asked)
    assert commands(craft, "brake") == 1


def test_in_safe_at_rest_there_is_nothing_to_brake_and_safe_goes_on() -> None:
    craft = threatened(None)
    craft.software.commander.flown.lost = lambda: (1 << 4) - 1
    brakes = commands(craft, "brake")
    steered(craft, 11.0, (0.0, 1.0, 0.0))
    assert commands(craft, "evade") == 3
    assert commands(craft, "brake") == brakes
    assert craft.motion == "SAFE"


def test_a_stranger_that_comes_near_while_it_is_evaded_ends_no_evasion() -> None:
    craft = Craft().boot()
    craft.run(2.0)
    for frame in range(40):
        # At 70 m it is an unknown contact close by, which leads to SAFE.
        craft.software.guard.take([Contact(
            4, TrackStatus.TRACKED, craft.software.now_ns, 80.0 - 1.1 * frame, -11.0, 0.9, Iff.UNKNOWN,
            collision_course=True, evade_m_s=(0.0, 3.0, 0.0),
        )])
        craft.run(0.1)
    assert "RADAR_ALERT_UNKNOWN_CLOSE" in craft.codes
    assert craft.software.estimator.nav.velocity == pytest.approx((0.0, 3.0, 0.0), abs=0.08)
    assert craft.motion == "SAFE"
    assert craft.software.supervisor.keeper.reasons == ("RADAR_ALERT_UNKNOWN_CLOSE",)
