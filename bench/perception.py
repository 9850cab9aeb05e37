"""Perception: tracking beside Stone Soup and filterpy, risk, maps, and the whole service.

The parts are modules of their own, so that one can be run alone: ``python -m bench.perception tracking risk``.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from bench.harness import RESULTS, Report

PARTS = {
    "tracking": "bench._perception_tracking", "risk": "bench._perception_risk", "grid": "bench._perception_grid",
    "service": "bench._perception_service",
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
    report = Report("perception", RESULTS if not names else Path("build") / "bench")
    for name in names or PARTS:
        importlib.import_module(PARTS[name]).run(report)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
