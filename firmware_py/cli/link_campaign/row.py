"""One row of the link's fault and security plan: what is done how often, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Progress", "Row", "RowResult"]

Progress = Callable[[int, int], None]
"""Called with what is done and how much there is."""


@dataclass(frozen=True, slots=True)
class RowResult:
    """Outcome of one row. ``failures`` name the case, with what repeats it; at most 20 are kept."""

    passed: bool
    cases: int
    counts: Mapping[str, float] = field(default_factory=dict)
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        number: of the plan.
        name: short.
        promise: what must hold, in words, with its numbers.
        full: cases of a whole run.
        slice: cases of a run of a few seconds, for CI.
        run: flies ``cases`` of them with this generator, telling progress.
    """

    number: int
    name: str
    promise: str
    full: int
    slice: int
    run: Callable[[np.random.Generator, int, Progress], RowResult]
