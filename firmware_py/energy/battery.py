"""Charge of the battery: energy counted, corrected by voltage and gauges, and honest about which of them agree.

Four sources: the count of energy (``charge_filter.py``), the voltage, the gauge and the battery management system. Each
is a sensor with its own possible fault. What differs beyond its sigma for ``PERSIST_S`` is not mixed in: the estimate
follows the greater group of sources that agree, the voltage before gauges, and with equal groups the lower charge; it
says *conflicting* for as long as that lasts. The count has a voice only after it has counted ``MATURE_SWING``: before
that it repeats whoever it was started from.

At the start the voltage under load alone can't tell charge from resistance: 1 % of the one is 16 mohm of the other at
4 A. Where gauge and BMS agree with each other and with it, the two together say once how much charge there is.

With every source lost the last charge is carried on with the mean power of the last minutes, for at most ``COAST_S``
and while its sigma is below ``SIGMA_LIMIT``; then it is ``None`` until a source returns. Counting alone may go on until
the same sigma.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, isfinite, sqrt

from fdir.codes import Code
from firmware_py.energy.charge_filter import BATTERY_LOSS, ChargeFilter, Noise
from firmware_py.energy.estimates import FADED_SHARE, GaugeReading, HeldInput, StoreEstimate, clamp, cold_factor
from firmware_py.energy.gauge_check import GaugeCheck
from firmware_py.energy.source_vote import GATE, Choice, Dissent, Vote, decide
from firmware_py.energy.trust import SourceVerdict, Trust, code_of, source_code
from hal.profile.body import BatteryConfig, BusPowerConfig

__all__ = ["COAST_S", "SIGMA_LIMIT", "BatteryCounters", "BatteryEstimator"]

COAST_S = 600.0
"""P: longest time without any source; at full power qiki-t's battery loses 4.7 % in it."""
SIGMA_LIMIT = 0.10
"""P: an estimate worse than half the distance between SAFE and an unshed craft (10 % and 30 %) decides nothing."""
HOLD_S = 3.0
"""A current or voltage that fails goes on for three polls of a 1 Hz device (CANON 10.2: 3 missed polls)."""
PERIOD_S = 2.0
"""Time between corrections; the charge moves by less than 0.1 % in it."""
KEEP_S = 600.0
"""P: how long a count that was overruled is called conflicting."""
MATURE_SWING = 0.03
"""P: counted charge from which the count is a source of its own; twice what the voltage may be wrong by."""
GAUGE_SIGMA = 0.02
"""P: gauge or BMS: steps of 1 %, and its own error."""
GAUGE_MEMORY_S = 12.0 * 3600.0
"""P: its error lasts, so all it says in this time weighs as one look."""
GAUGE_PERIOD_S = 60.0
PAIR_APART = 0.02
"""Gauge and BMS agree: two steps of 1 %."""
PAIR_SIGMA, PAIR_DEPTH_SHARE = 0.010, 0.02
"""P: what both say may be wrong by steps, and by a capacity that is not the designed one: the more, the more has left
the battery."""
AT_LIMIT = 0.95
"""Share of the discharge limit above which the voltage is that of an overloaded bus, not of the battery's charge."""
BUSY_S = 600.0
"""Time constant of the mean flow."""
FADE_SIGMA = 0.025
"""P: capacity is known when its sigma is below this: a verdict at 80 % then stands apart from a new battery by 8."""

_VOLTAGE, _GAUGE, _BMS = "voltage", "gauge", "bms"
_NAMES = ("current", _VOLTAGE, _GAUGE, _BMS)
_Verdicts = tuple[SourceVerdict, SourceVerdict, SourceVerdict, SourceVerdict]


@dataclass(slots=True)
class BatteryCounters:
    """Steps that were refused (time not finite, or not above 0) and times that the sources overruled the count."""

    bad_steps: int = 0
    overruled: int = 0


class _Window:
    """Sums of currents, voltages and energy between two corrections."""

    __slots__ = ("amp_s", "known_s", "moved_j", "sum_v", "time_s", "unknown_s", "volt_s", "voltage_s")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.amp_s = self.known_s = self.moved_j = self.volt_s = 0.0
        self.sum_v = self.voltage_s = self.unknown_s = self.time_s = 0.0


class BatteryEstimator:
    """One battery. Currents are positive out of it; charges are shares of its present capacity.

    ``update`` is pure arithmetic on what it is handed; ``estimate`` is the newest result. Inputs that are not finite or
    not possible are no data, and are named in ``estimate.sources``.
    """

    def __init__(self, config: BatteryConfig, bus: BusPowerConfig, noise: Noise | None = None) -> None:
        self._filter = ChargeFilter(config, bus, noise)
        self.counters = BatteryCounters()
        greatest_w = max(config.discharge_max_w, config.charge_max_w)
        self._limit_a = 2.0 * max(greatest_w / bus.empty_v, bus.current_limit_a)
        # Two per cent of charge, and three sigmas of the sensor.
        margin_v = 0.02 * self._filter.span_v + 3.0 * self._filter.noise.voltage_offset_v
        self._lowest_v, self._highest_v = bus.empty_v - margin_v, bus.full_v + margin_v
        self._worn_ohm = 2.0 * self._filter.one_percent_ohm
        self._limit_w = AT_LIMIT * config.discharge_max_w
        self._blind_rate = 0.5 * greatest_w / self._filter.designed_j
        self._current, self._voltage = HeldInput(HOLD_S), HeldInput(HOLD_S)
        self._gauge, self._bms = GaugeCheck(), GaugeCheck()
        self._dissent = {name: Dissent() for name in (_VOLTAGE, _GAUGE, _BMS)}
        self._window = _Window()
        self._mean_w = self._busy_a = self._flow_s = 0.0
        self._cold = 1.0
        self._started = self._paired = False
        self._moved = self._swing = self._lost_s = self._gauge_s = self._keep_s = 0.0
        self._lower: Vote | None = None
        self._verdicts: _Verdicts | None = None
        self._trust, self._codes = Trust.MISSING, tuple[Code, ...]((Code.POWER_TELEM_MISSING,))
        self._sources: tuple[tuple[str, SourceVerdict], ...] = ()
        self.estimate = StoreEstimate(None, None, Trust.MISSING, self._filter.designed_j, None, self._codes)

    @property
    def resistance_ohm(self) -> float:
        """Learned resistance at 25 deg C."""
        return self._filter.resistance_ohm

    @property
    def current_offset_a(self) -> float:
        """Learned offset of the current sensor."""
        return self._filter.current_offset_a

    def update(
        self,
        dt_s: float,
        current_a: float | None,
        voltage_v: float | None,
        gauge: GaugeReading | None = None,
        bms: GaugeReading | None = None,
        temperature_c: float | None = None,
    ) -> StoreEstimate:
        """Move on by ``dt_s`` s with what the sensors say now; ``None`` for what is not measured."""
        if not (dt_s > 0.0 and isfinite(dt_s)):
            self.counters.bad_steps += 1
            return self.estimate
        self._take(dt_s, current_a, voltage_v, temperature_c)
        window = self._window
        moved = self._moved + self._filter.change(window.moved_j, window.volt_s)
        self._gauge.update(gauge, moved, self._current.value)
        self._bms.update(bms, moved, self._current.value)
        # Both still under another current: then it is the current that lies.
        self._gauge.hangs, self._bms.hangs = not self._bms.still, not self._gauge.still
        verdicts = (self._current.verdict, self._voltage.verdict, self._gauge.verdict, self._bms.verdict)
        if not self._started:
            self._start()
        if window.time_s >= PERIOD_S or verdicts != self._verdicts:
            self._correct(verdicts)
        return self._tell()

    def _take(self, dt_s: float, current_a: float | None, voltage_v: float | None, temperature_c: float | None) -> None:
        """Add one step to the sums of this window."""
        window = self._window
        self._cold = cold_factor(temperature_c)
        self._current.take(current_a, -self._limit_a, self._limit_a, dt_s)
        amperes = self._current.value if dt_s <= HOLD_S else None
        drop = self._worn_ohm * self._cold * (0.0 if amperes is None else amperes)
        lowest, highest = self._lowest_v - max(drop, 0.0), self._highest_v - min(drop, 0.0)
        good = self._voltage.take(voltage_v, lowest, highest, dt_s)
        volts = self._voltage.value
        if volts is None:
            volts = self._filter.empty_v + self._filter.span_v * clamp(self._filter.soc, 0.0, 1.0)
        window.time_s += dt_s
        if amperes is None:
            # Nobody knows what flowed: the mean goes on, and the sigma grows by what may have been.
            window.unknown_s += dt_s
            window.moved_j += self._mean_w * dt_s
        else:
            self._count(dt_s, amperes, volts)
        if good and (amperes is None or amperes * volts < self._limit_w):
            window.sum_v += volts * dt_s
            window.voltage_s += dt_s

    def _count(self, dt_s: float, amperes: float, volts: float) -> None:
        """Add measured flow."""
        window = self._window
        loss = 1.0 + BATTERY_LOSS if amperes > 0.0 else 1.0 - BATTERY_LOSS
        volt_s = volts * loss * dt_s
        window.moved_j += amperes * volt_s
        window.volt_s += volt_s
        window.amp_s += amperes * dt_s
        window.known_s += dt_s
        self._flow_s = min(BUSY_S, self._flow_s + dt_s)
        blend = dt_s / self._flow_s
        self._mean_w += blend * (amperes * volts * loss - self._mean_w)
        self._busy_a += blend * (abs(amperes) - self._busy_a)

    def _flow(self) -> tuple[float, float]:
        """Current over this window and the mean size of it; where it is not known, one that may be anything."""
        window = self._window
        if window.known_s > 0.0:
            return window.amp_s / window.known_s, self._busy_a
        return 0.0, 2.0 * self._limit_a

    def _start(self) -> None:
        """Take the first charge that any source tells: the voltage, else the lowest of the gauges."""
        window = self._window
        if window.voltage_s > 0.0:
            self._seat_on_voltage()
            self._paired = False
        else:
            gauges = [check.soc for check in (self._gauge, self._bms) if check.soc is not None]
            if not gauges:
                return
            self._filter.start(min(gauges), GAUGE_SIGMA)
            self._paired = True
        self._started, self._lower = True, None
        self._swing = self._lost_s = 0.0
        window.clear()

    def _seat_on_voltage(self) -> None:
        """Start from the voltage of this window alone, with what its errors have in common with the charge's."""
        charge, volts = self._filter, self._window.sum_v / self._window.voltage_s
        amperes, busy = self._flow()
        soc, _ = charge.voltage_soc(volts, amperes, self._cold)
        charge.start(soc, 1.0)
        innovation, _ = charge.voltage_innovation(volts, amperes, busy, self._cold, 0.0)
        charge.see_voltage(innovation, amperes, busy, self._cold, charge.noise.lag_s)

    def _correct(self, verdicts: _Verdicts) -> None:
        """Close the window: count it, compare the sources, correct by those that agree, and form the verdict."""
        window = self._window
        span_s = window.time_s
        self._keep_s = max(0.0, self._keep_s - span_s)
        if self._started:
            change = self._filter.predict(
                span_s, window.moved_j, window.volt_s, self._blind_rate * window.unknown_s
            )
            self._moved += change
            self._swing += abs(change)
            self._resolve([*self._see_voltage(change), *self._see_gauges(span_s)])
            self._give_up(verdicts, span_s)
        self._verdicts = verdicts
        self._judge(verdicts)
        window.clear()

    def _see_voltage(self, change: float) -> list[Vote]:
        """Correct by the voltage, or answer what it says if it disagrees."""
        dissent, window = self._dissent[_VOLTAGE], self._window
        if self._voltage.value is None:
            dissent.forget()
        if window.voltage_s < 0.5 * window.time_s or window.voltage_s <= 0.0:
            return []
        charge, volts = self._filter, window.sum_v / window.voltage_s
        amperes, busy = self._flow()
        innovation, deviation = charge.voltage_innovation(volts, amperes, busy, self._cold, -0.5 * change)
        dissent.see(abs(innovation) > GATE * deviation, window.time_s, self._swing < MATURE_SWING)
        if dissent.conflict or dissent.now:
            return [Vote(_VOLTAGE, *charge.voltage_soc(volts, amperes, self._cold))]
        charge.see_voltage(innovation, amperes, busy, self._cold, window.time_s)
        return []

    def _see_gauges(self, span_s: float) -> list[Vote]:
        """Correct by the gauges once in a while; what those say that disagree."""
        self._gauge_s += span_s
        due = self._gauge_s >= GAUGE_PERIOD_S
        votes = []
        charge = self._filter
        for name, check in ((_GAUGE, self._gauge), (_BMS, self._bms)):
            dissent = self._dissent[name]
            if check.soc is None:
                dissent.forget()
                continue
            sigma = sqrt(charge.sigma * charge.sigma + GAUGE_SIGMA * GAUGE_SIGMA)
            dissent.see(abs(check.soc - charge.soc) > GATE * sigma, span_s, self._swing < MATURE_SWING)
            if dissent.conflict or dissent.now:
                votes.append(Vote(name, check.soc, GAUGE_SIGMA))
            elif due:
                alone = self._current.value is None and self._voltage.value is None
                weight = 1.0 if alone else sqrt(max(1.0, GAUGE_MEMORY_S / self._gauge_s))
                charge.see_charge(check.soc, GAUGE_SIGMA * weight)
        if due:
            self._gauge_s = 0.0
        if not (self._paired or votes):
            self._see_pair()
        return votes

    def _see_pair(self) -> None:
        """Correct once, early, by gauge and BMS where they confirm each other."""
        charge, gauge, bms = self._filter, self._gauge.soc, self._bms.soc
        if self._swing >= MATURE_SWING or self._dissent[_VOLTAGE].conflict:
            self._paired = True
        elif gauge is not None and bms is not None and abs(gauge - bms) <= PAIR_APART:
            both = 0.5 * (gauge + bms)
            sigma = hypot(PAIR_SIGMA, PAIR_DEPTH_SHARE * (1.0 - both))
            if abs(both - charge.soc) <= GATE * hypot(charge.sigma, sigma):
                charge.see_charge(both, sigma)
                self._paired = True

    def _resolve(self, votes: list[Vote]) -> None:
        """Follow the greater group, or the lower charge of equal groups."""
        self._lower = None
        if not votes:
            return
        voices = int(self._swing >= MATURE_SWING and self._current.value is not None)
        voices += self._voltage.value is not None and not self._dissent[_VOLTAGE].conflict
        voices += self._gauge.soc is not None and not self._dissent[_GAUGE].conflict
        voices += self._bms.soc is not None and not self._dissent[_BMS].conflict
        choice, vote = decide([vote for vote in votes if self._dissent[vote.name].conflict], voices)
        if choice is Choice.LOWER:
            self._lower = vote
        elif choice is Choice.OVERRULED and vote is not None:
            # What was learned was learned from a count that is not believed any more.
            self._filter.reset()
            if vote.name == _VOLTAGE:
                self._seat_on_voltage()
            else:
                self._filter.start(vote.soc, vote.sigma)
            for dissent in self._dissent.values():
                dissent.forget()
            self._swing, self._keep_s = 0.0, KEEP_S
            self.counters.overruled += 1

    def _give_up(self, verdicts: _Verdicts, span_s: float) -> None:
        """Drop the charge when nothing has supported it for too long."""
        lost = not any(verdict.usable for verdict in verdicts)
        self._lost_s = self._lost_s + span_s if lost else 0.0
        if self._lost_s > COAST_S or self._filter.sigma > SIGMA_LIMIT:
            self._started, self._lower = False, None
            for dissent in self._dissent.values():
                dissent.forget()

    def _judge(self, verdicts: _Verdicts) -> None:
        """Trust, codes and the verdict on each source."""
        shown = [
            SourceVerdict.CONFLICTING if name in self._dissent and self._dissent[name].conflict else verdict
            for name, verdict in zip(_NAMES, verdicts, strict=True)
        ]
        if shown[0].usable and (self._keep_s > 0.0 or (self._started and self._filter.strange)):
            shown[0] = SourceVerdict.CONFLICTING
        self._sources = tuple(zip(_NAMES, shown, strict=True))
        # A gauge that never answered is one that the craft does not have; current and voltage every craft has.
        fitted = (True, True, self._gauge.seen, self._bms.seen)
        faults = [
            verdict for verdict, there in zip(shown, fitted, strict=True)
            if not verdict.usable and (there or verdict is not SourceVerdict.MISSING)
        ]
        if not self._started:
            self._trust = Trust.BLIND if any(verdict.usable for verdict in verdicts) else Trust.MISSING
        elif self._lost_s > 0.0:
            self._trust = Trust.STALE
        elif SourceVerdict.CONFLICTING in shown:
            self._trust = Trust.CONFLICTING
        else:
            self._trust = Trust.DEGRADED if faults else Trust.TRUSTED
        found = [code_of(self._trust), *(source_code(verdict) for verdict in faults)]
        fade = self._fade()
        if fade is not None and fade < FADED_SHARE:
            found.append(Code.BAT_FADED)
        self._codes = tuple(dict.fromkeys(code for code in found if code is not None))

    def _fade(self) -> float | None:
        charge = self._filter
        known = not charge.strange and charge.scale_sigma <= FADE_SIGMA * charge.scale
        return 1.0 / charge.scale if known else None

    def _tell(self) -> StoreEstimate:
        """The estimate now: the last corrected charge and what has been counted since."""
        charge, window = self._filter, self._window
        soc: float | None = None
        sigma: float | None = None
        if self._started:
            value, sigma = charge.soc, charge.sigma + self._blind_rate * window.unknown_s
            if self._lower is not None and self._lower.soc < value:
                value, sigma = self._lower.soc, self._lower.sigma
            soc = clamp(value + charge.change(window.moved_j, window.volt_s), 0.0, 1.0)
        capacity_j = charge.designed_j if charge.strange else charge.designed_j / charge.scale
        self.estimate = StoreEstimate(soc, sigma, self._trust, capacity_j, self._fade(), self._codes, self._sources)
        return self.estimate
