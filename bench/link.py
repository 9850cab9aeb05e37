"""The link: overhead, speed beside peers in the same run, handshakes, files, and what a link process costs.

Each part is a module ``_link_<part>``. Peers that are not installed leave their column empty. ``QIKI_BENCH_SHORT=1``
shortens every part.
"""

from __future__ import annotations

import os
from importlib import import_module

from bench.harness import Report

__all__ = ["PARTS", "run"]

PARTS = ("records", "keys", "dictionary", "transports", "channels", "cfdp", "watch", "shell", "service")


def run(report: Report) -> None:
    """All parts, one after the other."""
    short = os.environ.get("QIKI_BENCH_SHORT") == "1"
    for part in PARTS:
        import_module(f"bench._link_{part}").measure(report, short)
