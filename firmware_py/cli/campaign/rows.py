"""Rows of the fault table that a fault of the campaign must trip, and how long each took to trip and to clear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firmware_py.cli.campaign.entries import Entry
from firmware_py.cli.campaign.record import Told

__all__ = ["ROWS", "RowTime", "row_times", "rows_of"]

NS = 1_000_000_000

ROWS: dict[str, tuple[str, ...]] = {
    "nozzle_off": ("nozzle-stuck-off",),
    "nozzle_stuck_on_long": ("nozzle-stuck-on", "rate-runaway"),
    "nozzle_stuck_on_for_ever": ("nozzle-stuck-on", "rate-runaway"),
    "soc_battery_empty": ("battery-low",),
    "soc_supercap_empty": ("supercap-low",),
    "rail_short_1000": ("bus-over-current-hard", "bus-under-voltage", "bus-failing"),
    "rail_short_60": ("bus-near-limit", "bus-over-current", "over-current-unsolved"),
    "load_stuck_on": ("load-disobeys",),
    "load_stuck_off": ("load-disobeys",),
    "dock_reverse": ("dock-reverse-current",),
    "gauge_empty": ("stores-conflict",),
    "gauge_full": ("stores-conflict",),
    "temperature_cold.battery": ("battery-not-charged", "battery-cold"),
    "temperature_cold.rcs": ("cluster-cold",),
    "temperature_warm": ("node-hot",),
    "temperature_hot": ("node-hot", "node-critical"),
    "dead.imu": ("imu-silent",),
    "dead.imu_b": ("inertial-unit-lost",),
    "dead.mag": ("direction-sensor-silent",),
    "dead.sun_": ("direction-sensor-silent",),
    "dead.valves_": ("valve-node-silent",),
    "dead.bus_monitor": ("power-sensor-silent",),
    "dead.battery_monitor": ("power-sensor-silent",),
    "dead.supercap": ("power-sensor-silent", "power-silent"),
    "dead.solar": ("power-sensor-silent",),
    "dead.ch_": ("power-sensor-silent",),
    "dead.dock_current": ("power-sensor-silent",),
    "dead.gauge": ("power-device-lost", "power-silent"),
    "dead.bms": ("power-device-lost",),
    "dead.dock_switch": ("power-device-lost",),
    "dead.pdu": ("power-device-lost",),
    "dead.temps_": ("thermometer-lost",),
    "dead.rtd_": ("thermometer-lost",),
    "dead.radar": ("surroundings-lost",),
    "dead.transponder": ("surroundings-lost",),
    **dict.fromkeys(("dead.dock_px", "dead.dock_nx", "dead.dock_py", "dead.dock_ny"), ("surroundings-lost",)),
    **dict.fromkeys(
        ("dead.mux", "dead.latch_", "dead.isolation", "dead.spectrum", "dead.tank", "dead.rtc", "dead.fram",
         "dead.flash"), ("part-lost",)
    ),
    "bus_silence_for_ever.usb": ("surroundings-lost",),
    "bus_silence_for_ever.usb3": ("star-tracker-silent",),
    "bus_absent_for_ever.usb": ("surroundings-lost", "bus-out"),
    "bus_absent_for_ever.usb3": ("star-tracker-silent", "bus-out"),
    **dict.fromkeys(
        ("bus_stuck_bus_long", "bus_stuck_bus_for_ever", "bus_hung_until_power", "bus_bus_off_for_ever"), ("bus-out",)
    ),
    "implausible_frozen.imu": ("gyro-frozen",),
    "gyro_frozen.imu": ("gyro-frozen",),
    "gyro_bias_": ("gyro-conflict", "gyro-units-differ"),
    "valve_driver_open": ("nozzle-stuck-off",),
    "valve_driver_short": ("nozzle-stuck-on", "rate-runaway"),
    "base_short_60": ("bus-near-limit", "bus-over-current", "over-current-unsolved"),
    "base_short_400": ("bus-over-current-hard", "bus-under-voltage", "bus-failing"),
    "voltage_bias_low.bus_monitor": ("bus-under-voltage", "bus-failing"),
    "supercap_dead": ("supercap-refuses-charge", "supercap-low"),
    "supercap_charger_dead": ("supercap-refuses-charge",),
    "heating": ("node-hot", "node-critical"),
    "heating.core": ("node-hot", "node-critical", "computer-hot"),
    "temperature_hot.core": ("node-hot", "node-critical", "computer-hot"),
    "cpu_late": ("late-ticks", "overrun-stop"),
    "cpu_hot": ("computer-hot",),
    "throttled": ("computer-throttled",),
    "memory_low": ("memory-low",),
    "memory_low.exhausted": ("memory-exhausted",),
    "disk_low": ("disk-low",),
    "disk_full": ("recorder-failed", "recorder-drops", "disk-low"),
    "card_dead": ("recorder-failed", "blackbox-lost"),
    "clock_jump": ("clock-jump",),
}
"""By the beginning of a fault's id; the longest that fits counts. A fault need not trip all of them."""


@dataclass(frozen=True, slots=True)
class RowTime:
    """One row of the fault table that tripped: time from when it could be seen, and from its trip, or the end of its
    cause, until it cleared; ``None``: it stood to the end of the run. In s."""

    row: str
    detected_s: float
    recovered_s: float | None


def rows_of(entry: Entry) -> tuple[str, ...]:
    """Rows that a fault is known to trip."""
    fitting = [begin for begin in ROWS if entry.id.startswith(begin)]
    return ROWS[max(fitting, key=len)] if fitting else ()


def row_times(rows: Sequence[str], due_ns: int, end_ns: int | None, events: Sequence[Told]) -> tuple[RowTime, ...]:
    """Times of the rows that tripped from ``due_ns`` on; ``end_ns`` is when their cause ended, if it did."""
    found = []
    for row in rows:
        tripped = next((e for e in events if e.t_ns >= due_ns and _is(e, row, "tripped")), None)
        if tripped is None:
            continue
        name = _name(tripped)
        cleared = next((e for e in events if e.t_ns > tripped.t_ns and e.part == tripped.part
                        and _name(e) == name and _is(e, row, "cleared")), None)
        since_ns = tripped.t_ns if end_ns is None else max(tripped.t_ns, end_ns)
        found.append(RowTime(
            row, (tripped.t_ns - due_ns) / NS, None if cleared is None else max(0, cleared.t_ns - since_ns) / NS,
        ))
    return tuple(found)


def _name(event: Told) -> str:
    """Monitor of an event of the core: the row's id, with its unit behind a colon where there are several."""
    return str(event.value["text"]).partition(" ")[0]


def _is(event: Told, row: str, word: str) -> bool:
    parts = str(event.value["text"]).split(" ", 2)
    return len(parts) > 1 and parts[1].rstrip(":") == word and parts[0].partition(":")[0] == row
