"""Four watchdogs, one source: fed only by the scheduler's word that every critical member made progress."""

from __future__ import annotations

import errno
import struct
from pathlib import Path
from typing import Any

import pytest

from drivers.linux_watchdog import Device as LinuxWatchdog
from drivers.linux_watchdog import Settings
from fdir.codes import Code, Severity
from firmware_py.clock import SimClock
from firmware_py.scheduler import Member, RateGroup, Scheduler
from firmware_py.sd_notify import Notifier
from firmware_py.watchdogs import BOOT_WAIT_NS, HOLD_NS, LINUX_PERIOD_NS, WatchdogCounters, Watchdogs
from hal.profile.board import RateConfig
from tests.firmware_py import rig_craft

MS = 1_000_000
SECOND = 1_000 * MS
KEEP_ALIVE = 0x80045705


class Safety:
    """A safety plane that keeps its kicks."""

    def __init__(self) -> None:
        self.kicks: list[int] = []

    def set_arm(self, level: bool) -> bool:
        raise AssertionError("a watchdog never touches the arm line")

    def set_enable(self, level: bool) -> bool:
        raise AssertionError("a watchdog never touches the enable line")

    def kick(self, now_ns: int) -> None:
        self.kicks.append(now_ns)


class Nodes:
    """Valve nodes that keep what they were told of the heartbeat."""

    def __init__(self) -> None:
        self.told: list[bool] = []

    def set_heartbeat(self, on: bool) -> None:
        self.told.append(on)


class Kernel:
    """A kernel's watchdog behind its ioctls."""

    def __init__(self, folder: Path, timeout_s: int = 10) -> None:
        (folder / "sys/class/watchdog/watchdog0").mkdir(parents=True)
        self.node = folder / "watchdog"
        self.node.touch()
        self.kicks = 0
        self.fault: int | None = None
        self.timeout = timeout_s
        self.device = LinuxWatchdog(
            None, None, Settings(path=str(self.node), timeout_s=timeout_s), sys=folder / "sys", ioctl=self.ioctl
        )

    def ioctl(self, fd: int, request: int, data: bytearray) -> int:
        if self.fault is not None:
            raise OSError(self.fault, "told to")
        if request == KEEP_ALIVE:
            self.kicks += 1
        elif request == 0x80285700:
            data[:] = struct.pack("=II32s", 0x0180, 7, b"Broadcom BCM2835 Watchdog timer")
        elif request in (0xC0045706, 0x80045707):
            data[:] = struct.pack("=i", self.timeout)
        return 0


class Manager:
    """A service manager that keeps its datagrams, and may refuse them."""

    def __init__(self, wait_ms: int | None = 1000) -> None:
        self.words: list[str] = []
        self.deaf = False
        self.notifier = Notifier("/run/notify", None if wait_ms is None else wait_ms * MS, self.send)

    def send(self, data: bytes, address: str | bytes) -> None:
        if self.deaf:
            raise OSError(errno.ECONNREFUSED, "Connection refused")
        self.words.append(data.decode())


class Bench:
    """Watchdogs with everything around them."""

    def __init__(self, kernel: Kernel | None = None, manager: Manager | None = None) -> None:
        self.safety, self.nodes = Safety(), Nodes()
        self.events: list[tuple[Any, ...]] = []
        self.dogs = Watchdogs(
            self.safety, self.nodes, lambda *event: self.events.append(event),
            linux=None if kernel is None else kernel.device, manager=None if manager is None else manager.notifier,
        )

    def feed(self, *times_ms: float) -> None:
        for t_ms in times_ms:
            self.dogs.feed(round(t_ms * MS))


# -- kick line and heartbeat


def test_nothing_beats_or_kicks_before_the_first_progress() -> None:
    bench = Bench()
    assert (bench.nodes.told, bench.safety.kicks) == ([False], [])
    bench.dogs.hold(10 * SECOND)
    assert bench.nodes.told == [False]
    assert bench.dogs.counters == WatchdogCounters()


def test_each_feed_is_one_kick_and_the_heartbeat_is_begun_once() -> None:
    bench = Bench()
    bench.feed(0, 20, 40)
    assert bench.safety.kicks == [0, 20 * MS, 40 * MS]
    assert bench.nodes.told == [False, True]
    assert bench.dogs.counters.feeds == 3


def test_the_heartbeat_goes_on_while_a_feed_is_at_most_60_ms_old() -> None:
    bench = Bench()
    bench.feed(0)
    bench.dogs.hold(HOLD_NS)
    assert bench.nodes.told == [False, True]
    bench.dogs.hold(HOLD_NS + 1)
    assert bench.nodes.told == [False, True, False]
    bench.dogs.hold(HOLD_NS + 5 * MS)
    assert (bench.nodes.told, bench.dogs.counters.withheld) == ([False, True, False], 1)


def test_progress_brings_the_heartbeat_back() -> None:
    bench = Bench()
    bench.feed(0)
    bench.dogs.hold(200 * MS)
    bench.feed(220)
    bench.dogs.hold(280 * MS)
    assert bench.nodes.told == [False, True, False, True]
    bench.dogs.hold(281 * MS)
    assert bench.dogs.counters.withheld == 2


def test_the_end_of_the_program_takes_the_heartbeat_and_tells_the_manager() -> None:
    manager = Manager()
    bench = Bench(manager=manager)
    bench.feed(0)
    bench.dogs.close(SECOND)
    assert bench.nodes.told[-1] is False
    assert manager.words[-1] == "STOPPING=1"
    assert bench.dogs.counters.withheld == 0
    alone = Bench()
    alone.feed(0)
    alone.dogs.close(SECOND)
    assert alone.nodes.told == [False, True, False]


# -- the kernel's


def test_the_kernels_watchdog_is_opened_by_start_alone(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    bench = Bench(kernel)
    bench.feed(0, 3000)
    assert not kernel.device.running
    assert bench.dogs.start(3000 * MS)
    assert kernel.device.running


def test_the_kernel_is_kicked_every_two_seconds_at_most(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    bench = Bench(kernel)
    assert bench.dogs.start(0)
    before = kernel.kicks
    bench.feed(20, 1980, 1999)
    assert kernel.kicks == before
    bench.feed(2000, 2020, 3980, 4000)
    assert kernel.kicks == before + 2
    assert bench.dogs.counters.linux_kicks == 2
    assert LINUX_PERIOD_NS == 2 * SECOND


def test_a_short_time_out_is_kicked_at_a_third_of_it(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, timeout_s=3)
    bench = Bench(kernel)
    bench.dogs.start(0)
    before = kernel.kicks
    bench.feed(999)
    assert kernel.kicks == before
    bench.feed(1000)
    assert kernel.kicks == before + 1


def test_a_watchdog_that_cannot_be_opened_is_told_once_and_flight_goes_on(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    kernel.node.unlink()
    bench = Bench(kernel)
    assert not bench.dogs.start(5)
    bench.feed(2000, 4000)
    [(t_ns, code, severity, text)] = bench.events
    assert (t_ns, code, severity) == (5, Code.WATCHDOG_REFUSED, Severity.WARNING)
    assert text.startswith("kernel: ")
    assert bench.dogs.counters.linux_failures == 1
    assert bench.safety.kicks == [2000 * MS, 4000 * MS]


def test_a_time_out_that_was_not_taken_is_told_and_what_runs_is_kicked(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    kernel.timeout = 16
    bench = Bench(kernel)
    assert not bench.dogs.start(0)
    assert kernel.device.running
    before = kernel.kicks
    bench.feed(20, 1000, 2020)
    assert kernel.kicks == before + 2
    assert len(bench.events) == 1


def test_kicks_that_fail_are_counted_each_and_told_once(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    bench = Bench(kernel)
    bench.dogs.start(0)
    kernel.fault = errno.EIO
    bench.feed(2000, 4000)
    assert (bench.dogs.counters.linux_failures, bench.dogs.counters.linux_kicks) == (2, 0)
    assert len(bench.events) == 1
    kernel.fault = None
    bench.feed(6000)
    assert bench.dogs.counters.linux_kicks == 1


def test_without_a_kernels_watchdog_there_is_nothing_to_start() -> None:
    bench = Bench()
    assert not bench.dogs.start(0)
    assert bench.events == []


# -- the service manager


def test_the_manager_hears_ready_once_and_then_signs_of_life_at_half_of_its_time() -> None:
    manager = Manager(1000)
    bench = Bench(manager=manager)
    assert manager.words == []
    bench.feed(0, 20, 480, 499, 500, 980, 1000)
    assert manager.words == ["WATCHDOG_USEC=10000000", "READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]
    assert bench.dogs.counters.manager_signs == 3


def test_a_manager_that_waits_for_no_sign_gets_none() -> None:
    manager = Manager(None)
    bench = Bench(manager=manager)
    bench.feed(0, 1000, 2000)
    assert manager.words == ["READY=1"]


def test_a_deaf_manager_is_counted_and_told_once_and_nothing_else_suffers() -> None:
    manager = Manager(1000)
    bench = Bench(manager=manager)
    manager.deaf = True
    bench.feed(0, 500, 1000)
    assert bench.dogs.counters.manager_failures == 5
    assert bench.dogs.counters.manager_signs == 0
    assert [event[1:] for event in bench.events] == [
        (Code.WATCHDOG_REFUSED, Severity.WARNING, "service manager: Connection refused")
    ]
    assert len(bench.safety.kicks) == 3


def test_the_manager_waits_longer_in_boot_and_as_it_was_told_from_then_on() -> None:
    manager = Manager(1000)
    bench = Bench(manager=manager)
    bench.dogs.boot_over(0)
    assert manager.words == [], "nothing was asked for yet"
    bench.feed(0)
    assert manager.words[:2] == [f"WATCHDOG_USEC={BOOT_WAIT_NS // 1000}", "READY=1"]
    bench.feed(500)
    bench.dogs.boot_over(600 * MS)
    bench.dogs.boot_over(620 * MS)
    assert manager.words[3:] == ["WATCHDOG=1", "WATCHDOG_USEC=1000000"]


def test_a_manager_that_does_not_hear_that_boot_is_over_is_told_again() -> None:
    manager = Manager(1000)
    bench = Bench(manager=manager)
    bench.feed(0)
    del manager.words[:]
    manager.deaf = True
    for t_ms in (20, 40, 519):
        bench.dogs.boot_over(t_ms * MS)
    assert bench.dogs.counters.manager_failures == 1
    manager.deaf = False
    bench.dogs.boot_over(520 * MS)
    bench.dogs.boot_over(2000 * MS)
    assert manager.words == ["WATCHDOG_USEC=1000000"]


def test_a_manager_that_is_patient_enough_is_not_asked_to_wait() -> None:
    manager = Manager(30_000)
    bench = Bench(manager=manager)
    bench.feed(0)
    bench.dogs.boot_over(20 * MS)
    assert manager.words == ["READY=1", "WATCHDOG=1"]


def test_a_status_is_sent_when_it_changes() -> None:
    manager = Manager()
    bench = Bench(manager=manager)
    for text in ("Idle", "Idle", "SAFE\nbus low", "SAFE\nbus low"):
        bench.dogs.status(0, text)
    assert manager.words == ["STATUS=Idle", "STATUS=SAFE bus low"]
    Bench().dogs.status(0, "nobody listens")


# -- with the scheduler


class Craft:
    """A scheduler of two members, whose hooks are the watchdogs'."""

    def __init__(self) -> None:
        self.stuck: set[str] = set()
        self.bench = Bench()
        self.clock = SimClock()
        members = [self._member("sense", True), self._member("diary", False)]
        self.scheduler = Scheduler(
            RateConfig(fast_hz=200, medium_hz=20, slow_hz=2), members, self.clock, lambda *_: None, lambda _: None,
            self.bench.dogs.feed,
        )

    def _member(self, name: str, critical: bool) -> Member:
        def step(now_ns: int) -> None:
            if name in self.stuck:
                raise RuntimeError(name)

        return Member(name, step, RateGroup.FAST, 0, 100, critical)

    def fly(self, ms: int) -> None:
        for _ in range(ms // 5):
            self.scheduler.run_tick()
            self.bench.dogs.hold(self.clock.now_ns())


def test_a_critical_member_without_progress_starves_all_and_its_return_feeds_all() -> None:
    craft = Craft()
    craft.fly(100)
    assert craft.bench.nodes.told == [False, True]
    craft.stuck = {"sense"}
    craft.fly(200)
    last = craft.bench.safety.kicks[-1]
    # Two misses may still be fed; the third is not.
    assert last <= 110 * MS
    assert craft.bench.nodes.told == [False, True, False]
    craft.stuck = set()
    craft.fly(40)
    assert craft.bench.safety.kicks[-1] >= 300 * MS
    assert craft.bench.nodes.told == [False, True, False, True]


def test_a_member_that_is_not_critical_starves_nobody() -> None:
    craft = Craft()
    craft.stuck = {"diary"}
    craft.fly(500)
    assert craft.bench.nodes.told == [False, True]
    assert craft.bench.dogs.counters.feeds == 25


@pytest.mark.parametrize("age_ms", [100, 500])
def test_ticks_that_do_not_run_feed_nobody(age_ms: int) -> None:
    craft = Craft()
    craft.fly(100)
    kicks = len(craft.bench.safety.kicks)
    craft.clock.charge(age_ms * MS)
    assert len(craft.bench.safety.kicks) == kicks
    craft.bench.dogs.hold(craft.clock.now_ns())
    assert craft.bench.nodes.told[-1] is False


# -- on the craft


def test_a_stuck_member_takes_the_valves_from_the_whole_craft_and_gives_them_back() -> None:
    stuck = False

    def step(now_ns: int) -> None:
        if stuck:
            raise RuntimeError("stuck")

    craft = rig_craft.Craft(more_members=[Member("probe", step, RateGroup.FAST, 0, 100, True)])
    craft.boot()
    assert all(node.armed for node in craft.rig.nodes.values())
    stuck = True
    # 10 ms to the third miss, up to 20 ms before it was the last feed, 60 ms, and 100 ms in the nodes; a tick each.
    craft.run(0.2)
    assert not any(node.armed for node in craft.rig.nodes.values())
    assert craft.program.watchdogs.counters.withheld == 1
    assert "WATCHDOG_STARVED" in craft.codes
    stuck = False
    craft.run(2.0)
    assert all(node.armed for node in craft.rig.nodes.values())
    assert craft.program.watchdogs.counters.withheld == 1
