"""Real-time set-up: grants what the kernel grants, tells what it refuses, puts everything back."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Callable, Iterator

import pytest

from firmware_py.realtime import EVENT_DEGRADED, IdleCollector, LinuxKernel, enter, leave
from hal.profile.board import RealtimeConfig

FIFO = 1


class FakeKernel:
    """Keeps what was asked for; refuses what ``refuses`` maps to an errno."""

    def __init__(self, **refuses: int) -> None:
        self.refuses = refuses
        self.policy = (0, 0)
        self.cpus = frozenset({0, 1, 2, 3})
        self.locked = False
        self.slack = 50_000
        self.calls: list[str] = []

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.refuses:
            raise OSError(self.refuses[name], os.strerror(self.refuses[name]))

    def scheduler(self) -> tuple[int, int]:
        return self.policy

    def set_scheduler(self, policy: int, priority: int) -> None:
        self._call("set_scheduler")
        self.policy = (policy, priority)

    def affinity(self) -> frozenset[int]:
        return self.cpus

    def set_affinity(self, cpus: frozenset[int]) -> None:
        self._call("set_affinity")
        self.cpus = cpus

    def lock_memory(self) -> None:
        self._call("lock_memory")
        self.locked = True

    def unlock_memory(self) -> None:
        self._call("unlock_memory")
        self.locked = False

    def timer_slack_ns(self) -> int:
        return self.slack

    def set_timer_slack_ns(self, slack_ns: int) -> None:
        self._call("set_timer_slack_ns")
        self.slack = slack_ns


@pytest.fixture(autouse=True)
def _collector_as_found() -> Iterator[None]:
    enabled = gc.isenabled()
    yield
    gc.unfreeze()
    if enabled:
        gc.enable()


def events_of(events: list[tuple[str, str, str]]) -> Callable[[str, str, str], None]:
    return lambda code, measure, name: events.append((code, measure, name))


CONFIG = RealtimeConfig(priority=50, cpu=3, spin_us=100, lock_memory=True)


def test_everything_granted_is_set_and_told_nothing_about() -> None:
    kernel = FakeKernel()
    events: list[tuple[str, str, str]] = []
    status = enter(CONFIG, events_of(events), kernel)
    assert (kernel.policy, kernel.cpus, kernel.locked, kernel.slack) == ((FIFO, 50), frozenset({3}), True, 1)
    assert status.complete
    assert (status.priority, status.cpu, status.memory_locked, status.timer_slack_ns) == (50, 3, True, 1)
    assert events == []
    leave(status, kernel)


def test_fifo_comes_last() -> None:
    kernel = FakeKernel()
    leave(enter(CONFIG, events_of([]), kernel), kernel)
    assert kernel.calls[:4] == ["lock_memory", "set_affinity", "set_timer_slack_ns", "set_scheduler"]


def test_leaving_puts_everything_back() -> None:
    kernel = FakeKernel()
    leave(enter(CONFIG, events_of([]), kernel), kernel)
    assert (kernel.policy, kernel.cpus, kernel.locked, kernel.slack) == ((0, 0), frozenset({0, 1, 2, 3}), False, 50_000)
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize(
    ("call", "measure", "refused"),
    [
        ("set_scheduler", "fifo", errno.EPERM),
        ("set_affinity", "cpu", errno.EINVAL),
        ("lock_memory", "memory", errno.ENOMEM),
        ("set_timer_slack_ns", "timer_slack", errno.ENOSYS),
    ],
)
def test_one_refusal_degrades_that_measure_alone(call: str, measure: str, refused: int) -> None:
    kernel = FakeKernel(**{call: refused})
    events: list[tuple[str, str, str]] = []
    status = enter(CONFIG, events_of(events), kernel)
    assert events == [(EVENT_DEGRADED, measure, errno.errorcode[refused])]
    assert status.degraded == ((measure, errno.errorcode[refused]),)
    granted = {
        "fifo": status.priority is not None, "cpu": status.cpu is not None, "memory": status.memory_locked,
        "timer_slack": status.timer_slack_ns is not None,
    }
    assert [name for name, given in granted.items() if not given] == [measure]
    kernel.calls.clear()
    leave(status, kernel)
    assert call not in kernel.calls
    assert (kernel.policy, kernel.cpus, kernel.locked, kernel.slack) == ((0, 0), frozenset({0, 1, 2, 3}), False, 50_000)


def test_without_any_right_the_flight_goes_on_degraded() -> None:
    refuse_all = dict.fromkeys(("set_scheduler", "set_affinity", "lock_memory", "set_timer_slack_ns"), errno.EPERM)
    kernel = FakeKernel(**refuse_all)
    events: list[tuple[str, str, str]] = []
    status = enter(CONFIG, events_of(events), kernel)
    assert [measure for _, measure, _ in events] == ["memory", "cpu", "timer_slack", "fifo"]
    assert not status.complete
    leave(status, kernel)


def test_what_was_not_asked_for_is_not_touched() -> None:
    kernel = FakeKernel()
    status = enter(RealtimeConfig(cpu=None, lock_memory=False), events_of([]), kernel)
    assert "set_affinity" not in kernel.calls
    assert "lock_memory" not in kernel.calls
    assert status.complete
    leave(status, kernel)


def test_leaving_tries_everything_before_it_reports_a_refusal() -> None:
    kernel = FakeKernel()
    status = enter(CONFIG, events_of([]), kernel)
    kernel.refuses = {"set_scheduler": errno.EPERM}
    with pytest.raises(PermissionError):
        leave(status, kernel)
    assert not kernel.locked
    assert kernel.cpus == frozenset({0, 1, 2, 3})
    assert gc.isenabled()


def test_the_collector_is_off_and_what_lives_is_frozen() -> None:
    kernel = FakeKernel()
    status = enter(CONFIG, events_of([]), kernel)
    assert not gc.isenabled()
    assert gc.get_freeze_count() > 0
    leave(status, kernel)


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    kernel = FakeKernel()
    leave(enter(CONFIG, events_of([]), kernel), kernel)
    assert not gc.isenabled()
    gc.enable()


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="the kernel calls are Linux's")
def test_on_this_machine_entering_and_leaving_changes_nothing_for_good() -> None:
    kernel = LinuxKernel()
    cpu = min(kernel.affinity())
    before = (kernel.scheduler(), kernel.affinity(), kernel.timer_slack_ns())
    status = enter(RealtimeConfig(priority=1, cpu=cpu, lock_memory=True), events_of([]), kernel)
    during = (kernel.scheduler(), kernel.affinity(), kernel.timer_slack_ns())
    leave(status, kernel)
    assert during[1] == frozenset({cpu})
    assert during[2] <= 1  # 0: kernels from 6.13 on give a FIFO thread none
    assert (during[0] == (FIFO, 1)) == (status.priority == 1)
    assert (kernel.scheduler(), kernel.affinity(), kernel.timer_slack_ns()) == before


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="the kernel calls are Linux's")
def test_this_kernel_refuses_a_processor_that_is_not_there() -> None:
    events: list[tuple[str, str, str]] = []
    status = enter(RealtimeConfig(priority=1, cpu=1023, lock_memory=False), events_of(events))
    leave(status)
    assert (EVENT_DEGRADED, "cpu", "EINVAL") in events


class Node:
    """Refers to itself, so that only the collector frees it."""

    alive = 0

    def __init__(self) -> None:
        self.me = self
        Node.alive += 1

    def __del__(self) -> None:
        Node.alive -= 1


@pytest.fixture
def _frozen() -> Iterator[None]:
    gc.collect()
    gc.freeze()
    gc.disable()
    gc.collect(0)
    Node.alive = 0
    yield
    gc.enable()


@pytest.mark.usefixtures("_frozen")
def test_cycles_are_collected_when_there_is_time() -> None:
    collector = IdleCollector(object_ns=100, least=64, most=4000)
    for _ in range(200):
        Node()
    assert Node.alive == 200
    collector.step(1_000_000)
    assert Node.alive == 0
    assert collector.collections == 1


@pytest.mark.usefixtures("_frozen")
def test_no_collection_starts_that_might_not_fit() -> None:
    collector = IdleCollector(object_ns=100, least=64, most=4000)
    for _ in range(200):
        Node()
    collector.step(10_000)
    assert Node.alive == 200
    assert (collector.collections, collector.postponed) == (0, 1)


@pytest.mark.usefixtures("_frozen")
def test_a_few_objects_are_not_worth_a_collection() -> None:
    collector = IdleCollector(least=10_000)
    collector.step(1_000_000_000)
    assert collector.collections == 0


@pytest.mark.usefixtures("_frozen")
def test_a_cycle_that_outlives_one_collection_is_still_found() -> None:
    collector = IdleCollector(object_ns=1, least=1, most=400)
    held = [Node() for _ in range(150)]
    collector.step(1_000_000)
    assert Node.alive == 150
    held.clear()
    Node()
    collector.step(1_000_000)
    assert Node.alive == 0


@pytest.mark.usefixtures("_frozen")
def test_a_backlog_beyond_any_slack_is_frozen_and_counted() -> None:
    collector = IdleCollector(least=1, most=500)
    held = [Node() for _ in range(1000)]
    before = gc.get_freeze_count()
    collector.step(1_000)
    assert gc.get_freeze_count() >= before + 1000
    assert collector.frozen >= 1000
    assert gc.get_count()[0] < 100
    assert len(held) == Node.alive
