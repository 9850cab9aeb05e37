"""Duty of the craft as the rest of the energy side sees it: which loads are wanted, how fast sensors and computer go.

Wraps the duty cycle manager with the facts it needs, and says in words when its level changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp

from fdir.modes import Motion
from firmware_py.energy.duty_cycle import Duty, DutyCycleManager, DutyInputs
from firmware_py.energy.duty_table import Consumer, Profile
from firmware_py.energy.estimates import StoreEstimate
from firmware_py.energy.power_rule import Flows
from hal.profile.body import BodyConfig

__all__ = ["Duties"]

HORIZON_S = 3600.0
"""How far ahead the present flows are carried on for the lowest charge to come (P: the dark part of a low orbit and
the time it takes to notice)."""
SMOOTH_S = 300.0
"""Time over which powers are averaged (P): longer than a turn of a tumbling craft or a heater's run, shorter than the
dark part of a low orbit."""
SECOND = 1_000_000_000
COMPUTER_LOAD = "processor"


class Duties:
    """Owner of the duty cycle."""

    def __init__(self, body: BodyConfig) -> None:
        loads = body.power.loads
        self._manager = DutyCycleManager(body.power.battery, [load.name for load in loads])
        self._starts_on = {load.name: load.starts_on for load in loads}
        self.profile: Profile | None = None
        """What an operator chose; ``None``: the mode's own."""
        self.asked: frozenset[Consumer] = frozenset()
        self._duty: Duty = self._manager.step(0, DutyInputs(Motion.BOOT))
        self._said = ""
        self._powers: tuple[float, float, float] | None = None
        """Generation, demand and what goes out of the battery, W, averaged; ``None`` while they are not known."""
        self._last_ns: int | None = None

    @property
    def word(self) -> str:
        """Level of energy, in a word."""
        return self._duty.level.name.lower()

    @property
    def compute_share(self) -> float:
        """Share of full speed that the duty leaves the computer."""
        return self._duty.compute_share

    @property
    def rates_hz(self) -> Mapping[Consumer, float]:
        """Rate of every sensor; 0 is off."""
        return self._duty.rate_hz

    def wants(self, load: str) -> bool:
        """Whether a load is wanted: by duty where duty knows it, else as it starts. Heaters are not wanted here."""
        wish = self._duty.wanted.get(load)
        return self._starts_on.get(load, False) if wish is None else wish

    def shares(self, compute_share: float) -> Mapping[str, float]:
        """Loads that are throttled."""
        return {COMPUTER_LOAD: compute_share} if COMPUTER_LOAD in self._starts_on else {}

    def step(self, now_ns: int, motion: Motion, battery: StoreEstimate, flows: Flows | None) -> str:
        """Go on; returns what has changed, in words, or nothing."""
        generation = demand = ahead = None
        if flows is None:
            self._powers = None
        else:
            generation, demand, out_w = self._average(now_ns, flows)
            if battery.soc is not None:
                ahead = min(battery.soc, max(0.0, battery.soc - out_w * HORIZON_S / max(battery.capacity_j, 1.0)))
        self._duty = self._manager.step(now_ns, DutyInputs(
            motion, battery.soc, generation, demand, ahead, self.profile, self.asked,
        ))
        word = self.word
        if word == self._said:
            return ""
        first, self._said = not self._said, word
        return "" if first else f"energy is {word}: {', '.join(self._duty.reasons) or 'nothing speaks against it'}"

    def _average(self, now_ns: int, flows: Flows) -> tuple[float, float, float]:
        """Powers as they have been of late: each gust of light or run of a heater is no level of energy."""
        now = (
            flows.array_w + flows.spilled_w + flows.dock_w, flows.loads_w + flows.unserved_w,
            flows.battery_out_w - flows.battery_in_w,
        )
        before, last, self._last_ns = self._powers, self._last_ns, now_ns
        if before is None or last is None:
            self._powers = now
            return now
        gain = 1.0 - exp(-max(0, now_ns - last) / (SMOOTH_S * SECOND))
        self._powers = (
            before[0] + gain * (now[0] - before[0]), before[1] + gain * (now[1] - before[1]),
            before[2] + gain * (now[2] - before[2]),
        )
        return self._powers
