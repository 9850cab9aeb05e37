"""Flies on all cores. Workers load body, board and mission once and keep them; results come in the order of work."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from firmware_py.cli.campaign.cases import Case
from firmware_py.cli.campaign.catalogue import catalogue
from firmware_py.cli.campaign.entries import Entry
from firmware_py.cli.campaign.fly import Outcome, fly_case
from firmware_py.mission import MissionConfig, load_mission
from hal.profile import Profile, load_profile

__all__ = ["Setup", "Workshop", "fly_all", "work_all"]

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2
"""Pieces of work that wait for each worker, so that none has to wait for the next."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""As many workers as cores gain nothing from threads of their linear algebra."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What is flown: names as for ``qiki run``; ``None`` takes the mission's own body and board."""

    mission: str = "campaign-mission"
    body: str | None = None
    board: str | None = None


@dataclass(frozen=True, slots=True)
class Workshop:
    """A setup as loaded."""

    mission: MissionConfig
    profile: Profile
    entries: dict[str, Entry]

    @classmethod
    def load(cls, setup: Setup) -> Workshop:
        """Load everything that a setup names. Raises ConfigError; ValueError for a catalogue that is not whole."""
        mission = load_mission(setup.mission)
        profile = load_profile(setup.body or mission.body, setup.board or mission.board)
        return cls(mission, profile, catalogue(profile))

    def fly(self, case: Case, keep: Path | None = None) -> Outcome:
        """One case."""
        return fly_case(case, self.entries, self.mission, self.profile, keep=keep)


Work = Callable[[Workshop, T], R]
"""One piece of work: a function of a module, so that it can be sent to a worker."""

_workshop: Workshop | None = None
"""Of this worker process."""


def _begin(setup: Setup) -> None:
    global _workshop
    _workshop = Workshop.load(setup)
    gc.collect()
    gc.freeze()


def _do(work: Callable[[Workshop, Any], Any], item: Any) -> Any:
    if _workshop is None:
        raise RuntimeError("a worker was not begun")
    return work(_workshop, item)


def _fly(workshop: Workshop, case: Case) -> Outcome:
    return workshop.fly(case)


def fly_all(cases: Iterable[Case], setup: Setup, jobs: int) -> Iterator[Outcome]:
    """Outcomes in the order of the cases, whatever the number of workers."""
    return work_all(_fly, cases, setup, jobs)


def work_all(work: Work[T, R], items: Iterable[T], setup: Setup, jobs: int) -> Iterator[R]:
    """What ``work`` makes of each item, in the order of the items.

    Items are taken as workers are free for them, so that the iterable may end when its time is up.

    Args:
        jobs: worker processes, begun anew (nothing of this process's state reaches them); 1 works in this process.
    """
    if jobs <= 1:
        workshop = Workshop.load(setup)
        for item in items:
            yield work(workshop, item)
        return
    for name in THREADS:
        os.environ.setdefault(name, "1")
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(setup,))
    try:
        waiting: deque[Future[R]] = deque()
        coming = iter(items)
        more = True
        while more or waiting:
            while more and len(waiting) < jobs * (1 + AHEAD):
                try:
                    waiting.append(pool.submit(_do, work, next(coming)))
                except StopIteration:
                    more = False
            if waiting:
                yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
