"""Guidance, navigation and control: every figure of pointing, moving and estimating, beside its reference.

The parts are modules of their own, so that one can be run alone: ``python -m bench.gnc allocation profile``.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from bench.harness import RESULTS, Report

PARTS = {
    "allocation": "bench._gnc_allocation", "modulation": "bench._gnc_modulation", "profile": "bench._gnc_profile",
    "estimation": "bench._gnc_estimation", "faults": "bench._gnc_thruster_fault",
    "lost-cluster": "bench._gnc_lost_cluster", "basilisk": "bench.basilisk", "log": "bench.reallog",
    "chain": "bench._gnc_chain",
}


def run(report: Report) -> None:
    """Run every part."""
    for module in PARTS.values():
        importlib.import_module(module).run(report)


def main(names: list[str]) -> int:
    """Run the named parts, or all; exit code as of ``python -m bench``. A part alone leaves the stored results be."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"no part {', '.join(unknown)}; there are: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    report = Report("gnc", RESULTS if not names else Path("build") / "bench")
    for name in names or PARTS:
        importlib.import_module(PARTS[name]).run(report)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
