"""Top view of what the craft saw: tracks with their uncertainty and history, occupied cells, closest approaches.

The same record draws the same PNG bytes. What the top view cannot show (height) is the colour of nothing: the list at
the side names it.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Picture
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, Patch, Rectangle
from numpy.typing import NDArray

from firmware_py.perception.observation import NO_ID, Iff, ObjectType, Status
from firmware_py.perception.playback import Playback
from firmware_py.perception.query import LEVELS
from firmware_py.perception.tracks import TrackSet
from firmware_py.report.plots_frame import BLACK, BLUE, LINE, ORANGE, SOFT, STYLE, VERMILION

__all__ = ["draw_surroundings", "worst_time"]

RISK_COLOURS = (BLUE, ORANGE, VERMILION)
"""By level: ok, warn, crit; the list at the side has the word too."""
SIGMAS = 3.0
MOST_LISTED = 14
AHEAD_S = 30.0
"""How far ahead the straight paths are drawn at most."""
LEAST_HALF_M = 10.0


def worst_time(seen: Playback) -> int:
    """The time to look at when nobody names one: of the first highest risk, else of the last track list."""
    best: tuple[int, int] | None = None
    for t_ns in seen.risk_ns:
        columns = seen.risk_at(t_ns)
        worst = int(columns["level"].max()) if columns is not None and len(columns["level"]) else 0
        if worst and (best is None or worst > best[0]):
            best = (worst, t_ns)
    if best is not None:
        return best[1]
    return seen.track_ns[-1] if seen.track_ns else 0


def draw_surroundings(seen: Playback, t_ns: int, path: Path, half_m: float | None = None) -> None:
    """Draw one moment of a record as PNG.

    Args:
        seen: the record.
        t_ns: flight time to look at.
        path: of the picture.
        half_m: half the width of the view, m; ``None``: as far as the nearest tracks need.
    """
    with matplotlib.style.context(STYLE):
        picture = Picture(figsize=(11.5, 7.4), layout="constrained")
        canvas = FigureCanvasAgg(picture)
        view, side = picture.subplots(1, 2, width_ratios=(2.1, 1.0))
        own = seen.own_at(t_ns)
        tracks, levels = seen.tracks_at(t_ns), _levels(seen, t_ns)
        centre = own[:2] if np.all(np.isfinite(own)) else np.zeros(2)
        reach = half_m if half_m is not None else _reach(tracks, centre)
        _draw_grid(view, seen, t_ns)
        _draw_own(view, seen, own, t_ns)
        if tracks is not None:
            _draw_tracks(view, seen, tracks, levels, own, t_ns)
        view.set(
            aspect="equal", xlim=(centre[0] - reach, centre[0] + reach), ylim=(centre[1] - reach, centre[1] + reach),
            xlabel="inertial x (m)", ylabel="inertial y (m)",
            title=f"{seen.header.get('mission', 'surroundings')}, {t_ns * 1e-9:.1f} s: seen from above",
        )
        _legend(view)
        _list(side, tracks, levels, own)
        canvas.print_png(path)


def _levels(seen: Playback, t_ns: int) -> dict[int, int]:
    columns = seen.risk_at(t_ns)
    if columns is None:
        return {}
    return dict(zip(columns["track_id"].tolist(), columns["level"].tolist(), strict=True))


def _reach(tracks: TrackSet | None, centre: NDArray[np.float64]) -> float:
    """Half of a square about the craft in which nine tenths of the firm tracks are."""
    if tracks is None or not tracks.firm.any():
        return 50.0
    away = np.abs(tracks.state[tracks.firm, :2] - centre).max(axis=1)
    return max(LEAST_HALF_M, 1.15 * float(np.quantile(away, 0.9)))


def _draw_own(view: Axes, seen: Playback, own: NDArray[np.float64], t_ns: int) -> None:
    past = seen.path[seen.path[:, 0] <= t_ns * 1e-9]
    view.plot(past[:, 1], past[:, 2], color=BLACK, linewidth=1.0)
    view.plot(own[0], own[1], marker="D", color=BLACK, markersize=7, zorder=6)
    view.annotate("craft", (own[0], own[1]), (7, -12), textcoords="offset points", fontsize=8)


def _draw_grid(view: Axes, seen: Playback, t_ns: int) -> None:
    cells = seen.grid_at(t_ns)
    if cells is None or not len(cells["centre_m"]):
        return
    size = float(cells["cell_m"][0])
    flat = np.unique(np.round(cells["centre_m"][:, :2] / size, 3), axis=0) * size
    for x, y in flat:
        corner = (x - 0.5 * size, y - 0.5 * size)
        view.add_patch(Rectangle(corner, size, size, facecolor=SOFT, edgecolor="none", alpha=0.35))


def _draw_tracks(
    view: Axes, seen: Playback, tracks: TrackSet, levels: dict[int, int], own: NDArray[np.float64], t_ns: int
) -> None:
    history = seen.history(t_ns)
    for row in np.flatnonzero(tracks.status != Status.LOST):
        track_id = int(tracks.track_id[row])
        level = levels.get(track_id, 0)
        colour = RISK_COLOURS[level]
        firm = bool(tracks.firm[row])
        x, y = tracks.state[row, :2]
        past = history.get(track_id)
        if past is not None and firm:
            view.plot(past[:, 0], past[:, 1], color=colour, linewidth=0.7, alpha=0.5)
        view.add_patch(_ellipse(tracks, row, colour))
        view.plot(x, y, marker="o" if firm else "x", color=colour, markersize=4 + 1.5 * level, zorder=5)
        if firm:
            view.annotate(
                f"{track_id}", (x, y), (5, 4), textcoords="offset points", fontsize=7, color=colour, clip_on=True
            )
            _draw_approach(view, tracks.state[row], own, colour, level)


def _ellipse(tracks: TrackSet, row: int, colour: str) -> Ellipse:
    values, vectors = np.linalg.eigh(tracks.covariance[row, :2, :2])
    width, height = 2.0 * SIGMAS * np.sqrt(np.maximum(values, 0.0))
    angle = float(np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0])))
    return Ellipse(
        (tracks.state[row, 0], tracks.state[row, 1]), width, height, angle=angle, fill=False, edgecolor=colour,
        linewidth=0.8, linestyle=":",
    )


def _draw_approach(
    view: Axes, state: NDArray[np.float64], own: NDArray[np.float64], colour: str, level: int
) -> None:
    """The straight way of a track to its closest approach, and the gap that is left there."""
    relative = state - own
    speed2 = float(relative[3:] @ relative[3:])
    if not np.isfinite(speed2) or speed2 <= 0.0:
        return
    time_s = -float(relative[:3] @ relative[3:]) / speed2
    if not 0.0 < time_s <= AHEAD_S:
        return
    there = state[:2] + state[3:5] * time_s
    mine = own[:2] + own[3:5] * time_s
    view.plot([state[0], there[0]], [state[1], there[1]], color=colour, linewidth=0.9, linestyle="--", alpha=0.8)
    if level:
        view.plot([there[0], mine[0]], [there[1], mine[1]], color=colour, linewidth=1.4)


def _legend(view: Axes) -> None:
    marks = [
        *(Line2D([], [], marker="o", color=colour, linewidth=0, label=word)
          for word, colour in zip(LEVELS, RISK_COLOURS, strict=True)),
        Line2D([], [], marker="x", color=SOFT, linewidth=0, label="not confirmed"),
        Line2D([], [], color=SOFT, linestyle=":", label=f"{SIGMAS:.0f} sigma"),
        Line2D([], [], color=SOFT, linestyle="--", label="to closest approach"),
        Patch(facecolor=SOFT, alpha=0.35, label="occupied"),
    ]
    view.legend(handles=marks, loc="upper left", ncols=2)


def _list(
    side: Axes, tracks: TrackSet | None, levels: dict[int, int], own: NDArray[np.float64]
) -> None:
    """The tracks that matter most, in words: worst first, then nearest."""
    side.axis("off")
    if tracks is None or not tracks.firm.any():
        side.text(0.0, 1.0, "no confirmed track", va="top", color=SOFT)
        return
    rows = np.flatnonzero(tracks.firm)
    relative = tracks.state[rows] - own
    distance = np.linalg.norm(relative[:, :3], axis=1)
    level = np.array([levels.get(int(track_id), 0) for track_id in tracks.track_id[rows]])
    order = np.lexsort((distance, -level))
    words = [f"{'track':>5} {'risk':<5}{'range':>7} {'height':>7} {'vr':>6}  what"]
    for index in order[:MOST_LISTED]:
        row = rows[index]
        vr = float(relative[index, :3] @ relative[index, 3:]) / max(float(distance[index]), 1e-9)
        words.append(
            f"{int(tracks.track_id[row]):>5} {LEVELS[level[index]]:<5}{distance[index]:>7.1f} "
            f"{relative[index, 2]:>+7.1f} {vr:>+6.1f}  {_what(tracks, row)}"
        )
    if len(order) > MOST_LISTED:
        words.append(f"and {len(order) - MOST_LISTED} more")
    # Texts may reach over the edge of their axes; asked about the layout they would squeeze the view.
    side.text(0.0, 1.0, "\n".join(words), va="top", family="DejaVu Sans Mono", fontsize=7.5, in_layout=False)
    side.text(
        0.0, 0.0, "range m from the craft, height m above it,\nvr m/s (negative closes)", color=SOFT, fontsize=7,
        in_layout=False,
    )
    side.plot([0, 1], [0.05, 0.05], color=LINE, linewidth=0.6)
    side.set(xlim=(0, 1), ylim=(0, 1))


def _what(tracks: TrackSet, row: int) -> str:
    kind, iff = ObjectType(int(tracks.object_type[row])), Iff(int(tracks.iff[row]))
    words = [] if kind is ObjectType.UNSPECIFIED else [kind.name.lower()]
    words += [] if iff is Iff.UNSPECIFIED else [iff.name.lower()]
    identity = int(tracks.transponder_id[row])
    words += [] if identity == NO_ID else [f"#{identity}"]
    return " ".join(words) or "-"
