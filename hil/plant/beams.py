"""What light beams meet in the surroundings: distances of a scanning lidar and of range finders, with their noise.

Bodies are solid and matt. LD06 development manual: 0.02 to 12 m, +-45 mm at most and 10 mm from point to point.
TFmini Plus data sheet: 0.1 to 12 m, 3.6 deg wide, +-5 cm below 5 m and 1 % beyond. VL53L0X data sheet: 2 m, 25 deg
wide, 3 %. A wide beam sees the nearest of five lines: its middle and four on its rim (chosen here). Each beam tells the
distance at the world's time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import cos, inf, radians, sin

import numpy as np
from numpy.typing import NDArray

from hil.plant.rays import to_boxes, to_spheres
from hil.plant.surroundings import Look, Seat, Surroundings

__all__ = ["LD06", "TFMINI", "VL53L0X", "BeamKind", "BeamView", "LidarView"]

Floats = NDArray[np.float64]
Near = tuple[Floats, Floats, Floats, Floats, Floats]


@dataclass(frozen=True, slots=True)
class BeamKind:
    """What a range finder can do. The error is ``sigma_m`` or ``sigma_share`` of the distance, whichever is more."""

    reach_m: float
    half_angle_rad: float
    sigma_m: float
    sigma_share: float = 0.0


LD06 = BeamKind(12.0, 0.0, 0.010)
TFMINI = BeamKind(12.0, radians(1.8), 0.02, 0.004)
VL53L0X = BeamKind(2.0, radians(12.5), 0.005, 0.03)


class _Rays:
    """Distances along lines from one place of the craft; only bodies within reach are looked at."""

    def __init__(self, surroundings: Surroundings, seat: Seat, reach_m: float) -> None:
        self._around = surroundings
        self._seat = seat
        self._reach_m = reach_m
        self._look: Look | None = None
        self._near: Near | None = None
        self._looked_ns = -1

    def met(self, directions: Floats) -> Floats | None:
        """Distance along each of some lines (n, 3) in sensor axes, ``inf`` for none; ``None``: nothing within reach."""
        if self._around.t_ns != self._looked_ns:
            self._approach()
        near, look = self._near, self._look
        if near is None or look is None:
            return None
        lines = directions @ look.axes
        spheres, radii, boxes, axes, halves = near
        distance = np.full(len(lines), inf)
        if len(radii):
            distance = to_spheres(look.position, lines, spheres, radii).min(axis=1)
        if len(boxes):
            distance = np.minimum(distance, to_boxes(look.position, lines, boxes, axes, halves).min(axis=1))
        return np.where(distance <= self._reach_m, distance, inf)

    def _approach(self) -> None:
        """Find what is within reach now."""
        self._looked_ns = self._around.t_ns
        bodies, boxes = self._around.bodies(), self._around.boxes
        place = np.array(self._seat.position())
        spheres = _within(bodies.position, bodies.radius_m, place, self._reach_m)
        blocks = _within(boxes.position, boxes.reach_m, place, self._reach_m)
        if not len(spheres) and not len(blocks):
            self._near = None
            return
        self._look = self._seat.look()
        self._near = (
            bodies.position[spheres], bodies.radius_m[spheres], boxes.position[blocks], boxes.axes[blocks],
            boxes.half_m[blocks],
        )


def _within(centres: Floats, radii: Floats, place: Floats, reach_m: float) -> NDArray[np.int64]:
    ways = centres - place
    return np.flatnonzero(np.einsum("ij,ij->i", ways, ways) <= (radii + reach_m) ** 2)


class LidarView:
    """A lidar that turns in the x-y plane of its seat. The craft itself hides all that lies inwards of it.

    Attributes:
        blind: nothing comes back.
        bias_range_m, bias_bearing_rad: added to what it says; a bearing to the left.
    """

    def __init__(
        self, surroundings: Surroundings, seat: Seat, stream: Callable[[], np.random.Generator], kind: BeamKind = LD06
    ) -> None:
        self.blind = False
        self.bias_range_m = 0.0
        self.bias_bearing_rad = 0.0
        self._empty = surroundings.empty
        self._rays = _Rays(surroundings, seat, kind.reach_m)
        self._outward = np.array(seat.outward)
        self._kind = kind
        self._stream = stream
        self._rng: np.random.Generator | None = None

    def sweep(self, angles: Sequence[float]) -> Sequence[float | None]:
        """Distances at some angles, rad clockwise from the front, ``None`` where nothing comes back."""
        nothing: tuple[None, ...] = (None,) * len(angles)
        if self._empty or self.blind:
            return nothing
        turned = [angle + self.bias_bearing_rad for angle in angles]
        lines = np.array([(cos(angle), -sin(angle), 0.0) for angle in turned])
        met = self._rays.met(lines)
        if met is None:
            return nothing
        hits = np.isfinite(met) & (lines @ self._outward >= 0.0)
        if not hits.any():
            return nothing
        if self._rng is None:
            self._rng = self._stream()
        noisy = met + self.bias_range_m + self._kind.sigma_m * self._rng.standard_normal(len(met))
        return [m if hit and m > 0.0 else None for m, hit in zip(noisy.tolist(), hits.tolist(), strict=True)]


class BeamView:
    """A range finder that looks along x of its seat.

    Attributes:
        blind: nothing comes back.
        bias_range_m: added to what it says.
    """

    def __init__(
        self, surroundings: Surroundings, seat: Seat, stream: Callable[[], np.random.Generator], kind: BeamKind
    ) -> None:
        self.blind = False
        self.bias_range_m = 0.0
        self._empty = surroundings.empty
        self._rays = _Rays(surroundings, seat, kind.reach_m)
        self._kind = kind
        self._stream = stream
        self._rng: np.random.Generator | None = None
        c, s = cos(kind.half_angle_rad), sin(kind.half_angle_rad)
        self._lines = np.array([(1.0, 0.0, 0.0), (c, s, 0.0), (c, -s, 0.0), (c, 0.0, s), (c, 0.0, -s)])

    def range_m(self) -> float | None:
        """Distance to the nearest body in the beam, ``None`` for none."""
        if self._empty or self.blind:
            return None
        met = self._rays.met(self._lines)
        nearest = inf if met is None else float(met.min())
        if nearest == inf:
            return None
        if self._rng is None:
            self._rng = self._stream()
        sigma = max(self._kind.sigma_m, self._kind.sigma_share * nearest)
        return max(0.0, nearest + self.bias_range_m + sigma * float(self._rng.standard_normal()))
