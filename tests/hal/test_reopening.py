"""A bus that is gone and that no slot would notice: opened anew after a second, then ever more rarely."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

from drivers.errors import Cause, DeviceError
from hal.recovery import BusGuard, InlineWorker, Rung
from hal.reopening import Reopener, absences

MS = 1_000_000
SECOND = 1_000_000_000


class Port:
    """A port of which all transfers fail while it is gone, looked at every 50 ms."""

    def __init__(self, guard: BusGuard | None = None) -> None:
        self.gone = False
        self.refuses = False
        self.failures = 0
        self.opened: list[float] = []
        self.told: list[int] = []
        self.now_ns = 0
        self.reopener = Reopener(self, lambda: self.failures, lambda: not self.gone, self.told.append, guard)

    def reopen(self) -> None:
        self.opened.append(self.now_ns / SECOND)
        if self.refuses:
            raise DeviceError("usb3", None, Cause.ABSENT)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 20)):
            self.failures += self.gone
            self.reopener.step(self.now_ns)
            self.now_ns += 50 * MS


def test_a_port_that_is_there_is_never_opened_anew() -> None:
    port = Port()
    port.failures = 0
    port.run(100.0)
    assert port.opened == []


def test_the_first_attempt_comes_after_a_second_and_each_pause_is_twice_as_long_up_to_a_minute() -> None:
    port = Port()
    port.gone = port.refuses = True
    port.run(400.0)
    pauses = [round(b - a, 2) for a, b in pairwise([0.0, *port.opened])]
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0, 60.0]
    assert port.told == [], "it was never open"


def test_who_uses_it_is_told_when_it_is_open_again() -> None:
    port = Port()
    port.gone = True
    port.run(1.05)
    assert port.told == [SECOND]
    port.gone = False
    port.run(10.0)
    assert port.opened == [1.0]


def test_a_port_that_comes_back_by_itself_within_a_second_is_left_alone_and_the_pauses_begin_anew() -> None:
    port = Port()
    port.gone = True
    port.run(0.9)
    port.gone = False
    port.run(60.0)
    assert port.opened == []
    port.gone = port.refuses = True
    since = port.now_ns / SECOND
    port.run(3.5)
    assert [round(t - since, 2) for t in port.opened] == [1.0, 3.0]


def test_while_the_buss_own_recovery_has_it_in_hand_it_is_not_opened() -> None:
    def fails() -> None:
        raise DeviceError("spi0", None, Cause.ABSENT)

    guard = BusGuard("spi0", [(Rung.REOPEN, lambda: None)], fails, InlineWorker(), deque())
    port = Port(guard)
    port.gone = port.refuses = True
    guard.note("imu_b", DeviceError("spi0", None, Cause.ABSENT), 0)
    port.run(20.0)
    assert port.opened == []


def test_only_what_is_not_there_counts_as_absent_by_cause_or_by_its_word() -> None:
    assert absences({}) == 0
    assert absences({"absent": 2, "permission": 3, "timeout": 50}) == 5
    assert absences({Cause.ABSENT: 1, Cause.PERMISSION: 1, Cause.BUS_OFF: 7}) == 2
