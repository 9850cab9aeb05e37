"""Solar array of two wings: current over voltage, with its maxima, for the light on each wing or each half-string.

A wing is one string of triple-junction cells (in effect: equal strings side by side are one of their common area). A
bypass diode spans each half of it, and a blocking diode joins it to the other wing. A half in shadow is bypassed once
the string carries more than the half can make, so that a shadow's edge gives the array two maxima.

A half-string is one diode across a light-driven current source: ``I = P - I0 (exp(V / a) - 1)``. P goes with light; I0
and a are such that the whole array at 28 deg C in full Sun has its open circuit at ``open_circuit_v`` and makes exactly
area x efficiency x 1361 W at ``max_power_v``. Series and shunt resistance are left out: three values of a data sheet
fix three numbers, and the fourth, the short circuit, then comes out as published (see the test). Without them every
curve is explicit: two halves in series are a quadratic, and nothing is searched for but the maxima.

Cells: AZUR SPACE 3G28C data sheet, at 28 deg C: open circuit 2667 mV, maximum at 2371 mV; by temperature -6.0 mV/K of
the open circuit, 0.32 mA/K of 506 mA short circuit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from math import exp, expm1, inf, isfinite, log, log1p, sqrt

from hal.profile.body import ArrayConfig

__all__ = ["BYPASS_V", "FULL_SUN_W_M2", "REFERENCE_C", "Curve", "SolarArray"]

FULL_SUN_W_M2 = 1361.0
REFERENCE_C = 28.0
BYPASS_V = 0.6
"""Drop of a silicon bypass diode that carries the string's current."""

CELL_OPEN_CIRCUIT_V = 2.667
OPEN_CIRCUIT_V_K = -6.0e-3
SHORT_CIRCUIT_1_K = 0.32 / 506.0
TEMPERATURES_C = (-200.0, 200.0)
"""The line of open circuit over temperature is measured to about -100 deg C; below it the truth is a little lower."""

_ZERO_C_K = 273.15
_STEPS = 60
_TOLERANCE_V = 1e-9


class SolarArray:
    """Makes curves of the array that the body describes."""

    def __init__(self, config: ArrayConfig) -> None:
        """Raises ValueError where no diode fits: ``max_power_v`` must be above half the open circuit and below it."""
        ratio = config.open_circuit_v / config.max_power_v - 1.0
        if not 0.0 < ratio < 1.0:
            raise ValueError(f"max_power_v is {config.max_power_v}; 0.5..1 of open_circuit_v is possible")
        self.cells = max(2, round(config.open_circuit_v / CELL_OPEN_CIRCUIT_V))
        """Cells in series in a string."""
        # At the maximum V = a x, dP/dV = 0 and the open circuit together leave x (Voc / Vmp - 1) = ln(1 + x).
        x = _root(lambda x: (log1p(x) - ratio * x, 1.0 / (1.0 + x) - ratio), 0.0, 4.0 / ratio**2)
        self._open_v = config.open_circuit_v
        self._slope_v = config.max_power_v / x
        power_w = config.area_m2 * config.efficiency * FULL_SUN_W_M2
        self._short_a = power_w / config.max_power_v * (1.0 + 1.0 / x) * -expm1(-config.open_circuit_v / self._slope_v)
        self._lights: tuple[float, ...] | None = None
        self._cell_c = REFERENCE_C
        self._curve = Curve(())
        self._diode_c: float | None = None
        self._saturation_a = 0.0
        self._gain = 0.0
        self._a = self._slope_v

    def curve(self, lights: Sequence[float], cell_c: float = REFERENCE_C) -> Curve:
        """Curve for the light on the cells (irradiance x cosine, W/m2) and their temperature.

        ``lights`` has one value a wing, or one a half-string: both halves of the first wing, then of the second. Equal
        inputs give the same object. Raises ValueError for another number of values, for one that is negative or not
        finite, or for a temperature outside -200..200 deg C.
        """
        if self._lights == tuple(lights) and self._cell_c == cell_c:
            return self._curve
        if len(lights) not in (2, 4) or not all(0.0 <= light < inf for light in lights):
            raise ValueError(f"light on the wings is {tuple(lights)}; two or four finite values from 0 up are needed")
        if cell_c != self._diode_c:
            self._set_temperature(cell_c)
        first, second = (lights[:2], lights[2:]) if len(lights) == 4 else ((lights[0],) * 2, (lights[1],) * 2)
        if first[0] == second[0] and first[1] == second[1]:
            wings = [self._wing(first, 2.0)]
        else:
            wings = [self._wing(first, 1.0), self._wing(second, 1.0)]
        self._curve = Curve(wings)
        self._lights, self._cell_c = tuple(lights), cell_c
        return self._curve

    def _wing(self, halves: Sequence[float], times: float) -> _Wing:
        gain = times * self._gain
        return _Wing((halves[0] * gain, halves[1] * gain), times * self._saturation_a, self._a)

    def _set_temperature(self, cell_c: float) -> None:
        """Constants of one wing's diode: thermal voltage goes with kelvin, I0 keeps the open circuit on its line."""
        if not TEMPERATURES_C[0] <= cell_c <= TEMPERATURES_C[1]:
            raise ValueError(f"cells at {cell_c} deg C; {TEMPERATURES_C} is modelled")
        delta = cell_c - REFERENCE_C
        self._a = self._slope_v * (cell_c + _ZERO_C_K) / (REFERENCE_C + _ZERO_C_K)
        open_v = self._open_v + self.cells * OPEN_CIRCUIT_V_K * delta
        wing_a = 0.5 * self._short_a * (1.0 + SHORT_CIRCUIT_1_K * delta)
        self._gain = wing_a / FULL_SUN_W_M2
        self._saturation_a = wing_a / expm1(open_v / self._a)
        self._diode_c = cell_c


class Curve:
    """Current over voltage of the array in one light, for voltages from 0 up. Made by :class:`SolarArray`."""

    __slots__ = ("_best", "_peaks", "_wings", "open_circuit_v")

    def __init__(self, wings: Sequence[_Wing]) -> None:
        self._wings = tuple(wing for wing in wings if wing.open_v > 0.0)
        self.open_circuit_v = max((wing.open_v for wing in self._wings), default=0.0)
        """Voltage without a load; 0 in the dark."""
        self._peaks: tuple[tuple[float, float], ...] | None = None
        self._best: tuple[float, float] | None = None

    def current_a(self, v: float) -> float:
        """Current out of the array held at ``v`` volts, never below 0. Raises ValueError for a negative voltage."""
        if not v >= 0.0:
            raise ValueError(f"array held at {v} V; at least 0 is modelled")
        return sum(wing.derivatives(v)[0] for wing in self._wings if v < wing.open_v)

    def power_w(self, v: float) -> float:
        """Power out of the array held at ``v`` volts. Raises ValueError for a negative voltage."""
        return v * self.current_a(v)

    def peaks(self) -> tuple[tuple[float, float], ...]:
        """All local maxima as voltage and power, by rising voltage; none in the dark."""
        if self._peaks is None:
            wings = self._wings
            if len(wings) == 1 and wings[0].even:
                best = wings[0].best_v()
                self._peaks = ((best, self.power_w(best)),)
            else:
                self._peaks = self._search()
        return self._peaks

    def max_power(self, lowest_v: float = 0.0, highest_v: float = inf) -> tuple[float, float]:
        """Voltage and power of the greatest maximum, (0, 0) in the dark; with bounds, the best voltage within them."""
        if self._best is None:
            self._best = max(self.peaks(), key=_power, default=(0.0, 0.0))
        if lowest_v <= self._best[0] <= highest_v:
            return self._best
        inside = [peak for peak in self.peaks() if lowest_v <= peak[0] <= highest_v]
        edges = [(v, self.power_w(v)) for v in (lowest_v, highest_v) if isfinite(v)]
        return max(inside + edges, key=_power)

    def voltage_at(self, power_w: float) -> float:
        """Highest voltage at which the array gives ``power_w``: where it settles when no more is drawn.

        The open circuit for 0 or less, the greatest maximum's voltage for more than it gives. Raises ValueError
        for NaN.
        """
        if not power_w > 0.0:
            if power_w <= 0.0:
                return self.open_circuit_v
            raise ValueError("power asked of the array is not a number")
        for low, power in reversed(self.peaks()):
            if power > power_w:
                return _root(partial(self._excess, power_w), low, self.open_circuit_v - _TOLERANCE_V)
        return self.max_power()[0]

    def _excess(self, power_w: float, v: float) -> tuple[float, float]:
        """Power at ``v`` above ``power_w``, and its derivative."""
        current, slope, _ = self._derivatives(v)
        return v * current - power_w, current + v * slope

    def _search(self) -> tuple[tuple[float, float], ...]:
        """Maxima one by one: power is concave between bypass and blocking voltages, and bends up at them."""
        bends = {0.0, *(w.open_v for w in self._wings), *(w.bypass_v for w in self._wings if w.bypass_v > 0.0)}
        edges = sorted(bends)
        found = []
        for low, high in pairwise(edges):
            end = high - _TOLERANCE_V
            if end > low and self._power_slope(low)[0] > 0.0 > self._power_slope(end)[0]:
                best = _root(self._power_slope, low, end)
                found.append((best, self.power_w(best)))
        return tuple(found)

    def _derivatives(self, v: float) -> tuple[float, float, float]:
        current = slope = bend = 0.0
        for wing in self._wings:
            if v < wing.open_v:
                i, di, d2i = wing.derivatives(v)
                current += i
                slope += di
                bend += d2i
        return current, slope, bend

    def _power_slope(self, v: float) -> tuple[float, float]:
        """dP/dV and its own derivative."""
        current, slope, bend = self._derivatives(v)
        return current + v * slope, 2.0 * slope + v * bend

class _Wing:
    """Strings in equal light; ``high`` and ``low`` are the light-driven currents of the halves, A, the larger first."""

    __slots__ = ("a", "bypass_v", "even", "high", "i0", "low", "open_v")

    def __init__(self, photo: tuple[float, float], i0: float, a: float) -> None:
        self.low, self.high = sorted(photo)
        self.i0, self.a = i0, a
        self.even = self.low == self.high
        half = 0.5 * a
        # A body without cells has no diode either.
        self.open_v = half * (log1p(self.high / i0) + log1p(self.low / i0)) if i0 > 0.0 else 0.0
        self.bypass_v = 0.0
        if not self.even:
            # The current that drives the darker half to -BYPASS_V, and what the brighter one then has.
            spare = self.high - self.low + i0 * exp(-BYPASS_V / half)
            self.bypass_v = half * log(spare / i0) - BYPASS_V

    def best_v(self) -> float:
        """Voltage of the maximum of even wings: V = a x with x + ln(1 + x) = Voc / a, by Newton."""
        level = self.open_v / self.a
        x = level - log1p(level) if level > 1.0 else 0.5 * level
        for _ in range(_STEPS):
            step = (x + log1p(x) - level) * (1.0 + x) / (2.0 + x)
            x -= step
            if abs(step) < 1e-12 * level:
                break
        return self.a * x

    def derivatives(self, v: float) -> tuple[float, float, float]:
        """Current at a voltage below the open circuit, A, with its first and second derivative by voltage."""
        i0, a = self.i0, self.a
        if self.even:
            grown = i0 * exp(v / a)
            slope = -grown / a
            return self.high + i0 - grown, slope, slope / a
        if v < self.bypass_v:
            grown = i0 * exp(2.0 * (v + BYPASS_V) / a)
            slope = -2.0 * grown / a
            return self.high + i0 - grown, slope, 2.0 * slope / a
        # With w = I0 + low - I, and d = high - low: w (w + d) = I0^2 exp(2 V / a).
        product = i0 * i0 * exp(2.0 * v / a)
        d = self.high - self.low
        square = d * d + 4.0 * product
        root = sqrt(square)
        slope = -2.0 * product / (root * a)
        return self.low + i0 - 2.0 * product / (d + root), slope, slope * 2.0 * (d * d + 2.0 * product) / (square * a)


def _root(function: Callable[[float], tuple[float, float]], low: float, high: float) -> float:
    """Where a falling function, positive at ``low`` and negative at ``high``, is zero; it returns value and slope.

    Newton from ``high``, where these curves are steep and bend down, so that no step goes too far; halving where one
    does.
    """
    v = high
    for _ in range(_STEPS):
        value, slope = function(v)
        if value > 0.0:
            low = v
        else:
            high = v
        after = v - value / slope if slope < 0.0 else low
        if not low < after < high:
            after = 0.5 * (low + high)
        if abs(after - v) < _TOLERANCE_V:
            return after
        v = after
    return v


def _power(peak: tuple[float, float]) -> float:
    return peak[1]
