"""Duty cycle: how often each sensor looks and how much the computer works, by mode, charge, generation and forecast.

Energy sets a depth on a ladder of small steps, lidar first and radar last (near a dock the lidar last): a consumer
is not touched before all earlier ones are at their least, and the way back is the same in reverse. Going down takes
seconds, coming back takes a minute and more charge than going down took, so noise moves nothing to and fro. What is
not known is never a reason for more: a missing charge is "short", a missing forecast not "full".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from math import isfinite
from types import MappingProxyType

from fdir.modes import Motion
from firmware_py.energy.duty_table import (
    DEPTHS,
    DOCKING,
    LOWEST,
    ORDER,
    ORDER_DOCKING,
    RATES,
    USES,
    Consumer,
    EnergyLevel,
    Profile,
    Use,
    ladder,
    modes_profile,
)
from hal.profile.body import BatteryConfig

__all__ = ["Duty", "DutyCycleManager", "DutyInputs", "DutyReason"]

SECOND = 1_000_000_000
MARGIN_SOC = 0.03
"""So much more charge to leave a level than to enter it: three times the noise of an estimate of 1 %."""
WORSE_NS, BETTER_NS = 5 * SECOND, 60 * SECOND
"""How long a level must be due before it is entered, downwards and upwards."""
CHARGE_NS = 2 * SECOND
"""How long the charge must be below a mark to be so: one sample that strays decides nothing."""
STEP_DOWN_NS, STEP_UP_NS = SECOND, 5 * SECOND
"""Time between two steps of the ladder."""
FULL_SOC, SAVING_SOC = 0.60, 0.45
"""Charges from which there is enough for all and for most (P): half way and a quarter way from full to shedding."""
LOW_SPAN = 0.5
"""LOW begins that far from the end of shedding to ``SAVING_SOC``."""
SURPLUS_ON, SURPLUS_OFF = 1.10, 1.00
"""Generation over demand at which sources are said to carry the craft, and no longer to."""
FORECAST_CLEAR_SOC = 0.05
"""A forecast that ran below the shed mark counts as good again that far above it."""


@unique
class DutyReason(StrEnum):
    """Why the duty is what it is."""

    SAFE = "safe_mode"
    DOCKING = "docking"
    OPERATOR = "profile_chosen"
    SOC = "soc_below_full"
    SOC_MISSING = "soc_missing"
    FORECAST_SHORT = "forecast_short"
    FORECAST_MISSING = "forecast_missing"
    SURPLUS = "generation_surplus"
    GENERATION_MISSING = "generation_missing"


@dataclass(frozen=True, slots=True)
class DutyInputs:
    """What the duty depends on; ``None``, NaN and what cannot be count as not known.

    ``soc_battery``: 0..1; ``generation_w`` and ``demand_w``: of all sources and all loads; ``forecast_min_soc``: lowest
    charge of the day ahead, 0..1; ``profile``: what an operator chose, else the mode's own; ``asked``: consumers that a
    mission asks for.
    """

    motion: Motion
    soc_battery: float | None = None
    generation_w: float | None = None
    demand_w: float | None = None
    forecast_min_soc: float | None = None
    profile: Profile | None = None
    asked: frozenset[Consumer] = frozenset()


@dataclass(frozen=True, slots=True)
class Duty:
    """What is wanted now.

    ``wanted`` has the loads of the body by name, ``rate_hz`` every sensor (0: off), ``steps`` how far the ladder is
    gone, ``levels`` what each consumer has come to by profile and ladder.
    """

    profile: Profile
    level: EnergyLevel
    steps: int
    wanted: Mapping[str, bool]
    rate_hz: Mapping[Consumer, float]
    compute_share: float
    levels: Mapping[Consumer, Profile]
    reasons: tuple[DutyReason, ...]


class DutyCycleManager:
    """Duty of one craft.

    Args:
        battery: marks of charge.
        loads: names of the body's loads; those that bear a consumer's name are switched with it.
    """

    def __init__(self, battery: BatteryConfig, loads: Collection[str] = ()) -> None:
        low = battery.unshed_soc
        low = max(low, min(low + LOW_SPAN * (SAVING_SOC - low), SAVING_SOC))
        # The charge from which each level holds; below the last it is critical.
        self._marks = (max(FULL_SOC, low), max(SAVING_SOC, low), low, battery.shed_soc)
        self._shed_soc = battery.shed_soc
        self._loads = tuple(consumer for consumer in Consumer if consumer in frozenset(loads))
        self._ladders = {docking: ladder(ORDER_DOCKING if docking else ORDER) for docking in (False, True)}
        # On the eco side until something is known.
        self.level = EnergyLevel.SHORT
        self.steps = DEPTHS[self.level]
        self._soc_level = EnergyLevel.SHORT
        self._falling_ns: int | None = None
        self._surplus = self._forecast_short = False
        self._due: EnergyLevel | None = None
        self._due_ns = 0
        self._step_ns = 0
        self._now_ns = 0
        self._started = False
        self._unknown = (True, True, True)
        """Whether charge, forecast and generation are missing."""
        self._key: tuple[object, ...] = ()
        self._duty: Duty | None = None
        self.changes = 0
        """How often the level has changed."""

    def step(self, now_ns: int, inputs: DutyInputs) -> Duty:
        """The duty of now; the same object while nothing changes. A clock that goes back stands still."""
        now_ns = self._now_ns = max(now_ns, self._now_ns)
        due = self._due_level(inputs, now_ns)
        if not self._started and not self._unknown[0]:
            # The first charge that is known: nothing has been decided yet that could flap.
            self._started = True
            self.level, self.steps, self._step_ns = due, DEPTHS[due], now_ns
        self._follow(due, now_ns)
        self._climb(now_ns)
        key = (inputs.motion, inputs.profile, inputs.asked, self.level, self.steps, self._soc_level, self._surplus,
               self._forecast_short, self._unknown)
        if key != self._key or self._duty is None:
            self._key = key
            self._duty = self._make(inputs)
        return self._duty

    def _due_level(self, inputs: DutyInputs, now_ns: int) -> EnergyLevel:
        """The level that charge, forecast and generation speak for now, before any dwell."""
        soc, forecast, covered = _known(inputs.soc_battery), _known(inputs.forecast_min_soc), _generation(inputs)
        self._unknown = soc is None, forecast is None, covered is None
        self._surplus = covered is not None and covered >= (SURPLUS_OFF if self._surplus else SURPLUS_ON)
        if forecast is not None:
            mark = self._shed_soc + (FORECAST_CLEAR_SOC if self._forecast_short else 0.0)
            self._forecast_short = forecast < mark
        if soc is None:
            return max(self.level, EnergyLevel.SHORT)
        level = int(self._by_charge(soc, now_ns))
        if self._forecast_short:
            level += 1
        elif self._surplus and level < EnergyLevel.CRITICAL:
            level -= 1
        if forecast is None or covered is None:
            level = max(level, EnergyLevel.SAVING)
        return EnergyLevel(min(max(level, EnergyLevel.FULL), EnergyLevel.CRITICAL))

    def _by_charge(self, soc: float, now_ns: int) -> EnergyLevel:
        """Level by charge alone: a worse one counts once it has lasted, a better one needs ``MARGIN_SOC`` more."""
        found = EnergyLevel.CRITICAL
        for level, mark in enumerate(self._marks):
            if soc >= (mark + MARGIN_SOC if self._started and level < self._soc_level else mark):
                found = EnergyLevel(level)
                break
        if found <= self._soc_level or not self._started:
            self._soc_level, self._falling_ns = found, None
        elif self._falling_ns is None:
            self._falling_ns = now_ns
        elif now_ns - self._falling_ns >= CHARGE_NS:
            self._soc_level, self._falling_ns = found, None
        return self._soc_level

    def _follow(self, due: EnergyLevel, now_ns: int) -> None:
        """Enter the level that has been due long enough; up one level at a time."""
        if due == self.level:
            self._due = None
            return
        better = due < self.level
        if self._due is None or better is not (self._due < self.level):
            self._due, self._due_ns = due, now_ns
            return
        # Of all that was due in that time the nearest counts.
        self._due = max(self._due, due) if better else min(self._due, due)
        if now_ns - self._due_ns >= (BETTER_NS if better else WORSE_NS):
            self.level = EnergyLevel(self.level - 1) if better else self._due
            self._due = None
            self.changes += 1

    def _climb(self, now_ns: int) -> None:
        """One step of the ladder towards the level's depth."""
        depth = DEPTHS[self.level]
        if self.steps < depth and now_ns - self._step_ns >= STEP_DOWN_NS:
            self.steps += 1
            self._step_ns = now_ns
        elif self.steps > depth and now_ns - self._step_ns >= STEP_UP_NS:
            self.steps -= 1
            self._step_ns = now_ns

    def _make(self, inputs: DutyInputs) -> Duty:
        motion = inputs.motion
        docking = motion in DOCKING
        safe = motion is Motion.SAFE
        profile = modes_profile(motion) if inputs.profile is None or safe else min(inputs.profile, Profile.ECO)
        levels = {consumer: min(profile, LOWEST[consumer]) for consumer in Consumer}
        for step in self._ladders[docking][: self.steps]:
            levels[step.consumer] = max(levels[step.consumer], step.level)
        rates: dict[Consumer, float] = {}
        for consumer, use in USES[motion].items():
            level = levels[consumer]
            if use is Use.KEPT:
                level = levels[consumer] = min(level, Profile.ECO)
            used = use in (Use.ON, Use.KEPT) or (use is Use.ASKED and consumer in inputs.asked)
            rates[consumer] = RATES[consumer][level] if used else 0.0
        share = rates.pop(Consumer.COMPUTE)
        wanted = {str(consumer): rates[consumer] > 0.0 for consumer in self._loads if consumer in rates}
        return Duty(
            profile, self.level, self.steps, MappingProxyType(wanted), MappingProxyType(rates), share,
            MappingProxyType(levels), self._reasons(inputs, safe, docking),
        )

    def _reasons(self, inputs: DutyInputs, safe: bool, docking: bool) -> tuple[DutyReason, ...]:
        soc_missing, forecast_missing, generation_missing = self._unknown
        said = (
            (safe, DutyReason.SAFE),
            (docking, DutyReason.DOCKING),
            (inputs.profile is not None and not safe, DutyReason.OPERATOR),
            (soc_missing, DutyReason.SOC_MISSING),
            (not soc_missing and self._soc_level > EnergyLevel.FULL, DutyReason.SOC),
            (self._forecast_short, DutyReason.FORECAST_SHORT),
            (forecast_missing, DutyReason.FORECAST_MISSING),
            (self._surplus, DutyReason.SURPLUS),
            (generation_missing, DutyReason.GENERATION_MISSING),
        )
        return tuple(reason for holds, reason in said if holds)


def _known(fraction: float | None) -> float | None:
    return fraction if fraction is not None and 0.0 <= fraction <= 1.0 else None


def _generation(inputs: DutyInputs) -> float | None:
    """Generation over demand; ``None`` if either is not known."""
    made, needed = inputs.generation_w, inputs.demand_w
    if made is None or needed is None or not (isfinite(made) and isfinite(needed)) or made < 0.0 or needed < 0.0:
        return None
    return made / needed if needed > 0.0 else SURPLUS_ON
