"""Monitors: a table of conditions that must persist before they count, each with its code and response.

A monitor's test answers True (bad), False (good) or None (cannot tell; the clock stops but is not reset). A monitor
trips once its test was bad for ``persist_ns`` and clears after ``clear_ns`` of good; each edge is one event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique

from fdir.codes import Code, Severity
from fdir.facts import Facts

__all__ = ["MONITORS", "Alarm", "Monitor", "MonitorBank", "Response"]

MS = 1_000_000
SECOND = 1_000_000_000
GYRO_CONFLICT_RAD_S = 0.01745
"""1 deg/s between gyro and star tracker."""


@unique
class Response(StrEnum):
    """What the supervisor does when a monitor trips."""

    REPORT = "report"
    SHUT_VALVES = "shut valves for 1 s, then detumble"
    SAFE = "SAFE"
    BAR_PEAKS = "bar burns"


@dataclass(frozen=True, slots=True)
class Monitor:
    """One row of the table."""

    name: str
    test: Callable[[Facts], bool | None]
    text: str
    persist_ns: int
    clear_ns: int
    code: Code
    severity: Severity
    response: Response


def _below(value: float | None, limit: float) -> bool | None:
    return None if value is None else value < limit


def _at_most(value: float | None, limit: float) -> bool | None:
    return None if value is None else value <= limit


def _above(value: float | None, limit: float) -> bool | None:
    return None if value is None else value > limit


def _runaway(facts: Facts) -> bool | None:
    return _above(facts.rate_rad_s, facts.limits.runaway_rad_s) if facts.imu_ok else None


def _imu_frozen(facts: Facts) -> bool | None:
    return facts.imu_repeats >= 20


def _imu_lost(facts: Facts) -> bool | None:
    # Until the self-test has spoken, the unit is being set up, and that is the boot's to judge.
    return None if facts.self_test_passed is None else not facts.imu_ok


def _gyro_conflict(facts: Facts) -> bool | None:
    return _above(facts.rate_disagreement_rad_s, GYRO_CONFLICT_RAD_S)


def _under_voltage(facts: Facts) -> bool | None:
    return _below(facts.bus_voltage_v, facts.limits.bus_low_v)


def _bus_failing(facts: Facts) -> bool | None:
    return _below(facts.bus_voltage_v, facts.limits.bus_safe_v)


def _near_limit(facts: Facts) -> bool | None:
    return _above(facts.bus_current_a, facts.limits.bus_near_a)


def _over_current(facts: Facts) -> bool | None:
    return _above(facts.bus_current_a, facts.limits.bus_limit_a)


def _over_current_hard(facts: Facts) -> bool | None:
    return _above(facts.bus_current_a, facts.limits.bus_trip_a)


def _battery_low(facts: Facts) -> bool | None:
    return _at_most(facts.soc_battery, facts.limits.battery_safe_soc)


def _supercap_low(facts: Facts) -> bool | None:
    return _at_most(facts.soc_supercap, facts.limits.supercap_safe_soc)


def _supercap_fault(facts: Facts) -> bool | None:
    return facts.energy.supercap_refuses_charge


def _colder(celsius: float | None, limit: float | None) -> bool | None:
    return None if limit is None else _below(celsius, limit)


def _battery_not_charged(facts: Facts) -> bool | None:
    return _colder(facts.battery_temperature_c, facts.limits.battery_charge_c)


def _battery_cold(facts: Facts) -> bool | None:
    return _colder(facts.battery_temperature_c, facts.limits.battery_discharge_c)


def _cluster_cold(facts: Facts) -> bool | None:
    return facts.energy.cold_clusters


def _dock_reverse(facts: Facts) -> bool | None:
    return _below(facts.energy.dock_current_a, facts.limits.dock_reverse_a)


def _stores_conflict(facts: Facts) -> bool | None:
    return facts.energy.stores_conflict


def _loads_disobey(facts: Facts) -> bool | None:
    return facts.energy.loads_disobey


def _overcurrent_unsolved(facts: Facts) -> bool | None:
    return facts.energy.overcurrent_unsolved


def _computer_hot(facts: Facts) -> bool | None:
    return facts.energy.computer_too_hot


def _node_hot(facts: Facts) -> bool | None:
    return None if facts.hottest_share is None else facts.hottest_share >= 0.0


def _node_critical(facts: Facts) -> bool | None:
    return None if facts.hottest_share is None else facts.hottest_share >= 1.0


def _power_silent(facts: Facts) -> bool | None:
    return facts.soc_battery is None or facts.soc_supercap is None


def _hash_mismatch(facts: Facts) -> bool | None:
    return not facts.hash_matches


def _self_test_failed(facts: Facts) -> bool | None:
    return None if facts.self_test_passed is None else not facts.self_test_passed


_W, _C = Severity.WARNING, Severity.CRITICAL
_R = Response
MONITORS: tuple[Monitor, ...] = (
    Monitor("rate runaway", _runaway, "body rate above the body's runaway rate (25 deg/s)", 100 * MS, SECOND,
            Code.SAFE_ORIENTATION_LOST, _C, _R.SHUT_VALVES),
    Monitor("gyro frozen", _imu_frozen, "20 bursts in a row with the same rates", 0, SECOND,
            Code.SENSOR_DEGRADED, _C, _R.SAFE),
    Monitor("inertial unit lost", _imu_lost, "no good burst", 100 * MS, SECOND, Code.SENSOR_MISSING, _C, _R.SAFE),
    Monitor("gyro against star tracker", _gyro_conflict, "rates differ by more than 1 deg/s", 2 * SECOND, 2 * SECOND,
            Code.SENSOR_CONFLICTING, _W, _R.SAFE),
    Monitor("bus under-voltage", _under_voltage, "below the bus's lowest voltage (22 V)", 50 * MS, SECOND,
            Code.BUS_UNSTABLE, _W, _R.BAR_PEAKS),
    Monitor("bus failing", _bus_failing, "2 V below the bus's lowest voltage (20 V)", 50 * MS, SECOND,
            Code.SAFE_POWER_LOW, _C, _R.SAFE),
    Monitor("bus near its limit", _near_limit, "above 0.8 of the current limit (4 A)", 2 * SECOND, 2 * SECOND,
            Code.PDU_OVERLOAD, Severity.INFO, _R.REPORT),
    Monitor("bus over-current", _over_current, "above the current limit (5 A)", 2 * SECOND, SECOND,
            Code.PDU_OVERLOAD, _W, _R.REPORT),
    Monitor("bus over-current, hard", _over_current_hard, "above 1.2 of the current limit (6 A)", 20 * MS, SECOND,
            Code.PDU_OVERLOAD, _W, _R.BAR_PEAKS),
    Monitor("over-current unsolved", _overcurrent_unsolved, "still above the limit with all shed that may be",
            10 * SECOND, 2 * SECOND, Code.SAFE_PDU_FAULT, _C, _R.SAFE),
    Monitor("load disobeys", _loads_disobey, "a load draws though it is off, or not though it is on", SECOND, SECOND,
            Code.LOAD_DISOBEYS, _W, _R.REPORT),
    Monitor("battery low", _battery_low, "SoC_bat at or below 10 %", SECOND, SECOND, Code.SAFE_POWER_LOW, _C, _R.SAFE),
    Monitor("supercap low", _supercap_low, "SoC_cap at or below 10 %", SECOND, SECOND, Code.SAFE_CAP_LOW, _C, _R.SAFE),
    Monitor("supercap fault", _supercap_fault, "charged with more than 20 W and SoC_cap does not rise", 30 * SECOND,
            SECOND, Code.CAP_LOW, _W, _R.BAR_PEAKS),
    Monitor("battery not charged", _battery_not_charged, "battery too cold to be charged (0 C)", 10 * SECOND,
            10 * SECOND, Code.BAT_COLD, _W, _R.REPORT),
    Monitor("battery cold", _battery_cold, "battery too cold to be drawn on (-20 C)", 10 * SECOND, 10 * SECOND,
            Code.SAFE_POWER_LOW, _C, _R.SAFE),
    Monitor("cluster cold", _cluster_cold, "a cluster too cold to be fired (-40 C)", 3 * SECOND, 3 * SECOND,
            Code.RCS_CLUSTER_COLD, _W, _R.REPORT),
    Monitor("reverse current at dock", _dock_reverse, "current into the dock above 0.5 A", 5 * MS, SECOND,
            Code.BRIDGE_ELECTRICAL_UNSAFE, _C, _R.REPORT),
    Monitor("stores in conflict", _stores_conflict, "sources of a state of charge differ", 2 * SECOND, 2 * SECOND,
            Code.POWER_TELEM_CONFLICTING, _W, _R.REPORT),
    Monitor("computer hot", _computer_hot, "flight computer at or above 85 C", SECOND, 10 * SECOND,
            Code.SAFE_THERMAL_CRITICAL, _C, _R.SAFE),
    Monitor("node hot", _node_hot, "a thermal node at or above its warning", 3 * SECOND, 3 * SECOND,
            Code.THERMAL_NODE_HOT, _W, _R.REPORT),
    Monitor("node critical", _node_critical, "a thermal node at or above its trip", 3 * SECOND, 3 * SECOND,
            Code.SAFE_THERMAL_CRITICAL, _C, _R.SAFE),
    Monitor("power telemetry", _power_silent, "no state of charge of battery or supercap", 2 * SECOND, SECOND,
            Code.POWER_TELEM_MISSING, _W, _R.REPORT),
    Monitor("hardware profile", _hash_mismatch, "hardware profile hash differs", 0, SECOND,
            Code.HASH_MISMATCH, _C, _R.SAFE),
    Monitor("self-test", _self_test_failed, "self-test failed", 0, SECOND, Code.SELF_TEST_FAILED, _C, _R.SAFE),
)


@dataclass(frozen=True, slots=True)
class Alarm:
    """A monitor tripped (``active``) or cleared."""

    monitor: Monitor
    active: bool


class MonitorBank:
    """Runs a table of monitors; owns their persistence."""

    __slots__ = ("_bad_since", "_good_since", "_table", "active", "trips")

    def __init__(self, table: tuple[Monitor, ...] = MONITORS) -> None:
        self._table = table
        self._bad_since: list[int | None] = [None] * len(table)
        self._good_since: list[int | None] = [None] * len(table)
        self.active = [False] * len(table)
        self.trips = [0] * len(table)

    def step(self, facts: Facts) -> tuple[Alarm, ...]:
        """Judge every monitor once; returns the edges, usually none."""
        edges: tuple[Alarm, ...] = ()
        for index, monitor in enumerate(self._table):
            bad = monitor.test(facts)
            if bad is None:
                continue
            if bad == self.active[index]:
                self._bad_since[index] = self._good_since[index] = None
            elif self._persists(index, bad, monitor, facts.t_ns):
                self.active[index] = bad
                self.trips[index] += bad
                edges += (Alarm(monitor, bad),)
        return edges

    def _persists(self, index: int, bad: bool, monitor: Monitor, now_ns: int) -> bool:
        since = self._bad_since if bad else self._good_since
        start = since[index]
        if start is None:
            start = since[index] = now_ns
        return now_ns - start >= (monitor.persist_ns if bad else monitor.clear_ns)

    def asks_for(self, responses: frozenset[Response]) -> bool:
        """Whether a monitor with one of these responses has tripped and not cleared."""
        return any(active and m.response in responses for m, active in zip(self._table, self.active, strict=True))

    def is_active(self, name: str) -> bool:
        """Whether the monitor of that name has tripped. Raises KeyError for an unknown name."""
        for index, monitor in enumerate(self._table):
            if monitor.name == name:
                return self.active[index]
        raise KeyError(name)
