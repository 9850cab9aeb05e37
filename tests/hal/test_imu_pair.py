"""Inertial units that change places: by order only, never for one that has no good sample, never to and fro."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator

import pytest

from drivers.errors import Cause, DeviceError
from drivers.samples import ImuSample
from hal.device_health import DeviceState, HealthEvent
from hal.imu_pair import ImuPair, InertialUnit
from hal.manager import BusSlots, ManagedDevice
from hal.reading import Quality
from hal.sensors import ImuDevice

MS = 1_000_000
IDENTITY = (1.0, 0.0, 0.0, 0.0)
TURNED = (0.0, 0.0, 0.0, 1.0)
"""Half a turn about z: x and y change their sign."""


class Chip:
    """A driver whose rate about x tells which one it is; fails while ``cause`` is set."""

    def __init__(self, number: float) -> None:
        self.number = number
        self.cause: Cause | None = None
        self.asked = 0

    def _ask(self) -> ImuSample:
        self.asked += 1
        if self.cause is not None:
            raise DeviceError("spi0", 0, self.cause)
        return ImuSample((self.number, 0.0, 0.0), (0.0, 0.0, 0.0), 20.0, self.asked & 0xFFFF)

    def initialise(self) -> Generator[None, None, None]:
        self._ask()
        yield

    def acquire(self) -> Generator[None, None, ImuSample]:
        yield  # a sample of two transactions: the unit may have to take over in the middle of one
        return self._ask()

    def read(self, now_ns: int) -> ImuSample:
        return self._ask()


class Craft:
    """Units on two buses, served every 5 ms."""

    def __init__(self, count: int = 2) -> None:
        self.events: deque[HealthEvent] = deque()
        self.chips = [Chip(float(number)) for number in range(count)]
        units = []
        for number, chip in enumerate(self.chips):
            period, timeout = (5 * MS, 25 * MS) if number == 0 else (50 * MS, 500 * MS)
            managed: ManagedDevice[ImuSample] = ManagedDevice(f"imu{number}", chip, period, timeout, self.events)
            device = ImuDevice(chip, managed, TURNED if number == 1 else IDENTITY)
            units.append(InertialUnit(f"imu{number}", f"spi{number % 2}", (float(number), 0.0, 0.0), device))
        self.pair = ImuPair(units)
        self.slots = {
            bus: BusSlots(unit.device.managed for unit in units[1:] if unit.bus == bus) for bus in ("spi0", "spi1")
        }
        self.pair.attach(self.slots)
        self.now_ns = 0

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            self.now_ns += 5 * MS
            self.pair.sense(self.now_ns)
            for slots in self.slots.values():
                slots.step(self.now_ns)

    def rate(self) -> float | None:
        value = self.pair.reading.value
        return None if value is None else value.rate_rad_s[0]


def test_the_first_unit_is_flown_at_start_and_the_others_are_asked_in_slots() -> None:
    craft = Craft()
    craft.run(100)
    assert (craft.pair.flown.name, craft.pair.switches, craft.pair.units_left) == ("imu0", 0, 2)
    assert craft.pair.ready
    assert craft.rate() == 0.0
    assert craft.chips[0].asked > 95
    assert craft.chips[1].asked in range(9, 13)


def test_units_change_places_and_rates_at_once_and_the_mounting_is_the_new_ones() -> None:
    craft = Craft()
    craft.run(100)
    assert craft.pair.switch(craft.now_ns)
    craft.run(2)
    assert (craft.pair.flown.name, craft.pair.flown.position_m, craft.pair.switches) == ("imu1", (1.0, 0.0, 0.0), 1)
    assert craft.rate() == -1.0
    asked = [chip.asked for chip in craft.chips]
    craft.run(100)
    assert craft.chips[1].asked - asked[1] == 100
    assert craft.chips[0].asked - asked[0] in (9, 10, 11)
    assert craft.pair.reading.t_ns == craft.now_ns


@pytest.mark.parametrize("ticks", range(100, 112))
def test_wherever_its_sequence_stands_the_new_unit_has_a_reading_after_two_ticks_at_most(ticks: int) -> None:
    craft = Craft()
    craft.run(ticks)
    craft.pair.switch(craft.now_ns)
    assert craft.pair.reading.quality is Quality.ABSENT
    craft.run(2)
    assert craft.pair.reading.ok
    assert craft.pair.reading.t_ns == craft.now_ns


def test_what_a_unit_said_when_it_was_last_flown_is_not_its_reading_when_it_is_flown_again() -> None:
    craft = Craft()
    craft.run(100)
    craft.pair.switch(craft.now_ns)
    craft.run(100)
    assert craft.pair.switch(craft.now_ns)
    assert craft.pair.flown.name == "imu0"
    assert craft.pair.reading.quality is Quality.ABSENT
    assert craft.pair.reading.value is None


def test_the_unit_that_was_left_can_be_judged_by_its_samples_though_its_own_time_out_is_short() -> None:
    craft = Craft()
    craft.run(100)
    craft.pair.switch(craft.now_ns)
    craft.run(20)
    for _ in range(50):
        craft.run(1)
        assert craft.pair.units[0].device.managed.reading(craft.now_ns).ok


@pytest.mark.parametrize("cause", [Cause.TIMEOUT, Cause.IMPLAUSIBLE])
def test_no_unit_is_taken_that_does_not_answer_well(cause: Cause) -> None:
    craft = Craft()
    craft.run(100)
    craft.chips[1].cause = cause
    craft.run(250)
    assert not craft.pair.switch(craft.now_ns)
    assert (craft.pair.flown.name, craft.pair.switches) == ("imu0", 0)
    assert craft.rate() == 0.0


def test_a_unit_that_was_never_set_up_is_not_taken() -> None:
    craft = Craft()
    assert not craft.pair.switch(0)
    assert craft.pair.flown.name == "imu0"


def test_a_single_unit_has_no_other() -> None:
    craft = Craft(count=1)
    craft.run(100)
    assert not craft.pair.switch(craft.now_ns)
    assert craft.pair.units_left == 1


def test_a_unit_that_was_never_flown_comes_before_one_that_was_left_and_that_before_one_left_later() -> None:
    craft = Craft(count=3)
    craft.run(100)
    flown = []
    for _ in range(5):
        assert craft.pair.switch(craft.now_ns)
        flown.append(craft.pair.flown.name)
        craft.run(100)
    assert flown == ["imu1", "imu2", "imu0", "imu1", "imu2"]


def test_a_dead_unit_that_is_left_walks_its_own_ladder_on_and_counts_as_lost() -> None:
    craft = Craft()
    craft.run(100)
    craft.chips[0].cause = Cause.TIMEOUT
    craft.run(10)
    assert not craft.pair.reading.ok
    assert craft.pair.switch(craft.now_ns)
    craft.run(4000)
    assert craft.pair.units[0].device.managed.state is DeviceState.LOST
    assert craft.pair.units_left == 1
    assert craft.rate() == -1.0
    craft.chips[0].cause = None
    craft.run(2000)
    assert craft.pair.units_left == 2
    assert craft.pair.flown.name == "imu1", "nothing is switched back by itself"


def test_the_rate_of_the_unit_that_stands_by_is_told_in_the_body_frame_while_it_is_good() -> None:
    craft = Craft()
    assert craft.pair.spare_rate(0) is None
    craft.run(100)
    told = craft.pair.spare_rate(craft.now_ns)
    assert told is not None
    assert told[1] == pytest.approx((-1.0, 0.0, 0.0))
    assert 0 <= craft.now_ns - told[0] <= 60 * MS
    craft.chips[1].cause = Cause.IMPLAUSIBLE
    craft.run(20)
    assert craft.pair.spare_rate(craft.now_ns) is None


def test_a_single_unit_has_none_that_stands_by() -> None:
    craft = Craft(count=1)
    craft.run(100)
    assert craft.pair.spare_rate(craft.now_ns) is None
