"""Fault words of the power plane, and what is impossible in a body's parameters. CANON section 5."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from math import inf

from hal.profile.body import BodyConfig, PowerConfig

__all__ = ["Fault", "FaultWord", "parameter_faults", "rank"]


@unique
class FaultWord(StrEnum):
    """Faults of the power plane, in the order in which they are reported."""

    BUS_V_ZERO = "BUS_V_ZERO"
    PDU_OVERCURRENT = "PDU_OVERCURRENT"
    BATTERY_CHARGE_LIMIT = "BATTERY_CHARGE_LIMIT"
    BATTERY_DISCHARGE_LIMIT = "BATTERY_DISCHARGE_LIMIT"
    BATTERY_EMPTY = "BATTERY_EMPTY"
    BATTERY_CAPACITY_ZERO = "BATTERY_CAPACITY_ZERO"
    THERMAL_TRIP = "THERMAL_TRIP"
    POWER_TELEM_MISSING = "POWER_TELEM_MISSING"
    POWER_PLANE_PARAM_INVALID = "POWER_PLANE_PARAM_INVALID"
    THERMAL_PLANE_PARAM_INVALID = "THERMAL_PLANE_PARAM_INVALID"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: what it is about (a node, a parameter, a reading), and how much, in W, where it has a size."""

    word: FaultWord
    detail: str = ""
    value: float | None = None

    @property
    def text(self) -> str:
        """The fault word of telemetry, as ``THERMAL_TRIP:core``."""
        return f"{self.word}:{self.detail}" if self.detail else str(self.word)


_RANKS = {word: rank for rank, word in enumerate(FaultWord)}


def rank(fault: Fault) -> int:
    """Place of a fault in a report."""
    return _RANKS[fault.word]


_POSITIVE = (
    "bus.empty_v", "bus.full_v", "bus.current_limit_a", "battery.capacity_wh", "battery.charge_max_w",
    "battery.discharge_max_w", "supercap.capacity_wh", "supercap.full_v", "supercap.charge_max_w",
    "supercap.discharge_max_w",
)
_FRACTIONS = (
    "battery.charge_first_soc", "battery.shed_soc", "battery.unshed_soc", "battery.safe_soc", "battery.cut_soc",
    "battery.wake_soc", "battery.nbl_soc", "supercap.boost_soc", "supercap.hold_soc", "supercap.nbl_soc",
    "supercap.safe_soc",
)
_ASCENDING = (
    ("bus.empty_v", "bus.full_v"), ("battery.cut_soc", "battery.shed_soc"), ("battery.shed_soc", "battery.unshed_soc"),
    ("supercap.safe_soc", "supercap.hold_soc"), ("supercap.hold_soc", "supercap.boost_soc"),
)


def _value(power: PowerConfig, key: str) -> float:
    section, name = key.split(".")
    return float(getattr(getattr(power, section), name))


def parameter_faults(body: BodyConfig) -> tuple[Fault, ...]:
    """What is impossible in a body's power and thermal parameters, keys in a fixed order and each once.

    Board files are checked when they are loaded; this names what reaches the program by any other way. A pair in the
    wrong order is reported by its upper one.
    """
    power, faults = body.power, []
    values = {key: _value(power, key) for key in _POSITIVE + _FRACTIONS}
    bad = {key for key in _POSITIVE if not 0.0 < values[key] < inf}
    bad |= {key for key in _FRACTIONS if not 0.0 <= values[key] <= 1.0}
    bad |= {high for low, high in _ASCENDING if not values[low] < values[high] and low not in bad}
    if values["battery.capacity_wh"] == 0.0:
        faults.append(Fault(FaultWord.BATTERY_CAPACITY_ZERO))
        bad.discard("battery.capacity_wh")
    invalid = [key for key in values if key in bad]
    if not 0.0 <= power.supercap.top_up_w < inf:
        invalid.append("supercap.top_up_w")
    invalid += [f"loads.{load.name}.power_w" for load in power.loads if not 0.0 <= load.power_w < inf]
    faults += [Fault(FaultWord.POWER_PLANE_PARAM_INVALID, key) for key in invalid]
    faults += [
        Fault(FaultWord.THERMAL_PLANE_PARAM_INVALID, f"{node.name}:hys_zero")
        for node in body.thermal.nodes if not -inf < node.clear_c < node.trip_c < inf
    ]
    return tuple(faults)
