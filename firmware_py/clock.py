"""Every question for the time and every sleep goes through here; on a simulated clock nothing asks the machine.

Flight time is an ``int`` in nanoseconds from 0. UTC is an epoch plus flight time: a step of the computer's calendar
clock never moves a control deadline.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

__all__ = [
    "MACHINE_TIME", "Clock", "ClockMeter", "MachineTime", "Meter", "NullMeter", "PacedClock", "RealClock", "RealMeter",
    "SimClock", "timer_resolution_ns",
]


class MachineTime(NamedTuple):
    """The three calls that reach the operating system, so that a test can stand in their place."""

    monotonic_ns: Callable[[], int]
    sleep_s: Callable[[float], None]
    utc_ns: Callable[[], int]


MACHINE_TIME = MachineTime(time.monotonic_ns, time.sleep, time.time_ns)


class Clock(Protocol):
    """What the scheduler and whoever stamps data need to know about time."""

    def now_ns(self) -> int:
        """Flight time in ns; never runs backwards."""

    def sleep_until_ns(self, t_ns: int) -> int:
        """Wait for flight time ``t_ns``; returns at once if it has passed. Returns how late it woke, ns, 0 or more."""

    def utc_ns(self) -> int:
        """Nanoseconds since 1970-01-01T00:00:00Z."""


class RealClock:
    """Flight time from the machine's monotonic clock; 0 is the moment of construction.

    A wait sleeps until ``spin_us`` before the deadline and then polls the clock: the kernel may wake a thread tens of
    microseconds late, a poll is late by one reading of the clock.

    Args:
        epoch_ns: UTC at flight time 0; ``None`` takes it from the computer's calendar clock, once.
        spin_us: length of the poll before each deadline.
        machine: the calls that reach the operating system.
    """

    __slots__ = ("_epoch_ns", "_monotonic_ns", "_origin_ns", "_sleep_s", "_spin_ns")

    def __init__(self, epoch_ns: int | None = None, spin_us: int = 100, machine: MachineTime = MACHINE_TIME) -> None:
        if spin_us < 0:
            raise ValueError(f"spin_us is {spin_us}; 0 or more is allowed")
        self._monotonic_ns = machine.monotonic_ns
        self._sleep_s = machine.sleep_s
        self._spin_ns = spin_us * 1000
        self._origin_ns = machine.monotonic_ns()
        self._epoch_ns = machine.utc_ns() if epoch_ns is None else epoch_ns

    def now_ns(self) -> int:
        """See Clock."""
        return self._monotonic_ns() - self._origin_ns

    def sleep_until_ns(self, t_ns: int) -> int:
        """See Clock."""
        monotonic_ns = self._monotonic_ns
        return _wait(monotonic_ns, self._sleep_s, self._origin_ns + t_ns, self._spin_ns)

    def utc_ns(self) -> int:
        """See Clock."""
        return self._epoch_ns + self.now_ns()

    def set_utc_ns(self, utc_ns: int) -> int:
        """Correct UTC (a board without a battery clock learns it late); flight time stays. Returns the step in ns."""
        step = utc_ns - self.utc_ns()
        self._epoch_ns += step
        return step


class SimClock:
    """Flight time that moves only when told; the same calls give the same times on every machine.

    Args:
        epoch_ns: UTC at flight time 0.
        on_advance: moves the world to a flight time before the sleeper wakes there.
    """

    __slots__ = ("_epoch_ns", "_now_ns", "_on_advance", "_world_ns")

    def __init__(self, epoch_ns: int = 0, on_advance: Callable[[int], None] | None = None) -> None:
        self._epoch_ns = epoch_ns
        self._on_advance = on_advance
        self._now_ns = 0
        self._world_ns = 0

    def now_ns(self) -> int:
        """See Clock."""
        return self._now_ns

    def sleep_until_ns(self, t_ns: int) -> int:
        """See Clock. The world moves to ``t_ns``, or to now when computing was charged past ``t_ns``."""
        now = self._now_ns
        if t_ns > now:
            self._now_ns = now = t_ns
        if now > self._world_ns:
            self._world_ns = now
            if self._on_advance is not None:
                self._on_advance(now)
        return now - t_ns

    def utc_ns(self) -> int:
        """See Clock."""
        return self._epoch_ns + self._now_ns

    def charge(self, ns: int) -> None:
        """Let computing take ``ns`` of flight time. The world follows at the next wait, as behind a busy processor."""
        if ns < 0:
            raise ValueError(f"cannot charge {ns} ns; time does not run backwards")
        self._now_ns += ns


class PacedClock(SimClock):
    """A simulated clock held to the pace of real time; what members see is the same as without pacing.

    The world moves in what would be idle time, then the wait lasts until the real instant. A machine that is too slow
    makes the run fall behind and never changes its result; beyond ``slip_ms`` the pace starts afresh (``slips``)
    instead of racing to catch up, for example after a laptop was suspended.

    Args:
        epoch_ns: UTC at flight time 0.
        on_advance: as for SimClock.
        spin_us: length of the poll before each instant.
        slip_ms: how far the run may lag before the lag is written off.
        machine: the calls that reach the operating system.
    """

    __slots__ = ("_anchor_ns", "_monotonic_ns", "_sleep_s", "_slip_ns", "_spin_ns", "slips")

    def __init__(
        self,
        epoch_ns: int = 0,
        on_advance: Callable[[int], None] | None = None,
        spin_us: int = 100,
        slip_ms: int = 100,
        machine: MachineTime = MACHINE_TIME,
    ) -> None:
        super().__init__(epoch_ns, on_advance)
        self._monotonic_ns = machine.monotonic_ns
        self._sleep_s = machine.sleep_s
        self._spin_ns = spin_us * 1000
        self._slip_ns = slip_ms * 1_000_000
        self._anchor_ns: int | None = None
        self.slips = 0

    def sleep_until_ns(self, t_ns: int) -> int:
        """See Clock. Returns the real lateness, on top of what was charged past ``t_ns``."""
        charged = super().sleep_until_ns(t_ns)
        if self._anchor_ns is None:
            self._anchor_ns = self._monotonic_ns() - self._now_ns
        lateness = _wait(self._monotonic_ns, self._sleep_s, self._anchor_ns + self._now_ns, self._spin_ns)
        if lateness > self._slip_ns:
            self._anchor_ns += lateness
            self.slips += 1
        return charged + lateness


def _wait(monotonic_ns: Callable[[], int], sleep_s: Callable[[float], None], due_ns: int, spin_ns: int) -> int:
    rest = due_ns - spin_ns - monotonic_ns()
    if rest > 0:
        sleep_s(rest * 1e-9)
    while (now := monotonic_ns()) < due_ns:
        pass
    return now - due_ns


class Meter(Protocol):
    """Stop-watch for profiles. Its figures are for people; nothing that decides or is replayed may rest on them."""

    measures: bool
    """False: the figures mean nothing, so the scheduler spares itself the calls."""

    def wall_ns(self) -> int:
        """A steady count of ns."""

    def cpu_ns(self) -> int:
        """Processor time of this thread, ns."""


class RealMeter:
    """Meter of the machine: the monotonic performance counter and the processor time of the calling thread."""

    __slots__ = ()
    measures = True
    wall_ns = staticmethod(time.perf_counter_ns)
    # Not every platform counts processor time per thread.
    cpu_ns = staticmethod(getattr(time, "thread_time_ns", time.process_time_ns))


class NullMeter:
    """Meter that measures nothing."""

    __slots__ = ()
    measures = False

    def wall_ns(self) -> int:
        """Always 0."""
        return 0

    def cpu_ns(self) -> int:
        """Always 0."""
        return 0


class ClockMeter:
    """Meter that reads a clock: on a simulated clock, what ``charge`` charged counts as wall and as processor time."""

    __slots__ = ("cpu_ns", "wall_ns")
    measures = True

    def __init__(self, clock: Clock) -> None:
        self.wall_ns = clock.now_ns
        self.cpu_ns = clock.now_ns


def timer_resolution_ns() -> int:
    """Resolution that the operating system states for its monotonic clock, ns."""
    return round(time.get_clock_info("monotonic").resolution * 1e9)
