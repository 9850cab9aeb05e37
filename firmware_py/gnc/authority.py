"""What the nozzles of a body can do together: exact limits of force and torque, and who makes them.

The attainable wrenches are the zonotope ``{W u, 0 <= u <= 1}``. Each of its facets is spanned by columns of W, one
less than the rank, so that ``n.w <= h(n) = sum max(0, n.w_i)`` over the normals of all such sets is the whole of it
(McMullen, "On zonotopes", Trans. AMS 159, 1971). The forces that leave no torque are its slice at torque zero,
``n_F.F <= h(n)``: the least ``h(n) / |n_F|`` is exactly the force that is available in every direction, the ceiling of
FTG. The strongest direction is a corner of that slice, found by the double description method (Fukuda and Prodon,
"Double description method revisited", 1996). Torque without force likewise.

All is about the centre of mass with a full tank, body frame, valves held open; pulses, heat and charge come on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hal.profile.body import BodyConfig
from hal.profile.controllability import (
    LEAST_SHARE,
    SIGNED_AXES,
    axis_scale,
    axis_wrench,
    cheapest_firing,
    greatest_scale,
    strongest_firing,
    wrench_matrix,
)

__all__ = [
    "AllocationEntry", "Authority", "Loss", "NozzleSet", "Slice", "allocation_map", "authority", "force_ceiling_n",
]

Array = npt.NDArray[np.float64]
Six = tuple[float, float, float, float, float, float]
Vec3 = tuple[float, float, float]

FORCE, TORQUE = slice(0, 3), slice(3, 6)
TINY = 1e-9
"""Of scaled wrenches: below it a component or a distance is rounding."""
VOLUME = 1e-7
"""Of unit columns: sets that span less have a normal of rounding, and a facet thinner than that."""
TORQUE_SHARE = 0.8
"""Of the weakest torque axis as commanded limit, so that a fifth is left to stop what was begun (CANON section 3)."""
CHUNK = 4000
"""Planes that are worked on at once: what they need fits into the cache of a small computer."""
SHOWN_SHARE = 5e-3
"""Duties below it are left out of a set's list of nozzles; they trim rounded coordinates."""


class Slice(NamedTuple):
    """Forces that can be made without torque, or torques without force, as a convex body about zero."""

    inscribed: float
    """Available in every direction, N or N m."""
    weakest: Vec3
    """Unit vector in which it is no more than that; any of them if there are several."""
    greatest: float
    """In the strongest direction, N or N m."""
    strongest: Vec3
    """Unit vector of that direction; any of them if there are several. Zero if nothing can be made at all."""
    normals: Array
    """(k, 3) unit normals of the bounding planes."""
    distances: Array
    """(k,) distance of each plane from zero, N or N m."""
    corners: Array
    """(c, 3) corners, N or N m."""
    on_plane: npt.NDArray[np.bool_]
    """(c, k) which corner lies on which plane."""

    def reach(self, directions: Array) -> Array:
        """(m,) how far the body extends along unit ``directions`` (m, 3), N or N m."""
        along = directions @ self.normals.T
        reach = np.where(along > TINY, self.distances / np.maximum(along, TINY), np.inf)
        return np.asarray(reach.min(axis=1))


class Loss(NamedTuple):
    """What is left when some nozzles are dead."""

    name: str
    nozzles: tuple[int, ...]
    force_n: Six
    torque_n_m: Six
    lost: tuple[str, ...]
    """Signed axes that can no longer be made."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Limits of pure demands (every other component zero), in the order +X, -X, +Y, -Y, +Z, -Z."""

    failed: tuple[int, ...]
    force_n: Six
    torque_n_m: Six
    missing: tuple[str, ...]
    """Signed axes that can't be made; none of a body that is controllable."""
    force: Slice
    torque: Slice
    rank: int
    condition: float
    """Of the 6 x n matrix in N and N m, as CANON section 3 has it (a metre counts as much as one); infinite below
    rank 6."""
    condition_gyration: float
    """The same with torque over the radius of gyration: a number of the layout, not of the craft's size."""
    nozzle_losses: tuple[Loss, ...]
    cluster_losses: tuple[Loss, ...]

    @property
    def controllable(self) -> bool:
        """Every force and torque can be made."""
        return not self.missing

    @property
    def worst_with_a_nozzle_dead(self) -> tuple[float, float]:
        """Least pure axis force, N, and torque, N m, over every single dead nozzle."""
        losses = self.nozzle_losses
        force = min((min(loss.force_n) for loss in losses), default=0.0)
        return force, min((min(loss.torque_n_m) for loss in losses), default=0.0)

    @property
    def torque_max_n_m(self) -> float:
        """What control should ask for at most on any axis, N m."""
        return TORQUE_SHARE * min(self.torque_n_m)


class NozzleSet(NamedTuple):
    """Nozzles that make one pure demand, and how."""

    size: float
    """N or N m at these shares."""
    duty: tuple[float, ...]
    """Shares of full thrust, 0..1, one for each nozzle in body order."""
    thrust_n: float
    """Sum of the nozzles' thrusts at these shares, N: what the demand costs in propellant."""

    @property
    def nozzles(self) -> tuple[int, ...]:
        """Those that take part, without the trim of rounded coordinates."""
        return tuple(n for n, share in enumerate(self.duty) if share >= SHOWN_SHARE)


class AllocationEntry(NamedTuple):
    """One line of the thrust or torque map."""

    axis: str
    cheapest: NozzleSet
    """Largest pure demand for the least propellant each newton (the ZTT set of a force)."""
    strongest: NozzleSet
    """Largest pure demand at all; the same set where nothing is gained by spending more."""


def authority(body: BodyConfig, failed: Sequence[int] = ()) -> Authority:
    """Limits of ``body`` with the nozzles ``failed`` dead. Raises ValueError for a nozzle that it doesn't have."""
    usable, scale, scaled = _geometry(body, failed)
    facets = _facets(scaled, usable)
    force_n, torque_n_m, missing = _axes(_shares(facets, scaled, usable), scale)
    mass = body.mass.dry_kg + body.mass.propellant_kg
    gyration = float(np.sqrt(np.trace(np.array(body.mass.inertia_kg_m2)) / (3.0 * mass)))
    matrix = (scaled * scale[:, None])[:, usable]
    rank = _rank(scaled * usable)

    def without(name: str, dead: tuple[int, ...]) -> Loss:
        left = usable.copy()
        left[list(dead)] = False
        return Loss(name, dead, *_axes(_shares(facets, scaled, left), scale))

    clusters: dict[str, list[int]] = {}
    for nozzle in body.propulsion.nozzles:
        clusters.setdefault(nozzle.cluster, []).append(nozzle.id)
    return Authority(
        failed=tuple(sorted(set(failed))), force_n=force_n, torque_n_m=torque_n_m, missing=missing,
        force=_slice(facets, usable, FORCE, float(scale[0])), torque=_slice(facets, usable, TORQUE, float(scale[3])),
        rank=rank,
        condition=_condition(matrix, rank),
        condition_gyration=_condition(np.vstack([matrix[FORCE], matrix[TORQUE] / gyration]), rank),
        nozzle_losses=tuple(without(f"nozzle {n}", (int(n),)) for n in np.flatnonzero(usable)),
        cluster_losses=tuple(without(name, tuple(dead)) for name, dead in clusters.items()),
    )


def force_ceiling_n(body: BodyConfig, failed: Sequence[int] = ()) -> float:
    """Pure force that is available in every direction, N: the ceiling of FTG. Zero if there is a direction without.

    Cheaper than the whole ``authority``. Raises ValueError for a failed nozzle that the body doesn't have.
    """
    usable, scale, scaled = _geometry(body, failed)
    facets = _facets(scaled, usable)
    if len(_walls(facets.room, FORCE)):
        return 0.0
    lengths = np.linalg.norm(facets.normals[:, FORCE], axis=1)
    cutting = lengths > TINY
    nearest = np.minimum(*facets.supports(usable))[cutting] / lengths[cutting]
    share = float(nearest.min())
    return share * float(scale[0]) if share > TINY else 0.0


def allocation_map(body: BodyConfig, failed: Sequence[int] = ()) -> tuple[AllocationEntry, ...]:
    """Thrust map (first six) and torque map (last six), without the axes that can't be made.

    Propellant is what counts as cost. Raises ValueError for a failed nozzle that the body doesn't have.
    """
    usable, scale, scaled = _geometry(body, failed)
    thrust = np.array([nozzle.thrust_n for nozzle in body.propulsion.nozzles])
    entries = []
    for index, axis in enumerate(SIGNED_AXES):
        sets = []
        for find in (cheapest_firing, strongest_firing):
            found = find(scaled, axis_wrench(index), usable, thrust / thrust.max())
            cost = float(thrust @ np.array(found.duty))
            sets.append(NozzleSet(found.size * float(scale[index // 2]), found.duty, cost))
        if sets[1].size >= LEAST_SHARE * scale[index // 2]:
            entries.append(AllocationEntry(axis, *sets))
    return tuple(entries)


def _geometry(body: BodyConfig, failed: Sequence[int]) -> tuple[npt.NDArray[np.bool_], Array, Array]:
    """Which nozzles work, the scale of the axes, and the wrench matrix in that scale."""
    count = len(body.propulsion.nozzles)
    unknown = [nozzle for nozzle in failed if not 0 <= nozzle < count]
    if unknown:
        raise ValueError(f"no nozzle {unknown[0]}; 0..{count - 1} are allowed")
    scale = axis_scale(body)
    usable = np.array([nozzle not in failed for nozzle in range(count)])
    return usable, scale, wrench_matrix(body) / scale[:, None]


def _axes(shares: Sequence[float], scale: Array) -> tuple[Six, Six, tuple[str, ...]]:
    """Force and torque of the signed axes, zero for those that can't be made, and the names of these."""
    missing = tuple(axis for axis, share in zip(SIGNED_AXES, shares, strict=True) if share < LEAST_SHARE)
    sizes = [share * float(scale[index // 2]) if share >= LEAST_SHARE else 0.0 for index, share in enumerate(shares)]
    force, torque = tuple(sizes[:6]), tuple(sizes[6:])
    return force, torque, missing  # type: ignore[return-value]


def _rank(scaled: Array) -> int:
    return int(np.linalg.matrix_rank(scaled, tol=TINY * max(1.0, float(np.abs(scaled).max(initial=0.0)))))


def _condition(matrix: Array, rank: int) -> float:
    if rank < 6:
        return float("inf")
    values = np.linalg.svd(matrix, compute_uv=False)
    return float(values[0] / values[5])


# -- facets of the zonotope


class _Facets(NamedTuple):
    """Planes around the zonotope of scaled columns; each stands for its opposite too.

    With every nozzle open that pushes along a normal n, ``n.w`` is greatest: the sum of the positive ``projections``.
    """

    normals: Array
    """(k, 6) unit normals in the column space."""
    projections: Array
    """(k, n) of each column on each normal."""
    ahead: Array
    """(k, n) the same without what is negative."""
    spans: npt.NDArray[np.bool_]
    """(k, n) which columns span the plane."""
    room: Array
    """6 x r orthonormal basis of the column space."""

    def supports(self, usable: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
        """(k,) reach along each normal and against it, with the nozzles that are ``usable``."""
        shares = usable.astype(np.float64)
        ahead = self.ahead @ shares
        return ahead, ahead - self.projections @ shares


def _facets(scaled: Array, usable: npt.NDArray[np.bool_]) -> _Facets:
    """Facets of what the ``usable`` columns make together."""
    left, values, _ = np.linalg.svd(scaled * usable, full_matrices=False)
    room = left[:, values > TINY * max(1.0, float(values[0]))]
    # In the column space, so that a flat zonotope has facets too.
    inside = room.T @ scaled
    lengths = np.linalg.norm(inside, axis=0)
    columns = np.flatnonzero(usable & (lengths > TINY))
    normals, sets = _wedge(inside[:, columns] / lengths[columns])
    spans = np.zeros((len(normals), len(usable)), dtype=bool)
    np.put_along_axis(spans, columns[sets], True, axis=1)
    projections = normals @ inside
    return _Facets(normals @ room.T, projections, np.maximum(projections, 0.0), spans, room)


def _wedge(columns: Array) -> tuple[Array, npt.NDArray[np.intp]]:
    """(k, r) unit normals of the independent sets of r - 1 among unit ``columns`` (r, n), and the sets (k, r - 1).

    Minors of k + 1 columns come from those of k by expansion along the last column.
    """
    rank, count = columns.shape
    if rank == 0:
        return np.zeros((0, 0)), np.zeros((0, 0), dtype=np.intp)
    sets: list[tuple[int, ...]] = [()]
    minors: dict[tuple[int, ...], Array] = {(): np.ones(1)}
    for size in range(1, rank):
        parents = {chosen: index for index, chosen in enumerate(sets)}
        sets = list(combinations(range(count), size))
        parent = np.array([parents[chosen[:-1]] for chosen in sets])
        last = np.array([chosen[-1] for chosen in sets])
        grown = {}
        for rows in combinations(range(rank), size):
            total = np.zeros(len(sets))
            for place, row in enumerate(rows):
                rest = rows[:place] + rows[place + 1 :]
                total += (-1.0) ** (size - 1 - place) * minors[rest][parent] * columns[row, last]
            grown[rows] = total
        minors = grown
    everything = tuple(range(rank))
    normals = np.stack(
        [(-1.0) ** row * minors[everything[:row] + everything[row + 1 :]] for row in range(rank)], axis=1
    )
    volumes = np.linalg.norm(normals, axis=1)
    keep = volumes > VOLUME
    chosen = np.array(sets, dtype=np.intp).reshape(len(sets), rank - 1)
    return np.asarray(normals[keep] / volumes[keep, None]), chosen[keep]


def _shares(facets: _Facets, scaled: Array, usable: npt.NDArray[np.bool_]) -> list[float]:
    """Scaled reach of the nozzles ``usable`` along the twelve signed axes."""
    if facets.room.shape[1] < 6 or _rank(scaled * usable) < 6:
        # No facet of the whole set need be one of what is left.
        return [greatest_scale(scaled, axis_wrench(index), usable) for index in range(12)]
    left = ~facets.spans[:, ~usable].any(axis=1)
    normals = facets.normals[left]
    ahead, behind = (support[left] for support in facets.supports(usable))
    shares = []
    for row in range(6):
        along = normals[:, row]
        size = np.maximum(np.abs(along), TINY)
        for sign in (1.0, -1.0):
            support = np.where(sign * along > 0.0, ahead, behind)
            shares.append(float(np.where(np.abs(along) > TINY, support / size, np.inf).min()))
    return shares


# -- slices of it


def _slice(facets: _Facets, usable: npt.NDArray[np.bool_], rows: slice, unit: float) -> Slice:
    """Wrenches of the zonotope whose other three components are zero; ``unit`` is the scale of the rows kept."""
    normals, walls = facets.normals[:, rows], _walls(facets.room, rows)
    normals, distances = _planes(
        np.concatenate([normals, -normals, walls, -walls]),
        np.concatenate([*facets.supports(usable), np.zeros(2 * len(walls))]),
    )
    # A column is at most one long, so that no wrench lies outside this box.
    corners, used = _corners(normals, distances, 1.0 + len(usable))
    normals, distances = normals[used], distances[used]
    on_plane = np.abs(corners @ normals.T - distances) <= 10 * TINY * (1.0 + len(usable))
    # A flat slice needs the planes too that only touch its edge.
    solid = np.linalg.matrix_rank(corners - corners.mean(axis=0), tol=10 * TINY) == 3
    kept = np.flatnonzero(on_plane.sum(axis=0) >= (3 if solid else 1))
    if solid:
        kept = kept[~_repeats(on_plane[:, kept])]
    normals, distances, on_plane = normals[kept], distances[kept], on_plane[:, kept]
    lengths = np.linalg.norm(corners, axis=1)
    nearest = int(np.flatnonzero(distances <= distances.min() + TINY)[-1])
    farthest = int(np.flatnonzero(lengths >= lengths.max() - TINY)[-1])
    inscribed, greatest = float(distances.min()), float(lengths.max())
    return Slice(
        inscribed * unit, _vector(normals[nearest]), greatest * unit, _vector(corners[farthest] / (greatest or 1.0)),
        normals, distances * unit, corners * unit, on_plane,
    )


def _walls(room: Array, rows: slice) -> Array:
    """(k, 3) unit normals of the directions in which the three ``rows`` can't change alone."""
    others = np.delete(np.arange(6), rows)
    _, values, right = np.linalg.svd(room[others])
    bound = int((values > TINY).sum())
    ways, sizes, _ = np.linalg.svd(room[rows] @ right[bound:].T)
    return np.asarray(ways[:, int((sizes > TINY).sum()) :].T)


def _planes(normals: Array, support: Array) -> tuple[Array, Array]:
    """Unit normals and distances; planes that don't cut the slice are left out."""
    lengths = np.linalg.norm(normals, axis=1)
    cutting = lengths > TINY
    normals, distances = normals[cutting] / lengths[cutting, None], support[cutting] / lengths[cutting]
    distances[distances < TINY] = 0.0
    return normals, distances


def _corners(normals: Array, distances: Array, half: float) -> tuple[Array, npt.NDArray[np.intp]]:
    """Corners of ``normals @ x <= distances``, and the planes that cut them out.

    A box of the edge 2 ``half``, in which they all lie, is cut plane by plane, in each round by those beyond which
    some corner lies farthest.
    """
    corners = np.array([[x, y, z] for x in (-half, half) for y in (-half, half) for z in (-half, half)])
    incident = np.column_stack([corners > 0.0, corners < 0.0])
    slack = TINY * half
    used: list[int] = []
    waiting = np.arange(len(normals))
    while len(waiting):
        worst, deepest = _violations(corners, normals[waiting], distances[waiting])
        for cut in waiting[deepest[worst[deepest] > slack]]:
            beyond = corners @ normals[cut] - distances[cut]
            if beyond.max() > slack:
                corners, incident = _cut(corners, incident, beyond, slack)
                used.append(int(cut))
        # A body that only shrinks never grows back to a plane that it doesn't touch.
        waiting = waiting[worst > slack]
    order = np.lexsort(np.round(corners, 9).T[::-1])
    return corners[order], np.array(used, dtype=np.intp)


def _violations(corners: Array, normals: Array, distances: Array) -> tuple[Array, npt.NDArray[np.intp]]:
    """How far the corners reach beyond each plane, and the planes beyond which some corner lies farthest."""
    worst = np.empty(len(normals))
    farthest, deepest = np.full(len(corners), -np.inf), np.zeros(len(corners), dtype=np.intp)
    for start in range(0, len(normals), CHUNK):
        end = min(start + CHUNK, len(normals))
        beyond = normals[start:end] @ corners.T - distances[start:end, None]
        worst[start:end] = beyond.max(axis=1)
        first = beyond.argmax(axis=0)
        size = beyond[first, np.arange(len(corners))]
        deepest = np.where(size > farthest, start + first, deepest)
        farthest = np.maximum(size, farthest)
    return worst, np.unique(deepest)


def _cut(
    corners: Array, incident: npt.NDArray[np.bool_], beyond: Array, slack: float
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """One step of the double description method: what is left on the near side of a plane."""
    outside, inside = np.flatnonzero(beyond > slack), np.flatnonzero(beyond < -slack)
    kept = beyond <= slack
    new_corners, new_incident = [], []
    touched = incident[outside].any(axis=0)
    # In integers, which no thread pool takes up: there are hundreds of these products, each of some microseconds.
    shared = incident[np.ix_(inside, touched)].astype(np.int32) @ incident[np.ix_(outside, touched)].T.astype(np.int32)
    for a, b in zip(*np.nonzero(shared >= 2), strict=True):
        common = incident[inside[a]] & incident[outside[b]]
        # An edge joins them if no third corner lies on all the planes that they share.
        if int(incident[:, common].all(axis=1).sum()) != 2:
            continue
        low, high = beyond[inside[a]], beyond[outside[b]]
        new_corners.append(corners[inside[a]] + low / (low - high) * (corners[outside[b]] - corners[inside[a]]))
        new_incident.append(np.append(common, True))
    left = np.column_stack([incident[kept], np.abs(beyond[kept]) <= slack])
    if not new_corners:
        return corners[kept], left
    return np.vstack([corners[kept], new_corners]), np.vstack([left, new_incident])


def _repeats(on_plane: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Planes with the same corners as one before."""
    seen: set[bytes] = set()
    repeats = np.zeros(on_plane.shape[1], dtype=bool)
    for index, column in enumerate(on_plane.T):
        key = np.packbits(column).tobytes()
        repeats[index] = key in seen
        seen.add(key)
    return repeats


def _vector(values: Array) -> Vec3:
    x, y, z = (float(value) if abs(value) > TINY else 0.0 for value in values)
    return x, y, z
