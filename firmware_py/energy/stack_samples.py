"""What samples of a stack tell whose voltage and current were not read at one moment, while pulses switch in between.

The charger's chip is asked at 10 Hz, one register a bus slot: voltage and current of one sample are 5..20 ms apart, and
thrusters pulse for 30..250 ms. So a sample may join the voltage of one load with the current of another, and charge
between samples is not seen. Two things prove that both were of one load: that they stay for several samples (a *held*
current), or that samples of clearly different currents have the same ratio of voltage drop to current. A pair of two
loads has neither: its ratio is another for every current.
"""

from __future__ import annotations

from collections import deque
from math import sqrt
from typing import NamedTuple

from firmware_py.energy.estimates import Learned

__all__ = ["CurrentSwing", "EsrLearner"]

MEMORY_S = 1.0
"""Time over which the swing of the current is taken: four pulse windows (CANON section 3: 250 ms)."""
RESTLESS_EDGES = 3
"""Edges in that time from which on the samples follow the pulses no longer."""
STEP_SHARE = 0.05
"""P: steps of the current from this share of the greatest one on."""
ESR_BOUNDS = (0.2, 10.0)
"""Multiples of the design beyond which a value is a bad measurement and no stack."""
STEP_S = 1.0
"""Longest time between the last sample of one held current and the first of the next."""
HELD_SHARE, HELD_A_SHARE = 0.03, 0.003
"""P: change between two samples of a held current, share of it and of the greatest one: noise, and a stack that falls
under constant power."""
HELD_SIGMAS, NEAR_SIGMAS = 5.0, 3.0
HELD_SAMPLES, REST_SAMPLES = 3, 2
"""Samples in a row that make a held current: pulses in a window of 250 ms can't look alike at 0, 100 and 200 ms. At
rest two will do, since no pulse raises the voltage."""
AGAIN_SAMPLES = 8
"""A current that is held for so long confirms by itself what its beginning said."""
RING = 12
RING_S = 30.0
FIT_SAMPLES = 4
"""P: samples that have to agree on one ratio..."""
FIT_LEVELS = 1.5
"""...with the greatest of their currents so many times the least..."""
FIT_PART = 1.0 / 3.0
"""...and being so great a part of the samples of pulses."""
FIT_SHARE = 0.03
FIT_SIGMAS = 1.5


class CurrentSwing:
    """How far the current has swung in the last second, as far as samples show it. A."""

    __slots__ = ("_edge_a", "_now_s", "_samples", "peak_a", "restless", "span_a")

    def __init__(self, edge_a: float) -> None:
        self._edge_a = edge_a
        self._samples: deque[tuple[float, float]] = deque(maxlen=32)
        self._now_s = 0.0
        self.span_a = self.peak_a = 0.0
        self.restless = False

    def see(self, amperes: float, elapsed_s: float) -> None:
        """Take a sample, ``elapsed_s`` after the last one."""
        samples = self._samples
        self._now_s += elapsed_s
        samples.append((self._now_s, amperes))
        while len(samples) > 1 and self._now_s - samples[0][0] > MEMORY_S:
            samples.popleft()
        lowest = highest = last = samples[0][1]
        edges = 0
        for _, value in samples:
            lowest, highest = min(lowest, value), max(highest, value)
            edges += abs(value - last) >= self._edge_a
            last = value
        self.span_a, self.peak_a = highest - lowest, max(abs(lowest), abs(highest))
        self.restless = edges >= RESTLESS_EDGES

    def forget(self) -> None:
        """The current is gone."""
        self._samples.clear()
        self.span_a = self.peak_a = 0.0
        self.restless = False


class _Drop(NamedTuple):
    """One sample of a pulse: how far its voltage is below that at rest, its current, when, and the deviation."""

    at_s: float
    volts: float
    amperes: float
    sigma_v: float


class EsrLearner(Learned):
    """Series resistance at 25 deg C, ohm."""

    __slots__ = (
        "_current", "_doubt_v", "_drops", "_from", "_greatest_a", "_last", "_now_s", "_rest_v", "_run", "_sigma_v",
        "_step_a",
    )

    def __init__(self, nominal_ohm: float, greatest_a: float, voltage_sigma_v: float) -> None:
        super().__init__(ESR_BOUNDS[0] * nominal_ohm, ESR_BOUNDS[1] * nominal_ohm)
        self._greatest_a, self._step_a, self._sigma_v = greatest_a, STEP_SHARE * greatest_a, voltage_sigma_v
        self._drops: deque[_Drop] = deque(maxlen=RING)
        self._now_s = 0.0
        self._last: tuple[float, float] | None = None
        self._rest_v: float | None = None
        self._doubt_v = 0.0
        self._run = 0
        # Last samples (time, voltage, current) of the held current before this one, and of this one.
        self._from: tuple[float, float, float] | None = None
        self._current: tuple[float, float, float] | None = None

    def forget_samples(self) -> None:
        """The voltage is gone, or not believed: what comes next is not compared with what was."""
        self._drops.clear()
        self._last = self._rest_v = self._from = self._current = None
        self._run = 0

    def sample(
        self, volts: float, amperes: float, elapsed_s: float, moved_v: float, doubt_v: float, cold: float
    ) -> bool:
        """Take one new sample; whether the learned value moved.

        ``moved_v`` is by how much the open voltage has fallen since the last one by counted charge, ``doubt_v`` how
        wrong that may be; ``cold`` the factor of the present temperature.
        """
        self._now_s += elapsed_s
        self._carry(moved_v, doubt_v)
        self._run = self._run + 1 if self._same(volts, amperes) else 1
        self._last = (volts, amperes)
        rest = abs(amperes) < 0.5 * self._step_a
        if rest and (self._run >= REST_SAMPLES or self._near_rest(volts)):
            self._rest_v, self._doubt_v = volts, 0.0
        if self._run >= (REST_SAMPLES if rest else HELD_SAMPLES):
            return self._held(volts, amperes, cold)
        return not rest and self._pulse(volts, amperes, cold)

    def _carry(self, moved_v: float, doubt_v: float) -> None:
        """Move what is kept of older samples by the charge that has flowed since."""
        self._doubt_v += doubt_v
        if self._last is not None:
            self._last = (self._last[0] - moved_v, self._last[1])
        if self._rest_v is not None:
            self._rest_v -= moved_v
        if self._from is not None:
            self._from = (self._from[0], self._from[1] - moved_v, self._from[2])
        if self._current is not None:
            self._current = (self._current[0], self._current[1] - moved_v, self._current[2])

    def _same(self, volts: float, amperes: float) -> bool:
        if self._last is None:
            return False
        allowed_a = HELD_SHARE * abs(amperes) + 2.0 * HELD_A_SHARE * self._greatest_a
        return abs(amperes - self._last[1]) <= allowed_a and abs(volts - self._last[0]) <= HELD_SIGMAS * self._sigma_v

    def _near_rest(self, volts: float) -> bool:
        """Whether a single sample at rest may be what the last rest has become."""
        known = self._rest_v
        return known is not None and abs(volts - known) <= NEAR_SIGMAS * self._sigma_v + self._doubt_v

    def _held(self, volts: float, amperes: float, cold: float) -> bool:
        """A held current: compare it with the one before it, at its beginning and once more."""
        run, now = self._run, (self._now_s, volts, amperes)
        begins = self._current is None or abs(amperes - self._current[2]) >= self._step_a
        if begins:
            self._from = self._current
        self._current = now
        before = self._from
        if before is None or not (begins or run == AGAIN_SAMPLES):
            return False
        step_a = amperes - before[2]
        if abs(step_a) < self._step_a or self._now_s - before[0] > STEP_S:
            return False
        variance = 2.0 * self._sigma_v**2 + self._doubt_v**2
        return self.see((before[1] - volts) / step_a / cold, variance / (step_a * cold) ** 2)

    def _pulse(self, volts: float, amperes: float, cold: float) -> bool:
        """A current that was not held: see whether enough others fit its ratio."""
        if self._rest_v is None or abs(amperes) < self._step_a:
            return False
        sigma_v = sqrt(2.0 * self._sigma_v**2 + self._doubt_v**2)
        drops = self._drops
        drops.append(_Drop(self._now_s, self._rest_v - volts, amperes, sigma_v))
        while self._now_s - drops[0].at_s > RING_S:
            drops.popleft()
        ohms = (self._rest_v - volts) / amperes
        fits = [
            drop for drop in drops
            if abs(drop.volts - ohms * drop.amperes)
            <= FIT_SIGMAS * drop.sigma_v + FIT_SHARE * abs(ohms * drop.amperes)
        ]
        sizes = [abs(drop.amperes) for drop in fits]
        if len(fits) < max(FIT_SAMPLES, FIT_PART * len(drops)) or max(sizes) < FIT_LEVELS * min(sizes):
            return False
        square = sum(drop.amperes * drop.amperes for drop in fits)
        mean = sum(drop.volts * drop.amperes for drop in fits) / square
        return self.see(mean / cold, sigma_v * sigma_v / square / cold**2)
