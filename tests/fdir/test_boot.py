"""Starts that do not last lead to SAFE after the third, healthy and clean ones begin the count anew."""

from __future__ import annotations

import pytest

from fdir.boot import HEALTHY_NS, LIMIT, MOST, BootPolicy, BootRecord, BootVerdict, ResetReason

POLICY = BootPolicy()


def restart(record: BootRecord | None, times: int, policy: BootPolicy = POLICY) -> BootRecord:
    """So many starts of which none lasts."""
    for _ in range(times):
        record = policy.started(record, None)
    assert record is not None
    return record


def test_the_rules_are_three_starts_and_a_minute() -> None:
    assert (LIMIT, HEALTHY_NS) == (3, 60_000_000_000)
    assert (POLICY.limit, POLICY.healthy_ns) == (LIMIT, HEALTHY_NS)
    assert MOST == 2**32 - 1


def test_the_first_start_of_all() -> None:
    assert POLICY.started(None, ResetReason.POWER) == BootRecord(
        starts=1, failed=1, clean=False, latched=False, last_good=None, reset=ResetReason.POWER
    )
    assert POLICY.started(None, None) == POLICY.started(BootRecord(), None)


@pytest.mark.parametrize(("starts", "latched"), [(1, False), (2, False), (3, False), (4, True), (5, True)])
def test_with_three_failed_starts_behind_it_a_start_goes_to_safe(starts: int, latched: bool) -> None:
    record = restart(None, starts)
    assert (record.starts, record.failed, record.latched) == (starts, starts, latched)
    assert POLICY.judge(record, None) == BootVerdict(safe=latched, healthy=False)


@pytest.mark.parametrize(("limit", "starts", "latched"), [(1, 1, False), (1, 2, True), (2, 2, False), (2, 3, True)])
def test_the_limit_may_be_another(limit: int, starts: int, latched: bool) -> None:
    assert restart(None, starts, BootPolicy(limit=limit)).latched is latched


def test_a_start_is_healthy_from_the_healthy_time_on() -> None:
    record = restart(None, 2)
    assert not POLICY.judge(record, None).healthy, "still in Boot"
    assert not POLICY.judge(record, HEALTHY_NS - 1).healthy
    assert POLICY.judge(record, HEALTHY_NS) == BootVerdict(safe=False, healthy=True)
    assert POLICY.judge(record, HEALTHY_NS + 1).healthy


def test_a_healthy_time_of_nothing_is_healthy_as_soon_as_boot_is_left() -> None:
    policy = BootPolicy(healthy_ns=0)
    assert policy.judge(restart(None, 1), 0).healthy
    assert not policy.judge(restart(None, 1), None).healthy


def test_a_start_shows_itself_healthy_once() -> None:
    record = POLICY.lasted(restart(None, 2))
    assert (record.starts, record.failed, record.last_good) == (2, 0, 2)
    assert not POLICY.judge(record, HEALTHY_NS).healthy


def test_a_healthy_start_begins_the_count_anew() -> None:
    record = restart(POLICY.lasted(restart(None, 3)), 3)
    assert (record.starts, record.failed, record.latched, record.last_good) == (6, 3, False, 3)
    assert restart(record, 1).latched


def test_what_is_latched_stays_so_over_healthy_and_clean_starts() -> None:
    record = restart(None, 4)
    lasted = POLICY.lasted(record)
    assert lasted.latched
    assert POLICY.judge(lasted, HEALTHY_NS).safe
    assert POLICY.started(lasted, None).latched
    assert POLICY.started(POLICY.stopped(record), None).latched


def test_acknowledging_ends_it_and_counts_from_the_present_start() -> None:
    record = POLICY.acknowledged(restart(None, 5))
    assert (record.latched, record.failed, record.starts) == (False, 1, 5)
    assert not restart(record, 2).latched
    assert restart(record, 3).latched


def test_acknowledging_a_healthy_start_leaves_it_healthy() -> None:
    record = POLICY.acknowledged(POLICY.lasted(restart(None, 4)))
    assert (record.latched, record.failed, record.last_good) == (False, 0, 4)


def test_a_clean_stop_is_no_failed_start() -> None:
    stopped = POLICY.stopped(restart(None, 3))
    assert stopped.clean
    assert stopped.failed == 3
    after = POLICY.started(stopped, ResetReason.ORDERED)
    assert (after.starts, after.failed, after.clean, after.latched) == (4, 1, False, False)
    assert after.reset is ResetReason.ORDERED


def test_the_last_good_start_is_kept_over_others() -> None:
    assert restart(POLICY.lasted(restart(None, 2)), 4).last_good == 2


def test_the_reason_of_a_start_is_its_own() -> None:
    record = POLICY.started(POLICY.started(None, ResetReason.WATCHDOG), None)
    assert record.reset is None


def test_counts_stop_where_they_can_no_longer_be_kept() -> None:
    record = POLICY.started(BootRecord(starts=MOST, failed=MOST), None)
    assert (record.starts, record.failed, record.latched) == (MOST, MOST, True)
    record = POLICY.started(BootRecord(starts=MOST - 1, failed=MOST - 1), None)
    assert (record.starts, record.failed) == (MOST, MOST)


@pytest.mark.parametrize(("limit", "healthy_ns"), [(0, 0), (-1, 0), (1, -1)])
def test_rules_that_would_never_let_a_craft_boot_are_refused(limit: int, healthy_ns: int) -> None:
    with pytest.raises(ValueError, match=rf"limit {limit}, healthy_ns {healthy_ns}; at least 1 and 0 are allowed"):
        BootPolicy(limit, healthy_ns)


def test_the_strictest_rules_are_allowed() -> None:
    assert BootPolicy(1, 0).limit == 1


@pytest.mark.parametrize(
    ("one", "name"), [(BootRecord(), "starts"), (BootVerdict(False, False), "safe"), (POLICY, "limit")]
)
def test_records_verdicts_and_rules_cannot_be_changed(one: object, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(one, name, 2)
    assert not hasattr(one, "__dict__")
