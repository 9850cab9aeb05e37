"""Power cut during writes: parameters and boot record in files and in FRAM, and the recorder's ring; what it all costs.

Every life of a craft here ends in a cut at a random moment of its writes, and its next start is judged: it boots, its
parameters are the set before or the new one, the starts are counted, SAFE is as it was or as it became, and a latched
boot to SAFE stays latched.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter_ns, thread_time_ns

import numpy as np

from bench._powercut import (
    Outcome,
    file_lives,
    fram_lives,
    fram_store_ticks,
    ring_cuts,
    ring_cuts_unsynced,
    table_cuts,
    text_of,
)
from bench.harness import Report
from comms.dictionary import Authority
from comms.parameters import PARAMETERS
from fdir.modes import Motion
from fdir.safe_record import KeptSafe
from firmware_py.journal import NoJournal
from firmware_py.retained import Retained
from hal.nonvolatile import FileMemory, FolderFiles, NonVolatile, StandingWorker

CUTS = 1000
SEED = 6
STEPS = 20_000
NOT_SAFE = KeptSafe()


def run(report: Report) -> None:
    """Measure and report."""
    _lives(report, "files", file_lives(CUTS, np.random.default_rng(SEED)))
    _lives(report, "FRAM", fram_lives(CUTS, np.random.default_rng(SEED)))
    old, new, neither = table_cuts(CUTS, np.random.default_rng(SEED))
    report.add("files: last good fault table old", old, f"of {CUTS}")
    report.add("files: last good fault table new", new, f"of {CUTS}")
    report.add("files: last good fault table lost or mixed", neither, f"of {CUTS}", None, 0, neither == 0)
    with tempfile.TemporaryDirectory() as folder:
        _rings(report, Path(folder))
        _cost(report, Path(folder))


def _lives(report: Report, medium: str, outcome: Outcome) -> None:
    judged = outcome.old + outcome.new + outcome.mixed
    report.add(f"{medium}: cuts at random writes", outcome.cuts, "", None, CUTS, outcome.cuts == judged == CUTS)
    report.add(f"{medium}: boots with everything read", outcome.booted, f"of {judged}", None, judged,
               outcome.booted == judged)
    report.add(f"{medium}: parameters old", outcome.old, f"of {judged}")
    report.add(f"{medium}: parameters new", outcome.new, f"of {judged}")
    report.add(f"{medium}: parameters mixed", outcome.mixed, f"of {judged}", None, 0, outcome.mixed == 0)
    report.add(f"{medium}: starts counted wrongly", outcome.counts_wrong, f"of {judged}", None, 0,
               outcome.counts_wrong == 0)
    report.add(f"{medium}: latched boots to SAFE lost", outcome.latches_lost, f"of {judged}", None, 0,
               outcome.latches_lost == 0)
    report.add(f"{medium}: SAFE neither as before nor as it became", outcome.safe_wrong, f"of {judged}", None, 0,
               outcome.safe_wrong == 0)


def _rings(report: Report, folder: Path) -> None:
    readable, lost = ring_cuts(CUTS, np.random.default_rng(SEED), folder)
    report.add("ring: cut at a random byte, readable", readable, f"of {CUTS}", None, CUTS, readable == CUTS)
    report.add("ring: records lost beside the last slot", lost, "", None, 0, lost == 0)
    readable, lost = ring_cuts_unsynced(CUTS, np.random.default_rng(SEED), folder)
    report.add("ring: cut with a second in the page cache, readable", readable, f"of {CUTS}", None, CUTS,
               readable == CUTS)
    report.add("ring: synchronised records lost beside slots being written", lost, "", None, 0, lost == 0)


class _Resting:
    """A craft whose memory has nothing to do."""

    def __init__(self, memory: NonVolatile | None) -> None:
        self.retained = Retained(memory, NoJournal(), lambda _name, _value: None)
        self.now_ns = 0

    def step(self) -> None:
        self.now_ns += 50_000_000
        self.retained.step(self.now_ns, Motion.IDLE, False)
        self.retained.safe.step(self.now_ns, NOT_SAFE)


def _cost(report: Report, folder: Path) -> None:
    memory = FileMemory(FolderFiles(folder / "state"), StandingWorker())
    craft = _Resting(memory)
    while not craft.retained.settled:
        craft.step()
        os.sched_yield()
    begin = thread_time_ns()
    for _ in range(STEPS):
        craft.step()
    each = (thread_time_ns() - begin) / STEPS * 1e-3
    report.add("step of parameters, boot record and SAFE, a medium tick", each, "us", None, "< 20", each < 20.0)
    keeper = craft.retained.parameters
    asked, stored = [], []
    for number in range(20):
        start = perf_counter_ns()
        keeper.set(PARAMETERS[0].name, text_of(PARAMETERS[0], number), Authority.SAFETY)
        asked.append((perf_counter_ns() - start) * 1e-3)
        while craft.retained.busy:
            craft.step()
            os.sched_yield()
        stored.append((perf_counter_ns() - start) * 1e-6)
    report.add("files: asking for a store in the loop, median of 20", median(asked), "us", None, "< 1000",
               median(asked) < 1000.0)
    report.add("files: stored on the medium, median of 20", median(stored), "ms")
    ticks = fram_store_ticks()
    report.add("FRAM: the largest sets stored, slots of its bus", ticks, "ticks", None, "< 200", ticks < 200)
