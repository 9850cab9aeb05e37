"""Power, heat and energy: every figure of feeding the craft and keeping it warm, beside its reference.

The parts are modules of their own, so that one can be run alone: ``python -m bench.energy books cost``.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from bench.harness import RESULTS, Report

PARTS = {
    "cost": "bench._energy_cost", "shedding": "bench._energy_shedding", "books": "bench._energy_books",
    "soc": "bench._energy_soc", "mppt": "bench._energy_mppt", "bus": "bench._energy_bus",
    "cold": "bench._energy_cold_start",
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
    report = Report("energy", RESULTS if not names else Path("build") / "bench")
    for name in names or PARTS:
        importlib.import_module(PARTS[name]).run(report)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
