"""Managed devices and slots: one transaction a slot, the ladder of a failing device, honest quality."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator

import pytest

from drivers.errors import Cause, DeviceError
from hal.manager import BusSlots, DeviceState, HealthEvent, ManagedDevice
from hal.reading import Quality

MS = 1_000_000
SECOND = 1_000_000_000


class Chip:
    """A scripted driver: two transactions to set up, two a sample; fails while ``cause`` is set."""

    def __init__(self, log: list[str], name: str = "chip") -> None:
        self.log = log
        self.name = name
        self.cause: Cause | None = None
        self.value = 0

    def _transfer(self, what: str) -> None:
        self.log.append(f"{self.name} {what}")
        if self.cause is not None:
            raise DeviceError("i2c_a", 0x40, self.cause)

    def initialise(self) -> Generator[None, None, None]:
        self._transfer("id")
        yield
        self._transfer("config")

    def acquire(self) -> Generator[None, None, int]:
        self._transfer("high")
        yield
        self._transfer("low")
        self.value += 1
        return self.value


class Channel:
    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.selected = False

    def select(self) -> None:
        self.log.append("select")
        self.selected = True


def fly(device: ManagedDevice[int], slots: BusSlots, start_ms: int, end_ms: int, step_ms: int = 5) -> None:
    for t in range(start_ms, end_ms, step_ms):
        slots.step(t * MS)


def make(
    log: list[str], period_ms: int = 50, channel: Channel | None = None
) -> tuple[Chip, ManagedDevice[int], deque[HealthEvent]]:
    events: deque[HealthEvent] = deque(maxlen=64)
    chip = Chip(log)
    return chip, ManagedDevice("chip", chip, period_ms * MS, 200 * MS, events, channel), events


def test_a_slot_is_one_transaction_and_a_sequence_is_not_interrupted() -> None:
    log: list[str] = []
    a, da, _ = make(log)
    events: deque[HealthEvent] = deque()
    b = Chip(log, "other")
    db = ManagedDevice("other", b, 50 * MS, 200 * MS, events)
    slots = BusSlots([da, db])
    for t in range(8):
        before = len(log)
        slots.step(t * 5 * MS)
        assert len(log) == before + 1
    assert log == [
        "chip id", "chip config", "other id", "other config", "chip high", "chip low", "other high", "other low",
    ]
    assert a.value == b.value == 1


def test_before_the_first_sample_the_reading_is_absent() -> None:
    _, device, _ = make([])
    reading = device.reading(0)
    assert (reading.value, reading.quality) == (None, Quality.ABSENT)


def test_samples_come_at_the_period_and_keep_the_grid() -> None:
    log: list[str] = []
    chip, device, _ = make(log)
    fly(device, BusSlots([device]), 0, 1000)
    assert device.state is DeviceState.OK
    assert chip.value == 20  # one each 50 ms
    assert device.reading(SECOND).ok


def test_after_a_long_pause_it_does_not_catch_up_in_a_burst() -> None:
    log: list[str] = []
    chip, device, _ = make(log)
    slots = BusSlots([device])
    fly(device, slots, 0, 200)
    had = chip.value
    fly(device, slots, 2000, 2100)
    assert chip.value - had <= 3


def test_silence_turns_stale_by_age_and_a_refused_answer_bad_at_once() -> None:
    for cause, quality in ((Cause.NACK_ADDRESS, Quality.STALE), (Cause.CHECKSUM, Quality.BAD)):
        chip, device, _ = make([])
        slots = BusSlots([device])
        fly(device, slots, 0, 100)
        chip.cause = cause
        fly(device, slots, 100, 500)
        reading = device.reading(500 * MS)
        assert reading.quality is quality
        assert reading.value == chip.value  # the old value stays visible, with its age


def test_three_failures_lead_to_reinitialisation_and_an_answer_back_to_ok() -> None:
    log: list[str] = []
    chip, device, events = make(log)
    slots = BusSlots([device])
    fly(device, slots, 0, 100)
    chip.cause = Cause.NACK_ADDRESS
    fly(device, slots, 100, 250)
    assert device.state is DeviceState.INIT
    chip.cause = None
    fly(device, slots, 250, 800)
    assert device.state is DeviceState.OK
    assert device.reading(800 * MS).ok
    states = [event.state for event in events]
    assert states == [DeviceState.DEGRADED, DeviceState.OK, DeviceState.DEGRADED, DeviceState.INIT,
                      DeviceState.DEGRADED, DeviceState.OK]
    assert device.counters.by_cause == {"nack_address": device.counters.failures}


def test_a_dead_device_is_given_up_asked_ever_more_rarely_and_taken_back() -> None:
    log: list[str] = []
    chip, device, events = make(log)
    slots = BusSlots([device])
    fly(device, slots, 0, 100)
    chip.cause = Cause.NACK_ADDRESS
    fly(device, slots, 100, 30_000)
    assert device.state is DeviceState.LOST
    assert device.reading(30 * SECOND).quality is Quality.ABSENT
    assert events[-1] == HealthEvent(events[-1].t_ns, "chip", DeviceState.LOST, Cause.NACK_ADDRESS)
    asked = device.counters.transactions
    fly(device, slots, 30_000, 60_000)
    assert device.counters.transactions - asked <= 7  # once in five seconds
    chip.cause = None
    fly(device, slots, 60_000, 66_000)
    assert device.state is DeviceState.OK


def test_behind_a_multiplexer_switching_is_its_own_slot_and_nobody_comes_between() -> None:
    log: list[str] = []
    channel = Channel(log)
    chip, device, _ = make(log, channel=channel)
    other = ManagedDevice("other", Chip(log, "other"), 5 * MS, 200 * MS, deque())
    slots = BusSlots([device, other])
    fly(device, slots, 0, 100)
    at = log.index("select")
    assert log[at + 1].startswith("chip")
    assert chip.value >= 1


def test_a_device_without_a_period_is_set_up_once() -> None:
    log: list[str] = []
    _, device, _ = make(log, period_ms=0)
    fly(device, BusSlots([device]), 0, 1000)
    assert log == ["chip id", "chip config"]
    assert device.state is DeviceState.OK


@pytest.mark.parametrize("good_first", [True, False])
def test_fast_devices_walk_the_same_ladder(good_first) -> None:
    _, device, _ = make([])
    fly(device, BusSlots([device]), 0, 10)
    if good_first:
        device.note_success(20 * MS)
        assert device.state is DeviceState.OK
    for k in range(3):
        device.note_failure(Cause.CHECKSUM, (30 + k) * MS)
    assert device.state is DeviceState.INIT
    assert not device.ready


class Hesitant(Chip):
    """Says once that there is nothing new yet."""

    def __init__(self, log: list[str]) -> None:
        super().__init__(log)
        self.nothing_new = False

    def acquire(self) -> Generator[None, None, int | None]:  # type: ignore[override]
        self._transfer("high")
        yield
        if self.nothing_new:
            return None
        self.value += 1
        return self.value


def test_nothing_new_does_not_make_a_refused_answer_good_again() -> None:
    chip = Hesitant([])
    device: ManagedDevice[int] = ManagedDevice("chip", chip, 50 * MS, 400 * MS, deque())
    slots = BusSlots([device])
    fly(device, slots, 0, 100)
    chip.cause = Cause.IMPLAUSIBLE
    fly(device, slots, 100, 160)
    chip.cause = None
    chip.nothing_new = True
    fly(device, slots, 160, 260)
    assert device.state is DeviceState.OK
    assert device.reading(260 * MS).quality is Quality.BAD
    chip.nothing_new = False
    fly(device, slots, 260, 360)
    assert device.reading(360 * MS).ok


def test_the_first_pause_before_a_new_set_up_is_the_devices_own() -> None:
    log: list[str] = []
    chip = Chip(log)
    device: ManagedDevice[int] = ManagedDevice("chip", chip, 5 * MS, 400 * MS, deque(), pause_ns=5 * MS)
    slots = BusSlots([device])
    fly(device, slots, 0, 100)
    chip.cause = Cause.NACK_ADDRESS
    fly(device, slots, 100, 115)
    assert device.state is DeviceState.INIT
    log.clear()
    fly(device, slots, 115, 180)
    # 5 ms after the third failure, then 10 and 20 ms later; the next would be 40 ms on.
    assert log == ["chip id"] * 3
