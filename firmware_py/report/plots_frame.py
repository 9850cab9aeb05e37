"""What all pictures of a flight share: colours, style, columns of rows with gaps, one time axis below a strip.

Colours are those of Okabe and Ito ("Color universal design", 2008), which colour-blind people tell apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Picture
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fdir.codes import Severity
from firmware_py.report.scope import NS, FlightData, Row

__all__ = [
    "BLACK", "BLUE", "GREEN", "LINE", "MANY", "MODE_COLOURS", "ORANGE", "PULSE_SHADES", "PURPLE", "SKY", "SOFT",
    "STYLE", "VERMILION", "WIDTH_IN", "XYZ", "YELLOW", "Array", "Span", "channel", "column", "curve", "explain",
    "name_steps", "number", "runs", "save", "say", "stack", "times", "title_of", "vectors",
]

Array = npt.NDArray[np.float64]
Span = tuple[float, float, str]

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


# -- columns of rows


def number(value: Any) -> float:
    return nan if value is None else float(value)


def times(rows: Sequence[Row]) -> Array:
    return np.array([t_ns / NS for t_ns, _ in rows], dtype=np.float64)


def column(rows: Sequence[Row], pick: Callable[[Mapping[str, Any]], Any]) -> Array:
    return np.array([number(pick(row)) for _, row in rows], dtype=np.float64)


def channel(rows: Sequence[Row], key: str) -> Array:
    return column(rows, lambda row: row.get(key))


def vectors(rows: Sequence[Row], key: str) -> Array:
    """n x 3, not-a-number where missing."""
    listed = [row.get(key) or (None, None, None) for _, row in rows]
    return np.array([[number(x) for x in vector] for vector in listed], dtype=np.float64).reshape(-1, 3)


def runs(rows: Sequence[Row], key: str) -> list[Span]:
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


def curve(axes: Axes, t: Array, values: Array, colour: str, label: str, style: str = "-", width: float = 1.2) -> None:
    """A curve with gaps where values are missing or the record pauses; nothing at all if no value is there."""
    if not np.isfinite(values).any():
        return
    pauses = np.diff(t)
    if len(pauses) > 1:
        breaks = np.flatnonzero(pauses > GAP_PERIODS * np.median(pauses)) + 1
        t, values = np.insert(t, breaks, t[breaks - 1]), np.insert(values, breaks, nan)
    axes.plot(t, values, style, color=colour, label=label, lw=width)


# -- the frame that all pictures share


def title_of(data: FlightData, what: str = "") -> str:
    meta = data.metadata
    who = data.identity
    name = meta.get("mission", "flight")
    return f"{name}{': ' if what else ''}{what}" + (f"   ({', '.join(who)})" if who else "")


def stack(data: FlightData, title: str, heights: Sequence[float]) -> tuple[Picture, list[Axes]]:
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
    steps = [span for span in runs(data.snapshots, "step") if span[2]]
    for index, (start, end, _) in enumerate(steps):
        strip.axvspan(start, end, 2 / 3 + 0.02, 0.99, color=("#d4dae0", "#e9edf0")[index % 2], lw=0)
    modes = [span for span in runs(data.snapshots, "motion") if span[2]]
    for start, end, mode in modes:
        strip.axvspan(start, end, 1 / 3 + 0.02, 2 / 3 - 0.02, color=MODE_COLOURS.get(mode, LINE), lw=0)
    handles: list[Patch | Line2D] = [
        Patch(color=colour, label=mode) for mode, colour in MODE_COLOURS.items() if any(m[2] == mode for m in modes)
    ]
    for severity, marker, colour in ((Severity.WARNING, "^", ORANGE), (Severity.CRITICAL, "X", VERMILION)):
        moments = [t_ns / NS for t_ns, row in data.events if row["severity"] == severity]
        if moments:
            strip.plot(moments, [0.5] * len(moments), marker, color=colour, ms=6, mec=BLACK, mew=0.5, clip_on=False)
            handles.append(Line2D([], [], ls="", marker=marker, color=colour, ms=6, mec=BLACK, mew=0.5,
                                  label=f"{severity.value} event"))
    if handles:
        strip.legend(handles=handles, loc="center left", bbox_to_anchor=(1.005, 0.5), ncols=1 + (len(handles) > 4),
                     borderaxespad=0, columnspacing=1.0, labelspacing=0.3)


def name_steps(picture: Picture, strip: Axes, data: FlightData) -> None:
    """Names above the strip: on the lowest level where one overlaps none, else moved to the right, else left out.

    A line leads from a name that does not stand over its step to the step; lines cross neither names nor each other.
    To be called last, since the legends decide how wide the strip is.
    """
    steps = [span for span in runs(data.snapshots, "step") if span[2]]
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
        for start, _, _ in runs(data.snapshots, "step")[1:]:
            one.axvline(start, color=SOFT, lw=0.7, ls=":", zorder=1)
        if len(serious) <= MANY_EVENTS:
            for t, colour in serious:
                one.axvline(t, color=colour, lw=0.9, zorder=1.5)


def explain(axes: Axes, unit: str, extra: Sequence[Patch | Line2D] = ()) -> None:
    """Label of the axis and the legend beside it, where it covers nothing; says so if there is no data."""
    axes.set_ylabel(unit)
    handles = [*axes.get_legend_handles_labels()[0], *extra]
    if handles:
        axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.005, 0.5), borderaxespad=0)
    else:
        say(axes, "no data")
        axes.set_yticks([])


def say(axes: Axes, words: str) -> None:
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=SOFT)


def save(picture: Picture, axes: Sequence[Axes], path: Path) -> Path:
    picture.align_ylabels(list(axes))
    # The name of the drawing library's version would make the bytes depend on it.
    picture.savefig(path, metadata={"Software": None})
    return path
