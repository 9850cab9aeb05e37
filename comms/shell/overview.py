"""The craft on one screen: mode, SAFE, energy, heat, motion, propellant, devices, faults, link. Missing is missing."""

from __future__ import annotations

from collections.abc import Mapping
from math import degrees, hypot
from typing import Any

from comms.shell.show import MISSING, clock, listed, number, percent, plain, rows, seconds
from comms.shell.view import CraftView

__all__ = ["STALE_NS", "overview"]

STALE_NS = 2_000_000_000
"""Age from which on telemetry is said to be old."""


def overview(view: CraftView, now_ns: int, columns: int) -> list[str]:
    """Lines of the overview."""
    if view.snapshot is None:
        return ["no telemetry yet"]
    get = view.value
    table = [
        ("craft", _craft(view, now_ns)),
        ("mode", f"{_text(get('motion'))}, emission {_text(get('emission'))}, step {_text(get('step'))}"
                 f", phase {_text(get('phase'))}, valves {_flag(get('armed'), 'armed', 'not armed')}"),
        ("SAFE", _safe(view)),
        ("energy", _energy(view)),
        ("flows", _flows(view)),
        ("heat", _heat(view)),
        ("motion", _motion(view)),
        ("propellant", f"{_unit(get('propellant_kg'), 'kg')}; nozzles out of use {listed(get('masked_nozzles'))}"),
        ("devices", _devices(get("devices"), get("bus_failures"))),
        ("faults", f"{listed(get('faults'))}; power {listed(get('power_faults'))}"),
    ]
    table += [("link", _link(view))]
    table += [("link", f"{plain(name)} {plain(words)}") for name, words in (view.link() if view.link else ())]
    return rows(table, columns)


def _craft(view: CraftView, now_ns: int) -> str:
    start = "" if view.start is None else f", start {view.start}"
    age = view.age_ns(now_ns)
    old = f", telemetry is {seconds(age, 1)} old" if age is not None and age >= STALE_NS else ""
    return f"{view.craft.name or 'craft'}{start}, t {_unit(view.value('t_s'), 's', 7)}{old}"


def _safe(view: CraftView) -> str:
    state = _text(view.value("safe"))
    reasons = view.value("safe_reasons")
    text = state if not reasons else f"{state}: {listed(reasons)}"
    still = view.value("safe_open")
    return f"{text}; to leave: {listed(still)}" if still else text


def _energy(view: CraftView) -> str:
    get = view.value
    trust = get("soc_trust")
    parts = []
    for store, channel in (("battery", "soc_battery"), ("supercap", "soc_supercap")):
        how = trust.get(store) if isinstance(trust, Mapping) else None
        parts.append(f"{store} {percent(get(channel))}" + ("" if how in (None, "trusted") else f" ({plain(how)})"))
    parts.append(f"bus {_unit(get('bus_voltage_v'), 'V')} {_unit(get('bus_current_a'), 'A')}")
    parts.append(f"peaks {_text(get('peak_level'))}")
    empty = get("time_to_empty_s")
    return ", ".join(parts) + (f", empty in {clock(empty)}" if empty is not None else "")


def _flows(view: CraftView) -> str:
    flows = view.value("flows_w")
    get = flows.get if isinstance(flows, Mapping) else lambda _: None
    shed = view.value("shed")
    words = f"array {_unit(get('array'), 'W')}, dock {_unit(get('dock'), 'W')}, loads {_unit(get('loads'), 'W')}"
    reasons = view.value("shed_reasons")
    return f"{words}; shed {listed(shed)}" + (f" for {listed(reasons)}" if reasons else "")


def _heat(view: CraftView) -> str:
    nodes = view.value("temperature_c")
    states = view.value("heat_states")
    if not isinstance(nodes, Mapping) or not nodes:
        return f"temperatures {MISSING}"
    known = {name: value for name, value in nodes.items() if isinstance(value, int | float)}
    silent = [name for name in nodes if name not in known]
    text = MISSING
    if known:
        hot, cold = max(known, key=known.__getitem__), min(known, key=known.__getitem__)
        text = f"{plain(cold)} {known[cold]:.1f} to {plain(hot)} {known[hot]:.1f} deg C"
    text += f"; computer {_unit(view.value('computer_c'), 'deg C', 3)}"
    text += f"; missing {listed(silent)}" if silent else ""
    return f"{text}; not nominal {listed(states)}"


def _motion(view: CraftView) -> str:
    get = view.value
    rate = get("rate_rad_s")
    parts = [x for x in rate if isinstance(x, int | float)] if isinstance(rate, list | tuple) else []
    total = hypot(*parts) if len(parts) == 3 else None
    known = _flag(get("attitude_known"), "", ", attitude not known")
    return (
        f"rate {_degrees(total, 'deg/s')}, attitude error {_degrees(get('attitude_error_rad'), 'deg')}, "
        f"position error {_unit(get('position_error_m'), 'm', 3)}{known}"
    )


def _devices(states: Any, failures: Any) -> str:
    return f"not OK: {listed(states)}; failed transfers {_unit(failures, '-')}"


def _link(view: CraftView) -> str:
    get = view.value
    if all(get(name) is None for name in ("link_peers", "emcon_level", "link_used_j", "intrusion_alerts")):
        return MISSING
    peers = listed(get("link_peers"))
    level = get("emcon_level")
    return (
        f"peers {peers}; emission control level {_unit(level, '-')}; energy used {_unit(get('link_used_j'), 'J')}; "
        f"intrusion alerts {listed(get('intrusion_alerts'))}"
    )


def _degrees(value: Any, unit: str) -> str:
    return f"{degrees(value):.3g} {unit}" if isinstance(value, int | float) else MISSING


def _unit(value: Any, unit: str, digits: int = 4) -> str:
    if value is None:
        return MISSING
    return number(value, digits) + ("" if unit == "-" else f" {unit}")


def _text(value: Any) -> str:
    return MISSING if value is None else plain(value) or "-"


def _flag(value: Any, yes: str, no: str) -> str:
    return MISSING if value is None else yes if value else no
