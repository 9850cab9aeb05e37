"""The judge's hands for one system: on the running one they reach its service manager, in a tree of one nothing."""

from __future__ import annotations

from firmware_py.install.layout import Layout
from firmware_py.install.system import System
from firmware_py.install.units.keep.trial import Trial

__all__ = ["trial_of"]


def trial_of(system: System, layout: Layout) -> Trial:
    """The trial of an installation."""

    def run(words: list[str]) -> tuple[int, str]:
        if not system.live:
            return 0, ""
        ran = system.run(words)
        return ran.code, ran.out

    return Trial(
        system.at(layout.prefix), system.at("/"), layout.prefix, run, sleep=system.sleep, clock=system.clock,
    )
