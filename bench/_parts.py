"""A subject in parts: each part is a module with ``run(report)`` or ``measure(report, short)``, and can be run alone.

``QIKI_BENCH_SHORT=1`` shortens the parts that can be shortened.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from bench.harness import RESULTS, Report

__all__ = ["run_named", "run_parts"]


def run_parts(report: Report, parts: Mapping[str, str]) -> None:
    """Run every part, by name of its module."""
    for module in parts.values():
        _run(report, module)


def run_named(subject: str, parts: Mapping[str, str], names: list[str]) -> int:
    """Run the named parts, or all; exit code as of ``python -m bench``. A part alone leaves the stored results be."""
    unknown = [name for name in names if name not in parts]
    if unknown:
        print(f"no part {', '.join(unknown)}; there are: {', '.join(parts)}", file=sys.stderr)
        return 2
    report = Report(subject, RESULTS if not names else Path("build") / "bench")
    for name in names or parts:
        _run(report, parts[name])
    return report.finish()


def _run(report: Report, module: str) -> None:
    part = import_module(module)
    if hasattr(part, "measure"):
        part.measure(report, os.environ.get("QIKI_BENCH_SHORT") == "1")
    else:
        part.run(report)
