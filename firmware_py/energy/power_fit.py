"""How a panel's power goes with its voltage, apart from what the light does meanwhile: a plane through samples."""

from __future__ import annotations

from collections import deque

__all__ = ["PowerFit"]

WINDOW = 8
"""Samples of a fit: two rounds of the tracker's dither."""
FEWEST = 5
SPREAD_V = 0.1
"""Least standard deviation of voltage about its trend, for a fit to say anything; the dither's own is 0.18..0.35 V."""


class PowerFit:
    """P = a + b t + c V by least squares through the last ``WINDOW`` samples."""

    __slots__ = ("_samples", "rate_1_s", "slope_1_v")

    def __init__(self) -> None:
        self.slope_1_v = 0.0
        """dP/dV over P, without what went on with time."""
        self.rate_1_s = 0.0
        """dP/dt over P, without what the voltage did."""
        self._samples: deque[tuple[float, float, float]] = deque(maxlen=WINDOW)

    def clear(self) -> None:
        """Forget all samples."""
        self._samples.clear()

    @property
    def full(self) -> bool:
        """Whether the window is full."""
        return len(self._samples) == WINDOW

    @property
    def mean_w(self) -> float:
        """Mean power of the samples; 0 without any."""
        samples = self._samples
        return sum(p for _, _, p in samples) / len(samples) if samples else 0.0

    def add(self, t_ns: int, v: float, power_w: float) -> None:
        """Take a sample; the oldest goes."""
        self._samples.append((t_ns * 1e-9, v, power_w))

    def solve(self) -> bool:
        """Compute slope and rate; False if the samples do not tell them."""
        n = len(self._samples)
        if n < FEWEST:
            return False
        st = sv = sp = stt = stv = svv = stp = svp = 0.0
        # Times and voltages from those of the first sample: sums of squares keep their digits.
        t0, v0, _ = self._samples[0]
        for t, v, p in self._samples:
            t -= t0
            v -= v0
            st += t
            sv += v
            sp += p
            stt += t * t
            stv += t * v
            svv += v * v
            stp += t * p
            svp += v * p
        stt -= st * st / n
        stv -= st * sv / n
        svv -= sv * sv / n
        stp -= st * sp / n
        svp -= sv * sp / n
        if stt <= 0.0 or sp <= 0.0:
            return False
        free = svv - stv * stv / stt
        if free < n * SPREAD_V * SPREAD_V:
            return False
        slope = (svp - stv * stp / stt) / free
        self.slope_1_v = slope * n / sp
        self.rate_1_s = (stp - slope * stv) / stt * n / sp
        return True
