"""The project installed and flown in a guest with a real kernel: every time of ``make rig`` beside its limit.

Needs root and what building a guest takes (``hil/kernel``); without it one line says what is missing, and that is no
failure of the project. Times say something about the software and the service manager, nothing about a board.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from bench.harness import Report
from hil.kernel.guest import DEFAULT_CACHE, GuestError
from hil.kernel.image import build, tools_for
from hil.kernel.inside_table import Check, chosen
from hil.kernel.outcomes import Outcome
from hil.kernel.packages import missing_tools
from hil.kernel.rig import Rig

__all__ = ["measure"]

BUILD_S = {"uml": 120.0, "amd64": 300.0, "arm64": 300.0}
SHORT = "boot,units,kill-flight"


def measure(report: Report, short: bool = False) -> None:
    """Build the guest (from what the cache has) and run every check; ``short``: a boot and one fault."""
    arch = os.environ.get("QIKI_RIG_ARCH", "uml")
    missing = missing_tools(tools_for(arch))
    if os.geteuid() != 0 or missing:
        why = f"not run: needs {', '.join(missing)}" if missing else "not run: needs root"
        report.add(f"{arch} guest", why, target="built and flown")
        return
    cache = DEFAULT_CACHE / "rig"
    began = time.monotonic()
    try:
        image = build(arch, cache, time.time(), lambda _line: None)
    except GuestError as error:
        report.add(f"{arch} guest", str(error)[:80], target="built", holds=False)
        return
    took = time.monotonic() - began
    word = "built" if image.built else "from the cache"
    report.add(f"{arch} guest {word}", took, "s", target=f"< {BUILD_S[arch]:.0f}", holds=took < BUILD_S[arch])
    checks = chosen(SHORT if short else "")
    with tempfile.TemporaryDirectory(prefix="qiki-rig-") as folder:
        rig = Rig(arch, checks, cache, Path(folder), lambda _line: None, time.monotonic, into_tree=short)
        try:
            rig.run(time.time())
        except GuestError as error:
            report.add(f"{arch} guest ended", str(error)[:80], holds=False)
    for check in checks:
        _add(report, check, rig.outcomes.get(check.name))


def _add(report: Report, check: Check, outcome: Outcome | None) -> None:
    """One check; ``reference`` is the figure asked of a board where the guest's limit is another."""
    if outcome is None:
        report.add(check.name, "not run", reference=check.board, target=check.limit, holds=False)
        return
    measured = outcome.measured if outcome.measured is not None else outcome.seen[:40]
    unit = check.unit if outcome.measured is not None else ""
    target = None if outcome.limit is None else f"<= {outcome.limit:g}"
    report.add(check.name, measured, unit, check.board, target, outcome.held)
