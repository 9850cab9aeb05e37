"""Installing and supervision: exposure of units, start and memory of processes, jitter against C, checklist, guest.

The parts are modules of their own, so that one can be run alone: ``python -m bench.install jitter``. ``guest`` boots a
real kernel and takes minutes; it is left out of a run of all where its tools are missing.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from bench.harness import RESULTS, Report

PARTS = {
    "units": "bench._install_units", "processes": "bench._install_processes", "jitter": "bench._install_jitter",
    "doctor": "bench._install_doctor", "guest": "bench._install_guest",
}


def run(report: Report) -> None:
    """Run every part."""
    for module in PARTS.values():
        importlib.import_module(module).measure(report, False)


def main(names: list[str]) -> int:
    """Run the named parts, or all; exit code as of ``python -m bench``. A part alone leaves the stored results be."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"no part {', '.join(unknown)}; there are: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    report = Report("install", RESULTS if not names else Path("build") / "bench")
    for name in names or PARTS:
        importlib.import_module(PARTS[name]).measure(report, False)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
