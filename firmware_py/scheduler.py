"""Runs every member in its slot, never twice to catch up, and takes the valves away when the ticks stay late.

Three harmonic rate groups over one base tick, a static table of members, one thread, no preemption. Vocabulary after
F Prime's active rate group (rate group, cycle slip) and Adamant's task watchdog (a watchdog that starves when a
critical member makes no progress). Overrun limits: CANON 8 and 10.2.

Time line of tick k: its deadline is ``k * 1e9 // fast_hz`` on the flight clock, an exact grid without drift. A tick is
*late* when its work has not finished before the next deadline, or when it starts a whole period after its own. A tick
whose whole period passed before it could start is *lost*: counted and left out. So at most one tick starts straight
after another, however long the stall was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from enum import Enum, StrEnum, unique
from math import gcd
from typing import Any, Protocol

from firmware_py.clock import Clock, Meter, NullMeter
from hal.origin import origin
from hal.profile.board import RateConfig

__all__ = [
    "DROP_AFTER_LATE", "RETURN_AFTER_GOOD", "STARVE_AFTER_MISSES", "STOP_AFTER_LATE", "Distribution", "EventCode",
    "EventSink", "Histogram", "Member", "MemberTiming", "RateGroup", "Scheduler", "TimingSummary", "in_phase",
]

DROP_AFTER_LATE = 3
"""Late ticks in a row that drop the non-critical members (CANON 8, 10.2)."""
STOP_AFTER_LATE = 20
"""Late ticks in a row that shut the valves and starve the watchdog (CANON 8, 10.2)."""
RETURN_AFTER_GOOD = 100
"""Good ticks in a row that bring dropped members back: half a second at 200 Hz."""
STARVE_AFTER_MISSES = 3
"""Slots in a row in which a critical member raised or was passed over, after which it counts as stuck."""
WATCHDOG_PERIOD_MS = 20
"""Pause between two feeds: a fifth of the 100 ms after which the enable line falls (CANON 8)."""
MAX_HYPERPERIOD = 100_000
"""Most ticks between two runs of a slow member; bounds the slot table."""
CPU_SAMPLE_TICKS = 16
"""Processor time per member is read about every so many ticks: one reading is a system call."""

_SECOND = 1_000_000_000


@unique
class RateGroup(Enum):
    """How often a member runs."""

    FAST = "fast"
    MEDIUM = "medium"
    SLOW = "slow"


@unique
class EventCode(StrEnum):
    """What the scheduler tells, with the detail that follows the code."""

    CPU_OVERRUN = "CPU_OVERRUN"
    """3 late ticks in a row, non-critical members dropped. Detail: late in a row, ns past the next deadline."""
    CPU_OVERRUN_STOP = "CPU_OVERRUN_STOP"
    """20 late ticks in a row, valves shut and watchdog starved until reset. Detail as CPU_OVERRUN."""
    CPU_OVERRUN_RESET = "CPU_OVERRUN_RESET"
    """The stop was reset. No detail."""
    CPU_RECOVERED = "CPU_RECOVERED"
    """Dropped members are back. Detail: good ticks in a row."""
    TICKS_LOST = "TICKS_LOST"
    """Ticks were left out. Detail: how many."""
    MEMBER_FAILED = "MEMBER_FAILED"
    """A member raised. Detail: member, exception type, function and line that raised."""
    WATCHDOG_STARVED = "WATCHDOG_STARVED"
    """A critical member makes no progress. Detail: member."""
    WATCHDOG_RESUMED = "WATCHDOG_RESUMED"
    """A stuck critical member has completed a run again. Detail: member."""
    HOOK_FAILED = "HOOK_FAILED"
    """A hook raised. Detail: hook, exception type, function and line that raised."""


class EventSink(Protocol):
    """Takes an event code and its detail. Called inside the tick: it must not wait."""

    def __call__(self, code: str, *detail: str | int) -> None:
        """Take one event."""


@dataclass(frozen=True, slots=True)
class Member:
    """One line of the member table.

    Attributes:
        name: unique in the table.
        step: called with the nominal deadline of its tick (flight time, ns); must return well inside the budget.
        group: rate group.
        phase: in which tick of its period the member runs, 0 <= phase < period in ticks; 0 for fast members.
        budget_us: time one run may take before it counts as a slip.
        critical: never dropped, and the watchdog starves without its progress.
    """

    name: str
    step: Callable[[int], None]
    group: RateGroup
    phase: int
    budget_us: int
    critical: bool


class Histogram:
    """Counts of durations in fixed, preallocated bins; 32 bins an octave, so a percentile is at most 3.2 % too high.

    Log-linear bins after the High Dynamic Range Histogram: the leading six bits of the value number the bin. Values
    from 2**36 ns (68 s) on share the last bin; the maximum is kept exactly.
    """

    __slots__ = ("_bins", "count", "max_ns")

    _TOP = (1 << 36) - 1

    def __init__(self) -> None:
        self._bins = [0] * (self._bin_of(self._TOP) + 1)
        self.count = 0
        self.max_ns = 0

    @staticmethod
    def _bin_of(value_ns: int) -> int:
        shift = value_ns.bit_length() - 6
        return value_ns if shift <= 0 else (shift << 5) + (value_ns >> shift)

    def add(self, value_ns: int) -> None:
        """Count one value; negative counts as 0."""
        if value_ns > self.max_ns:
            self.max_ns = value_ns
            if value_ns > self._TOP:
                value_ns = self._TOP
        elif value_ns < 0:
            value_ns = 0
        elif value_ns > self._TOP:
            value_ns = self._TOP
        shift = value_ns.bit_length() - 6
        self._bins[value_ns if shift <= 0 else (shift << 5) + (value_ns >> shift)] += 1
        self.count += 1

    def percentile_ns(self, percent: float) -> int | None:
        """Upper edge of the bin that holds the percentile (nearest rank), or ``None`` when nothing was counted."""
        if not 0.0 <= percent <= 100.0:
            raise ValueError(f"percentile {percent} is outside 0..100")
        if self.count == 0:
            return None
        rank = max(1.0, percent * self.count / 100.0 - 1e-9)
        seen = 0
        for index, counted in enumerate(self._bins):
            seen += counted
            if seen >= rank:
                return min(self._upper_edge(index), self.max_ns)
        return self.max_ns

    @classmethod
    def _upper_edge(cls, index: int) -> int:
        if index < 64:
            return index
        shift = (index >> 5) - 1
        return (((index & 31) + 33) << shift) - 1

    def clear(self) -> None:
        """Forget everything."""
        bins = self._bins
        for index in range(len(bins)):
            bins[index] = 0
        self.count = 0
        self.max_ns = 0


@dataclass(frozen=True, slots=True)
class Distribution:
    """Percentiles in us; ``None`` where nothing was measured."""

    count: int
    p50_us: float | None
    p99_us: float | None
    p999_us: float | None
    max_us: float | None

    @classmethod
    def of(cls, histogram: Histogram) -> Distribution:
        """Read a histogram."""

        def at(percent: float) -> float | None:
            value = histogram.percentile_ns(percent)
            return None if value is None else value / 1000.0

        longest = histogram.max_ns / 1000.0 if histogram.count else None
        return cls(histogram.count, at(50.0), at(99.0), at(99.9), longest)


@dataclass(frozen=True, slots=True)
class MemberTiming:
    """One member so far. Times in us, ``None`` where nothing was measured; means since start, maxima since the reset.

    ``skipped`` counts slots in which the member was dropped or its tick was lost. ``cpu_slips`` and the CPU times
    come from the sampled runs alone (``cpu_samples``).
    """

    name: str
    group: str
    critical: bool
    dropped: bool
    budget_us: int
    runs: int
    skipped: int
    failures: int
    wall_last_us: float | None
    wall_mean_us: float | None
    wall_max_us: float | None
    wall_slips: int
    cpu_samples: int
    cpu_last_us: float | None
    cpu_mean_us: float | None
    cpu_max_us: float | None
    cpu_slips: int


@dataclass(frozen=True, slots=True)
class TimingSummary:
    """State and figures of a scheduler at one moment.

    ``lateness`` is what the clock reports after each wait; ``duration`` is the work of a tick, by the meter when it
    measures, else by the clock.
    """

    fast_hz: int
    ticks: int
    late_ticks: int
    lost_ticks: int
    late_in_row: int
    late_in_row_max: int
    dropping: bool
    stopped: bool
    starved: tuple[str, ...]
    watchdog_feeds: int
    hook_failures: int
    lateness: Distribution
    duration: Distribution
    members: tuple[MemberTiming, ...]

    def as_dict(self) -> dict[str, Any]:
        """Nested dictionaries of plain values."""
        return asdict(self)


class _Slot:
    """A member with its counters."""

    __slots__ = (
        "budget_ns", "cpu_last", "cpu_max", "cpu_samples", "cpu_slips", "cpu_total", "critical", "divisor", "failures",
        "good_in_row", "member", "misses", "runs", "skipped", "step", "timed", "wall_last", "wall_max", "wall_slips",
        "wall_total",
    )

    def __init__(self, member: Member, divisor: int) -> None:
        self.member = member
        self.step = member.step
        self.critical = member.critical
        self.divisor = divisor
        self.budget_ns = member.budget_us * 1000
        self.runs = self.skipped = self.failures = self.misses = self.good_in_row = 0
        self.timed = self.wall_last = self.wall_total = self.wall_max = self.wall_slips = 0
        self.cpu_samples = self.cpu_last = self.cpu_total = self.cpu_max = self.cpu_slips = 0

    def slots_between(self, first: int, end: int) -> int:
        """How many of the ticks ``first`` .. ``end - 1`` are slots of this member."""
        phase, divisor = self.member.phase, self.divisor
        return (end - 1 - phase) // divisor - (first - 1 - phase) // divisor

    def record_wall(self, ns: int) -> None:
        self.timed += 1
        self.wall_last = ns
        self.wall_total += ns
        if ns > self.wall_max:
            self.wall_max = ns
        if ns > self.budget_ns:
            self.wall_slips += 1

    def record_cpu(self, ns: int) -> None:
        self.cpu_samples += 1
        self.cpu_last = ns
        self.cpu_total += ns
        if ns > self.cpu_max:
            self.cpu_max = ns
        if ns > self.budget_ns:
            self.cpu_slips += 1


class Scheduler:
    """Cooperative scheduler of one thread.

    In a tick the fast members run in table order, then the medium and then the slow members due in it. An exception
    of a member is caught here and nowhere else: counted, told, and the next member runs.

    Overrun policy: after 3 late ticks in a row only critical members run, until 100 good ticks in a row; after 20 the
    valves are shut and the watchdog is not fed again before :meth:`reset_overrun`. The watchdog also starves while
    any critical member has had 3 slots in a row without completing a run.

    Args:
        rates: the three rates; each must be a whole multiple of the next.
        members: the table; names are unique.
        clock: what decides lateness. On a simulated clock that is simulated time alone.
        on_event: gets an :class:`EventCode` and its detail.
        shut_valves: called once, with the tick's deadline (ns), when the overrun stop trips.
        feed_watchdog: called with the tick's deadline (ns) after a tick, at most every ``watchdog_period_ms``.
        meter: stop-watch for the profile; the default measures nothing.
        on_idle: called after a tick that left time before the next deadline, with that time in ns.
        watchdog_period_ms: least flight time between two feeds; 0 feeds after every tick.

    Raises:
        ValueError: rates that do not divide, a name twice, a phase outside its period, a budget of 0 or less.
    """

    def __init__(
        self,
        rates: RateConfig,
        members: Iterable[Member],
        clock: Clock,
        on_event: EventSink,
        shut_valves: Callable[[int], None],
        feed_watchdog: Callable[[int], None],
        meter: Meter | None = None,
        on_idle: Callable[[int], None] | None = None,
        watchdog_period_ms: int = WATCHDOG_PERIOD_MS,
    ) -> None:
        divisors = _divisors(rates)
        self._hz = rates.fast_hz
        self._clock = clock
        self._on_event = on_event
        self._shut_valves = shut_valves
        self._feed_watchdog = feed_watchdog
        self._on_idle = on_idle
        self._meter: Meter = NullMeter() if meter is None else meter
        self._watchdog_period_ns = watchdog_period_ms * 1_000_000
        self._slots = tuple(_Slot(member, divisors[member.group]) for member in members)
        _check_members(self._slots)
        self._hyperperiod = divisors[RateGroup.SLOW]
        self._all = _slot_table(self._slots, self._hyperperiod)
        critical_only = tuple(slot for slot in self._slots if slot.critical)
        self._critical = _slot_table(critical_only, self._hyperperiod)
        # Coprime with the hyperperiod, so that the samples walk through every phase of every group.
        self._cpu_stride = CPU_SAMPLE_TICKS
        while gcd(self._cpu_stride, self._hyperperiod) != 1:
            self._cpu_stride += 1
        self._lateness = Histogram()
        self._duration = Histogram()
        self._index: int | None = None
        self._fed_ns: int | None = None
        self._ticks = self._late_ticks = self._lost_ticks = 0
        self._late_in_row = self._late_in_row_max = self._good_in_row = 0
        self._starved = self._feeds = self._hook_failures = 0
        self._dropping = self._stopped = False

    @property
    def hyperperiod(self) -> int:
        """Ticks after which the table repeats."""
        return self._hyperperiod

    @property
    def ticks(self) -> int:
        """Ticks run."""
        return self._ticks

    @property
    def late_ticks(self) -> int:
        """Ticks that were late."""
        return self._late_ticks

    @property
    def lost_ticks(self) -> int:
        """Ticks left out."""
        return self._lost_ticks

    @property
    def late_in_row(self) -> int:
        """Late ticks in a row up to now."""
        return self._late_in_row

    @property
    def dropping(self) -> bool:
        """Whether non-critical members are dropped."""
        return self._dropping

    @property
    def stopped(self) -> bool:
        """Whether the overrun stop is latched: valves shut, watchdog starved."""
        return self._stopped

    @property
    def watchdog_starving(self) -> bool:
        """Whether the watchdog is withheld."""
        return self._stopped or self._starved > 0

    @property
    def members_stuck(self) -> bool:
        """Whether a critical member makes no progress."""
        return self._starved > 0

    @property
    def next_deadline_ns(self) -> int:
        """Deadline of the tick that runs next, flight time."""
        if self._index is None:
            self.align()
        assert self._index is not None
        return self._index * _SECOND // self._hz

    def planned_peak_us(self) -> int:
        """Largest sum of budgets that the table puts into one tick, us."""
        return max(sum(slot.member.budget_us for slot in due) for due in set(self._all))

    def align(self) -> None:
        """Continue with the first deadline that has not passed; what passed while nobody ran is not lost ticks."""
        self._index = -(-self._clock.now_ns() * self._hz // _SECOND)

    def run(self, until_ns: int | None = None, stop: Callable[[], bool] | None = None) -> None:
        """Run ticks whose deadline lies before ``until_ns`` (for ever when ``None``), until ``stop`` answers true.

        ``stop`` is asked before each tick. A later call goes on where this one ended.
        """
        while (until_ns is None or self.next_deadline_ns < until_ns) and (stop is None or not stop()):
            self.run_tick()

    def run_tick(self) -> None:
        """Wait for the next deadline and run what is due there."""
        if self._index is None:
            self.align()
        index = self._index
        assert index is not None
        hz = self._hz
        clock = self._clock
        due_ns = index * _SECOND // hz
        self._lateness.add(clock.sleep_until_ns(due_ns))
        start_ns = clock.now_ns()
        following_ns = (index + 1) * _SECOND // hz
        late = start_ns >= following_ns
        if late:
            index = self._lose_passed(index, start_ns)
            due_ns = index * _SECOND // hz
            following_ns = (index + 1) * _SECOND // hz

        place = index % self._hyperperiod
        if self._dropping:
            for slot in self._all[place]:
                if not slot.critical:
                    slot.skipped += 1
            members = self._critical[place]
        else:
            members = self._all[place]
        if self._meter.measures:
            self._duration.add(self._run_measured(members, due_ns, index % self._cpu_stride == 0))
            end_ns = clock.now_ns()
        else:
            self._run_plain(members, due_ns)
            end_ns = clock.now_ns()
            self._duration.add(end_ns - start_ns)

        self._ticks += 1
        index += 1
        if late or end_ns >= following_ns:
            self._after_late(due_ns, end_ns - following_ns)
            if end_ns >= (index + 1) * _SECOND // hz:
                index = self._lose_passed(index, end_ns)
        else:
            self._after_good()
        self._index = index
        if self._starved == 0 and not self._stopped:
            fed_ns = self._fed_ns
            if fed_ns is None or due_ns - fed_ns >= self._watchdog_period_ns:
                self._fed_ns = due_ns
                self._feeds += 1
                self._call_hook("feed_watchdog", self._feed_watchdog, due_ns)
        if self._on_idle is not None:
            slack_ns = index * _SECOND // hz - end_ns
            if slack_ns > 0:
                self._call_hook("on_idle", self._on_idle, slack_ns)

    def reset_overrun(self) -> None:
        """Release the overrun stop, on somebody's explicit word. Dropped members still wait for their good ticks."""
        self._late_in_row = 0
        if self._stopped:
            self._stopped = False
            self._tell(EventCode.CPU_OVERRUN_RESET)

    def reset_marks(self) -> None:
        """Start high-water marks and both distributions afresh; counters go on."""
        for slot in self._slots:
            slot.wall_max = slot.cpu_max = 0
        self._lateness.clear()
        self._duration.clear()
        self._late_in_row_max = self._late_in_row

    def summary(self) -> TimingSummary:
        """Everything counted and measured so far. Allocates: for reports, not for every tick."""
        return TimingSummary(
            fast_hz=self._hz,
            ticks=self._ticks,
            late_ticks=self._late_ticks,
            lost_ticks=self._lost_ticks,
            late_in_row=self._late_in_row,
            late_in_row_max=self._late_in_row_max,
            dropping=self._dropping,
            stopped=self._stopped,
            starved=tuple(slot.member.name for slot in self._slots if slot.misses >= STARVE_AFTER_MISSES),
            watchdog_feeds=self._feeds,
            hook_failures=self._hook_failures,
            lateness=Distribution.of(self._lateness),
            duration=Distribution.of(self._duration),
            members=tuple(self._member_timing(slot) for slot in self._slots),
        )

    def _member_timing(self, slot: _Slot) -> MemberTiming:
        member = slot.member
        timed, sampled = slot.timed > 0, slot.cpu_samples > 0
        return MemberTiming(
            name=member.name,
            group=member.group.value,
            critical=member.critical,
            dropped=self._dropping and not member.critical,
            budget_us=member.budget_us,
            runs=slot.runs,
            skipped=slot.skipped,
            failures=slot.failures,
            wall_last_us=slot.wall_last / 1000.0 if timed else None,
            wall_mean_us=slot.wall_total / slot.timed / 1000.0 if timed else None,
            wall_max_us=slot.wall_max / 1000.0 if timed else None,
            wall_slips=slot.wall_slips,
            cpu_samples=slot.cpu_samples,
            cpu_last_us=slot.cpu_last / 1000.0 if sampled else None,
            cpu_mean_us=slot.cpu_total / slot.cpu_samples / 1000.0 if sampled else None,
            cpu_max_us=slot.cpu_max / 1000.0 if sampled else None,
            cpu_slips=slot.cpu_slips,
        )

    def _run_plain(self, members: tuple[_Slot, ...], now_ns: int) -> None:
        for slot in members:
            slot.runs += 1
            try:
                slot.step(now_ns)
            except Exception as error:
                self._member_failed(slot, error)
            else:
                if slot.misses:
                    self._made_progress(slot)

    def _run_measured(self, members: tuple[_Slot, ...], now_ns: int, with_cpu: bool) -> int:
        """As ``_run_plain``; the end of one member is the beginning of the next. Returns the time of them all, ns."""
        wall_ns = self._meter.wall_ns
        cpu_ns = self._meter.cpu_ns
        cpu = cpu_ns() if with_cpu else 0
        wall = first = wall_ns()
        for slot in members:
            slot.runs += 1
            try:
                slot.step(now_ns)
            except Exception as error:
                self._member_failed(slot, error)
            else:
                if slot.misses:
                    self._made_progress(slot)
            before, wall = wall, wall_ns()
            slot.record_wall(wall - before)
            if with_cpu:
                cpu_before, cpu = cpu, cpu_ns()
                slot.record_cpu(cpu - cpu_before)
                # Reading the processor time is a system call; keep it out of the next member's wall time.
                first += (now := wall_ns()) - wall
                wall = now
        return wall - first

    def _after_late(self, due_ns: int, overrun_ns: int) -> None:
        self._late_ticks += 1
        self._good_in_row = 0
        self._late_in_row += 1
        in_row = self._late_in_row
        if in_row > self._late_in_row_max:
            self._late_in_row_max = in_row
        if in_row == DROP_AFTER_LATE:
            self._dropping = True
            self._tell(EventCode.CPU_OVERRUN, in_row, overrun_ns)
        elif in_row >= STOP_AFTER_LATE and not self._stopped:
            self._stopped = True
            self._call_hook("shut_valves", self._shut_valves, due_ns)
            self._tell(EventCode.CPU_OVERRUN_STOP, in_row, overrun_ns)

    def _after_good(self) -> None:
        self._late_in_row = 0
        if self._dropping:
            self._good_in_row += 1
            if self._good_in_row >= RETURN_AFTER_GOOD:
                self._dropping = False
                self._tell(EventCode.CPU_RECOVERED, self._good_in_row)
                self._good_in_row = 0

    def _lose_passed(self, index: int, now_ns: int) -> int:
        """Leave out every tick from ``index`` on whose whole period has passed; returns the tick that is current."""
        current = ((now_ns + 1) * self._hz - 1) // _SECOND
        self._lost_ticks += current - index
        for slot in self._slots:
            missed = slot.slots_between(index, current)
            if missed:
                slot.skipped += missed
                if slot.critical:
                    # However long, one stall is one miss: what counts is whether the member runs once ticks run again.
                    # And the next good run is proof of it, where a member that fails has to run well three times.
                    self._missed(slot, STARVE_AFTER_MISSES - 1)
        self._tell(EventCode.TICKS_LOST, current - index)
        return current

    def _member_failed(self, slot: _Slot, error: Exception) -> None:
        slot.failures += 1
        if _worth_telling(slot.failures):
            self._tell(EventCode.MEMBER_FAILED, slot.member.name, type(error).__name__, origin(error))
        if slot.critical:
            self._missed(slot)

    def _missed(self, slot: _Slot, good_in_row: int = 0) -> None:
        slot.misses += 1
        slot.good_in_row = good_in_row
        if slot.misses == STARVE_AFTER_MISSES:
            self._starved += 1
            self._tell(EventCode.WATCHDOG_STARVED, slot.member.name)

    def _made_progress(self, slot: _Slot) -> None:
        slot.good_in_row += 1
        if slot.good_in_row < STARVE_AFTER_MISSES:
            # One good run between two bad ones is no progress.
            return
        was_stuck = slot.misses >= STARVE_AFTER_MISSES
        slot.misses = 0
        if was_stuck:
            self._starved -= 1
            self._tell(EventCode.WATCHDOG_RESUMED, slot.member.name)

    def _call_hook(self, name: str, hook: Callable[[int], None], value: int) -> None:
        try:
            hook(value)
        except Exception as error:
            self._hook_failures += 1
            if _worth_telling(self._hook_failures):
                self._tell(EventCode.HOOK_FAILED, name, type(error).__name__, origin(error))

    def _tell(self, code: EventCode, *detail: str | int) -> None:
        try:
            self._on_event(code, *detail)
        except Exception:
            # Nobody is left to tell; the count shows in the summary.
            self._hook_failures += 1


def in_phase(members: Iterable[Member], rates: RateConfig) -> tuple[Member, ...]:
    """The members with each phase brought into its period: a table made for ten ticks a medium period also runs with
    five, where some members share a tick. Phases that fit stay as they are.

    Raises:
        ValueError: rates that do not divide.
    """
    divisors = _divisors(rates)
    return tuple(
        member if 0 <= member.phase < divisors[member.group]
        else replace(member, phase=member.phase % divisors[member.group])
        for member in members
    )


def _divisors(rates: RateConfig) -> dict[RateGroup, int]:
    """Period of each group in ticks."""
    if not 50 <= rates.fast_hz <= 1000:
        raise ValueError(f"fast rate {rates.fast_hz} Hz is outside 50..1000")
    medium = _whole_ratio(rates.fast_hz, rates.medium_hz)
    slow = medium * _whole_ratio(rates.medium_hz, rates.slow_hz)
    if slow > MAX_HYPERPERIOD:
        raise ValueError(f"a slow period of {slow} ticks is too long; at most {MAX_HYPERPERIOD} are allowed")
    return {RateGroup.FAST: 1, RateGroup.MEDIUM: medium, RateGroup.SLOW: slow}


def _whole_ratio(fast_hz: float, slow_hz: float) -> int:
    ratio = fast_hz / slow_hz if slow_hz > 0.0 else 0.0
    if ratio < 1.0 or abs(ratio - round(ratio)) > 1e-9 * ratio:
        raise ValueError(f"{slow_hz} Hz does not divide {fast_hz} Hz evenly")
    return round(ratio)


def _check_members(slots: tuple[_Slot, ...]) -> None:
    seen: set[str] = set()
    for slot in slots:
        member = slot.member
        if member.name in seen:
            raise ValueError(f"two members are called {member.name}")
        seen.add(member.name)
        if not 0 <= member.phase < slot.divisor:
            raise ValueError(f"phase {member.phase} of {member.name} is outside 0..{slot.divisor - 1}")
        if member.budget_us <= 0:
            raise ValueError(f"budget of {member.name} is {member.budget_us} us; it must be above 0")


def _slot_table(slots: tuple[_Slot, ...], hyperperiod: int) -> tuple[tuple[_Slot, ...], ...]:
    """For each tick of the hyperperiod what is due, fast members first. Equal entries are one object."""
    order = list(RateGroup)
    ordered = sorted(slots, key=lambda slot: order.index(slot.member.group))
    known: dict[tuple[_Slot, ...], tuple[_Slot, ...]] = {}
    table = []
    for tick in range(hyperperiod):
        due = tuple(slot for slot in ordered if tick % slot.divisor == slot.member.phase)
        table.append(known.setdefault(due, due))
    return tuple(table)


def _worth_telling(count: int) -> bool:
    """The first eight, then whenever their number has doubled: what always fails must not fill the record."""
    return count <= 8 or count & (count - 1) == 0
