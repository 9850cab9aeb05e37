"""What an automotive radar makes of the surroundings: echoes by the radar equation, merged, noisy, and among clutter.

Two beams of one antenna after Continental's data sheet of the ARS 408-21: 250 m within 9 deg, 70 m within 45 deg and
20 m within 60 deg of its front; 14 deg high far out, 20 deg near; accuracies 0.4 m and 0.1 deg far, 0.1 m and 1 deg
near, 0.1 km/h; it separates 1.79 m and 1.6 deg far, 0.39 m and 3.2 deg near; -400 to +200 km/h. It measures distance,
azimuth and speed; height it does not know: what it calls x and y is the whole distance, laid flat. Figures marked P are
chosen here, because the sources are silent.

Detection follows Swerling's first case: with a signal-to-noise ratio S and a false alarm probability F of 1e-4 an echo
is seen with F^(1 / (1 + S)) (Skolnik, Introduction to Radar Systems, 2.8). P: a target of 10 dBm2 at the end of a beam
has 12 dB. The real part tracks its objects and fills short gaps in its list; that is not played.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import radians

import numpy as np
from numpy.typing import NDArray

from hil.plant.rays import to_boxes
from hil.plant.surroundings import Look, Seat, Surroundings

__all__ = ["Echo", "Ghost", "RadarView"]

Floats = NDArray[np.float64]

FAR_RAD, MIDDLE_RAD, SIDE_RAD = radians(9.0), radians(45.0), radians(60.0)
FAR_M, MIDDLE_M, SIDE_M = 250.0, 70.0, 20.0
NEAREST_M = 0.2
HALF_HEIGHT_FAR_RAD, HALF_HEIGHT_NEAR_RAD = radians(7.0), radians(10.0)
FALSE_ALARM = 1e-4
END_SNR_DB, END_RCS_DBSM = 12.0, 10.0
SIGMA_RANGE_M = (0.1, 0.4)
SIGMA_AZIMUTH_RAD = (radians(1.0), radians(0.1))
"""Near, far."""
SIGMA_SPEED_M_S = 0.1 / 3.6
SIGMA_CROSS_M_S = 0.3
"""P: across the line of sight the part only sees how azimuths change."""
SIGMA_RCS_DB = 1.5
"""P."""
CELL_M, CELL_RAD = (0.39, 1.79), (radians(3.2), radians(1.6))
FASTEST_M_S = (-400.0 / 3.6, 200.0 / 3.6)
MOST_ECHOES = 200
"""Twice the list's length; beyond it the nearest stay."""
MOST_GHOSTS = 50
IDS = 256
FORGOTTEN_NS = 1_000_000_000
"""An object's number is free again after that time unseen. P."""
CLUTTER_SPEED_M_S = 20.0
CLUTTER_RCS_DBSM = (-15.0, 5.0)
MOST_CLUTTER = 20_000


@dataclass(frozen=True, slots=True)
class Echo:
    """One object as listed: x ahead, y left, m and m/s in the sensor's axes, which may turn; RCS in dBm2."""

    number: int
    x_m: float
    y_m: float
    vx_m_s: float
    vy_m_s: float
    rcs_dbsm: float


@dataclass(frozen=True, slots=True)
class Ghost:
    """An echo of nothing that stays the same from cycle to cycle: a false target, moving along the line of sight."""

    range_m: float
    bearing_rad: float
    speed_m_s: float
    rcs_dbsm: float
    begun_ns: int


class RadarView:
    """One radar's view.

    Args:
        surroundings: what is there.
        seat: where the radar sits; x ahead, y left.
        stream: gives its generator, once it is needed.

    Attributes:
        clutter_per_frame: echoes of nothing in one cycle, on average.
        ghosts: false targets, by whatever names them.
        bias_range_m, bias_bearing_rad: added to all that it says.
    """

    def __init__(self, surroundings: Surroundings, seat: Seat, stream: Callable[[], np.random.Generator]) -> None:
        self.clutter_per_frame = surroundings.scene.clutter_per_frame
        self.ghosts: dict[object, Ghost] = {}
        self.bias_range_m = 0.0
        self.bias_bearing_rad = 0.0
        self._around = surroundings
        self._seat = seat
        self._stream = stream
        self._rng: np.random.Generator | None = None
        self._ids: dict[int, tuple[int, int]] = {}

    def cycle(self, t_ns: int) -> list[Echo]:
        """All that is seen in one cycle, nearest first; costs and draws nothing where nothing can be seen."""
        around = self._around
        if around.empty and not self.ghosts and self.clutter_per_frame <= 0.0:
            return []
        if self._rng is None:
            self._rng = self._stream()
        rng = self._rng
        keys, polar, rcs, snr = self._seen(rng)
        keys, polar, rcs, snr = _with_ghosts(keys, polar, rcs, snr, list(self.ghosts.values())[:MOST_GHOSTS], t_ns)
        polar, rcs = _disturbed(polar, rcs, snr, rng)
        numbers = self._numbered(keys, t_ns)
        count = min(MOST_CLUTTER, int(rng.poisson(self.clutter_per_frame))) if self.clutter_per_frame > 0.0 else 0
        if count:
            room = max(0, MOST_ECHOES - len(numbers))
            false, weak = _clutter(count, room, rng)
            taken = set(numbers)
            free = [number for number in range(IDS) if number not in taken]
            numbers += free[: len(weak)]
            polar, rcs = np.concatenate((polar, false[: len(free)])), np.concatenate((rcs, weak[: len(free)]))
        return self._listed(numbers, polar, rcs)

    def _seen(self, rng: np.random.Generator) -> tuple[list[int], Floats, Floats, Floats]:
        """Keys, (n, 4) of range, azimuth, range rate and speed across, RCS and SNR of what is detected."""
        look = self._seat.look()
        ways, velocities, rcs, own, own_box = self._candidates(look)
        centre_m = np.maximum(np.linalg.norm(ways, axis=1), 1e-6)
        directions = ways / centre_m[:, None]
        local, moving = ways @ look.axes.T, (velocities - look.velocity) @ look.axes.T - np.cross(
            look.rate, ways @ look.axes.T
        )
        azimuth = np.arctan2(local[:, 1], local[:, 0])
        elevation = np.arcsin(np.clip(local[:, 2] / centre_m, -1.0, 1.0))
        rate = np.einsum("ij,ij->i", moving, local) / centre_m
        flat = np.maximum(np.hypot(local[:, 0], local[:, 1]), 1e-6)
        across = (local[:, 0] * moving[:, 1] - local[:, 1] * moving[:, 0]) / flat**2 * centre_m
        reach = _reach(azimuth)
        height = np.where(reach == FAR_M, HALF_HEIGHT_FAR_RAD, HALF_HEIGHT_NEAR_RAD)
        inside = (
            (centre_m >= NEAREST_M) & (centre_m <= reach) & (np.abs(elevation) <= height)
            & (rate > FASTEST_M_S[0]) & (rate < FASTEST_M_S[1])
        )
        rows = np.flatnonzero(inside)
        rows = rows[~self._around.hidden(look, directions[rows], centre_m[rows], own[rows], own_box[rows])]
        snr = snr_db(rcs[rows], centre_m[rows], reach[rows])
        seen = rng.random(len(rows)) < FALSE_ALARM ** (1.0 / (1.0 + 10.0 ** (0.1 * snr)))
        rows, snr = rows[seen], snr[seen]
        polar = np.stack((centre_m[rows], azimuth[rows], rate[rows], across[rows]), axis=1)
        kept = _apart(polar, snr)
        if len(kept) > MOST_ECHOES:
            kept = np.sort(kept[np.argsort(polar[kept, 0], kind="stable")[:MOST_ECHOES]])
        keys = np.concatenate((self._around.bodies().key, self._around.boxes.key))[rows[kept]]
        return keys.tolist(), polar[kept], rcs[rows[kept]], snr[kept]

    def _candidates(self, look: Look) -> tuple[Floats, Floats, Floats, NDArray[np.int64], NDArray[np.int64]]:
        """Ways to echoing points, their velocities, RCS, and the sphere or box that each belongs to.

        Of a target its centre echoes, of an obstacle what is nearest on the line to its centre.
        """
        bodies, boxes = self._around.bodies(), self._around.boxes
        ways = bodies.position - look.position
        distance = np.maximum(np.linalg.norm(ways, axis=1), 1e-6)
        shrink = np.where(bodies.target < 0, np.maximum(0.0, 1.0 - bodies.radius_m / distance), 1.0)
        ways = ways * shrink[:, None]
        own = np.arange(len(distance))
        if not len(boxes.reach_m):
            return ways, bodies.velocity, bodies.rcs_dbsm, own, np.full(len(own), -1)
        to = boxes.position - look.position
        far = np.maximum(np.linalg.norm(to, axis=1), 1e-6)
        met = np.diagonal(to_boxes(look.position, to / far[:, None], boxes.position, boxes.axes, boxes.half_m))
        return (
            np.concatenate((ways, to * (met / far)[:, None])),
            np.concatenate((bodies.velocity, np.zeros((len(far), 3)))),
            np.concatenate((bodies.rcs_dbsm, boxes.rcs_dbsm)),
            np.concatenate((own, np.full(len(far), -1))),
            np.concatenate((np.full(len(own), -1), np.arange(len(far)))),
        )

    def _numbered(self, keys: list[int], t_ns: int) -> list[int]:
        """Numbers of objects: kept while they are seen, the lowest free one for a new one."""
        ids = self._ids
        for key in [key for key, (_, seen_ns) in ids.items() if t_ns - seen_ns > FORGOTTEN_NS]:
            del ids[key]
        taken = {number for number, _ in ids.values()}
        numbers = []
        for key in keys:
            number = ids[key][0] if key in ids else next((n for n in range(IDS) if n not in taken), None)
            if number is None:
                # More are remembered than there are numbers: who was unseen longest gives his.
                oldest = min((k for k in ids if k not in keys), key=lambda k: ids[k][1])
                number = ids.pop(oldest)[0]
            taken.add(number)
            ids[key] = (number, t_ns)
            numbers.append(number)
        return numbers

    def _listed(self, numbers: list[int], polar: Floats, rcs: Floats) -> list[Echo]:
        distance = polar[:, 0] + self.bias_range_m
        angle = polar[:, 1] + self.bias_bearing_rad
        cosine, sine = np.cos(angle), np.sin(angle)
        columns = (
            distance * cosine, distance * sine, polar[:, 2] * cosine - polar[:, 3] * sine,
            polar[:, 2] * sine + polar[:, 3] * cosine, rcs,
        )
        echoes = [Echo(*row) for row in zip(numbers, *(c.tolist() for c in columns), strict=True)]
        order = np.argsort(distance, kind="stable").tolist()
        return [echoes[i] for i in order if distance[i] >= NEAREST_M]


def _reach(azimuth: Floats) -> Floats:
    """How far the beams see at an azimuth, m; 0 outside."""
    side = np.abs(azimuth)
    return np.select((side <= FAR_RAD, side <= MIDDLE_RAD, side <= SIDE_RAD), (FAR_M, MIDDLE_M, SIDE_M), 0.0)


def _far(distance: Floats) -> NDArray[np.bool_]:
    return distance > MIDDLE_M


def _apart(polar: Floats, snr: Floats) -> NDArray[np.int64]:
    """Rows that stay when of those in one resolution cell the strongest swallows the others."""
    order = np.argsort(-snr, kind="stable")
    if len(order) < 2:
        return order
    far = _far(polar[:, 0])
    near_range = np.abs(polar[:, None, 0] - polar[None, :, 0]) < np.where(far, CELL_M[1], CELL_M[0])[:, None]
    near_angle = np.abs(polar[:, None, 1] - polar[None, :, 1]) < np.where(far, CELL_RAD[1], CELL_RAD[0])[:, None]
    together = near_range & near_angle
    kept: list[int] = []
    swallowed = np.zeros(len(snr), bool)
    for row in order.tolist():
        if not swallowed[row]:
            kept.append(row)
            swallowed |= together[row]
    return np.array(sorted(kept), np.int64)


def _with_ghosts(
    keys: list[int], polar: Floats, rcs: Floats, snr: Floats, ghosts: list[Ghost], t_ns: int
) -> tuple[list[int], Floats, Floats, Floats]:
    """The false targets joined to the true ones, as strong as anything real."""
    rows = []
    for index, ghost in enumerate(ghosts):
        distance = ghost.range_m + ghost.speed_m_s * (t_ns - ghost.begun_ns) * 1e-9
        if distance >= NEAREST_M:
            keys = [*keys, -1_000_000 - index]
            rows.append((distance, ghost.bearing_rad, ghost.speed_m_s, 0.0, ghost.rcs_dbsm))
    if not rows:
        return keys, polar, rcs, snr
    added = np.array(rows)
    return (
        keys, np.concatenate((polar, added[:, :4])), np.concatenate((rcs, added[:, 4])),
        np.concatenate((snr, np.full(len(rows), 20.0))),
    )


def _disturbed(polar: Floats, rcs: Floats, snr: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Noise of each figure, the more the weaker the echo is below 20 dB: twice at 8 dB. P."""
    far = _far(polar[:, 0]).astype(int)
    weak = 10.0 ** (0.025 * np.maximum(0.0, 20.0 - snr))
    sigma = np.stack((
        np.array(SIGMA_RANGE_M)[far], np.array(SIGMA_AZIMUTH_RAD)[far], np.full(len(far), SIGMA_SPEED_M_S),
        np.full(len(far), SIGMA_CROSS_M_S),
    ), axis=1) * weak[:, None]
    return polar + sigma * rng.standard_normal(polar.shape), rcs + SIGMA_RCS_DB * rng.standard_normal(len(rcs))


def _clutter(count: int, room: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The nearest ``room`` of ``count`` echoes of nothing, spread evenly in azimuth and distance."""
    azimuth = rng.uniform(-SIDE_RAD, SIDE_RAD, count)
    reach = _reach(azimuth)
    distance = NEAREST_M + (reach - NEAREST_M) * rng.random(count)
    speed = rng.uniform(-CLUTTER_SPEED_M_S, CLUTTER_SPEED_M_S, (2, count))
    rcs = rng.uniform(*CLUTTER_RCS_DBSM, count)
    nearest = np.argsort(distance, kind="stable")[:room]
    return np.stack((distance, azimuth, speed[0], speed[1]), axis=1)[nearest], rcs[nearest]


def snr_db(rcs_dbsm: Floats, range_m: Floats, reach_m: Floats) -> Floats:
    """Signal-to-noise ratio of echoes in beams that reach so far, by the radar equation."""
    return END_SNR_DB - END_RCS_DBSM + rcs_dbsm + 40.0 * np.log10(reach_m / range_m)
