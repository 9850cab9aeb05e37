"""Figures of a flight from its recorded rows, and whether what was expected came true; what is missing never holds.

Errors are judged against the truth of the rig where it was recorded: the pointing error is the angle between where the
craft really pointed and where it was asked to point, so that a wrong estimate counts too. Positions count from where
the craft was in the first truth row, as navigation's do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import degrees, nan, sqrt

from drivers.errors import Cause
from fdir.codes import Code
from firmware_py.mission import ExpectConfig, StepOutcome
from firmware_py.reference_codes import RIG_FAULT
from firmware_py.report.figures_energy import ENERGY_FIGURES
from firmware_py.report.scope import NS, Figure, FlightData, Row, Scope, Value, greatest, vector
from firmware_py.scheduler import EventCode
from hal.frames import norm
from hal.recovery import Rung

__all__ = [
    "CODED", "FIGURES", "RIG_FAULT", "Figure", "FlightData", "FlownStep", "Scope", "Verdict", "at_the_end",
    "check_expectations", "flown_steps", "judge", "summary", "window_of",
]

SLACK_NS = 500_000_000
"""How much less than ``last_s`` may have been recorded: the first and last row of a flight lie a little inside it."""
EVENT_CODES = tuple(dict.fromkeys((*Code, *EventCode, RIG_FAULT)))


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


def _largest(name: str) -> Callable[[Scope], Value]:
    return lambda scope: greatest(scope.known(name))


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
    vectors = (vector(row, key) for _, row in rows)
    return [norm(vector) for vector in vectors if vector is not None]


def _largest_rate(scope: Scope) -> Value:
    return greatest(degrees(rate) for rate in _lengths(scope.truth, "rate_rad_s"))


def _last_rate(scope: Scope) -> Value:
    rates = _lengths(scope.truth[-1:], "rate_rad_s")
    return degrees(rates[0]) if rates else None


def _last_speed(scope: Scope) -> Value:
    speeds = _lengths(scope.truth[-1:], "velocity_m_s")
    return speeds[0] if speeds else None


def _hottest(scope: Scope) -> Value:
    return greatest(t for _, row in scope.truth for t in (row.get("temperatures_c") or {}).values() if t is not None)


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
    *ENERGY_FIGURES,
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
