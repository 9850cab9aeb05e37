"""Every cause has its words, and gives a reading the quality that the manager gives it."""

from __future__ import annotations

from collections import deque

import pytest

from drivers.errors import Cause, DeviceError
from hal.causes import CAUSES, quality_of
from hal.manager import ManagedDevice
from hal.reading import Quality

MS = 1_000_000


def test_every_cause_is_explained_once() -> None:
    assert set(CAUSES) == set(Cause)
    meanings = [text.meaning for text in CAUSES.values()]
    assert len(set(meanings)) == len(meanings)


@pytest.mark.parametrize("cause", list(Cause))
def test_each_text_is_one_clause_without_a_full_stop(cause: Cause) -> None:
    for text in CAUSES[cause]:
        assert text
        assert "\n" not in text
        assert not text.endswith(".")
        assert text == text.strip()


@pytest.mark.parametrize(("cause", "quality"), [
    (Cause.CHECKSUM, Quality.BAD), (Cause.IMPLAUSIBLE, Quality.BAD), (Cause.OVER_RANGE, Quality.BAD),
    (Cause.WRONG_ID, Quality.BAD),
    (Cause.STALE_COUNTER, Quality.BAD), (Cause.PROTOCOL, Quality.BAD), (Cause.RESET, Quality.BAD),
    (Cause.ABSENT, Quality.ABSENT), (Cause.PERMISSION, Quality.ABSENT), (Cause.BUS_OFF, Quality.ABSENT),
    (Cause.NACK_ADDRESS, Quality.STALE), (Cause.NACK_DATA, Quality.STALE), (Cause.TIMEOUT, Quality.STALE),
    (Cause.STUCK_BUS, Quality.STALE), (Cause.ARBITRATION, Quality.STALE), (Cause.SHORT_READ, Quality.STALE),
    (Cause.SILENT, Quality.STALE),
])
def test_quality_is_what_the_reading_of_a_failed_device_shows(cause: Cause, quality: Quality) -> None:
    class Chip:
        failing = False

        def identify(self):
            yield from ()

        def initialise(self):
            yield from ()

        def acquire(self):
            yield from ()
            if self.failing:
                raise DeviceError("i2c_a", 0x40, cause)
            return 1

    chip = Chip()
    device: ManagedDevice[int] = ManagedDevice("chip", chip, 50 * MS, 200 * MS, deque())
    device.step(0)
    device.step(0)
    assert device.reading(0).ok
    chip.failing = True
    device.step(50 * MS)
    at_once = device.reading(50 * MS).quality
    assert at_once is (Quality.OK if quality is Quality.STALE else quality)
    assert device.reading(300 * MS).quality is quality
    assert quality_of(cause) is quality
