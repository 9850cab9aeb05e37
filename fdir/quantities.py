"""Quantities that a fault may be judged by: one name, one unit, one way to read it from the facts.

The fault table (``board_configs/faults.yaml``) chooses among these names and says from which value on it is a fault.
A quantity that cannot be told is ``None``: then nobody is accused, and nobody acquitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique
from math import inf

from fdir.facts import Facts

__all__ = ["QUANTITIES", "REPORTED", "Kind", "Quantity"]


@unique
class Kind(StrEnum):
    """How a monitor finds a fault."""

    LIMIT = "limit"
    RATE = "rate"
    STUCK = "stuck"
    CROSS_CHECK = "cross-check"
    HEARTBEAT = "heartbeat"
    PROGRESS = "progress"
    REPORTED = "reported"
    """A detector of another room has found it and says so."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One quantity.

    Attributes:
        name: as in the fault table.
        kind: how it finds faults.
        unit: of its values and limits; ``yes/no`` for one that is true or false.
        text: what it is.
        read: its value from the facts, for the unit of that name where it is one of a device or a bus.
        low, high: between which a limit makes sense.
        of_body: limits of the body that it may be held against (fields of ``CraftLimits``).
        per_unit: it is told of every device or bus by name.
    """

    name: str
    kind: Kind
    unit: str
    text: str
    read: Callable[[Facts, str], float | bool | None]
    low: float = -inf
    high: float = inf
    of_body: tuple[str, ...] = ()
    per_unit: bool = False

    @property
    def yes_or_no(self) -> bool:
        """Whether it is true or false rather than a number."""
        return self.unit == YES_NO


YES_NO = "yes/no"
REPORTED = "reported"
"""Monitor of a fault that another room finds: its detector reports it, nothing is judged here."""


def _imu_silent(facts: Facts, _unit: str) -> bool | None:
    # Until the self-test has spoken, the unit is being set up, and that is the boot's to judge.
    return None if facts.self_test_passed is None else not facts.imu_ok


def _power_silent(facts: Facts, _unit: str) -> bool | None:
    return facts.soc_battery is None or facts.soc_supercap is None


def _self_test_failed(facts: Facts, _unit: str) -> bool | None:
    return None if facts.self_test_passed is None else not facts.self_test_passed


def _lost(facts: Facts, unit: str) -> bool | None:
    return None if facts.self_test_passed is None else unit in facts.units.lost


def _silent(facts: Facts, unit: str) -> bool | None:
    if facts.self_test_passed is None:
        return None
    return unit in facts.units.degraded or unit in facts.units.lost


def _out_of_service(facts: Facts, unit: str) -> bool | None:
    return unit in facts.units.buses_out  # named "bus <name>" there as here


_K = Kind
_LIST = (
    Quantity("body_rate", _K.LIMIT, "rad/s", "body rate by the gyro",
             lambda f, _: f.rate_rad_s if f.imu_ok else None, 0.0, 20.0, ("runaway_rad_s",)),
    Quantity("gyro_repeats", _K.STUCK, "1", "bursts in a row with exactly the same rates",
             lambda f, _: f.imu_repeats, 2.0, 10_000.0),
    Quantity("imu_silent", _K.HEARTBEAT, YES_NO, "no good burst of the inertial unit", _imu_silent),
    Quantity("gyro_disagreement", _K.CROSS_CHECK, "rad/s", "gyro against star tracker, mean rate between two fixes",
             lambda f, _: f.rate_disagreement_rad_s, 0.0, 20.0),
    Quantity("gyro_units_disagreement", _K.CROSS_CHECK, "rad/s", "flown gyro against the one that stands by",
             lambda f, _: f.gyro_units_rad_s, 0.0, 20.0),
    Quantity("bus_voltage", _K.LIMIT, "V", "main bus", lambda f, _: f.bus_voltage_v, 0.0, 100.0,
             ("bus_low_v", "bus_safe_v")),
    Quantity("bus_current", _K.LIMIT, "A", "main bus", lambda f, _: f.bus_current_a, 0.0, 1000.0,
             ("bus_near_a", "bus_limit_a", "bus_trip_a")),
    Quantity("over_current_unsolved", _K.PROGRESS, YES_NO, "above the limit with all shed that may be",
             lambda f, _: f.energy.overcurrent_unsolved),
    Quantity("load_disobeys", _K.CROSS_CHECK, YES_NO, "a load draws though it is off, or not though it is on",
             lambda f, _: f.energy.loads_disobey),
    Quantity("battery_charge", _K.LIMIT, "1", "state of charge of the battery", lambda f, _: f.soc_battery, 0.0, 1.0,
             ("battery_safe_soc",)),
    Quantity("supercap_charge", _K.LIMIT, "1", "state of charge of the supercapacitor", lambda f, _: f.soc_supercap,
             0.0, 1.0, ("supercap_safe_soc",)),
    Quantity("supercap_refuses_charge", _K.PROGRESS, YES_NO, "charged with more than 20 W and its charge stays",
             lambda f, _: f.energy.supercap_refuses_charge),
    Quantity("battery_temperature", _K.LIMIT, "deg C", "battery", lambda f, _: f.battery_temperature_c, -120.0, 160.0,
             ("battery_charge_c", "battery_discharge_c")),
    Quantity("cluster_too_cold", _K.LIMIT, YES_NO, "a cluster too cold to be fired",
             lambda f, _: f.energy.cold_clusters),
    Quantity("dock_current", _K.LIMIT, "A", "from the dock", lambda f, _: f.energy.dock_current_a, -100.0, 100.0,
             ("dock_reverse_a",)),
    Quantity("stores_conflict", _K.CROSS_CHECK, YES_NO, "sources of a state of charge differ",
             lambda f, _: f.energy.stores_conflict),
    Quantity("power_silent", _K.HEARTBEAT, YES_NO, "no state of charge of battery or supercapacitor", _power_silent),
    Quantity("computer_too_hot", _K.LIMIT, YES_NO, "flight computer at or above its trip (85 C)",
             lambda f, _: f.energy.computer_too_hot),
    Quantity("node_heat", _K.LIMIT, "1", "hottest thermal node: 0 is its warning, 1 its trip",
             lambda f, _: f.hottest_share, -10.0, 10.0),
    Quantity("hash_differs", _K.CROSS_CHECK, YES_NO, "hardware profile is not the mission's",
             lambda f, _: not f.hash_matches),
    Quantity("self_test_failed", _K.PROGRESS, YES_NO, "the self-test failed", _self_test_failed),
    Quantity("late_ticks", _K.PROGRESS, "1", "late ticks in a row", lambda f, _: f.late_ticks, 1.0, 1000.0),
    Quantity("cpu_throttled", _K.LIMIT, YES_NO, "the computer's firmware holds the clock back",
             lambda f, _: f.computer.throttled),
    Quantity("memory_free", _K.LIMIT, "MB", "memory that can be given out", lambda f, _: f.computer.memory_free_mb,
             0.0, 1e6),
    Quantity("disk_free", _K.LIMIT, "MB", "free on the black box's medium", lambda f, _: f.computer.disk_free_mb,
             0.0, 1e9),
    Quantity("clock_jump", _K.RATE, "s", "largest step of UTC in ten seconds", lambda f, _: f.computer.clock_jump_s,
             0.0, 1e9),
    Quantity("recorder_failed", _K.PROGRESS, YES_NO, "the black box takes nothing any more",
             lambda f, _: f.computer.recorder_failed),
    Quantity("recorder_dropped", _K.LIMIT, "1", "messages that the black box lost since start",
             lambda f, _: f.computer.recorder_dropped, 0.0, 1e9),
    Quantity("blackbox_lost", _K.PROGRESS, YES_NO, "neither the black box nor the crash rings take anything",
             lambda f, _: f.computer.blackbox_lost),
    Quantity("uplink_age", _K.HEARTBEAT, "s", "time since the last valid uplink", lambda f, _: f.link.uplink_age_s,
             0.0, 1e7),
    Quantity("device_lost", _K.HEARTBEAT, YES_NO, "gave no good answer through all attempts", _lost, per_unit=True),
    Quantity("device_silent", _K.HEARTBEAT, YES_NO, "has missed answers", _silent, per_unit=True),
    Quantity("bus_out", _K.PROGRESS, YES_NO, "out of service, under recovery", _out_of_service, per_unit=True),
    Quantity(REPORTED, _K.REPORTED, YES_NO, "told by its detector", lambda _f, _u: None),
)
QUANTITIES: dict[str, Quantity] = {quantity.name: quantity for quantity in _LIST}
"""Every quantity by its name."""
