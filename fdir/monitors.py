"""Monitors: the rows of the fault table at work, each with its persistence, hysteresis, latch and counters.

A monitor's judgement is bad, good or nothing (the quantity is missing, or another fault explains it): then its clock
stops and is not reset. It trips once it was bad for as long as it persists, and clears after as much good time as its
row asks for; each edge is one event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from fdir.codes import Code, Severity
from fdir.facts import CraftLimits, Facts
from fdir.fault_table import Condition, FaultRow, FaultTable, Isolation, Period, units_of
from fdir.quantities import QUANTITIES
from fdir.recovery import Rung

__all__ = ["EVERY", "Alarm", "Counters", "Monitor", "MonitorBank", "monitors_of"]

MS = 1_000_000
SECOND = 1_000_000_000
ROLE = "role "
"""Begins a unit that is known by its role only: whichever device flies in it."""
EVERY = {Period.FAST: 1, Period.MEDIUM: 10, Period.SLOW: 100}
"""In which of so many fast ticks a monitor is judged, at the reference board's rates."""

Value = float | bool | None


@dataclass(frozen=True, slots=True)
class Monitor:
    """One fault of the table, for one unit, with its limit in numbers."""

    name: str
    """The row's id, and the unit behind a colon where there are several."""
    row: FaultRow
    unit: str
    read: Callable[[Facts], Value]
    limit: float
    back: float
    """Where it is good again."""
    persist_ns: int
    clear_ns: int
    isolation: frozenset[Isolation]
    rungs: tuple[Rung, ...]

    @property
    def code(self) -> Code:
        """Code of its events."""
        return self.row.code

    @property
    def severity(self) -> Severity:
        """Severity of its trip."""
        return self.row.severity


def monitors_of(
    table: FaultTable, limits: CraftLimits, devices: Mapping[str, tuple[str, ...]], buses: tuple[str, ...] = (),
) -> tuple[Monitor, ...]:
    """The monitors of one craft.

    Args:
        table: checked rows.
        limits: what the body allows. A row whose limit the body does not have makes no monitor.
        devices: names of the board's devices by role. A row for a role that the board lacks makes no monitor.
        buses: names of the board's buses.
    """
    found: list[Monitor] = []
    for row in table.rows:
        limit = _limit_of(row, limits)
        if limit is None:
            continue
        if row.units:
            found += [_monitor(row, unit, limit, f"{row.id}:{unit}") for unit in units_of(row, devices, buses)]
        elif not row.unit or devices.get(row.unit):
            found.append(_monitor(row, f"{ROLE}{row.unit}" if row.unit else "", limit, row.id))
    return tuple(found)


def _limit_of(row: FaultRow, limits: CraftLimits) -> float | None:
    """The row's limit as a number, 0 where it has none; ``None``: this body does not have such a limit."""
    if isinstance(row.limit, str):
        value: float | None = getattr(limits, row.limit.removeprefix("body."))
        return value
    return 0.0 if row.limit is None else row.limit


def _monitor(row: FaultRow, unit: str, limit: float, name: str) -> Monitor:
    quantity = QUANTITIES[row.monitor]
    read = quantity.read
    falling = row.condition in (Condition.BELOW, Condition.AT_MOST)
    return Monitor(
        name=name, row=row, unit=unit, read=lambda facts: read(facts, unit), limit=limit,
        back=limit + row.hysteresis if falling else limit - row.hysteresis, persist_ns=row.persist_ms * MS,
        clear_ns=row.clear_ms * MS, isolation=frozenset(row.isolation),
        rungs=tuple(Rung(rung.step, round(rung.wait_s * SECOND)) for rung in row.recovery),
    )


@dataclass(frozen=True, slots=True)
class Alarm:
    """A monitor tripped (``active``) or cleared. ``detail`` is what its detector adds."""

    monitor: Monitor
    active: bool
    detail: str = ""


@dataclass(slots=True)
class Counters:
    """What happened to one monitor since start, or since its counters were reset."""

    trips: int = 0
    worst: float | None = None
    """Value furthest into the fault's direction; ``None`` where it has no number."""
    longest_ns: int = 0
    """Longest time that it was bad without tripping."""


class _State:
    """One monitor at work."""

    __slots__ = (
        "_condition", "_last", "_last_ns", "active", "bad", "bad_since", "blind", "counters", "enabled", "every",
        "good_since", "latched", "masks", "monitor", "phase", "seen_ns",
    )

    def __init__(self, monitor: Monitor, index: int) -> None:
        self.monitor = monitor
        self.masks: tuple[_State, ...] = ()
        """Those that explain it."""
        self.every = EVERY[monitor.row.period]
        self.phase = index % self.every
        self.enabled = True
        self.active = False
        self.latched = False
        """Tripped, and an operator has not cleared it."""
        self.bad = False
        """The last judgement."""
        self.bad_since: int | None = None
        self.good_since: int | None = None
        self.blind = False
        """The last judgement was that nothing is known."""
        self.seen_ns = 0
        """When it was last its turn."""
        self.counters = Counters()
        self._condition = monitor.row.condition
        self._last: Value = None
        self._last_ns = 0

    def judge(self, facts: Facts) -> bool | None:
        """Bad, good, or nothing."""
        for mask in self.masks:
            if mask.active:
                return None
        value = self.monitor.read(facts)
        if value is None or value != value:
            # Not a number says nothing, as little as nothing does.
            return None
        condition = self._condition
        if condition is Condition.TRUE:
            return bool(value)
        if condition is Condition.STUCK or condition is Condition.RATE_ABOVE:
            return self._changes(value, facts.t_ns)
        return self._beyond(value)

    def _beyond(self, value: float) -> bool:
        condition, counters = self._condition, self.counters
        worst = counters.worst
        limit = self.monitor.back if self.active else self.monitor.limit
        if condition is Condition.ABOVE or condition is Condition.AT_LEAST:
            if worst is None or value > worst:
                counters.worst = value
            return value > limit if condition is Condition.ABOVE else value >= limit
        if worst is None or value < worst:
            counters.worst = value
        return value < limit if condition is Condition.BELOW else value <= limit

    def _changes(self, value: float, now_ns: int) -> bool | None:
        """Whether it stood still, or moved too fast, since it was last judged; the first time tells nothing."""
        last, last_ns = self._last, self._last_ns
        self._last, self._last_ns = value, now_ns
        if last is None or now_ns <= last_ns:
            return None
        if self._condition is Condition.STUCK:
            return value == last
        rate = abs(value - last) / ((now_ns - last_ns) * 1e-9)
        if self.counters.worst is None or rate > self.counters.worst:
            self.counters.worst = rate
        return rate > (self.monitor.back if self.active else self.monitor.limit)

    def persists(self, bad: bool, now_ns: int) -> bool:
        """Whether a judgement that differs from the state has lasted."""
        if bad:
            if self.bad_since is None:
                self.bad_since = now_ns
            self.good_since = None
            lasted = now_ns - self.bad_since
            if lasted >= self.monitor.persist_ns:
                return True
            self.counters.longest_ns = max(self.counters.longest_ns, lasted)
            return False
        if self.good_since is None:
            self.good_since = now_ns
        self.bad_since = None
        return now_ns - self.good_since >= self.monitor.clear_ns and not self.latched

    def wait(self, elapsed_ns: int) -> None:
        """Nothing is known: the clock stands still."""
        if self.bad_since is not None:
            self.bad_since += elapsed_ns
        if self.good_since is not None:
            self.good_since += elapsed_ns

    def settle(self) -> None:
        """The judgement is what the state says already."""
        self.bad_since = self.good_since = None

    def trip(self) -> None:
        """From here on it is a fault."""
        self.settle()
        self.active = True
        self.latched = self.monitor.row.latched
        self.counters.trips += 1

    def clear(self) -> None:
        """From here on it is none."""
        self.settle()
        self.active = self.latched = False


class MonitorBank:
    """Runs the monitors of one craft; owner of their state.

    Args:
        monitors: in the order in which they are judged and told.
    """

    __slots__ = ("_by_isolation", "_by_name", "_edges", "_tick", "_turns", "states")

    def __init__(self, monitors: tuple[Monitor, ...]) -> None:
        self._tick = 0
        self._edges: list[Alarm] = []
        """Not yet handed over: were a quantity to fail, none of them would be lost."""
        self.states = tuple(_State(monitor, index) for index, monitor in enumerate(monitors))
        self._by_name = {state.monitor.name: state for state in self.states}
        for state in self.states:
            state.masks = tuple(s for s in self.states if s.monitor.row.id in state.monitor.row.after)
        self._by_isolation = {
            isolation: tuple(s for s in self.states if isolation in s.monitor.isolation) for isolation in Isolation
        }
        judged = [s for s in self.states if s.monitor.row.condition is not Condition.REPORTED]
        self._turns = tuple(
            tuple(s for s in judged if turn % s.every == s.phase) for turn in range(max(EVERY.values()))
        )

    def step(self, facts: Facts) -> tuple[Alarm, ...]:
        """Judge the monitors whose turn it is; returns the edges, usually none."""
        now_ns = facts.t_ns
        turn = self._turns[self._tick]
        self._tick = (self._tick + 1) % len(self._turns)
        for state in turn:
            if not state.enabled:
                continue
            elapsed_ns, state.seen_ns = now_ns - state.seen_ns, now_ns
            bad = state.judge(facts)
            if bad is None or state.blind:
                # Neither the time to a gap nor that from it was seen to be bad or good.
                state.wait(elapsed_ns)
            state.blind = bad is None
            if bad is None:
                continue
            state.bad = bad
            if bad == state.active:
                state.settle()
            elif state.persists(bad, now_ns):
                self._edges.append(self._edge(state, bad))
        if not self._edges:
            return ()
        edges = tuple(self._edges)
        self._edges.clear()
        return edges

    def _edge(self, state: _State, bad: bool, detail: str = "") -> Alarm:
        if bad:
            state.trip()
        else:
            state.clear()
        return Alarm(state.monitor, bad, detail)

    def report(self, name: str, active: bool, detail: str = "") -> Alarm | None:
        """A detector of another room has found a fault, or its end; ``None``: nothing new, or it is switched off.

        Raises KeyError for a name that is not in the table.
        """
        state = self._by_name[name]
        state.bad = active
        if not state.enabled or active == state.active or (not active and state.latched):
            return None
        return self._edge(state, active, detail)

    def set_enabled(self, name: str, enabled: bool) -> Alarm | None:
        """Switch a monitor on or off; one that stood is cleared when it is switched off. Raises KeyError."""
        state = self._by_name[name]
        state.enabled = enabled
        state.settle()
        if state.active and not enabled:
            return self._edge(state, False)
        # What a detector has told meanwhile still stands: it tells of its edges only.
        told = state.monitor.row.condition is Condition.REPORTED and state.bad and not state.active
        return self._edge(state, True) if enabled and told else None

    def unlatch(self, name: str) -> bool:
        """Let a latched fault clear as soon as its time has come; whether it was latched. Raises KeyError."""
        state = self._by_name[name]
        was, state.latched = state.latched, False
        return was

    def reset_counters(self) -> None:
        """Forget trips and worst values; what stands goes on standing."""
        for state in self.states:
            state.counters = Counters()

    def trips(self) -> dict[str, int]:
        """How often each has tripped since its counters were reset; those that never did are left out."""
        return {s.monitor.name: s.counters.trips for s in self.states if s.counters.trips}

    def worst(self) -> dict[str, float]:
        """High-water marks: the value furthest into the fault's direction, of those that have numbers."""
        return {s.monitor.name: s.counters.worst for s in self.states if s.counters.worst is not None}

    def is_bad(self, name: str) -> bool:
        """How a monitor was judged last, whether that has lasted or not. Raises KeyError."""
        return self._by_name[name].bad

    def is_known(self, name: str) -> bool:
        """Whether the last judgement said anything. Raises KeyError."""
        return not self._by_name[name].blind

    def monitor(self, name: str) -> Monitor:
        """The monitor of that name. Raises KeyError."""
        return self._by_name[name].monitor

    def is_active(self, name: str) -> bool:
        """Whether the monitor of that name, or of that row for any unit, has tripped. Raises KeyError."""
        state = self._by_name.get(name)
        if state is not None:
            return state.active
        rows = [s for s in self.states if s.monitor.row.id == name]
        if not rows:
            raise KeyError(name)
        return any(s.active for s in rows)

    def names(self) -> Iterable[str]:
        """Names of all monitors, in order."""
        return self._by_name.keys()

    def active(self) -> tuple[str, ...]:
        """Names of the monitors that have tripped, in order."""
        return tuple(s.monitor.name for s in self.states if s.active)

    def codes(self, isolation: Isolation) -> tuple[Code, ...]:
        """Codes of the faults that stand and ask for this, each once."""
        return tuple(dict.fromkeys(s.monitor.code for s in self._by_isolation[isolation] if s.active))

    def isolates(self, isolation: Isolation) -> bool:
        """Whether a fault stands that asks for this."""
        return any(state.active for state in self._by_isolation[isolation])
