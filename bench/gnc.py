"""Guidance, navigation and control: every figure of pointing, moving and estimating, beside its reference.

The parts are modules of their own, so that one can be run alone: ``python -m bench.gnc allocation profile``.
"""

from __future__ import annotations

import sys

from bench._parts import run_named, run_parts
from bench.harness import Report

PARTS = {
    "allocation": "bench._gnc_allocation", "modulation": "bench._gnc_modulation", "profile": "bench._gnc_profile",
    "estimation": "bench._gnc_estimation", "faults": "bench._gnc_thruster_fault",
    "lost-cluster": "bench._gnc_lost_cluster", "basilisk": "bench.basilisk", "log": "bench.reallog",
    "chain": "bench._gnc_chain",
}


def run(report: Report) -> None:
    """Run every part."""
    run_parts(report, PARTS)


if __name__ == "__main__":
    sys.exit(run_named("gnc", PARTS, sys.argv[1:]))
