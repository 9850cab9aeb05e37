"""What is known of a store at one instant, and what follows from it alone: its energy and when it reaches a charge.

A charge that is not known is ``None``. It is never taken for empty or for full, and nothing is computed from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp2, isfinite, sqrt

from fdir.codes import Code
from firmware_py.energy.trust import SourceVerdict, Trust, plausible

__all__ = [
    "COLD_DOUBLING_K", "FADED_SHARE", "GaugeReading", "HeldInput", "Learned", "StoreEstimate", "clamp", "cold_factor",
    "time_to",
]

FADED_SHARE = 0.80
"""Share of the designed capacity below which a store counts as faded (usual end of life of lithium cells; P)."""
COLD_DOUBLING_K = 25.0
"""P: the resistance of a lithium cell doubles for each 25 K below 25 deg C (data sheets give 20..30 K)."""
_REFERENCE_C = 25.0

FORGET = 0.8
"""Weight that the past keeps at each new value: about five values are remembered."""
GATE = 4.0
"""Sigmas beyond which a value has to be confirmed."""
LEAST_SHARE = 0.02
"""A single value is never trusted better than this share of itself: gain of the current sensor, 1 % twice."""


@dataclass(frozen=True, slots=True)
class GaugeReading:
    """What a battery says of its own charge (0..1), how old that is, and whether it is another one than last time.

    ``shown``: voltage (V) and current (A, positive out of it) that it says beside, as far as it does.
    """

    soc: float | None
    age_s: float = 0.0
    new: bool = True
    shown: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True, slots=True)
class StoreEstimate:
    """One store now. ``soc`` and its ``sigma`` are shares 0..1 of the present capacity, J; ``None``: not known.

    ``fade`` is the present share of the designed capacity (1 = new), ``None`` until it has been learned. ``sources``
    says of each sensor by name what is thought of it.
    """

    soc: float | None
    sigma: float | None
    trust: Trust
    capacity_j: float
    fade: float | None = None
    codes: tuple[Code, ...] = ()
    sources: tuple[tuple[str, SourceVerdict], ...] = ()

    @property
    def energy_j(self) -> float | None:
        """Stored energy, J; ``None`` while the charge is not known."""
        return None if self.soc is None else self.soc * self.capacity_j

    def rejected(self) -> tuple[str, ...]:
        """Names of the sensors that are there but are not listened to."""
        quiet = (SourceVerdict.OK, SourceVerdict.MISSING)
        return tuple(name for name, verdict in self.sources if verdict not in quiet)


class HeldInput:
    """A measured number that may miss some steps: for ``hold_s`` the last good one goes on, then there is none.

    ``value`` is what may be used now, ``verdict`` why there is none. One bad sample is not yet a lost sensor.
    """

    __slots__ = ("_age_s", "_hold_s", "_last", "value", "verdict")

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s
        self._last: float | None = None
        self._age_s = 0.0
        self.value: float | None = None
        self.verdict = SourceVerdict.MISSING

    def take(self, value: float | None, lowest: float, highest: float, dt_s: float) -> bool:
        """Take what the sensor says now; whether it is good (there, finite, within both bounds)."""
        if value is not None and lowest <= value <= highest:
            self.value = self._last = value
            self._age_s, self.verdict = 0.0, SourceVerdict.OK
            return True
        self._age_s += dt_s
        if self._last is None or self._age_s > self._hold_s:
            seen = self._last is not None
            self.value = None
            verdict = plausible(value, lowest, highest)
            self.verdict = SourceVerdict.STALE if seen and verdict is SourceVerdict.MISSING else verdict
        return False


class Learned:
    """One number from repeated measurements: ``value`` (``None`` until two agreed), ``sigma``, values taken so far.

    Recursive least squares with forgetting. A value far from what is known counts only when the next one confirms it:
    then it replaces what was known.
    """

    __slots__ = ("_candidate", "_candidate_variance", "_highest", "_lowest", "_variance", "taken", "value")

    def __init__(self, lowest: float, highest: float) -> None:
        self._lowest, self._highest = lowest, highest
        self.value: float | None = None
        self._variance = 0.0
        self._candidate: float | None = None
        self._candidate_variance = 0.0
        self.taken = 0

    @property
    def sigma(self) -> float:
        """Deviation of the value; 0 while there is none."""
        return sqrt(self._variance)

    @property
    def pending(self) -> bool:
        """Whether the last measurement was far from the value and waits to be confirmed."""
        return self._candidate is not None and self.value is not None

    def see(self, value: float, variance: float) -> bool:
        """Take one measurement; whether the learned value moved."""
        if not self._lowest <= value <= self._highest:
            return False
        variance += (LEAST_SHARE * value) ** 2
        known = self.value
        if known is not None and abs(value - known) <= GATE * sqrt(self._variance + variance):
            prior = self._variance / FORGET
            gain = prior / (prior + variance)
            self.value = known + gain * (value - known)
            self._variance = (1.0 - gain) * prior
            self._candidate = None
        elif self._confirms(value, variance):
            candidate, other = self._candidate, self._candidate_variance
            assert candidate is not None
            gain = other / (other + variance)
            self.value = candidate + gain * (value - candidate)
            self._variance = (1.0 - gain) * other
            self._candidate = None
        else:
            self._candidate, self._candidate_variance = value, variance
            return False
        self.taken += 1
        return True

    def _confirms(self, value: float, variance: float) -> bool:
        if self._candidate is None:
            return False
        return abs(value - self._candidate) <= GATE * sqrt(variance + self._candidate_variance)


def time_to(estimate: StoreEstimate, target_soc: float, net_power_w: float, loss: float = 0.0) -> float | None:
    """Seconds until a store reaches ``target_soc``, with ``net_power_w`` out of it (negative: into it).

    ``loss`` is the share of that power which the store loses either way. 0 if the charge is at the target already.
    ``None`` where the power leads away from the target or there is none, and if the charge is not known, an input is
    not finite, or the target is no charge.
    """
    if estimate.soc is None or not (isfinite(net_power_w) and 0.0 <= target_soc <= 1.0 and 0.0 <= loss < 1.0):
        return None
    way = estimate.soc - target_soc
    if way == 0.0:
        return 0.0
    if way * net_power_w <= 0.0:
        return None
    rate = net_power_w * (1.0 + loss if net_power_w > 0.0 else 1.0 - loss)
    return way * estimate.capacity_j / rate


def clamp(value: float, lowest: float, highest: float) -> float:
    """``value`` moved into lowest..highest."""
    return lowest if value < lowest else highest if value > highest else value


def cold_factor(temperature_c: float | None) -> float:
    """Growth of a battery's resistance with cold, 1 at and above 25 deg C and where the temperature is not known."""
    if temperature_c is None or not -100.0 <= temperature_c < _REFERENCE_C:
        return 1.0
    return exp2((_REFERENCE_C - temperature_c) / COLD_DOUBLING_K)
