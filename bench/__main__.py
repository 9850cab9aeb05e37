"""Runs every benchmark of this folder, or those named on the command line or in ONLY (comma-separated)."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from bench.harness import Report


def subjects() -> list[str]:
    """Names of all subject modules, sorted."""
    names = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return sorted(name for name in names if not name.startswith("_") and name != "harness")


def main(argv: list[str]) -> int:
    """Run the chosen subjects. Exit code 0: all figures hold; 1: some do not; 2: unknown subject."""
    known = subjects()
    if "--list" in argv:
        print("\n".join(known))
        return 0
    wanted = argv or [name for name in os.environ.get("ONLY", "").split(",") if name]
    wanted = [name.removeprefix("ONLY=") for name in wanted]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    worst = 0
    for name in wanted or known:
        report = Report(name)
        importlib.import_module(f"bench.{name}").run(report)
        worst = max(worst, report.finish())
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
