"""``python -m hil.kernel.oracle``: asks Linux's own drivers what register bytes mean, and writes it down as rows.

The rows have the columns of the shared reference data and the kind ``kernel-run``. They are facts about one kernel:
using them needs no kernel, and ``tests/kernel`` holds every codec against every row.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hil.kernel.guest import DEFAULT_CACHE, prepare, run

__all__ = ["COLUMNS", "ROWS", "collect", "main", "write"]

COLUMNS = ("part", "registers", "bytes", "expected", "unit", "source", "kind", "note")
ROWS = Path(__file__).resolve().parents[2] / "tests/data/kernel_runs.csv"
TIMEOUT_S = 900.0


def collect(cache: Path = DEFAULT_CACHE, parts: Sequence[str] = ()) -> tuple[list[dict[str, str]], list[str]]:
    """Boot a guest, run the drivers of ``parts`` (all if empty); rows, and what could not be read.

    Raises:
        GuestError: no guest, or one that did not end well.
    """
    records = [json.loads(line) for line in run(prepare(cache), "hil.kernel.linux_drivers", parts, TIMEOUT_S)]
    failures = [f"{r['failed']} {r['registers']}: {r['why']}" for r in records if "failed" in r]
    unique = dict.fromkeys(tuple(r[column] for column in COLUMNS) for r in records if "failed" not in r)
    return [dict(zip(COLUMNS, values, strict=True)) for values in unique], failures


def write(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Write rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 if a driver could not be read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="only these (default: all)")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder for kernel and modules")
    parser.add_argument("--out", type=Path, default=ROWS, help="CSV to write")
    chosen = parser.parse_args(arguments)
    rows, failures = collect(chosen.cache, chosen.parts)
    write(rows, chosen.out)
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["part"]] = counts.get(row["part"], 0) + 1
    sys.stdout.writelines(f"{count:4} {part}\n" for part, count in counts.items())
    sys.stderr.writelines(f"not read: {failure}\n" for failure in failures)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
