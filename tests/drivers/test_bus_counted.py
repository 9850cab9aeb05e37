"""One policy for every transport: who is asked again, how often, until when, and what is counted."""

from __future__ import annotations

from collections import deque

import pytest

from drivers.bus.counted import MAX_RETRIES, TransferPolicy
from drivers.errors import Cause, DeviceError

MS = 1_000_000
TIMEOUT_MS = 10


class Line:
    """A transfer that takes ``took_ns`` and ends as scripted, well when the script is over."""

    def __init__(self, took_ns: int, *causes: Cause) -> None:
        self.now_ns = 0
        self.asked = 0
        self._took_ns = took_ns
        self._causes = deque(causes)
        self.policy = TransferPolicy(TIMEOUT_MS, lambda: self.now_ns)

    def transfer(self, answer: int) -> int:
        self.asked += 1
        self.now_ns += self._took_ns
        if self._causes:
            raise DeviceError("i2c_a", 0x40, self._causes.popleft())
        return answer


@pytest.mark.parametrize("cause", [Cause.NACK_ADDRESS, Cause.NACK_DATA, Cause.ARBITRATION])
def test_a_read_that_fails_at_once_is_asked_again_and_counted(cause: Cause) -> None:
    line = Line(MS, cause, cause)
    assert line.policy.repeatable(line.transfer, 7) == 7
    counters = line.policy.counters
    assert (line.asked, counters.retries, counters.recovered, counters.failed) == (3, 2, 1, 0)
    assert counters.by_cause == {cause: 2}


def test_at_most_two_retries() -> None:
    line = Line(MS, *[Cause.NACK_ADDRESS] * 5)
    with pytest.raises(DeviceError):
        line.policy.repeatable(line.transfer, 7)
    assert line.asked == 1 + MAX_RETRIES == 3
    assert line.policy.counters.failed == 1


@pytest.mark.parametrize("cause", [Cause.TIMEOUT, Cause.STUCK_BUS, Cause.ABSENT, Cause.PERMISSION, Cause.SHORT_READ])
def test_what_would_cost_its_time_out_again_is_not_asked_again(cause: Cause) -> None:
    line = Line(MS, cause)
    with pytest.raises(DeviceError):
        line.policy.repeatable(line.transfer, 7)
    assert line.asked == 1


def test_no_retry_that_could_not_end_before_the_deadline() -> None:
    line = Line(6 * MS, Cause.NACK_ADDRESS)
    with pytest.raises(DeviceError):
        line.policy.repeatable(line.transfer, 7)
    assert line.asked == 1


def test_a_write_is_never_repeated() -> None:
    line = Line(MS, Cause.NACK_ADDRESS)
    with pytest.raises(DeviceError):
        line.policy.once(line.transfer, 7)
    assert line.asked == 1
    assert line.policy.counters.by_cause == {Cause.NACK_ADDRESS: 1}


def test_a_transfer_beyond_its_deadline_is_late_and_sets_the_high_water_mark() -> None:
    line = Line(12 * MS)
    line.policy.once(line.transfer, 7)
    counters = line.policy.counters
    assert (counters.late, counters.longest_ns, counters.last_ns) == (1, 12 * MS, 12 * MS)
    counters.reset_high_water()
    assert counters.longest_ns == 0
