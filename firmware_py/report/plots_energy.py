"""Picture of energy and heat of a flight: loads and their answers, charges, sources, flows, the bus, temperatures.

Thresholds are drawn only where the body that flew is known. What an older record lacks is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from firmware_py.report.answers import HEATING, SHED, AnswerSpan, answer_spans
from firmware_py.report.plots_frame import (
    BLACK,
    BLUE,
    GREEN,
    MANY,
    ORANGE,
    PURPLE,
    SKY,
    SOFT,
    VERMILION,
    YELLOW,
    Array,
    channel,
    column,
    curve,
    explain,
    name_steps,
    save,
    stack,
    times,
    title_of,
)
from firmware_py.report.scope import FlightData, Row
from hal.profile import ConfigError, load_profile
from hal.profile.body import BodyConfig, ThermalNode

__all__ = ["ANSWER_COLOURS", "body_of", "draw_energy"]

ANSWER_COLOURS = {
    f"{SHED}low_soc": VERMILION, f"{SHED}thermal_overheat": PURPLE, f"{SHED}nbl_budget": SKY,
    f"{SHED}pdu_overcurrent": ORANGE, "rejected": BLACK, "degraded": BLUE, "limited": YELLOW, "SAFE": "#7f4f6b",
    HEATING: GREEN,
}
"""Colours of answers; those of the reasons for shedding are the same in the picture of a day (energy_plots.py)."""
ROWS_AT_MOST = 14
"""Loads with a row of their own; more are told by their number."""
ROW_HEIGHT = 0.105
"""Of a load, in heights of a plot."""
LEAST_BAR = 0.0015
"""Least length of a bar, as a share of the axis: what lasted for a moment is seen in a long flight too."""
NOTHING_W = 0.05
"""A power that never reaches this is left out."""
NEAR_K = 15.0
"""A limit of temperature is drawn when the node came that near to it."""
FEW_NODES = 6
"""So many nodes or fewer are all named; of more the telling ones are."""
TELLING = (("battery", GREEN), ("core", VERMILION), ("supercap", BLUE), ("hull", BLACK))
THIN = (0, (6, 3))
"""Dashes of a threshold."""


def body_of(data: FlightData) -> BodyConfig | None:
    """The body that flew, if the one that ships under its name still has, with the board, the recorded digest."""
    meta = data.metadata
    names = [str(meta.get(key) or "") for key in ("body", "board")]
    if not all(re.fullmatch(r"[\w-]+", name) for name in names):
        return None
    try:
        profile = load_profile(*names)
    except ConfigError:
        return None
    return profile.body if profile.digest == meta.get("hardware_profile_hash") else None


def draw_energy(data: FlightData, path: Path, body: BodyConfig | None = None) -> Path:
    """Draw the picture into the PNG ``path``, and return it. Raises OSError.

    ``body``: the one that flew, for the thresholds; if it is not given, the one of ``body_of``; without either there
    are no thresholds.
    """
    body = body_of(data) if body is None else body
    spans = answer_spans(data)
    strip = _strip_height(spans)
    picture, axes = stack(data, title_of(data, "energy and heat"), (*strip, 1.15, 0.85, 1.0, 0.7, 0.7, 1.2))
    charges, sources, flows, current, voltage, heat = axes[len(strip):]
    if strip:
        _draw_loads(axes[0], spans)
    _draw_charges(charges, data, body)
    _draw_sources(sources, data)
    _draw_flows(flows, data, body)
    _draw_current(current, data, body)
    _draw_voltage(voltage, data, body)
    _draw_heat(heat, data, body)
    name_steps(picture, picture.axes[0], data)
    return save(picture, axes, path)


# -- loads


def _rows(spans: Sequence[AnswerSpan]) -> list[str]:
    """Names of the rows; the last one stands for all that have none."""
    loads = list(dict.fromkeys(span.load for span in spans))
    if len(loads) <= ROWS_AT_MOST:
        return loads
    return [*loads[: ROWS_AT_MOST - 1], f"{len(loads) - ROWS_AT_MOST + 1} more"]


def _strip_height(spans: Sequence[AnswerSpan]) -> tuple[float, ...]:
    """Height for the rows and for the words beside them; nothing if there is nothing to show."""
    lines = max(len(_rows(spans)), len({span.word for span in spans}))
    return (0.06 + ROW_HEIGHT * lines,) if lines else ()


def _draw_loads(axes: Axes, spans: Sequence[AnswerSpan]) -> None:
    names = _rows(spans)
    first, last = axes.get_xlim()
    least = LEAST_BAR * (last - first)
    for span in spans:
        row = names.index(span.load) if span.load in names else len(names) - 1
        width = max(span.end_s - span.start_s, least)
        axes.barh(row + 0.5, width, left=min(span.start_s, last - width), height=0.78, lw=0, zorder=2.0,
                  color=ANSWER_COLOURS.get(span.word, SOFT))
    axes.set_ylim(len(names), 0.0)
    axes.set_yticks([index + 0.5 for index in range(len(names))], names, fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.grid(False)
    words = {span.word for span in spans}
    shown = [word for word in ANSWER_COLOURS if word in words] + sorted(words - set(ANSWER_COLOURS))
    patches = [Patch(color=ANSWER_COLOURS.get(word, SOFT), label=word) for word in shown]
    explain(axes, "loads", patches)


# -- charges


def _draw_charges(axes: Axes, data: FlightData, body: BodyConfig | None) -> None:
    t, t_true = times(data.snapshots), times(data.truth)
    for key, colour, name in (("battery", GREEN, "battery"), ("supercap", BLUE, "supercap")):
        values = 100 * channel(data.snapshots, f"soc_{key}")
        sigma = 100 * _named(data.snapshots, "soc_sigma", key)
        if np.isfinite(values + sigma).any():
            axes.fill_between(t, values - 3 * sigma, values + 3 * sigma, color=colour, alpha=0.22, lw=0)
        curve(axes, t, values, colour, name)
        curve(axes, t_true, 100 * channel(data.truth, f"soc_{key}"), BLACK, f"{name}, true", ":", 1.0)
    extra: list[Patch | Line2D] = []
    if axes.collections:
        extra.append(Patch(color=SOFT, alpha=0.4, lw=0, label="three sigma"))
    if axes.lines and body is not None:
        for level, colour, words in _levels(body):
            extra.append(_threshold(axes, 100 * level, colour, f"{words}, {100 * level:g} %"))
    if axes.lines or axes.collections:
        axes.set_ylim(-2.0, 102.0)
    explain(axes, "charge\n%", extra)


def _levels(body: BodyConfig) -> list[tuple[float, str, str]]:
    """Level, colour and words of the thresholds, from high to low; those at the same height share a line."""
    battery, stack_ = body.power.battery, body.power.supercap
    listed = (
        (stack_.boost_soc, SKY, "T_boost"), (stack_.hold_soc, SKY, "T_hold"),
        (battery.unshed_soc, ORANGE, "shedding ends"), (battery.shed_soc, VERMILION, "shedding begins"),
        (battery.safe_soc, PURPLE, "SAFE"), (stack_.safe_soc, PURPLE, "SAFE"),
    )
    found: dict[float, tuple[str, str]] = {}
    for level, colour, words in listed:
        colour_, before = found.get(level, (colour, ""))
        found[level] = (colour_, before if words in before else f"{before}, {words}".lstrip(", "))
    return [(level, *found[level]) for level in sorted(found, reverse=True)]


def _threshold(axes: Axes, level: float, colour: str, label: str) -> Line2D:
    """A thin line across the plot; what is returned goes into the legend, below the curves."""
    axes.axhline(level, color=colour, lw=0.9, ls=THIN, zorder=1.2)
    return Line2D([], [], color=colour, lw=0.9, ls=THIN, label=label)


# -- powers


def _draw_sources(axes: Axes, data: FlightData) -> None:
    """What the panel gave against what was there, and the dock. Of a real craft what was measured."""
    truth, t = data.truth, times(data.truth)
    there, given = channel(truth, "array_max_w"), channel(truth, "array_w")
    extra: list[Patch | Line2D] = []
    if np.isfinite(there + given).any():
        # Where a full battery wants no more, nothing is lost.
        wanted = column(truth, lambda row: row.get("panel_wanted")) != 0.0
        for where, colour, label in ((wanted, VERMILION, "lost"), (~wanted, SOFT, "not wanted")):
            gap = where & (there - given > NOTHING_W)
            if gap.any():
                axes.fill_between(t, given, there, where=gap, color=colour, alpha=0.35, lw=0)
                extra.append(Patch(color=colour, alpha=0.35, lw=0, label=label))
        curve(axes, t, there, SOFT, "panel, was there", "--")
    curve(axes, t, given, ORANGE, "panel, delivered")
    measured = channel(data.snapshots, "panel_power_w")
    if not truth:
        curve(axes, times(data.snapshots), measured, ORANGE, "panel, measured")
    _power(axes, data, "dock_w", "dock", PURPLE, "dock")
    _power(axes, data, "spilled_w", "spilled", BLUE, "spilled", "--")
    if axes.lines:
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    if _shade_shadow(axes, data):
        extra.append(Patch(color="#cfd5db", lw=0, label="in shadow"))
    explain(axes, "sources\nW", extra)


def _power(axes: Axes, data: FlightData, true: str, said: str, colour: str, label: str, style: str = "-") -> None:
    """A power that was ever there: true, or what the craft reckons if no truth has it."""
    rows, values = data.truth, channel(data.truth, true)
    if not np.isfinite(values).any():
        rows, values = data.snapshots, _named(data.snapshots, "flows_w", said)
    if np.isfinite(values).any() and float(np.nanmax(np.abs(values))) >= NOTHING_W:
        curve(axes, times(rows), values, colour, label, style)


def _shade_shadow(axes: Axes, data: FlightData) -> bool:
    """Behind all: where less than half of the Sun shines."""
    t, light = times(data.truth), channel(data.truth, "illumination")
    dark = light < 0.5
    if not dark.any():
        return False
    axes.fill_between(t, 0.0, 1.0, where=dark, transform=axes.get_xaxis_transform(), color="#cfd5db", lw=0, zorder=0.5,
                      step="post")
    return True


def _draw_flows(axes: Axes, data: FlightData, body: BodyConfig | None) -> None:
    """Who took and which store paid. A store's power is positive out of it."""
    rows, t = data.snapshots, times(data.snapshots)
    peaks = channel(data.truth, "valve_w") + channel(data.truth, "peak_w")
    t_peaks = times(data.truth)
    if not np.isfinite(peaks).any():
        peaks, t_peaks = _named(rows, "flows_w", "peaks"), t
    if np.isfinite(peaks).any() and float(np.nanmax(peaks)) >= NOTHING_W:
        axes.fill_between(t_peaks, 0.0, peaks, color=PURPLE, alpha=0.6, lw=0, step="post",
                          label="thrusters, peaks")
    curve(axes, t, _named(rows, "flows_w", "battery"), GREEN, "out of battery")
    curve(axes, t, _named(rows, "flows_w", "supercap"), SKY, "out of supercap", "-", 1.0)
    _power(axes, data, "load_w", "loads", BLUE, "loads with heaters")
    if body is not None:
        powers = {heater.load: heater.power_w for heater in body.thermal.heaters}
        heating = column(rows, lambda row: _heating(row, powers))
        if np.isfinite(heating).any() and float(np.nanmax(heating)) > 0.0:
            curve(axes, t, heating, VERMILION, "heaters, as told")
    _power(axes, data, "unserved_w", "unserved", BLACK, "not served", ":")
    if axes.lines or axes.collections:
        axes.axhline(0.0, color=SOFT, lw=0.7, zorder=1.1)
    explain(axes, "power\nW")


def _heating(row: Any, powers: dict[str, float]) -> float | None:
    heaters = row.get("heaters")
    return None if heaters is None else sum(powers.get(name, 0.0) for name in heaters)


# -- the bus


def _draw_current(axes: Axes, data: FlightData, body: BodyConfig | None) -> None:
    t, amperes = times(data.snapshots), channel(data.snapshots, "bus_current_a")
    curve(axes, t, amperes, BLUE, "bus current")
    curve(axes, t, channel(data.snapshots, "battery_current_a"), GREEN, "out of battery")
    told = channel(data.truth, "bus_limit_a")
    limits = told[np.isfinite(told)]
    limit = float(limits[-1]) if limits.size else None if body is None else body.power.bus.current_limit_a
    extra: list[Patch | Line2D] = []
    if limit is not None and axes.lines:
        extra.append(_threshold(axes, limit, VERMILION, f"limit, {limit:g} A"))
        over = amperes > limit
        if over.any():
            axes.fill_between(t, limit, amperes, where=over, color=VERMILION, alpha=0.4, lw=0)
            extra.append(Patch(color=VERMILION, alpha=0.4, lw=0, label="overload"))
    explain(axes, "current\nA", extra)


def _draw_voltage(axes: Axes, data: FlightData, body: BodyConfig | None) -> None:
    curve(axes, times(data.snapshots), channel(data.snapshots, "bus_voltage_v"), BLUE, "bus")
    curve(axes, times(data.truth), channel(data.truth, "bus_voltage_v"), BLACK, "bus, true", ":", 1.0)
    extra: list[Patch | Line2D] = []
    if body is not None and axes.lines:
        bus = body.power.bus
        extra = [
            _threshold(axes, bus.full_v, SOFT, f"full, {bus.full_v:g} V"),
            _threshold(axes, bus.empty_v, VERMILION, f"lowest, {bus.empty_v:g} V"),
        ]
        axes.margins(y=0.1)
    explain(axes, "voltage\nV", extra)


# -- heat


def _draw_heat(axes: Axes, data: FlightData, body: BodyConfig | None) -> None:
    rows, t = data.snapshots, times(data.snapshots)
    names = list(dict.fromkeys(name for _, row in rows for name in row.get("temperature_c") or {}))
    table = {name: _named(rows, "temperature_c", name) for name in names}
    extra: list[Patch | Line2D] = []
    if len(names) <= FEW_NODES:
        colours = dict(zip(names, MANY, strict=False))
        for name in names:
            curve(axes, t, table[name], colours[name], name)
    else:
        colours = {name: colour for name, colour in TELLING if name in table}
        clusters = _clusters(names, body)
        others = [name for name in names if name not in colours and name not in clusters]
        for name in others:
            curve(axes, t, table[name], "#b3bcc5", "_" if name != others[0] else _tell(others), "-", 0.9)
        for name, colour in colours.items():
            curve(axes, t, table[name], colour, name)
        _draw_clusters(axes, t, [table[name] for name in clusters])
        colours |= dict.fromkeys(clusters, PURPLE)
    if body is not None and axes.lines:
        extra = _heat_limits(axes, body, table, colours)
    explain(axes, "temperature\ndeg C", extra)


def _tell(others: Sequence[str]) -> str:
    return others[0] if len(others) == 1 else f"{len(others)} other nodes"


def _clusters(names: Sequence[str], body: BodyConfig | None) -> list[str]:
    if body is None:
        return [name for name in names if name.startswith("rcs_")]
    clusters = {nozzle.cluster for nozzle in body.propulsion.nozzles}
    return [name for name in names if name in clusters]


def _draw_clusters(axes: Axes, t: Array, listed: Sequence[Array]) -> None:
    """Coldest and hottest of the clusters, and what lies between."""
    if not listed:
        return
    table = np.vstack(listed)
    known = np.isfinite(table).any(axis=0)
    coldest = np.where(known, np.min(np.where(np.isfinite(table), table, np.inf), axis=0), np.nan)
    hottest = np.where(known, np.max(np.where(np.isfinite(table), table, -np.inf), axis=0), np.nan)
    axes.fill_between(t, coldest, hottest, color=PURPLE, alpha=0.2, lw=0)
    curve(axes, t, hottest, PURPLE, "hottest cluster")
    curve(axes, t, coldest, PURPLE, "coldest cluster", "--")


def _heat_limits(
    axes: Axes, body: BodyConfig, table: dict[str, Array], colours: dict[str, str]
) -> list[Patch | Line2D]:
    """Trips and cold bars that a drawn node came near to; equal ones of several nodes are one line."""
    found: dict[tuple[float, str], str] = {}
    for node in body.thermal.nodes:
        values = table.get(node.name)
        if values is None or node.name not in colours or not np.isfinite(values).any():
            continue
        kind = "cluster" if colours[node.name] == PURPLE else node.name
        for level, words in _near(node, float(np.nanmin(values)), float(np.nanmax(values))):
            found.setdefault((level, f"{kind}: {words}, {level:g} C"), colours[node.name])
    return [_threshold(axes, level, colour, label) for (level, label), colour in sorted(found.items(), reverse=True)]


def _near(node: ThermalNode, coldest: float, hottest: float) -> list[tuple[float, str]]:
    bars = (
        (node.no_charge_below_c, "no charge below"), (node.no_discharge_below_c, "no discharge below"),
        (node.no_fire_below_c, "no pulses below"),
    )
    listed = [(level, words) for level, words in bars if level is not None and coldest < level + NEAR_K]
    if hottest > node.trip_c - NEAR_K:
        listed.append((node.trip_c, "trip"))
    return listed


# -- tables in channels


def _named(rows: Sequence[Row], key: str, name: str) -> Array:
    """A column out of a table by name."""
    return column(rows, lambda row: (row.get(key) or {}).get(name))
