"""Shedding against a second reading of its table: every combination of triggers, and 10,000 random histories.

The second reading is the tests' own interpreter of the table, in exact fractions; here its disagreements are counted
and the time of a step is measured.
"""

from __future__ import annotations

from time import thread_time_ns

from bench.harness import Report
from firmware_py.energy.shedding import Shedder
from tests.firmware_py.test_energy_shedding import BODY, HISTORIES, Reckoner, check_rules, history

__all__ = ["run"]


def run(report: Report) -> None:
    """Add every figure to a report."""
    broken = ticks = spent = shed = 0
    for seed in range(HISTORIES):
        shedder, reckoner, was = Shedder(BODY), Reckoner(), False
        for now in history(seed):
            start = thread_time_ns()
            told = shedder.step(now)
            spent += thread_time_ns() - start
            ticks += 1
            shed += bool(told.shed)
            try:
                check_rules(now, told, was)
                reckoner.read(now).agrees(told)
            except AssertionError:
                broken += 1
            was = told.low_soc
    report.add(f"rules broken in {HISTORIES} random histories ({ticks} ticks, {shed} of them shed something)", broken,
               "", "a second reading of the table, exact", 0, broken == 0)
    mean_us = 1e-3 * spent / ticks
    report.add("one step of the table, mean of the thread's time", mean_us, "us", None, "< 30", mean_us < 30.0)
