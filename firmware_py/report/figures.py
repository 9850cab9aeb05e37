"""Figures of a flight from its recorded rows, and whether what was expected came true; what is missing never holds.

Errors are judged against the truth of the rig where it was recorded: the pointing error is the angle between where the
craft really pointed and where it was asked to point, so that a wrong estimate counts too. Positions count from where
the craft was in the first truth row, as navigation's do.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import degrees, inf, isnan, nan, sqrt
from typing import Any, NamedTuple

from drivers.errors import Cause
from fdir.codes import Code
from firmware_py.mission import ExpectConfig, StepOutcome
from firmware_py.scheduler import EventCode
from hal.frames import Quaternion, Vec3, add, norm, rotation_angle, subtract
from hal.recovery import Rung

__all__ = [
    "CODED", "FIGURES", "RIG_FAULT", "Figure", "FlightData", "FlownStep", "Scope", "Verdict", "at_the_end",
    "check_expectations", "flown_steps", "judge", "summary", "window_of",
]

Row = tuple[int, Mapping[str, Any]]
Value = float | str | None
NS = 1e9
SLACK_NS = 500_000_000
"""How much less than ``last_s`` may have been recorded: the first and last row of a flight lie a little inside it."""


NEW_TARGET_M = 0.05
"""A target position that moves by more than this at once was set anew."""


class Pair(NamedTuple):
    """One truth row with the snapshot of its time.

    ``position_m`` is the true one, counted from the flight's origin. ``unknown_m`` is how far dead reckoning was off
    when the present target position was set: true minus estimated position then.
    """

    t_ns: int
    snapshot: Mapping[str, Any]
    truth: Mapping[str, Any]
    position_m: Vec3 | None
    unknown_m: Vec3 | None


@dataclass(frozen=True, slots=True)
class FlightData:
    """Recorded rows of one flight, each ``(t_ns, row)`` in time order. ``truth`` is empty for a real craft.

    What is derived from the rows is computed once and kept.
    """

    metadata: Mapping[str, str]
    snapshots: Sequence[Row]
    truth: Sequence[Row]
    events: Sequence[Row]
    commands: Sequence[Row]
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, key: str, compute: Callable[[], Any]) -> Any:
        """The result of ``compute``, which is called the first time only."""
        if key not in self._kept:
            self._kept[key] = compute()
        return self._kept[key]

    @property
    def identity(self) -> list[str]:
        """Body, board and seed in words, as far as the record names them."""
        named = [(key, self.metadata.get(key)) for key in ("body", "board", "seed")]
        return [f"{key} {value}" for key, value in named if value not in (None, "", "null", "None")]

    @property
    def end_ns(self) -> int | None:
        """Time of the last snapshot or truth row; ``None`` for a flight without either."""
        return max((rows[-1][0] for rows in (self.snapshots, self.truth) if rows), default=None)

    @property
    def start_ns(self) -> int | None:
        """Time of the first snapshot or truth row; ``None`` for a flight without either."""
        return min((rows[0][0] for rows in (self.snapshots, self.truth) if rows), default=None)

    @property
    def pairs(self) -> list[Pair]:
        """Truth rows joined with the snapshot of the same time or the one just before."""
        found: list[Pair] = self.once("pairs", self._join)
        return found

    def series(self, name: str) -> list[tuple[int, float | None]]:
        """Time (ns) and value of an error of ``PAIR_FIGURES`` for every pair; ``None`` where it is unknown."""
        compute = PAIR_FIGURES[name]
        found: list[tuple[int, float | None]] = self.once(
            f"series {name}", lambda: [(pair.t_ns, compute(pair)) for pair in self.pairs]
        )
        return found

    @property
    def origin(self) -> Vec3:
        """True position in m, inertial, where navigation began: that of the first truth row that has one."""
        found: Vec3 = self.once("origin", self._origin)
        return found

    def _origin(self) -> Vec3:
        for _, row in self.truth:
            position = _vector(row, "position_m")
            if position is not None:
                return position
        return (0.0, 0.0, 0.0)

    def _join(self) -> list[Pair]:
        result: list[Pair] = []
        index = 0
        asked: Vec3 | None = None
        unknown: Vec3 | None = None
        for t_ns, truth in self.truth:
            while index + 1 < len(self.snapshots) and self.snapshots[index + 1][0] <= t_ns:
                index += 1
            if self.snapshots and self.snapshots[index][0] <= t_ns:
                position = _vector(truth, "position_m")
                counted = None if position is None else subtract(position, self.origin)
                snapshot = self.snapshots[index][1]
                target, estimate = _vector(snapshot, "target_position_m"), _vector(snapshot, "position_m")
                if target is None or estimate is None or counted is None:
                    asked = unknown = None
                elif asked is None or norm(subtract(target, asked)) > NEW_TARGET_M:
                    asked, unknown = target, subtract(counted, estimate)
                result.append(Pair(t_ns, snapshot, truth, counted, unknown))
        return result


RIG_FAULT = "RIG_FAULT"
"""Code of the rig's own notes in the record: a fault began or ended."""
EVENT_CODES = tuple(dict.fromkeys((*Code, *EventCode, RIG_FAULT)))


@dataclass(frozen=True, slots=True)
class Scope:
    """What one figure looks at: a flight, a time span in ns with its ends included, and for events a code."""

    data: FlightData
    start_ns: float = -inf
    end_ns: float = inf
    code: str | None = None

    @property
    def snapshots(self) -> Sequence[Row]:
        """Snapshots inside the span."""
        return self._inside(self.data.snapshots)

    @property
    def truth(self) -> Sequence[Row]:
        """Truth rows inside the span."""
        return self._inside(self.data.truth)

    @property
    def events(self) -> Sequence[Row]:
        """Events inside the span."""
        return self._inside(self.data.events)

    def known(self, name: str) -> list[float]:
        """Values of a pair figure inside the span, without the unknown ones."""
        rows = self.data.series(name)
        return [value for _, value in self._inside(rows) if value is not None]

    def _inside(self, rows: Sequence[Any]) -> Sequence[Any]:
        first = bisect_left(rows, self.start_ns, key=_time)
        last = bisect_right(rows, self.end_ns, key=_time)
        return rows[first:last]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: how it is computed, its unit, and what it says.

    ``windowed`` is False where ``step`` and ``last_s`` have no meaning. ``text_value`` is True for a word, which only
    ``equals`` can judge.
    """

    name: str
    unit: str
    text: str
    compute: Callable[[Scope], Value]
    windowed: bool = True
    text_value: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """One expectation, the value found, and whether it holds.

    ``value`` is ``None`` where nothing was recorded; ``why`` then says what is missing.
    """

    expect: ExpectConfig
    value: Value
    holds: bool
    why: str = ""

    @property
    def allowed(self) -> str:
        """The condition in words."""
        parts = []
        if self.expect.below is not None:
            parts.append(f"< {self.expect.below:g}")
        if self.expect.above is not None:
            parts.append(f"> {self.expect.above:g}")
        if self.expect.equals is not None:
            equals = self.expect.equals
            parts.append(f"= {equals:g}" if isinstance(equals, float) else f"= {equals}")
        return " and ".join(parts)

    @property
    def where(self) -> str:
        """The part of the flight that is judged, in words; empty for the whole flight."""
        expect = self.expect
        parts = []
        if expect.last_s is not None:
            parts.append(f"last {expect.last_s:g} s")
        if expect.step is not None:
            parts.append(f"step {expect.step}")
        where = " of ".join(parts)
        return ", ".join(part for part in (where, expect.code) if part)

    @property
    def unit(self) -> str:
        """Unit of the figure, ``?`` for a figure that does not exist."""
        figure = FIGURES.get(self.expect.figure)
        return figure.unit if figure is not None else "?"


def _time(row: Sequence[Any]) -> int:
    t_ns: int = row[0]
    return t_ns


def _vector(row: Mapping[str, Any], key: str) -> Vec3 | None:
    value = row.get(key)
    return None if value is None else (value[0], value[1], value[2])


def _quaternion(row: Mapping[str, Any], key: str) -> Quaternion | None:
    value = row.get(key)
    return None if value is None else (value[0], value[1], value[2], value[3])


def _angle_deg(a: Quaternion | None, b: Quaternion | None) -> float | None:
    return None if a is None or b is None else degrees(rotation_angle(a, b))


def _distance_m(a: Vec3 | None, b: Vec3 | None) -> float | None:
    return None if a is None or b is None else norm(subtract(a, b))


def attitude_error_deg(pair: Pair) -> float | None:
    """Angle between the true attitude and the one asked for, deg; ``None`` without a target."""
    return _angle_deg(_quaternion(pair.truth, "quaternion"), _quaternion(pair.snapshot, "target_quaternion"))


def position_error_m(pair: Pair) -> float | None:
    """Distance between the true position and the one asked for, m; ``None`` without a target.

    There is no absolute position sensor, so "stay here" means where the craft truly is when it is told: both
    positions count from the moment at which the target was set. What was lost before is ``position_knowledge_m``.
    """
    target = _vector(pair.snapshot, "target_position_m")
    if target is None or pair.unknown_m is None:
        return None
    return _distance_m(pair.position_m, add(target, pair.unknown_m))


def attitude_knowledge_deg(pair: Pair) -> float | None:
    """Angle between the true and the estimated attitude, deg; ``None`` before the attitude is known."""
    if not pair.snapshot.get("attitude_known"):
        return None
    return _angle_deg(_quaternion(pair.truth, "quaternion"), _quaternion(pair.snapshot, "quaternion"))


def position_knowledge_m(pair: Pair) -> float | None:
    """Distance between the true and the estimated position, m; ``None`` before the attitude is known.

    Until then the estimate's axes are those of the craft at boot.
    """
    if not pair.snapshot.get("attitude_known"):
        return None
    return _distance_m(pair.position_m, _vector(pair.snapshot, "position_m"))


PAIR_FIGURES: dict[str, Callable[[Pair], float | None]] = {
    "attitude_error_deg": attitude_error_deg,
    "position_error_m": position_error_m,
    "attitude_knowledge_deg": attitude_knowledge_deg,
    "position_knowledge_m": position_knowledge_m,
}
"""Errors of a snapshot against the truth of the same moment."""


def _greatest(values: Iterable[float]) -> float | None:
    """Largest value; not-a-number if any is, because a figure that could not be computed must not hide."""
    listed = list(values)
    return nan if any(isnan(v) for v in listed) else max(listed, default=None)


def _largest(name: str) -> Callable[[Scope], Value]:
    return lambda scope: _greatest(scope.known(name))


def _rms(name: str) -> Callable[[Scope], Value]:
    def compute(scope: Scope) -> Value:
        known = scope.known(name)
        return sqrt(sum(v * v for v in known) / len(known)) if known else None

    return compute


def _last_truth(key: str) -> Callable[[Scope], Value]:
    def compute(scope: Scope) -> Value:
        rows = scope.truth
        value: Value = rows[-1][1].get(key) if rows else None
        return value

    return compute


def _spent(key: str) -> Callable[[Scope], Value]:
    """First minus last value of a truth column inside the span."""

    def compute(scope: Scope) -> Value:
        rows = scope.truth
        if not rows:
            return None
        first, last = rows[0][1].get(key), rows[-1][1].get(key)
        spent: float | None = None if first is None or last is None else first - last
        return spent

    return compute


def _energy_wh(key: str) -> Callable[[Scope], Value]:
    """Integral of a truth column in W over the span, Wh, by the trapezoidal rule; ``None`` if any row is unknown."""

    def compute(scope: Scope) -> Value:
        rows = scope.truth
        watts = [row.get(key) for _, row in rows]
        known = [w for w in watts if w is not None]
        if len(known) < 2 or len(known) < len(watts):
            return None
        joules: float = sum(
            0.5 * (known[i] + known[i + 1]) * (rows[i + 1][0] - rows[i][0]) / NS for i in range(len(rows) - 1)
        )
        return joules / 3600.0

    return compute


def _last_snapshot(key: str) -> Callable[[Scope], Value]:
    """Last value of a channel inside the span; the length of a list or table."""

    def compute(scope: Scope) -> Value:
        rows = scope.snapshots
        value = rows[-1][1].get(key) if rows else None
        found: Value = len(value) if isinstance(value, list | tuple | dict | frozenset) else value
        return found

    return compute


def _by_name(key: str) -> Callable[[Scope], Value]:
    """Sum of a table of counts at the end of the span, or one of them if ``code`` names it."""

    def compute(scope: Scope) -> Value:
        rows = scope.snapshots
        table = rows[-1][1].get(key) if rows else None
        if not isinstance(table, dict):
            return None
        return sum(table.values()) if scope.code is None else table.get(scope.code, 0)

    return compute


def _lengths(rows: Iterable[Row], key: str) -> list[float]:
    vectors = (_vector(row, key) for _, row in rows)
    return [norm(vector) for vector in vectors if vector is not None]


def _largest_rate(scope: Scope) -> Value:
    return _greatest(degrees(rate) for rate in _lengths(scope.truth, "rate_rad_s"))


def _last_rate(scope: Scope) -> Value:
    rates = _lengths(scope.truth[-1:], "rate_rad_s")
    return degrees(rates[0]) if rates else None


def _last_speed(scope: Scope) -> Value:
    speeds = _lengths(scope.truth[-1:], "velocity_m_s")
    return speeds[0] if speeds else None


def _hottest(scope: Scope) -> Value:
    return _greatest(t for _, row in scope.truth for t in (row.get("temperatures_c") or {}).values() if t is not None)


def _count_events(scope: Scope) -> Value:
    """No events are no missing data, as long as the flight was recorded at all."""
    if not scope.snapshots and not scope.truth:
        return None
    return sum(1 for _, row in scope.events if scope.code is None or row["code"] == scope.code)


def _steps_not_done(scope: Scope) -> Value:
    """Needs the number of steps in the metadata."""
    planned = scope.data.metadata.get("steps", "")
    if not planned.isdigit():
        return None
    return int(planned) - sum(1 for _, row in scope.data.events if row["code"] == Code.STEP_DONE)


def _duration(scope: Scope) -> Value:
    rows = scope.snapshots
    return (rows[-1][0] - rows[0][0]) / NS if rows else None


_TABLE = (
    Figure("duration_s", "s", "flight time between first and last snapshot", _duration),
    Figure("steps_not_done", "1", "steps of the mission that did not end as done", _steps_not_done, windowed=False),
    Figure("position_error_m", "m", "largest distance between true and asked position, from where it was asked",
           _largest("position_error_m")),
    Figure("attitude_error_deg", "deg", "largest angle between true and asked attitude",
           _largest("attitude_error_deg")),
    Figure("attitude_error_rms_deg", "deg", "root mean square of the angle between true and asked attitude",
           _rms("attitude_error_deg")),
    Figure("position_knowledge_m", "m", "largest distance between true and estimated position",
           _largest("position_knowledge_m")),
    Figure("attitude_knowledge_deg", "deg", "largest angle between true and estimated attitude",
           _largest("attitude_knowledge_deg")),
    Figure("rate_deg_s", "deg/s", "true body rate at the end", _last_rate),
    Figure("largest_rate_deg_s", "deg/s", "largest true body rate", _largest_rate),
    Figure("speed_m_s", "m/s", "true speed at the end", _last_speed),
    Figure("propellant_used_kg", "kg", "propellant that left the tank", _spent("propellant_kg")),
    Figure("propellant_left_kg", "kg", "true propellant at the end", _last_truth("propellant_kg")),
    Figure("impulse_n_s", "N s", "impulse of all nozzles from the start of the flight to the end",
           _last_truth("total_impulse_n_s")),
    Figure("battery_used", "1", "state of charge taken from the battery; negative if it was charged",
           _spent("soc_battery")),
    Figure("soc_battery", "1", "true state of charge of the battery at the end", _last_truth("soc_battery")),
    Figure("soc_supercap", "1", "true state of charge of the supercapacitor at the end", _last_truth("soc_supercap")),
    Figure("array_power_w", "W", "power of the solar array at the end", _last_truth("array_w")),
    Figure("array_energy_wh", "Wh", "energy from the solar array", _energy_wh("array_w")),
    Figure("load_energy_wh", "Wh", "energy into the loads", _energy_wh("load_w")),
    Figure("hottest_c", "deg C", "highest true temperature of any node", _hottest),
    Figure("pulse_rule_violations", "1", "pulses, pauses or burns outside the body's limits, on the valves' edges",
           _last_truth("pulse_rule_violations")),
    Figure("events", "1", "events, of one code if `code` is given", _count_events),
    Figure("motion", "-", "motion mode at the end", _last_snapshot("motion"), text_value=True),
    Figure("safe", "-", "state of SAFE at the end", _last_snapshot("safe"), text_value=True),
    Figure("masked_nozzles", "1", "nozzles out of use at the end", _last_snapshot("masked_nozzles")),
    Figure("devices_not_ok", "1", "devices that are not OK at the end", _last_snapshot("devices")),
    Figure("gate_vetoes", "1", "pulses that the final gate took out, from the start of the flight to the end",
           _last_snapshot("gate_vetoes")),
    Figure("bus_failures", "1", "failed transfers and refused answers from the start of the flight, of one cause if "
           "`code` is given", _by_name("failure_causes")),
    Figure("bus_recoveries", "1", "hung buses brought back from the start of the flight, by one rung of the ladder if "
           "`code` is given", _by_name("bus_recoveries")),
)
FIGURES: dict[str, Figure] = {figure.name: figure for figure in _TABLE}
CODED: dict[str, tuple[str, ...]] = {
    "events": EVENT_CODES, "bus_failures": tuple(cause.value for cause in Cause),
    "bus_recoveries": tuple(rung.value for rung in Rung),
}
"""Figures that take a code, and the codes."""


def window_of(data: FlightData, expect: ExpectConfig) -> Scope | None:
    """What an expectation looks at: a step, the last seconds, the last seconds of a step, or everything.

    ``None`` if the step was not flown or less than ``last_s`` was recorded, half a second allowed.
    """
    start, end = data.start_ns, data.end_ns
    if start is None or end is None:
        return None
    if expect.step is not None:
        times = [t_ns for t_ns, row in data.snapshots if row.get("step") == expect.step]
        if not times:
            return None
        start, end = times[0], times[-1]
    if expect.last_s is None:
        return Scope(data, start, end, expect.code)
    wanted = expect.last_s * NS
    if end - start < wanted - min(SLACK_NS, 0.5 * wanted):
        return None
    return Scope(data, max(start, end - wanted), end, expect.code)


def check_expectations(expectations: Sequence[ExpectConfig]) -> list[str]:
    """What is wrong with a mission's expectations, one sentence each that says what is allowed; empty if nothing."""
    problems: list[str] = []
    for index, expect in enumerate(expectations):
        where = f"expect[{index}]"
        figure = FIGURES.get(expect.figure)
        if figure is None:
            problems.append(f"{where}.figure: no figure {expect.figure!r}; figures: {', '.join(FIGURES)}")
            continue
        if not figure.windowed and (expect.step is not None or expect.last_s is not None):
            problems.append(f"{where}: {figure.name} is of the whole flight; step and last_s have no meaning for it")
        allowed = CODED.get(figure.name)
        if expect.code is not None and allowed is None:
            problems.append(f"{where}.code: only the figures {', '.join(CODED)} take a code")
        elif expect.code is not None and allowed is not None and expect.code not in allowed:
            problems.append(f"{where}.code: no code {expect.code!r}; codes: {', '.join(allowed)}")
        if figure.text_value and (expect.below is not None or expect.above is not None):
            problems.append(f"{where}: {figure.name} is a word; only equals can judge it")
        if expect.equals is not None and isinstance(expect.equals, str) != figure.text_value:
            kind = "a word" if figure.text_value else "a number"
            problems.append(f"{where}.equals: is {expect.equals!r}; {figure.name} is {kind}")
    return problems


def judge(data: FlightData, expectations: Sequence[ExpectConfig]) -> list[Verdict]:
    """Every expectation with the value found. What was not recorded does not hold."""
    return [_judge_one(data, expect) for expect in expectations]


def _judge_one(data: FlightData, expect: ExpectConfig) -> Verdict:
    figure = FIGURES.get(expect.figure)
    if figure is None:
        return Verdict(expect, None, False, f"no figure {expect.figure!r}; figures: {', '.join(FIGURES)}")
    if expect.below is None and expect.above is None and expect.equals is None:
        return Verdict(expect, None, False, "nothing is expected: give below, above or equals")
    scope = window_of(data, expect)
    if scope is None:
        return Verdict(expect, None, False, _why_no_window(data, expect))
    value = figure.compute(scope)
    if value is None:
        return Verdict(expect, None, False, "not recorded")
    holds = expect.equals is None or value == expect.equals
    number = value if isinstance(value, int | float) else nan
    if expect.below is not None:
        holds = holds and number < expect.below
    if expect.above is not None:
        holds = holds and number > expect.above
    return Verdict(expect, value, holds)


def _why_no_window(data: FlightData, expect: ExpectConfig) -> str:
    if data.end_ns is None:
        return "nothing was recorded"
    if expect.step is not None and not any(row.get("step") == expect.step for _, row in data.snapshots):
        return f"step {expect.step} was not flown"
    return f"less than {expect.last_s:g} s were recorded"


def at_the_end(data: FlightData, name: str, last_s: float = 10.0) -> Value:
    """One figure over the last ``last_s`` seconds; ``None`` if it or the time was not recorded."""
    scope = window_of(data, ExpectConfig(name, last_s=last_s))
    return None if scope is None else FIGURES[name].compute(scope)


def summary(data: FlightData) -> dict[str, Value]:
    """Every figure over the whole flight."""
    everything = Scope(data)
    return {name: figure.compute(everything) for name, figure in FIGURES.items()}


_OUTCOMES = {
    Code.STEP_DONE: StepOutcome.DONE, Code.STEP_TIMEOUT: StepOutcome.TIMEOUT, Code.STEP_REFUSED: StepOutcome.REFUSED,
}
UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class FlownStep:
    """One step as flown. ``outcome`` is a word of StepOutcome, or ``unfinished`` where the record ends before it."""

    name: str
    start_ns: int
    end_ns: int
    outcome: str
    detail: str


def flown_steps(data: FlightData) -> list[FlownStep]:
    """Steps as flown, from the events that ended them (text: name, colon, detail); each starts where the last ended."""
    start, end = data.start_ns, data.end_ns
    if start is None or end is None:
        return []
    steps: list[FlownStep] = []
    for t_ns, row in data.events:
        if row["code"] in _OUTCOMES:
            name, _, detail = str(row["text"]).partition(": ")
            steps.append(FlownStep(name, start, t_ns, _OUTCOMES[Code(row["code"])], detail))
            start = t_ns
    flying = data.snapshots[-1][1].get("step") if data.snapshots else None
    if flying and flying not in [step.name for step in steps]:
        steps.append(FlownStep(flying, start, end, UNFINISHED, "the record ends before the step does"))
    return steps
