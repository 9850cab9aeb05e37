"""Starts open-loop burns: costs them, asks the budget, keeps the arming of the override, and says what they did.

The commander owns the guidance law; this owns everything about a burn that is neither law nor mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import degrees
from typing import Any

import numpy as np

from fdir.codes import Code, Severity
from fdir.facts import Facts
from firmware_py.burn_budget import Answer, BurnBudget, codes_of
from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.burn_needs import AllocatorCeiling
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.guidance import GuidanceLimits
from firmware_py.gnc.thrust_profile import FlyOverride, FlyProfile, profile_of
from firmware_py.journal import Journal
from hal.profile.body import BodyConfig

__all__ = ["ARMED_NS", "Burns"]

ARMED_NS = 60_000_000_000
"""How long override_arm lets override_fire through."""
Started = tuple[FlyProfile | FlyOverride | None, tuple[Code, ...], str]
"""A law or None, what spoke against it, and words for the record."""


class Burns:
    """Open-loop burns of one craft. ``budget`` knows charge, heat and failed nozzles; ``ceiling`` what 100 % is;
    ``limits`` are those of the laws made from now on."""

    def __init__(self, body: BodyConfig, allocator: Allocator, limits: GuidanceLimits, journal: Journal) -> None:
        self._body = body
        self.limits = limits
        self._journal = journal
        self.budget = BurnBudget(body, allocator)
        self.ceiling = AllocatorCeiling(body, allocator)
        self._armed_until_ns = 0

    def learn(self, facts: Facts, failed: int) -> None:
        """Bring the budget up to date."""
        self.budget.facts = facts
        self.budget.failed = failed

    def profile(self, arguments: Mapping[str, Any], nav: NavState) -> Started:
        """The law of a thrust profile that the budget accepts."""
        profile = profile_of(arguments)
        answer = self.budget.accept(profile, self.ceiling, nav.quaternion, nav.velocity)
        if answer:
            return None, codes_of(answer), _words(answer)
        return FlyProfile(self.limits, profile, self.ceiling, self.budget.needs, self.budget), (), ""

    def arm(self, now_ns: int, source: str) -> None:
        """Let the override through for a minute."""
        self._armed_until_ns = now_ns + ARMED_NS
        text = f"by {source}, for {ARMED_NS // 1_000_000_000} s"
        self._journal.event(now_ns, Code.OVERRIDE_ARMED, Severity.WARNING, text)

    def disarm(self) -> None:
        """Take the arming of the override back."""
        self._armed_until_ns = 0

    def armed(self, now_ns: int) -> bool:
        """Whether the override is let through."""
        return now_ns < self._armed_until_ns

    def override(self, arguments: Mapping[str, Any], now_ns: int, nav: NavState) -> Started:
        """The law of one raw wrench: armed, within the body's limits, and its residual told."""
        wrench, duration = arguments["wrench"], arguments["duration_s"]
        if not self.armed(now_ns):
            return None, (Code.OVERRIDE_NOT_ARMED,), "give override_arm first"
        needed = self.budget.taken = self.budget.wrench_needs(wrench, duration)
        answer = self.budget.answer(None, needed)
        limits = self._body.limits
        made = max(abs(x) for x in wrench[3:]) + needed.residual_torque_n_m
        if made > limits.torque_max_n_m:
            answer.append((Code.TORQUE_LIMIT, f"{made:.4g} N m with what is left over; {limits.torque_max_n_m:g} are "
                           "allowed"))
        turn = np.linalg.solve(np.array(self._body.mass.inertia_kg_m2), np.array(wrench[3:])) * duration
        rate = degrees(float(np.linalg.norm(turn + np.array(nav.rate))))
        if rate > limits.rate_deg_s:
            answer.append((Code.RATE_LIMIT, f"it would turn at {rate:.3g} deg/s; {limits.rate_deg_s:g} are allowed"))
        residual = f"residual {needed.residual_force_n:.3g} N, {needed.residual_torque_n_m:.3g} N m"
        if answer:
            return None, codes_of(answer), f"{_words(answer)}; {residual}"
        self._journal.event(now_ns, Code.OVERRIDE_FIRED, Severity.WARNING, f"{list(wrench)} for {duration:g} s: "
                            f"{residual}")
        return FlyOverride(self.limits, self._body, wrench, duration), (), residual


def _words(answer: Answer) -> str:
    return "; ".join(f"{why} ({code})" for code, why in answer)
