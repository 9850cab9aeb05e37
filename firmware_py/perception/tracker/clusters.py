"""Assignment of contested detections at the greatest total score, cluster by cluster, in bounded time.

Pairs that hang together through a shared track or detection are a cluster. Few tracks are solved as one matrix, many
cluster by cluster. A cluster too large for that pairs off best first, which is what an operator would do by eye, and
takes a few rounds whatever its size. scipy solves the matrices if it is there; without it every cluster pairs off.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["assign", "labels", "pair_off", "solver"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Solver = Callable[..., Any]


@cache
def solver() -> Solver | None:
    """scipy's ``linear_sum_assignment``, or None without scipy. The first call imports it; later ones cost nothing."""
    try:
        found: Solver = import_module("scipy.optimize").linear_sum_assignment
    except ImportError:
        return None
    return found


def assign(row: Ints, column: Ints, score: Floats, rows: int, columns: int, most: int) -> tuple[Ints, int]:
    """Indices of the pairs chosen, and the number of clusters that were solved.

    No row and no column is chosen twice; pairs with a score of 0 or less never are. ``most`` rows make up one matrix.
    """
    wanted = (score > 0.0).nonzero()[0]
    if len(wanted) == 0:
        return wanted, 0
    solve = solver()
    if solve is None:
        return wanted[pair_off(row[wanted], column[wanted], score[wanted], rows, columns)], 1
    if rows <= most and columns <= 4 * most:
        return wanted[_matrix(row[wanted], column[wanted], score[wanted], rows, columns, solve)], 1
    group = labels(row[wanted], column[wanted], rows, columns)
    place_row, many_rows = _places(row[wanted], group, rows)
    place_column, many_columns = _places(column[wanted], group, columns)
    order = group.argsort(kind="stable")
    ends = np.append(np.diff(group[order]).nonzero()[0] + 1, len(order))
    chosen, large, start = [], [], 0
    for end in ends.tolist():
        some = order[start:end]
        part, name = wanted[some], group[some[0]]
        start = end
        if many_rows[name] > most or many_columns[name] > 4 * most:
            large.append(part)
            continue
        chosen.append(part[_matrix(
            place_row[some], place_column[some], score[part], int(many_rows[name]), int(many_columns[name]), solve)])
    if large:
        part = np.concatenate(large)
        chosen.append(part[pair_off(row[part], column[part], score[part], rows, columns)])
    return np.concatenate(chosen), len(ends)


def _places(side: Ints, group: Ints, count: int) -> tuple[Ints, Ints]:
    """(p,) place of each pair's row (or column) among those of its cluster, ascending; and how many each cluster has,
    by its name. ``side`` (p,) counts up to ``count``; a row is in one cluster alone."""
    used = np.flatnonzero(np.bincount(side, minlength=count))
    owner = np.zeros(count, np.int64)
    owner[side] = group
    order = used[owner[used].argsort(kind="stable")]
    many = np.bincount(owner[used], minlength=int(group.max()) + 1)
    place = np.zeros(count, np.int64)
    place[order] = np.arange(len(order)) - (np.cumsum(many) - many)[owner[order]]
    return place[side], many


def _matrix(row: Ints, column: Ints, score: Floats, rows: int, columns: int, solve: Solver) -> Ints:
    """Indices of the pairs of the best assignment; an entry of 0 stands for none."""
    table = np.zeros((rows, columns))
    table[row, column] = score
    place = np.zeros((rows, columns), np.int64)
    place[row, column] = np.arange(len(row))
    i, j = solve(table, maximize=True)
    kept = table[i, j] > 0.0
    return place[i[kept], j[kept]]  # type: ignore[no-any-return]


def pair_off(row: Ints, column: Ints, score: Floats, rows: int, columns: int) -> Ints:
    """Indices of the pairs that are best for their row and their column, then of what remains, until none is left."""
    order = np.lexsort((column, row, -score))
    chosen: list[Ints] = []
    for _ in range(min(rows, columns)):
        if len(order) == 0:
            break
        best_row, best_column = np.full(rows, -1), np.full(columns, -1)
        # Written from the worst to the best: the best stands in the end.
        best_row[row[order[::-1]]] = order[::-1]
        best_column[column[order[::-1]]] = order[::-1]
        mutual = order[(best_row[row[order]] == order) & (best_column[column[order]] == order)]
        chosen.append(mutual)
        free_row, free_column = np.ones(rows, np.bool_), np.ones(columns, np.bool_)
        free_row[row[mutual]] = False
        free_column[column[mutual]] = False
        order = order[free_row[row[order]] & free_column[column[order]]]
    return np.sort(np.concatenate(chosen)) if chosen else order


def labels(row: Ints, column: Ints, rows: int, columns: int) -> Ints:
    """(p,) the least row of each pair's cluster."""
    name = np.arange(rows)
    while True:
        least = np.full(columns, rows)
        np.minimum.at(least, column, name[row])
        fresh = name.copy()
        np.minimum.at(fresh, row, least[column])
        # Names of names: a chain halves with every round.
        fresh = fresh[fresh]
        if (fresh == name).all():
            return name[row]
        name = fresh
