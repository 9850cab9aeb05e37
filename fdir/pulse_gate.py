"""The final gate before the valves: no plan leaves with a pulse that breaks a rule, whoever made it.

The gate keeps, for each nozzle, when it last opened and when it will shut, as commanded; and judges every pulse of a
new plan by the body's rules: armed and enabled, not masked, inside the window, shortest pulse, shortest pause,
longest burn, cooldown. A pulse that breaks one is taken out (the nozzle stays shut) or, at the longest burn, cut to
it; each veto is returned with its code. Times are ms on the flight clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from fdir.codes import Code
from hal.profile.body import PropulsionConfig
from hal.propulsion import PulsePlan

__all__ = ["PulseGate", "Veto"]

NEVER = -(10**9)
JOIN_MS = 10
"""A window started within this time of the last one's end continues its pulses (docs/protocols/valve-node.md)."""


@dataclass(frozen=True, slots=True)
class Veto:
    """One pulse that was taken out or cut."""

    nozzle: int
    code: Code


class PulseGate:
    """Judges plans for one body. One instance owns the history of all its nozzles."""

    __slots__ = (
        "_before", "_closes", "_cooling_until", "_count", "_opened", "_rules", "_window_end", "masked", "vetoes",
    )

    def __init__(self, rules: PropulsionConfig) -> None:
        self._rules = rules
        self._count = len(rules.nozzles)
        self._opened = [NEVER] * self._count
        self._closes = [NEVER] * self._count
        self._cooling_until = [NEVER] * self._count
        self._before = [(NEVER, NEVER)] * self._count
        self._window_end = NEVER
        self.masked: frozenset[int] = frozenset()
        self.vetoes = 0

    def cooling(self, now_ms: int) -> frozenset[int]:
        """Nozzles that may not fire yet after a longest burn."""
        return frozenset(n for n in range(self._count) if self._cooling_until[n] > now_ms)

    def burning_ms(self, nozzle: int, now_ms: int) -> int:
        """How long a nozzle has been open without a pause, 0 if it is shut."""
        return max(0, now_ms - self._opened[nozzle]) if self._closes[nozzle] >= now_ms else 0

    def judge(self, plan: PulsePlan, start_ms: int, armed: bool, enabled: bool) -> tuple[PulsePlan, tuple[Veto, ...]]:
        """The plan with every bad pulse taken out, and what was taken out and why.

        The history is brought up to date, so call it once for each plan that is really sent.
        """
        if not self._well_formed(plan):
            self.shut(start_ms)
            vetoes: tuple[Veto, ...] = tuple(Veto(n, Code.GATE_MALFORMED) for n in range(self._count))
            self.vetoes += len(vetoes)
            return PulsePlan.shut(self._count, self._rules.window_ms), vetoes
        opens, closes, found = list(plan.open_ms), list(plan.close_ms), []
        for n in range(self._count):
            code = self._judge_one(n, opens, closes, start_ms, armed, enabled)
            if code is not None:
                found.append(Veto(n, code))
        self._window_end = start_ms + plan.window_ms
        self.vetoes += len(found)
        return PulsePlan(plan.window_ms, tuple(opens), tuple(closes)), tuple(found)

    def shut(self, now_ms: int) -> None:
        """Everything was shut at once (a safety shut, which need not wait for the shortest pulse)."""
        for n in range(self._count):
            self._forget_future(n, now_ms)
            self._closes[n] = min(self._closes[n], now_ms)

    def _forget_future(self, n: int, now_ms: int) -> None:
        """A pulse that was planned but has not begun by now never happens."""
        if self._opened[n] > now_ms:
            self._opened[n], self._closes[n] = self._before[n]

    def _well_formed(self, plan: PulsePlan) -> bool:
        if plan.window_ms != self._rules.window_ms:
            return False
        if len(plan.open_ms) != self._count or len(plan.close_ms) != self._count:
            return False
        return all(0 <= o <= c <= plan.window_ms for o, c in zip(plan.open_ms, plan.close_ms, strict=True))

    def _judge_one(
        self, n: int, opens: list[int], closes: list[int], start_ms: int, armed: bool, enabled: bool
    ) -> Code | None:
        self._forget_future(n, start_ms)
        running = self._closes[n] > start_ms or (
            self._closes[n] == self._window_end and start_ms - self._window_end <= JOIN_MS
        )
        joined = opens[n] == 0 and closes[n] > 0 and running
        if not joined and self._closes[n] > start_ms:
            # A running pulse that this plan does not prolong ends now, but not before the shortest pulse.
            self._closes[n] = max(start_ms, min(self._closes[n], self._opened[n] + self._rules.min_on_ms))
        if opens[n] == closes[n]:
            return None
        code = self._refusal(n, opens[n], closes[n], start_ms, joined, armed, enabled)
        if code is not None:
            opens[n] = closes[n] = 0
            if joined:
                self._closes[n] = min(self._closes[n], max(start_ms, self._opened[n] + self._rules.min_on_ms))
            return code
        if not joined:
            self._before[n] = (self._opened[n], self._closes[n])
            self._opened[n] = start_ms + opens[n]
        limit = self._opened[n] + self._rules.max_burn_ms
        if limit <= start_ms:
            # A late window after a longest burn: nothing of it is left.
            opens[n] = closes[n] = 0
            self._closes[n] = limit
            self._cooling_until[n] = limit + self._rules.cooldown_ms
            return Code.GATE_MAX_BURN
        if start_ms + closes[n] >= limit:
            cut = start_ms + closes[n] > limit
            closes[n] = limit - start_ms
            self._closes[n] = limit
            self._cooling_until[n] = limit + self._rules.cooldown_ms
            return Code.GATE_MAX_BURN if cut else None
        self._closes[n] = start_ms + closes[n]
        return None

    def _refusal(
        self, n: int, open_ms: int, close_ms: int, start_ms: int, joined: bool, armed: bool, enabled: bool
    ) -> Code | None:
        rules = self._rules
        if not armed:
            return Code.GATE_NOT_ARMED
        if not enabled:
            return Code.GATE_NOT_ENABLED
        if n in self.masked:
            return Code.GATE_MASKED
        if start_ms + open_ms < self._cooling_until[n]:
            return Code.GATE_COOLDOWN
        since = self._opened[n] if joined else start_ms + open_ms
        # A pulse to the window's end might go on in the next one, but nothing promises that.
        if start_ms + close_ms - since < rules.min_on_ms:
            return Code.GATE_MIN_ON
        if not joined and start_ms + open_ms - self._closes[n] < rules.min_off_ms:
            return Code.GATE_MIN_OFF
        return None
