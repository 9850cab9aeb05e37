"""What laws and control share: when something is settled, what a craft may be asked, whose push is owed."""

from __future__ import annotations

from math import radians

import pytest

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.authority import force_ceiling_n
from firmware_py.gnc.target import GuidanceLimits, Phase, Settled, Target
from hal.frames import IDENTITY, rotation_vector
from hal.profile.loader import load_body

SECOND = 1_000_000_000


def test_settled_takes_two_seconds_without_a_break() -> None:
    settled = Settled()
    assert not settled.update(0, True)
    assert not settled.update(1 * SECOND, True)
    assert not settled.update(int(1.5 * SECOND), False)
    assert not settled.update(2 * SECOND, True)
    assert not settled.update(int(3.9 * SECOND), True)
    assert settled.update(4 * SECOND, True)


def test_what_is_settled_stays_so_while_it_is_near_but_does_not_become_so() -> None:
    settled = Settled()
    for second in range(5):
        assert not settled.update(second * SECOND, False, near=True)
    settled.update(5 * SECOND, True)
    assert settled.update(7 * SECOND, True)
    assert settled.update(8 * SECOND, False, near=True)
    assert not settled.update(9 * SECOND, False, near=False)
    assert not settled.update(10 * SECOND, False, near=True)


@pytest.mark.parametrize("name", ["qiki-t", "qiki-g", "gref"])
def test_the_limits_are_the_bodys_own(name: str) -> None:
    body = load_body(name)
    limits = GuidanceLimits.from_body(body, Allocator(body))
    mass = body.mass.dry_kg + body.mass.propellant_kg
    assert limits.slew_rate_rad_s == radians(body.limits.slew_rate_deg_s)
    assert limits.speed_m_s == body.limits.speed_m_s
    # The weakest of the directions looked at is no weaker than the ceiling, which holds in all.
    assert force_ceiling_n(body) / mass <= limits.brake_m_s2 * (1.0 + 1e-9)
    assert limits.brake_m_s2 < 1.1 * force_ceiling_n(body) / mass
    assert 0.0 < limits.cruise_m_s2 <= limits.brake_m_s2 * (1.0 + 1e-9)


def test_only_an_open_loop_push_is_owed_to_the_next_window() -> None:
    push = (1.0, 0.0, 0.0)
    assert Target(Phase.BURN, False, push_n=push).carries_push
    assert not Target(Phase.BRAKE, False, push_n=push, push_fed_back=True).carries_push
    assert not Target(Phase.HOLD, False).carries_push


def test_a_planned_motion_has_gone_on_by_the_time_it_is_shown() -> None:
    still = Target(Phase.HOLD, False, attitude=IDENTITY, position=(1.0, 2.0, 3.0))
    assert still.at(0.2) == (IDENTITY, (1.0, 2.0, 3.0))
    moving = Target(
        Phase.SLEW, False, attitude=IDENTITY, rate=(0.0, 0.0, 0.1), angular_acceleration=(0.0, 0.0, 0.2),
        position=(1.0, 0.0, 0.0), velocity=(0.5, 0.0, 0.0), acceleration=(1.0, 0.0, 0.0),
    )
    attitude, position = moving.at(0.2)
    assert attitude is not None
    assert rotation_vector(attitude) == pytest.approx((0.0, 0.0, 0.1 * 0.2 + 0.5 * 0.2 * 0.2**2))
    assert position == pytest.approx((1.0 + 0.5 * 0.2 + 0.5 * 0.2**2, 0.0, 0.0))
    assert Target(Phase.DRIFT, True).at(0.2) == (None, None)
