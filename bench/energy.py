"""Power, heat and energy: every figure of feeding the craft and keeping it warm, beside its reference.

The parts are modules of their own, so that one can be run alone: ``python -m bench.energy books cost``.
"""

from __future__ import annotations

import sys

from bench._parts import run_named, run_parts
from bench.harness import Report

PARTS = {
    "cost": "bench._energy_cost", "shedding": "bench._energy_shedding", "books": "bench._energy_books",
    "soc": "bench._energy_soc", "mppt": "bench._energy_mppt", "bus": "bench._energy_bus",
    "cold": "bench._energy_cold_start",
}


def run(report: Report) -> None:
    """Run every part."""
    run_parts(report, PARTS)


if __name__ == "__main__":
    sys.exit(run_named("energy", PARTS, sys.argv[1:]))
