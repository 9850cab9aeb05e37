"""What draws power in a step of a forecast: wanted by duty cycle and plan, heaters, less what is shed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

from fdir.modes import Motion
from firmware_py.energy.duties import Duties
from firmware_py.energy.estimates import StoreEstimate
from firmware_py.energy.forecast_heat import HeaterForecast, HeatForecast, StoreCold
from firmware_py.energy.forecast_plan import Phase
from firmware_py.energy.frost import FROST_LOADS, FROST_SHARE
from firmware_py.energy.levels import NBL_CORE_MAX_C
from firmware_py.energy.pdu_line import load_rules
from firmware_py.energy.power_rule import Flows
from firmware_py.energy.shedding import Shedder, Shedding, ShedReason, Situation
from firmware_py.energy.trust import Trust
from hal.profile.body import BodyConfig, PowerConfig

__all__ = ["Demand", "SafeLatch", "marks_of"]

DUTY_SLICES = 12
"""Looks at the duty cycle in a step after its level has changed: it goes down a step a second, up one in five."""
DUTY_SETTLES_S = 120.0
YIELDING = ("lidar", "nbl")
"""Loads that are shed before any heater, and so leave room for heat (manager.py)."""
OVERCURRENT = ShedReason.PDU_OVERCURRENT
SAFE_LEAVE_SOC = 0.05
"""SAFE is left that far above the charge where it begins (CANON section 5)."""


class SafeLatch:
    """Whether a low charge keeps the craft in SAFE: from ``safe_soc`` of either store until both allow to leave."""

    __slots__ = ("_battery", "_cap", "_cap_leave", "_leave", "on")

    def __init__(self, power: PowerConfig) -> None:
        self._battery, self._cap = power.battery.safe_soc, power.supercap.safe_soc
        self._leave, self._cap_leave = self._battery + SAFE_LEAVE_SOC, power.supercap.hold_soc
        self.on = False

    def step(self, soc_battery: float, soc_supercap: float) -> bool:
        """Take the present charges, 0..1."""
        if soc_battery <= self._battery or soc_supercap <= self._cap:
            self.on = True
        elif soc_battery > self._leave and soc_supercap > self._cap_leave:
            self.on = False
        return self.on


def marks_of(power: PowerConfig) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Charges of battery and stack at which a rule changes, rising."""
    b, c = power.battery, power.supercap
    leave = b.safe_soc + SAFE_LEAVE_SOC
    low = (b.cut_soc, b.safe_soc, leave, b.charge_first_soc, b.shed_soc)
    battery = {*low, b.unshed_soc, b.wake_soc, b.nbl_soc, 0.0, 1.0}
    return tuple(sorted(battery)), tuple(sorted({c.safe_soc, c.hold_soc, c.nbl_soc, c.boost_soc, 0.0, 1.0}))


class Demand:
    """Loads of one run. ``loads_share`` scales them all but the heaters."""

    def __init__(self, body: BodyConfig, heat: HeatForecast, loads_share: float, battery_j: float) -> None:
        rules = load_rules(body)
        self.names = tuple(rule.name for rule in rules)
        self._body, self._power, self._heat, self._battery_j = body, body.power, heat, battery_j
        self._watts = {r.name: loads_share * r.nominal_w for r in rules if not r.base and not r.survival}
        self._base = {rule.name: loads_share * rule.nominal_w for rule in rules if rule.base}
        self._base_w = sum(self._base.values())
        self._bus = body.power.bus
        self._in_safe = frozenset(rule.name for rule in rules if rule.safe)
        self._marks = marks_of(body.power)
        self._core = heat.index.get("core")
        self.heaters = HeaterForecast(body, heat)
        self.boot(0.0)

    def boot(self, t_s: float) -> None:
        """Begin anew: a duty cycle and a shedding table that remember nothing."""
        self._duties, self._shedder = Duties(self._body), Shedder(self._body)
        self._shedding: Shedding | None = None
        self._key: tuple[object, ...] = ()
        self._settled_s = t_s + DUTY_SETTLES_S

    @property
    def shed(self) -> Mapping[str, str]:
        """Loads that yield, with their reasons, as of the last step."""
        return {} if self._shedding is None else self._shedding.shed

    def step(
        self, t_s: float, span_s: float, phase: Phase, safe: bool, soc: tuple[float, float], cold: StoreCold,
        sources_w: float, flows: Flows | None, own_heat_w: Sequence[float],
    ) -> Mapping[str, float]:
        """What draws from ``t_s`` on, W by load.

        Args:
            t_s: time.
            span_s: how long the step may be.
            phase: what is planned now.
            safe: the craft is in SAFE.
            soc: charges of battery and stack.
            cold: what cold leaves of the stores.
            sources_w: what array and dock offer.
            flows: those of the step before; ``None``: there was none.
            own_heat_w: heat that the nodes make themselves.
        """
        duties = self._follow_duty(t_s, span_s, Motion.SAFE if safe else phase.motion, soc[0], flows)
        freezing = cold.freezing
        shares = duties.shares(min(duties.compute_share, FROST_SHARE) if freezing else duties.compute_share)
        wanted: dict[str, float] = {}
        for name, watts in self._watts.items():
            wish = name in phase.on or (name not in phase.off and duties.wants(name))
            if wish and (not safe or name in self._in_safe) and not (freezing and name in FROST_LOADS):
                wanted[name] = watts * shares.get(name, 1.0)
        volts = self._bus.empty_v + (self._bus.full_v - self._bus.empty_v) * soc[0]
        low = self._shedding is not None and self._shedding.low_soc
        headroom_w = self._headroom(wanted, volts, sources_w, cold.discharge_share)
        self.heaters.share(headroom_w, low, own_heat_w)
        wanted.update(self.heaters.watts)
        shed = self._shed(wanted, soc, volts).shed
        return self._base | {name: watts for name, watts in wanted.items() if name not in shed}

    def _headroom(self, wanted: Mapping[str, float], volts: float, sources_w: float, discharge_share: float) -> float:
        """Power for all heaters together: what limit and battery leave beside the loads that don't yield to heat."""
        reasons = self.shed
        firm_w = self._base_w + sum(
            watts for name, watts in wanted.items()
            if name not in YIELDING and reasons.get(name, OVERCURRENT) == OVERCURRENT
        )
        battery_w = self._power.battery.discharge_max_w * discharge_share + sources_w
        return max(0.0, min(self._bus.current_limit_a * volts, battery_w) - firm_w)

    def _follow_duty(
        self, t_s: float, span_s: float, motion: Motion, soc_battery: float, flows: Flows | None
    ) -> Duties:
        duties = self._duties
        estimate = StoreEstimate(soc_battery, 0.0, Trust.TRUSTED, self._battery_j)
        word = duties.word
        slices = DUTY_SLICES if t_s < self._settled_s else 1
        for number in range(slices):
            duties.step(round((t_s + span_s * number / slices) * 1e9), motion, estimate, flows)
        if duties.word != word:
            self._settled_s = t_s + DUTY_SETTLES_S
        return duties

    def _shed(self, wanted: Mapping[str, float], soc: tuple[float, float], volts: float) -> Shedding:
        """The shedding table; asked again only when something it looks at has changed."""
        core_c = None if self._core is None else self._heat.celsius[self._core]
        over = self._base_w + sum(wanted.values()) > self._bus.current_limit_a * volts
        battery, stack = self._marks
        key = (
            tuple(wanted), bisect_right(battery, soc[0]), bisect_left(battery, soc[0]), bisect_right(stack, soc[1]),
            core_c is not None and core_c > NBL_CORE_MAX_C,
        )
        if over or self._shedding is None or key != self._key:
            self._key = key
            base = {name: watts for name, watts in self._base.items() if watts > 0.0}
            self._shedding = self._shedder.step(Situation({**base, **wanted}, *soc, volts, core_c))
        return self._shedding
