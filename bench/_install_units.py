"""Exposure of every unit by systemd's own judgement, offline: 0 is closed, 10 is open."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from bench.harness import Report

__all__ = ["measure"]

UNITS = Path(__file__).resolve().parents[1] / "systemd"
MOST = 2.0
LEVEL = re.compile(r"Overall exposure level for (\S+): ([0-9.]+)")


def measure(report: Report, short: bool) -> None:  # noqa: ARG001 - nothing here takes time
    """One figure a service."""
    if shutil.which("systemd-analyze") is None:
        report.add("exposure of the units", "systemd-analyze is not here", "", None, f"<= {MOST}")
        return
    for unit in sorted((*UNITS.glob("system/*.service"), *UNITS.glob("keep/*.service"))):
        done = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)], capture_output=True, text=True,
            check=False, timeout=60,
        )
        found = LEVEL.search(done.stdout)
        level = None if found is None else float(found.group(2))
        report.add(f"exposure of {unit.name}", level, "", None, f"<= {MOST}", level is not None and level <= MOST)
