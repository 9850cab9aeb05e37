"""``python -m hil.kernel.transports_in_guest``: boots a guest and tells how the transports did on real device nodes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hil.kernel.guest import DEFAULT_CACHE, prepare, run

__all__ = ["Outcome", "collect", "main"]

TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check: ``outcome`` is passed, failed or skipped; ``detail`` is what was seen, or why not."""

    check: str
    outcome: str
    seconds: float
    detail: Any


def collect(cache: Path = DEFAULT_CACHE, checks: Sequence[str] = ()) -> list[Outcome]:
    """Boot, run the checks (all if none is named), power off.

    Raises:
        GuestError: no guest, or one that did not end well.
    """
    records = [json.loads(line) for line in run(prepare(cache), "hil.kernel.transports", checks, TIMEOUT_S)]
    return [
        Outcome(record["check"], record["outcome"], record["seconds"], record.get("why", record.get("seen")))
        for record in records
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 if a check failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checks", nargs="*", help="only these (default: all)")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder for kernel and modules")
    chosen = parser.parse_args(arguments)
    outcomes = collect(chosen.cache, chosen.checks)
    for outcome in outcomes:
        seen = json.dumps(outcome.detail)
        sys.stdout.write(f"{outcome.outcome:8}{outcome.seconds:6.1f} s  {outcome.check}  {seen}\n")
    return 1 if any(outcome.outcome == "failed" for outcome in outcomes) else 0


if __name__ == "__main__":
    raise SystemExit(main())
