"""Pictures of a flight: motion, pointing, valves, energy and heat on one time axis, with the mission's steps marked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from fdir.codes import Severity
from firmware_py.report.figures import (
    FlightData,
    attitude_error_deg,
    attitude_knowledge_deg,
    pairs,
    position_error_m,
    position_knowledge_m,
)

__all__ = ["draw_all"]

Array = npt.NDArray[np.float64]
AXES_COLOURS = ("#c0392b", "#27864b", "#2563a8")
INK, SOFT, ACCENT, WARN = "#1f2933", "#8a97a6", "#2563a8", "#c77700"
MODE_COLOURS = {
    "Boot": "#d9dee4", "Idle": "#eef1f4", "Manoeuvre": "#dbe9f7", "Burn": "#f7c9b6", "Coast": "#e6f2dd",
    "Brake": "#f3a58c", "Dock": "#e3d7f2", "Bridge": "#cfc1e8", "SAFE": "#f9e29b",
}
STYLE = {
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": SOFT,
    "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.grid": True, "grid.color": "#e4e8ec",
    "grid.linewidth": 0.6, "lines.linewidth": 1.2, "legend.frameon": False, "legend.fontsize": 8, "figure.dpi": 110,
    "axes.titlesize": 10, "axes.titleweight": "bold", "axes.titlelocation": "left", "svg.hashsalt": "qiki",
}


def _number(value: Any) -> float:
    return nan if value is None else float(value)


def _column(rows: Sequence[tuple[int, Mapping[str, Any]]], pick: Callable[[Mapping[str, Any]], Any]) -> Array:
    return np.array([_number(pick(row)) for _, row in rows])


def _vectors(rows: Sequence[tuple[int, Mapping[str, Any]]], key: str, size: int = 3) -> Array:
    return np.array([[_number(x) for x in (row.get(key) or [None] * size)] for _, row in rows]).reshape(-1, size)


def _times(rows: Sequence[tuple[int, Mapping[str, Any]]]) -> Array:
    return np.array([t / 1e9 for t, _ in rows])


def _runs(rows: Sequence[tuple[int, Mapping[str, Any]]], key: str) -> list[tuple[float, float, str]]:
    """Spans of equal value of a text channel: (start s, end s, value)."""
    spans: list[tuple[float, float, str]] = []
    for t_ns, row in rows:
        value = str(row.get(key) or "")
        t = t_ns / 1e9
        if spans and spans[-1][2] == value:
            spans[-1] = (spans[-1][0], t, value)
        else:
            spans.append((spans[-1][1] if spans else t, t, value))
    return spans


def _mark(axes: Axes, data: FlightData, label: bool) -> None:
    """Steps as lines, modes as bands, warnings as ticks."""
    for start, end, mode in _runs(data.snapshots, "motion"):
        axes.axvspan(start, end, color=MODE_COLOURS.get(mode, "white"), alpha=0.55, lw=0, zorder=0)
    for start, end, name in _runs(data.snapshots, "step"):
        axes.axvline(start, color=SOFT, lw=0.7, ls=":", zorder=1)
        if label and name:
            axes.annotate(name, ((start + end) / 2, 1.02), xycoords=("data", "axes fraction"), ha="center", fontsize=8,
                          color=INK, annotation_clip=False)
    for t_ns, row in data.events:
        if row["severity"] in (Severity.WARNING, Severity.CRITICAL):
            axes.axvline(t_ns / 1e9, color=WARN, lw=0.9, alpha=0.8, zorder=1)


def _finish(picture: Picture, all_axes: Sequence[Axes], path: Path) -> Path:
    all_axes[-1].set_xlabel("flight time, s")
    picture.align_ylabels(list(all_axes))
    picture.savefig(path, bbox_inches="tight", metadata={"Software": None})
    plt.close(picture)
    return path


def _stack(count: int, title: str, heights: Sequence[float] | None = None) -> tuple[Picture, list[Axes]]:
    picture, axes = plt.subplots(count, 1, sharex=True, figsize=(11, 1.9 * count + 0.6), squeeze=False,
                                 gridspec_kw={"height_ratios": heights} if heights else None)
    picture.suptitle(title, x=0.06, y=0.995, ha="left", fontsize=12, fontweight="bold", color=INK)
    return picture, list(axes[:, 0])


def _xyz(axes: Axes, t: Array, values: Array, names: str = "XYZ", style: str = "-", alpha: float = 1.0) -> None:
    for column, (name, colour) in enumerate(zip(names, AXES_COLOURS, strict=True)):
        axes.plot(t, values[:, column], style, color=colour, label=name, alpha=alpha)


def draw_mission(data: FlightData, path: Path) -> Path:
    """The overview: rates, pointing, position, valves, propellant."""
    picture, axes = _stack(5, _title(data), (1.0, 1.0, 1.0, 1.5, 0.8))
    t = _times(data.snapshots)
    for index, one in enumerate(axes):
        _mark(one, data, label=index == 0)
    rates = _vectors(data.truth, "rate_rad_s") if data.truth else _vectors(data.snapshots, "rate_rad_s")
    t_rate = _times(data.truth) if data.truth else t
    _xyz(axes[0], t_rate, np.degrees(rates))
    axes[0].set_ylabel("body rate\ndeg/s")
    axes[0].legend(ncols=3, loc="upper right")
    _pointing(axes[1], data)
    _position(axes[2], data)
    _valves(axes[3], data)
    axes[4].plot(t, _column(data.snapshots, lambda r: r.get("propellant_kg")), color=ACCENT, label="propellant, booked")
    if data.truth:
        axes[4].plot(t_rate, _column(data.truth, lambda r: r.get("propellant_kg")), "--", color=INK, label="true")
    axes[4].set_ylabel("propellant\nkg")
    axes[4].legend(ncols=2, loc="upper right")
    return _finish(picture, axes, path)


def _title(data: FlightData) -> str:
    meta = data.metadata
    return f"{meta.get('mission', 'flight')}: body {meta.get('body', '?')}, board {meta.get('board', '?')}, seed {meta.get('seed', '?')}"


def _pointing(axes: Axes, data: FlightData) -> None:
    joined = pairs(data)
    t = np.array([t_ns / 1e9 for t_ns, _, _ in joined])
    if joined:
        axes.semilogy(t, [max(1e-3, _number(attitude_error_deg(s, r))) for _, s, r in joined], color=ACCENT,
                      label="from target, true")
        axes.semilogy(t, [max(1e-3, _number(attitude_knowledge_deg(s, r))) for _, s, r in joined], color=SOFT,
                      label="estimate from truth")
        axes.legend(ncols=2, loc="upper right")
    axes.axhline(1.0, color=WARN, lw=0.8, ls="--")
    axes.set_ylabel("pointing\ndeg")


def _position(axes: Axes, data: FlightData) -> None:
    joined = pairs(data)
    if joined:
        t = np.array([t_ns / 1e9 for t_ns, _, _ in joined])
        axes.semilogy(t, [max(1e-3, _number(position_error_m(s, r))) for _, s, r in joined], color=ACCENT,
                      label="from target, true")
        axes.semilogy(t, [max(1e-3, _number(position_knowledge_m(s, r))) for _, s, r in joined], color=SOFT,
                      label="estimate from truth")
        axes.legend(ncols=2, loc="upper right")
    axes.axhline(0.5, color=WARN, lw=0.8, ls="--")
    axes.set_ylabel("position\nm")


def _valves(axes: Axes, data: FlightData) -> None:
    """Commanded pulses by nozzle: one dot a window, darker for longer."""
    seen: set[tuple[float, int]] = set()
    xs, ys, shades = [], [], []
    count = 0
    previous: Any = None
    for t_ns, row in data.snapshots:
        pulses = row.get("on_ms") or []
        count = max(count, len(pulses))
        if pulses == previous:
            continue
        previous = pulses
        for nozzle, on_ms in enumerate(pulses):
            if on_ms and (t_ns / 1e9, nozzle) not in seen:
                xs.append(t_ns / 1e9)
                ys.append(nozzle)
                shades.append(on_ms)
    axes.scatter(xs, ys, c=shades, cmap="OrRd", vmin=-60, vmax=250, s=9, marker="s", linewidths=0)
    axes.set_ylim(count - 0.3, -0.7)
    axes.set_yticks(range(0, count, 2))
    axes.set_ylabel("nozzle\n(pulses)")
    for start, end, masked in _runs(data.snapshots, "masked_nozzles"):
        for nozzle in [int(x) for x in masked.strip("[]()").replace(" ", "").split(",") if x]:
            axes.plot([start, end], [nozzle, nozzle], color=INK, lw=2.2, solid_capstyle="butt")
            axes.annotate("out of use", (end, nozzle), ha="right", va="bottom", fontsize=7, color=INK)


def draw_energy(data: FlightData, path: Path) -> Path:
    """Charge, bus, array and temperatures."""
    picture, axes = _stack(4, f"{_title(data)}: energy and heat")
    t = _times(data.snapshots)
    for index, one in enumerate(axes):
        _mark(one, data, label=index == 0)
    for key, colour, name in (("soc_battery", AXES_COLOURS[1], "battery"), ("soc_supercap", AXES_COLOURS[2], "supercap")):
        axes[0].plot(t, 100 * _column(data.snapshots, lambda r, k=key: r.get(k)), color=colour, label=name)
    axes[0].set_ylabel("charge\n%")
    axes[1].plot(t, _column(data.snapshots, lambda r: r.get("bus_voltage_v")), color=INK, label="bus voltage, V")
    axes[1].plot(t, _column(data.snapshots, lambda r: r.get("bus_current_a")), color=AXES_COLOURS[0], label="bus current, A")
    axes[1].plot(t, _column(data.snapshots, lambda r: r.get("battery_current_a")), color=WARN, label="battery current, A")
    axes[1].set_ylabel("bus")
    if data.truth:
        axes[2].plot(_times(data.truth), _column(data.truth, lambda r: r.get("array_w")), color=WARN, label="solar array, W")
        axes[2].plot(_times(data.truth), _column(data.truth, lambda r: r.get("load_w")), color=SOFT, label="loads, W")
    axes[2].set_ylabel("power\nW")
    names = sorted({n for _, r in data.snapshots for n in (r.get("temperature_c") or {})})
    palette = plt.get_cmap("tab10")
    for index, name in enumerate(names):
        values = _column(data.snapshots, lambda r, n=name: (r.get("temperature_c") or {}).get(n))
        axes[3].plot(t, values, color=palette(index % 10), label=name)
    axes[3].set_ylabel("heat\ndeg C")
    for one in axes:
        if one.get_legend_handles_labels()[0]:
            one.legend(ncols=4, loc="upper right")
    return _finish(picture, axes, path)


def draw_track(data: FlightData, path: Path) -> Path | None:
    """Top and side view of the path, with where the nozzles fired; ``None`` if the craft went nowhere."""
    rows = data.truth or data.snapshots
    positions = _vectors(rows, "position_m")
    if len(positions) == 0 or not np.isfinite(positions).any():
        return None
    span = np.nanmax(positions, axis=0) - np.nanmin(positions, axis=0)
    if float(span.max()) < 0.5:
        return None
    order = np.argsort(-span)
    with plt.rc_context(STYLE):
        picture, axes = plt.subplots(1, 2, figsize=(11, 4))
        for one, (a, b) in zip(axes, ((order[0], order[1]), (order[0], order[2])), strict=True):
            one.plot(positions[:, a], positions[:, b], color=ACCENT, label="true path" if data.truth else "estimate")
            target = _vectors(data.snapshots, "target_position_m")
            one.plot(target[:, a], target[:, b], ".", color=WARN, ms=5, label="asked")
            one.plot(*positions[0, [a, b]], "o", color=INK, ms=5)
            one.set_xlabel(f"{'xyz'[a]}, m")
            one.set_ylabel(f"{'xyz'[b]}, m")
            one.margins(0.1)
        axes[0].legend(loc="best")
        picture.suptitle(f"{_title(data)}: path", x=0.06, ha="left", fontsize=12, fontweight="bold", color=INK)
        picture.savefig(path, bbox_inches="tight", metadata={"Software": None})
        plt.close(picture)
    return path


def draw_all(data: FlightData, folder: Path) -> list[Path]:
    """Draw every picture that has something to show; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn: list[Path | None] = []
    with plt.rc_context(STYLE):
        drawn.append(draw_mission(data, folder / "mission.png"))
        drawn.append(draw_energy(data, folder / "energy.png"))
        drawn.append(draw_track(data, folder / "path.png"))
    return [path for path in drawn if path is not None]


