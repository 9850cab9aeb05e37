"""A reading's quality as of now, and what is counted of a device."""

from __future__ import annotations

import pytest

from drivers.errors import Cause
from hal.device_health import AT_ONCE, DeviceCounters, DeviceState, as_of
from hal.reading import Quality, Reading, absent

MS = 1_000_000
LAST = Reading(7, 100 * MS, Quality.OK)


@pytest.mark.parametrize(("last", "state", "doubt", "age_ms", "quality"), [
    (LAST, DeviceState.OK, None, 200, Quality.OK),
    (LAST, DeviceState.OK, None, 201, Quality.STALE),
    (LAST, DeviceState.DEGRADED, None, 0, Quality.OK),
    (LAST, DeviceState.INIT, None, 0, Quality.OK),
    (LAST, DeviceState.LOST, None, 0, Quality.ABSENT),
    (LAST, DeviceState.LOST, Quality.BAD, 0, Quality.ABSENT),
    (LAST, DeviceState.OK, Quality.BAD, 0, Quality.BAD),
    (LAST, DeviceState.OK, Quality.ABSENT, 500, Quality.ABSENT),
    (absent(), DeviceState.OK, None, 0, Quality.ABSENT),
])
def test_the_worst_that_is_known_of_a_reading_is_its_quality(
    last: Reading[int], state: DeviceState, doubt: Quality | None, age_ms: int, quality: Quality
) -> None:
    reading = as_of(last, state, doubt, 200 * MS, last.t_ns + age_ms * MS)
    assert (reading.value, reading.t_ns, reading.quality) == (last.value, last.t_ns, quality)


def test_a_good_reading_is_handed_on_as_it_is() -> None:
    assert as_of(LAST, DeviceState.OK, None, 200 * MS, 100 * MS) is LAST


def test_failures_are_counted_by_cause() -> None:
    counters = DeviceCounters()
    for cause in (Cause.TIMEOUT, Cause.CHECKSUM, Cause.TIMEOUT):
        counters.fail(cause)
    assert (counters.failures, counters.by_cause) == (3, {"timeout": 2, "checksum": 1})


def test_silence_of_a_chip_alone_spoils_no_reading_at_once() -> None:
    assert not {Cause.NACK_ADDRESS, Cause.NACK_DATA, Cause.TIMEOUT, Cause.STUCK_BUS, Cause.SILENT} & set(AT_ONCE)
