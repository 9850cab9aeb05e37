"""When the Sun shines on the cells, as flight software reckons it: orbit, lamps, attitude, and the panel's power.

A forecast needs two things of light: its mean over a stretch of time, exactly, and the moments at which it changes its
ways, so that no stretch runs over one of them. Everything here is pure.

The orbit is a circle about a spherical Earth and its shadow a cylinder (Wertz and Larson, Space Mission Analysis and
Design, section 5.1): half of the shadow is acos(cos rho / cos beta) / (2 pi) of an orbit, rho the Earth's angular
radius. The penumbra is left out; it lasts some ten seconds and is even about the cylinder's edge.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import acos, asin, cos, exp, floor, inf, isfinite, log, log1p, pi, radians, sqrt, tau
from typing import Protocol

from hal.profile.body import ArrayConfig

__all__ = [
    "POINTED", "TUMBLING", "AlwaysLit", "Facing", "Illumination", "Lamps", "Lighting", "OrbitLight", "PanelModel",
    "Schedule",
]

EARTH_RADIUS_KM = 6378.137
"""Equatorial radius (WGS 84)."""
EARTH_MU_KM3_S2 = 398600.4418
"""Gravitational parameter (IERS conventions)."""
FULL_SUN_W_M2 = 1361.0
"""Solar constant (Kopp and Lean, 2011)."""
SAME_TIME_S = 1e-6
"""Edges closer than that are one."""


class Lighting(Protocol):
    """Light around the craft, as a share of full Sun."""

    def mean(self, start_s: float, end_s: float) -> float:
        """Exact mean over a stretch of time that is not empty."""

    def next_edge(self, t_s: float) -> float:
        """First moment after ``t_s`` at which it jumps or bends; inf if there is none."""


@dataclass(frozen=True, slots=True)
class AlwaysLit:
    """The same light for ever."""

    share: float = 1.0

    def mean(self, _start_s: float, _end_s: float) -> float:
        """See Lighting."""
        return self.share

    def next_edge(self, _t_s: float) -> float:
        """See Lighting."""
        return inf


class OrbitLight:
    """Sun and shadow along a circular orbit."""

    def __init__(self, altitude_km: float, beta_deg: float = 0.0, phase_deg: float = 0.0) -> None:
        """``beta_deg``: angle of the Sun over the orbit's plane; ``phase_deg``: place at 0 s, counted from noon, 180 is
        the middle of the night. Raises ValueError, with what is allowed."""
        if not 100.0 <= altitude_km <= 400_000.0:
            raise ValueError(f"altitude is {altitude_km} km; 100..400000 is allowed")
        if not -90.0 <= beta_deg <= 90.0:
            raise ValueError(f"beta is {beta_deg} deg; -90..90 is allowed")
        if not -3600.0 <= phase_deg <= 3600.0:
            raise ValueError(f"phase is {phase_deg} deg; -3600..3600 is allowed")
        radius = EARTH_RADIUS_KM + altitude_km
        self.period_s = tau * sqrt(radius**3 / EARTH_MU_KM3_S2)
        """Time of one orbit."""
        across = cos(radians(beta_deg))
        ratio = cos(asin(EARTH_RADIUS_KM / radius)) / across if across > 0.0 else inf
        self.eclipse_share = acos(ratio) / pi if ratio < 1.0 else 0.0
        """Share of an orbit in shadow."""
        self._phase = phase_deg / 360.0

    @property
    def eclipse_s(self) -> float:
        """Time in shadow, each orbit."""
        return self.eclipse_share * self.period_s

    def mean(self, start_s: float, end_s: float) -> float:
        """See Lighting."""
        orbits = (end_s - start_s) / self.period_s
        lit = 1.0 - (self._dark_before(end_s) - self._dark_before(start_s)) / orbits
        return min(max(lit, 0.0), 1.0)

    def next_edge(self, t_s: float) -> float:
        """See Lighting."""
        if self.eclipse_share <= 0.0:
            return inf
        turn, soon = t_s / self.period_s + self._phase, SAME_TIME_S / self.period_s
        half = 0.5 * self.eclipse_share
        edges = (floor(turn) + 0.5 - half, floor(turn) + 0.5 + half, floor(turn) + 1.5 - half)
        return (next(edge for edge in edges if edge > turn + soon) - self._phase) * self.period_s

    def _dark_before(self, t_s: float) -> float:
        """Orbits spent in shadow since noon of orbit 0; rises by ``eclipse_share`` each orbit."""
        turn = t_s / self.period_s + self._phase
        whole = floor(turn)
        into = turn - whole - 0.5 + 0.5 * self.eclipse_share
        return whole * self.eclipse_share + min(max(into, 0.0), self.eclipse_share)


class Lamps:
    """A table of light over time (a bench): straight between its points, held before the first and after the last."""

    def __init__(self, points: Sequence[tuple[float, float]], lowest: float = 0.0, highest: float = 10.0) -> None:
        """``points``: time, s, and share of full Sun. Raises ValueError, with what is allowed."""
        if not points:
            raise ValueError("a lighting table needs at least one point")
        for (t_s, share), (after_s, _) in zip(points, [*points[1:], (inf, 0.0)], strict=True):
            if not isfinite(t_s) or not t_s < after_s:
                raise ValueError(f"times of a lighting table must be finite and rise; {after_s} follows {t_s}")
            if not lowest <= share <= highest:
                raise ValueError(f"light at {t_s} s is {share}; {lowest:g}..{highest:g} of full Sun is allowed")
        self._times = [t_s for t_s, _ in points]
        self._values = [share for _, share in points]

    def at(self, t_s: float) -> float:
        """Light at one moment."""
        times, values = self._times, self._values
        index = bisect_right(times, t_s)
        if index == 0 or index == len(times):
            return values[min(index, len(times) - 1)]
        slope = (values[index] - values[index - 1]) / (times[index] - times[index - 1])
        return values[index - 1] + slope * (t_s - times[index - 1])

    def mean(self, start_s: float, end_s: float) -> float:
        """See Lighting."""
        total, t, light = 0.0, start_s, self.at(start_s)
        for edge in self._times[bisect_right(self._times, start_s):]:
            if edge >= end_s:
                break
            after = self.at(edge)
            total += 0.5 * (light + after) * (edge - t)
            t, light = edge, after
        total += 0.5 * (light + self.at(end_s)) * (end_s - t)
        return total / (end_s - start_s)

    def next_edge(self, t_s: float) -> float:
        """See Lighting."""
        index = bisect_right(self._times, t_s + SAME_TIME_S)
        return self._times[index] if index < len(self._times) else inf


@dataclass(frozen=True, slots=True)
class Facing:
    """How the cells look at the Sun: mean cosine while any light falls on them, and the share of time that it does."""

    cosine: float = 1.0
    lit_share: float = 1.0

    def __post_init__(self) -> None:
        """Check both. Raises ValueError."""
        if not -1.0 <= self.cosine <= 1.0 or not 0.0 < self.lit_share <= 1.0:
            raise ValueError(f"cosine is {self.cosine}, lit for {self.lit_share}; -1..1 and above 0 to 1 is allowed")


POINTED = Facing()
TUMBLING = Facing(0.5, 0.5)
"""A slow tumble through all attitudes: the cells see the Sun half of the time, then at a mean cosine of one half."""


class Schedule(Lamps):
    """A given cosine over time; below 0 the cells are turned away."""

    def __init__(self, points: Sequence[tuple[float, float]]) -> None:
        """``points``: time, s, and cosine, -1..1. Raises ValueError."""
        whole: list[tuple[float, float]] = []
        for point in points:
            before = whole[-1] if whole else point
            if before[1] * point[1] < 0.0 and before[0] < point[0]:
                # Where the cells turn away the light bends.
                whole.append((before[0] + before[1] / (before[1] - point[1]) * (point[0] - before[0]), 0.0))
            whole.append(point)
        super().__init__(whole, -1.0, 1.0)
        # Straight lines between points of one sign stay straight when what is below 0 is none.
        self._values = [max(0.0, value) for value in self._values]


@dataclass(frozen=True, slots=True)
class Illumination:
    """Light on the cells: what is around the craft times how the cells face it."""

    lighting: Lighting = field(default_factory=AlwaysLit)
    facing: Facing | Schedule = POINTED

    @property
    def lit_share(self) -> float:
        """Share of the time in which the mean light falls; the rest of it the cells are turned away."""
        return 1.0 if isinstance(self.facing, Schedule) else self.facing.lit_share

    def mean(self, start_s: float, end_s: float) -> float:
        """Mean over a stretch, turned-away time included; exact while light or facing stands still."""
        light = self.lighting.mean(start_s, end_s)
        if isinstance(self.facing, Schedule):
            return light * self.facing.mean(start_s, end_s)
        return light * max(0.0, self.facing.cosine) * self.facing.lit_share

    def next_edge(self, t_s: float) -> float:
        """See Lighting."""
        edge = self.lighting.next_edge(t_s)
        return min(edge, self.facing.next_edge(t_s)) if isinstance(self.facing, Schedule) else edge


class PanelModel:
    """Power that the array can give in a light, at the temperature that its cells come to in it.

    Triple-junction cells: power falls by 0.20 % a kelvin (AZUR SPACE 3G28C data sheet: -6.1 mV/K of 2371 mV and
    +0.28 mA/K of 487 mA at the maximum). In less light the voltage falls with its logarithm; by how much follows from
    the ratio of open circuit and best voltage. Wings in the open run at -10 deg C in the dark and 45 deg C square to
    the Sun, with a time constant of five minutes (P).
    """

    __slots__ = ("_bend", "_full_w", "cell_c")

    DARK_C, SUN_C, TIME_CONSTANT_S = -10.0, 45.0, 300.0
    REFERENCE_C, PER_KELVIN = 28.0, -0.0020

    def __init__(self, array: ArrayConfig, cell_c: float = REFERENCE_C) -> None:
        self._full_w = array.area_m2 * array.efficiency * FULL_SUN_W_M2
        ratio = array.open_circuit_v / array.max_power_v
        self._bend = _light_bend(ratio) if 1.0 < ratio < 2.0 else 0.0
        self.cell_c = cell_c

    def step(self, seconds: float, light: float, lit_share: float = 1.0) -> float:
        """Mean power over ``seconds`` > 0 of this mean light (share of full Sun); the cells warm up or cool down."""
        target = self.DARK_C + (self.SUN_C - self.DARK_C) * light
        away = self.cell_c - target
        gone = exp(-seconds / self.TIME_CONSTANT_S)
        mean_c = target + away * (1.0 - gone) * self.TIME_CONSTANT_S / seconds
        self.cell_c = target + away * gone
        if light <= 0.0 or self._full_w <= 0.0:
            return 0.0
        bend = 1.0 + self._bend * log(min(light / lit_share, 1.0))
        return max(0.0, self._full_w * light * bend * (1.0 + self.PER_KELVIN * (mean_c - self.REFERENCE_C)))


def _light_bend(ratio: float) -> float:
    """Loss of best voltage for light that falls to 1/e: a / Vmp = 1 / x, with x (ratio - 1) = ln(1 + x)."""
    x = 4.0 / (ratio - 1.0) ** 2
    for _ in range(60):
        x = log1p(x) / (ratio - 1.0)
    return 1.0 / x

