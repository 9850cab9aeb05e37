"""What a spectrometer sees of the surroundings: the sunlight that bodies in its view give back, by channel.

A body fills a share of the view; what stands in front covers what is behind, a patch covers nothing. All light is
the Sun's, evenly given back: no shadows, no phase, no glint. Ten channels as the AS7341 has them: 415, 445, 480, 515,
555, 590, 630, 680 nm, clear, near infrared. Figures marked P are chosen here.
"""

from __future__ import annotations

from collections.abc import Callable
from math import acos, asin, atan2, pi, radians, sqrt

import numpy as np

from hal.frames import Vec3, norm
from hil.plant.surroundings import Seat, Surroundings

__all__ = ["CHANNEL_COUNT", "SUNLIT_COUNTS_S", "SpectrometerView", "overlap"]

SUNLIT_COUNTS_S = (882.0, 1302.0, 1638.0, 1869.0, 2100.0, 2247.0, 2352.0, 2415.0, 5460.0, 2730.0)
"""Counts per second at a gain of 1 with a white body at 1 au all over the view. P."""
CHANNEL_COUNT = len(SUNLIT_COUNTS_S)
HALF_VIEW_RAD = radians(10.0)
"""Of the tube before the chip. P."""


def overlap(body: float, view: float, apart: float) -> float:
    """Share of a disc of radius ``view`` that a disc of radius ``body`` covers, their middles ``apart`` (all rad)."""
    if apart >= body + view:
        return 0.0
    if apart <= abs(body - view):
        return min(1.0, (body / view) ** 2)
    a = acos(max(-1.0, min(1.0, (apart**2 + body**2 - view**2) / (2.0 * apart * body))))
    b = acos(max(-1.0, min(1.0, (apart**2 + view**2 - body**2) / (2.0 * apart * view))))
    root = (body + view - apart) * (apart + body - view) * (apart - body + view) * (apart + body + view)
    return (body**2 * a + view**2 * b - 0.5 * sqrt(max(0.0, root))) / (pi * view**2)


class SpectrometerView:
    """A spectrometer that looks along x of its seat.

    Args:
        surroundings, seat: what is there, and from where.
        light: how bright the Sun is, as a share of that at 1 au.
    """

    def __init__(self, surroundings: Surroundings, seat: Seat, light: Callable[[], float]) -> None:
        self._around = surroundings
        self._seat = seat
        self._light = light

    def counts_s(self) -> list[float]:
        """Light on each channel, counts per second at a gain of 1."""
        scene, light = self._around.scene, self._light()
        total = np.zeros(CHANNEL_COUNT)
        if light <= 0.0 or not scene.spectra:
            return [0.0] * CHANNEL_COUNT
        left = 1.0
        for _, share, spectrum in sorted(self._in_view(), key=lambda seen: seen[0]):
            covered = min(left, share)
            left -= covered
            if spectrum is not None:
                total += covered * np.array(scene.spectra[spectrum])
        for patch in scene.patches:
            share, _ = self._share(patch.position, patch.radius_m)
            total += share * patch.strength * np.array(scene.spectra[patch.spectrum])
        return [float(x) for x in total * light * np.array(SUNLIT_COUNTS_S)]

    def _in_view(self) -> list[tuple[float, float, str | None]]:
        """Distance, share of the view and spectrum of every body in view."""
        scene, bodies = self._around.scene, self._around.bodies()
        round_ = [o for o in scene.obstacles if o.half_m is None]
        rows: list[tuple[Vec3, float, str | None]] = []
        still = 0
        for position, radius, target in zip(
            bodies.position.tolist(), bodies.radius_m.tolist(), bodies.target.tolist(), strict=True
        ):
            if target < 0:
                spectrum = round_[still].spectrum
                still += 1
            else:
                spectrum = scene.targets[target].spectrum
            rows.append(((position[0], position[1], position[2]), radius, spectrum))
        # A box counts as a ball of its middle size.
        rows += [(o.position, sum(o.half_m) / 3.0, o.spectrum) for o in scene.obstacles if o.half_m is not None]
        seen = []
        for place, radius, spectrum in rows:
            share, distance = self._share(place, radius)
            if share > 0.0:
                seen.append((distance, share, spectrum))
        return seen

    def _share(self, position: Vec3, radius: float) -> tuple[float, float]:
        """Share of the view that a ball fills, and how far it is."""
        look = self._seat.look()
        x, y, z = (look.axes @ (np.array(position) - look.position)).tolist()
        distance = norm((x, y, z))
        if distance <= radius:
            return 1.0, distance
        size = asin(radius / distance)
        apart = atan2(norm((0.0, y, z)), x)
        return overlap(size, HALF_VIEW_RAD, apart), distance
