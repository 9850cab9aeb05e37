"""Command-loss timer: the edge of the limit, the way back, and what becomes of the emission."""

from __future__ import annotations

from math import inf, nan

import pytest

from fdir.link_loss import LOSS_S, UPLINKS_TO_RETURN, LinkEvent, LinkLoss
from fdir.modes import Emission

SECOND = 1_000_000_000


class Ground:
    """An uplink heard at given times, and a timer that is asked in between."""

    def __init__(self, limit_s: float = LOSS_S) -> None:
        self.timer = LinkLoss(limit_s)
        self.heard_ns = 0
        self.now_ns = 0

    def at(self, seconds: float, uplink: bool = False) -> LinkEvent | None:
        self.now_ns = round(seconds * SECOND)
        if uplink:
            self.heard_ns = self.now_ns
        return self.timer.step((self.now_ns - self.heard_ns) / SECOND, self.now_ns)


def lost() -> Ground:
    ground = Ground()
    assert ground.at(0.0) is None
    assert ground.at(600.0) is LinkEvent.LOST
    return ground


def test_the_limit_of_the_reference_is_inclusive() -> None:
    ground = Ground()
    assert ground.at(0.0) is None
    assert ground.at(599.999999) is None
    assert not ground.timer.lost
    assert ground.at(600.0) is LinkEvent.LOST
    assert ground.timer.lost
    assert ground.timer.losses == 1


def test_a_loss_is_told_once() -> None:
    ground = lost()
    assert ground.at(600.005) is None
    assert ground.at(2000.0) is None
    assert ground.timer.losses == 1
    assert ground.timer.longest_s == 2000.0


def test_the_first_age_may_be_past_the_limit_already() -> None:
    assert LinkLoss().step(600.0, 700 * SECOND) is LinkEvent.LOST


def test_an_uplink_in_time_starts_the_timer_over() -> None:
    ground = Ground()
    ground.at(0.0)
    assert ground.at(599.0, uplink=True) is None
    assert ground.at(1198.9) is None
    assert ground.at(1199.0) is LinkEvent.LOST


def test_the_third_uplink_brings_the_link_back() -> None:
    ground = lost()
    assert ground.at(700.0, uplink=True) is None
    assert ground.at(701.0, uplink=True) is None
    assert ground.timer.lost
    assert ground.at(702.0, uplink=True) is LinkEvent.RETURNED
    assert not ground.timer.lost
    assert UPLINKS_TO_RETURN == 3


def test_one_uplink_asked_for_many_times_is_one() -> None:
    ground = lost()
    ground.at(700.0, uplink=True)
    for k in range(1, 1000):
        assert ground.at(700.0 + 0.005 * k) is None
    assert ground.timer.lost


def test_a_rounded_age_makes_no_second_uplink_but_one_two_milliseconds_later_does() -> None:
    timer = LinkLoss()
    assert timer.step(600.0, 600 * SECOND) is LinkEvent.LOST
    assert timer.step(0.0, 700 * SECOND) is None
    assert timer.step(0.0, 700 * SECOND + 1_000_000) is None
    assert timer.step(0.0, 700 * SECOND + 1_000_000) is None
    assert timer.step(0.0, 700 * SECOND + 2_000_000) is None
    assert timer.step(0.0, 700 * SECOND + 3_000_000) is None
    assert timer.step(0.0, 700 * SECOND + 3_000_001) is LinkEvent.RETURNED


def test_uplinks_with_a_further_loss_between_them_do_not_add_up() -> None:
    ground = lost()
    ground.at(700.0, uplink=True)
    ground.at(701.0, uplink=True)
    assert ground.at(1301.0) is None
    assert ground.at(1302.0, uplink=True) is None
    assert ground.at(1303.0, uplink=True) is None
    assert ground.at(1304.0, uplink=True) is LinkEvent.RETURNED
    assert ground.timer.losses == 1


def test_a_second_loss_needs_three_uplinks_again() -> None:
    ground = lost()
    for k in range(3):
        ground.at(700.0 + k, uplink=True)
    assert ground.at(1302.0) is LinkEvent.LOST
    assert ground.timer.losses == 2
    assert [ground.at(1400.0 + k, uplink=True) for k in range(3)] == [None, None, LinkEvent.RETURNED]


def test_uplinks_before_a_loss_do_not_count_for_the_way_back() -> None:
    ground = Ground()
    for k in range(5):
        ground.at(float(k), uplink=True)
    assert ground.at(604.0) is LinkEvent.LOST
    assert ground.at(605.0, uplink=True) is None


def test_a_restart_while_lost_is_a_loss_until_three_uplinks_have_come() -> None:
    timer = LinkLoss()
    assert timer.resume(True) is LinkEvent.LOST
    assert (timer.lost, timer.losses) == (True, 1)
    assert timer.emission(LinkEvent.LOST, Emission.OPEN) is Emission.RESTRICTED
    # The age since the start is no uplink.
    assert timer.step(0.5, SECOND // 2) is None
    assert timer.step(600.0, 600 * SECOND) is None
    assert [timer.step(0.0, k * SECOND) for k in (700, 701)] == [None, None]
    assert timer.lost
    assert timer.step(0.0, 702 * SECOND) is LinkEvent.RETURNED
    assert (timer.lost, timer.losses) == (False, 1)


def test_a_loss_that_is_resumed_counts_with_the_others() -> None:
    ground = lost()
    assert ground.timer.resume(True) is LinkEvent.LOST
    assert ground.timer.losses == 2


def test_zero_is_an_age_and_the_longest_is_kept() -> None:
    timer = LinkLoss()
    for age, t_s in ((5.0, 10), (0.0, 11), (3.0, 14)):
        assert timer.step(age, t_s * SECOND) is None
    assert timer.longest_s == 5.0
    assert (LOSS_S, timer.limit_s) == (600.0, 600.0)


@pytest.mark.parametrize("age", [None, nan, inf, -0.1])
def test_who_waits_for_no_uplink_loses_none_and_keeps_what_was(age: float | None) -> None:
    timer = LinkLoss()
    assert timer.step(age, 10_000 * SECOND) is None
    assert (timer.lost, timer.losses, timer.longest_s) == (False, 0, 0.0)
    timer.step(600.0, 10_000 * SECOND)
    assert timer.step(age, 10_001 * SECOND) is None
    assert timer.lost


def test_the_limit_is_a_parameter() -> None:
    for limit_s in (30.0, 0.5):
        ground = Ground(limit_s)
        ground.at(0.0)
        assert ground.at(limit_s - 0.1) is None
        assert ground.at(limit_s) is LinkEvent.LOST


@pytest.mark.parametrize("limit", [0.0, -1.0, nan, inf])
def test_a_limit_that_is_no_time_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match=f"^limit_s {limit}: must be a time above 0 s$"):
        LinkLoss(limit)


def test_a_loss_restricts_what_was_open_and_the_return_opens_it() -> None:
    timer = LinkLoss()
    assert timer.emission(LinkEvent.LOST, Emission.OPEN) is Emission.RESTRICTED
    assert timer.emission(LinkEvent.RETURNED, Emission.RESTRICTED) is Emission.OPEN
    assert timer.emission(LinkEvent.RETURNED, Emission.RESTRICTED) is Emission.RESTRICTED


@pytest.mark.parametrize("level", [Emission.RESTRICTED, Emission.SILENT])
def test_a_loss_opens_nothing_that_was_ordered_shut(level: Emission) -> None:
    timer = LinkLoss()
    assert timer.emission(LinkEvent.LOST, level) is level
    assert timer.emission(LinkEvent.RETURNED, level) is level


@pytest.mark.parametrize("level", [Emission.OPEN, Emission.SILENT])
def test_a_level_ordered_meanwhile_stays(level: Emission) -> None:
    timer = LinkLoss()
    timer.emission(LinkEvent.LOST, Emission.OPEN)
    assert timer.emission(LinkEvent.RETURNED, level) is level


def test_what_a_loss_has_closed_is_told_and_taken_up_again() -> None:
    timer = LinkLoss()
    assert timer.closed is False
    timer.resume(True)
    assert timer.closed is True
    assert timer.emission(LinkEvent.LOST, Emission.RESTRICTED) is Emission.RESTRICTED
    assert timer.closed is True
    assert timer.emission(LinkEvent.RETURNED, Emission.RESTRICTED) is Emission.OPEN
    assert timer.closed is False
    timer.resume(False)
    assert timer.emission(LinkEvent.LOST, Emission.SILENT) is Emission.SILENT
    assert timer.closed is False
    assert timer.emission(LinkEvent.LOST, Emission.OPEN) is Emission.RESTRICTED
    assert timer.closed is True
