"""Installing and supervision: exposure of units, start and memory of processes, jitter against C, checklist, guest.

The parts are modules of their own, so that one can be run alone: ``python -m bench.install jitter``. ``guest`` boots a
real kernel and takes minutes; it is left out of a run of all where its tools are missing.
"""

from __future__ import annotations

import sys

from bench._parts import run_named, run_parts
from bench.harness import Report

PARTS = {
    "units": "bench._install_units", "processes": "bench._install_processes", "jitter": "bench._install_jitter",
    "doctor": "bench._install_doctor", "guest": "bench._install_guest",
}


def run(report: Report) -> None:
    """Run every part."""
    run_parts(report, PARTS)


if __name__ == "__main__":
    sys.exit(run_named("install", PARTS, sys.argv[1:]))
