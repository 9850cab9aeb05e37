"""All rows of the link's fault and security plan, in order, and how they are flown: alone, sliced, on all cores."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import import_module
from time import perf_counter

import numpy as np

from firmware_py.cli.link_campaign.row import Row, RowResult

__all__ = ["MODULES", "Flown", "all_rows", "fly", "fly_rows"]

MODULES = (
    "rows_records", "rows_transports", "rows_keys", "rows_service", "rows_dictionary", "rows_channels", "rows_nbl",
    "rows_cfdp", "rows_watch",
)
"""Modules of rows."""
KEPT = 20


@dataclass(frozen=True, slots=True)
class Flown:
    """One row flown: its result, seed, cases that were asked for, and how long it took here, s."""

    number: int
    name: str
    promise: str
    seed: int
    asked: int
    result: RowResult
    wall_s: float


def all_rows() -> tuple[Row, ...]:
    """Every row, by number, then name. A number may have several rows, each with a name of its own."""
    rows: list[Row] = []
    for module in MODULES:
        rows += import_module(f"firmware_py.cli.link_campaign.{module}").ROWS
    return tuple(sorted(rows, key=lambda row: (row.number, row.name)))


def fly(row: Row, seed: int, cases: int, progress: Callable[[int, int], None] = lambda _done, _of: None) -> Flown:
    """Fly one row. Its random numbers follow from the seed and the row alone."""
    rng = np.random.default_rng([seed, row.number, zlib.crc32(row.name.encode())])
    begun = perf_counter()
    result = row.run(rng, cases, progress)
    kept = RowResult(result.passed, result.cases, dict(result.counts), tuple(result.failures[:KEPT]))
    return Flown(row.number, row.name, row.promise, seed, cases, kept, perf_counter() - begun)


def _fly_named(number: int, name: str, seed: int, cases: int) -> Flown:
    row = next(row for row in all_rows() if (row.number, row.name) == (number, name))
    return fly(row, seed, cases)


def fly_rows(rows: Iterable[Row], seed: int, cases: Callable[[Row], int], workers: int) -> Iterator[Flown]:
    """Fly rows on so many processes, each as it is done; with one worker in this process and in order."""
    if workers <= 1:
        for row in rows:
            yield fly(row, seed, cases(row))
        return
    with ProcessPoolExecutor(workers) as pool:
        jobs = [pool.submit(_fly_named, row.number, row.name, seed, cases(row)) for row in rows]
        for job in as_completed(jobs):
            yield job.result()
