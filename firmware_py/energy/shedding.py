"""Load shedding: which loads yield, in which order and for which reason, and what is wrong with the power plane.

The table of CANON section 5, each tick anew from the wanted loads; only three things are remembered: the latch of the
battery's charge, the trips of the tick before (a trip acts on the tick after it is detected), and the bus's last known
limit. Triggers in their order, each on what the ones before it have left:

1. battery latch on: radar, transponder (``low_soc``);
2. distribution unit tripped: radar, transponder (``thermal_overheat``);
3. core tripped: nbl (``thermal_overheat``);
4. nbl wanted but not allowed: nbl (``nbl_budget``, or ``thermal_overheat`` while a trip acts);
5. more than ``current_limit_a`` x V through the distribution unit: nbl, radar, transponder until it fits, then motion
   is throttled, then the thrusters, then the fault PDU_OVERCURRENT (``pdu_overcurrent``).

Where CANON is silent: under over-current the stack's top-up yields first (it is no load), then the lidar (first in the
order of degradation, CANON section 12), nbl, heaters (a node cools slowly, a radar that is off is blind at once) with
the battery's last of them, then radar and transponder. Heaters are never shed for a low battery. Base loads and loads
without a place in this order never are. What a body lacks, or is off anyway, is skipped.

Without a bus voltage the last known limit holds on, so that loads don't come back because a reading is gone; nothing
is judged before there was one. At 0 V the limit is 0 W: everything that may yields, so that a collapsed bus can rise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from math import inf

from fdir.codes import Code
from firmware_py.energy.levels import ShedLatch, known_charge, nbl_blocks
from firmware_py.energy.power_faults import Fault, FaultWord, parameter_faults, rank
from firmware_py.energy.power_rule import Flows
from hal.profile.body import BodyConfig

__all__ = ["Fault", "FaultWord", "ShedReason", "Shedder", "Shedding", "Situation"]

NBL, RADAR, TRANSPONDER, LIDAR, BATTERY_HEATER = "nbl", "radar", "transponder", "lidar", "heater_battery"
PDU, CORE = "pdu", "core"
NO_CAPACITY = Fault(FaultWord.BATTERY_CAPACITY_ZERO)
DEAD_BUS_V = 0.5
"""Up to that a bus reads zero: offset of a monitor, and charge left in the loads' inputs."""
HIGHEST_BUS_SHARE = 1.5
"""A bus voltage above that share of its full one is a broken reading: a dock feeds at most 32 V into 28 V."""


@unique
class ShedReason(StrEnum):
    """Why a load yields; the words are fixed."""

    LOW_SOC = "low_soc"
    THERMAL_OVERHEAT = "thermal_overheat"
    NBL_BUDGET = "nbl_budget"
    PDU_OVERCURRENT = "pdu_overcurrent"


@dataclass(frozen=True, slots=True)
class Situation:
    """What is wanted and known in one tick. Powers in W, charges 0..1, ``None`` and out of range alike "no data".

    ``wanted`` has the loads that are to be on, each with what it draws *while it is on*: a measured 0 W of a load that
    is shed would let it back in at once. What is no power there is replaced by the load's declared power, and reported.
    """

    wanted: Mapping[str, float]
    soc_battery: float | None
    soc_supercap: float | None
    bus_voltage_v: float | None
    core_c: float | None
    tripped: tuple[str, ...] = ()
    """Thermal nodes whose trip is latched now, body order."""
    nbl_allowed: bool = True
    """What others say to the packet: energy budget, emission control, rate."""
    nbl_under_way: bool = False
    """A packet is being sent: what it needed to start is no longer asked."""
    motion_w: float = 0.0
    """What motion asks through the distribution unit."""
    rcs_w: float = 0.0
    """All that the thrusters ask. It counts only where the battery helps them: at ``hold_soc`` and below. There the
    battery pays first, so that shedding other loads would only let it pay more of this."""
    top_up_w: float = 0.0
    """What the stack's charger would take through the distribution unit if nothing stood against it."""
    other_w: float = 0.0
    """What else flows there: a load that is stuck on, a short."""
    battery_capacity_j: float | None = None
    """The battery's present capacity, where it is estimated."""
    flows: Flows | None = None
    """What the sharing rule gave last; its limits are reported."""
    ordered: bool = False
    """A fault of the bus or of a store stands for which loads are shed, whatever the charge."""


@dataclass(frozen=True, slots=True)
class Shedding:
    """What yields. ``shed`` has the loads in the order of the triggers, each once, with the first reason for it.

    ``reasons`` has, each once and in order, the reason of every trigger that stands against something wanted.
    """

    shed: Mapping[str, ShedReason]
    reasons: tuple[ShedReason, ...]
    motion_share: float
    """What motion may draw of what it asks, 0..1."""
    rcs_share: float
    """The same of the thrusters; force must be scaled with it."""
    top_up_allowed: bool
    faults: tuple[Fault, ...]
    low_soc: bool
    """State of the battery's latch, also when there is nothing to shed."""
    nbl_blocks: tuple[Code, ...]
    """What stands against a wanted packet in stores and heat."""
    demand_w: float
    """Through the distribution unit when all this is obeyed."""
    limit_w: float | None
    """Most that may flow there; ``None`` while the bus voltage has never been known."""

    @property
    def loads(self) -> tuple[str, ...]:
        """Names of the loads that are shed, in order."""
        return tuple(self.shed)


@dataclass(slots=True)
class _Tally:
    """What one tick has taken away so far."""

    shed: dict[str, ShedReason] = field(default_factory=dict)
    reasons: list[ShedReason] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    motion_share: float = 1.0
    rcs_share: float = 1.0
    top_up: bool = True
    demand_w: float = 0.0

    def give(self, reason: ShedReason) -> None:
        if reason not in self.reasons:
            self.reasons.append(reason)


class Shedder:
    """The shedding table of one body. ``step`` once a medium tick."""

    def __init__(self, body: BodyConfig) -> None:
        power = body.power
        self._power = power
        self._latch = ShedLatch(power.battery)
        self._base = {load.name: load.power_w for load in power.loads if load.base}
        heaters = {heater.load: heater.power_w for heater in body.thermal.heaters}
        self._declared = {load.name: load.power_w for load in power.loads} | heaters
        others = tuple(name for name in heaters if name != BATTERY_HEATER)
        order = (LIDAR, NBL, *others, BATTERY_HEATER, RADAR, TRANSPONDER)
        self._yielding = frozenset(name for name in order if name in self._declared and name not in self._base)
        self._order = tuple(name for name in order if name in self._yielding)
        self._sensors = tuple(name for name in (RADAR, TRANSPONDER) if name in self._yielding)
        self._nbl = (NBL,) if NBL in self._yielding else ()
        self._highest_v = HIGHEST_BUS_SHARE * power.bus.full_v
        self._param_faults = parameter_faults(body)
        self._tripped: tuple[str, ...] = ()
        self._limit_w: float | None = None

    def step(self, now: Situation) -> Shedding:
        """Decide one tick. Raises ValueError, with the name, for a wanted load that the body lacks, and for a power of
        motion, thrusters, top-up or others that is negative or not finite."""
        _check(now)
        tally = _Tally(faults=list(self._param_faults))
        draws = self._draws(now, tally.faults)
        acting, self._tripped = self._tripped, now.tripped
        low = self._latch.step(now.soc_battery)
        if low or now.ordered:
            self._take(tally, draws, self._sensors, ShedReason.LOW_SOC)
        if PDU in acting:
            self._take(tally, draws, self._sensors, ShedReason.THERMAL_OVERHEAT)
        if CORE in acting:
            self._take(tally, draws, self._nbl, ShedReason.THERMAL_OVERHEAT)
        blocks = self._gate(now, acting, tally, draws)
        limit = self._limit(now.bus_voltage_v)
        helped = self._helped(now)
        demand = now.motion_w + helped + now.top_up_w + now.other_w
        for name, watts in draws.items():
            if name not in tally.shed:
                demand += watts
        tally.demand_w = demand
        if limit is not None and demand > limit:
            self._relieve(tally, now, draws, helped, limit)
        self._report(tally, now)
        return Shedding(
            tally.shed, tuple(tally.reasons), tally.motion_share, tally.rcs_share, tally.top_up, tuple(tally.faults),
            self._latch.on, blocks, tally.demand_w, limit,
        )

    def _draws(self, now: Situation, faults: list[Fault]) -> dict[str, float]:
        """Watts of everything that is to be on, base loads too, in body order whatever the order of the wishes."""
        wanted, draws, found = now.wanted, {}, 0
        for name, declared in self._declared.items():
            watts = wanted.get(name)
            if watts is not None or name in wanted:
                found += 1
                if watts is None or not 0.0 <= watts < inf:
                    faults.append(Fault(FaultWord.POWER_TELEM_MISSING, name))
                    watts = declared
                draws[name] = watts
            elif name in self._base:
                draws[name] = declared
        if found != len(wanted):
            unknown = ", ".join(sorted(name for name in wanted if name not in self._declared))
            raise ValueError(f"no load {unknown}; there are {', '.join(self._declared)}")
        return draws

    def _take(
        self, tally: _Tally, draws: Mapping[str, float], loads: tuple[str, ...], reason: ShedReason
    ) -> None:
        for name in loads:
            if name in draws:
                tally.shed.setdefault(name, reason)
                tally.give(reason)

    def _gate(
        self, now: Situation, acting: tuple[str, ...], tally: _Tally, draws: Mapping[str, float]
    ) -> tuple[Code, ...]:
        if NBL not in draws:
            return ()
        core, pdu = CORE in acting, PDU in acting
        blocks = nbl_blocks(
            self._power, soc_battery=now.soc_battery, soc_supercap=now.soc_supercap, core_c=now.core_c,
            core_tripped=core, pdu_tripped=pdu, under_way=now.nbl_under_way,
        )
        if blocks or not now.nbl_allowed:
            reason = ShedReason.THERMAL_OVERHEAT if core or pdu else ShedReason.NBL_BUDGET
            self._take(tally, draws, self._nbl, reason)
        return blocks

    def _limit(self, volts: float | None) -> float | None:
        if volts is not None and 0.0 <= volts <= self._highest_v:
            self._limit_w = self._power.bus.current_limit_a * volts
        return self._limit_w

    def _helped(self, now: Situation) -> float:
        """Most that the thrusters may draw of the battery. A stack that nobody has measured is not said to be low: the
        alarms of the measured current stand behind that."""
        cap = known_charge(now.soc_supercap)
        if cap is None or cap > self._power.supercap.hold_soc:
            return 0.0
        return min(now.rcs_w, self._power.battery.discharge_max_w)

    def _relieve(
        self, tally: _Tally, now: Situation, draws: Mapping[str, float], helped: float, limit: float
    ) -> None:
        """Take away until the demand is within the limit, or nothing is left to take."""
        demand = tally.demand_w
        before = demand
        if now.top_up_w > 0.0:
            tally.top_up = False
            demand -= now.top_up_w
        for name in self._order:
            if demand <= limit:
                break
            if name in draws and name not in tally.shed:
                tally.shed[name] = ShedReason.PDU_OVERCURRENT
                demand -= draws[name]
                tally.give(ShedReason.PDU_OVERCURRENT)
        excess = demand - limit
        if excess > 0.0 and now.motion_w > 0.0:
            kept, excess = _throttle(now.motion_w, excess)
            tally.motion_share = kept / now.motion_w
            demand = limit + excess
        if excess > 0.0 and helped > 0.0:
            kept, excess = _throttle(helped, excess)
            # Of the whole: the stack would pay what the battery may not only if the battery had no more to give.
            tally.rcs_share = kept / now.rcs_w
            demand = limit + excess
        if demand < before:
            tally.give(ShedReason.PDU_OVERCURRENT)
        if excess > 0.0:
            tally.faults.append(Fault(FaultWord.PDU_OVERCURRENT, value=excess))
        tally.demand_w = demand

    def _report(self, tally: _Tally, now: Situation) -> None:
        faults, volts, soc, flows = tally.faults, now.bus_voltage_v, known_charge(now.soc_battery), now.flows
        if volts is not None and 0.0 <= volts <= DEAD_BUS_V:
            faults.append(Fault(FaultWord.BUS_V_ZERO))
        if flows is not None and flows.charge_limited:
            faults.append(Fault(FaultWord.BATTERY_CHARGE_LIMIT, value=flows.spilled_w))
        if flows is not None and flows.battery_limited:
            faults.append(Fault(FaultWord.BATTERY_DISCHARGE_LIMIT, value=flows.unserved_w))
        if soc is not None and soc <= self._power.battery.cut_soc:
            faults.append(Fault(FaultWord.BATTERY_EMPTY))
        if now.battery_capacity_j is not None and -inf < now.battery_capacity_j <= 0.0 and NO_CAPACITY not in faults:
            faults.append(NO_CAPACITY)
        faults += [Fault(FaultWord.THERMAL_TRIP, node) for node in dict.fromkeys(now.tripped)]
        if soc is None:
            faults.append(Fault(FaultWord.POWER_TELEM_MISSING, "soc_battery"))
        if volts is None or not 0.0 <= volts <= self._highest_v:
            faults.append(Fault(FaultWord.POWER_TELEM_MISSING, "bus_voltage_v"))
        if len(faults) > 1:
            faults.sort(key=rank)


def _throttle(asked_w: float, excess_w: float) -> tuple[float, float]:
    """What is kept of a throttled draw, and what of the excess it could not take."""
    return (asked_w - excess_w, 0.0) if excess_w <= asked_w else (0.0, excess_w - asked_w)


def _check(now: Situation) -> None:
    # One comparison each on the good path: NaN fails every one.
    if 0.0 <= now.motion_w < inf and 0.0 <= now.rcs_w < inf and 0.0 <= now.top_up_w < inf and 0.0 <= now.other_w < inf:
        return
    for name in ("motion_w", "rcs_w", "top_up_w", "other_w"):
        value = getattr(now, name)
        if not 0.0 <= value < inf:
            raise ValueError(f"{name} is {value}; a finite power of at least 0 W is needed")
