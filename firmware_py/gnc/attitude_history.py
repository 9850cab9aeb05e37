"""Integrates a rate and remembers the way: the attitude at any of the last moments, between two steps as well."""

from __future__ import annotations

from math import cos, hypot, sin

from hal.frames import IDENTITY, Quaternion, Vec3, normalise

__all__ = ["RING", "AttitudeHistory"]

RING = 512
"""Past attitudes kept: 2.5 s at 200 Hz, 1 s at 500 Hz."""


class AttitudeHistory:
    """Body to the attitude at start, by rate alone: it never jumps. ``quaternion`` is the present one."""

    __slots__ = ("_count", "_head", "_q", "_t", "quaternion")

    def __init__(self) -> None:
        self.quaternion: Quaternion = IDENTITY
        self._t = [0] * RING
        self._q: list[Quaternion] = [IDENTITY] * RING
        self._head = 0
        self._count = 0

    def turn(self, now_ns: int, dt_s: float, rate: Vec3) -> float:
        """Turn by a mean rate (rad/s, body) of ``dt_s`` seconds that end now. Returns the angle, rad.

        A time that is not after the last one forgets the past; see ``in_order``.
        """
        h = 0.5 * dt_s
        x, y, z = rate[0] * h, rate[1] * h, rate[2] * h
        half = hypot(x, y, z)
        s = sin(half) / half if half > 1e-9 else 1.0
        w = cos(half)
        x, y, z = x * s, y * s, z * s
        gw, gx, gy, gz = self.quaternion
        nw = gw * w - gx * x - gy * y - gz * z
        nx = gw * x + gx * w + gy * z - gz * y
        ny = gw * y - gx * z + gy * w + gz * x
        nz = gw * z + gx * y - gy * x + gz * w
        # First-order renormalisation: exact to 1e-16 at the drift of one step.
        s = 1.5 - 0.5 * (nw * nw + nx * nx + ny * ny + nz * nz)
        q = self.quaternion = (nw * s, nx * s, ny * s, nz * s)
        head = self._head
        if now_ns <= self._t[head]:
            self._count = 0
        head = self._head = (head + 1) % RING
        self._t[head] = now_ns
        self._q[head] = q
        self._count += 1
        return 2.0 * half

    @property
    def t_ns(self) -> int:
        """Time of the last step."""
        return self._t[self._head]

    def in_order(self, now_ns: int) -> bool:
        """Whether ``now_ns`` is after the last step."""
        return self._count == 0 or now_ns > self._t[self._head]

    def at(self, age_ns: int) -> Quaternion | None:
        """Attitude ``age_ns`` before the last step; None beyond the memory (2.5 s at 200 Hz)."""
        times, attitudes, head = self._t, self._q, self._head
        if not self._count or age_ns <= 0:
            return self.quaternion
        t_ns = times[head] - age_ns
        later = head
        for back in range(1, min(self._count, RING)):
            index = (head - back) % RING
            if times[index] <= t_ns:
                share = (t_ns - times[index]) / (times[later] - times[index])
                a, b = attitudes[index], attitudes[later]
                return normalise((
                    a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2]),
                    a[3] + share * (b[3] - a[3]),
                ))
            later = index
        return None
