"""Pictures of a day of energy, flown or foreseen: who gave and who took, the charges with their thresholds, the heat.

The same rows draw the same PNG bytes. Style and colours are those of the flight report (plots.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import nan
from pathlib import Path
from typing import Any, Protocol

import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Picture
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MultipleLocator

from firmware_py.energy.forecast_plan import ShedSpan
from firmware_py.report.plots_frame import (
    BLACK,
    BLUE,
    GREEN,
    MODE_COLOURS,
    ORANGE,
    PURPLE,
    SKY,
    SOFT,
    STYLE,
    VERMILION,
    WIDTH_IN,
    YELLOW,
)
from hal.profile.body import BodyConfig

__all__ = ["EnergyDay", "draw_energy_day"]

Array = npt.NDArray[np.float64]
HOUR_S = 3600.0

SOURCES = (("array", "#f2b134"), ("dock", PURPLE), ("battery gives", "#7cc8a8"), ("supercap gives", "#8fb8dc"))
SINKS = (
    ("loads", BLUE), ("heaters", VERMILION), ("peaks", BLACK), ("losses", SOFT), ("battery takes", GREEN),
    ("supercap takes", SKY),
)
REASONS = {
    "low_soc": VERMILION, "thermal_overheat": PURPLE, "nbl_budget": SKY, "pdu_overcurrent": ORANGE,
}
"""Colours of the reasons for load shedding."""
DARK = "#3c4650"
NOTHING_W = 0.05
"""A flow that never reaches this is left out of the legend."""
STRIP_IN = 0.16
LEAST_BAR = 0.0015
"""Least length of a bar, as a share of the axis: what lasted for seconds is seen in a day too."""
LATE = 0.9
"""Share of the axis from which a marker's word stands before its line."""
NAMES_TOP = 114.0
"""Top of the axis of charges, in percent, where markers have words."""
ROWS_AT_MOST = 12
"""Loads in the strip of sheds; more are told by their number."""


class EnergyRowLike(Protocol):
    """What a row must have: of a flight or of a forecast."""

    t_s: float
    soc_battery: float
    soc_supercap: float
    array_w: float
    dock_w: float
    loads_w: float
    heaters_w: float
    peaks_w: float
    battery_w: float
    supercap_w: float
    spilled_w: float
    unserved_w: float
    temperatures_c: tuple[float, ...]
    bus_on: bool


@dataclass(frozen=True, slots=True)
class EnergyDay:
    """What is drawn. ``rows`` by rising time; ``second`` are charges of another run or opinion (s, battery, stack) with
    its name; ``markers`` are moments, s, with a word."""

    title: str
    body: BodyConfig
    node_names: tuple[str, ...]
    rows: Sequence[Any]
    sheds: Sequence[ShedSpan] = ()
    second: Sequence[tuple[float, float | None, float | None]] = ()
    second_name: str = ""
    ambient_c: float | None = None
    markers: Mapping[str, float] = field(default_factory=dict)
    steps_until_s: float | None = None
    """Powers hold from a row's time on, the last until this time (a forecast); ``None``: they are means of the time
    before it (a flight)."""

    @property
    def steps(self) -> bool:
        """Whether powers hold from a row's time on."""
        return self.steps_until_s is not None


def draw_energy_day(day: EnergyDay, path: Path) -> Path:
    """Draw flows, charges and temperatures into a PNG. Raises ValueError for fewer than two rows, and OSError."""
    if len(day.rows) < 2:
        raise ValueError("a picture needs at least two rows")
    with matplotlib.style.context(["default", STYLE]):
        picture, strip, axes = _frame(day)
        _strip(strip, day)
        _flows(axes[0], day)
        _charges(axes[1], day)
        _temperatures(axes[2], day)
        for one in axes:
            for label, t_s in day.markers.items():
                one.axvline(t_s / HOUR_S, color=BLACK, lw=0.8, ls=":", zorder=1.5)
                if one is axes[1]:
                    _name(one, label, t_s / HOUR_S)
        picture.align_ylabels(list(axes))
        # The name of the drawing library's version would make the bytes depend on it.
        picture.savefig(path, metadata={"Software": None})
    return path


def _name(axes: Axes, label: str, hours: float) -> None:
    first, last = axes.get_xlim()
    late = hours - first > LATE * (last - first)
    axes.annotate(
        label, (hours, 1.0), xycoords=("data", "axes fraction"), xytext=(-3 if late else 3, -2),
        textcoords="offset points", ha="right" if late else "left", va="top", fontsize=8, color=BLACK,
    )


def _frame(day: EnergyDay) -> tuple[Picture, Axes, list[Axes]]:
    lines = 2 + len(_shed_loads(day))
    strip_in = 0.12 + STRIP_IN * lines
    heights = [strip_in, 2.9, 2.1, 1.9]
    layout = ConstrainedLayoutEngine(h_pad=0.03, w_pad=0.05, hspace=0.02)
    picture = Picture(figsize=(WIDTH_IN, sum(heights) + 1.0), layout=layout)
    FigureCanvasAgg(picture)
    grid = picture.add_gridspec(4, 1, height_ratios=heights)
    strip = picture.add_subplot(grid[0])
    axes = [picture.add_subplot(grid[1 + index], sharex=strip) for index in range(3)]
    picture.suptitle(day.title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    hours = (day.rows[-1].t_s if day.steps_until_s is None else day.steps_until_s) / HOUR_S
    begin = day.rows[0].t_s / HOUR_S if day.steps else 0.0
    strip.set_xlim(begin, hours)
    axes[-1].xaxis.set_major_locator(MultipleLocator(_tick(hours - begin)))
    for one in (strip, *axes[:-1]):
        one.tick_params(labelbottom=False)
    axes[-1].set_xlabel("time, h")
    return picture, strip, axes


def _tick(hours: float) -> float:
    return next((step for step in (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 6.0, 12.0, 24.0) if hours / step <= 13.0), 48.0)


# -- the strip: mode, light, sheds


def _shed_loads(day: EnergyDay) -> list[str]:
    loads = list(dict.fromkeys(span.load for span in day.sheds))
    return loads if len(loads) <= ROWS_AT_MOST else loads[: ROWS_AT_MOST - 1]


def _strip(strip: Axes, day: EnergyDay) -> None:
    loads = _shed_loads(day)
    names = ["mode", "light", *loads]
    count = len(names)
    strip.set_ylim(count, 0.0)
    strip.set_yticks([index + 0.5 for index in range(count)], names)
    strip.tick_params(length=0)
    strip.grid(False)
    for spine in strip.spines.values():
        spine.set_visible(False)
    modes = _spans(day, lambda row: "off" if not row.bus_on else str(getattr(row.motion, "value", row.motion)))
    for start, end, mode in modes:
        _bar(strip, 0, start, end, DARK if mode == "off" else MODE_COLOURS.get(mode, SOFT))
    for start, end, lit in _spans(day, _lit):
        _bar(strip, 1, start, end, YELLOW if lit == "sun" else "#59636d")
    for span in day.sheds:
        if span.load in loads:
            _bar(strip, 2 + loads.index(span.load), span.start_s, span.end_s, REASONS.get(span.reason, SOFT))
    shown = dict.fromkeys(mode for _, _, mode in modes)
    handles = [Patch(color=MODE_COLOURS.get(mode, SOFT), label=mode) for mode in shown if mode != "off"]
    if "off" in shown:
        handles.append(Patch(color=DARK, label="no power"))
    handles += [
        Patch(color=REASONS.get(reason, SOFT), label=f"shed: {reason}")
        for reason in dict.fromkeys(span.reason for span in day.sheds)
    ]
    strip.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.005, 1.05), borderaxespad=0, labelspacing=0.25)


def _bar(strip: Axes, row: int, start_s: float, end_s: float, colour: str) -> None:
    first, last = strip.get_xlim()
    width = max((end_s - start_s) / HOUR_S, LEAST_BAR * (last - first))
    strip.barh(row + 0.5, width, left=min(start_s / HOUR_S, last - width), height=0.8, color=colour, lw=0)


def _lit(row: Any) -> str:
    light = getattr(row, "illumination", None)
    return "sun" if (row.array_w + row.spilled_w > 0.0 if light is None else light > 0.0) else "dark"


def _spans(day: EnergyDay, word: Any) -> list[tuple[float, float, str]]:
    """Spans of equal words, s."""
    rows = day.rows
    spans: list[tuple[float, float, str]] = []
    times = [row.t_s for row in rows]
    edges = [0.0, *times] if day.steps_until_s is None else [*times, day.steps_until_s]
    for row, (start, end) in zip(rows, pairwise(edges), strict=True):
        value = word(row)
        if spans and spans[-1][2] == value:
            spans[-1] = (spans[-1][0], end, value)
        else:
            spans.append((start, end, value))
    return spans


# -- flows


def _flows(axes: Axes, day: EnergyDay) -> None:
    """Sources upwards, consumers downwards: both sides are equal at every moment."""
    given, taken = _table(day)
    hours = _hours(day)
    for table, names, sign in ((given, SOURCES, 1.0), (taken, SINKS, -1.0)):
        floor = np.zeros_like(hours)
        for name, colour in names:
            values = table[name]
            if float(values.max()) < NOTHING_W:
                continue
            top = floor + sign * values
            axes.fill_between(hours, floor, top, color=colour, lw=0, label=name, step=_step(day))
            floor = top
    spare = _column(day, "spilled_w")
    if float(spare.max()) >= NOTHING_W:
        top = sum((given[name] for name, _ in SOURCES), np.zeros_like(hours))
        _outline(axes, day, top + spare, spare, ORANGE, "spilled, on top")
    # Without a bus nothing is served, and the strip says so.
    lacking = _column(day, "unserved_w") * _column(day, "bus_on")
    if float(lacking.max()) >= NOTHING_W:
        bottom = -sum((taken[name] for name, _ in SINKS), np.zeros_like(hours))
        _outline(axes, day, bottom - lacking, lacking, PURPLE, "unserved, below")
    axes.axhline(0.0, color=BLACK, lw=0.9)
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    _explain(axes, "consumers down, sources up\nW")


def _outline(axes: Axes, day: EnergyDay, level: Array, extra: Array, colour: str, label: str) -> None:
    """A line where there is something of it."""
    values = np.where(extra >= NOTHING_W, level, nan)
    hours = _hours(day)
    axes.plot(hours, values, color=colour, lw=1.0, ls="--", drawstyle=_draw(day), label=label)


def _hours(day: EnergyDay) -> Array:
    """Times of the rows, h; of a forecast with the end, to which the last powers are held."""
    times = [row.t_s for row in day.rows]
    return np.array(times if day.steps_until_s is None else [*times, day.steps_until_s], dtype=np.float64) / HOUR_S


def _column(day: EnergyDay, name: str) -> Array:
    values = [float(getattr(row, name)) for row in day.rows]
    return np.array(values if day.steps_until_s is None else [*values, values[-1]], dtype=np.float64)


def _table(day: EnergyDay) -> tuple[dict[str, Array], dict[str, Array]]:
    battery, stack = _column(day, "battery_w"), _column(day, "supercap_w")
    given = {
        "array": _column(day, "array_w"), "dock": np.maximum(_column(day, "dock_w"), 0.0),
        "battery gives": np.maximum(battery, 0.0), "supercap gives": np.maximum(stack, 0.0),
    }
    taken = {
        "loads": _column(day, "loads_w"), "heaters": _column(day, "heaters_w"), "peaks": _column(day, "peaks_w"),
        "battery takes": np.maximum(-battery, 0.0), "supercap takes": np.maximum(-stack, 0.0),
    }
    taken = {name: np.maximum(values, 0.0) for name, values in taken.items()}
    if hasattr(day.rows[0], "losses_w"):
        taken["losses"] = _column(day, "losses_w")
    else:
        taken["losses"] = np.zeros_like(battery)
    return given, taken


def _step(day: EnergyDay) -> Any:
    return "post" if day.steps else "pre"


def _draw(day: EnergyDay) -> Any:
    return "steps-post" if day.steps else "steps-pre"


# -- charges and heat


def _charges(axes: Axes, day: EnergyDay) -> None:
    hours, power = _hours(day), day.body.power
    axes.plot(hours, 100.0 * _column(day, "soc_battery"), color=GREEN, lw=1.8, label="battery")
    axes.plot(hours, 100.0 * _column(day, "soc_supercap"), color=BLUE, lw=1.2, label="supercap")
    if day.second:
        t = np.array([row[0] for row in day.second]) / HOUR_S
        for index, colour, name in ((1, GREEN, "battery"), (2, BLUE, "supercap")):
            values = [nan if row[index] is None else 100.0 * float(row[index] or 0.0) for row in day.second]
            axes.plot(t, values, color=colour, lw=1.0, ls="--", label=f"{name}, {day.second_name}")
    battery, stack = power.battery, power.supercap
    for level, colour, name in (
        (stack.boost_soc, SKY, "T_boost"), (battery.unshed_soc, ORANGE, "shedding ends"),
        (battery.shed_soc, VERMILION, "shedding begins"), (battery.safe_soc, PURPLE, "SAFE"),
    ):
        label = f"{name}, {100 * level:.0f} %"
        axes.axhline(100.0 * level, color=colour, lw=0.9, ls=(0, (6, 3)), zorder=1.2, label=label)
    # Words of markers stand above the curves.
    axes.set_ylim(-2.0, NAMES_TOP if day.markers else 102.0)
    axes.set_yticks(range(0, 101, 20))
    _explain(axes, "charge\n%")


def _temperatures(axes: Axes, day: EnergyDay) -> None:
    hours = _hours(day)
    rows = day.rows if day.steps_until_s is None else [*day.rows, day.rows[-1]]
    table = np.array([row.temperatures_c for row in rows], dtype=np.float64)
    index = {name: number for number, name in enumerate(day.node_names)}
    for name, colour in (("battery", GREEN), ("core", VERMILION)):
        if name in index:
            axes.plot(hours, table[:, index[name]], color=colour, lw=1.4, label=name)
    clusters = sorted({nozzle.cluster for nozzle in day.body.propulsion.nozzles} & set(index))
    if clusters:
        chosen = table[:, [index[name] for name in clusters]]
        axes.fill_between(hours, chosen.min(axis=1), chosen.max(axis=1), color=BLUE, alpha=0.3, lw=0)
        axes.plot(hours, chosen.mean(axis=1), color=BLUE, lw=1.0, label=f"{len(clusters)} clusters")
    limits = {node.name: node.no_charge_below_c for node in day.body.thermal.nodes}
    if limits.get("battery") is not None:
        axes.axhline(float(limits["battery"] or 0.0), color=GREEN, lw=0.9, ls=(0, (6, 3)), zorder=1.2,
                     label=f"no charge below {limits['battery']:g} C")
    ambient = day.body.thermal.ambient_c if day.ambient_c is None else day.ambient_c
    axes.axhline(ambient, color=SOFT, lw=0.9, ls=":", label=f"ambient, {ambient:g} C")
    axes.margins(y=0.08)
    _explain(axes, "temperature\ndeg C")


def _explain(axes: Axes, unit: str) -> None:
    axes.set_ylabel(unit)
    handles: list[Patch | Line2D | Any] = list(axes.get_legend_handles_labels()[0])
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.005, 0.5), borderaxespad=0)
