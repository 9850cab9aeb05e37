"""Clock: simulated time moves only when told, real waits never end early, UTC steps leave flight time alone."""

from __future__ import annotations

import pytest

from firmware_py.clock import (
    ClockMeter,
    MachineTime,
    NullMeter,
    PacedClock,
    RealClock,
    RealMeter,
    SimClock,
    timer_resolution_ns,
)

MS = 1_000_000


class FakeMachine:
    """A machine whose clock ticks ``reading_ns`` a reading and whose sleeps end ``oversleep_ns`` late."""

    def __init__(self, start_ns: int = 7_000_000_000, reading_ns: int = 50, oversleep_ns: int = 0) -> None:
        self.t_ns = start_ns
        self.utc_offset_ns = 1_800_000_000_000_000_000
        self.reading_ns = reading_ns
        self.oversleep_ns = oversleep_ns
        self.sleeps_ns: list[int] = []
        self.time = MachineTime(self._read, self._sleep, lambda: self.t_ns + self.utc_offset_ns)

    def _read(self) -> int:
        self.t_ns += self.reading_ns
        return self.t_ns

    def _sleep(self, seconds: float) -> None:
        self.sleeps_ns.append(round(seconds * 1e9))
        self.t_ns += self.sleeps_ns[-1] + self.oversleep_ns



def test_real_clock_starts_at_zero() -> None:
    machine = FakeMachine()
    assert RealClock(0, machine=machine.time).now_ns() == machine.reading_ns


def test_real_clock_sleeps_to_the_spin_and_polls_the_rest() -> None:
    machine = FakeMachine(oversleep_ns=60_000)
    clock = RealClock(0, spin_us=100, machine=machine.time)
    lateness = clock.sleep_until_ns(5 * MS)
    assert machine.sleeps_ns == [pytest.approx(5 * MS - 100_000, abs=200)]
    assert 0 <= lateness <= machine.reading_ns


def test_real_clock_never_wakes_early_even_if_the_sleep_does() -> None:
    machine = FakeMachine(oversleep_ns=-300_000)
    clock = RealClock(0, spin_us=100, machine=machine.time)
    clock.sleep_until_ns(5 * MS)
    assert clock.now_ns() >= 5 * MS


def test_real_clock_reports_how_late_the_sleep_ended() -> None:
    machine = FakeMachine(oversleep_ns=350_000)
    clock = RealClock(0, spin_us=100, machine=machine.time)
    assert clock.sleep_until_ns(5 * MS) == pytest.approx(250_000, abs=200)


def test_real_clock_does_not_sleep_for_what_has_passed() -> None:
    machine = FakeMachine()
    clock = RealClock(0, machine=machine.time)
    machine.t_ns += 9 * MS
    assert clock.sleep_until_ns(4 * MS) == pytest.approx(5 * MS, abs=200)
    assert machine.sleeps_ns == []


def test_real_clock_takes_utc_once_or_as_given() -> None:
    machine = FakeMachine(reading_ns=0)
    clock = RealClock(machine=machine.time)
    machine.utc_offset_ns += 3_600_000_000_000
    machine.t_ns += 2 * MS
    assert clock.utc_ns() == 1_800_000_007_000_000_000 + 2 * MS
    assert RealClock(1000, machine=machine.time).utc_ns() == 1000


def test_correcting_utc_leaves_flight_time_alone() -> None:
    machine = FakeMachine(reading_ns=0)
    clock = RealClock(0, machine=machine.time)
    machine.t_ns += 3 * MS
    assert clock.set_utc_ns(1_000 * MS) == 997 * MS
    assert clock.utc_ns() == 1_000 * MS
    assert clock.now_ns() == 3 * MS


def test_negative_spin_is_refused() -> None:
    with pytest.raises(ValueError, match="spin_us"):
        RealClock(0, spin_us=-1)


def test_sim_clock_moves_the_world_to_the_deadline_before_it_wakes() -> None:
    seen: list[tuple[int, int]] = []
    clock = SimClock(10, lambda t: seen.append((t, clock.now_ns())))
    assert clock.sleep_until_ns(5 * MS) == 0
    assert seen == [(5 * MS, 5 * MS)]
    assert clock.now_ns() == 5 * MS
    assert clock.utc_ns() == 10 + 5 * MS


def test_sim_clock_never_runs_backwards() -> None:
    clock = SimClock()
    clock.sleep_until_ns(5 * MS)
    assert clock.sleep_until_ns(3 * MS) == 2 * MS
    assert clock.now_ns() == 5 * MS


def test_world_is_moved_once_to_each_instant() -> None:
    seen: list[int] = []
    clock = SimClock(0, seen.append)
    for _ in range(3):
        clock.sleep_until_ns(5 * MS)
    assert seen == [5 * MS]


def test_charged_time_makes_the_next_wait_late_and_the_world_follows_there() -> None:
    seen: list[int] = []
    clock = SimClock(0, seen.append)
    clock.sleep_until_ns(5 * MS)
    clock.charge(7 * MS)
    assert clock.now_ns() == 12 * MS
    assert seen == [5 * MS]
    assert clock.sleep_until_ns(10 * MS) == 2 * MS
    assert seen == [5 * MS, 12 * MS]


def test_charging_backwards_is_refused() -> None:
    with pytest.raises(ValueError, match="backwards"):
        SimClock().charge(-1)


def test_paced_clock_gives_exact_deadlines_and_real_lateness() -> None:
    machine = FakeMachine(reading_ns=0, oversleep_ns=400_000)
    machine.time = machine.time._replace(monotonic_ns=machine._read)
    clock = PacedClock(0, None, spin_us=100, machine=machine.time)
    clock.sleep_until_ns(0)
    assert clock.sleep_until_ns(5 * MS) == 300_000
    assert clock.now_ns() == 5 * MS


def test_paced_clock_advances_the_world_in_the_idle_part() -> None:
    machine = FakeMachine(reading_ns=50)
    clock = PacedClock(0, lambda t: machine._sleep(0.002), spin_us=100, machine=machine.time)
    clock.sleep_until_ns(0)
    machine.sleeps_ns.clear()
    assert clock.sleep_until_ns(5 * MS) <= 50
    assert machine.sleeps_ns == [2 * MS, pytest.approx(2.9 * MS, abs=200)]


def test_paced_run_that_falls_behind_keeps_its_result() -> None:
    def times(world_s: float) -> list[int]:
        machine = FakeMachine()
        seen: list[int] = []

        def advance(t_ns: int) -> None:
            machine._sleep(world_s)
            seen.append(t_ns)

        clock = PacedClock(0, advance, machine=machine.time)
        for tick in range(50):
            clock.sleep_until_ns(tick * 5 * MS)
            seen.append(clock.now_ns())
        return seen

    assert times(0.0) == times(0.009)


def test_paced_clock_writes_off_a_long_stall_instead_of_racing() -> None:
    machine = FakeMachine(reading_ns=50)
    clock = PacedClock(0, None, slip_ms=100, machine=machine.time)
    clock.sleep_until_ns(0)
    machine.t_ns += 60_000 * MS
    assert clock.sleep_until_ns(5 * MS) > 59_000 * MS
    assert clock.slips == 1
    before = machine.t_ns
    assert clock.sleep_until_ns(10 * MS) <= 100
    assert machine.t_ns - before == pytest.approx(5 * MS, abs=1000)


def test_real_meter_counts_forward() -> None:
    meter = RealMeter()
    assert meter.measures
    wall, cpu = meter.wall_ns(), meter.cpu_ns()
    assert meter.wall_ns() >= wall
    assert meter.cpu_ns() >= cpu


def test_null_meter_measures_nothing() -> None:
    meter = NullMeter()
    assert not meter.measures
    assert meter.wall_ns() == meter.cpu_ns() == 0


def test_clock_meter_reads_what_was_charged() -> None:
    clock = SimClock()
    meter = ClockMeter(clock)
    clock.charge(123)
    assert meter.wall_ns() == meter.cpu_ns() == 123


def test_timer_resolution_is_stated_in_ns() -> None:
    assert 1 <= timer_resolution_ns() <= 100 * MS
