"""Perception: tracking beside Stone Soup and filterpy, risk, maps, and the whole service.

The parts are modules of their own, so that one can be run alone: ``python -m bench.perception tracking risk``.
"""

from __future__ import annotations

import sys

from bench._parts import run_named, run_parts
from bench.harness import Report

PARTS = {
    "tracking": "bench._perception_tracking", "risk": "bench._perception_risk", "grid": "bench._perception_grid",
    "service": "bench._perception_service",
}


def run(report: Report) -> None:
    """Run every part."""
    run_parts(report, PARTS)


if __name__ == "__main__":
    sys.exit(run_named("perception", PARTS, sys.argv[1:]))
