"""Judges valve edges by the pulse rules, with arithmetic of its own, and forgets no broken rule.

Knows neither the flight software that plans pulses nor the node that times them: it sees only when a nozzle's valve
got and lost current. Durations are judged at 1 ms, the resolution of the valve nodes: a duration counts as the
nearest whole millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique

__all__ = ["PulseRule", "PulseRuleChecker", "PulseViolation"]

_KEPT = 1000


@unique
class PulseRule(StrEnum):
    """The rules; the value is the word used in reports."""

    MIN_ON = "min_on"
    MIN_OFF = "min_off"
    MAX_BURN = "max_burn"
    COOLDOWN = "cooldown"


@dataclass(frozen=True, slots=True)
class PulseViolation:
    """One broken rule.

    Attributes:
        nozzle: index of the nozzle.
        rule: which rule.
        t_ns: the edge that broke it, or the end of the observation for a burn that still runs.
        measured_ms: the duration that was judged.
    """

    nozzle: int
    rule: PulseRule
    t_ns: int
    measured_ms: int


@dataclass(slots=True)
class _Nozzle:
    is_on: bool = False
    since_ns: int | None = None  # None: never switched, so nothing is known about the time before
    burned_out: bool = False


class PulseRuleChecker:
    """Checks every pulse and every pause of ``nozzles`` nozzles.

    Args:
        min_on_ms: shortest pulse; a pulse that a safety shut ended may be shorter.
        min_off_ms: shortest pause, also after a safety shut.
        max_burn_ms: longest continuous burn.
        cooldown_ms: shortest pause after a burn that reached ``max_burn_ms``.
        nozzles: how many nozzles; their indices are 0..nozzles-1.

    Attributes:
        violations: the first 1000 broken rules, in the order found.
        total: how many rules were broken, kept or not.
    """

    __slots__ = (
        "_cooldown_ms", "_last_ns", "_max_burn_ms", "_min_off_ms", "_min_on_ms", "_nozzles", "total", "violations",
    )

    def __init__(self, min_on_ms: int, min_off_ms: int, max_burn_ms: int, cooldown_ms: int, nozzles: int) -> None:
        self._min_on_ms = min_on_ms
        self._min_off_ms = min_off_ms
        self._max_burn_ms = max_burn_ms
        self._cooldown_ms = cooldown_ms
        self._nozzles = [_Nozzle() for _ in range(nozzles)]
        self._last_ns = 0
        self.violations: list[PulseViolation] = []
        self.total = 0

    def feed(self, t_ns: int, nozzle: int, is_on: bool, safety: bool = False) -> None:
        """Take one edge. ``safety`` marks a falling edge that need not respect the shortest pulse.

        Edges of one nozzle come in time order (ValueError otherwise); a level that does not change is no edge.
        """
        state = self._nozzles[nozzle]
        since = state.since_ns
        if since is not None and t_ns < since:
            raise ValueError(f"nozzle {nozzle}: edge at {t_ns} ns comes after the one at {since} ns")
        if t_ns > self._last_ns:
            self._last_ns = t_ns
        if is_on == state.is_on:
            return
        if since is not None:
            lasted_ms = (t_ns - since + 500_000) // 1_000_000
            if is_on:
                if state.burned_out and lasted_ms < self._cooldown_ms:
                    self._record(nozzle, PulseRule.COOLDOWN, t_ns, lasted_ms)
                if lasted_ms < self._min_off_ms:
                    self._record(nozzle, PulseRule.MIN_OFF, t_ns, lasted_ms)
            else:
                state.burned_out = lasted_ms >= self._max_burn_ms
                if lasted_ms > self._max_burn_ms:
                    self._record(nozzle, PulseRule.MAX_BURN, t_ns, lasted_ms)
                elif lasted_ms < self._min_on_ms and not safety:
                    self._record(nozzle, PulseRule.MIN_ON, t_ns, lasted_ms)
        state.is_on = is_on
        state.since_ns = t_ns

    def finish(self, t_ns: int) -> None:
        """End the observation: burns that still run are judged by the longest burn. ValueError if edges came later."""
        if t_ns < self._last_ns:
            raise ValueError(f"the observation cannot end at {t_ns} ns, an edge came at {self._last_ns} ns")
        for nozzle, state in enumerate(self._nozzles):
            if state.is_on and state.since_ns is not None:
                lasted_ms = (t_ns - state.since_ns + 500_000) // 1_000_000
                if lasted_ms > self._max_burn_ms:
                    self._record(nozzle, PulseRule.MAX_BURN, t_ns, lasted_ms)

    def _record(self, nozzle: int, rule: PulseRule, t_ns: int, measured_ms: int) -> None:
        self.total += 1
        if len(self.violations) < _KEPT:
            self.violations.append(PulseViolation(nozzle, rule, t_ns, measured_ms))
