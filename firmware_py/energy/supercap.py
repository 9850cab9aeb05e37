"""Charge and readiness of the supercapacitor stack: open voltage, series resistance, capacitance, what it can give.

Charge is the share of energy, (open voltage / full voltage)2; the open voltage is that at the terminals plus ESR x
current, carried over short gaps by the charge that flows. ESR and capacitance are learned here (``stack_health.py``)
and held against what the charger's chip measured: where the two differ, neither is averaged away. The greater
resistance and the lesser capacitance are used, and the verdict is *conflicting*.

Voltage and current of one sample are not of one moment, and pulses switch between them and between samples. A sample
that fits the count is believed; one that doesn't, where a current that was not seen may explain it, counts only with
what that current may do. While pulses flow nothing is called a jump that a stack of any age could do.

A voltage that jumps without a current, or stands still while charge flows, is rejected by name. Then, and with no
voltage at all, the charge is counted on until its sigma is ``SIGMA_LIMIT``, at most ``COAST_S``; with neither voltage
nor current the sigma grows by what the greatest power may have taken (qiki-t: 4.5 s). After that it is ``None``. A
stack that keeps nothing of its charge looks like a sensor that hangs, so what is counted is never told above what a
rejected voltage says, nor above the terminal voltage under a steady charge: no resistance puts that below the open one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt

from fdir.codes import Code
from firmware_py.energy.estimates import HeldInput, StoreEstimate, clamp
from firmware_py.energy.source_vote import GATE, Dissent
from firmware_py.energy.stack_health import OFFSET_A_SHARE, StackHealth
from firmware_py.energy.stack_samples import STEP_SHARE, CurrentSwing
from firmware_py.energy.stack_supply import least_open_v, most_terminal_w, seconds_at
from firmware_py.energy.trust import SourceVerdict, Trust, code_of, source_code
from hal.profile.body import SupercapConfig

__all__ = ["COAST_S", "CONVERTER_LOSS", "SIGMA_LIMIT", "SupercapCounters", "SupercapEstimator"]

CONVERTER_LOSS = 0.03
"""Share of its power that the stack's converter loses (CANON section 6: heat 0.03 x (charge + discharge))."""
COAST_S = 120.0
"""P: longest time without a voltage, with the current known."""
SIGMA_LIMIT = 0.05
"""P: a third of what an NBL packet takes of the charge."""
HOLD_S = 0.35
"""A sample that fails is bridged for three polls at 10 Hz."""
TOLERANCE = 0.01
"""Share of the full voltage beyond 0 and full; 2 % of charge."""
VOLTAGE_SIGMA_V = 0.005
"""P: noise of one reading; three steps of 1.5 mV."""
OFFSET_SHARE = 0.003
"""P: constant error of the voltage, share of the full one."""
COUNT_SHARE = 0.05
"""P: error of counted charge: gain of the current sensor, and capacitance."""
JUMP_SHARE = 0.02
"""P: change of the open voltage, share of the full one, that must have a cause."""
FREEZE_SHARE = 0.015
"""P: counted change of the open voltage over which the measured one may not repeat itself to the last bit."""
PERSIST_S = 0.8
"""P: what disagrees for a shorter time is no verdict; two readings of different moments do."""
RESEAT_S = 30.0
"""P: a voltage that jumped and then moves with the charge for so long is believed again."""
KEEP_S = 60.0
"""P: how long the estimate is called degraded after that."""
WINDOW_PULSES = 5.0
"""P: greatest current of a pulse over the mean of its window: 50 ms of 250 (CANON section 3); shorter ones are seldom
seen at all."""
LEAST_TERMINAL_SHARE = 0.2
"""P: terminal voltage below which the converter cannot work, share of the full one."""
SAFE_SIGMAS = 2.0
SOURCES = ("voltage", "current", "chip_capacitance", "chip_esr")


@dataclass(slots=True)
class SupercapCounters:
    """Steps refused (time not finite, or not above 0), times that a voltage which had jumped was believed again."""

    bad_steps: int = 0
    reseated: int = 0


class SupercapEstimator:
    """One stack. Currents are positive out of it; charges are shares of its present capacity.

    ``estimate`` is the newest result. Inputs that are not finite or not possible are no data, named in its ``sources``.
    """

    def __init__(self, config: SupercapConfig) -> None:
        full = config.full_v
        self._config, self._full_v = config, full
        self._greatest_a = max(config.discharge_max_w, config.charge_max_w) / full
        self._health = StackHealth(config, self._greatest_a, VOLTAGE_SIGMA_V)
        self.counters = SupercapCounters()
        self._voltage, self._current = HeldInput(HOLD_S), HeldInput(HOLD_S)
        self._swing = CurrentSwing(STEP_SHARE * self._greatest_a)
        self._dissent = Dissent(PERSIST_S)
        self._open_v: float | None = None
        self._variance = 0.0
        self._last: tuple[float, float] | None = None
        self._amperes = self._pulses_a = 0.0
        self._apart: tuple[float, float] | None = None
        self._ceiling_v: float | None = None
        self._measured_v: float | None = None
        self._charged_s = self._highest_v = 0.0
        self._since_s = self._since_c = self._blur_c = self._still_c = 0.0
        self._apart_s = self._coast_s = self._keep_s = 0.0
        self._frozen = False
        self._key: tuple[object, ...] = ()
        self._trust, self._codes = Trust.MISSING, tuple[Code, ...]((Code.POWER_TELEM_MISSING,))
        self._sources: tuple[tuple[str, SourceVerdict], ...] = ()
        self.estimate = StoreEstimate(None, None, Trust.MISSING, self._capacity_j(), None, self._codes)

    @property
    def esr_ohm(self) -> float:
        """Series resistance that is reckoned with, at the present temperature."""
        return self._health.esr_ohm

    @property
    def capacitance_f(self) -> float:
        """Capacitance that is reckoned with."""
        return self._health.capacitance_f

    @property
    def measured_soc(self) -> float | None:
        """Charge by voltage and resistance alone, nothing counted, 0..1; ``None`` without a voltage or a current."""
        volts = self._measured_v
        return None if volts is None else clamp(volts / self._full_v, 0.0, 1.0) ** 2

    def update(
        self,
        dt_s: float,
        voltage_v: float | None,
        current_a: float | None,
        chip_capacitance_f: float | None = None,
        chip_esr_ohm: float | None = None,
        temperature_c: float | None = None,
        new: bool = True,
        pulses_w: float = 0.0,
    ) -> StoreEstimate:
        """Move on by ``dt_s`` s with what the sensors and the chip say now; ``None`` for what is not measured.

        ``new``: voltage and current are another sample than last time. ``pulses_w``: mean power that is drawn in pulses
        now as far as the caller knows; it is not counted, but tells that samples may miss something.
        """
        if not (dt_s > 0.0 and isfinite(dt_s)):
            self.counters.bad_steps += 1
            return self.estimate
        health = self._health
        health.look(chip_capacitance_f, chip_esr_ohm, temperature_c)
        full, limit_a = self._full_v, self._full_v / health.nominal_ohm
        self._current.take(current_a, -limit_a, limit_a, dt_s)
        amperes = self._current.value
        rise = health.esr_ohm * max(0.0, -amperes) if amperes is not None else health.esr_ohm * self._greatest_a
        good = self._voltage.take(voltage_v, -TOLERANCE * full, (1.0 + TOLERANCE) * full + rise, dt_s)
        self._keep_s = max(0.0, self._keep_s - dt_s)
        volts = self._voltage.value
        self._measured_v = None if volts is None or amperes is None else volts + health.esr_ohm * amperes
        self._expect(pulses_w, volts)
        self._count(dt_s, amperes)
        if good and volts is not None and new:
            self._sample(volts, amperes)
        self._carry_on(dt_s)
        self._judge()
        return self._tell()

    def _expect(self, pulses_w: float, volts: float | None) -> None:
        """Turn the power of pulses into a mean current."""
        known = volts is not None and volts > 0.1 * self._full_v and 0.0 < pulses_w < 1e6
        self._pulses_a = pulses_w * (1.0 + CONVERTER_LOSS) / volts if known and volts is not None else 0.0

    def _count(self, dt_s: float, amperes: float | None) -> None:
        """Move the open voltage by the charge of this step."""
        self._since_s += dt_s
        farad = self._health.capacitance_f
        if amperes is None:
            open_v = max(self._open_v or 0.0, 0.1 * self._full_v)
            grown = self._config.discharge_max_w / (farad * open_v) * dt_s
        else:
            mean_a = 0.5 * (amperes + self._amperes)
            charge = mean_a * dt_s
            blur = 0.5 * abs(amperes - self._amperes) * dt_s
            if self._swing.restless:
                blur = max(blur, 0.5 * self._swing.span_a * dt_s)
            blur = max(blur, (self._pulses_a - max(0.0, mean_a)) * dt_s)
            self._amperes = amperes
            self._since_c += charge
            self._blur_c += blur
            if abs(amperes) >= 3.0 * OFFSET_A_SHARE * self._greatest_a:
                self._still_c += charge
            grown = (COUNT_SHARE * abs(charge) + blur) / farad
            if self._open_v is not None:
                self._open_v -= charge / farad
        deviation = sqrt(self._variance) + grown
        self._variance = deviation * deviation

    def _sample(self, volts: float, amperes: float | None) -> None:
        """Take a new reading: learn of it, compare it with the count, correct."""
        health, swing = self._health, self._swing
        elapsed, charge, blur = min(self._since_s, HOLD_S), self._since_c, self._blur_c
        self._watch(volts)
        if amperes is None:
            swing.forget()
            open_v, sigma = volts, 0.6 * health.esr_ohm * self._greatest_a
        else:
            # The edge itself lies anywhere between two samples.
            blur = max(blur, 0.5 * abs(amperes - self._last[1]) * elapsed) if self._last is not None else blur
            swing.see(amperes, self._since_s)
            ohms, sigma_ohm = health.esr_ohm, health.esr_sigma_ohm
            health.sample(volts, amperes, self._since_s, charge, blur)
            # What was reckoned with another resistance is as wrong as that was.
            wrong_ohm = max(0.0, abs(health.esr_ohm - ohms) - sigma_ohm, health.esr_sigma_ohm - sigma_ohm)
            self._variance += (wrong_ohm * swing.peak_a) ** 2
            open_v, sigma = volts + health.esr_ohm * amperes, health.esr_sigma_ohm * abs(amperes)
        self._last = None if amperes is None else (volts, amperes)
        self._since_s = self._since_c = self._blur_c = 0.0
        variance = sigma * sigma + VOLTAGE_SIGMA_V**2
        if self._open_v is None:
            self._open_v, self._variance, self._ceiling_v = open_v, variance, None
        elif self._frozen:
            self._ceiling_v = open_v
        else:
            self._compare(open_v, sigma * sigma, elapsed)
            self._bound_by_charge(volts, amperes, elapsed)
        if amperes is not None and not (self._frozen or self._dissent.now):
            health.flow(elapsed, charge, blur, volts, amperes)

    def _bound_by_charge(self, volts: float, amperes: float | None, elapsed_s: float) -> None:
        """Under a charge that was steady for a while the open voltage is below the highest one at the terminals."""
        step_a = STEP_SHARE * self._greatest_a
        if amperes is None or amperes > -step_a or self._swing.span_a >= step_a:
            self._charged_s = self._highest_v = 0.0
            return
        self._charged_s += elapsed_s
        self._highest_v = max(self._highest_v, volts)
        if self._charged_s >= PERSIST_S:
            self._ceiling_v = self._highest_v

    def _watch(self, volts: float) -> None:
        """Whether the voltage repeats itself while charge flows."""
        if self._last is None or volts != self._last[0]:
            self._still_c, self._frozen = 0.0, False
        elif abs(self._still_c) > FREEZE_SHARE * self._full_v * self._health.capacitance_f:
            self._frozen = True

    def _compare(self, open_v: float, lasting: float, elapsed_s: float) -> None:
        """Correct by a measured open voltage, with what it is worth; unless it disagrees for too long.

        ``lasting``: variance by the error of the resistance. It is the same in every sample of one current, so many of
        them know no more than that.
        """
        assert self._open_v is not None
        off, variance = open_v - self._open_v, lasting + VOLTAGE_SIGMA_V**2
        if abs(off) > GATE * sqrt(self._variance + variance):
            variance += self._hidden(off)
        differs = abs(off) > JUMP_SHARE * self._full_v + GATE * sqrt(self._variance + variance)
        self._dissent.see(differs, elapsed_s)
        if differs:
            self._stay_apart(open_v, variance, off, elapsed_s)
            return
        self._apart, self._apart_s, self._ceiling_v = None, 0.0, None
        gain = max(0.0, self._variance - lasting) / (self._variance + variance)
        self._open_v += gain * off
        self._variance *= 1.0 - gain

    def _hidden(self, off_v: float) -> float:
        """Variance, V2, of a sample that doesn't fit: by the current that its voltage may really have had."""
        swing, health = self._swing, self._health
        pulse_a = min(self._greatest_a, WINDOW_PULSES * self._pulses_a)
        hidden_v = health.esr_ohm * max(swing.span_a, pulse_a)
        peak_a = max(swing.peak_a, pulse_a)
        if peak_a >= STEP_SHARE * self._greatest_a and health.explains(off_v, peak_a):
            # A resistance that is not the learned one does the same.
            hidden_v = max(hidden_v, abs(off_v))
        return hidden_v * hidden_v

    def _stay_apart(self, open_v: float, variance: float, off: float, elapsed_s: float) -> None:
        """What to do with an open voltage that the count does not allow: nothing at first."""
        self._health.restart()
        allowed = 0.5 * (JUMP_SHARE * self._full_v + GATE * sqrt(self._variance + variance))
        steady = self._apart is not None and abs(off - self._apart[1]) <= allowed
        self._apart_s = self._apart_s + elapsed_s if steady else 0.0
        self._apart = (open_v, self._apart[1] if steady and self._apart is not None else off)
        if self._apart_s >= RESEAT_S:
            self._open_v, self._variance = open_v, variance
            self._apart, self._apart_s, self._keep_s, self._ceiling_v = None, 0.0, KEEP_S, None
            self._dissent.forget()
            self.counters.reseated += 1

    def _carry_on(self, dt_s: float) -> None:
        """Without a voltage: count on for a while, then give the charge up."""
        if self._voltage.value is not None and not self._frozen:
            self._coast_s = 0.0
            return
        self._health.lose_voltage()
        self._dissent.forget()
        self._apart = None
        if self._voltage.value is None:
            self._last = None
            self._swing.forget()
        self._coast_s += dt_s
        if self._open_v is not None and (self._coast_s > COAST_S or self._sigma(self._open_v) > SIGMA_LIMIT):
            self._open_v = None

    def _sigma(self, open_v: float) -> float:
        """Deviation of the charge at this open voltage."""
        off = OFFSET_SHARE * self._full_v
        return 2.0 * open_v * sqrt(self._variance + off * off) / self._full_v**2

    def _capacity_j(self) -> float:
        return 0.5 * self._health.capacitance_f * self._full_v**2

    def _judge(self) -> None:
        """Trust, codes and the verdict on each source; formed again only when something changed."""
        voltage = self._voltage.verdict
        if voltage.usable and (self._frozen or self._dissent.conflict):
            voltage = SourceVerdict.FROZEN if self._frozen else SourceVerdict.JUMPED
        chip_f, chip_ohm = self._health.verdicts
        key = (voltage, self._current.verdict, chip_f, chip_ohm, self._open_v is None, self._keep_s > 0.0,
               self._health.faded)
        if key == self._key:
            return
        self._key = key
        current = self._current.verdict
        self._sources = tuple(zip(SOURCES, (voltage, current, chip_f, chip_ohm), strict=True))
        # What the chip has not measured yet is no fault of it.
        faults = [v for v in (voltage, current) if not v.usable]
        faults += [v for v in (chip_f, chip_ohm) if not v.usable and v is not SourceVerdict.MISSING]
        self._trust = self._verdict(voltage, faults)
        found = [code_of(self._trust), *(source_code(verdict) for verdict in faults)]
        if self._health.faded:
            found.append(Code.CAP_FADED)
        self._codes = tuple(dict.fromkeys(code for code in found if code is not None))

    def _verdict(self, voltage: SourceVerdict, faults: list[SourceVerdict]) -> Trust:
        current = self._current.verdict
        if self._open_v is None:
            return Trust.BLIND if current.usable or voltage.usable else Trust.MISSING
        if SourceVerdict.CONFLICTING in faults or voltage is SourceVerdict.JUMPED:
            return Trust.CONFLICTING
        if not (voltage.usable or current.usable):
            return Trust.STALE
        return Trust.DEGRADED if faults or self._keep_s > 0.0 else Trust.TRUSTED

    def _tell(self) -> StoreEstimate:
        open_v = self._open_v
        soc: float | None = None
        sigma: float | None = None
        if open_v is not None:
            if self._dissent.conflict and self._apart is not None:
                open_v = min(open_v, self._apart[0])
            if self._ceiling_v is not None:
                open_v = min(open_v, self._ceiling_v)
            open_v = clamp(open_v, 0.0, self._full_v)
            soc, sigma = (open_v / self._full_v) ** 2, self._sigma(open_v)
        self.estimate = StoreEstimate(
            soc, sigma, self._trust, self._capacity_j(), self._health.fade, self._codes, self._sources
        )
        return self.estimate

    def max_power_w(self) -> float:
        """Most power for loads now, W, with its resistance, its converter and its limit; 0 if its charge is unknown."""
        open_v = self._sure_v()
        if open_v is None:
            return 0.0
        terminal_w = most_terminal_w(open_v, self.esr_ohm, LEAST_TERMINAL_SHARE * self._full_v)
        return min(self._config.discharge_max_w, terminal_w / (1.0 + CONVERTER_LOSS))

    def deliverable_j(self, power_w: float, floor_soc: float) -> float:
        """Energy that loads get at this constant power before its charge is at ``floor_soc`` or it can't go on, J.

        Losses of resistance and converter are taken off, and the charge is reckoned ``SAFE_SIGMAS`` below the estimate.
        0 for a power that it can't give, an input that is not finite or not possible, and a charge that is not known.
        """
        open_v = self._sure_v()
        if open_v is None or not (0.0 < power_w <= self._config.discharge_max_w and 0.0 <= floor_soc <= 1.0):
            return 0.0
        terminal_w = power_w * (1.0 + CONVERTER_LOSS)
        least_v = least_open_v(terminal_w, self.esr_ohm, LEAST_TERMINAL_SHARE * self._full_v)
        to_v = max(least_v, self._full_v * sqrt(floor_soc))
        return power_w * seconds_at(terminal_w, self.capacitance_f, self.esr_ohm, open_v, to_v)

    def can_give(self, power_w: float, seconds: float, floor_soc: float) -> bool:
        """Whether it can give this power so long without falling below ``floor_soc``; False for anything unknown."""
        if not (seconds >= 0.0 and isfinite(seconds) and power_w >= 0.0):
            return False
        asked_j = power_w * seconds
        if asked_j == 0.0:
            soc = self.estimate.soc
            return soc is not None and power_w <= self.max_power_w() and soc >= floor_soc
        return self.deliverable_j(power_w, floor_soc) >= asked_j * (1.0 - 1e-9)

    def _sure_v(self) -> float | None:
        """Open voltage that it has almost for certain."""
        estimate = self.estimate
        if estimate.soc is None or estimate.sigma is None:
            return None
        return self._full_v * sqrt(max(0.0, estimate.soc - SAFE_SIGMAS * estimate.sigma))
