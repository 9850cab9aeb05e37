"""The stores as the power plane shows them: readings to estimates, and whether the stack takes the charge it is given.

A reading counts as what it is only while its quality is OK; what is stale or bad is handed on as missing.
"""

from __future__ import annotations

from collections import deque
from math import isfinite

from fdir.codes import Code
from firmware_py.energy.battery import BatteryEstimator
from firmware_py.energy.estimates import GaugeReading, StoreEstimate, time_to
from firmware_py.energy.power_rule import Flows
from firmware_py.energy.supercap import SupercapEstimator
from firmware_py.energy.trust import Trust
from hal.power import GaugeState, PowerState
from hal.profile.body import PowerConfig
from hal.reading import Quality, Reading

__all__ = ["ChargeWatch", "StoresWatch", "bound", "usable"]

SECOND = 1_000_000_000
REFUSED_ABOVE_W = 20.0
"""CANON section 10.2: commanded charge above which SoC_cap has to rise."""
WATCH_NS = 5 * SECOND
TAKEN_SHARE = 0.25
"""Least share of what was meant to flow in that must be found in the stack."""


def usable(reading: Reading[float]) -> float | None:
    """The value, ``None`` unless it may be used for control; what is no number never is."""
    value = reading.value
    return value if reading.quality is Quality.OK and value is not None and isfinite(value) else None


def bound(reading: Reading[float]) -> float | None:
    """The value, or the end of its monitor's range that the truth is beyond: for what asks whether a limit is passed.

    What is no number never is one.
    """
    value = reading.bound
    return value if value is not None and isfinite(value) else None


class ChargeWatch:
    """Compares what should have flowed into the stack with the charge it has gained, over five seconds.

    The charge is to be that by voltage: one that is counted gains whatever flows, kept or not.
    """

    __slots__ = ("_capacity_j", "_samples")

    def __init__(self, capacity_j: float) -> None:
        self._capacity_j = capacity_j
        self._samples: deque[tuple[int, float, float]] = deque(maxlen=256)

    def step(self, now_ns: int, into_w: float, soc: float | None) -> bool | None:
        """Whether the stack refuses its charge; ``None`` while too little is meant to flow, or nothing is known."""
        if soc is None or not into_w > REFUSED_ABOVE_W:
            self._samples.clear()
            return None
        samples = self._samples
        samples.append((now_ns, into_w, soc))
        while len(samples) > 2 and now_ns - samples[1][0] >= WATCH_NS:
            samples.popleft()
        first_ns, _, first_soc = samples[0]
        if now_ns - first_ns < WATCH_NS:
            return None
        mean_w = sum(watts for _, watts, _ in samples) / len(samples)
        meant_j = mean_w * (now_ns - first_ns) * 1e-9
        return (soc - first_soc) * self._capacity_j < TAKEN_SHARE * meant_j


class StoresWatch:
    """Estimates of both stores, brought up to date by ``step``."""

    def __init__(self, power: PowerConfig) -> None:
        self._power = power
        self._battery = BatteryEstimator(power.battery, power.bus)
        self.supercap = SupercapEstimator(power.supercap)
        self._charge = ChargeWatch(power.supercap.capacity_wh * 3600.0)
        self._seen = {"gauge": -1, "bms": -1, "stack": -1}
        self._pulses_w = 0.0
        self.refuses_charge: bool | None = None

    @property
    def battery_estimate(self) -> StoreEstimate:
        """The battery as last estimated."""
        return self._battery.estimate

    @property
    def supercap_estimate(self) -> StoreEstimate:
        """The stack as last estimated."""
        return self.supercap.estimate

    @property
    def conflict(self) -> bool | None:
        """Whether sources of a store contradict each other; ``None`` before anything is known of either."""
        trusts = (self._battery.estimate.trust, self.supercap.estimate.trust)
        if all(trust is Trust.MISSING for trust in trusts):
            return None
        rejected = Code.POWER_TELEM_CONFLICTING in (*self._battery.estimate.codes, *self.supercap.estimate.codes)
        return rejected or Trust.CONFLICTING in trusts

    def step(
        self, now_ns: int, dt_s: float, state: PowerState, battery_c: float | None, stack_c: float | None
    ) -> None:
        """Take the newest readings, with the temperatures of the nodes as far as they are known."""
        self._battery.update(
            dt_s, usable(state.battery_current_a), usable(state.battery_voltage_v),
            self._gauge("gauge", state.gauge, now_ns), self._gauge("bms", state.bms, now_ns), battery_c,
        )
        stack_v = state.supercap_voltage_v
        self.supercap.update(
            dt_s, usable(stack_v), usable(state.supercap_current_a), usable(state.supercap_capacitance_f),
            usable(state.supercap_esr_ohm), stack_c, self._is_new("stack", stack_v.t_ns), self._pulses_w,
        )

    def follow_charge(self, now_ns: int, flows: Flows | None) -> None:
        """Judge whether the stack takes what the rule gives it, and keep what is drawn of it for the next step."""
        into_w = 0.0 if flows is None else flows.supercap_in_w
        self._pulses_w = 0.0 if flows is None else flows.supercap_out_w
        self.refuses_charge = self._charge.step(now_ns, into_w, self.supercap.measured_soc)

    def time_to_empty_s(self, flows: Flows) -> float | None:
        """Seconds to a battery at ``cut_soc`` as it is drawn on now, 0 at or below it; ``None`` while it isn't."""
        out_w = flows.battery_out_w - flows.battery_in_w
        soc = self._battery.estimate.soc
        if out_w > 0.0 and soc is not None and soc <= self._power.battery.cut_soc:
            return 0.0
        if out_w <= 0.0:
            return None
        return time_to(self._battery.estimate, self._power.battery.cut_soc, out_w)

    def time_to_boost_s(self, flows: Flows) -> float | None:
        """Seconds to T_boost as the stack is charged now; 0 when it is there, ``None`` if it is not coming."""
        soc, boost = self.supercap.estimate.soc, self._power.supercap.boost_soc
        if soc is not None and soc >= boost:
            return 0.0
        return time_to(self.supercap.estimate, boost, flows.supercap_out_w - flows.supercap_in_w)

    def _gauge(self, name: str, reading: Reading[GaugeState], now_ns: int) -> GaugeReading | None:
        state = reading.value
        if state is None or reading.quality in (Quality.ABSENT, Quality.BAD):
            return None
        return GaugeReading(
            state.soc, (now_ns - reading.t_ns) * 1e-9, self._is_new(name, reading.t_ns),
            (state.voltage_v, state.current_a),
        )

    def _is_new(self, name: str, t_ns: int) -> bool:
        new = t_ns != self._seen[name]
        self._seen[name] = t_ns
        return new
