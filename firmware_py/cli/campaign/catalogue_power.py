"""Faults of sources, stores, gauges, loads, dock and heat, from the body's power and thermal tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from firmware_py.cli.campaign.entries import DETECTION_GOAL_S, Entry, FaultClass, Shown
from hal.profile import Profile
from hil.rig_faults_power import FROZEN, GAUGES, MONITORS

__all__ = ["power_entries"]

POWER, HEAT = FaultClass.POWER, FaultClass.HEAT
POWER_GOAL_S = DETECTION_GOAL_S["power"]
HEAT_GOAL_S = DETECTION_GOAL_S["thermal"]
LONG_S = 6.0
COLD_C = -38.0
"""Below every limit of the body, and still within what the parts can measure (-40)."""
HOT_CODES = frozenset({
    "THERMAL_NODE_HOT", "THERMAL_NODE_CRITICAL", "SAFE_THERMAL_CRITICAL", "THERMAL_TRIP", "RCS_CLUSTER_HOT",
    "SENSOR_HEAD_HOT", "COMMS_HOT", "BAT_HOT", "CAP_HOT", "PDU_THERMAL_BLOCK", "BAYONET_THERMAL_BLOCK",
})
COLD_CODES = frozenset({"BAT_COLD", "SAFE_POWER_LOW", "RCS_CLUSTER_COLD", "THERMAL_BLOCK"})


def power_entries(profile: Profile) -> Iterator[Entry]:
    """Entries of classes power and heat."""
    yield from _sources(profile)
    yield from _stores(profile)
    yield from _loads(profile)
    yield from _heat(profile)


def _entry(name: str, kind: str, *, part: str = "", for_s: float | None = None, **parameters: Any) -> Entry:
    """A fault of power that need not be seen; one of a group if ``part`` says which."""
    return Entry(f"{name}.{part}" if part else name, name, POWER, kind, parameters, for_s)


def _sources(profile: Profile) -> Iterator[Entry]:
    for share in (0.0, 0.5):
        yield _entry(f"panel_{share:g}", "panel", factor=share)
        yield _entry(f"lighting_{share:g}", "lighting", factor=share, for_s=LONG_S)
        for wing in (0, 1):
            yield _entry(f"wing_{share:g}", "wing", part=str(wing), index=wing, factor=share)
    dock = profile.body.power.dock
    if dock is not None:
        yield _entry("dock_mated", "dock", for_s=LONG_S)
        yield _entry("dock_reverse", "dock", for_s=LONG_S, voltage_v=dock.voltage_v - 4.0, power_w=0.0, sink_w=30.0)
        yield _entry("dock_reversed_poles", "dock", for_s=LONG_S, voltage_v=-dock.voltage_v)
        yield _entry("dock_over_voltage", "dock", for_s=LONG_S, voltage_v=2.0 * dock.voltage_v)


def _stores(profile: Profile) -> Iterator[Entry]:
    codes = {"battery": frozenset({"SAFE_POWER_LOW", "BAT_LOW", "BATTERY_EMPTY", "POWER_TELEM_CONFLICTING"}),
             "supercap": frozenset({"SAFE_CAP_LOW", "CAP_LOW", "POWER_TELEM_CONFLICTING"})}
    for store, seen in codes.items():
        yield Entry(f"soc_{store}_empty", f"soc_{store}_empty", POWER, f"soc_{store}", {"value": 0.02},
                    shown=Shown.AT_ONCE, codes=seen, goal_s=POWER_GOAL_S, tags=frozenset({f"no {store}"}))
        yield _entry(f"soc_{store}_low", f"soc_{store}", value=0.2)
        yield _entry(f"soc_{store}_full", f"soc_{store}", value=1.0)
        for factor in (0.3, 1.3):
            yield _entry(f"{store}_capacity_{factor:g}", f"{store}_capacity", factor=factor)
    for times in (4.0, 40.0):
        yield _entry(f"supercap_esr_{times:g}", "supercap_esr", factor=times)
    for device in profile.board.devices:
        if device.role in GAUGES:
            for word, value in (("empty", 0.0), ("full", 1.0), ("mad", 1.8), (FROZEN, FROZEN)):
                yield Entry(f"gauge_{word}.{device.name}", f"gauge_{word}", POWER, "gauge",
                            {"device": device.name, "value": value}, units=frozenset({device.name}))
        if device.role in MONITORS:
            for word, share in (("high", 0.5), ("low", -0.5)):
                yield _entry(f"current_bias_{word}_{device.role}", "current_bias", part=device.name,
                             device=device.name, share=share)


def _loads(profile: Profile) -> Iterator[Entry]:
    loads = [load.name for load in profile.body.power.loads if not load.base]
    heaters = [heater.load for heater in profile.body.thermal.heaters]
    for name in (*loads, *heaters):
        group = "heater" if name in heaters else name
        for word, drawing in (("on", True), ("off", False)):
            yield _entry(f"load_stuck_{word}_{group}", "load_stuck", part=name, load=name, drawing=drawing)
        for watts in (60.0, 1000.0):
            yield _entry(f"rail_short_{watts:g}_{group}", "rail_short", part=name, load=name, watts=watts)


def _heat(profile: Profile) -> Iterator[Entry]:
    measured = _measured(profile)
    for node in profile.body.thermal.nodes:
        group = "cluster" if node.name.startswith("rcs_") else node.name
        seen = node.name in measured
        due = Shown.AT_ONCE if seen else Shown.NEVER
        for word, celsius in (("warm", 0.5 * (node.warn_c + node.trip_c)), ("hot", node.trip_c + 8.0)):
            yield Entry(
                f"temperature_{word}.{node.name}", f"temperature_{word}_{group}", HEAT, "temperature",
                {"node": node.name, "celsius": celsius}, shown=due, codes=HOT_CODES if seen else frozenset(),
                goal_s=HEAT_GOAL_S if seen else None,
                safe_within_s=HEAT_GOAL_S if seen and word == "hot" else None,
            )
        yield Entry(f"temperature_cold.{node.name}", f"temperature_cold_{group}", HEAT, "temperature",
                    {"node": node.name, "celsius": COLD_C})
    for celsius in (-120.0, 150.0):
        yield Entry(f"ambient_{celsius:g}", f"ambient_{celsius:g}", HEAT, "ambient", {"celsius": celsius})


def _measured(profile: Profile) -> frozenset[str]:
    """Thermal nodes that a device of the board measures."""
    nodes = {node.name for node in profile.body.thermal.nodes}
    found: set[str] = set()
    for device in profile.board.devices:
        found |= set(device.settings.get("nodes", ()))
        if device.role == "rtd":
            found.add(device.name.removeprefix("rtd_"))
    return frozenset(found & nodes)
