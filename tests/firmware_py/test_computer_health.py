"""The flight computer's own health: what it says, what it cannot say, steps of the calendar, and the worst so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fdir.facts import ComputerFacts
from firmware_py.computer_health import ComputerHealth, HealthMarks, HealthSample, LinuxHealth
from hil.chips.linux_platform import LinuxPlatform, Throttle

SECOND = 1_000_000_000
UTC_2026 = 1_782_000_000 * SECOND


class Port:
    """A computer that says what it is told to."""

    def __init__(self, *sample: object) -> None:
        self.sample = HealthSample(*sample) if sample else HealthSample(False, 3000.0, 8000.0)

    def look(self) -> HealthSample:
        return self.sample


@dataclass
class Ring:
    failures: int = 0


@dataclass
class Rings:
    fast: Ring = field(default_factory=Ring)
    medium: Ring = field(default_factory=Ring)


@dataclass
class Recorder:
    stopped: str | None = None
    dropped: int = 0
    rings: Rings = field(default_factory=Rings)


class Bench:
    """Health over a computer, a calendar and a recorder, all settable; ``step`` lets time pass."""

    def __init__(self, recorder: Recorder | None = None, sample: HealthSample | None = None) -> None:
        self.port = Port()
        if sample is not None:
            self.port.sample = sample
        self.now_ns = 0
        self.off_ns = UTC_2026
        self.health = ComputerHealth(self.port, lambda: self.now_ns + self.off_ns, lambda: self.now_ns, recorder)

    def step(self, seconds: float = 0.5) -> ComputerFacts:
        facts = self.health.step(self.now_ns)
        self.now_ns += round(seconds * SECOND)
        return facts


def test_what_the_computer_says_is_passed_on() -> None:
    bench = Bench(Recorder(dropped=3), HealthSample(True, 12.5, 7.25))
    assert bench.step() == ComputerFacts(
        throttled=True, memory_free_mb=12.5, disk_free_mb=7.25, clock_jump_s=None, recorder_failed=False,
        recorder_dropped=3, blackbox_lost=False,
    )


def test_what_nobody_can_tell_is_missing() -> None:
    bench = Bench(None, HealthSample(None, None, None))
    assert bench.step() == ComputerFacts()
    bench.step()
    assert bench.health.rings_refuse is None
    assert bench.health.marks == HealthMarks(None, None, 0.0, 0)


# -- the calendar


def test_a_calendar_that_runs_with_the_monotonic_clock_has_not_stepped() -> None:
    bench = Bench()
    assert bench.step().clock_jump_s is None
    assert [bench.step().clock_jump_s for _ in range(5)] == [0.0] * 5


@pytest.mark.parametrize("step_s", [3600.0, -3600.0, 1e8])
def test_a_step_is_told_by_its_size_whichever_way_it_went(step_s: float) -> None:
    bench = Bench()
    bench.step()
    bench.off_ns += round(step_s * SECOND)
    assert bench.step().clock_jump_s == pytest.approx(abs(step_s), abs=1e-9)


def test_a_step_is_remembered_for_less_than_ten_seconds() -> None:
    bench = Bench()
    bench.step()
    bench.off_ns += 5 * SECOND
    seen = [bench.step().clock_jump_s for _ in range(22)]
    # Found at 0.5 s; looked at again at 10.0 s, and at 10.5 s ten seconds have passed.
    assert seen == [5.0] * 20 + [0.0] * 2


def test_the_largest_of_several_steps_counts_and_they_do_not_cancel() -> None:
    bench = Bench()
    bench.step()
    bench.off_ns += 2 * SECOND
    assert bench.step().clock_jump_s == 2.0
    bench.off_ns -= 7 * SECOND
    assert bench.step().clock_jump_s == 7.0
    bench.off_ns += 5 * SECOND
    assert bench.step().clock_jump_s == 7.0


def test_a_step_while_nobody_looked_is_still_found() -> None:
    bench = Bench()
    bench.step(seconds=30.0)
    bench.off_ns -= 4 * SECOND
    assert bench.step().clock_jump_s == 4.0


# -- the recorder


def test_a_black_box_that_stopped_has_failed() -> None:
    recorder = Recorder()
    bench = Bench(recorder)
    assert bench.step().recorder_failed is False
    recorder.stopped, recorder.dropped = "No space left on device", 17
    facts = bench.step()
    assert (facts.recorder_failed, facts.recorder_dropped) == (True, 17)


def test_the_rings_refuse_only_while_both_do() -> None:
    recorder = Recorder(rings=Rings(Ring(4), Ring(4)))
    bench = Bench(recorder)
    said = []
    for fast, medium in ((4, 4), (5, 4), (5, 5), (6, 6), (6, 6), (9, 7)):
        recorder.rings.fast.failures, recorder.rings.medium.failures = fast, medium
        bench.step()
        said.append(bench.health.rings_refuse)
    assert said == [False, False, False, True, False, True]


# -- the worst so far


def test_marks_keep_the_worst_and_survive_what_is_missing() -> None:
    bench = Bench()
    for throttled, memory, disk in ((False, 300.0, None), (True, 50.0, 80.0), (None, None, 90.0), (True, 200.0, 70.0)):
        bench.port.sample = HealthSample(throttled, memory, disk)
        bench.off_ns += SECOND // 4
        bench.step()
    assert bench.health.marks == HealthMarks(50.0, 70.0, 0.25, 2)


def test_marks_begin_afresh_when_they_are_reset() -> None:
    bench = Bench(sample=HealthSample(True, 1.0, 2.0))
    bench.step()
    bench.health.reset_marks()
    assert bench.health.marks == HealthMarks()
    bench.port.sample = HealthSample(False, 10.0, 20.0)
    bench.step()
    assert bench.health.marks == HealthMarks(10.0, 20.0, 0.0, 0)


# -- a computer with Linux


def test_a_raspberry_pi_is_read_from_its_own_files(tmp_path: Path) -> None:
    chip = LinuxPlatform(tmp_path, lambda: 0)
    chip.memory_available_bytes = 1500 * 1024 * 1024
    chip.publish()
    health = LinuxHealth(tmp_path, root=tmp_path)
    sample = health.look()
    assert sample.throttled is False
    assert sample.memory_free_mb == pytest.approx(1500 * 1024 * 1024 / 1e6)
    chip.throttle = Throttle.THROTTLED
    chip.publish()
    assert health.look().throttled is True


def test_the_disk_is_that_of_the_folder(tmp_path: Path) -> None:
    from os import statvfs

    free = statvfs(tmp_path)
    sample = LinuxHealth(tmp_path).look()
    assert sample.disk_free_mb is not None
    assert sample.disk_free_mb == pytest.approx(free.f_bavail * free.f_frsize / 1e6, rel=0.05)


def test_a_computer_without_files_says_nothing(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    sample = LinuxHealth(Path("/no such folder"), root=empty).look()
    assert sample == HealthSample(None, None, None)


def test_nonsense_in_a_file_is_missing_and_nothing_is_raised(tmp_path: Path) -> None:
    chip = LinuxPlatform(tmp_path, lambda: 0)
    chip.unreadable = {"proc/meminfo"}
    chip.garbage = "rubbish\n"
    chip.publish()
    assert LinuxHealth(tmp_path, root=tmp_path).look().memory_free_mb is None
