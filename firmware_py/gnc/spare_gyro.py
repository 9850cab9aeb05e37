"""The gyro that stands by: its bias against the flown one, and whether the two say the same.

While both agree, the standby's bias is the slow mean of what it says more than the flown unit's corrected rate. It is
then the better start when it has to take over, and a step of either shows as a difference at once.
"""

from __future__ import annotations

from collections import deque

from hal.frames import Vec3, norm, subtract

__all__ = ["AGREE_RAD_S", "LEARNT_S", "LEARN_S", "WINDOW_NS", "SpareGyro"]

LEARN_S = 5.0
"""Time constant of the mean."""
LEARNT_S = 3.0
"""Time of agreement after which the bias counts as known."""
AGREE_RAD_S = 0.0087
"""0.5 deg/s: beyond that the bias is not learnt on, half of what counts as a conflict."""
TURNING_RAD_S = 0.0873
"""Rate of the craft (5 deg/s) above which scale and time of two samples would be taken for bias."""
WINDOW_NS = 15_000_000
"""Two samples so far apart may be of the same moment: bandwidths differ, and a pulse turns the craft meanwhile."""
KEPT = 32
"""Rates of the flown unit that are kept: 160 ms at 200 Hz, three times the spare's period."""


class SpareGyro:
    """Owner of what is known of the standby unit. ``bias`` in rad/s, None until it is known."""

    __slots__ = ("_count_s", "_flown", "_last_ns", "_mean", "difference")

    def __init__(self) -> None:
        self._flown: deque[tuple[int, Vec3]] = deque(maxlen=KEPT)
        self._mean: Vec3 = (0.0, 0.0, 0.0)
        self._count_s = 0.0
        self._last_ns: int | None = None
        self.difference: float | None = None
        """rad/s between both units, biases taken off; ``None``: not known."""

    def forget(self) -> None:
        """Another unit stands by, and another is flown."""
        self._flown.clear()
        self._mean = (0.0, 0.0, 0.0)
        self._count_s = 0.0
        self._last_ns = self.difference = None

    @property
    def bias(self) -> Vec3 | None:
        """Bias of the standby unit, rad/s; ``None`` until it has agreed for a while."""
        return self._mean if self._count_s >= LEARNT_S else None

    def on_flown(self, t_ns: int, rate: Vec3) -> None:
        """A sample of the flown unit, its errors taken off, rad/s, body axes; every fast tick."""
        self._flown.append((t_ns, rate))

    def on_sample(self, t_ns: int, spare: Vec3) -> None:
        """A sample of the standby unit, rad/s, body axes. One that is not newer than the last says nothing."""
        last_ns = self._last_ns
        if last_ns is not None and t_ns <= last_ns:
            return
        near = [rate for at, rate in self._flown if abs(at - t_ns) <= WINDOW_NS]
        if not near:
            self.difference = None
            return
        self._last_ns = t_ns
        if last_ns is None:
            self._mean = subtract(spare, near[-1])
            return
        off = min((subtract(subtract(spare, rate), self._mean) for rate in near), key=norm)
        size = norm(off)
        known = self._count_s >= LEARNT_S
        self.difference = size if known else None
        turning = max(map(abs, near[-1])) > TURNING_RAD_S
        if turning or (known and size > AGREE_RAD_S):
            return
        dt_s = min(0.5, (t_ns - last_ns) * 1e-9)
        self._count_s += dt_s
        # At first a plain mean: the first sample is no better than the others.
        share = dt_s / min(LEARN_S, self._count_s)
        x, y, z = self._mean
        self._mean = (x + share * off[0], y + share * off[1], z + share * off[2])

    def silent(self) -> None:
        """No sample: nothing is known of the difference; the bias learnt stays."""
        self.difference = None
