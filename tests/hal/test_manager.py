"""Managed devices and slots: one transaction a slot, the ladder of a failing device, honest quality."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from itertools import pairwise

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


# -- a chip that shows a lost configuration


def configured(log: list[str], period_ms: int = 50) -> tuple[Chip, ManagedDevice[int], BusSlots, deque[HealthEvent]]:
    chip, device, events = make(log, period_ms)
    slots = BusSlots([device])
    fly(device, slots, 0, 100)
    assert device.state is DeviceState.OK
    log.clear()
    return chip, device, slots, events


class Forgets(Chip):
    """Loses its configuration on demand, and shows it at the next sample."""

    lost = False

    def initialise(self) -> Generator[None, None, None]:
        yield from super().initialise()
        self.lost = False

    def acquire(self) -> Generator[None, None, int]:
        if self.lost:
            self.log.append(f"{self.name} reset")
            raise DeviceError("i2c_a", 0x40, Cause.RESET)
        return (yield from super().acquire())


def forgetful(log: list[str]) -> tuple[Forgets, ManagedDevice[int], BusSlots]:
    chip = Forgets(log)
    device: ManagedDevice[int] = ManagedDevice("chip", chip, 50 * MS, 400 * MS, deque(maxlen=64))
    slots = BusSlots([device])
    fly(device, slots, 0, 100)
    log.clear()
    return chip, device, slots


def test_a_lost_configuration_is_set_up_anew_in_the_very_next_slots() -> None:
    log: list[str] = []
    chip, device, slots = forgetful(log)
    chip.lost = True
    fly(device, slots, 100, 200)
    # Two transactions of set-up follow at once, then a sample.
    assert log[:5] == ["chip reset", "chip id", "chip config", "chip high", "chip low"]
    assert device.state is DeviceState.OK
    assert device.counters.by_cause == {"reset": 1}


def test_what_a_chip_said_before_it_showed_the_loss_is_not_believed_until_it_speaks_again() -> None:
    chip, device, slots = forgetful([])
    chip.lost = True
    fly(device, slots, 100, 110)
    assert device.reading(110 * MS).quality is Quality.BAD
    fly(device, slots, 110, 200)
    assert device.reading(200 * MS).ok


def test_a_loss_that_repeats_within_a_second_is_set_up_after_growing_pauses_and_ends_in_lost() -> None:
    log: list[str] = []
    chip, device, slots = forgetful(log)

    class Always(Forgets):
        lost = True

        def initialise(self) -> Generator[None, None, None]:
            yield from Chip.initialise(self)

    device.device = Always(log)
    fly(device, slots, 100, 5000)
    assert device.state is DeviceState.LOST
    assert log.count("chip reset") < 12, "it is not set up anew in every slot"
    assert not chip.lost


def test_losses_far_apart_are_each_set_up_at_once() -> None:
    log: list[str] = []
    chip, device, slots = forgetful(log)
    for begin in (100, 1500, 3000):
        log.clear()
        chip.lost = True
        fly(device, slots, begin, begin + 100)
        assert log[:3] == ["chip reset", "chip id", "chip config"]
        fly(device, slots, begin + 100, begin + 1400)
    assert device.counters.initialisations == 4


# -- what is ordered of a device


def writes(chip: Chip, answer: int, fails: Cause | None = None) -> Generator[None, None, int]:
    chip.log.append("order")
    yield
    if fails is not None:
        raise DeviceError("i2c_a", 0x40, fails)
    chip.log.append("read back")
    return answer


def test_an_order_runs_before_the_next_sample_and_gives_its_value() -> None:
    log: list[str] = []
    chip, device, slots, _ = configured(log)
    task = device.order(writes(chip, 7))
    assert (task.done, task.value) == (False, None)
    fly(device, slots, 100, 120)
    assert log == ["order", "read back", "chip high", "chip low"]
    assert (task.done, task.value, task.error) == (True, 7, None)


def test_orders_run_in_the_order_they_were_given_also_of_a_device_without_a_period() -> None:
    log: list[str] = []
    chip, device, _ = make(log, period_ms=0)
    slots = BusSlots([device])
    fly(device, slots, 0, 100)
    log.clear()
    tasks = [device.order(writes(chip, number)) for number in range(3)]
    fly(device, slots, 100, 200)
    assert [task.value for task in tasks] == [0, 1, 2]
    assert log == ["order", "read back"] * 3


def test_an_order_does_not_interrupt_the_sample_of_another_device() -> None:
    log: list[str] = []
    chip, device, slots, _ = configured(log)
    other = ManagedDevice("other", Chip(log, "other"), 50 * MS, 200 * MS, deque())
    slots = BusSlots([device, other])
    fly(device, slots, 200, 205)
    begun = log[0].split()[0]
    device.order(writes(chip, 1))
    fly(device, slots, 205, 220)
    assert {line.split()[0] for line in log[:2]} == {begun}
    assert log[2:4] == ["order", "read back"]


def test_an_order_that_fails_says_why_and_counts_as_a_failure_of_the_device() -> None:
    log: list[str] = []
    chip, device, slots, _ = configured(log)
    task = device.order(writes(chip, 1, Cause.IMPLAUSIBLE))
    fly(device, slots, 100, 115)
    assert task.done
    assert task.error is not None
    assert task.error.cause is Cause.IMPLAUSIBLE
    assert device.counters.by_cause == {"implausible": 1}
    fly(device, slots, 115, 200)
    assert device.state is DeviceState.OK


def test_an_order_waits_until_the_device_is_set_up() -> None:
    log: list[str] = []
    chip, device, _ = make(log)
    task = device.order(writes(chip, 1))
    fly(device, BusSlots([device]), 0, 100)
    assert log[:4] == ["chip id", "chip config", "order", "read back"]
    assert task.done


@pytest.mark.parametrize("how", ["restart", "lose"])
def test_a_device_taken_out_of_service_ends_its_orders_with_an_error(how: str) -> None:
    chip, device, slots, _ = configured([])
    begun, waiting = device.order(writes(chip, 1)), device.order(writes(chip, 2))
    fly(device, slots, 100, 105)
    if how == "restart":
        device.restart(105 * MS)
    else:
        device.lose(Cause.STUCK_BUS, 105 * MS)
    for task in (begun, waiting):
        assert task.done
        assert task.error is not None
    assert device.state is (DeviceState.INIT if how == "restart" else DeviceState.LOST)
    assert device.due_ns == 105 * MS
    fly(device, BusSlots([device]), 110, 200)
    assert device.state is DeviceState.OK


# -- a chip that holds its bus


class Ward:
    """A guard that keeps the bus in service, whatever happens."""

    def __init__(self) -> None:
        self.in_service = True
        self.failing = False
        self.noted: list[tuple[str, Cause | None]] = []
        self.steps = 0

    def note(self, device: str, error: DeviceError | None, now_ns: int) -> None:
        self.failing = error is not None
        self.noted.append((device, None if error is None else error.cause))

    def step(self, now_ns: int) -> None:
        self.steps += 1


def asked_at(chip: Chip, slots: BusSlots, start_ms: int, end_ms: int) -> list[int]:
    times = []
    for t in range(start_ms, end_ms, 5):
        before = len(chip.log)
        slots.step(t * MS)
        if len(chip.log) > before:
            times.append(t)
    return times


@pytest.mark.parametrize("cause", [Cause.TIMEOUT, Cause.STUCK_BUS])
def test_a_chip_that_holds_its_bus_is_left_alone_for_longer_and_longer(cause: Cause) -> None:
    chip, device, _, _ = configured([])
    slots = BusSlots([device], Ward())
    chip.cause = cause
    times = asked_at(chip, slots, 100, 400_000)
    pauses = [(b - a) / 1000 for a, b in pairwise(times)]
    # Twice as any failing chip, then 5, 10, 20, 40 s and a minute from there on.
    assert pauses[2:6] == [pytest.approx(p, abs=0.01) for p in (5.0, 10.0, 20.0, 40.0)]
    assert pauses[6:] == [pytest.approx(60.0, abs=0.01)] * len(pauses[6:])
    assert len(times) <= 12


def test_one_good_sample_forgives_a_chip_that_held_its_bus() -> None:
    chip, device, _, _ = configured([])
    slots = BusSlots([device], Ward())
    for begin in range(100, 1500, 200):
        chip.cause = Cause.TIMEOUT
        asked_at(chip, slots, begin, begin + 50)
        chip.cause = None
        asked_at(chip, slots, begin + 50, begin + 200)
    assert device.state is DeviceState.OK
    assert device.counters.by_cause["timeout"] >= 5


def test_other_failures_are_no_holds() -> None:
    chip, device, _, _ = configured([])
    slots = BusSlots([device], Ward())
    chip.cause = Cause.NACK_ADDRESS
    times = asked_at(chip, slots, 100, 60_000)
    assert max(b - a for a, b in pairwise(times)) <= 5005


def test_no_slot_is_granted_while_the_guard_has_the_bus_and_it_hears_of_every_failure() -> None:
    chip, device, _, _ = configured([])
    ward = Ward()
    slots = BusSlots([device], ward)
    chip.cause = Cause.NACK_ADDRESS
    fly(device, slots, 105, 110)
    chip.cause = None
    fly(device, slots, 155, 165)
    assert ward.noted[:2] == [("chip", Cause.NACK_ADDRESS), ("chip", None)]
    ward.in_service = False
    granted, asked = slots.granted, len(chip.log)
    fly(device, slots, 200, 500)
    assert (slots.granted, len(chip.log), ward.steps) == (granted, asked, 60)


# -- by order: asked at once, somebody else's place, served elsewhere


def test_retry_asks_a_lost_device_at_once_and_its_pauses_begin_anew() -> None:
    chip, device, slots, _ = configured([])
    chip.cause = Cause.NACK_ADDRESS
    fly(device, slots, 100, 60_000)
    assert device.state is DeviceState.LOST
    chip.cause = None
    device.due_ns = 64_000 * MS
    assert device.retry(60_000 * MS)
    fly(device, slots, 60_000, 60_100)
    assert device.state is DeviceState.OK
    chip.cause = Cause.NACK_ADDRESS
    fly(device, slots, 60_100, 60_400)
    chip.cause = None
    fly(device, slots, 60_400, 60_550)
    assert device.state is DeviceState.OK, "the first pause is a tenth of a second again"


def test_devices_that_trade_places_have_each_others_period_and_time_out() -> None:
    fast: ManagedDevice[int] = ManagedDevice("fast", Chip([], "fast"), 5 * MS, 25 * MS, deque())
    slow: ManagedDevice[int] = ManagedDevice("slow", Chip([], "slow"), 50 * MS, 500 * MS, deque())
    for device in (fast, slow):
        fly(device, BusSlots([device]), 0, 100)
    fast.trade_places(slow, 100 * MS)
    assert (fast.period_ns, slow.period_ns) == (50 * MS, 5 * MS)
    assert fast.due_ns == 100 * MS
    fly(fast, BusSlots([fast]), 100, 120)
    assert fast.reading(600 * MS).ok
    assert slow.reading(126 * MS).quality is Quality.STALE


def test_a_device_that_is_being_set_up_keeps_its_pause_when_it_takes_a_place() -> None:
    chip, device, slots, _ = configured([])
    chip.cause = Cause.NACK_ADDRESS
    fly(device, slots, 100, 400)
    assert device.state is DeviceState.INIT
    due_ns = device.due_ns
    device.trade_places(ManagedDevice("other", Chip([]), 5 * MS, 25 * MS, deque()), 400 * MS)
    assert device.due_ns == due_ns


def test_a_device_that_is_released_is_not_served_and_one_that_is_taken_is() -> None:
    log: list[str] = []
    first: ManagedDevice[int] = ManagedDevice("first", Chip(log, "first"), 10 * MS, 200 * MS, deque())
    second: ManagedDevice[int] = ManagedDevice("second", Chip(log, "second"), 10 * MS, 200 * MS, deque())
    slots = BusSlots([first])
    members = slots.devices
    slots.step(0)  # in the middle of its set-up
    slots.release(first)
    slots.take(second)
    log.clear()
    for tick in range(1, 40):
        slots.step(tick * 5 * MS)
    assert {line.split()[0] for line in log} == {"second"}
    assert members == [second]
    assert slots.devices is members, "whoever holds the list sees it change"
    slots.take(first)
    log.clear()
    for tick in range(40, 80):
        slots.step(tick * 5 * MS)
    assert {line.split()[0] for line in log} == {"first", "second"}
    assert first.state is DeviceState.OK


# -- a part whose answer is at the end of its range


class Saturates(Chip):
    """What it measures may be beyond its range; it says its name when it is asked, right or wrong."""

    over = False
    name_is_wrong = False
    flagged = False

    def identify(self) -> Generator[None, None, str]:
        self._transfer("name")
        yield
        self._transfer("name")
        if self.name_is_wrong:
            raise DeviceError("i2c_a", 0x40, Cause.WRONG_ID)
        return "chip"

    def acquire(self) -> Generator[None, None, int]:
        value = yield from super().acquire()
        if self.over:
            raise DeviceError("i2c_a", 0x40, Cause.OVER_RANGE)
        return value


def saturating(log: list[str]) -> tuple[Saturates, ManagedDevice[int], BusSlots, deque[HealthEvent]]:
    chip, events = Saturates(log), deque[HealthEvent](maxlen=64)
    device: ManagedDevice[int] = ManagedDevice("chip", chip, 50 * MS, 200 * MS, events)
    slots = BusSlots([device], Watchful())
    fly(device, slots, 0, 100)
    assert device.state is DeviceState.OK
    events.clear()
    return chip, device, slots, events


class Watchful:
    """A guard that remembers what it heard."""

    in_service = failing = True

    def __init__(self) -> None:
        self.heard: list[DeviceError | None] = []

    def note(self, device: str, error: DeviceError | None, now_ns: int) -> None:
        self.heard.append(error)

    def step(self, now_ns: int) -> None:
        raise AssertionError("in service")


def test_a_value_beyond_the_range_is_bad_while_it_lasts_and_takes_no_rung() -> None:
    chip, device, slots, events = saturating([])
    chip.over = True
    fly(device, slots, 100, 60_000)
    assert (device.state, list(events)) == (DeviceState.OK, [])
    reading = device.reading(60 * SECOND)
    assert (reading.quality, reading.ok) == (Quality.BAD, False)
    assert device.counters.initialisations == 1
    assert device.counters.by_cause == {"over_range": device.counters.failures}
    assert device.counters.failures == pytest.approx(60_000 / 50, rel=0.02), "at its usual rate"
    assert slots.guard.heard.count(None) == len(slots.guard.heard), "the bus is well"  # type: ignore[union-attr]
    chip.over = False
    fly(device, slots, 60_000, 60_060)
    assert device.reading(60_060 * MS).ok, "back at once"


def test_each_value_beyond_the_range_has_the_part_say_its_name() -> None:
    log: list[str] = []
    chip, device, slots, _ = saturating(log)
    chip.over = True
    log.clear()
    fly(device, slots, 100, 200)
    assert log == ["chip high", "chip low", "chip name", "chip name"] * 2


def test_a_part_that_is_always_at_the_end_of_its_range_and_has_another_name_is_found_out() -> None:
    chip, device, slots, events = saturating([])
    chip.over = chip.name_is_wrong = True
    fly(device, slots, 100, 400)
    assert [(event.state, event.cause) for event in events][:2] == [
        (DeviceState.DEGRADED, Cause.WRONG_ID), (DeviceState.INIT, Cause.WRONG_ID),
    ]
    chip.cause = Cause.WRONG_ID
    fly(device, slots, 400, 30_000)
    assert device.state is DeviceState.LOST


def test_a_part_that_was_set_up_anew_is_well_though_it_begins_beyond_its_range() -> None:
    chip, device, slots, events = saturating([])
    chip.over = True
    device.restart(100 * MS)
    fly(device, slots, 100, 1000)
    assert (device.state, events[-1].state) == (DeviceState.OK, DeviceState.OK)
    assert not device.reading(SECOND).ok


def test_being_taken_out_of_service_ends_the_asking_for_its_name() -> None:
    log: list[str] = []
    chip, device, slots, _ = saturating(log)
    chip.over = True
    fly(device, slots, 100, 110)  # the sample alone
    chip.over = False
    device.restart(110 * MS)
    log.clear()
    fly(device, slots, 110, 130)
    assert log == ["chip id", "chip config", "chip high", "chip low"]


def test_a_sample_that_says_itself_that_it_is_a_bound_is_good_and_counted() -> None:
    class Bound:
        over_range = True

    class Flags(Chip):
        def acquire(self) -> Generator[None, None, Bound]:  # type: ignore[override]
            yield from super().acquire()
            return Bound()

    events: deque[HealthEvent] = deque()
    device: ManagedDevice[int] = ManagedDevice("chip", Flags([]), 50 * MS, 200 * MS, events)
    fly(device, BusSlots([device]), 0, 1000)
    assert device.reading(SECOND).ok
    assert device.state is DeviceState.OK
    assert device.counters.by_cause == {"over_range": device.counters.samples}


def test_over_range_of_a_part_that_is_not_set_up_walks_the_ladder() -> None:
    chip, device, slots, _ = saturating([])
    chip.cause = Cause.OVER_RANGE
    device.restart(100 * MS)
    fly(device, slots, 100, 30_000)
    assert device.state is DeviceState.LOST
