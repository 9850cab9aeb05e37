"""A threat on its way through the tick: evaded as advised, else braked, never without an answer."""

from __future__ import annotations

import pytest

from fdir.guard_contacts import Contact, TrackStatus
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
