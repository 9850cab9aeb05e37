"""Pictures of a flight on one time axis: the same rows draw the same PNG bytes, and what is missing stays a gap.

A strip on top names the steps, the mode and the events; below it motion, pointing, valves and propellant. Energy and
heat are in plots_energy.py, what all share in plots_frame.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, nan
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure as Picture
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from firmware_py.mission import ExpectConfig
from firmware_py.report.figures import window_of
from firmware_py.report.plots_energy import draw_energy
from firmware_py.report.plots_frame import (
    BLACK,
    BLUE,
    GREEN,
    LINE,
    MANY,
    MODE_COLOURS,
    ORANGE,
    PULSE_SHADES,
    PURPLE,
    SKY,
    SOFT,
    STYLE,
    VERMILION,
    WIDTH_IN,
    XYZ,
    YELLOW,
    channel,
    curve,
    explain,
    name_steps,
    number,
    save,
    say,
    stack,
    times,
    title_of,
    vectors,
)
from firmware_py.report.scope import NS, FlightData
from hal.profile.body import BodyConfig

__all__ = [
    "BLACK", "BLUE", "GREEN", "LINE", "MANY", "MODE_COLOURS", "ORANGE", "PULSE_SHADES", "PURPLE", "SKY", "SOFT",
    "STYLE", "VERMILION", "WIDTH_IN", "XYZ", "YELLOW", "draw_all", "draw_energy", "draw_mission", "draw_path",
]

PATH_LEAST_M = 0.5
"""Shorter paths are not drawn."""
STRAIGHT = 8.0
"""Length over width beyond which a path on equal scales would be a line."""


def draw_mission(data: FlightData, path: Path, expectations: Sequence[ExpectConfig] = ()) -> Path:
    """The overview: rates, pointing, position, valves, propellant; with the limits of ``expectations``."""
    picture, axes = stack(data, title_of(data), (1.0, 1.0, 1.0, 1.6, 0.8))
    rows = data.truth or data.snapshots
    rates = np.degrees(vectors(rows, "rate_rad_s"))
    for column, (name, colour) in enumerate(zip("XYZ", XYZ, strict=True)):
        curve(axes[0], times(rows), rates[:, column], colour, f"{name}, {'true' if data.truth else 'estimate'}")
    explain(axes[0], "body rate\ndeg/s")
    _errors(axes[1], data, "attitude_error_deg", "attitude_knowledge_deg", "attitude_error_rad", np.degrees(1.0))
    _limits(axes[1], data, expectations, "attitude_error_deg")
    explain(axes[1], "pointing\ndeg")
    _errors(axes[2], data, "position_error_m", "position_knowledge_m", "position_error_m", 1.0)
    _limits(axes[2], data, expectations, "position_error_m")
    explain(axes[2], "position\nm")
    _valves(axes[3], data)
    curve(axes[4], times(data.truth), channel(data.truth, "propellant_kg"), BLACK, "true", width=2.2)
    curve(axes[4], times(data.snapshots), channel(data.snapshots, "propellant_kg"), ORANGE, "booked", "--")
    explain(axes[4], "propellant\nkg")
    name_steps(picture, picture.axes[0], data)
    return save(picture, axes, path)


def _errors(axes: Axes, data: FlightData, error: str, knowledge: str, said: str, scale: float) -> None:
    """True error and error of the estimate on a log scale; of a real craft what it thinks itself."""
    curves = []
    if data.truth:
        for name, colour, label in ((error, BLUE, "truth from target"), (knowledge, ORANGE, "estimate from truth")):
            rows = data.series(name)
            t = np.array([t_ns / NS for t_ns, _ in rows], dtype=np.float64)
            curves.append((t, np.array([number(value) for _, value in rows], dtype=np.float64), colour, label))
    else:
        curves.append((times(data.snapshots), scale * channel(data.snapshots, said), BLUE, "estimate from target"))
    for t, values, colour, label in curves:
        # A log scale has no zero. np.maximum keeps not-a-number, so gaps stay.
        curve(axes, t, np.maximum(values, 1e-4), colour, label)
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
        explain(axes, "nozzle")
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
        say(axes, "no pulses")
        handles = [Line2D([], [], ls="", label="no pulses")]
    if _draw_masked(axes, data):
        handles.append(Line2D([], [], color=VERMILION, lw=3, label="out of use"))
    explain(axes, "nozzle,\nlongest pulse", handles)


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


def draw_path(data: FlightData, path: Path) -> Path | None:
    """Two views of the path, thick where nozzles fired; ``None`` if the craft went nowhere.

    The scales are equal unless the path is nearly straight, when the sideways one is stretched and says so.
    """
    rows = data.truth or data.snapshots
    positions = vectors(rows, "position_m") - (np.array(data.origin) if data.truth else 0.0)
    if not np.isfinite(positions).all(axis=1).any():
        return None
    span = np.nanmax(positions, axis=0) - np.nanmin(positions, axis=0)
    if float(span.max()) < PATH_LEAST_M:
        return None
    firing = np.array([bool(row.get("open_mask") or any(row.get("on_ms") or ())) for _, row in rows])
    target = vectors(data.snapshots, "target_position_m")
    burnt = np.where(firing[:, None], positions, nan)
    known = positions[np.isfinite(positions).all(axis=1)]
    order = [int(axis) for axis in np.argsort(-span, kind="stable")]
    straight = span[order[0]] > STRAIGHT * span[order[1]]
    picture = Picture(figsize=(WIDTH_IN, 6.4 if straight else 5.2), layout="constrained")
    FigureCanvasAgg(picture)
    picture.suptitle(title_of(data, "path"), x=0.01, ha="left", fontsize=12, fontweight="bold")
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
    return save(picture, list(views), path)


def draw_all(
    data: FlightData, folder: Path, expectations: Sequence[ExpectConfig] = (), body: BodyConfig | None = None
) -> list[Path]:
    """Draw every picture that has something to show into ``folder``, which is made; returns their paths.

    Limits of ``expectations`` on pointing and position are drawn where they apply; ``body`` as in ``draw_energy``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.style.context(["default", STYLE]):
        drawn = [
            draw_mission(data, folder / "mission.png", expectations),
            draw_energy(data, folder / "energy.png", body),
            draw_path(data, folder / "path.png"),
        ]
    return [path for path in drawn if path is not None]
