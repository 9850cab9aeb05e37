"""Series resistance and capacitance of a supercapacitor stack, learned from the current that flows anyway.

A step of the current moves the terminal voltage at once by ESR x step (``stack_samples.py``); charge that flows moves
the open voltage by charge / capacitance. A stack counts as faded when that is beyond the deviation of what was learned,
and until it is clearly not so any more: a verdict that comes and goes with every pulse is none.
"""

from __future__ import annotations

from math import sqrt

from firmware_py.energy.estimates import FADED_SHARE, Learned
from firmware_py.energy.stack_samples import ESR_BOUNDS, EsrLearner
from firmware_py.energy.trust import SourceVerdict, plausible
from hal.profile.body import SupercapConfig

__all__ = ["CapacitanceLearner", "StackHealth", "stack_cold_factor"]

STACK_SAG = 0.05
"""CANON section 5: series resistance, 5 % sag at full power."""
ESR_AGED = 2.0
"""Usual end of life of double-layer cells: twice the resistance, or 20 % less capacitance."""
OFFSET_A_SHARE = 0.003
"""P: offset of the current sensor, share of the greatest current."""
CHIP_ESR_SHARE, CHIP_CAPACITANCE_SHARE = 0.35, 0.12
"""P: how far the chip's own measurement, taken at another time and temperature, may be from ours."""
CHIP_SIGMAS = 3.0
CHIP_SIGMA_SHARE = 0.10
"""P: its error where ours does not say."""
UNKNOWN_SHARE = 0.5
"""P: error of the designed resistance before anything was measured."""
UNKNOWN_C_SHARE = 0.2
"""P: error of counted charge over the capacitance where that has not been learned yet: 20 % less is end of life."""
AGE_SIGMAS = 2.0
FADED_HYSTERESIS = 0.1
RENEWED_SHARE = 0.1
"""Change of the learned resistance after which open voltages reckoned with the old one are not compared with new."""
CHIP_BOUNDS = (0.05, 20.0)
"""Multiples of the design that the chip may tell."""

CAPACITANCE_BOUNDS = (0.1, 1.6)
"""Multiples of the design beyond which a value is a bad measurement and no stack."""
SWING_SHARE = 0.008
"""P: change of the open voltage, share of the full one, over which the charge is balanced."""
BALANCE_S = 120.0
"""Longest time of one balance: after it the offset of the current sensor would be seen, not the capacitance."""
QUIET_SIGMAS = 10.0
"""Swing over the deviation of an open voltage that is good enough for a balance: not under a great current, where an
error of the resistance would be taken for charge."""
AT_REST_SHARE = 0.02
"""Charge that counts as none, share of that of a whole swing."""
ANCHOR_SAMPLES = 16
"""Samples at rest that the first voltage of a balance is the mean of, at most."""
QUIET_A_SHARE = 0.4
"""P: greatest current of a balance's ends, share of the greatest there is."""
SHORT_PULSE_S = 0.25
"""P: pulses shorter than this may fall between samples at 10 Hz alike."""
BALANCE_SIGMA = 0.15
"""A balance that is not known to this share is not used."""
COLD_PER_K = 0.01
"""P: growth of the series resistance for each kelvin below 25 deg C, share of that at 25 (organic double-layer cells
have 1.5 to 2 times at -40 deg C)."""

_REFERENCE_C = 25.0


def stack_cold_factor(temperature_c: float | None) -> float:
    """Series resistance at this temperature over that at 25 deg C: 1 above it and where it is not known."""
    if temperature_c is None or not -100.0 <= temperature_c < _REFERENCE_C:
        return 1.0
    return 1.0 + COLD_PER_K * (_REFERENCE_C - temperature_c)


class CapacitanceLearner(Learned):
    """Capacitance, F, from charge over change of open voltage between two moments."""

    __slots__ = (
        "_anchor_sigma_v", "_anchor_v", "_blur_c", "_blur_c2", "_charge_c", "_elapsed_s", "_offset_a", "_quiet_s",
        "_rest_f", "_samples", "_swing_v",
    )

    def __init__(self, nominal_f: float, full_v: float, offset_a: float) -> None:
        super().__init__(CAPACITANCE_BOUNDS[0] * nominal_f, CAPACITANCE_BOUNDS[1] * nominal_f)
        self._swing_v, self._offset_a, self._rest_f = SWING_SHARE * full_v, offset_a, nominal_f
        self._samples = 0
        self._anchor_v: float | None = None
        self._anchor_sigma_v = self._charge_c = self._blur_c = self._blur_c2 = self._elapsed_s = self._quiet_s = 0.0

    def restart(self) -> None:
        """Forget the balance that is under way, not what was learned."""
        self._anchor_v = None

    def flow(self, elapsed_s: float, charge_c: float, blur_c: float, open_v: float | None, sigma_v: float) -> bool:
        """Take the charge that left since the last sample, how far that may be wrong, and the open voltage now.

        No open voltage: it is not known well enough at present. Whether the learned value moved.
        """
        self._charge_c += charge_c
        self._elapsed_s += elapsed_s
        if blur_c > self._offset_a * elapsed_s:
            # The current changed at an unknown moment. Edges far apart err at random; of a pulse that is as short as
            # the time between samples both may err alike, time and again.
            if self._quiet_s < SHORT_PULSE_S:
                self._blur_c += blur_c
            else:
                self._blur_c2 += blur_c * blur_c / 3.0
            self._quiet_s = 0.0
        else:
            self._quiet_s += elapsed_s
        anchor = self._anchor_v
        if open_v is None or QUIET_SIGMAS * sigma_v > self._swing_v:
            return False
        if anchor is not None and abs(open_v - anchor) < self._swing_v and self._elapsed_s <= BALANCE_S:
            if self._samples < ANCHOR_SAMPLES and abs(self._charge_c) <= AT_REST_SHARE * self._swing_v * self._rest_f:
                self._rest(anchor, open_v, sigma_v)
            return False
        moved = False
        if anchor is not None and abs(open_v - anchor) >= self._swing_v:
            moved = self._balance(anchor - open_v, sigma_v)
        self._anchor_v, self._anchor_sigma_v, self._samples = open_v, sigma_v, 1
        self._charge_c = self._blur_c = self._blur_c2 = self._elapsed_s = 0.0
        return moved

    def _rest(self, anchor: float, open_v: float, sigma_v: float) -> None:
        """No charge has left since the first voltage was taken: another sample of it."""
        self._samples += 1
        self._anchor_v = anchor + (open_v - anchor) / self._samples
        self._anchor_sigma_v = sigma_v / sqrt(self._samples)
        self._elapsed_s = 0.0

    def _balance(self, fallen_v: float, sigma_v: float) -> bool:
        capacitance = self._charge_c / fallen_v
        if capacitance <= 0.0:
            return False
        wrong_c = self._blur_c + self._offset_a * self._elapsed_s + sqrt(self._blur_c2)
        share = (sigma_v**2 + self._anchor_sigma_v**2) / fallen_v**2 + (wrong_c / self._charge_c) ** 2
        return share <= BALANCE_SIGMA**2 and self.see(capacitance, share * capacitance * capacitance)


class StackHealth:
    """Resistance and capacitance of one stack, from what is learned here and what the charger's chip measured.

    ``esr_ohm`` (at the present temperature), its ``esr_sigma_ohm`` and ``capacitance_f`` are what to reckon with: ours,
    before there is ours the chip's, before that the design's; where ours and the chip's differ, the worse of the two.
    ``verdicts`` are those on the chip's capacitance and resistance. ``fade`` is the capacitance over the designed one,
    ``None`` while only that is known.
    """

    def __init__(self, config: SupercapConfig, greatest_a: float, voltage_sigma_v: float) -> None:
        full = config.full_v
        self.nominal_f = 2.0 * config.capacity_wh * 3600.0 / full**2
        self.nominal_ohm = STACK_SAG * full**2 / config.discharge_max_w
        self._esr = EsrLearner(self.nominal_ohm, greatest_a, voltage_sigma_v)
        self._cap = CapacitanceLearner(self.nominal_f, full, OFFSET_A_SHARE * greatest_a)
        self._quiet_a, self._voltage_sigma_v = QUIET_A_SHARE * greatest_a, voltage_sigma_v
        self._seen: tuple[float | None, float | None, float | None] = (None, None, None)
        self._cold = 1.0
        self.verdicts = (SourceVerdict.MISSING, SourceVerdict.MISSING)
        self.esr_ohm, self.esr_sigma_ohm = self.nominal_ohm, UNKNOWN_SHARE * self.nominal_ohm
        self.capacitance_f = self.nominal_f
        self.fade: float | None = None
        self.faded = False

    def look(self, chip_f: float | None, chip_ohm: float | None, temperature_c: float | None) -> None:
        """Take what the chip says of the stack, and its temperature."""
        seen = (chip_f, chip_ohm, temperature_c)
        if seen != self._seen:
            self._seen = seen
            self._cold = stack_cold_factor(temperature_c)
            self._weigh()

    def explains(self, off_v: float, peak_a: float) -> bool:
        """Whether a stack of any age could move its voltage so far by a current of this size."""
        return abs(off_v) <= ESR_BOUNDS[1] * self.nominal_ohm * self._cold * abs(peak_a)

    def sample(self, volts: float, amperes: float, elapsed_s: float, charge_c: float, blur_c: float) -> None:
        """Take a new sample, and the charge that left since the last one, with what that may be wrong by."""
        before, farad = self._esr.value, self.capacitance_f
        doubt_v = (blur_c + UNKNOWN_C_SHARE * abs(charge_c)) / farad
        if self._esr.sample(volts, amperes, elapsed_s, charge_c / farad, doubt_v, self._cold):
            now = self._esr.value
            if before is None or now is None or abs(now - before) > RENEWED_SHARE * before:
                self._cap.restart()
            self._weigh()

    def flow(self, elapsed_s: float, charge_c: float, blur_c: float, volts: float, amperes: float) -> None:
        """Take the charge since the last sample, how far that may be wrong, terminal voltage and current now.

        Only open voltages at small currents are compared, and none while the resistance is in question.
        """
        own, cap = self._esr.value, self._cap
        if self._esr.pending:
            cap.restart()
            return
        # Ours alone: whether the chip's is right does not matter to what we learn.
        ohms = self.esr_ohm if own is None else own * self._cold
        sigma = self.esr_sigma_ohm if own is None else self._esr.sigma * self._cold
        quiet = abs(amperes) <= self._quiet_a
        spread = sqrt((sigma * amperes) ** 2 + self._voltage_sigma_v**2)
        if cap.flow(elapsed_s, charge_c, blur_c, volts + ohms * amperes if quiet else None, spread):
            self._weigh()

    def restart(self) -> None:
        """Forget the balance of charge that is under way."""
        self._cap.restart()

    def lose_voltage(self) -> None:
        """The voltage is gone: what comes next is compared with nothing."""
        self._cap.restart()
        self._esr.forget_samples()

    def _weigh(self) -> None:
        """Choose what to reckon with, and judge the chip."""
        chip_f, chip_ohm, _ = self._seen
        farad, ohms = self._cap.value, self._esr.value
        if ohms is not None:
            ohms *= self._cold
        of_f = _held_against(farad, self._cap.sigma, chip_f, self.nominal_f, CHIP_CAPACITANCE_SHARE)
        of_ohm = _held_against(ohms, self._esr.sigma * self._cold, chip_ohm, self.nominal_ohm, CHIP_ESR_SHARE)
        self.verdicts = (of_f, of_ohm)
        farads = _usable(farad, chip_f, of_f)
        self.capacitance_f = min(farads, default=self.nominal_f)
        self.fade = self.capacitance_f / self.nominal_f if farads else None
        resistances = _usable(ohms, chip_ohm, of_ohm)
        self.esr_ohm = max(resistances, default=self.nominal_ohm * self._cold)
        if len(resistances) == 2:
            self.esr_sigma_ohm = abs(resistances[0] - resistances[1])
        elif ohms is not None:
            self.esr_sigma_ohm = self._esr.sigma * self._cold
        else:
            self.esr_sigma_ohm = (CHIP_SIGMA_SHARE if resistances else UNKNOWN_SHARE) * self.esr_ohm
        self._judge_age(ohms is not None, farad is not None, bool(resistances))

    def _judge_age(self, own_ohm: bool, own_f: bool, known_ohm: bool) -> None:
        """Whether it has faded: by more than the deviation of what was learned, and with a hysteresis."""
        kept = FADED_HYSTERESIS if self.faded else 0.0
        doubt_ohm = AGE_SIGMAS * self.esr_sigma_ohm if own_ohm and not self.faded else 0.0
        aged = known_ohm and self.esr_ohm - doubt_ohm > (1.0 - kept) * ESR_AGED * self.nominal_ohm * self._cold
        fade = self.fade
        if fade is None:
            self.faded = aged
            return
        doubt = AGE_SIGMAS * self._cap.sigma / self.nominal_f if own_f and not self.faded else 0.0
        self.faded = aged or fade + doubt < FADED_SHARE * (1.0 + kept)


def _held_against(
    own: float | None, sigma: float, chip: float | None, nominal: float, share: float
) -> SourceVerdict:
    """Verdict on what the chip measured."""
    verdict = plausible(chip, CHIP_BOUNDS[0] * nominal, CHIP_BOUNDS[1] * nominal)
    if own is None or chip is None or not verdict.usable:
        return verdict
    apart = abs(own - chip) > share * max(own, chip) + CHIP_SIGMAS * sigma
    return SourceVerdict.CONFLICTING if apart else verdict


def _usable(own: float | None, chip: float | None, verdict: SourceVerdict) -> list[float]:
    """Ours; the chip's where there is no other; both where they contradict each other."""
    values = [] if own is None else [own]
    if chip is not None and (verdict is SourceVerdict.CONFLICTING or (verdict.usable and own is None)):
        values.append(chip)
    return values
