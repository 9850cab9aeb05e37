"""A day ahead: charges, sheds and energies from what is stored now, the light to come, and what the craft is to do.

Pure, and by the rules of the supervisor itself: the sharing rule, the shedding table, the duty cycle. A step lasts at
most ``step_s``; it ends sooner where light changes, a phase or a burn begins or ends, or a store reaches a charge at
which the rules change (a charge runs straight meanwhile, so that moment is exact). A run can be made in slices, for a
program that has a millisecond now and then.

What is not foreseen: faults, and an operator. SAFE begins at its charges and ends by itself once they allow it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from math import inf, sqrt

import msgspec

from fdir.modes import Motion
from firmware_py.energy.books import BATTERY_LOSS, CONVERTER_LOSS
from firmware_py.energy.duties import COMPUTER_LOAD
from firmware_py.energy.forecast_books import ForecastBooks
from firmware_py.energy.forecast_demand import Demand, SafeLatch, marks_of
from firmware_py.energy.forecast_heat import HeatForecast, Heats, StoreCold
from firmware_py.energy.forecast_plan import (
    NOMINAL,
    PESSIMISTIC,
    Activity,
    DayAhead,
    Doubt,
    Forecast,
    ForecastRow,
    Phase,
    Start,
)
from firmware_py.energy.lighting import Illumination, PanelModel
from firmware_py.energy.power_rule import Flows, share
from firmware_py.energy.stack_health import STACK_SAG
from hal.profile.body import BodyConfig, PowerConfig

__all__ = ["DAY_S", "ForecastRun", "forecast"]

DAY_S = 86_400.0
STEP_S = 60.0
LEAST_STEP_S = 5.0
"""After a step that a charge cut short the next one lasts that long at least: rules that contradict each other around
a charge can't stop the clock."""
SAME_S = 1e-6
SHARES = 50
"""Charge limits between none and all that are told apart."""
LEAST_STACK_SHARE = 0.1
"""Of the stack's full voltage; below it the current of a given power would be without bound."""
BATTERY_HEATER, RADIO = "heater_battery", "nbl"


class ForecastRun:
    """One run over ``seconds``: ``advance`` until it is done, then ``result``."""

    def __init__(
        self, body: BodyConfig, start: Start, light: Illumination, activity: Activity | None = None, *,
        seconds: float = DAY_S, doubt: Doubt = NOMINAL, ambient_c: float | None = None, step_s: float = STEP_S,
    ) -> None:
        """
        Args:
            body: craft description.
            start: stores and heat now.
            light: light on the cells; its time 0 is now.
            activity: what is planned; its time 0 is now.
            seconds: how far ahead.
            doubt: what is held against all of that.
            ambient_c: by default the body's.
            step_s: longest step.

        Raises:
            ValueError: for a time or step out of range, and an unknown thermal node.
        """
        if not 0.0 < seconds <= 400.0 * DAY_S or not 1.0 <= step_s <= 3600.0:
            raise ValueError(f"{seconds} s in steps of {step_s} s; above 0, up to 400 days, and 1..3600 s are allowed")
        power = body.power
        self._power, self._light, self._doubt, self._step_s, self._end_s = power, light, doubt, step_s, seconds
        self._plan = Activity() if activity is None else activity
        designed = power.battery.capacity_wh * 3600.0, power.supercap.capacity_wh * 3600.0
        self._full_j = start.battery_j or designed[0], start.supercap_j or designed[1]
        self._soc = self._began = (
            max(0.0, start.soc_battery - doubt.sigmas * start.sigma_battery),
            max(0.0, start.soc_supercap - doubt.sigmas * start.sigma_supercap),
        )
        around_c = body.thermal.ambient_c if ambient_c is None else ambient_c
        self._heat = HeatForecast(body, start.temperatures_c, around_c)
        self._heats, self._cold = Heats(body, self._heat), StoreCold(body, self._heat)
        self._demand = Demand(body, self._heat, doubt.loads_share, self._full_j[0])
        self._panel, self._safe = PanelModel(power.array), SafeLatch(power)
        self._books = ForecastBooks(self._demand.names, *self._soc)
        self._marks = marks_of(power)
        self._stack_ohm = STACK_SAG * power.supercap.full_v**2 / power.supercap.discharge_max_w
        burns = [t for burn in self._plan.burns for t in (burn.t_s, burn.end_s)]
        self._edges = sorted({seconds, *(phase.t_s for phase in self._plan.phases), *burns})
        self._powers: dict[int, PowerConfig] = {}
        self._flows: Flows | None = None
        self._own_w = [0.0] * len(self._heat.names)
        self._bus_on, self._cut_short = True, False
        self.t_s = 0.0

    @property
    def finished(self) -> bool:
        """Whether the end is reached."""
        return self.t_s >= self._end_s

    def advance(self, steps: int) -> bool:
        """Go on by at most so many steps; returns whether the end is reached."""
        for _ in range(steps):
            if self.finished:
                break
            self._step()
        return self.finished

    def result(self, keep_rows: bool = True) -> Forecast:
        """What was found. Raises RuntimeError before the end."""
        if not self.finished:
            raise RuntimeError(f"the forecast has come to {self.t_s:.0f} s of {self._end_s:.0f} s")
        spent = [(b - now) * full for b, now, full in zip(self._began, self._soc, self._full_j, strict=True)]
        return self._books.finish(self._end_s, self._soc, (spent[0], spent[1]), keep_rows)

    def _step(self) -> None:
        """Go on until the step is full, something planned happens, or a store reaches a mark."""
        t = self.t_s
        span = min(self._step_s, self._next_edge(t) - t, self._light.next_edge(t) - t)
        light = self._light.mean(t, t + span)
        array_w = self._doubt.array_share * self._panel.step(span, light, self._light.lit_share)
        if self._bus_on:
            loads, flows, motion = self._fly(t, span, array_w)
            if flows.unserved_w > 0.0 and self._soc[0] <= self._power.battery.cut_soc and self._starves(flows, loads):
                self._bus_on = False
                self._books.dark_from_s = t if self._books.dark_from_s is None else self._books.dark_from_s
                loads, flows = self._recover(array_w)
        else:
            loads, flows = self._recover(array_w)
            motion = Motion.BOOT
        self._flows = flows
        self._move(span, loads, flows, motion)
        if not self._bus_on and self._soc[0] >= self._power.battery.wake_soc:
            self._bus_on = True
            self._demand.boot(self.t_s)

    def _fly(self, t: float, span: float, array_w: float) -> tuple[Mapping[str, float], Flows, Motion]:
        """Loads and flows with the bus on."""
        phase, plan = self._phase(t), self._plan
        safe = self._safe.step(*self._soc)
        if safe and self._books.safe_from_s is None:
            self._books.safe_from_s = t
        charge = self._cold.step()
        loads = self._demand.step(
            t, span, phase, safe, self._soc, self._cold, array_w + plan.dock_w, self._flows, self._own_w
        )
        self._books.sheds.note(t, self._demand.shed)
        flows = share(
            self._limited(charge), array_w=array_w, dock_w=plan.dock_w, loads_w=sum(loads.values()),
            peaks_w=sum(burn.watts for burn in plan.burns if burn.t_s <= t + SAME_S < burn.end_s),
            soc_battery=self._soc[0], soc_supercap=self._soc[1], charge_battery=charge > 0.0,
            charge_supercap=self._cold.stack_may_charge,
        )
        return loads, flows, Motion.SAFE if safe else phase.motion

    def _recover(self, array_w: float) -> tuple[Mapping[str, float], Flows]:
        """Lockout: all loads off but the battery's own heater, until the array has charged it to ``wake_soc``."""
        self._books.sheds.note(self.t_s, {})
        self._cold.step()
        heater_w, charges = self._cold.lockout_w(self._own_w, array_w)
        flows = share(
            self._power, array_w=array_w, dock_w=0.0, loads_w=heater_w, peaks_w=0.0, soc_battery=self._soc[0],
            soc_supercap=self._soc[1], charge_battery=charges, charge_supercap=self._cold.stack_may_charge,
        )
        return ({BATTERY_HEATER: heater_w} if heater_w > 0.0 else {}), flows

    @staticmethod
    def _starves(flows: Flows, loads: Mapping[str, float]) -> bool:
        """Whether loads, not only peaks, go without."""
        return flows.loads_w < sum(loads.values()) * (1.0 - 1e-9)

    def _next_edge(self, t: float) -> float:
        index = bisect_right(self._edges, t + SAME_S)
        return self._edges[index] if index < len(self._edges) else inf

    def _phase(self, t: float) -> Phase:
        phases = self._plan.phases
        return phases[max(0, bisect_right(phases, t + SAME_S, key=_begin) - 1)]

    def _limited(self, charge_share: float) -> PowerConfig:
        """The power chain with the charge limit that cold leaves."""
        level = round(charge_share * SHARES)
        if level >= SHARES or level == 0:
            return self._power
        found = self._powers.get(level)
        if found is None:
            battery = self._power.battery
            slower = msgspec.structs.replace(battery, charge_max_w=battery.charge_max_w * level / SHARES)
            found = self._powers[level] = msgspec.structs.replace(self._power, battery=slower)
        return found

    # -- moving on

    def _move(self, span: float, loads: Mapping[str, float], flows: Flows, motion: Motion) -> None:
        losses = BATTERY_LOSS * (flows.battery_out_w + flows.battery_in_w), self._stack_loss(flows)
        (battery, stack), (battery_j, stack_j) = self._soc, self._full_j
        battery_rate = (flows.battery_in_w - flows.battery_out_w - losses[0]) / battery_j
        stack_rate = (flows.supercap_in_w - flows.supercap_out_w - losses[1]) / stack_j
        battery_s, battery_mark = _until(battery, battery_rate, self._marks[0])
        stack_s, stack_mark = _until(stack, stack_rate, self._marks[1])
        short = min(battery_s, stack_s)
        seconds = min(span, max(short, LEAST_STEP_S) if self._cut_short else short)
        self._cut_short = seconds < span
        self._write(seconds, loads, flows, motion, losses)
        self._soc = (
            battery_mark if seconds == battery_s else min(max(battery + battery_rate * seconds, 0.0), 1.0),
            stack_mark if seconds == stack_s else min(max(stack + stack_rate * seconds, 0.0), 1.0),
        )
        self._warm(seconds, loads, flows, losses)
        self.t_s = self._end_s if self._end_s - self.t_s - seconds < SAME_S else self.t_s + seconds
        self._books.charges(self.t_s, *self._soc)

    def _stack_loss(self, flows: Flows) -> float:
        """Converter and series resistance at the present voltage."""
        through = flows.supercap_out_w + flows.supercap_in_w
        if through <= 0.0:
            return 0.0
        amperes = through / (max(sqrt(self._soc[1]), LEAST_STACK_SHARE) * self._power.supercap.full_v)
        return CONVERTER_LOSS * through + self._stack_ohm * amperes * amperes

    def _write(
        self, seconds: float, loads: Mapping[str, float], flows: Flows, motion: Motion, losses: tuple[float, float]
    ) -> None:
        books, asked_w = self._books, sum(loads.values())
        books.flows(seconds, flows, *losses)
        heaters_w = books.loads(seconds, loads, flows.loads_w / asked_w if asked_w > 0.0 else 1.0)
        books.heat_denied_j += self._demand.heaters.denied_w * seconds if self._bus_on else 0.0
        books.boost_s += seconds if self._soc[1] >= self._power.supercap.boost_soc else 0.0
        books.cold_s += seconds if self._cold.cold else 0.0
        books.dark_s += 0.0 if self._bus_on else seconds
        books.rows.append(ForecastRow(
            self.t_s, *self._soc, flows.array_w, flows.dock_w, flows.loads_w - heaters_w, heaters_w, flows.peaks_w,
            flows.battery_out_w - flows.battery_in_w, flows.supercap_out_w - flows.supercap_in_w, flows.spilled_w,
            flows.unserved_w, motion, tuple(self._demand.shed) if self._bus_on else (), tuple(self._heat.celsius),
            self._bus_on,
        ))

    def _warm(
        self, seconds: float, loads: Mapping[str, float], flows: Flows, losses: tuple[float, float]
    ) -> None:
        bus = self._power.bus
        volts = bus.empty_v + (bus.full_v - bus.empty_v) * self._soc[0]
        through = flows.loads_w + flows.help_w if self._bus_on else 0.0
        own = self._heats.of(
            processor_w=loads.get(COMPUTER_LOAD, 0.0), radio_w=loads.get(RADIO, 0.0), pdu_w=through,
            pdu_a=through / volts, battery_loss_w=losses[0], stack_loss_w=losses[1], dock_a=flows.dock_w / volts,
            rcs_w=flows.peaks_w,
        )
        self._own_w = list(own)
        for name, node in self._demand.heaters.nodes:
            own[node] += loads.get(name, 0.0)
        self._heat.step(seconds, own)


def forecast(
    body: BodyConfig, start: Start, light: Illumination, activity: Activity | None = None, *, seconds: float = DAY_S,
    ambient_c: float | None = None, step_s: float = STEP_S, pessimistic: Doubt = PESSIMISTIC,
) -> DayAhead:
    """The day ahead as planned and as it may turn out; the arguments of :class:`ForecastRun`. Raises ValueError."""
    runs = [
        ForecastRun(body, start, light, activity, seconds=seconds, doubt=doubt, ambient_c=ambient_c, step_s=step_s)
        for doubt in (NOMINAL, pessimistic)
    ]
    for run in runs:
        while not run.advance(1000):
            pass
    return DayAhead(runs[0].result(), runs[1].result(), tuple(node.name for node in body.thermal.nodes))


def _begin(phase: Phase) -> float:
    return phase.t_s


def _until(soc: float, rate: float, marks: Sequence[float]) -> tuple[float, float]:
    """Time to the next mark at this rate, s, and the mark; inf if there is none on the way."""
    if rate > 0.0:
        index = bisect_right(marks, soc)
        return ((marks[index] - soc) / rate, marks[index]) if index < len(marks) else (inf, soc)
    if rate < 0.0:
        index = bisect_left(marks, soc)
        return ((marks[index - 1] - soc) / rate, marks[index - 1]) if index > 0 else (inf, soc)
    return inf, soc
