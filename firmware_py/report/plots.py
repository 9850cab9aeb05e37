"""Pictures of a flight on one time axis: the same rows draw the same PNG bytes, and what is missing stays a gap.

A strip on top names the steps, the mode and the events; below it motion, pointing, valves and propellant, or energy and
heat. Colours are those of Okabe and Ito ("Color universal design", 2008), which colour-blind people tell apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil, nan
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure as Picture
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from fdir.codes import Severity
from firmware_py.mission import ExpectConfig
from firmware_py.report.figures import window_of
from firmware_py.report.scope import FlightData, Row

__all__ = ["draw_all", "draw_energy", "draw_mission", "draw_path"]

Array = npt.NDArray[np.float64]
Span = tuple[float, float, str]
NS = 1e9

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#1f2933", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7",
)
SOFT, LINE = "#77838f", "#e4e8ec"
XYZ = (VERMILION, GREEN, BLUE)
MANY = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, BLACK, SOFT)
MODE_COLOURS = {
    "Boot": "#c8ced4", "Idle": "#e9edf0", "Manoeuvre": SKY, "Burn": VERMILION, "Coast": "#8fd1bd", "Brake": ORANGE,
    "Dock": PURPLE, "Bridge": "#7f4f6b", "SAFE": YELLOW,
}
PULSE_SHADES = ("#a9d3f0", "#5aa5d8", "#1f6fb0", "#0a3d6b")
"""Light to dark, so that they also differ in grey."""
STYLE = {
    "font.family": "DejaVu Sans", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": SOFT, "axes.labelcolor": BLACK, "text.color": BLACK, "xtick.color": BLACK, "ytick.color": BLACK,
    "axes.grid": True, "grid.color": LINE, "grid.linewidth": 0.6, "axes.axisbelow": True, "lines.linewidth": 1.2,
    "legend.frameon": False, "legend.fontsize": 8, "legend.handlelength": 1.4, "figure.dpi": 110, "savefig.dpi": 110,
    "axes.formatter.useoffset": False,
}
WIDTH_IN = 11.5
LEVELS = 4
"""Rows of step names above the strip, for names wider than their step."""
NAME_GAP_PX = 6.0
NAME_SHIFT_PX = 90.0
NAME_HEIGHT_PT = 7.0
"""Height of the names over the strip, for the lines that lead to them."""
MANY_EVENTS = 40
"""Above this many warnings the events have no lines through the plots, only marks on the strip."""
GAP_PERIODS = 6
"""A pause in the record of this many usual periods breaks a curve."""
PATH_LEAST_M = 0.5
"""Shorter paths are not drawn."""
STRAIGHT = 8.0
"""Length over width beyond which a path on equal scales would be a line."""


# -- columns of rows


def _number(value: Any) -> float:
    return nan if value is None else float(value)


def _times(rows: Sequence[Row]) -> Array:
    return np.array([t_ns / NS for t_ns, _ in rows], dtype=np.float64)


def _column(rows: Sequence[Row], pick: Callable[[Mapping[str, Any]], Any]) -> Array:
    return np.array([_number(pick(row)) for _, row in rows], dtype=np.float64)


def _channel(rows: Sequence[Row], key: str) -> Array:
    return _column(rows, lambda row: row.get(key))


def _vectors(rows: Sequence[Row], key: str) -> Array:
    """n x 3, not-a-number where missing."""
    listed = [row.get(key) or (None, None, None) for _, row in rows]
    return np.array([[_number(x) for x in vector] for vector in listed], dtype=np.float64).reshape(-1, 3)


def _runs(rows: Sequence[Row], key: str) -> list[Span]:
    """Spans of equal value of a text channel: start s, end s, value. A span ends where the next begins."""
    spans: list[Span] = []
    for t_ns, row in rows:
        t, value = t_ns / NS, str(row.get(key) or "")
        if not spans:
            spans.append((t, t, value))
            continue
        spans[-1] = (spans[-1][0], t, spans[-1][2])
        if spans[-1][2] != value:
            spans.append((t, t, value))
    return [span for span in spans if span[1] > span[0]]


def _curve(axes: Axes, t: Array, values: Array, colour: str, label: str, style: str = "-", width: float = 1.2) -> None:
    """A curve with gaps where values are missing or the record pauses; nothing at all if no value is there."""
    if not np.isfinite(values).any():
        return
    pauses = np.diff(t)
    if len(pauses) > 1:
        breaks = np.flatnonzero(pauses > GAP_PERIODS * np.median(pauses)) + 1
        t, values = np.insert(t, breaks, t[breaks - 1]), np.insert(values, breaks, nan)
    axes.plot(t, values, style, color=colour, label=label, lw=width)


# -- the frame that all pictures share


def _title(data: FlightData, what: str = "") -> str:
    meta = data.metadata
    who = data.identity
    name = meta.get("mission", "flight")
    return f"{name}{': ' if what else ''}{what}" + (f"   ({', '.join(who)})" if who else "")


def _stack(data: FlightData, title: str, heights: Sequence[float]) -> tuple[Picture, list[Axes]]:
    """A picture with one axes for each height, below the strip, which is the picture's first axes."""
    layout = ConstrainedLayoutEngine(h_pad=0.03, w_pad=0.05, hspace=0.02)
    picture = Picture(figsize=(WIDTH_IN, 1.7 + 1.55 * sum(heights)), layout=layout)
    FigureCanvasAgg(picture)
    grid = picture.add_gridspec(1 + len(heights), 1, height_ratios=[0.42, *heights])
    strip = picture.add_subplot(grid[0])
    axes = [picture.add_subplot(grid[1 + index], sharex=strip) for index in range(len(heights))]
    picture.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    start, end = (data.start_ns or 0) / NS, (data.end_ns or 0) / NS
    strip.set_xlim(start, end if end > start else start + 1.0)
    for one in axes[:-1]:
        one.tick_params(labelbottom=False)
    axes[-1].set_xlabel("flight time, s")
    _draw_strip(strip, data)
    _mark_times(axes, data)
    return picture, axes


def _draw_strip(strip: Axes, data: FlightData) -> None:
    strip.set_ylim(0.0, 3.0)
    strip.set_yticks([2.5, 1.5, 0.5], ["step", "mode", "events"])
    strip.tick_params(length=0, labelbottom=False)
    strip.grid(False)
    for spine in strip.spines.values():
        spine.set_visible(False)
    steps = [span for span in _runs(data.snapshots, "step") if span[2]]
    for index, (start, end, _) in enumerate(steps):
        strip.axvspan(start, end, 2 / 3 + 0.02, 0.99, color=("#d4dae0", "#e9edf0")[index % 2], lw=0)
    modes = [span for span in _runs(data.snapshots, "motion") if span[2]]
    for start, end, mode in modes:
        strip.axvspan(start, end, 1 / 3 + 0.02, 2 / 3 - 0.02, color=MODE_COLOURS.get(mode, LINE), lw=0)
    handles: list[Patch | Line2D] = [
        Patch(color=colour, label=mode) for mode, colour in MODE_COLOURS.items() if any(m[2] == mode for m in modes)
    ]
    for severity, marker, colour in ((Severity.WARNING, "^", ORANGE), (Severity.CRITICAL, "X", VERMILION)):
        times = [t_ns / NS for t_ns, row in data.events if row["severity"] == severity]
        if times:
            strip.plot(times, [0.5] * len(times), marker, color=colour, ms=6, mec=BLACK, mew=0.5, clip_on=False)
            handles.append(Line2D([], [], ls="", marker=marker, color=colour, ms=6, mec=BLACK, mew=0.5,
                                  label=f"{severity.value} event"))
    if handles:
        strip.legend(handles=handles, loc="center left", bbox_to_anchor=(1.005, 0.5), ncols=1 + (len(handles) > 4),
                     borderaxespad=0, columnspacing=1.0, labelspacing=0.3)


def _name_steps(picture: Picture, strip: Axes, data: FlightData) -> None:
    """Names above the strip: on the lowest level where one overlaps none, else moved to the right, else left out.

    A line leads from a name that does not stand over its step to the step; lines cross neither names nor each other.
    To be called last, since the legends decide how wide the strip is.
    """
    steps = [span for span in _runs(data.snapshots, "step") if span[2]]
    if not steps:
        return
    picture.draw_without_rendering()
    left, right = (float(strip.transAxes.transform((x, 0.0))[0]) for x in (0.0, 1.0))
    first, last = strip.get_xlim()
    free = [-1e9] * LEVELS
    for start, end, name in steps:
        middle = left + (0.5 * (start + end) - first) / (last - first) * (right - left)
        width = _width_px(strip, name)
        centre = min(max(middle, left + width / 2), right - width / 2)
        levels = (k for k in range(LEVELS) if free[k] <= centre - width / 2 and max(free[:k], default=-1e9) <= middle)
        level = next(levels, None)
        if level is None:
            level, centre = 0, free[0] + width / 2
            if centre - middle > NAME_SHIFT_PX or centre + width / 2 > right:
                continue
        free[level] = centre + width / 2 + NAME_GAP_PX
        # What comes later must not cross the line from this name down to its step.
        free[:level] = [max(right_of, middle + NAME_GAP_PX / 2) for right_of in free[:level]]
        strip.annotate(
            name, (0.5 * (start + end), 1.0), xycoords=("data", "axes fraction"), textcoords="offset points",
            xytext=((centre - middle) * 72 / picture.dpi, NAME_HEIGHT_PT + 11 * level), ha="center", va="bottom",
            fontsize=8, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": SOFT, "lw": 0.6, "shrinkA": 0, "shrinkB": 0, "relpos": (0.5, 0)},
        )


def _width_px(axes: Axes, name: str) -> float:
    text = axes.text(0.0, 0.0, name, fontsize=8)
    width = float(text.get_window_extent().width)
    text.remove()
    return width


def _mark_times(axes: Sequence[Axes], data: FlightData) -> None:
    """Starts of steps as dotted lines; warnings as lines while there are few."""
    serious = [
        (t_ns / NS, VERMILION if row["severity"] == Severity.CRITICAL else ORANGE)
        for t_ns, row in data.events if row["severity"] in (Severity.WARNING, Severity.CRITICAL)
    ]
    for one in axes:
        for start, _, _ in _runs(data.snapshots, "step")[1:]:
            one.axvline(start, color=SOFT, lw=0.7, ls=":", zorder=1)
        if len(serious) <= MANY_EVENTS:
            for t, colour in serious:
                one.axvline(t, color=colour, lw=0.9, zorder=1.5)


def _explain(axes: Axes, unit: str, extra: Sequence[Patch | Line2D] = ()) -> None:
    """Label of the axis and the legend beside it, where it covers nothing; says so if there is no data."""
    axes.set_ylabel(unit)
    handles = [*axes.get_legend_handles_labels()[0], *extra]
    if handles:
        axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.005, 0.5), borderaxespad=0)
    else:
        _say(axes, "no data")
        axes.set_yticks([])


def _say(axes: Axes, words: str) -> None:
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=SOFT)


def _save(picture: Picture, axes: Sequence[Axes], path: Path) -> Path:
    picture.align_ylabels(list(axes))
    # The name of the drawing library's version would make the bytes depend on it.
    picture.savefig(path, metadata={"Software": None})
    return path


# -- the pictures


def draw_mission(data: FlightData, path: Path, expectations: Sequence[ExpectConfig] = ()) -> Path:
    """The overview: rates, pointing, position, valves, propellant; with the limits of ``expectations``."""
    picture, axes = _stack(data, _title(data), (1.0, 1.0, 1.0, 1.6, 0.8))
    rows = data.truth or data.snapshots
    rates = np.degrees(_vectors(rows, "rate_rad_s"))
    for column, (name, colour) in enumerate(zip("XYZ", XYZ, strict=True)):
        _curve(axes[0], _times(rows), rates[:, column], colour, f"{name}, {'true' if data.truth else 'estimate'}")
    _explain(axes[0], "body rate\ndeg/s")
    _errors(axes[1], data, "attitude_error_deg", "attitude_knowledge_deg", "attitude_error_rad", np.degrees(1.0))
    _limits(axes[1], data, expectations, "attitude_error_deg")
    _explain(axes[1], "pointing\ndeg")
    _errors(axes[2], data, "position_error_m", "position_knowledge_m", "position_error_m", 1.0)
    _limits(axes[2], data, expectations, "position_error_m")
    _explain(axes[2], "position\nm")
    _valves(axes[3], data)
    _curve(axes[4], _times(data.truth), _channel(data.truth, "propellant_kg"), BLACK, "true", width=2.2)
    _curve(axes[4], _times(data.snapshots), _channel(data.snapshots, "propellant_kg"), ORANGE, "booked", "--")
    _explain(axes[4], "propellant\nkg")
    _name_steps(picture, picture.axes[0], data)
    return _save(picture, axes, path)


def _errors(axes: Axes, data: FlightData, error: str, knowledge: str, channel: str, scale: float) -> None:
    """True error and error of the estimate on a log scale; of a real craft what it thinks itself."""
    curves = []
    if data.truth:
        for name, colour, label in ((error, BLUE, "truth from target"), (knowledge, ORANGE, "estimate from truth")):
            rows = data.series(name)
            t = np.array([t_ns / NS for t_ns, _ in rows], dtype=np.float64)
            curves.append((t, np.array([_number(value) for _, value in rows], dtype=np.float64), colour, label))
    else:
        curves.append((_times(data.snapshots), scale * _channel(data.snapshots, channel), BLUE, "estimate from target"))
    for t, values, colour, label in curves:
        # A log scale has no zero. np.maximum keeps not-a-number, so gaps stay.
        _curve(axes, t, np.maximum(values, 1e-4), colour, label)
    if axes.lines and any(np.isfinite(v).any() for _, v, _, _ in curves):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _limits(axes: Axes, data: FlightData, expectations: Sequence[ExpectConfig], figure: str) -> None:
    """What was expected, where it was expected."""
    if not data.truth:
        return
    label = "expected below"
    for expect in expectations:
        scope = window_of(data, expect)
        if expect.figure == figure and expect.below is not None and scope is not None:
            span = [scope.start_ns / NS, scope.end_ns / NS]
            axes.plot(span, [expect.below] * 2, "--", color=VERMILION, lw=1.6, label=label)
            label = "_"


def _valves(axes: Axes, data: FlightData) -> None:
    """Longest commanded pulse of each nozzle in every half percent of the flight."""
    pulses = [(t_ns / NS, row["on_ms"]) for t_ns, row in data.snapshots if row.get("on_ms")]
    count = max((len(on_ms) for _, on_ms in pulses), default=0)
    if not count:
        _explain(axes, "nozzle")
        return
    start, end = axes.get_xlim()
    bins = max(1, min(400, len(data.snapshots)))
    longest = np.zeros((count, bins))
    for t, on_ms in pulses:
        column = min(bins - 1, int((t - start) / (end - start) * bins))
        np.maximum(longest[: len(on_ms), column], on_ms, out=longest[: len(on_ms), column])
    full = 50.0 * max(1, ceil(float(longest.max()) / 50.0))
    edges = [full * k / len(PULSE_SHADES) for k in range(len(PULSE_SHADES) + 1)]
    axes.pcolormesh(
        np.linspace(start, end, bins + 1), np.arange(count + 1) - 0.5, np.ma.masked_equal(longest, 0.0),
        cmap=ListedColormap(PULSE_SHADES), vmin=0.0, vmax=full, rasterized=True,
    )
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_yticks(range(0, count, 2 if count <= 20 else 4))
    axes.grid(False)
    handles: list[Patch | Line2D] = [
        Patch(color=shade, label=f"over {low:.0f} ms" if low else f"to {high:.0f} ms")
        for shade, low, high in zip(PULSE_SHADES, edges[:-1], edges[1:], strict=True)
    ]
    if not longest.any():
        _say(axes, "no pulses")
        handles = [Line2D([], [], ls="", label="no pulses")]
    if _draw_masked(axes, data):
        handles.append(Line2D([], [], color=VERMILION, lw=3, label="out of use"))
    _explain(axes, "nozzle,\nlongest pulse", handles)


def _draw_masked(axes: Axes, data: FlightData) -> bool:
    spans: list[tuple[float, float, frozenset[int]]] = []
    for t_ns, row in data.snapshots:
        t, masked = t_ns / NS, frozenset(int(n) for n in row.get("masked_nozzles") or ())
        if spans:
            spans[-1] = (spans[-1][0], t, spans[-1][2])
        if not spans or spans[-1][2] != masked:
            spans.append((t, t, masked))
    for start, end, masked in spans:
        for nozzle in sorted(masked):
            axes.plot([start, end], [nozzle, nozzle], color=VERMILION, lw=3, solid_capstyle="butt")
    return any(masked for _, _, masked in spans)


def draw_energy(data: FlightData, path: Path) -> Path:
    """Charge, bus voltage, currents, power and temperatures."""
    picture, axes = _stack(data, _title(data, "energy and heat"), (1.0, 0.8, 0.8, 1.0, 1.4))
    t, t_true = _times(data.snapshots), _times(data.truth)
    for key, colour, name in (("soc_battery", GREEN, "battery"), ("soc_supercap", BLUE, "supercap")):
        _curve(axes[0], t, 100 * _channel(data.snapshots, key), colour, name)
        _curve(axes[0], t_true, 100 * _channel(data.truth, key), BLACK, f"{name}, true", ":", 1.0)
    _explain(axes[0], "charge\n%")
    _curve(axes[1], t, _channel(data.snapshots, "bus_voltage_v"), BLUE, "bus")
    _explain(axes[1], "voltage\nV")
    _curve(axes[2], t, _channel(data.snapshots, "bus_current_a"), BLUE, "bus")
    _curve(axes[2], t, _channel(data.snapshots, "battery_current_a"), GREEN, "out of battery")
    _explain(axes[2], "current\nA")
    _curve(axes[3], t_true, _channel(data.truth, "array_w"), ORANGE, "solar array, true")
    _curve(axes[3], t_true, _channel(data.truth, "load_w"), BLUE, "loads, true")
    _explain(axes[3], "power\nW")
    names = list(dict.fromkeys(name for _, row in data.snapshots for name in row.get("temperature_c") or {}))
    for index, name in enumerate(names):
        values = _column(data.snapshots, lambda row, node=name: (row.get("temperature_c") or {}).get(node))  # type: ignore[misc]
        _curve(axes[4], t, values, MANY[index % len(MANY)], name, ("-", "--", ":")[index // len(MANY) % 3])
    _explain(axes[4], "temperature\ndeg C")
    _name_steps(picture, picture.axes[0], data)
    return _save(picture, axes, path)


def draw_path(data: FlightData, path: Path) -> Path | None:
    """Two views of the path, thick where nozzles fired; ``None`` if the craft went nowhere.

    The scales are equal unless the path is nearly straight, when the sideways one is stretched and says so.
    """
    rows = data.truth or data.snapshots
    positions = _vectors(rows, "position_m") - (np.array(data.origin) if data.truth else 0.0)
    if not np.isfinite(positions).all(axis=1).any():
        return None
    span = np.nanmax(positions, axis=0) - np.nanmin(positions, axis=0)
    if float(span.max()) < PATH_LEAST_M:
        return None
    firing = np.array([bool(row.get("open_mask") or any(row.get("on_ms") or ())) for _, row in rows])
    target = _vectors(data.snapshots, "target_position_m")
    burnt = np.where(firing[:, None], positions, nan)
    known = positions[np.isfinite(positions).all(axis=1)]
    order = [int(axis) for axis in np.argsort(-span, kind="stable")]
    straight = span[order[0]] > STRAIGHT * span[order[1]]
    picture = Picture(figsize=(WIDTH_IN, 6.4 if straight else 5.2), layout="constrained")
    FigureCanvasAgg(picture)
    picture.suptitle(_title(data, "path"), x=0.01, ha="left", fontsize=12, fontweight="bold")
    views = picture.subplots(2, 1, sharex=True) if straight else picture.subplots(1, 2)
    a = order[0]
    for axes, b in zip(views, order[1:], strict=True):
        axes.plot(positions[:, a], positions[:, b], color=BLUE, label="true path" if data.truth else "estimated path")
        axes.plot(burnt[:, a], burnt[:, b], color=ORANGE, lw=4, alpha=0.6, solid_capstyle="butt", label="nozzles fire")
        axes.plot(*known[0, [a, b]], "o", color=BLACK, ms=6, ls="", label="start")
        axes.plot(*known[-1, [a, b]], "s", color=BLACK, ms=7, mfc="white", ls="", label="end")
        axes.plot(target[:, a], target[:, b], "x", color=VERMILION, ms=9, mew=1.8, label="asked")
        axes.set_ylabel(f"{'xyz'[b]}, m" + ("\n(stretched)" if straight else ""))
        axes.margins(0.06)
        if not straight:
            axes.set_aspect("equal", adjustable="box")
        if not straight or axes is views[1]:
            axes.set_xlabel(f"{'xyz'[a]}, m, inertial")
    views[0 if straight else 1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), borderaxespad=0)
    return _save(picture, list(views), path)


def draw_all(data: FlightData, folder: Path, expectations: Sequence[ExpectConfig] = ()) -> list[Path]:
    """Draw every picture that has something to show into ``folder``, which is made; returns their paths.

    Limits of ``expectations`` on pointing and position are drawn where they apply.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.style.context(["default", STYLE]):
        drawn = [
            draw_mission(data, folder / "mission.png", expectations),
            draw_energy(data, folder / "energy.png"),
            draw_path(data, folder / "path.png"),
        ]
    return [path for path in drawn if path is not None]
